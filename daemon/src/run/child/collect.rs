//! Processes that have ended: ours, those of probes, and orphans that became ours because we are process 1.

use super::crash::used;
use super::morgue::Unwanted;
use super::sexton;
use crate::face::report::Report;
use crate::law::life::{Event, Phase};
use crate::run::driver::{Driver, Due, Key, MODULE, Watched};
use crate::run::service::{End, Service};
use msf_core::event::Reactor;
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::{Usage, ended};
use std::time::{Duration, Instant};

impl Driver {
    /// Looks whether a process has ended, and if so lets its life go on from there.
    pub(in crate::run) fn collect(&mut self, reactor: &mut Reactor, key: Key) -> bool {
        let at = Instant::now();
        let before = self.roll.get(key).and_then(Service::pid);
        // It may have said just before who goes on for it, or that it crashes.
        self.heard(reactor);
        match before {
            Some(pid) if self.is_corpse(pid) => return self.bury(reactor, pid),
            Some(pid) if self.is_leaver(pid) => return self.farewell(reactor, pid),
            _ => {}
        }
        let Some(service) = self.roll.get(key) else { return false };
        // Known only until it is collected.
        let asked = self.stopping || service.leaving;
        let unwanted = !asked && matches!(service.life.phase, Phase::Starting | Phase::Up(_) | Phase::Upgrading(_));
        let usage = service.running.as_ref().and_then(|running| used(&running.child));
        let Some(service) = self.roll.get_mut(key) else { return false };
        let Some(running) = &mut service.running else { return false };
        let end = match running.child.collect() {
            Ok(None) => return false,
            Ok(Some(end)) => end,
            Err(e) => End::Unknown(e.to_string()),
        };
        self.drain_output(reactor, key);
        let Some(service) = self.roll.get_mut(key) else { return false };
        service.log_end(&end, at);
        let unwanted = (unwanted && !end.is_clean()).then(|| self.unwanted(key, &end, usage, at)).flatten();
        let Some(service) = self.roll.get_mut(key) else { return false };
        let token = service.running.take().and_then(|running| running.token);
        let (clean, leaving) = (end.is_clean(), service.leaving);
        service.last = Some((end, at));
        if let Some(token) = token {
            self.watched.remove(token);
        }
        if self.stopping || leaving {
            // It ended before its turn came; it is not to be started again.
            self.feed(reactor, key, Event::WantDown);
        }
        let chance = self.chance.draw();
        self.feed(reactor, key, Event::Died { at, clean, chance });
        // Its successor does not wait for a file.
        if let Some(unwanted) = unwanted {
            self.morgue.bring(&mut self.clerk, unwanted);
        }
        true
    }

    fn unwanted(&self, key: Key, end: &End, usage: Option<Usage>, at: Instant) -> Option<Unwanted> {
        let service = self.roll.get(key)?;
        let (program, folder) = self.surroundings.where_it_runs(&service.entry.launch);
        let report = Report { usage, ..self.autopsy(service, at) }.ended(end);
        Some(Unwanted { report, cored_by: end.cored_by(), program, folder })
    }

    /// Every child that has ended. Whoever is started again meanwhile may end meanwhile, and so on: in between, others
    /// have their turn.
    pub(in crate::run) fn collect_all(&mut self, reactor: &mut Reactor) {
        for _ in 0..self.roll.keys().len() + OTHERS {
            let pid = match ended() {
                // Whoever ended after it is seen when it is buried.
                Ok(Some(pid)) if sexton::is_at(pid) => return,
                Ok(Some(pid)) => pid,
                Ok(None) => return,
                Err(e) => return log!(Level::Error, MODULE, "cannot look for ended processes: {e}"),
            };
            let progress = match self.roll.find(|service| service.pid() == Some(pid)) {
                Some(key) => self.collect(reactor, key),
                None if self.is_corpse(pid) => self.bury(reactor, pid),
                None if self.is_leaver(pid) => self.farewell(reactor, pid),
                None if let Some(key) = self.roll.find(|service| service.heir_pid() == Some(pid)) => {
                    self.collect_heir(reactor, key)
                }
                None => self.collect_other(reactor, pid),
            };
            if !progress {
                return;
            }
        }
        self.arm(reactor, Duration::ZERO, Due::Collect);
    }

    fn collect_other(&mut self, reactor: &mut Reactor, pid: i32) -> bool {
        let probe = self.watched.iter().find_map(|(token, watched)| match watched {
            Watched::Attempt(attempt) if attempt.pid() == Some(pid) => Some(token),
            _ => None,
        });
        match (probe, self.tellers.of_pid(pid)) {
            (Some(token), _) => {
                self.attempted(reactor, token);
                true
            }
            (None, Some(teller)) => self.command_ended(reactor, teller),
            (None, None) => {
                sexton::bury(pid);
                true
            }
        }
    }
}

/// Probes, commands and orphans that are collected at a time.
const OTHERS: usize = 16;
