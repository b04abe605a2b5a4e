//! When a process counts as up.

use super::probe::{Kind, Probe};
use super::read::{Layers, millis, one_of};
use crate::ConfError;
use crate::tree::{Value, json};
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
        let mut known = vec!["by"];
        let (ready, keys): (_, &[&str]) = match by {
            Way::None => (Ready::AtOnce, &[]),
            Way::Fd => {
                let number = object.integer("fd", 3..=1023)?.and_then(|fd| i32::try_from(fd).ok());
                (Ready::Told { by: Told::Fd { number }, timeout }, &["timeout_ms", "fd"])
            }
            Way::Notify => (Ready::Told { by: Told::Notify, timeout }, &["timeout_ms"]),
            Way::Probe(kind) => {
                let interval = millis(&object, "interval_ms", 1)?.unwrap_or(INTERVAL);
                let (probe, own) = Probe::read(&object, kind)?;
                known.extend(own);
                (Ready::Probed { probe, interval, timeout }, &["timeout_ms", "interval_ms"])
            }
        };
        known.extend(keys);
        strangers.extend(object.unknown(&known));
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

#[derive(Clone, Copy)]
enum Way {
    None,
    Fd,
    Notify,
    Probe(Kind),
}

const WAYS: &[(&str, Way)] = &[
    ("fd", Way::Fd),
    ("notify", Way::Notify),
    ("tcp", Way::Probe(Kind::Tcp)),
    ("unix", Way::Probe(Kind::Unix)),
    ("exec", Way::Probe(Kind::Exec)),
    ("http", Way::Probe(Kind::Http)),
    ("none", Way::None),
];
const TIMEOUT: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(100);
