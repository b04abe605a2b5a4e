//! One supervised process as the driver keeps it: its entry, its life, and what there is of it in the system.
//!
//! Carries out what concerns it alone: signals, its records in the log, its row of the table.

use super::child::heir::{Heir, Succession};
use super::child::kin::Kin;
use super::child::ready::Readying;
use super::child::surroundings::Unstartable;
use super::driver::{MODULE, Timer};
use super::watch::health::Vigil;
use super::watch::usage::Usage;
use crate::face::status::{Last, Row, span};
use crate::law::life::{Life, Phase, Reason, Rules};
use libc::{SIGCONT, SIGTERM};
use msf_conf::daemon::Process;
use msf_core::event::Token;
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::{Birth, Exit};
use nix::sys::signal::Signal;
use std::cell::OnceCell;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

/// A process of the configuration, or one that was and is being stopped.
#[derive(Debug)]
pub struct Service {
    /// What the configuration says.
    pub entry: Process,
    /// Stands for what it is run with, once that was asked for.
    pub(super) sum: OnceCell<u32>,
    /// What it is.
    pub life: Life,
    /// The process, while there is one.
    pub running: Option<Running>,
    /// Who is to take its place, while it is being upgraded.
    pub heir: Option<Box<Heir>>,
    /// What is known of its upgrades.
    pub succession: Succession,
    /// The one timer of its phase.
    pub timer: Option<Timer>,
    /// What will tell that it is ready, while it starts.
    pub readying: Option<Readying>,
    /// Whether anything has become of it yet.
    pub touched: bool,
    /// What it was held for the last time it was looked, in words.
    pub missing: String,
    /// Marks the environment of the process that was made last.
    pub mark: String,
    /// What it says of itself.
    pub says: Option<String>,
    /// Whether it is well, while it is up.
    pub vigil: Vigil,
    /// What it uses, while it is up, if that is looked at.
    pub usage: Option<Box<Usage>>,
    /// Why it was last stopped for its own good, in words.
    pub ails: String,
    /// That was for good: what was wrong with it is not over because it is down.
    pub is_put_down: bool,
    /// How it ended the last time.
    pub last: Option<(End, Instant)>,
    /// The pid that it had the last time it ran.
    pub last_pid: Option<i32>,
    /// It is to stop as soon as nobody needs it any more.
    pub leaving: bool,
    /// Somebody has stopped it by hand, and nobody has started it since.
    pub stopped_by_hand: bool,
    /// No longer in the configuration: to be forgotten once it is down.
    pub dismissed: bool,
}

/// A child, and the token under which its pidfd is watched where there is one.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub child: Kin,
    /// Its number and its time of birth.
    pub birth: Option<Birth>,
    /// None where SIGCHLD has to do.
    pub token: Option<Token>,
}

/// How a process ended, or why there never was one.
#[derive(Debug)]
pub enum End {
    /// It ran.
    Exit(Exit),
    /// It never did.
    Unstartable(Unstartable),
    /// As a daemon before us has put it.
    Told {
        /// In words.
        reason: String,
        /// The exit code, if that was it.
        code: Option<i32>,
        /// The signal's number, if that was it.
        signal: Option<i32>,
    },
    /// It has not quite ended; how, is known when it has.
    Dumping,
    /// It is gone, and nobody says how; why not.
    Unknown(String),
}

impl Service {
    /// One that is down and has no past.
    pub fn new(entry: Process) -> Service {
        Service {
            entry,
            sum: OnceCell::new(),
            life: Life::NEW,
            running: None,
            heir: None,
            succession: Succession::default(),
            timer: None,
            readying: None,
            touched: false,
            missing: String::new(),
            mark: String::new(),
            says: None,
            vigil: Vigil::default(),
            usage: None,
            ails: String::new(),
            is_put_down: false,
            last: None,
            last_pid: None,
            leaving: false,
            stopped_by_hand: false,
            dismissed: false,
        }
    }

    /// Another entry of the same name; what runs goes on.
    pub fn change(&mut self, entry: Process) {
        (self.entry, self.sum) = (entry, OnceCell::new());
    }

