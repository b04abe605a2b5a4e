//! What a process may use at most: the kernel's limits for one process, and a control group's for it and its own.

use super::read::{Layers, unknown_name};
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Map, Value, json};

/// One entry of `rlimits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// As in setrlimit(2), in small letters and without `RLIMIT_`: one of [`Limit::NAMES`].
    pub name: String,
    /// The one that holds; `None` is no limit.
    pub soft: Option<u64>,
    /// The one it may be raised to.
    pub hard: Option<u64>,
}

/// `cgroup`, in force where a control group of version 2 may be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// `memory_max`: bytes.
    pub memory_max: Option<u64>,
    /// `cpu_max`: per cent of one processor.
    pub cpu_max: Option<u64>,
    /// `pids_max`: processes and threads.
    pub pids_max: Option<u64>,
}

impl Limit {
    /// What `name` may be. The kernel's numbers differ between machines, so whoever sets a limit has the system's own
    /// constant for each.
    pub const NAMES: &[&str] = &[
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];

    pub(super) fn read_all(layers: &Layers) -> Result<Vec<Limit>, ConfError> {
        let mut limits: Vec<Limit> = Vec::new();
        for layer in layers.upwards() {
            let upper = Limit::read(layer)?;
            limits.retain(|limit| upper.iter().all(|one| one.name != limit.name));
            limits.extend(upper);
        }
        limits.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(limits)
    }

    /// `rlimits` in `object`, sorted.
    pub(crate) fn read(object: &Object) -> Result<Vec<Limit>, ConfError> {
        let Some(object) = object.object("rlimits")? else { return Ok(Vec::new()) };
        let mut limits: Vec<Limit> = Vec::new();
        for key in object.keys() {
            if !Limit::NAMES.contains(&key) {
                return Err(object.error(key, unknown_name("limit", key, Limit::NAMES)));
            }
            let (soft, hard) = pair(&object, key)?;
            limits.push(Limit { name: key.to_owned(), soft, hard });
        }
        limits.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(limits)
    }

    pub(super) fn show_all(limits: &[Limit], into: &mut Map<String, Value>) {
        if limits.is_empty() {
            return;
        }
        let one = |limit: Option<u64>| limit.map_or(json!(UNLIMITED), |limit| json!(limit));
        let all = limits.iter().map(|Limit { name, soft, hard }| (name.clone(), json!([one(*soft), one(*hard)])));
        into.insert("rlimits".to_owned(), Value::Object(all.collect()));
    }
}

/// A number or `"unlimited"` for both limits, or an array of the soft and the hard one.
fn pair(object: &Object, key: &str) -> Result<(Option<u64>, Option<u64>), ConfError> {
    let wrong = || {
        let what = "expected a whole number, \"unlimited\", or an array of two such, the second not below the first";
        object.error(key, what)
    };
    let one = |value: &Value| match value {
        Value::String(word) if word == UNLIMITED => Some(None),
        // The kernel's number for no limit.
        Value::Number(number) => number.as_u64().filter(|limit| *limit != u64::MAX).map(Some),
        _ => None,
    };
    let (soft, hard) = match object.value(key) {
        Some(Value::Array(both)) if both.len() == 2 => (one(&both[0]), one(&both[1])),
        Some(value) => (one(value), one(value)),
        None => (None, None),
    };
    let (soft, hard) = (soft.ok_or_else(wrong)?, hard.ok_or_else(wrong)?);
    let fits = hard.is_none_or(|hard| soft.is_some_and(|soft| soft <= hard));
    if fits { Ok((soft, hard)) } else { Err(wrong()) }
}

impl Cgroup {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Cgroup::default()
    }

    pub(super) fn read(layers: &Layers, strangers: &mut Vec<ConfError>) -> Result<Cgroup, ConfError> {
        let Some(object) = layers.of("cgroup").object("cgroup")? else { return Ok(Cgroup::default()) };
        strangers.extend(object.unknown(&["memory_max", "cpu_max", "pids_max"]));
        let number = |key, range| Ok(object.integer(key, range)?.and_then(|number| u64::try_from(number).ok()));
        Ok(Cgroup {
            memory_max: number("memory_max", 4096..=i64::MAX)?,
            cpu_max: number("cpu_max", 1..=1_000_000)?,
            pids_max: number("pids_max", 1..=4_194_304)?,
        })
    }

    pub(super) fn show(&self, into: &mut Map<String, Value>) {
        let all = [("memory_max", self.memory_max), ("cpu_max", self.cpu_max), ("pids_max", self.pids_max)];
        let written = all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value?))));
        if !self.is_empty() {
            into.insert("cgroup".to_owned(), Value::Object(written.collect()));
        }
    }
}

const UNLIMITED: &str = "unlimited";
