//! What is done about a process that is ill, or that uses too much: somebody is told, and what the configuration says is
//! done. Whatever finds such a thing ends here.

use super::driver::{Driver, Key, MODULE};
use crate::law::alarm::{Alarm, Kind, Severity};
use crate::law::life::Event;
use msf_conf::daemon::{Act, Policy};
use msf_core::event::Reactor;
use msf_core::log;
use msf_core::log::Level;

/// What is the matter with a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The alarm: one of each kind for a process, until it is over.
    pub kind: Kind,
    /// In words.
    pub text: String,
}

impl Driver {
    /// Tells, and does it.
    pub(super) fn remedy(&mut self, reactor: &mut Reactor, key: Key, trouble: &Trouble, act: Act) {
        let Some(service) = self.roll.get_mut(key) else { return };
        let what = match act {
            Act::Alarm => "",
            Act::Restart if service.rules().restart.policy == Policy::Never => "; stopped, and not to be started again",
            Act::Restart => "; stopped and started again",
            Act::Stop => "; stopped for good",
        };
        let text = format!("{}{what}", trouble.text);
        service.ails.clone_from(&text);
        service.is_put_down = act == Act::Stop;
        log!(Level::Error, MODULE, "{}: {text}", service.name());
        let alarm = Alarm { kind: trouble.kind, severity: Severity::Critical, text, recovered: false };
        self.alarm(reactor, key, alarm);
        match act {
            Act::Alarm => {}
            Act::Restart => self.feed(reactor, key, Event::Unhealthy(reactor.now())),
            Act::Stop => self.want_down(reactor, &[key]),
        }
    }

    /// Tells only: it has come so far that somebody should know.
    pub(super) fn warn(&mut self, reactor: &mut Reactor, key: Key, trouble: &Trouble) {
        let Some(service) = self.roll.get(key) else { return };
        log!(Level::Warn, MODULE, "{}: {}", service.name(), trouble.text);
        let alarm =
            Alarm { kind: trouble.kind, severity: Severity::Warning, text: trouble.text.clone(), recovered: false };
        self.alarm(reactor, key, alarm);
    }

    /// It is over.
    pub(super) fn recovered(&mut self, reactor: &mut Reactor, key: Key, over: Trouble) {
        let Some(service) = self.roll.get(key) else { return };
        log!(Level::Info, MODULE, "{}: {}", service.name(), over.text);
        let alarm = Alarm { kind: over.kind, severity: Severity::Warning, text: over.text, recovered: true };
        self.alarm(reactor, key, alarm);
    }
}
