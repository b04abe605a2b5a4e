//! How a process says that it is ready, and what else is probed.

use super::read::{Layers, millis, one_of, path, words};
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Map, Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// When a process counts as up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ready {
    /// As soon as it runs.
    #[default]
    AtOnce,
    /// As soon as it says so.
    Told {
        /// Where.
        by: Told,
        /// `timeout_ms`: how long that may take.
        timeout: Duration,
    },
    /// As soon as a probe succeeds.
    Probed {
        /// What is tried.
        probe: Probe,
        /// `interval_ms`: how long after a failure it is tried again.
        interval: Duration,
        /// `timeout_ms`: how long that may go on.
        timeout: Duration,
    },
}

/// How a process speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A newline on an inherited pipe.
    Fd {
        /// `fd`: its number; whatever is free when not written.
        number: Option<i32>,
    },
    /// `READY=1` to the socket that `NOTIFY_SOCKET` names.
    Notify,
}

/// One attempt to find out whether somebody serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A connection to an address.
    Tcp(SocketAddr),
    /// A connection to a socket file.
    Unix(String),
    /// A command that ends with 0.
    Exec(Vec<String>),
}

impl Ready {
    /// How long it may take; `None` where it takes no time.
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Ready::AtOnce => None,
            Ready::Told { timeout, .. } | Ready::Probed { timeout, .. } => Some(*timeout),
        }
    }

    pub(super) fn read(layers: &Layers, strangers: &mut Vec<ConfError>) -> Result<Ready, ConfError> {
        let Some(object) = layers.of("ready").object("ready")? else { return Ok(Ready::AtOnce) };
        let by = one_of(&object, "by", WAYS)?;
        let by = by.ok_or_else(|| object.error("by", "missing; expected how the process says that it is ready"))?;
        let timeout = millis(&object, "timeout_ms", 1)?.unwrap_or(TIMEOUT);
        let (ready, keys): (_, &[&str]) = match by {
            Way::None => (Ready::AtOnce, &["by"]),
            Way::Fd => {
                let number = object.integer("fd", 3..=1023)?.and_then(|fd| i32::try_from(fd).ok());
                (Ready::Told { by: Told::Fd { number }, timeout }, &["by", "timeout_ms", "fd"])
            }
            Way::Notify => (Ready::Told { by: Told::Notify, timeout }, &["by", "timeout_ms"]),
            Way::Tcp | Way::Unix | Way::Exec => {
                let interval = millis(&object, "interval_ms", 1)?.unwrap_or(INTERVAL);
                let (probe, key) = Probe::read(&object, by)?;
                (Ready::Probed { probe, interval, timeout }, key)
            }
        };
        strangers.extend(object.unknown(keys));
        Ok(ready)
    }

    pub(super) fn shown(&self) -> Value {
        let ms = |time: &Duration| time.as_millis() as u64;
        match self {
            Ready::AtOnce => json!({"by": "none"}),
            Ready::Told { by: Told::Notify, timeout } => json!({"by": "notify", "timeout_ms": ms(timeout)}),
            Ready::Told { by: Told::Fd { number: None }, timeout } => json!({"by": "fd", "timeout_ms": ms(timeout)}),
            Ready::Told { by: Told::Fd { number: Some(fd) }, timeout } => {
                json!({"by": "fd", "fd": fd, "timeout_ms": ms(timeout)})
            }
            Ready::Probed { probe, interval, timeout } => {
                let mut shown = probe.shown();
                shown.insert("interval_ms".to_owned(), json!(ms(interval)));
                shown.insert("timeout_ms".to_owned(), json!(ms(timeout)));
                Value::Object(shown)
            }
        }
    }
}

impl Probe {
    /// The probe of an object, and the keys that may be beside it.
    fn read(object: &Object, by: Way) -> Result<(Probe, &'static [&'static str]), ConfError> {
        match by {
            Way::Tcp => {
                let written = object.required("address")?;
                let address = written.parse().map_err(|_| {
                    object.error("address", format!("expected an address such as 127.0.0.1:80, found {written:?}"))
                })?;
                Ok((Probe::Tcp(address), &["by", "timeout_ms", "interval_ms", "address"]))
            }
            Way::Unix => Ok((Probe::Unix(path(object, "path")?), &["by", "timeout_ms", "interval_ms", "path"])),
            _ => {
                let command = words(object, "command")?;
                if command.first().is_none_or(String::is_empty) {
                    return Err(object.error("command", "missing or empty; expected the words of a command"));
                }
                Ok((Probe::Exec(command), &["by", "timeout_ms", "interval_ms", "command"]))
            }
        }
    }

    /// The keys that say it.
    pub(super) fn shown(&self) -> Map<String, Value> {
        let (by, key, value) = match self {
            Probe::Tcp(address) => ("tcp", "address", json!(address.to_string())),
            Probe::Unix(path) => ("unix", "path", json!(path)),
            Probe::Exec(command) => ("exec", "command", json!(command)),
        };
        Map::from_iter([("by".to_owned(), json!(by)), (key.to_owned(), value)])
    }
}

#[derive(Clone, Copy)]
enum Way {
    None,
    Fd,
    Notify,
    Tcp,
    Unix,
    Exec,
}

const WAYS: &[(&str, Way)] = &[
    ("fd", Way::Fd),
    ("notify", Way::Notify),
    ("tcp", Way::Tcp),
    ("unix", Way::Unix),
    ("exec", Way::Exec),
    ("none", Way::None),
];
const TIMEOUT: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(100);
