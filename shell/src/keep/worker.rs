//! A service's functions at the agent: an nmid worker for one service, with a connection and threads of its own.
//!
//! It knows nothing of where the service lives: every call goes through [`Routes`], which holds it while the service is
//! exchanged. A job is answered in any case, with the function's result or with the reason why there is none.

use crate::MODULE;
use crate::place::routes::Routes;
use crate::place::work::{Outcome, Work, failure};
use msf_client::nmid::{self, Failure, Job, Life, Notice, Running};
use msf_conf::shell::{Params, Worker as Conf};
use msf_sys::log::Level;
use msf_sys::rest::HostThread;
use msf_sys::service::Answer;
use msf_sys::thread;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// What a worker is made of. When it changes, another worker takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whose functions they are.
    pub service: String,
    /// What the worker calls itself.
    pub name: String,
    /// As the service's table has them.
    pub functions: Vec<String>,
    /// What the file says.
    pub conf: Conf,
}

/// A worker of the agent.
pub struct Worker {
    /// What it is made of.
    pub terms: Terms,
    running: Running,
    trouble: Trouble,
}

/// What is wrong with its connection, if anything is.
type Trouble = Arc<RwLock<Option<String>>>;

impl Worker {
    /// Begins to offer the functions, on threads of its own. A broker that is not there is looked for as long as it takes.
    pub fn start(terms: Terms, routes: &Arc<Routes>) -> io::Result<Worker> {
        let place = nmid::place(&terms.conf.agent)
            .ok_or_else(|| io::Error::other(format!("{} is no address", terms.conf.agent)))?;
        let trouble = Trouble::default();
        let (service, told) = (terms.service.clone(), Arc::clone(&trouble));
        let mut worker = nmid::Worker::with_threads_of(terms.name.as_str(), spawn)
            .server(place)
            .concurrency(terms.conf.concurrency)
            .observer(move |notice| observe(&service, notice, &told));
        let unfinished = Arc::new(AtomicUsize::new(0));
        for function in &terms.functions {
            let clerk = Clerk {
                service: terms.service.clone(),
                function: function.clone(),
                timeout: terms.conf.timeout_of(function),
                params: terms.conf.params,
                queue_limit: terms.conf.queue_limit,
                unfinished: Arc::clone(&unfinished),
                routes: Arc::clone(routes),
            };
            let offered = format!("{}{function}", terms.conf.prefix);
            worker = worker.raw_function(offered, move |job| clerk.ret(job));
        }
        Ok(Worker { running: worker.start()?, terms, trouble })
    }

    /// Whether the agent knows all functions.
    pub fn is_registered(&self) -> bool {
        self.wait_registered(Duration::ZERO)
    }

    /// The same, after waiting for it.
    pub fn wait_registered(&self, patience: Duration) -> bool {
        self.running.wait_registered(1, patience) == 1
    }

    /// Why it is without an agent, if it is.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the functions back, and waits for nothing.
    pub fn withdraw(&self) {
        self.running.withdraw();
    }

    /// Takes the functions back, answers the calls that have come, and ends.
    pub fn leave(self, limit: Duration) {
        if let Err(busy) = self.running.leave(limit) {
            msf_sys::log!(Level::Warn, MODULE, "service {}: its worker ends unanswered, {busy}", self.terms.service);
        }
    }
}

/// Carries out the jobs of one function.
struct Clerk {
    service: String,
    function: String,
    timeout: Duration,
    params: Params,
    queue_limit: usize,
    /// Calls of all functions that the service has not ended, given up or not.
    unfinished: Arc<AtomicUsize>,
    routes: Arc<Routes>,
}

impl Clerk {
    fn ret(&self, job: &Job) -> Vec<u8> {
        self.carry_out(job).map_or_else(|why| why.ret(), |data| ret(&data))
    }

