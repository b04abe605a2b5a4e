//! An upgrade: the successor of a process is started beside it, and takes its place when it is ready.
//!
//! What passes between the two, and how, is their business. The daemon starts the one with the place at which it finds
//! the other, which that one has told ([`Succession::from`]), and waits: for its word that it is ready, or for its end.
//! Until then the old one is the service; whatever the successor fails of, it stays so.

use super::kin::Kin;
use super::ready::{FIRST, Readying};
use crate::face::event::{Happening, Turn, What};
use crate::face::json::{Value, json};
use crate::face::status::span;
use crate::law::life::{Event, Phase};
use crate::run::change::Change;
use crate::run::driver::{Driver, Key, MODULE, Watched};
use crate::run::service::{End, Running, Service};
use msf_conf::daemon::Way;
use msf_core::event::{Interest, Reactor, Token};
use msf_core::log;
use msf_core::log::Level;
use std::fmt;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A process that is to take the place of another.
#[derive(Debug)]
pub struct Heir {
    /// The process.
    pub running: Running,
    /// Where it says that it is ready; it may tell the notice board as well.
    pub readying: Option<Readying>,
    /// The number of its pipe in the file system of pipes, by which a daemon after us finds it.
    pub pipe: u64,
    /// Marks its environment.
    pub mark: String,
    /// What it says of itself.
    pub says: Option<String>,
    /// Where its own successor finds it.
    pub from: Option<PathBuf>,
}

/// What is known of the upgrades of a service.
#[derive(Debug, Default)]
pub struct Succession {
    /// Where a successor finds the process, as it has told.
    pub from: Option<PathBuf>,
    /// The one that is going on.
    pub under_way: Option<Handover>,
    /// Marks the environment of an heir that is about to be made, and the number of its pipe.
    pub expected: Option<(String, u64)>,
    /// What came of the last one that was asked for.
    pub outcome: Option<Result<Upgraded, String>>,
    /// Why the heir is none any more, in words.
    pub failed: String,
}

/// An upgrade that is going on.
#[derive(Debug)]
pub struct Handover {
    /// When it was asked for.
    pub begun: Instant,
    /// Who was the process then.
    pub before: i32,
    /// The process may keep its connections, if they cannot pass.
    pub drain: bool,
    /// Where the process itself waits for what comes of it, if it has asked.
    pub asker: Option<UnixStream>,
}

/// One that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgraded {
    /// Who was the process.
    pub before: i32,
    /// Who is.
    pub now: i32,
    /// From the question to the successor's word that it is ready.
    pub took: Duration,
}

impl Succession {
    /// Of a process that has just been started.
    pub fn forget_place(&mut self) {
        self.from = None;
    }
}

impl Service {
    /// What came of the last upgrade, for programs; in words it is `what`.
    pub fn upgrade_document(&self, what: &str) -> Value {
        let done = self.succession.outcome.as_ref().and_then(|outcome| outcome.as_ref().ok());
        let restarted = self.succession.outcome.is_none() && self.life.phase.up_since().is_some();
        let upgraded = done.is_some() || restarted;
        json!({
            "name": self.name(),
            "upgraded": upgraded,
            "by": if self.succession.outcome.is_some() { "handover" } else { "restart" },
            "before": done.map(|done| done.before),
            "pid": self.pid(),
            "took_ms": done.map(|done| done.took.as_secs_f64() * 1e3),
            "error": (!upgraded).then_some(what),
        })
    }

    /// Why it cannot be upgraded by a successor just now.
    pub fn objection_to_upgrade(&self) -> Option<String> {
        match self.life.phase {
            Phase::Upgrading(_) => return Some("an upgrade is under way already".to_owned()),
            Phase::Up(_) if self.leaving => return Some("it is about to stop".to_owned()),
            Phase::Up(_) => {}
            phase => return Some(format!("only who is up can be upgraded; it is {}", phase.word())),
        }
        if self.entry.upgrade.way == Way::None {
            return Some("its configuration says \"upgrade\": {\"by\": \"none\"}".to_owned());
        }
        self.succession.from.is_none().then(|| {
            "it has not told where a successor finds it (MSF_UPGRADE_FROM=PATH, to the socket that MSF_UPGRADE_ASK \
             names), so it cannot hand over; --restart stops and starts it"
                .to_owned()
        })
    }
}

impl Driver {
    /// The process itself asks to be upgraded.
    pub(in crate::run) fn asks_for_upgrade(
        &mut self,
        reactor: &mut Reactor,
        key: Key,
        drain: bool,
        asker: Option<OwnedFd>,
    ) {
        let Some(service) = self.roll.get(key) else { return };
        let asker = asker.map(UnixStream::from);
        log!(Level::Info, MODULE, "{}: asks itself to be upgraded", service.name());
        let objection = match self.stopping {
            true => Some("everything is being stopped".to_owned()),
            false => service.objection_to_upgrade(),
        };
        match objection {
            Some(why) => answer(asker, &why),
            None => self.upgrade(reactor, key, drain, asker),
        }
    }

