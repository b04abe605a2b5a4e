//! Carrying out what a new configuration changes.

use super::driver::{Driver, Key, MODULE};
use super::service::{End, Service};
use super::tell::courier::refused;
use crate::law::difference::{Change, Changes, difference};
use crate::law::life::{Event, Phase};
use msf_conf::daemon::{Process, Settings};
use msf_core::event::Reactor;
use msf_core::log;
use msf_core::log::Level;
use msf_core::sys::heap;

impl Driver {
    /// Reads the file again and does what has changed.
    pub(super) fn reload(&mut self, reactor: &mut Reactor) -> Result<String, String> {
        let outcome = match self.stopping {
            true => Err("not reloaded: everything is being stopped\n".to_owned()),
            false => {
                self.tell_reloading();
                let outcome = self.read_again(reactor);
                heap::trim();
                self.tell_reloaded(reactor, &outcome);
                outcome
            }
        };
        outcome.inspect_err(|why| log!(Level::Error, MODULE, "{}", why.trim_end()))
    }

    fn read_again(&mut self, reactor: &mut Reactor) -> Result<String, String> {
        let goes_on = |why: String| format!("not reloaded, the old configuration goes on: {why}\n");
        let settings = Settings::read(&self.config).map_err(|e| goes_on(e.to_string()))?;
        if let Some(why) = refused(&settings.alarms) {
            return Err(goes_on(why));
        }
        let runs: Vec<&Process> = self.roll.iter().map(|service| &service.entry).collect();
        let changes = difference(&runs, &settings.processes);
        log!(Level::Info, MODULE, "reloading {}: {changes}", self.config.display());
        self.banner(&settings);
        self.outbox.follow(&settings.events, &mut self.clerk);
        self.herald.follow(settings.broker.as_ref());
        self.morgue.follow(settings.crash_reports);
        self.tell_to(reactor, &settings.alarms);
        self.carry_out(reactor, &changes, &settings.processes);
        self.version = settings.version;
        self.purpose.name.clone_from(&settings.main);
        let mut text = format!("{changes}\n");
        let metrics = self.show_metrics(reactor, settings.metrics.as_ref()).err();
        for warning in settings.warnings.iter().cloned().chain(self.unstartable(&changes)).chain(metrics) {
            text += &format!("warning: {warning}\n");
        }
        Ok(text)
    }

    /// First everybody gets his new entry and place, so that the order is the new one when the first is started.
    fn carry_out(&mut self, reactor: &mut Reactor, changes: &Changes, wanted: &[Process]) {
        let (mut down, mut up, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for (name, change) in &changes.0 {
            let new = wanted.iter().find(|process| process.name == *name);
            let Some(key) = self.enter(reactor, name, new) else { continue };
            let by_hand = self.roll.get(key).is_some_and(|service| service.stopped_by_hand);
            match change {
                Change::Stop => down.push(key),
                // Whoever was stopped by hand stays so; what is new holds when he is started by hand.
                Change::Keep | Change::Restart | Change::Start if by_hand => {}
                Change::Restart => again.push(key),
                Change::Start => up.push(key),
                // It may have been about to go.
                Change::Keep if self.roll.get(key).is_some_and(|service| service.leaving) => up.push(key),
                Change::Keep => {}
            }
        }
        self.roll.sort(&wanted.iter().map(|process| process.name.as_str()).collect::<Vec<_>>());
        self.want_down(reactor, &down);
        for key in again {
            if let Some(service) = self.roll.get_mut(key) {
                service.leaving = false;
            }
            self.feed(reactor, key, Event::Restart);
        }
        self.want_up(reactor, &up);
        // What held somebody may be gone from the file.
        for key in self.roll.graph.order().to_vec() {
            if self.roll.get(key).is_some_and(Service::is_held_by_others) {
                self.feed(reactor, key, Event::Look);
            }
        }
    }

    /// The service of that name with its new entry, or a new one.
    fn enter(&mut self, reactor: &mut Reactor, name: &str, new: Option<&Process>) -> Option<Key> {
        match (self.roll.named(name), new) {
            (Some(key), new) => {
                let service = self.roll.get_mut(key)?;
                service.dismissed = new.is_none();
                if let Some(entry) = new {
                    let anew = service.entry.health != entry.health || service.entry.bounds != entry.bounds;
                    service.change(entry.clone());
                    if anew && matches!(service.life.phase, Phase::Up(_)) {
                        self.look_away(reactor, key);
                        self.watch_over(reactor, key);
                    }
                }
                Some(key)
            }
            (None, Some(entry)) => Some(self.roll.add(Service::new(entry.clone()))),
            (None, None) => None,
        }
    }

    /// Whoever was to start, and could not be executed.
    fn unstartable(&self, changes: &Changes) -> Vec<String> {
        let fails = |service: &&Service| {
            let touched = |(name, change): &(String, Change)| name == service.name() && change.starts();
            service.running.is_none() && changes.0.iter().any(touched)
        };
        let sentence = |service: &Service| match &service.last {
            Some((End::Unstartable(reason), _)) => Some(format!("{}: not started: {reason}", service.name())),
            _ => None,
        };
        self.roll.iter().filter(fails).filter_map(sentence).collect()
    }
}
