//! What an upgrade of a process is.

use super::read::{Layers, millis, one_of};
use crate::ConfError;
use crate::tree::{Value, json};
use std::time::Duration;

/// How the program that is installed now takes the place of the one that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// `by`.
    pub way: Way,
    /// `timeout_ms`: how long the successor may take until it is ready.
    pub timeout: Duration,
    /// `drain_ms`: how long the predecessor may take to end after that; then it is stopped as any process is.
    pub drain: Duration,
}

/// How it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The process hands everything over to its successor.
    Handover,
    /// It is stopped and started.
    Restart,
    /// Not at all.
    None,
}

impl Default for Upgrade {
    fn default() -> Self {
        Upgrade { way: Way::Handover, timeout: Duration::from_secs(30), drain: Duration::from_secs(60) }
    }
}

impl Upgrade {
    pub(super) fn read(layers: &Layers, strangers: &mut Vec<ConfError>) -> Result<Upgrade, ConfError> {
        let usual = Upgrade::default();
        let Some(object) = layers.of("upgrade").object("upgrade")? else { return Ok(usual) };
        strangers.extend(object.unknown(KEYS));
        Ok(Upgrade {
            way: one_of(&object, "by", WAYS)?.unwrap_or(usual.way),
            timeout: millis(&object, "timeout_ms", 1)?.unwrap_or(usual.timeout),
            drain: millis(&object, "drain_ms", 0)?.unwrap_or(usual.drain),
        })
    }

    pub(super) fn shown(&self) -> Value {
        let word = WAYS.iter().find(|(_, way)| *way == self.way).map_or("none", |(word, _)| word);
        json!({
            "by": word,
            "timeout_ms": self.timeout.as_millis() as u64,
            "drain_ms": self.drain.as_millis() as u64,
        })
    }
}

const WAYS: &[(&str, Way)] = &[("handover", Way::Handover), ("restart", Way::Restart), ("none", Way::None)];
const KEYS: &[&str] = &["by", "timeout_ms", "drain_ms"];
