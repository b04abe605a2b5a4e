//! How it becomes known that a process is ready: it says so on a pipe or to the notice board, or a probe succeeds.

use super::notice::Noticeboard;
use super::probe::{Asker, Outcome};
use crate::law::life::Event;
use crate::run::driver::{Driver, Due, Key, MODULE, Timer, Watched};
use msf_conf::daemon::{Health, Ready, Told};
use msf_core::event::{Reactor, Token};
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::Stdio;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// What will tell that a process is ready.
#[derive(Debug)]
pub enum Readying {
    /// The other end of its pipe.
    Pipe {
        /// The end.
        pipe: PipeReader,
        /// Under which it is watched.
        token: Option<Token>,
        /// Whether the process has closed its end without a word.
        is_closed: bool,
    },
    /// The notice board.
    Notice,
    /// A probe.
    Probe {
        /// The attempt that is going on.
        attempt: Option<Token>,
        /// When the next one begins.
        next: Option<Timer>,
        /// What was wrong with the last one.
        wrong: String,
    },
}

/// What a process is given for one start.
#[derive(Debug, Default)]
pub struct Gift {
    /// Variables of its environment.
    pub env: Vec<(OsString, OsString)>,
    /// Descriptors, and their numbers.
    pub fds: Vec<(OwnedFd, i32)>,
    /// Its input, instead of nothing.
    pub input: Option<OwnedFd>,
    /// Where it says that it belongs to its control group.
    pub cgroup: Option<OwnedFd>,
    /// Where its output and its error go; where ours go for what is not said.
    pub outputs: [Option<Stdio>; 2],
}

impl Gift {
    /// What a process needs that is to send heartbeats.
    pub fn hears_heartbeats(&mut self, health: Option<&Health>, notices: Option<&Noticeboard>) -> io::Result<()> {
        let Some(interval) = health.and_then(Health::heartbeat) else { return Ok(()) };
        let board = notices.ok_or_else(no_board)?;
        self.env.retain(|(key, _)| key != NOTIFY_SOCKET);
        self.env.push((NOTIFY_SOCKET.into(), board.path().into()));
        self.env.push(("WATCHDOG_USEC".into(), interval.as_micros().to_string().into()));
        Ok(())
    }
}

fn no_board() -> io::Error {
    io::Error::other("there is no socket for NOTIFY_SOCKET")
}

impl Readying {
    /// For one start of a process that becomes ready like this; `free` is a descriptor's number that it has no other use for.
    pub fn prepare(ready: &Ready, notices: Option<&Noticeboard>, free: i32) -> io::Result<(Option<Readying>, Gift)> {
        let mut gift = Gift::default();
        let readying = match ready {
            Ready::AtOnce => return Ok((None, gift)),
            Ready::Told { by: Told::Fd { number }, .. } => {
                let (pipe, theirs) = io::pipe()?;
                fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
                let number = number.unwrap_or(free);
                gift.env.push(("MSF_READY_FD".into(), number.to_string().into()));
                gift.fds.push((theirs.into(), number));
                Readying::Pipe { pipe, token: None, is_closed: false }
            }
            Ready::Told { by: Told::Notify, .. } => {
                let board = notices.ok_or_else(no_board)?;
                gift.env.push((NOTIFY_SOCKET.into(), board.path().into()));
                Readying::Notice
            }
            Ready::Probed { .. } => Readying::Probe { attempt: None, next: None, wrong: String::new() },
        };
        Ok((Some(readying), gift))
    }

    /// For one start of a process that is to take another's place, the number of its pipe in the file system of pipes, and
    /// what it is given. A pipe is there in any case: it shows a daemon that comes after us whether something was said
    /// while nobody listened. A probe would be answered by the other one.
    pub fn of_heir(ready: &Ready, notices: Option<&Noticeboard>, free: i32) -> io::Result<(Readying, u64, Gift)> {
        let by = match ready {
            Ready::Told { by: by @ Told::Fd { .. }, .. } => *by,
            _ => Told::Fd { number: None },
        };
        let told = Ready::Told { by, timeout: Duration::ZERO };
        let (Some(readying), mut gift) = Readying::prepare(&told, notices, free)? else {
            return Err(io::Error::other("there is no pipe"));
        };
        if let Some(board) = notices {
            gift.env.push((NOTIFY_SOCKET.into(), board.path().into()));
        }
        let Readying::Pipe { pipe, .. } = &readying else { return Err(io::Error::other("there is no pipe")) };
        let inode = File::from(OwnedFd::from(pipe.try_clone()?)).metadata()?.ino();
        Ok((readying, inode, gift))
    }

