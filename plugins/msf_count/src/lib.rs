//! A service in Rust, to copy: it counts, from `config`'s `{"from": N}` on, and what it has counted survives an upgrade.
//!
//! Its entry: `{ "svc_name": "msf_count", "svc_libs": "libmsf_count.so" }`. Functions: `add` (a number; answers with
//! the sum) and `get`.
#![deny(unsafe_code)]

use msf_sys::plugin::{Context, Failure, Function, Plugin};

struct Count {
    total: i64,
    added: u64,
}

impl Count {
    fn add(&mut self, params: &[u8]) -> Result<Vec<u8>, Failure> {
        let number: i64 = str::from_utf8(params)?.trim().parse()?;
        self.total = self.total.checked_add(number).ok_or("the sum is too large")?;
        self.added += 1;
        self.get(&[])
    }

    fn get(&mut self, _params: &[u8]) -> Result<Vec<u8>, Failure> {
        Ok(self.total.to_string().into_bytes())
    }
}

impl Plugin for Count {
    const HANDS_OVER: bool = true;
    const FUNCTIONS: &'static [Function<Self>] = &[(c"add", Count::add), (c"get", Count::get)];

    fn init(context: &Context<'_>) -> Result<Count, Failure> {
        Ok(Count { total: first(context.config())?, added: 0 })
    }

    fn export(&mut self) -> Result<Vec<u8>, Failure> {
        Ok([self.total.to_le_bytes(), self.added.to_le_bytes()].concat())
    }

    fn import(&mut self, version: u32, state: &[u8]) -> Result<(), Failure> {
        if version != Self::STATE {
            return Err(format!("state version {version}; expected {}", Self::STATE).into());
        }
        let (total, added) = state.split_at_checked(8).ok_or("half a state")?;
        (self.total, self.added) = (i64::from_le_bytes(total.try_into()?), u64::from_le_bytes(added.try_into()?));
        Ok(())
    }

    fn health(&mut self) -> Result<String, Failure> {
        Ok(format!("{} numbers added", self.added))
    }
}

/// The number of `{"from":N}`; 0 without one.
fn first(config: &str) -> Result<i64, Failure> {
    match config.strip_prefix("{\"from\":").and_then(|rest| rest.strip_suffix('}')) {
        Some(number) => Ok(number.parse()?),
        None if config == "{}" => Ok(0),
        None => Err(format!("config: expected {{\"from\": N}}, found {config}").into()),
    }
}

msf_sys::msf_plugin!(msf_count_ops = Count);