    /// What of its entry the law wants to know.
    pub fn rules(&self) -> Rules {
        Rules::of(&self.entry)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// Its pid, while it has one.
    pub fn pid(&self) -> Option<i32> {
        self.running.as_ref().map(|running| running.child.pid())
    }

    /// The pid of who is to take its place, while there is one.
    pub fn heir_pid(&self) -> Option<i32> {
        self.heir.as_ref().map(|heir| heir.running.child.pid())
    }

    /// Whether something but time holds it.
    pub fn is_held_by_others(&self) -> bool {
        matches!(self.life.phase, Phase::Held(Reason::After | Reason::Requires))
    }

    /// Asks it to end, or ends it.
    pub fn end(&self, at_once: bool) {
        let Some(Running { child, .. }) = &self.running else { return };
        let (doing, sent) =
            if at_once { ("kill", child.kill()) } else { ("ask to end", send_stop(child, self.stop_signal())) };
        if let Err(e) = sent {
            log!(Level::Error, MODULE, "{}: cannot {doing} pid {}: {e}", self.name(), child.pid());
        }
    }

    /// What asks it to end.
    pub fn stop_signal(&self) -> i32 {
        self.entry.stop.signal.parse::<Signal>().map_or(SIGTERM, |signal| signal as i32)
    }

    /// An end that was asked for is the ordinary course of things; any other is odd.
    pub fn log_end(&self, end: &End, at: Instant) {
        let pid = self.pid().unwrap_or(0);
        match self.life.phase {
            Phase::Upgrading(_) if end.is_clean() => {
                log!(Level::Info, MODULE, "{}: pid {pid} has handed over and ended: {end}", self.name());
            }
            Phase::Up(since) | Phase::Upgrading(since) => {
                let up = span(at.saturating_duration_since(since));
                log!(Level::Warn, MODULE, "{}: pid {pid} ended after {up}: {end}", self.name());
            }
            Phase::Starting => log!(Level::Warn, MODULE, "{}: pid {pid} ended before it was ready: {end}", self.name()),
            _ => log!(Level::Info, MODULE, "{}: pid {pid} stopped: {end}", self.name()),
        }
    }

    /// A timer that ran out while something was waited for.
    pub fn log_timeout(&self) {
        let name = self.name();
        match self.life.phase {
            Phase::Stopping(_) => {
                log!(Level::Warn, MODULE, "{name}: not ended in {}; killed", span(self.rules().stop_timeout));
            }
            Phase::Starting => {
                let patience = span(self.rules().start_timeout.unwrap_or_default());
                let why = self.readying.as_ref().map(|readying| readying.complaint()).unwrap_or_default();
                log!(Level::Warn, MODULE, "{name}: not ready in {patience}{why}; stopped and started again");
            }
            _ => {}
        }
    }

    /// How long until its timer is due.
    fn left(&self, now: Instant) -> Option<Duration> {
        self.timer.map(|timer| timer.at.saturating_duration_since(now))
    }

    /// Its row of the table.
    pub fn row(&self, now: Instant) -> Row {
        let since = |then: Instant| now.saturating_duration_since(then);
        let last = self.last.as_ref().map(|(end, at)| Last {
            reason: end.to_string(),
            code: end.code(),
            signal: end.signal(),
            ago: since(*at),
        });
        let phase = self.life.phase;
        Row {
            index: self.entry.index,
            name: self.entry.name.clone(),
            state: phase.word(),
            pid: self.pid(),
            uptime: phase.up_since().map(since),
            restarts: self.life.restarts,
            heir: self.heir_pid(),
            left: Vec::new(),
            next_start: if phase == Phase::Waiting { self.left(now) } else { None },
            held_by: matches!(phase, Phase::Held(_)).then(|| self.missing.clone()),
            says: self.says.clone().filter(|_| phase.is_alive()),
            health: self.vigil.shown(),
            above: self.usage.as_ref().map_or_else(Vec::new, |usage| usage.shown()),
            last,
            output: None,
            error_output: None,
            crash: None,
        }
    }
}

/// Asks a process to end. One that is stopped would not hear of it before it goes on.
pub fn send_stop(child: &Kin, signal: i32) -> io::Result<()> {
    child.signal(signal).and_then(|()| child.signal(SIGCONT))
}

impl End {
    /// The exit code, if that was it.
    pub fn code(&self) -> Option<i32> {
        match self {
            End::Exit(Exit::Code(code)) => Some(*code),
            End::Told { code, .. } => *code,
            _ => None,
        }
    }

    /// The signal's number, if that was it.
    pub fn signal(&self) -> Option<i32> {
        match self {
            End::Exit(Exit::Signal { number, .. }) => Some(*number),
            End::Told { signal, .. } => *signal,
            _ => None,
        }
    }

    /// The signal by which it ended, if that left a core.
    pub fn cored_by(&self) -> Option<i32> {
        if let End::Exit(Exit::Signal { number, core: true }) = self { Some(*number) } else { None }
    }

    /// Whether it ended as one that has done its work.
    pub fn is_clean(&self) -> bool {
        self.code() == Some(0)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exit(exit) => exit.fmt(f),
            End::Unstartable(reason) => reason.fmt(f),
            End::Told { reason, .. } => f.write_str(reason),
            End::Dumping => f.write_str("its core is being written"),
            End::Unknown(why) => write!(f, "gone, nobody knows how: {why}"),
        }
    }
}
