//! The process that the daemon is there for, if the configuration names one (`main`): when that has ended for good,
//! everything else is stopped, and the daemon ends as it did. A container then ends with what it was started for.

use super::driver::{Driver, Key, MODULE};
use super::service::{End, Service};
use crate::law::life::{Event, Phase};
use msf_core::event::Reactor;
use msf_core::log;
use msf_core::log::Level;

/// See the module.
#[derive(Debug, Default)]
pub struct Purpose {
    /// Its name.
    pub name: Option<String>,
    /// How the daemon is to end because of it.
    status: Option<u8>,
}

impl Driver {
    /// The daemon's exit status.
    pub fn exit_status(&self) -> u8 {
        self.purpose.status.unwrap_or(0)
    }

    /// A process is down: was that what we are there for? Not if somebody has asked for it.
    pub(super) fn may_be_over(&mut self, key: Key, event: Event, to: Phase) {
        let Some(service) = self.roll.get(key) else { return };
        let by_itself = matches!(event, Event::Died { .. } | Event::Unstartable { .. });
        let asked = self.stopping || service.leaving || service.dismissed;
        if to != Phase::Down || !by_itself || asked || self.purpose.name.as_deref() != Some(service.name()) {
            return;
        }
        self.it_is_over(key);
    }

    /// Everything has been started, or adopted: what we are there for may have ended before us.
    pub(super) fn look_whether_it_is_over(&mut self, reactor: &mut Reactor) {
        let main = self.purpose.name.as_deref().and_then(|name| self.roll.named(name));
        if let Some(key) = main.filter(|key| self.roll.get(*key).is_some_and(Service::has_ended_for_good)) {
            self.it_is_over(key);
        }
        if self.stopping {
            self.settle(reactor);
        }
    }

    fn it_is_over(&mut self, key: Key) {
        let Some(service) = self.roll.get(key) else { return };
        let why = format!("{} has ended", service.name());
        self.purpose.status = Some(status(service.last.as_ref().map(|(end, _)| end)));
        self.shut_down(&why);
    }

    /// Hands it a signal that means nothing to us.
    pub(super) fn hand_on(&mut self, signal: i32) -> Result<String, String> {
        let main = self.purpose.name.as_deref().and_then(|name| self.roll.named(name));
        let running = main.and_then(|key| self.roll.get(key)).and_then(|service| service.running.as_ref());
        match running {
            Some(running) => {
                log!(Level::Info, MODULE, "signal {signal} passed on to pid {}", running.child.pid());
                running.child.signal(signal).map(|()| String::new()).map_err(|e| e.to_string())
            }
            None => Err("there is no main process that could be told".to_owned()),
        }
    }
}

impl Service {
    /// Whether nothing but somebody's wish will start it again.
    fn has_ended_for_good(&self) -> bool {
        self.life.phase == Phase::Down && self.touched && !self.stopped_by_hand
    }
}

/// As a shell has it.
fn status(end: Option<&End>) -> u8 {
    let low = |number: i32| u8::try_from(number & 0xff).unwrap_or(FAILED);
    match end {
        Some(End::Unstartable(_)) => NOT_STARTED,
        Some(end) => match (end.code(), end.signal()) {
            (Some(code), _) => low(code),
            (None, Some(signal)) => low(BY_SIGNAL + signal),
            (None, None) => FAILED,
        },
        None => FAILED,
    }
}

const FAILED: u8 = 1;
const NOT_STARTED: u8 = 127;
const BY_SIGNAL: i32 = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use msf_core::process::Exit;

    #[test]
    fn a_status_is_what_a_shell_would_say() {
        let of = |end: End| status(Some(&end));
        assert_eq!(of(End::Exit(Exit::Code(0))), 0);
        assert_eq!(of(End::Exit(Exit::Code(7))), 7);
        assert_eq!(of(End::Exit(Exit::Signal { number: 9, core: false })), 137);
        assert_eq!(of(End::Told { reason: String::new(), code: None, signal: Some(15) }), 143);
        assert_eq!(of(End::Unknown(String::new())), 1);
        assert_eq!(of(End::Unstartable(super::super::child::surroundings::Unstartable::Gone)), 127);
        assert_eq!(status(None), 1);
    }
}
