//! One supervised process as the driver keeps it: its entry, its life, and what there is of it in the system.
//!
//! Carries out what concerns it alone: signals, its timer, its records in the log.

use crate::life::{Action, Life, Phase};
use crate::plan::Unstartable;
use crate::status::{Last, Row, span};
use libc::{SIGCONT, SIGTERM};
use msf_conf::daemon::Process;
use msf_core::event::{Reactor, Token};
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::{Child, Exit};
use msf_core::timer::TimerId;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

/// A process of the configuration, or one that was and is being stopped.
#[derive(Debug)]
pub struct Service {
    /// Names it for as long as the daemon lives; timers carry it.
    pub key: u64,
    /// What the configuration says.
    pub entry: Process,
    /// What it is.
    pub life: Life,
    /// The process, while there is one.
    pub running: Option<Running>,
    /// The one timer of its phase, and when it is due.
    pub timer: Option<(TimerId, Instant)>,
    /// How often it was started again by itself.
    pub restarts: u64,
    /// How it ended the last time.
    pub last: Option<(End, Instant)>,
    /// No longer in the configuration: to be forgotten once it is down.
    pub dismissed: bool,
}

/// A child, and the token under which its pidfd is watched where there is one.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub child: Child,
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
    /// It is gone, and the kernel would not say how.
    Unknown(io::Error),
}

impl Service {
    /// One that is down and has no past.
    pub fn new(key: u64, entry: Process) -> Service {
        Service { key, entry, life: Life::NEW, running: None, timer: None, restarts: 0, last: None, dismissed: false }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// Its pid, while it has one.
    pub fn pid(&self) -> Option<i32> {
        self.running.as_ref().map(|running| running.child.pid())
    }

    /// Does what `step` said, all but starting, which takes more than one service.
    pub fn act(&mut self, reactor: &mut Reactor, action: Action) {
        match action {
            Action::Nothing | Action::Spawn => {}
            Action::Wait(delay) => {
                log!(Level::Warn, MODULE, "{}: next start in {}", self.name(), span(delay));
                self.arm(reactor, delay);
            }
            Action::Terminate => {
                self.signal("ask to end", |child| {
                    child.signal(SIGTERM)?;
                    // One that is stopped would not hear of it before it goes on.
                    child.signal(SIGCONT)
                });
                self.arm(reactor, self.entry.stop_timeout);
            }
            Action::Kill => {
                log!(Level::Warn, MODULE, "{}: not ended in {}; killed", self.name(), span(self.entry.stop_timeout));
                self.signal("kill", Child::kill);
                // One that hangs in the kernel is told again, and the log with it.
                self.arm(reactor, self.entry.stop_timeout.max(KILL_AGAIN));
            }
        }
    }

    fn arm(&mut self, reactor: &mut Reactor, after: Duration) {
        self.timer = Some((reactor.arm(after, self.key), Instant::now() + after));
    }

    fn signal(&self, doing: &str, send: impl FnOnce(&Child) -> io::Result<()>) {
        if let Some(running) = &self.running
            && let Err(e) = send(&running.child)
        {
            log!(Level::Error, MODULE, "{}: cannot {doing} pid {}: {e}", self.name(), running.child.pid());
        }
    }

    /// An end that was asked for is the ordinary course of things; any other is odd.
    pub fn log_end(&self, end: &End, at: Instant) {
        let pid = self.pid().unwrap_or(0);
        match self.life.phase {
            Phase::Up(since) => {
                let up = span(at.saturating_duration_since(since));
                log!(Level::Warn, MODULE, "{}: pid {pid} ended after {up}: {end}", self.name());
            }
            _ => log!(Level::Info, MODULE, "{}: pid {pid} stopped: {end}", self.name()),
        }
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
        let waiting = self.life.phase == Phase::Waiting;
        Row {
            index: self.entry.index,
            name: self.entry.name.clone(),
            phase: self.life.phase,
            pid: self.pid(),
            uptime: if let Phase::Up(at) = self.life.phase { Some(since(at)) } else { None },
            restarts: self.restarts,
            next_start: self.timer.filter(|_| waiting).map(|(_, due)| due.saturating_duration_since(now)),
            last,
            output: None,
        }
    }
}

impl End {
    fn code(&self) -> Option<i32> {
        if let End::Exit(Exit::Code(code)) = self { Some(*code) } else { None }
    }

    fn signal(&self) -> Option<i32> {
        if let End::Exit(Exit::Signal { number, .. }) = self { Some(*number) } else { None }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exit(exit) => exit.fmt(f),
            End::Unstartable(reason) => reason.fmt(f),
            End::Unknown(error) => write!(f, "gone, nobody knows how: {error}"),
        }
    }
}

/// The module name of our records.
const MODULE: &str = "DAEMON";
const KILL_AGAIN: Duration = Duration::from_secs(1);
