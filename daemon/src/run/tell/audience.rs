//! Who waits on the control socket until something is so, and who listens to what happens.
//!
//! Nobody here can hold anything up: who waits costs a connection, who listens an outbox that is bounded, and both are
//! looked at only when something has happened.

use crate::face::chronicle::Chronicle;
use crate::face::conversation::{Reply, Then, Verdict};
use crate::face::event::Happening;
use crate::law::life::{Phase, Reason};
use crate::run::driver::{Driver, Due, Key, MODULE, Timer, Watched};
use crate::run::service::Service;
use msf_core::event::{Reactor, Token};
use msf_core::log;
use msf_core::log::Level;
use std::io;
use std::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub struct Audience {
    waiters: Vec<Waiter>,
    listeners: Vec<Listener>,
    /// Who wants to read what this process says.
    tails: Vec<(Token, Key)>,
    /// What has happened last.
    pub chronicle: Chronicle,
}

/// Until what somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Up, whatever it takes.
    Ready,
    /// Up, or it is clear that it will not be soon: somebody has asked for it just now.
    Started,
    /// Down for now.
    Down,
    /// Down because somebody has asked for it just now.
    Stopped,
    /// Upgraded, or not.
    Upgraded {
        /// The answer is for a program.
        json: bool,
    },
}

#[derive(Debug)]
struct Waiter {
    token: Token,
    goal: Goal,
    keys: Vec<(Key, String)>,
    timer: Option<Timer>,
}

#[derive(Debug)]
struct Listener {
    token: Token,
    json: bool,
}

/// How far one process is.
pub enum Progress {
    /// On its way.
    Pending,
    /// There.
    Done(String),
    /// It will not be there.
    Failed(String),
}

impl Audience {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.waiters.len() + self.listeners.len() + self.tails.len()
    }
}

impl Service {
    /// How far the last upgrade is; `None` for one that is a restart.
    fn upgrade_progress(&self) -> Option<Progress> {
        match (&self.succession.under_way, &self.succession.outcome) {
            (Some(_), _) => Some(Progress::Pending),
            (None, Some(Ok(done))) => Some(Progress::Done(done.to_string())),
            (None, Some(Err(why))) => Some(Progress::Failed(why.clone())),
            (None, None) => None,
        }
    }
}

impl Driver {
    /// Whoever is behind `token` is answered when all of these have reached the goal.
    pub(in crate::run) fn wait_until(
        &mut self,
        reactor: &mut Reactor,
        token: Token,
        goal: Goal,
        keys: Vec<Key>,
        timeout: Option<Duration>,
    ) {
        let timer = timeout.and_then(|timeout| self.arm(reactor, timeout, Due::Patience(token)));
        let name = |key: &Key| self.roll.get(*key).map(|service| service.name().to_owned());
        let keys = keys.iter().filter_map(|key| Some((*key, name(key)?))).collect();
        self.audience.waiters.push(Waiter { token, goal, keys, timer });
    }

    /// Whoever is behind `token` is told what happens from now on.
    pub(in crate::run) fn listen_to_events(&mut self, token: Token, json: bool) {
        self.audience.listeners.push(Listener { token, json });
    }

    /// Answers those whose waiting is over.
    pub(in crate::run) fn settle_waiters(&mut self, reactor: &mut Reactor) {
        let mut at = 0;
        while let Some(waiter) = self.audience.waiters.get(at) {
            let token = waiter.token;
            match self.outcome(waiter) {
                Some(reply) => {
                    self.stop_waiting(reactor, token);
                    self.reply(reactor, token, &reply, Then::End);
                }
                None => at += 1,
            }
        }
    }

    /// The time of whoever waits behind `token` is over.
    pub(in crate::run) fn out_of_patience(&mut self, reactor: &mut Reactor, token: Token) {
        let Some(waiter) = self.audience.waiters.iter().find(|waiter| waiter.token == token) else { return };
        let unfinished = waiter.keys.iter().filter_map(|(key, name)| {
            let service = self.roll.get(*key)?;
            let pending = matches!(self.progress(waiter.goal, *key, name), Progress::Pending);
            pending.then(|| format!("{name}: not in time: {}\n", state(service)))
        });
        let reply = Reply { verdict: Verdict::Late, text: unfinished.collect() };
        self.stop_waiting(reactor, token);
        self.reply(reactor, token, &reply, Then::End);
    }

    /// Nobody behind `token` waits or listens any more.
    pub(in crate::run) fn stop_waiting(&mut self, reactor: &mut Reactor, token: Token) {
        self.audience.listeners.retain(|listener| listener.token != token);
        self.audience.tails.retain(|(tail, _)| *tail != token);
        if let Some(at) = self.audience.waiters.iter().position(|waiter| waiter.token == token) {
            let waiter = self.audience.waiters.swap_remove(at);
            waiter.timer.into_iter().for_each(|timer| self.disarm(reactor, timer));
        }
    }