    /// Whether a newline has come by its pipe.
    pub fn has_told(&mut self) -> bool {
        let Readying::Pipe { pipe, is_closed, .. } = self else { return false };
        let mut bytes = [0; 64];
        loop {
            match pipe.read(&mut bytes) {
                Ok(0) => {
                    *is_closed = true;
                    return false;
                }
                Ok(len) if bytes[..len].contains(&b'\n') => return true,
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// What is known of why it takes so long, to be put behind a sentence.
    pub fn complaint(&self) -> String {
        match self {
            Readying::Pipe { is_closed: true, .. } => " (it has closed its pipe without a newline)".to_owned(),
            Readying::Probe { wrong, .. } if !wrong.is_empty() => format!(" (last probe: {wrong})"),
            _ => String::new(),
        }
    }
}

impl Driver {
    /// The process runs: begins to listen, or to probe. Whether it is ready already.
    pub(in crate::run) fn await_readiness(&mut self, reactor: &mut Reactor, key: Key) -> bool {
        match self.roll.get(key).and_then(|service| service.readying.as_ref()) {
            None => return true,
            Some(Readying::Notice) => {}
            Some(Readying::Probe { .. }) => self.probe_ready(reactor, key),
            Some(Readying::Pipe { .. }) => self.watch_pipe(reactor, key),
        }
        false
    }

    fn watch_pipe(&mut self, reactor: &Reactor, key: Key) {
        let Some(watch) = self.watched.insert(Watched::ReadyPipe(key)) else { return };
        let Some(service) = self.roll.get_mut(key) else { return };
        let Some(Readying::Pipe { pipe, token, .. }) = &mut service.readying else { return };
        *token = Some(watch);
        if let Err(e) = reactor.watch(&*pipe, watch, msf_core::event::Interest::READ) {
            log!(Level::Error, MODULE, "{}: cannot listen whether it is ready: {e}", service.name());
        }
    }

    /// The pipe of a service has something to read, or has ended.
    pub(in crate::run) fn listen(&mut self, reactor: &mut Reactor, key: Key) {
        let readying = self.roll.get_mut(key).and_then(|service| service.readying.as_mut());
        if readying.is_some_and(Readying::has_told) {
            self.is_ready(reactor, key);
        }
    }

    /// Somebody has found out that a service is ready.
    pub(in crate::run) fn is_ready(&mut self, reactor: &mut Reactor, key: Key) {
        self.feed(reactor, key, Event::Ready(Instant::now()));
    }

    /// Begins an attempt, if the service is still to be probed.
    pub(in crate::run) fn probe_ready(&mut self, reactor: &mut Reactor, key: Key) {
        let Some(service) = self.roll.get_mut(key) else { return };
        let Some(Readying::Probe { next, .. }) = &mut service.readying else { return };
        *next = None;
        let Ready::Probed { probe, .. } = service.entry.ready.clone() else { return };
        let launch = service.entry.launch.clone();
        match self.attempt(reactor, &probe, Asker::Ready(key), &launch) {
            Ok(token) => {
                if let Some(Readying::Probe { attempt, .. }) =
                    self.roll.get_mut(key).and_then(|service| service.readying.as_mut())
                {
                    *attempt = Some(token);
                }
            }
            Err(outcome) => self.ready_probed(reactor, key, outcome),
        }
    }

    /// An attempt is over.
    pub(in crate::run) fn ready_probed(&mut self, reactor: &mut Reactor, key: Key, outcome: Outcome) {
        let Some(service) = self.roll.get_mut(key) else { return };
        let Some(Readying::Probe { attempt, wrong, .. }) = &mut service.readying else { return };
        *attempt = None;
        let Err(why) = outcome else { return self.is_ready(reactor, key) };
        *wrong = why;
        let Ready::Probed { interval, .. } = service.entry.ready else { return };
        let timer = self.arm(reactor, interval, Due::ReadyProbe(key));
        if let Some(Readying::Probe { next, .. }) = self.roll.get_mut(key).and_then(|service| service.readying.as_mut())
        {
            *next = timer;
        }
    }

    /// It is ready, or will not be any more.
    pub(in crate::run) fn forget_readying(&mut self, reactor: &mut Reactor, key: Key) {
        match self.roll.get_mut(key).and_then(|service| service.readying.take()) {
            None | Some(Readying::Notice) => {}
            Some(Readying::Pipe { pipe, token, .. }) => {
                drop(pipe);
                token.and_then(|token| self.watched.remove(token));
            }
            Some(Readying::Probe { attempt, next, .. }) => {
                attempt.and_then(|token| self.watched.remove(token));
                next.into_iter().for_each(|timer| self.disarm(reactor, timer));
            }
        }
    }
}

/// The number of the first descriptor that is given, as everybody who knows `LISTEN_FDS` expects it.
pub const FIRST: i32 = 3;
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
