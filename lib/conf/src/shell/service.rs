//! One entry of `proc_svcs`: a service, its library, and what else is said about it.

use super::{DAY_MS, Limits, PATH, Sandbox, Source, Worker, text};
use crate::ConfError;
use crate::daemon::Restart;
use crate::json::Object;
use std::fmt;
use std::time::Duration;

/// Bytes of a service's name, which is the name of an exported variable.
const SVC_NAME: usize = 63;
/// How long a service may take unless somebody says otherwise.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(10);

/// One service and the library it lives in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its place in `proc_svcs`, for complaints.
    pub at: usize,
    /// What its library's table is called, or the first part of it.
    pub name: String,
    /// The library as written, with or without a folder.
    pub library: String,
    /// `config` as JSON text, `{}` without one.
    pub config: String,
    /// `loop`: it gets an event loop.
    pub with_loop: bool,
    /// Services it goes up after, and without which it does not go up.
    pub requires: Vec<String>,
    /// Services it goes up after.
    pub after: Vec<String>,
    /// The shell goes on without it.
    pub optional: bool,
    /// `isolate`: it runs in a process of its own.
    pub isolate: bool,
    /// `sandbox`: what that may do; everything, if it is not written.
    pub sandbox: Option<Sandbox>,
    /// How long its calls may take.
    pub patience: Patience,
    /// `limits`: how much it may use, if it is looked after.
    pub limits: Option<Limits>,
    /// `restart`: how it comes back when its own process has died.
    pub restart: Restart,
    /// `worker`: its functions are offered to the agent.
    pub worker: Option<Worker>,
    /// Where it was written, if not in the configuration itself.
    pub source: Option<Source>,
}

/// How long a service's calls may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For loading, `init`, `start` and the taking over of a state; `None` for as long as it takes.
    pub start: Option<Duration>,
    /// For `stop`, `deinit` and the handing over of a state.
    pub stop: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { start: Some(START), stop: STOP }
    }
}

impl Patience {
    /// What `object` says, over `base`. 0 is no limit for a start.
    pub(super) fn of(object: &Object<'_>, base: Patience) -> Result<Patience, ConfError> {
        let ms = |key, least| {
            let value = object.integer(key, least..=DAY_MS)?;
            Ok::<_, ConfError>(value.map(|ms| Duration::from_millis(ms.unsigned_abs())))
        };
        let start = ms("start_timeout_ms", 0)?.map(|limit| Some(limit).filter(|limit| !limit.is_zero()));
        Ok(Patience { start: start.unwrap_or(base.start), stop: ms("stop_timeout_ms", 1)?.unwrap_or(base.stop) })
    }
}

impl Service {
    /// A service that says no more than it must.
    pub fn plain(name: &str, library: &str) -> Service {
        Service {
            at: 0,
            name: name.to_owned(),
            library: library.to_owned(),
            config: EMPTY.to_owned(),
            with_loop: false,
            requires: Vec::new(),
            after: Vec::new(),
            optional: false,
            isolate: false,
            sandbox: None,
            patience: Patience::default(),
            limits: None,
            restart: Restart::default(),
            worker: None,
            source: None,
        }
    }

    /// `patience` and `agent` are the file's.
    pub(super) fn of(entry: &Object<'_>, at: usize, patience: Patience, agent: &str) -> Result<Service, ConfError> {
        let name = text(entry, "svc_name", SVC_NAME)?;
        if name.is_empty() {
            return Err(entry.error("svc_name", "empty; expected the name of an exported variable"));
        }
        let library = text(entry, "svc_libs", PATH)?;
        if library.is_empty() {
            return Err(entry.error("svc_libs", "empty; expected the file of a library"));
        }
        let isolate = entry.boolean("isolate")?.unwrap_or(false);
        if let Some(key) = ["restart", "sandbox"].into_iter().find(|key| !isolate && entry.has(key)) {
            return Err(entry.error(key, "is about a process of its own; expected \"isolate\": true beside it"));
        }
        let names = |key| Ok::<_, ConfError>(entry.strings(key)?.unwrap_or_default().into_iter().map(str::to_owned));
        Ok(Service {
            at,
            name: name.to_owned(),
            library: library.to_owned(),
            config: entry.object("config")?.map_or_else(|| EMPTY.to_owned(), |object| object.to_text()),
            with_loop: entry.boolean("loop")?.unwrap_or(false),
            requires: names("requires")?.collect(),
            after: names("after")?.collect(),
            optional: entry.boolean("optional")?.unwrap_or(false),
            isolate,
            sandbox: Sandbox::of(entry)?,
            patience: Patience::of(entry, patience)?,
            limits: Limits::of(entry)?,
            restart: Restart::of_service(entry)?.unwrap_or_default(),
            worker: Worker::of(entry, agent)?,
            source: None,
        })
    }

    /// Every service it goes up after.
    pub fn predecessors(&self) -> impl Iterator<Item = &str> {
        self.requires.iter().chain(&self.after).map(String::as_str)
    }
}

/// What `-k parse` shows of it.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.name, self.library)?;
        for (word, names) in [("requires", &self.requires), ("after", &self.after)] {
            if !names.is_empty() {
                write!(f, ", {word} {}", names.join(" "))?;
            }
        }
        if self.with_loop {
            write!(f, ", with a loop")?;
        }
        if self.optional {
            write!(f, ", optional")?;
        }
        if self.isolate {
            write!(f, ", in a process of its own")?;
        }
        if let Some(sandbox) = &self.sandbox {
            write!(f, ", {sandbox}")?;
        }
        match self.patience.start {
            Some(limit) => write!(f, ", start within {} ms", limit.as_millis())?,
            None => write!(f, ", start without limit")?,
        }
        write!(f, ", stop within {} ms", self.patience.stop.as_millis())?;
        if let Some(limits) = &self.limits {
            write!(f, ", {limits}")?;
        }
        if self.restart != Restart::default() {
            let Restart { policy, immediate, refill, delay, delay_max, reset } = self.restart;
            write!(
                f,
                ", restarted {}, {immediate} restarts at once and one in {} ms, ",
                policy.word(),
                refill.as_millis()
            )?;
            let (delay, delay_max) = (delay.as_millis(), delay_max.as_millis());
            write!(f, "then after {delay} to {delay_max} ms, anew after {} ms", reset.as_millis())?;
        }
        if let Some(worker) = &self.worker {
            write!(f, ", {worker}")?;
        }
        if self.config == EMPTY { Ok(()) } else { write!(f, ", config {}", self.config) }
    }
}

const EMPTY: &str = "{}";
