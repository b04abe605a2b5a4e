//! How much of the machine's processors a process gets, and which of them.

use super::read::{Layers, one_of};
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Map, Value, json};

/// `nice`, `scheduling`, `cpu_affinity`, `numa_node`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// `nice`: -20 (most) to 19 (least); the daemon's own when not written.
    pub nice: Option<i32>,
    /// `scheduling`; the daemon's own when not written.
    pub class: Option<Class>,
    /// `cpu_affinity`: the processors' numbers, sorted; all the daemon may use when not written.
    pub cpus: Option<Vec<u32>>,
    /// `numa_node`: its processors, and its memory first.
    pub node: Option<u32>,
}

/// How the kernel decides when a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The usual one.
    Other,
    /// For work nobody waits for.
    Batch,
    /// Only when the processor has nothing better to do.
    Idle,
    /// Real time, 1 to 99.
    Fifo(u8),
    /// Real time in turns, 1 to 99.
    RoundRobin(u8),
}

impl Share {
    pub(super) fn read(layers: &Layers, strangers: &mut Vec<ConfError>) -> Result<Share, ConfError> {
        let nice = layers.of("nice").integer("nice", -20..=19)?;
        let node = layers.of("numa_node").integer("numa_node", 0..=1023)?;
        Ok(Share {
            nice: nice.and_then(|nice| i32::try_from(nice).ok()),
            class: class(&layers.of("scheduling"), strangers)?,
            cpus: cpus(&layers.of("cpu_affinity"))?,
            node: node.and_then(|node| u32::try_from(node).ok()),
        })
    }

    pub(super) fn show(&self, into: &mut Map<String, Value>) {
        let mut put = |key: &str, value| into.insert(key.to_owned(), value);
        if let Some(nice) = self.nice {
            put("nice", json!(nice));
        }
        match self.class {
            None => None,
            Some(Class::Other) => put("scheduling", json!({"class": "other"})),
            Some(Class::Batch) => put("scheduling", json!({"class": "batch"})),
            Some(Class::Idle) => put("scheduling", json!({"class": "idle"})),
            Some(Class::Fifo(priority)) => put("scheduling", json!({"class": "fifo", "priority": priority})),
            Some(Class::RoundRobin(priority)) => put("scheduling", json!({"class": "rr", "priority": priority})),
        };
        if let Some(cpus) = &self.cpus {
            put("cpu_affinity", json!(cpus));
        }
        if let Some(node) = self.node {
            put("numa_node", json!(node));
        }
    }
}

fn class(object: &Object, strangers: &mut Vec<ConfError>) -> Result<Option<Class>, ConfError> {
    let Some(object) = object.object("scheduling")? else { return Ok(None) };
    strangers.extend(object.unknown(&["class", "priority"]));
    let classes: &[(&str, ByPriority)] = &[
        ("other", |_| Class::Other),
        ("batch", |_| Class::Batch),
        ("idle", |_| Class::Idle),
        ("fifo", Class::Fifo),
        ("rr", Class::RoundRobin),
    ];
    let class = one_of(&object, "class", classes)?;
    let class = class.ok_or_else(|| object.error("class", "missing; expected a class such as \"batch\""))?;
    let priority = object.integer("priority", 1..=99)?.and_then(|priority| u8::try_from(priority).ok());
    match (class(1), priority) {
        (Class::Fifo(_) | Class::RoundRobin(_), None) => {
            Err(object.error("priority", "missing; expected 1 to 99, as the class is of real time"))
        }
        (Class::Other | Class::Batch | Class::Idle, Some(_)) => {
            Err(object.error("priority", "only classes of real time have one; see \"nice\""))
        }
        (_, priority) => Ok(Some(class(priority.unwrap_or(1)))),
    }
}

/// An array of numbers, or the kernel's way of writing a list: `0-3,8`.
fn cpus(object: &Object) -> Result<Option<Vec<u32>>, ConfError> {
    let wrong = || {
        let what = format!("expected processors below {MOST}, such as \"0-3,8\" or [0, 1]");
        object.error("cpu_affinity", what)
    };
    let number = |number: u64| u32::try_from(number).ok().filter(|cpu| *cpu < MOST);
    let mut cpus: Vec<u32> = match object.value("cpu_affinity") {
        None => return Ok(None),
        Some(Value::Array(numbers)) => {
            let all = numbers.iter().map(|value| value.as_u64().and_then(number));
            all.collect::<Option<_>>().ok_or_else(wrong)?
        }
        Some(Value::String(list)) => from_list(list).ok_or_else(wrong)?,
        Some(_) => return Err(wrong()),
    };
    cpus.sort_unstable();
    cpus.dedup();
    if cpus.is_empty() { Err(wrong()) } else { Ok(Some(cpus)) }
}

fn from_list(list: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

type ByPriority = fn(u8) -> Class;

const MOST: u32 = 8192;
