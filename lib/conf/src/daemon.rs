//! Settings of `msf_daemon`: the original's JSON (`msf_author … msf_procs[]`) and, beside it, how processes are
//! started, ordered, restarted and stopped.
//!
//! Pure: paths and names of users are taken as written; who looks for them, and where, is the daemon's business. A key
//! nobody knows is a warning in a file that has the original's keys only; in any other it is an error.

mod alarms;
mod bounds;
mod broker;
mod events;
mod health;
mod launch;
mod limits;
mod metrics;
mod order;
mod output;
mod probe;
mod read;
mod ready;
mod restart;
mod rights;
mod share;
mod sockets;
mod upgrade;

use crate::ConfError;
use crate::json::{Doc, Object};
use crate::tree::{Map, Value, json};
pub use alarms::{Form, Secret, Target, To, Webhook};
pub use bounds::{Bound, Bounds, Cpu, Growth};
pub use broker::{Broker, BrokerPlace};
pub use events::{CrashReports, Events};
pub use health::{Act, Check, Health};
pub use launch::Launch;
pub use limits::{Cgroup, Limit};
pub use metrics::Metrics;
pub use order::Order;
pub use output::Output;
pub use probe::Probe;
use read::Layers;
pub use ready::{Ready, Told};
pub use restart::{Policy, Restart, Stop};
pub use rights::Rights;
pub use share::{Class, Share};
pub use sockets::{Place, Socket};
use std::collections::HashSet;
use std::fmt;
use std::path::Path;
pub use upgrade::{Upgrade, Way};

/// Everything the file says, defaults filled in, every range checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `msf_author`, for the banner.
    pub author: String,
    /// `msf_version`, for the banner.
    pub version: String,
    /// `msf_desc`, for the banner.
    pub desc: String,
    /// `msf_procs`, in the order of the file.
    pub processes: Vec<Process>,
    /// `metrics`: where the daemon shows its numbers, if it does.
    pub metrics: Option<Metrics>,
    /// `events`: the file of events.
    pub events: Events,
    /// `broker`: where events are published.
    pub broker: Option<Broker>,
    /// `crash_reports`: how many are kept.
    pub crash_reports: CrashReports,
    /// `alarms`: who is told when something is wrong.
    pub alarms: Vec<Target>,
    /// `main`: the process whose end is the end of everything.
    pub main: Option<String>,
    /// What is odd but not wrong, ready to be logged.
    pub warnings: Vec<String>,
}

/// One entry of `msf_procs`. There may be thousands: what few have, and is large, is in a box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// `proc_idx`: the number shown in the banner.
    pub index: i64,
    /// `proc_name`: unique in the file.
    pub name: String,
    /// How it is run; a change here is a restart.
    pub launch: Launch,
    /// What must be there before it is started.
    pub order: Order,
    /// `ready`: when it counts as up.
    pub ready: Ready,
    /// `restart`: how it comes back.
    pub restart: Restart,
    /// How it is told to end.
    pub stop: Stop,
    /// `health`: how it is found out whether it still works.
    pub health: Option<Box<Health>>,
    /// `limits`: how much it may use, if there are any.
    pub bounds: Option<Box<Bounds>>,
    /// `upgrade`: how another program takes its place.
    pub upgrade: Upgrade,
}

impl Settings {
    /// Reads and checks `file`.
    pub fn read(file: &Path) -> Result<Settings, ConfError> {
        Settings::from_doc(&Doc::read(file)?)
    }

    /// Checks `text`, which complaints will say came from `file`.
    pub fn parse(file: &Path, text: &str) -> Result<Settings, ConfError> {
        Settings::from_doc(&Doc::parse(file, text)?)
    }

    fn from_doc(doc: &Doc) -> Result<Settings, ConfError> {
        let mut strangers = Vec::new();
        Settings::build(doc, &mut strangers).map_err(|error| {
            // What is missing may be there, under a name that nobody knows.
            let misspelt = strangers.iter().position(|stranger| stranger.is_beside(&error));
            let top = doc.top();
            let is_ours = top.objects("msf_procs").is_ok_and(|all| is_ours(&top, &all.unwrap_or_default()));
            misspelt.filter(|_| is_ours).map(|at| strangers.swap_remove(at)).unwrap_or(error)
        })
    }

