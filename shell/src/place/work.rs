//! What a service can be asked, what comes back, and where the question goes.
//!
//! A [`Place`] is wherever services live: a thread of this process ([`crate::place::runner`]) is one. Whoever asks neither knows
//! nor waits, unless he wants to: [`ask`].

use msf_sys::service::{Answer, Slot};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// A question to one service.
#[derive(Clone, Debug)]
pub enum Work {
    /// One of its four slots.
    Run(Slot),
    /// A command of somebody else's.
    Call {
        /// A function of the service, or a word it knows.
        command: String,
        /// What goes with it.
        params: Vec<u8>,
    },
    /// Its state, for its successor.
    Export,
    /// The state of its predecessor.
    Import {
        /// Of the state.
        version: u32,
        /// As it was exported.
        state: Vec<u8>,
    },
    /// How it is.
    Health,
}

/// What the service said.
#[derive(Debug)]
pub struct Outcome {
    /// Its number.
    pub answer: Answer,
    /// The answer of a call, a state, words.
    pub bytes: Vec<u8>,
    /// Of the state.
    pub version: u32,
}

impl Outcome {
    /// A number and nothing else.
    pub fn bare(answer: Answer) -> Outcome {
        Outcome { answer, bytes: Vec::new(), version: 0 }
    }

    /// There is no answer, and that is why: a sentence without its subject's name.
    pub fn lost(kind: io::ErrorKind, why: &str) -> Outcome {
        Outcome::bare(Answer::Failed(-1, io::Error::new(kind, why)))
    }
}

/// Gets the outcome, once; dropped without, it will never come.
pub type Then = Box<dyn FnOnce(Outcome) + Send>;

/// Where services live.
pub trait Place: Send + Sync {
    /// Has service number `at` asked after everything it was asked before. Never blocks.
    fn give(&self, at: usize, work: Work, then: Then);
}

/// Why there is no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Not in time.
    Late(Duration),
    /// Whoever was asked is gone.
    Gone,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Silence::Late(limit) => write!(f, "it has not returned within {limit:?}"),
            Silence::Gone => write!(f, "its thread has ended"),
        }
    }
}

/// How long somebody waits, and what cuts it short.
#[derive(Clone, Copy, Debug)]
pub struct Limit<'a> {
    /// As long as it takes, if `None`.
    pub time: Option<Duration>,
    /// When this is set, `rest` is all there is left.
    pub hurry: &'a AtomicBool,
    /// See `hurry`.
    pub rest: Duration,
}

/// Asks and waits.
pub fn ask(place: &dyn Place, at: usize, work: Work, limit: Limit<'_>) -> Result<Outcome, Silence> {
    let (tell, hear) = mpsc::channel();
    place.give(at, work, Box::new(move |outcome| drop(tell.send(outcome))));
    wait(&hear, limit)
}

/// Waits for what somebody was asked.
pub fn wait<T>(hear: &mpsc::Receiver<T>, limit: Limit<'_>) -> Result<T, Silence> {
    let (began, mut hurried) = (Instant::now(), None);
    loop {
        if hurried.is_none() && limit.hurry.load(Ordering::Acquire) {
            hurried = Some(Instant::now());
        }
        let rest = |since: Instant, time: Duration| time.saturating_sub(since.elapsed());
        let normal = limit.time.map(|time| (rest(began, time), time));
        let short = hurried.map(|since| (rest(since, limit.rest), limit.rest));
        let shortest = [normal, short].into_iter().flatten().min();
        match hear.recv_timeout(shortest.map_or(GLANCE, |(left, _)| left.min(GLANCE))) {
            Ok(told) => return Ok(told),
            Err(RecvTimeoutError::Disconnected) => return Err(Silence::Gone),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some((_, time)) = shortest.filter(|(left, _)| left.is_zero()) {
            return Err(Silence::Late(time));
        }
    }
}

/// A slot as configuration and log name it.
pub fn word(slot: Slot) -> &'static str {
    match slot {
        Slot::Init => "init",
        Slot::Start => "start",
        Slot::Stop => "stop",
        Slot::Deinit => "deinit",
    }
}

/// What is wrong with an answer, if anything is. An empty slot counts as done.
pub fn failure(what: &str, answer: &Answer) -> Result<(), String> {
    let Answer::Failed(code, errno) = answer else { return Ok(()) };
    match errno.raw_os_error() {
        // It was not even asked, or could not answer: a sentence of ours.
        None => Err(format!("{what} failed, {errno}")),
        Some(0) => Err(format!("{what} failed, it returned {code}")),
        Some(_) => Err(format!("{what} failed, it returned {code} ({errno})")),
    }
}

/// How often somebody who waits looks whether there is a hurry. Only while a slow slot runs.
const GLANCE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_the_number_does_not() {
        let failed = |errno| Answer::Failed(-3, io::Error::from_raw_os_error(errno));
        assert_eq!(
            failure("init", &failed(2)).unwrap_err(),
            "init failed, it returned -3 (No such file or directory (os error 2))"
        );
        assert_eq!(failure("stop", &failed(0)).unwrap_err(), "stop failed, it returned -3");
        let lost = Outcome::lost(io::ErrorKind::ConnectionReset, "its process was ended by SIGSEGV");
        assert_eq!(failure("add", &lost.answer).unwrap_err(), "add failed, its process was ended by SIGSEGV");
        assert!(failure("stop", &Answer::Absent).is_ok() && failure("stop", &Answer::Done(7)).is_ok());
    }

    #[test]
    fn who_waits_hears_gives_up_or_is_told_to_hurry() {
        let hurry = AtomicBool::new(false);
        let long = Duration::from_secs(3600);
        let limit = Limit { time: Some(Duration::from_millis(5)), hurry: &hurry, rest: long };
        let (tell, hear) = mpsc::channel();
        assert_eq!(wait(&hear, limit), Err(Silence::Late(Duration::from_millis(5))));
        tell.send(7).unwrap();
        assert_eq!(wait(&hear, limit), Ok(7));
        hurry.store(true, Ordering::Release);
        let short = Duration::from_millis(3);
        assert_eq!(wait(&hear, Limit { time: None, hurry: &hurry, rest: short }), Err(Silence::Late(short)));
        drop(tell);
        assert_eq!(wait(&hear, limit), Err(Silence::Gone));
    }
}