    /// Begins an upgrade of one who can be upgraded.
    pub(in crate::run) fn upgrade(&mut self, reactor: &mut Reactor, key: Key, drain: bool, asker: Option<UnixStream>) {
        let Some(service) = self.roll.get_mut(key) else { return };
        let before = service.pid().unwrap_or_default();
        service.succession.outcome = None;
        service.succession.under_way = Some(Handover { begun: Instant::now(), before, drain, asker });
        self.feed(reactor, key, Event::Upgrade);
    }

    /// Starts the successor; what came of it.
    pub(in crate::run) fn spawn_heir(&mut self, reactor: &mut Reactor, key: Key) -> Vec<Event> {
        match self.start_heir(reactor, key) {
            Ok(pid) => {
                if let Some(service) = self.roll.get(key) {
                    log!(Level::Info, MODULE, "{}: pid {pid} started to take its place", service.name());
                }
                self.remember(key);
                vec![Event::Spawned]
            }
            Err(why) => {
                let Some(service) = self.roll.get_mut(key) else { return Vec::new() };
                service.succession.expected = None;
                service.succession.failed = format!("the new process cannot be started: {why}");
                vec![Event::Unstartable { chance: self.chance.draw() }]
            }
        }
    }

    fn start_heir(&mut self, reactor: &mut Reactor, key: Key) -> Result<i32, super::surroundings::Unstartable> {
        use super::surroundings::Unstartable;
        let mark = self.chance.mark();
        self.open_sockets(key)?;
        let free = FIRST + self.count_kept(key);
        let service = self.roll.get_mut(key).ok_or(Unstartable::Gone)?;
        let (mut readying, pipe, mut gift) =
            Readying::of_heir(&service.entry.ready, self.notices.as_ref(), free).map_err(Unstartable::Readiness)?;
        let from = service.succession.from.clone().unwrap_or_default();
        gift.env.push(("MSF_UPGRADE_FROM".into(), from.into()));
        if service.succession.under_way.as_ref().is_some_and(|handover| handover.drain) {
            gift.env.push(("MSF_UPGRADE_DRAIN".into(), "1".into()));
        }
        service.succession.expected = Some((mark.clone(), pipe));
        // Before there is anything to be found.
        self.remember(key);
        gift.outputs = self.capture_beside(reactor, key);
        let child = Kin::Own(self.launch(key, &mark, gift)?);
        let pid = child.pid();
        let running = self.watch_kin(reactor, child, Watched::Heir(key));
        if let Readying::Pipe { pipe, token, .. } = &mut readying {
            *token = self.watched.insert(Watched::HeirPipe(key));
            if let Some(token) = *token {
                let _ = reactor.watch(&*pipe, token, Interest::READ);
            }
        }
        let service = self.roll.get_mut(key).ok_or(Unstartable::Gone)?;
        service.succession.expected = None;
        let heir = Heir { running, readying: Some(readying), pipe, mark, says: None, from: None };
        service.heir = Some(Box::new(heir));
        Ok(pid)
    }

    /// The pipe of an heir has something to read, or has ended.
    pub(in crate::run) fn listen_to_heir(&mut self, reactor: &mut Reactor, key: Key) {
        let heir = self.roll.get_mut(key).and_then(|service| service.heir.as_mut());
        let readying = heir.and_then(|heir| heir.readying.as_mut());
        if readying.is_some_and(Readying::has_told) {
            self.is_ready(reactor, key);
        }
    }

    /// An heir may have ended.
    pub(in crate::run) fn collect_heir(&mut self, reactor: &mut Reactor, key: Key) -> bool {
        // It may have said why, or that it is ready, just before.
        self.heard(reactor);
        let Some(service) = self.roll.get_mut(key) else { return false };
        let Some(heir) = &mut service.heir else { return false };
        let end = match heir.running.child.collect() {
            Ok(None) => return false,
            Ok(Some(end)) => end,
            Err(e) => End::Unknown(e.to_string()),
        };
        let said = heir.says.as_ref().map_or_else(String::new, |says| format!(" ({says})"));
        service.succession.failed = format!("the new process has ended before it was ready: {end}{said}");
        if let Some(heir) = service.heir.take() {
            self.forget_heir(*heir);
        }
        self.feed(reactor, key, Event::HeirDied);
        true
    }

    /// An heir that runs is of no use, and why.
    pub(in crate::run) fn heir_fails(&mut self, reactor: &mut Reactor, key: Key, why: &str) {
        self.end_heir(reactor, key);
        if let Some(service) = self.roll.get_mut(key) {
            service.succession.failed = why.to_owned();
        }
        self.feed(reactor, key, Event::HeirDied);
    }

    /// It is not to become what it was started for.
    pub(in crate::run) fn end_heir(&mut self, reactor: &mut Reactor, key: Key) {
        let Some(service) = self.roll.get_mut(key) else { return };
        let Some(heir) = service.heir.take() else { return };
        let Heir { running, readying, .. } = *heir;
        self.forget_pipe(readying);
        self.see_off(reactor, key, running, true);
    }

