//! What the world is told of a process: events to everybody who listens, alarms to whoever the configuration names.
//!
//! [`Driver::publish`] is the one way out for events: whoever else is to hear of them is called from there.
//! [`Driver::alarm`] is the seam for everybody who finds something wrong.

use crate::face::event::{Happening, What};
use crate::face::letter::Letter;
use crate::law::alarm::{Alarm, Kind, Severity, is_ended_by, raised_by};
use crate::law::life::{Event, Phase};
use crate::run::change::Change;
use crate::run::driver::{Driver, Due, Key};
use crate::run::service::{End, Service};
use msf_core::event::Reactor;
use msf_core::sys::now_rfc3339;

impl Driver {
    /// A change of a phase: its line, and the alarms that it raises and ends.
    pub(in crate::run) fn tell_change(&mut self, reactor: &mut Reactor, key: Key, change: &Change) {
        let Some(service) = self.roll.get(key) else { return };
        let cause = change.cause(service);
        let goes_on = service.is_put_down && change.to == Phase::Down;
        let happening = happening(service, change, &cause);
        self.publish(reactor, happening);
        if let Some((kind, severity)) = raised_by(change.from, change.to, change.event) {
            self.alarm(reactor, key, Alarm { kind, severity, text: cause.clone(), recovered: false });
        }
        // Everything is about to end: nothing of it is a recovery.
        if !self.stopping && !goes_on {
            for (kind, severity) in self.alarms.of(key) {
                if is_ended_by(kind, change.from, change.to, change.event) {
                    self.alarm(reactor, key, Alarm { kind, severity, text: cause.clone(), recovered: true });
                }
            }
        }
        self.watch_calm(reactor, key);
    }

    /// Something has happened: it gets its number, is written down, and told to those who listen.
    pub(in crate::run) fn publish(&mut self, reactor: &mut Reactor, happening: Happening) {
        let happening = self.audience.chronicle.add(happening);
        self.outbox.write(&happening, &mut self.clerk);
        self.herald.tell(&happening);
        self.announce(reactor, &happening);
    }

    /// Something is wrong with a service, or is no longer. What is open already is not told again unless it has become
    /// worse, and the end of what is not open is not told at all: raise and end it as often as you look.
    pub(in crate::run) fn alarm(&mut self, reactor: &mut Reactor, key: Key, alarm: Alarm) {
        if !self.alarms.enter(key, &alarm) {
            return;
        }
        let Some(service) = self.roll.get(key) else { return };
        let (name, pid) = (service.name().to_owned(), service.pid());
        // Of a start that is being tried there is a line in a moment, with its mark.
        let worth_a_line = service.running.is_some() || service.life.phase.is_lasting();
        let state = if alarm.recovered { "recovered" } else { "raised" };
        let what = What::Alarm {
            alarm: alarm.kind.word().to_owned(),
            state: state.to_owned(),
            severity: alarm.severity.word().to_owned(),
        };
        self.publish(reactor, Happening::new(&name, pid, &alarm.text, what));
        if worth_a_line {
            self.remember(key);
        }
        let letter = Letter {
            time: now_rfc3339(),
            host: self.host.clone(),
            service: name,
            pid,
            kind: alarm.kind.word(),
            severity: alarm.severity.word(),
            state,
            text: alarm.text,
        };
        self.post(reactor, &letter);
    }

    /// It would not end when it was asked to.
    pub(in crate::run) fn tell_kill(&mut self, reactor: &mut Reactor, key: Key) {
        let Some(service) = self.roll.get(key).filter(|_| !self.hurried) else { return };
        let text = format!("not ended in {}; killed", crate::face::status::span(service.rules().stop_timeout));
        let alarm = Alarm { kind: Kind::StopTimeout, severity: Severity::Warning, text, recovered: false };
        self.alarm(reactor, key, alarm);
    }

    /// A crash loop is over when the process has stayed up for as long as its law wants it.
    pub(in crate::run) fn watch_calm(&mut self, reactor: &mut Reactor, key: Key) {
        if let Some(timer) = self.calming.remove(&key) {
            self.disarm(reactor, timer);
        }
        let Some(service) = self.roll.get(key) else { return };
        let reset = service.rules().restart.reset;
        if let Phase::Up(since) = service.life.phase
            && self.alarms.has(key, Kind::CrashLoop)
            && let Some(timer) = self.arm(reactor, reset.saturating_sub(since.elapsed()), Due::Calm(key))
        {
            self.calming.insert(key, timer);
        }
    }

    /// It has stayed up.
    pub(in crate::run) fn calm(&mut self, reactor: &mut Reactor, key: Key) {
        self.calming.remove(&key);
        let Some(service) = self.roll.get(key) else { return };
        let text = format!("up for {}", crate::face::status::span(service.rules().restart.reset));
        let alarm = Alarm { kind: Kind::CrashLoop, severity: Severity::Critical, text, recovered: true };
        self.alarm(reactor, key, alarm);
    }
}

fn happening(service: &Service, change: &Change, cause: &str) -> Happening {
    let ended = match (change.event, &service.last) {
        (Event::Died { .. }, Some((end, _))) => Some(end),
        _ => None,
    };
    let pid = service.pid().or(ended.and(service.last_pid));
    let what = What::State {
        from: change.from.word().to_owned(),
        to: change.to.word().to_owned(),
        exit_code: ended.and_then(End::code),
        signal: ended.and_then(End::signal),
        restarts: service.life.restarts,
    };
    Happening::new(service.name(), pid, cause, what)
}
