//! Processes that are no service's any more and have not ended: whose place a successor has taken, and successors that
//! came to nothing.
//!
//! Whoever was replaced ends by himself, as soon as he has done what he was at. If that takes longer than the
//! configuration gives him he is stopped as any process is; so he is when his service or everything is stopped.

use super::kin::Kin;
use crate::face::status::span;
use crate::run::driver::{Driver, Due, Key, MODULE, Timer, Watched};
use crate::run::service::{End, Running, send_stop};
use msf_core::event::{Interest, Reactor, Token};
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::Birth;
use std::time::{Duration, Instant};

/// One of them.
#[derive(Debug)]
pub struct Leaver {
    key: Key,
    name: String,
    running: Running,
    stage: Stage,
    since: Instant,
    timer: Option<Timer>,
    stop: (i32, Duration),
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It ends by itself.
    Draining,
    /// It has been asked to end.
    Asked,
    /// It has been killed.
    Killed,
}

impl Leaver {
    fn pid(&self) -> i32 {
        self.running.child.pid()
    }

    /// What is done when it has not ended in time, and how long that may take.
    fn go_on(&mut self) -> Duration {
        let (pid, name) = (self.pid(), &self.name);
        let (signal, patience) = self.stop;
        let (stage, sent) = match self.stage {
            Stage::Draining => {
                log!(Level::Info, MODULE, "{name}: pid {pid}, which was replaced, is asked to end");
                (Stage::Asked, send_stop(&self.running.child, signal))
            }
            Stage::Asked | Stage::Killed => {
                log!(Level::Warn, MODULE, "{name}: pid {pid}, which was replaced, has not ended; killed");
                (Stage::Killed, self.running.child.kill())
            }
        };
        if let Err(e) = sent {
            log!(Level::Error, MODULE, "{name}: cannot end pid {pid}: {e}");
        }
        self.stage = stage;
        if stage == Stage::Killed { patience.max(KILL_AGAIN) } else { patience }
    }
}

impl Driver {
    /// A process is no longer its service's; `at_once`: it is killed.
    pub(in crate::run) fn see_off(&mut self, reactor: &mut Reactor, key: Key, running: Running, at_once: bool) {
        let Some(service) = self.roll.get(key) else { return };
        let pid = running.child.pid();
        if let Some(watched) = running.token.and_then(|token| self.watched.get_mut(token)) {
            *watched = Watched::Leaver(pid);
        }
        let mut leaver = Leaver {
            key,
            name: service.name().to_owned(),
            running,
            stage: if at_once { Stage::Asked } else { Stage::Draining },
            since: Instant::now(),
            timer: None,
            stop: (service.stop_signal(), service.rules().stop_timeout),
        };
        let patience = if at_once { leaver.go_on() } else { service.entry.upgrade.drain };
        leaver.timer = self.arm(reactor, patience, Due::Leaver(pid));
        self.leavers.push(leaver);
        self.remember(key);
        // It may have ended already, and that have been told before anybody listened for it.
        self.farewell(reactor, pid);
    }

    /// It has had time enough.
    pub(in crate::run) fn leaver_is_late(&mut self, reactor: &mut Reactor, pid: i32) {
        let Some(leaver) = self.leavers.iter_mut().find(|leaver| leaver.pid() == pid) else { return };
        let patience = leaver.go_on();
        let timer = self.arm(reactor, patience, Due::Leaver(pid));
        if let Some(leaver) = self.leavers.iter_mut().find(|leaver| leaver.pid() == pid)
            && let Some(before) = std::mem::replace(&mut leaver.timer, timer)
        {
            self.disarm(reactor, before);
        }
    }

    /// Their service, or without a key everything, is stopped: they are not waited for any longer.
    pub(in crate::run) fn end_leavers(&mut self, reactor: &mut Reactor, key: Option<Key>) {
        let of_it = |leaver: &&Leaver| leaver.stage == Stage::Draining && key.is_none_or(|key| leaver.key == key);
        let pids: Vec<i32> = self.leavers.iter().filter(of_it).map(Leaver::pid).collect();
        pids.into_iter().for_each(|pid| self.leaver_is_late(reactor, pid));
    }

    /// Nobody is waited for any more.
    pub(in crate::run) fn hurry_leavers(&mut self, reactor: &mut Reactor) {
        let pids: Vec<i32> = self.leavers.iter().map(Leaver::pid).collect();
        pids.into_iter().for_each(|pid| self.leaver_is_late(reactor, pid));
    }

    /// It may have ended.
    pub(in crate::run) fn farewell(&mut self, reactor: &mut Reactor, pid: i32) -> bool {
        let Some(at) = self.leavers.iter().position(|leaver| leaver.pid() == pid) else { return false };
        let end = match self.leavers[at].running.child.collect() {
            Ok(None) => return false,
            Ok(Some(end)) => end,
            Err(e) => End::Unknown(e.to_string()),
        };
        let Leaver { key, name, running, timer, since, .. } = self.leavers.swap_remove(at);
        running.token.and_then(|token| self.watched.remove(token));
        timer.into_iter().for_each(|timer| self.disarm(reactor, timer));
        let took = span(since.elapsed());
        log!(Level::Info, MODULE, "{name}: pid {pid}, which was replaced, has ended after {took}: {end}");
        self.remember(key);
        true
    }

    /// Whether this pid is one of theirs.
    pub(in crate::run) fn is_leaver(&self, pid: i32) -> bool {
        self.leavers.iter().any(|leaver| leaver.pid() == pid)
    }

    /// Those of this service.
    pub(in crate::run) fn leavers_of(&self, key: Key) -> impl Iterator<Item = (i32, Option<Birth>)> {
        let of_it = self.leavers.iter().filter(move |leaver| leaver.key == key);
        of_it.map(|leaver| (leaver.pid(), leaver.running.birth))
    }

    /// Watches for the end of a process, as whatever it is to us.
    pub(in crate::run) fn watch_kin(&mut self, reactor: &Reactor, child: Kin, watched: Watched) -> Running {
        let birth = child.birth();
        let token = self.watched.insert(watched).filter(|_| child.pidfd().is_some());
        let watches = |token: &Token| child.pidfd().is_some_and(|fd| reactor.watch(fd, *token, Interest::READ).is_ok());
        let token = match token {
            Some(token) if watches(&token) => Some(token),
            Some(token) => {
                self.watched.remove(token);
                None
            }
            None => None,
        };
        Running { child, birth, token }
    }
}

const KILL_AGAIN: Duration = Duration::from_secs(1);