    fn build(doc: &Doc, strangers: &mut Vec<ConfError>) -> Result<Settings, ConfError> {
        let top = doc.top();
        strangers.extend(top.unknown(&[TOP_KEYS, OUR_TOP_KEYS].concat()));
        let defaults = top.object("defaults")?;
        if let Some(defaults) = &defaults {
            strangers.extend(defaults.unknown(OUR_KEYS));
        }
        let entries = top.objects("msf_procs")?;
        let entries = entries.ok_or_else(|| top.error("msf_procs", "missing; expected an array of objects"))?;
        if entries.is_empty() {
            return Err(top.error("msf_procs", "empty; expected at least one process"));
        }
        let mut processes = Vec::with_capacity(entries.len());
        let mut names = HashSet::with_capacity(entries.len());
        for entry in &entries {
            strangers.extend(entry.unknown(&[PROCESS_KEYS, OUR_KEYS, OUR_OWN_KEYS].concat()));
            let process = Process::read(entry, &Layers::new(entry, defaults.as_ref(), &top), strangers)?;
            if !names.insert(process.name.clone()) {
                return Err(entry.error("proc_name", format!("\"{}\" is used twice; names are unique", process.name)));
            }
            processes.push(process);
        }
        order::check(&processes, &entries)?;
        let metrics = Metrics::read(&top, strangers)?;
        let events = Events::read(&top, strangers)?;
        let broker = Broker::read(&top, strangers)?;
        let crash_reports = CrashReports::read(&top, strangers)?;
        let alarms = Target::read_all(&top, strangers)?;
        let main = main(&top, &processes)?;
        top.integer("version", 1..=1)?;
        if is_ours(&top, &entries) && !strangers.is_empty() {
            return Err(strangers.remove(0));
        }
        Ok(Settings {
            author: text(&top, "msf_author")?,
            version: text(&top, "msf_version")?,
            desc: text(&top, "msf_desc")?,
            processes,
            metrics,
            events,
            broker,
            crash_reports,
            alarms,
            main,
            warnings: strangers.iter().map(ConfError::to_string).collect(),
        })
    }

    /// As a document that says all of it, defaults written out; read again, it is the same.
    pub fn shown(&self) -> Value {
        let mut shown = json!({
            "version": 1,
            "msf_author": self.author,
            "msf_version": self.version,
            "msf_desc": self.desc,
            "events": self.events.shown(),
            "crash_reports": self.crash_reports.shown(),
            "alarms": self.alarms.iter().map(Target::shown).collect::<Vec<_>>(),
            "msf_procs": self.processes.iter().map(Process::shown).collect::<Vec<_>>(),
        });
        if let Some(broker) = &self.broker {
            shown["broker"] = broker.shown();
        }
        if let Some(metrics) = &self.metrics {
            shown["metrics"] = metrics.shown();
        }
        if let Some(main) = &self.main {
            shown["main"] = json!(main);
        }
        shown
    }
}

/// Whether a file uses anything that the original did not have: then it was written for us, and what we do not know is
/// a mistake.
fn is_ours(top: &Object, entries: &[Object]) -> bool {
    let ours = |object: &Object, keys: &[&str]| keys.iter().any(|key| object.has(key));
    ours(top, OUR_TOP_KEYS) || entries.iter().any(|entry| ours(entry, OUR_KEYS) || ours(entry, OUR_OWN_KEYS))
}

/// One that is always started again would never be the end of anything.
fn main(top: &Object, processes: &[Process]) -> Result<Option<String>, ConfError> {
    let Some(name) = top.string("main")? else { return Ok(None) };
    let Some(process) = processes.iter().find(|process| process.name == name) else {
        let names: Vec<&str> = processes.iter().map(|process| process.name.as_str()).collect();
        return Err(top.error("main", read::unknown_name("process", name, &names)));
    };
    if process.restart.policy == Policy::Always {
        let what = format!("{name:?} is always started again; expected a \"restart\" with another \"policy\"");
        return Err(top.error("main", what));
    }
    Ok(Some(name.to_owned()))
}

