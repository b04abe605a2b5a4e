//! What the operator sets for any program: `MSF_LOG_LEVEL`, `_MODE`, `_POLICY`, `_RING` and `_OUTPUTS`.
//!
//! They are read once, before the first setting or the opening of a log, so what a program sets itself comes later and
//! wins. A value that makes no sense is told on stderr, and is as if it were not there. A program that runs with more
//! rights than who started it does not read them.

use super::caller::{self, say};
use super::output::Output;
use super::{Level, Mode, Policy};
use crate::sys::environment;
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Once;

/// Reads the environment, the first time it is called.
pub(super) fn apply() {
    static ONCE: Once = Once::new();
    thread_local! { static APPLYING: Cell<bool> = const { Cell::new(false) }; }
    // The settings made here ask for it, too.
    if ONCE.is_completed() || APPLYING.replace(true) {
        return;
    }
    ONCE.call_once(|| {
        for (name, set) in SETTINGS {
            let Some(value) = environment::variable(name) else { continue };
            // What is no text is no setting, and is told like any other.
            let value = value.to_string_lossy();
            if let Err(expected) = set(&value) {
                say(&format!("{name} is \"{value}\", expected was {expected}"));
            }
        }
    });
    APPLYING.set(false);
}

type Setting = fn(&str) -> Result<(), String>;

const SETTINGS: [(&str, Setting); 5] = [
    ("MSF_LOG_LEVEL", levels),
    ("MSF_LOG_MODE", mode),
    ("MSF_LOG_POLICY", policy),
    ("MSF_LOG_RING", ring),
    ("MSF_LOG_OUTPUTS", outputs),
];

/// `WARN`, `INFO,NET=DEBUG,DISK=ERROR`.
fn levels(value: &str) -> Result<(), String> {
    for part in value.split(',') {
        let (module, name) = part.rsplit_once('=').map_or((None, part), |(module, name)| (Some(module), name));
        let level = Level::from_name(name.trim()).ok_or("FATAL, ERROR, WARN, DEBUG or INFO, and MODULE=LEVEL")?;
        match module {
            Some(module) => caller::set_module_level(module.trim(), Some(level)).map_err(|error| error.to_string())?,
            None => caller::set_level(level),
        }
    }
    Ok(())
}

fn mode(value: &str) -> Result<(), String> {
    let mode = match value {
        "ring" => Mode::Ring,
        "direct" => Mode::Direct,
        _ => return Err("ring or direct".to_owned()),
    };
    caller::set_mode(mode).map_err(|error| error.to_string())
}

fn policy(value: &str) -> Result<(), String> {
    match value {
        "block" => caller::set_policy(Policy::Block),
        "drop" => caller::set_policy(Policy::Drop),
        _ => return Err("block or drop".to_owned()),
    }
    Ok(())
}

fn ring(value: &str) -> Result<(), String> {
    let bytes = value.parse().map_err(|_| "a number of bytes, 16384 to 4194304")?;
    caller::set_ring(bytes).map_err(|error| error.to_string())
}

/// `journal,syslog=/dev/log,json=/var/log/x.jsonl`.
fn outputs(value: &str) -> Result<(), String> {
    for part in value.split(',') {
        let (kind, path) = part.split_once('=').map_or((part, None), |(kind, path)| (kind, Some(PathBuf::from(path))));
        let output = match (kind.trim(), path) {
            ("journal", path) => Output::Journal(path),
            ("syslog", path) => Output::Syslog(path),
            ("syslog5424", path) => Output::Syslog5424(path),
            ("json", Some(path)) => Output::JsonLines(path),
            _ => {
                return Err(
                    "journal, syslog, syslog5424 (each with =SOCKET if it is not the usual one), json=FILE".to_owned()
                );
            }
        };
        caller::add_output(&output).map_err(|error| error.to_string())?;
    }
    Ok(())
}