    fn carry_out(&self, job: &Job) -> Result<Vec<u8>, Failure> {
        let params = match self.params {
            Params::Bytes => job.params().to_vec(),
            Params::Json => job.json().map_err(|why| Failure::new(UNREADABLE, why))?.into_owned().into_bytes(),
        };
        let place = Place::take(&self.unfinished, self.queue_limit).ok_or_else(|| self.full())?;
        let (tell, hear) = mpsc::channel();
        let then = Box::new(move |outcome| {
            drop(place);
            let _ = tell.send(outcome);
        });
        let work = Work::Call { command: self.function.clone(), params };
        self.routes.give(&self.service, work, then).map_err(|why| self.failure(NOT_UP, &why.to_string()))?;
        match hear.recv_timeout(self.timeout) {
            Ok(outcome) => self.said(outcome),
            Err(RecvTimeoutError::Disconnected) => Err(self.failure(NOT_UP, "it went down before it answered")),
            Err(RecvTimeoutError::Timeout) => {
                Err(self.failure(LATE, &format!("{} has not returned within {:?}", self.function, self.timeout)))
            }
        }
    }

    fn said(&self, outcome: Outcome) -> Result<Vec<u8>, Failure> {
        match &outcome.answer {
            Answer::Done(_) => Ok(outcome.bytes),
            Answer::Absent => {
                Err(self.failure(Failure::UNKNOWN_FUNCTION, &format!("it knows no function \"{}\"", self.function)))
            }
            // Not of the service: whoever asks it for us has no answer of its.
            Answer::Failed(_, why) if why.raw_os_error().is_none() => {
                let code = if why.kind() == io::ErrorKind::WouldBlock { FULL } else { NOT_UP };
                Err(self.failure(code, &why.to_string()))
            }
            Answer::Failed(code, _) if outcome.bytes.is_empty() => {
                let why = failure(&self.function, &outcome.answer).err().unwrap_or_default();
                Err(Failure::new((*code).into(), why))
            }
            Answer::Failed(code, _) => Err(Failure::new((*code).into(), String::from_utf8_lossy(&outcome.bytes))),
        }
    }

    fn full(&self) -> Failure {
        self.failure(FULL, &format!("it has {} calls that it has not ended", self.queue_limit))
    }

    fn failure(&self, code: i64, what: &str) -> Failure {
        Failure::new(code, format!("service {}: {what}", self.service))
    }
}

/// One of so many calls; given back when the service has ended it, or never will.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(count: &Arc<AtomicUsize>, most: usize) -> Option<Place> {
        let more = |now: usize| (now < most).then_some(now + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Place(Arc::clone(count)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A result as every nmid caller reads it.
fn ret(data: &[u8]) -> Vec<u8> {
    nmid::ret(&nmid::wire::RetStruct { code: 0, msg: b"ok", data })
}

fn observe(service: &str, notice: &Notice<'_>, trouble: &Trouble) {
    let (level, wrong) = match notice {
        Notice::Registered(_) => (Level::Info, Some(None)),
        Notice::Lost(..) | Notice::NoBroker(..) => (Level::Warn, Some(Some(notice.to_string()))),
        Notice::Malformed(..) => (Level::Warn, None),
        Notice::Panicked(_) => (Level::Error, None),
    };
    msf_sys::log!(level, MODULE, "service {service}: {notice}");
    if let Some(wrong) = wrong {
        *trouble.write().unwrap_or_else(PoisonError::into_inner) = wrong;
    }
}

/// Its threads handle bytes and never enter a library.
fn spawn(name: &str, life: Life) -> io::Result<nmid::Join> {
    let thread = thread::spawn(name, move || {
        let _host = HostThread::this();
        life();
    })?;
    // It joins nobody who could join it.
    Ok(Box::new(|| drop(thread.join())))
}

/// Codes of failures that are not the function's own, which are below 0.
const UNREADABLE: i64 = 400;
const FULL: i64 = 429;
const NOT_UP: i64 = 503;
const LATE: i64 = 504;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_calls_have_a_place_and_the_next_one_when_one_has_ended() {
        let count = Arc::default();
        let (first, second) = (Place::take(&count, 2), Place::take(&count, 2));
        assert!(first.is_some() && second.is_some() && Place::take(&count, 2).is_none());
        drop(first);
        assert!(Place::take(&count, 2).is_some());
        assert_eq!(count.load(Ordering::Relaxed), 1, "what is let go is free again");
    }
}
