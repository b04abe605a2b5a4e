//! `limits` of a service: how much it may use before somebody is told. With the empty object nothing is looked at but
//! whether it answers, and how it says it is.

use crate::ConfError;
use crate::json::Object;
use std::fmt;

/// What a service may use. What is not written is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `threads`: in its code.
    pub threads: Option<u64>,
    /// `fds`: that it has opened.
    pub fds: Option<u64>,
    /// `pool_bytes`: of pools of libmsf.
    pub pool_bytes: Option<u64>,
    /// `rss_bytes`: memory of its process, if it has one of its own.
    pub rss_bytes: Option<u64>,
    /// `cpu_percent`: of one processor, from one check to the next.
    pub cpu_percent: Option<u64>,
    /// `do`: what is done about it.
    pub deed: Deed,
}

/// What is done about a service in trouble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deed {
    /// It is told.
    #[default]
    Tell,
    /// Also its library is taken down and up again.
    Restart,
}

impl Limits {
    pub(super) fn of(entry: &Object<'_>) -> Result<Option<Limits>, ConfError> {
        let Some(object) = entry.object("limits")? else { return Ok(None) };
        if let Some(stranger) = object.unknown(KEYS).into_iter().next() {
            return Err(stranger);
        }
        let number = |key| Ok::<_, ConfError>(object.integer(key, 1..=i64::MAX)?.map(i64::unsigned_abs));
        let deed = match object.string("do")? {
            None | Some("tell") => Deed::Tell,
            Some("restart") => Deed::Restart,
            Some(other) => {
                return Err(object.error("do", format!("expected \"tell\" or \"restart\", found {other:?}")));
            }
        };
        let (threads, fds) = (number("threads")?, number("fds")?);
        let (pool_bytes, cpu_percent, rss_bytes) =
            (number("pool_bytes")?, number("cpu_percent")?, number("rss_bytes")?);
        if rss_bytes.is_some() && entry.boolean("isolate")? != Some(true) {
            return Err(
                object.error("rss_bytes", "only a service of its own process has a memory of its own (\"isolate\")")
            );
        }
        Ok(Some(Limits { threads, fds, pool_bytes, rss_bytes, cpu_percent, deed }))
    }

    /// Each with its key.
    pub fn each(&self) -> [(&'static str, Option<u64>); 5] {
        [
            ("threads", self.threads),
            ("fds", self.fds),
            ("pool_bytes", self.pool_bytes),
            ("rss_bytes", self.rss_bytes),
            ("cpu_percent", self.cpu_percent),
        ]
    }
}

/// What `-k parse` shows of it.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("limits:")?;
        for (key, limit) in self.each() {
            if let Some(limit) = limit {
                write!(f, " {key} {limit}")?;
            }
        }
        f.write_str(if self.deed == Deed::Tell { " tell" } else { " restart" })
    }
}

const KEYS: &[&str] = &["threads", "fds", "pool_bytes", "rss_bytes", "cpu_percent", "do"];