    /// Tells those who listen what has happened.
    pub(in crate::run) fn announce(&mut self, reactor: &mut Reactor, happening: &Happening) {
        let mut lines = [None, None];
        let mut slow = Vec::new();
        for Listener { token, json } in &self.audience.listeners {
            let line = lines[usize::from(*json)].get_or_insert_with(|| happening.shown(*json));
            let Some(Watched::Conversation(conversation)) = self.watched.get_mut(*token) else { continue };
            if let Err(e) = conversation.add(line) {
                slow.push((*token, e));
            }
        }
        for (token, why) in slow {
            self.break_off(reactor, token, &why);
        }
    }

    /// Whoever is behind `token` is told what this process says from now on.
    pub(in crate::run) fn listen_to_output(&mut self, token: Token, key: Key) {
        self.audience.tails.push((token, key));
    }

    /// Tells those who want to read it what a process says.
    pub(in crate::run) fn tell_tails(&mut self, reactor: &mut Reactor, key: Key, lines: &[String]) {
        let of_it = self.audience.tails.iter().filter(|(_, tail)| *tail == key);
        let tokens: Vec<Token> = of_it.map(|(token, _)| *token).collect();
        if tokens.is_empty() {
            return;
        }
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        for token in tokens {
            let Some(Watched::Conversation(conversation)) = self.watched.get_mut(token) else { continue };
            if let Err(e) = conversation.add(&text) {
                self.break_off(reactor, token, &e);
            }
        }
    }

    /// A conversation that cannot go on.
    pub(in crate::run) fn break_off(&mut self, reactor: &mut Reactor, token: Token, why: &io::Error) {
        log!(Level::Warn, MODULE, "control: conversation broken off: {why}");
        self.hang_up(reactor, token);
    }

    /// The end of a conversation, however it came.
    pub(in crate::run) fn hang_up(&mut self, reactor: &mut Reactor, token: Token) -> bool {
        self.stop_waiting(reactor, token);
        self.watched.remove(token).is_some()
    }

    /// What there is to answer; `None` as long as something is open.
    fn outcome(&self, waiter: &Waiter) -> Option<Reply> {
        let (mut verdict, mut text) = (Verdict::Done, String::new());
        for (key, name) in &waiter.keys {
            let what = match self.progress(waiter.goal, *key, name) {
                Progress::Pending => return None,
                Progress::Done(what) => what,
                Progress::Failed(why) => {
                    verdict = Verdict::Failed;
                    why
                }
            };
            text += &match (waiter.goal, self.roll.get(*key)) {
                (Goal::Upgraded { json: true }, Some(service)) => format!("{}\n", service.upgrade_document(&what)),
                (Goal::Upgraded { .. }, Some(service)) if service.upgrade_progress().is_none() => {
                    format!("{name}: restarted: {what}\n")
                }
                _ => format!("{name}: {what}\n"),
            };
        }
        Some(Reply { verdict, text })
    }

    fn progress(&self, goal: Goal, key: Key, name: &str) -> Progress {
        let wants_up = matches!(goal, Goal::Ready | Goal::Started);
        let Some(service) = self.roll.get(key).filter(|service| service.name() == name) else {
            let gone = "no longer in the configuration".to_owned();
            return if wants_up { Progress::Failed(gone) } else { Progress::Done(gone) };
        };
        let failed = || Progress::Failed(state(service));
        let goal = match (goal, service.upgrade_progress()) {
            (Goal::Upgraded { .. }, Some(progress)) => return progress,
            // It is stopped and started instead.
            (Goal::Upgraded { .. }, None) => Goal::Started,
            (goal, _) => goal,
        };
        match (goal, service.life.phase) {
            (Goal::Ready | Goal::Started, Phase::Up(_) | Phase::Upgrading(_)) => Progress::Done(state(service)),
            // Who was replaced is a process of it as well.
            (Goal::Down | Goal::Stopped, Phase::Down) if self.leavers_of(key).next().is_none() => {
                Progress::Done(state(service))
            }
            (Goal::Started, Phase::Waiting | Phase::Down) => failed(),
            (Goal::Started, Phase::Held(reason)) if reason == Reason::Missing || !self.is_on_its_way(key) => failed(),
            // Somebody else wants something else.
            (Goal::Started, _) if service.stopped_by_hand => failed(),
            (Goal::Stopped, _) if !service.leaving && !self.stopping => failed(),
            _ => Progress::Pending,
        }
    }
}

/// What it is, in a few words.
fn state(service: &Service) -> String {
    let word = service.life.phase.word();
    let last = || service.last.as_ref().map_or_else(String::new, |(end, _)| format!(", after {end}"));
    match service.life.phase {
        Phase::Up(_) | Phase::Upgrading(_) => {
            service.pid().map_or_else(|| word.to_owned(), |pid| format!("{word}, pid {pid}"))
        }
        Phase::Held(_) => format!("{word}: {}", service.missing),
        Phase::Waiting | Phase::Down => format!("{word}{}", last()),
        Phase::Starting | Phase::Stopping(_) => word.to_owned(),
    }
}