/// A string that must be written but may be empty: nothing hangs on it.
fn text(object: &Object, key: &str) -> Result<String, ConfError> {
    let text = object.string(key)?.ok_or_else(|| object.error(key, "missing; expected a string"))?;
    Ok(text.to_owned())
}

impl Process {
    fn read(entry: &Object, layers: &Layers, strangers: &mut Vec<ConfError>) -> Result<Process, ConfError> {
        let index = entry.integer("proc_idx", INDEX)?;
        let name = entry.required("proc_name")?;
        if name.starts_with('.') || name.chars().any(|c| c == '/' || c.is_control()) {
            let what = "expected a name without \"/\", control characters and a dot in front";
            return Err(entry.error("proc_name", what));
        }
        Ok(Process {
            index: index.ok_or_else(|| entry.error("proc_idx", "missing; expected a whole number"))?,
            name: name.to_owned(),
            launch: Launch::read(entry, layers, strangers)?,
            order: Order::read(entry, layers)?,
            ready: Ready::read(layers, strangers)?,
            restart: Restart::read(layers, strangers)?,
            stop: Stop::read(layers)?,
            health: Health::read(layers, strangers)?.map(Box::new),
            bounds: Some(Bounds::read(layers, strangers)?).filter(|bounds| !bounds.is_empty()).map(Box::new),
            upgrade: Upgrade::read(layers, strangers)?,
        })
    }

    fn shown(&self) -> Value {
        let mut shown = Map::new();
        shown.insert("proc_idx".to_owned(), json!(self.index));
        shown.insert("proc_name".to_owned(), json!(self.name));
        self.launch.show(&mut shown);
        self.order.show(&mut shown);
        shown.insert("ready".to_owned(), self.ready.shown());
        shown.insert("restart".to_owned(), self.restart.shown());
        shown.insert("stop_signal".to_owned(), json!(self.stop.signal));
        shown.insert("stop_timeout_ms".to_owned(), json!(self.stop.timeout.as_millis() as u64));
        Health::show(self.health.as_deref(), &mut shown);
        if let Some(bounds) = &self.bounds {
            bounds.show(&mut shown);
        }
        shown.insert("upgrade".to_owned(), self.upgrade.shown());
        Value::Object(shown)
    }
}

/// The effective result, as `-k parse` prints it.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:#}", self.shown())
    }
}

/// The original's, at the top.
const TOP_KEYS: &[&str] = &["msf_author", "msf_version", "msf_desc", "msf_procs"];
/// Ours, at the top.
const OUR_TOP_KEYS: &[&str] = &[
    "version",
    "defaults",
    "restart",
    "stop_timeout_ms",
    "events",
    "broker",
    "crash_reports",
    "alarms",
    "metrics",
    "main",
];
/// The original's, in a process.
const PROCESS_KEYS: &[&str] = &["proc_idx", "proc_name", "proc_path", "proc_conf"];
/// Ours, in a process and in `defaults`.
const OUR_KEYS: &[&str] = &[
    "args",
    "env",
    "working_directory",
    "umask",
    "user",
    "group",
    "groups",
    "capabilities",
    "rlimits",
    "cgroup",
    "nice",
    "scheduling",
    "cpu_affinity",
    "numa_node",
    "wait_for",
    "wait_retry_ms",
    "ready",
    "restart",
    "stop_signal",
    "stop_timeout_ms",
    "stdout",
    "stderr",
    "health",
    "limits",
    "upgrade",
];
/// Ours, in a process only: they name other processes.
const OUR_OWN_KEYS: &[&str] = &["after", "requires", "sockets"];
const INDEX: std::ops::RangeInclusive<i64> = i32::MIN as i64..=i32::MAX as i64;

#[cfg(test)]
mod tests;
