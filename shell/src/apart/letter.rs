//! What a shell and the process of a service tell each other as JSON: what is to be loaded, what was, and what it uses.

use crate::apart::annex::{Inside, Opened, Plan};
use crate::apart::sandbox::Enforced;
use crate::place::runner::Traits;
use crate::text::object;
use msf_conf::tree::{self, Value};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What a process is to load.
#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    /// The service's name in the configuration.
    pub name: String,
    /// Its library's file.
    pub file: PathBuf,
    /// Which generation it is.
    pub number: u32,
    /// What the copy that comes with it is called.
    pub mapped_as: String,
    /// The configuration's file.
    pub config: PathBuf,
}

/// For a new process.
pub fn open(plan: &Plan) -> Vec<u8> {
    let document = object([
        ("name", plan.service.name.as_str().into()),
        ("file", path(&plan.file)),
        ("number", plan.number.into()),
        ("mapped_as", plan.mapped_as.as_str().into()),
        ("config", path(&plan.config)),
    ]);
    document.to_string().into_bytes()
}

/// What [`open`] wrote.
pub fn read_open(bytes: &[u8]) -> Result<Order, String> {
    let document = read(bytes)?;
    Ok(Order {
        name: text(&document, "name")?,
        file: read_path(&document, "file")?,
        number: number(&document, "number")? as u32,
        mapped_as: text(&document, "mapped_as")?,
        config: read_path(&document, "config")?,
    })
}

/// What a process has loaded.
pub fn opened(opened: &Opened) -> Vec<u8> {
    let Traits { version, hands_over, of_2019, functions } = &opened.traits;
    let document = object([
        ("file", path(&opened.file)),
        ("version", version.clone().into()),
        ("hands_over", (*hands_over).into()),
        ("of_2019", (*of_2019).into()),
        ("functions", functions.clone().into()),
        ("sandbox", opened.sandbox.holds.clone().into()),
        ("lacks", opened.sandbox.lacks.clone().into()),
    ]);
    document.to_string().into_bytes()
}

/// What [`opened`] wrote.
pub fn read_opened(bytes: &[u8]) -> Result<Opened, String> {
    let document = read(bytes)?;
    let traits = Traits {
        version: document.get("version").and_then(Value::as_str).map(str::to_owned),
        hands_over: truth(&document, "hands_over")?,
        of_2019: truth(&document, "of_2019")?,
        functions: texts(&document, "functions")?,
    };
    let sandbox = Enforced { holds: texts(&document, "sandbox")?, lacks: texts(&document, "lacks")? };
    Ok(Opened { file: read_path(&document, "file")?, traits, sandbox })
}

/// What a service uses.
pub fn usage(inside: Inside) -> Vec<u8> {
    let Inside { events, timers, pool_bytes } = inside;
    let document = object([("events", events.into()), ("timers", timers.into()), ("pool_bytes", pool_bytes.into())]);
    document.to_string().into_bytes()
}

/// What [`usage`] wrote.
pub fn read_usage(bytes: &[u8]) -> Result<Inside, String> {
    let document = read(bytes)?;
    let number = |key| number(&document, key);
    Ok(Inside { events: number("events")?, timers: number("timers")?, pool_bytes: number("pool_bytes")? })
}

fn read(bytes: &[u8]) -> Result<Value, String> {
    str::from_utf8(bytes).map_err(|e| e.to_string()).and_then(tree::parse)
}

fn missing(key: &str) -> String {
    format!("{key}: missing in what its process has told")
}

fn text(document: &Value, key: &str) -> Result<String, String> {
    document.get(key).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| missing(key))
}

fn texts(document: &Value, key: &str) -> Result<Vec<String>, String> {
    let texts = document.get(key).and_then(Value::as_array).ok_or_else(|| missing(key))?;
    Ok(texts.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn truth(document: &Value, key: &str) -> Result<bool, String> {
    document.get(key).and_then(Value::as_bool).ok_or_else(|| missing(key))
}

fn number(document: &Value, key: &str) -> Result<u64, String> {
    document.get(key).and_then(Value::as_u64).ok_or_else(|| missing(key))
}

/// A path is bytes, which JSON has no strings for.
fn path(path: &std::path::Path) -> Value {
    Value::from(path.as_os_str().as_bytes().to_vec())
}

fn read_path(document: &Value, key: &str) -> Result<PathBuf, String> {
    let bytes = document.get(key).and_then(Value::as_array).ok_or_else(|| missing(key))?;
    let bytes: Option<Vec<u8>> =
        bytes.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect();
    Ok(PathBuf::from(OsStr::from_bytes(&bytes.ok_or_else(|| missing(key))?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_loaded_comes_over_as_it_was() {
        let traits = Traits {
            version: Some("1.0 \"x\"".to_owned()),
            hands_over: true,
            of_2019: false,
            functions: vec!["add".to_owned(), "get".to_owned()],
        };
        let file = PathBuf::from(OsStr::from_bytes(b"/lib\xff/a.so"));
        let sandbox = Enforced { holds: vec!["landlock".to_owned()], lacks: vec!["seccomp".to_owned()] };
        let told = Opened { file: file.clone(), traits: traits.clone(), sandbox: sandbox.clone() };
        let came = read_opened(&opened(&told)).unwrap();
        assert_eq!((came.file, came.traits, came.sandbox), (file, traits, sandbox));
        assert_eq!(read_opened(b"{}").unwrap_err(), "hands_over: missing in what its process has told");
        assert!(read_usage(b"[").is_err());
        let inside = read_usage(&usage(Inside { events: 1, timers: 2, pool_bytes: 1 << 40 })).unwrap();
        assert_eq!((inside.events, inside.timers, inside.pool_bytes), (1, 2, 1 << 40));
    }
}
