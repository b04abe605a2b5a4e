//! Starting and stopping in order: what must be there before a start, and who may stop when.

use super::driver::{Driver, Key};
use super::service::Service;
use crate::law::life::{Event, Phase, Reason};
use msf_core::event::Reactor;
use std::collections::HashSet;
use std::path::Path;

impl Driver {
    /// Whether everything a service needs is there.
    pub(super) fn look(&mut self, key: Key) -> Event {
        let absent = self.absent(key);
        let Some(service) = self.roll.get_mut(key) else { return Event::Present };
        match absent {
            None => {
                // With what it has taken: there are many.
                service.missing = String::new();
                Event::Present
            }
            Some((reason, missing)) => {
                service.missing = missing;
                Event::Absent(reason)
            }
        }
    }

    fn absent(&self, key: Key) -> Option<(Reason, String)> {
        for (other, required) in self.roll.graph.before(key) {
            let Some(service) = self.roll.get(*other) else { continue };
            let (name, phase) = (service.name(), service.life.phase);
            if *required && (service.leaving || phase.up_since().is_none()) {
                let what = if service.leaving { "about to stop" } else { phase.word() };
                return Some((Reason::Requires, format!("requires {name}, which is {what}")));
            }
            if !required && self.is_on_its_way(*other) {
                return Some((Reason::After, format!("comes after {name}, which is {}", phase.word())));
            }
        }
        let service = self.roll.get(key)?;
        let missing = service.entry.order.wait_for.iter().find(|path| !Path::new(path).exists())?;
        Some((Reason::Missing, format!("waits for {missing}, which is not there")))
    }

    /// Whether it may yet come up for the first time: it starts, or is held by somebody who does.
    pub(super) fn is_on_its_way(&self, key: Key) -> bool {
        let (mut open, mut seen) = (vec![key], HashSet::new());
        while let Some(key) = open.pop() {
            match self.roll.get(key).map(|service| service.life.phase) {
                Some(Phase::Starting | Phase::Held(Reason::Looking)) => return true,
                Some(Phase::Held(Reason::After | Reason::Requires)) if seen.insert(key) => {
                    open.extend(self.roll.graph.before(key).iter().map(|(other, _)| *other));
                }
                _ => {}
            }
        }
        false
    }

    /// These are to run, and whoever they require, but for those who were stopped by hand.
    pub(super) fn want_up(&mut self, reactor: &mut Reactor, keys: &[Key]) {
        let mut wanted: HashSet<Key> = keys.iter().copied().collect();
        wanted.extend(keys.iter().flat_map(|key| self.roll.graph.required_by(*key)));
        for key in self.roll.graph.order().to_vec().into_iter().filter(|key| wanted.contains(key)) {
            let Some(service) = self.roll.get_mut(key) else { continue };
            if service.stopped_by_hand {
                continue;
            }
            service.leaving = false;
            self.feed(reactor, key, Event::WantUp);
        }
    }

    /// These are to stop. Whoever requires one of them stops before it, and is held until it is back; of these
    /// themselves the last to be started stops first.
    pub(super) fn want_down(&mut self, reactor: &mut Reactor, keys: &[Key]) {
        for key in keys {
            if let Some(service) = self.roll.get_mut(*key) {
                service.leaving = true;
            }
        }
        for key in self.roll.graph.all_behind(keys, true) {
            self.feed(reactor, key, Event::Lost);
        }
        self.settle(reactor);
    }

    /// What is due after any event: those who may stop now are told, and those who are gone are forgotten.
    pub(super) fn settle(&mut self, reactor: &mut Reactor) {
        if self.unheard {
            self.accept(reactor);
        }
        if self.stopping {
            self.end_leavers(reactor, None);
        }
        // Who is down at once may be whom another one has waited for.
        loop {
            let free: Vec<Key> = self.roll.keys().iter().rev().copied().filter(|key| self.may_stop(*key)).collect();
            if free.is_empty() {
                break;
            }
            for key in free {
                // Of a plain file's processes each waits for the next.
                if self.may_stop(key) {
                    self.feed(reactor, key, Event::WantDown);
                    if self.hurried {
                        self.hurry(reactor, key);
                    }
                }
            }
        }
        let gone = |service: &Service| service.dismissed && service.life.phase == Phase::Down;
        if self.roll.iter().any(gone) {
            let keys: Vec<Key> = self.roll.pairs().filter(|(_, service)| gone(service)).map(|(key, _)| key).collect();
            // A daemon after us would know nothing of who was replaced and has not ended.
            let keys: Vec<Key> = keys.into_iter().filter(|key| self.leavers_of(*key).next().is_none()).collect();
            keys.iter().for_each(|key| self.release(*key));
            self.roll.forget(&keys);
        }
        self.deposit();
        self.settle_waiters(reactor);
    }

    /// Whether it is to stop, has not been told, and nobody is left who needs it.
    fn may_stop(&self, key: Key) -> bool {
        let Some(service) = self.roll.get(key) else { return false };
        let told = matches!(service.life.phase, Phase::Down | Phase::Stopping(crate::law::life::Next::Down));
        if told || !(self.stopping || service.leaving) {
            return false;
        }
        if self.stopping && self.roll.graph.is_plain {
            // Whoever was started earlier may still be needed.
            let later = self.roll.iter().rev().take_while(|other| !std::ptr::eq(*other, service));
            return later.into_iter().all(|other| other.life.phase == Phase::Down);
        }
        self.roll.graph.behind(key).iter().all(|(other, required)| match self.roll.get(*other) {
            Some(other) => !(other.life.phase.is_alive() && (*required || self.stopping || other.leaving)),
            None => true,
        })
    }
}
