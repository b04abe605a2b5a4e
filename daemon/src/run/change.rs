//! The one place that every change of a process's phase passes through. Whoever wants to know of changes (the log,
//! those who wait for others, events, alarms, metrics) is called from here.

use super::driver::{Driver, Key, MODULE};
use super::service::{End, Service};
use crate::face::status::span;
use crate::law::life::{Event, Phase, Reason};
use msf_core::event::Reactor;
use msf_core::log;
use msf_core::log::Level;
use std::time::Instant;

/// What a process was, what it is now, and by what. The rest (name, pid, how it ended) is the service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it was.
    pub from: Phase,
    /// What it is. [`Reason::Looking`] means that a start is being tried at this moment.
    pub to: Phase,
    /// What happened.
    pub event: Event,
}

impl Change {
    /// Why, in words.
    pub fn cause(&self, service: &Service) -> String {
        let ended = |end: Option<&(End, Instant)>| end.map_or_else(String::new, |(end, _)| end.to_string());
        match self.event {
            Event::WantUp => "start asked for".to_owned(),
            Event::WantDown => "stop asked for".to_owned(),
            Event::Restart => "restart asked for".to_owned(),
            Event::Look | Event::Absent(_) => service.missing.clone(),
            Event::Present | Event::Spawned => "started".to_owned(),
            Event::Lost => "somebody it requires has stopped".to_owned(),
            Event::Ready(_) => "ready".to_owned(),
            Event::Unhealthy(_) => service.ails.clone(),
            Event::Unstartable { .. } | Event::Died { .. } => ended(service.last.as_ref()),
            Event::Upgrade => "upgrade asked for".to_owned(),
            Event::HeirDied => "its successor came to nothing".to_owned(),
            Event::Timeout => match self.from {
                Phase::Starting => "not ready in time".to_owned(),
                Phase::Upgrading(_) => "its successor was not ready in time".to_owned(),
                _ => "its time has come".to_owned(),
            },
        }
    }
}

impl Driver {
    /// Called with the service in its new phase, before the actions that come with it are done.
    pub(super) fn changed(&mut self, reactor: &mut Reactor, key: Key, change: &Change) {
        self.has_changed = true;
        if let Some(service) = self.roll.get_mut(key) {
            service.touched = true;
        }
        if change.from == Phase::Starting {
            self.forget_readying(reactor, key);
        }
        if matches!(change.from, Phase::Up(_)) {
            self.look_away(reactor, key);
        }
        if matches!(change.to, Phase::Up(_)) {
            self.watch_over(reactor, key);
        }
        if change.to == Phase::Down {
            self.empty_safe(key);
        }
        if matches!(change.to, Phase::Stopping(_)) {
            self.end_leavers(reactor, Some(key));
        }
        self.record(key, change);
        self.follow_upgrade(reactor, key, change);
        self.tell_change(reactor, key, change);
        if change.to.is_lasting() {
            self.remember(key);
        }
        self.line_is_old(reactor);
        self.may_be_over(key, change.event, change.to);
        self.tell_others(reactor, key, change);
    }

    fn record(&self, key: Key, change: &Change) {
        let Some(service) = self.roll.get(key) else { return };
        let name = service.name();
        match change.to {
            Phase::Held(Reason::Missing) => log!(Level::Warn, MODULE, "{name}: held: {}", service.missing),
            Phase::Held(Reason::After | Reason::Requires) => {
                log!(Level::Info, MODULE, "{name}: held: {}", service.missing)
            }
            Phase::Up(_) if service.rules().start_timeout.is_some() => log!(Level::Info, MODULE, "{name}: ready"),
            _ => {}
        }
    }

    /// Those behind it may go on, or have to stop.
    fn tell_others(&mut self, reactor: &mut Reactor, key: Key, change: &Change) {
        match change.to {
            Phase::Up(_) => {
                for (other, _) in self.roll.graph.behind(key).to_vec() {
                    self.nudge(reactor, other);
                }
            }
            Phase::Down | Phase::Waiting | Phase::Held(Reason::Missing | Reason::Requires) => {
                if change.to == Phase::Down && !self.stopping {
                    for (other, _) in self.roll.graph.behind(key).to_vec().into_iter().filter(|(_, required)| *required)
                    {
                        self.feed(reactor, other, Event::Lost);
                    }
                }
                // Whoever comes `after` it, or after somebody it holds, need not wait for it.
                for other in self.roll.graph.all_behind(&[key], false) {
                    self.nudge(reactor, other);
                }
            }
            Phase::Held(_) | Phase::Starting | Phase::Upgrading(_) | Phase::Stopping(_) => {}
        }
    }

    fn nudge(&mut self, reactor: &mut Reactor, key: Key) {
        if self.roll.get(key).is_some_and(Service::is_held_by_others) {
            self.feed(reactor, key, Event::Look);
        }
    }

    /// The next start of one that waits; said when its timer is armed.
    pub(super) fn log_wait(&self, key: Key, after: std::time::Duration) {
        if let Some(service) = self.roll.get(key)
            && service.life.phase == Phase::Waiting
        {
            log!(Level::Warn, MODULE, "{}: next start in {}", service.name(), span(after));
        }
    }
}
