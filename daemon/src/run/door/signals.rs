//! The signals that the daemon hears, and what each asks of it.
//!
//! As process 1 it gets none that it does not listen to, not even those that end other programs: so it listens to all
//! by which containers are told to end.

use crate::law::life::{Event, Phase};
use crate::run::driver::{Driver, Key, MODULE};
use libc::{SIGCHLD, SIGHUP, SIGINT, SIGPWR, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use msf_core::event::{Reactor, Signals};
use msf_core::log;
use msf_core::log::Level;
use std::io;
use std::time::{Duration, Instant};

/// Begins to listen to all of them.
pub fn listen() -> io::Result<Signals> {
    Signals::new(&[SIGTERM, SIGINT, SIGQUIT, SIGPWR, halt(), SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD])
}

/// By which systemd as process 1 is told to end, and whoever runs containers tells it.
fn halt() -> i32 {
    libc::SIGRTMIN() + 3
}

impl Driver {
    /// All that have come.
    pub(in crate::run) fn signalled(&mut self, reactor: &mut Reactor) {
        for signal in self.signals.take() {
            let answer = match signal {
                SIGCHLD => {
                    self.collect_all(reactor);
                    Ok(String::new())
                }
                SIGHUP => {
                    // What is wrong with the file is in the log.
                    let _ = self.reload(reactor);
                    Ok(String::new())
                }
                SIGUSR1 => self.rotate(),
                SIGUSR2 => self.hand_on(signal),
                ending => {
                    self.told_to_end(reactor, name(ending));
                    Ok(String::new())
                }
            };
            if let Err(why) = answer {
                log!(Level::Error, MODULE, "{}: {}", name(signal), why.trim_end());
            }
        }
    }

    /// The first time everything is stopped in order; a second time nobody is waited for any more.
    fn told_to_end(&mut self, reactor: &mut Reactor, by: &str) {
        match self.told_to_end_at {
            None => {
                self.told_to_end_at = Some(Instant::now());
                self.shut_down(by);
            }
            // Some tell a process and then its group: that is once.
            Some(since) if since.elapsed() < AT_ONCE || self.hurried => {}
            Some(_) => {
                log!(Level::Warn, MODULE, "{by} again: whoever still runs is killed");
                self.hurried = true;
                self.hurry_leavers(reactor);
                for key in self.roll.keys().to_vec() {
                    self.hurry(reactor, key);
                }
            }
        }
    }

    /// Does not wait until somebody who was asked to end has ended.
    pub(in crate::run) fn hurry(&mut self, reactor: &mut Reactor, key: Key) {
        if self.roll.get(key).is_some_and(|service| matches!(service.life.phase, Phase::Stopping(_))) {
            self.feed(reactor, key, Event::Timeout);
        }
    }
}

fn name(signal: i32) -> &'static str {
    match signal {
        SIGHUP => "SIGHUP",
        SIGINT => "SIGINT",
        SIGPWR => "SIGPWR",
        SIGQUIT => "SIGQUIT",
        SIGTERM => "SIGTERM",
        SIGUSR1 => "SIGUSR1",
        SIGUSR2 => "SIGUSR2",
        _ => "SIGRTMIN+3",
    }
}

const AT_ONCE: Duration = Duration::from_millis(500);
