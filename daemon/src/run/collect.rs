//! Processes that have ended: ours, those of probes, and orphans that became ours because we are process 1.

use super::driver::{Driver, Due, Key, MODULE, Watched};
use super::service::End;
use crate::law::life::Event;
use msf_core::event::Reactor;
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::{ended, reap};
use std::time::{Duration, Instant};

impl Driver {
    /// Looks whether a process has ended, and if so lets its life go on from there.
    pub(super) fn collect(&mut self, reactor: &mut Reactor, key: Key) -> bool {
        let at = Instant::now();
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
        true
    }

    /// Every child that has ended. Whoever is started again meanwhile may end meanwhile, and so on: in between, others
    /// have their turn.
    pub(super) fn collect_all(&mut self, reactor: &mut Reactor) {
        for _ in 0..self.roll.keys().len() + OTHERS {
            let pid = match ended() {
                Ok(Some(pid)) => pid,
                Ok(None) => return,
                Err(e) => return log!(Level::Error, MODULE, "cannot look for ended processes: {e}"),
            };
            let progress = match self.roll.find(|service| service.pid() == Some(pid)) {
                Some(key) => self.collect(reactor, key),
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
            (None, None) => reap(pid).is_ok_and(|exit| exit.is_some()),
        }
    }
}

/// Probes, commands and orphans that are collected at a time.
const OTHERS: usize = 16;