    /// Carried out before anybody is told of the change: the successor is the process.
    pub(in crate::run) fn promote(&mut self, reactor: &mut Reactor, key: Key) {
        let Some(service) = self.roll.get_mut(key) else { return };
        let Some(heir) = service.heir.take() else { return };
        let Heir { running, readying, mark, says, from, .. } = *heir;
        let starts = service.life.phase == Phase::Starting;
        service.last_pid = Some(running.child.pid());
        (service.mark, service.says, service.succession.from) = (mark, says, from);
        if let Some(watched) = running.token.and_then(|token| self.watched.get_mut(token)) {
            *watched = Watched::Process(key);
        }
        let before = service.running.replace(running);
        match readying {
            // It goes on to be listened to as one that starts.
            Some(Readying::Pipe { pipe, token, is_closed }) if starts => {
                if let Some(watched) = token.and_then(|token| self.watched.get_mut(token)) {
                    *watched = Watched::ReadyPipe(key);
                }
                service.readying = Some(Readying::Pipe { pipe, token, is_closed });
            }
            other => self.forget_pipe(other),
        }
        if let Some(before) = before {
            self.see_off(reactor, key, before, false);
        }
    }

    fn forget_heir(&mut self, heir: Heir) {
        heir.running.token.and_then(|token| self.watched.remove(token));
        self.forget_pipe(heir.readying);
    }

    fn forget_pipe(&mut self, readying: Option<Readying>) {
        if let Some(Readying::Pipe { pipe, token, .. }) = readying {
            drop(pipe);
            token.and_then(|token: Token| self.watched.remove(token));
        }
    }

    /// A change of the phase may be the beginning or the end of an upgrade.
    pub(in crate::run) fn follow_upgrade(&mut self, reactor: &mut Reactor, key: Key, change: &Change) {
        let Some(service) = self.roll.get_mut(key) else { return };
        let (name, pid) = (service.name().to_owned(), service.pid());
        let Some(handover) = &service.succession.under_way else { return };
        let before = handover.before;
        match change.to {
            Phase::Upgrading(_) => {
                log!(Level::Info, MODULE, "{name}: upgrade begins, pid {before} goes on until its successor is ready");
                let cause = change.cause(service);
                return self.tell_upgrade(reactor, &name, Turn::Begin, before, pid, &cause);
            }
            // Its successor is there, and not ready yet.
            Phase::Starting => return,
            _ => {}
        }
        let cause = match change.event {
            Event::HeirDied | Event::Unstartable { .. } => std::mem::take(&mut service.succession.failed),
            Event::Timeout => format!("the new process was not ready within {}", span(service.rules().upgrade_timeout)),
            _ => change.cause(service),
        };
        let Some(handover) = service.succession.under_way.take() else { return };
        match (change.to, change.event, pid) {
            (Phase::Up(_), Event::Ready(_), Some(now)) => {
                let took = handover.begun.elapsed();
                service.succession.outcome = Some(Ok(Upgraded { before, now, took }));
                log!(Level::Info, MODULE, "{name}: upgraded in {}: pid {now} goes on for pid {before}", span(took));
                self.tell_upgrade(reactor, &name, Turn::Done, before, pid, "ready");
            }
            _ => {
                let goes_on = if matches!(change.to, Phase::Up(_)) { "; the old one goes on" } else { "" };
                log!(Level::Error, MODULE, "{name}: not upgraded: {cause}{goes_on}");
                service.succession.outcome = Some(Err(format!("{cause}{goes_on}")));
                self.tell_upgrade(reactor, &name, Turn::Failed, before, pid, &cause);
                answer(handover.asker, &cause);
            }
        }
    }

    fn tell_upgrade(
        &mut self,
        reactor: &mut Reactor,
        name: &str,
        turn: Turn,
        before: i32,
        pid: Option<i32>,
        cause: &str,
    ) {
        self.publish(reactor, Happening::new(name, pid, cause, What::Upgrade { turn, before }));
    }

    /// Somebody tells where a successor finds him.
    pub(in crate::run) fn can_hand_over(&mut self, key: Key, pid: i32, from: &Path) {
        let Some(service) = self.roll.get_mut(key) else { return };
        match &mut service.heir {
            Some(heir) if heir.running.child.pid() == pid => heir.from = Some(from.to_owned()),
            _ => service.succession.from = Some(from.to_owned()),
        }
        self.remember(key);
    }
}

impl fmt::Display for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Upgraded { before, now, took } = self;
        write!(f, "upgraded in {:.0} ms: pid {now} goes on for pid {before}", took.as_secs_f64() * 1e3)
    }
}

/// Whoever does not listen any more has an answer.
fn answer(asker: Option<UnixStream>, why: &str) {
    if let Some(mut asker) = asker
        && asker.set_nonblocking(true).is_ok()
    {
        let _ = asker.write_all(format!("{why}\n").as_bytes());
    }
}
