//! How it is found out whether a process that is up still does what it is for.

use super::probe::{Kind, Probe};
use super::read::{Layers, millis, one_of};
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Map, Value, json};
use std::time::Duration;

/// `health`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// How it is asked.
    pub way: Check,
    /// `interval_ms`: how often.
    pub interval: Duration,
    /// `failures`: after how many in a row it is ill.
    pub failures: u32,
    /// `successes`: after how many in a row one that was ill is well again.
    pub successes: u32,
    /// `start_after_ms`: how long after it is up that begins.
    pub start_after: Duration,
    /// `act`: what is done with one that is ill.
    pub act: Act,
}

/// How a process is asked whether it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// It says so itself: `WATCHDOG=1` to the socket that `NOTIFY_SOCKET` names.
    Heartbeat,
    /// Something is tried.
    Probe {
        /// What.
        probe: Probe,
        /// `timeout_ms`: how long an answer may take.
        timeout: Duration,
    },
}

/// What is done with a process that is ill, or that uses too much. An alarm is always given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Act {
    /// Nothing else.
    #[default]
    Alarm,
    /// It is stopped, and started again by the restart law.
    Restart,
    /// It is stopped for good.
    Stop,
}

impl Act {
    /// As it is written.
    pub fn word(self) -> &'static str {
        ACTS.iter().find(|(_, act)| *act == self).map_or("", |(word, _)| word)
    }

    pub(super) fn read(object: &Object, key: &str) -> Result<Option<Act>, ConfError> {
        one_of(object, key, ACTS)
    }
}

impl Health {
    pub(super) fn read(layers: &Layers, strangers: &mut Vec<ConfError>) -> Result<Option<Health>, ConfError> {
        let Some(object) = layers.of("health").object("health")? else { return Ok(None) };
        let way = one_of(&object, "by", WAYS)?;
        let Some(way) = way.ok_or_else(|| object.error("by", "missing; expected how its health is found out"))? else {
            strangers.extend(object.unknown(&["by"]));
            return Ok(None);
        };
        let mut known = KEYS.to_vec();
        let interval = millis(&object, "interval_ms", 10)?.unwrap_or(INTERVAL);
        let (way, failures) = match way {
            Way::Heartbeat => (Check::Heartbeat, 1),
            Way::Probe(kind) => {
                let (probe, own) = Probe::read(&object, kind)?;
                known.extend(own.iter().chain(&["timeout_ms"]));
                let timeout = millis(&object, "timeout_ms", 1)?.unwrap_or(TIMEOUT.min(interval));
                if timeout > interval {
                    let (long, often) = (timeout.as_millis(), interval.as_millis());
                    let what = format!("{long} ms is more than interval_ms, which is {often}");
                    return Err(object.error("timeout_ms", what));
                }
                (Check::Probe { probe, timeout }, 2)
            }
        };
        let health = Health {
            way,
            interval,
            failures: times(&object, "failures")?.unwrap_or(failures),
            successes: times(&object, "successes")?.unwrap_or(1),
            start_after: millis(&object, "start_after_ms", 0)?.unwrap_or_default(),
            act: Act::read(&object, "act")?.unwrap_or(Act::Restart),
        };
        strangers.extend(object.unknown(&known));
        Ok(Some(health))
    }

    pub(super) fn show(health: Option<&Health>, into: &mut Map<String, Value>) {
        let Some(health) = health else { return };
        let ms = |time: Duration| json!(time.as_millis() as u64);
        let mut shown = match &health.way {
            Check::Heartbeat => Map::from_iter([("by".to_owned(), json!("heartbeat"))]),
            Check::Probe { probe, timeout } => {
                let mut shown = probe.shown();
                shown.insert("timeout_ms".to_owned(), ms(*timeout));
                shown
            }
        };
        let rest = [
            ("interval_ms", ms(health.interval)),
            ("failures", json!(health.failures)),
            ("successes", json!(health.successes)),
            ("start_after_ms", ms(health.start_after)),
            ("act", json!(health.act.word())),
        ];
        shown.extend(rest.map(|(key, value)| (key.to_owned(), value)));
        into.insert("health".to_owned(), Value::Object(shown));
    }

    /// Whether the process is to send heartbeats, and how often at least.
    pub fn heartbeat(&self) -> Option<Duration> {
        matches!(self.way, Check::Heartbeat).then_some(self.interval)
    }
}

/// How often something has to happen, at least once.
pub(super) fn times(object: &Object, key: &str) -> Result<Option<u32>, ConfError> {
    Ok(object.integer(key, 1..=1000)?.and_then(|times| u32::try_from(times).ok()))
}

#[derive(Clone, Copy)]
enum Way {
    Heartbeat,
    Probe(Kind),
}

const WAYS: &[(&str, Option<Way>)] = &[
    ("exec", Some(Way::Probe(Kind::Exec))),
    ("tcp", Some(Way::Probe(Kind::Tcp))),
    ("http", Some(Way::Probe(Kind::Http))),
    ("unix", Some(Way::Probe(Kind::Unix))),
    ("heartbeat", Some(Way::Heartbeat)),
    ("none", None),
];
const ACTS: &[(&str, Act)] = &[("alarm", Act::Alarm), ("restart", Act::Restart), ("stop", Act::Stop)];
const KEYS: &[&str] = &["by", "interval_ms", "failures", "successes", "start_after_ms", "act"];
const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);
