//! How a process comes back, and how it is told to end.

use super::read::{Layers, millis, one_of};
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Value, json};
use std::time::Duration;

/// The restart law: a bucket of immediate restarts, then a growing delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// `policy`: after which ends there is a restart at all.
    pub policy: Policy,
    /// `immediate`: restarts without delay that a full bucket holds.
    pub immediate: u32,
    /// `refill_ms`: how long one of them takes to come back.
    pub refill: Duration,
    /// `delay_ms`: the first delay once the bucket is empty; it doubles from there.
    pub delay: Duration,
    /// `delay_max_ms`: where doubling ends.
    pub delay_max: Duration,
    /// `reset_ms`: a process up for this long has a full bucket and the first delay again.
    pub reset: Duration,
}

/// After which ends a process is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// After every end.
    #[default]
    Always,
    /// After every end but exit code 0.
    OnFailure,
    /// After none.
    Never,
}

/// How a process is told to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// `stop_signal`, such as `SIGTERM`.
    pub signal: String,
    /// `stop_timeout_ms`: how long after it the SIGKILL comes.
    pub timeout: Duration,
}

impl Default for Restart {
    fn default() -> Self {
        Restart {
            policy: Policy::Always,
            immediate: 10,
            refill: Duration::from_secs(10),
            delay: Duration::from_millis(100),
            delay_max: Duration::from_secs(10),
            reset: Duration::from_secs(60),
        }
    }
}

impl Default for Stop {
    fn default() -> Self {
        Stop { signal: "SIGTERM".to_owned(), timeout: Duration::from_secs(5) }
    }
}

impl Restart {
    /// What every layer writes under `restart`, the upper over the lower, over the defaults.
    pub(super) fn read(layers: &Layers, strangers: &mut Vec<ConfError>) -> Result<Restart, ConfError> {
        let mut law = Restart::default();
        for object in layers.upwards_with_top() {
            if let Some(object) = object.object("restart")? {
                strangers.extend(object.unknown(KEYS));
                law = law.over(&object)?;
            }
        }
        Ok(law)
    }

    /// The law of a service: what `object` says under `restart`, over the defaults.
    pub(crate) fn of_service(object: &Object) -> Result<Option<Restart>, ConfError> {
        let Some(object) = object.object("restart")? else { return Ok(None) };
        match object.unknown(KEYS).into_iter().next() {
            Some(stranger) => Err(stranger),
            None => Restart::default().over(&object).map(Some),
        }
    }

    fn over(self, object: &Object) -> Result<Restart, ConfError> {
        let immediate = object.integer("immediate", 0..=1000)?.and_then(|count| u32::try_from(count).ok());
        let law = Restart {
            policy: one_of(object, "policy", POLICIES)?.unwrap_or(self.policy),
            immediate: immediate.unwrap_or(self.immediate),
            refill: millis(object, "refill_ms", 1)?.unwrap_or(self.refill),
            delay: millis(object, "delay_ms", 1)?.unwrap_or(self.delay),
            delay_max: millis(object, "delay_max_ms", 1)?.unwrap_or(self.delay_max),
            reset: millis(object, "reset_ms", 1)?.unwrap_or(self.reset),
        };
        if law.delay > law.delay_max {
            let (most, first) = (law.delay_max.as_millis(), law.delay.as_millis());
            return Err(object.error("delay_max_ms", format!("{most} ms is less than delay_ms, which is {first}")));
        }
        Ok(law)
    }

    pub(super) fn shown(&self) -> Value {
        json!({
            "policy": self.policy.word(),
            "immediate": self.immediate,
            "refill_ms": self.refill.as_millis() as u64,
            "delay_ms": self.delay.as_millis() as u64,
            "delay_max_ms": self.delay_max.as_millis() as u64,
            "reset_ms": self.reset.as_millis() as u64,
        })
    }
}

impl Policy {
    /// As it is written.
    pub(crate) fn word(self) -> &'static str {
        POLICIES.iter().find(|(_, policy)| *policy == self).map_or("always", |(word, _)| word)
    }
}

impl Stop {
    pub(super) fn read(layers: &Layers) -> Result<Stop, ConfError> {
        let (signal, timeout) = (layers.of("stop_signal"), layers.of_all("stop_timeout_ms"));
        let Stop { signal: usual, timeout: patience } = Stop::default();
        let signal = match signal.string("stop_signal")? {
            None => usual,
            Some(written) => name_of(written).ok_or_else(|| {
                let known = SIGNALS.iter().copied();
                let near = crate::nearest::nearest(written, known).unwrap_or("SIGTERM");
                signal.error("stop_signal", format!("expected the name of a signal, such as {near}, found {written:?}"))
            })?,
        };
        Ok(Stop { signal, timeout: millis(&timeout, "stop_timeout_ms", 0)?.unwrap_or(patience) })
    }
}

/// With or without `SIG` in front.
fn name_of(written: &str) -> Option<String> {
    let bare = written.strip_prefix("SIG").unwrap_or(written);
    SIGNALS.iter().find(|signal| signal.strip_prefix("SIG") == Some(bare)).map(|signal| (*signal).to_owned())
}

const POLICIES: &[(&str, Policy)] =
    &[("always", Policy::Always), ("on-failure", Policy::OnFailure), ("never", Policy::Never)];
const KEYS: &[&str] = &["policy", "immediate", "refill_ms", "delay_ms", "delay_max_ms", "reset_ms"];
const SIGNALS: &[&str] = &[
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGCONT",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];
