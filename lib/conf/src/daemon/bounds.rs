//! How much of the machine a process may use before somebody is told, and before something is done. Unlike `rlimits`
//! and `cgroup`, which the kernel keeps, these are looked at by the daemon.

use super::health::{Act, times};
use super::read::{Layers, millis};
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Map, Value, json};
use std::time::Duration;

/// `limits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// `sample_ms`: how often it is looked.
    pub sample: Duration,
    /// `rss_bytes`: memory in use.
    pub rss: Option<Bound>,
    /// `rss_growth`: memory that only grows.
    pub growth: Option<Growth>,
    /// `cpu_percent`: of one processor.
    pub cpu: Option<Cpu>,
    /// `fds`: open descriptors.
    pub fds: Option<Bound>,
    /// `threads`.
    pub threads: Option<Bound>,
}

/// Two limits of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// `warn`: from here on somebody is told.
    pub warn: Option<u64>,
    /// `act`: from here on something is done.
    pub act: Option<u64>,
    /// `do`: what.
    pub deed: Act,
    /// `periods`: how often in a row it must be so, or no longer be so.
    pub periods: u32,
}

/// `rss_growth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// In bytes, from one end of a window to the other.
    pub bound: Bound,
    /// `window_ms`: the shortest window.
    pub window: Duration,
    /// `warm_up_ms`: what happens so long after the process is up does not count.
    pub warm_up: Duration,
}

/// `cpu_percent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// In per cent of one processor.
    pub bound: Bound,
    /// `window_ms`: over how long it is taken.
    pub window: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { sample: Duration::from_secs(1), rss: None, growth: None, cpu: None, fds: None, threads: None }
    }
}

impl Growth {
    /// Into so many equal parts its windows are cut; the shortest has to be at least as long as it takes to sample them.
    pub const PARTS: u32 = 24;
}

impl Bounds {
    /// Whether there is nothing to look at.
    pub(super) fn is_empty(&self) -> bool {
        *self == Bounds { sample: self.sample, ..Bounds::default() }
    }

    pub(super) fn read(layers: &Layers, strangers: &mut Vec<ConfError>) -> Result<Bounds, ConfError> {
        let mut bounds = Bounds::default();
        let mut growth_in = None;
        for layer in layers.upwards() {
            let Some(object) = layer.object("limits")? else { continue };
            strangers.extend(object.unknown(KEYS));
            bounds.sample = millis(&object, "sample_ms", 10)?.unwrap_or(bounds.sample);
            over(&object, "rss_bytes", &mut bounds.rss, |inner| Bound::read(inner, &[], strangers))?;
            over(&object, "fds", &mut bounds.fds, |inner| Bound::read(inner, &[], strangers))?;
            over(&object, "threads", &mut bounds.threads, |inner| Bound::read(inner, &[], strangers))?;
            over(&object, "cpu_percent", &mut bounds.cpu, |inner| {
                let window = millis(inner, "window_ms", 10)?.unwrap_or(CPU_WINDOW);
                Ok(Cpu { bound: Bound::read(inner, &["window_ms"], strangers)?, window })
            })?;
            over(&object, "rss_growth", &mut bounds.growth, |inner| {
                let window = millis(inner, "window_ms", 240)?.unwrap_or(GROWTH_WINDOW);
                let warm_up = millis(inner, "warm_up_ms", 0)?.unwrap_or(WARM_UP);
                Ok(Growth { bound: Bound::read(inner, &["window_ms", "warm_up_ms"], strangers)?, window, warm_up })
            })?;
            growth_in = object.object("rss_growth").ok().flatten().or(growth_in);
        }
        if let (Some(growth), Some(object)) = (&bounds.growth, growth_in)
            && growth.window < bounds.sample * Growth::PARTS
        {
            let (short, often) = (growth.window.as_millis(), bounds.sample.as_millis());
            let what = format!(
                "{short} ms is too short; expected at least {} times sample_ms, which is {often}",
                Growth::PARTS
            );
            return Err(object.error("window_ms", what));
        }
        Ok(bounds)
    }

    pub(super) fn show(&self, into: &mut Map<String, Value>) {
        let ms = |time: Duration| json!(time.as_millis() as u64);
        let mut shown = Map::from_iter([("sample_ms".to_owned(), ms(self.sample))]);
        let mut put = |key: &str, bound: Option<Bound>, more: Vec<(&str, Value)>| {
            let Some(bound) = bound else { return };
            let mut inner = bound.shown();
            inner.extend(more.into_iter().map(|(key, value)| (key.to_owned(), value)));
            shown.insert(key.to_owned(), Value::Object(inner));
        };
        put("rss_bytes", self.rss, Vec::new());
        put("fds", self.fds, Vec::new());
        put("threads", self.threads, Vec::new());
        if let Some(Cpu { bound, window }) = self.cpu {
            put("cpu_percent", Some(bound), vec![("window_ms", ms(window))]);
        }
        if let Some(Growth { bound, window, warm_up }) = self.growth {
            put("rss_growth", Some(bound), vec![("window_ms", ms(window)), ("warm_up_ms", ms(warm_up))]);
        }
        into.insert("limits".to_owned(), Value::Object(shown));
    }
}

/// What is written goes before what was; null takes it away.
fn over<T>(
    object: &Object,
    key: &str,
    value: &mut Option<T>,
    read: impl FnOnce(&Object) -> Result<T, ConfError>,
) -> Result<(), ConfError> {
    if object.says(key) {
        *value = object.object(key)?.as_ref().map(read).transpose()?;
    } else if object.has(key) {
        *value = None;
    }
    Ok(())
}

impl Bound {
    fn read(object: &Object, more: &[&str], strangers: &mut Vec<ConfError>) -> Result<Bound, ConfError> {
        strangers.extend(object.unknown(&[BOUND_KEYS, more].concat()));
        let number = |key| Ok(object.integer(key, 1..=i64::MAX)?.and_then(|number| u64::try_from(number).ok()));
        let (warn, act) = (number("warn")?, number("act")?);
        let deed = Act::read(object, "do")?;
        match (warn, act) {
            (None, None) => return Err(object.error("warn", "missing; expected \"warn\", \"act\", or both")),
            (Some(warn), Some(act)) if act < warn => {
                return Err(object.error("act", format!("{act} is less than warn, which is {warn}")));
            }
            (_, None) if deed.is_some() => {
                return Err(object.error("act", "missing; expected from where on it is to be done"));
            }
            _ => {}
        }
        let periods = times(object, "periods")?.unwrap_or(PERIODS);
        Ok(Bound { warn, act, deed: deed.unwrap_or_default(), periods })
    }

    fn shown(&self) -> Map<String, Value> {
        let limits = [("warn", self.warn), ("act", self.act)].into_iter();
        let mut shown: Map<_, _> = limits.filter_map(|(key, limit)| Some((key.to_owned(), json!(limit?)))).collect();
        if self.act.is_some() {
            shown.insert("do".to_owned(), json!(self.deed.word()));
        }
        shown.insert("periods".to_owned(), json!(self.periods));
        shown
    }
}

const KEYS: &[&str] = &["sample_ms", "rss_bytes", "rss_growth", "cpu_percent", "fds", "threads"];
const BOUND_KEYS: &[&str] = &["warn", "act", "do", "periods"];
const PERIODS: u32 = 2;
const CPU_WINDOW: Duration = Duration::from_secs(10);
const GROWTH_WINDOW: Duration = Duration::from_secs(3600);
const WARM_UP: Duration = Duration::from_secs(600);
