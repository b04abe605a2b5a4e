//! Whether a process that is up still does what it is for: it is probed, or says so itself, every `interval_ms`.
//!
//! The times are the same for all: multiples of the interval since the daemon was started. So many probes of one interval
//! are one wake-up, and nobody who is not probed causes any.

use crate::face::status::span;
use crate::law::alarm::{Kind, Raised};
use crate::law::health::{Pulse, Turn, Verdict, step};
use crate::law::watch::Thing;
use crate::run::child::probe::{Asker, Outcome};
use crate::run::driver::{Driver, Due, Key, Timer};
use crate::run::remedy::Trouble;
use msf_conf::daemon::{Act, Check, Health};
use msf_core::event::{Reactor, Token};
use std::time::{Duration, Instant};

/// How one process is watched over.
#[derive(Debug, Default)]
pub struct Vigil {
    /// What is known of it; outlives the process.
    pub pulse: Pulse,
    /// What was wrong the last time anything was.
    pub wrong: String,
    next: Option<Timer>,
    attempt: Option<(Token, Option<Timer>)>,
    /// Whether it has sent a heartbeat since it was last looked.
    has_beaten: bool,
    /// How often it says that it does, if it has changed that itself.
    every: Option<Duration>,
}

impl Vigil {
    /// Of one that is adopted, of which these alarms are open.
    pub fn of_alarms(open: &[Raised]) -> Vigil {
        let is_ill = open.iter().any(|(kind, _)| matches!(kind, Kind::Health | Kind::Heartbeat));
        let verdict = is_ill.then_some(Verdict::Ill);
        Vigil {
            pulse: Pulse::known(verdict),
            wrong: "as a daemon before this one has found".to_owned(),
            ..Vigil::default()
        }
    }

    /// What is shown of it.
    pub fn shown(&self) -> Option<String> {
        self.pulse.verdict.map(|verdict| match verdict {
            Verdict::Well => "well".to_owned(),
            Verdict::Ill => format!("ill: {}", self.wrong),
        })
    }
}

impl Driver {
    /// The process is up: its health and what it uses are looked after from now on.
    pub(in crate::run) fn watch_over(&mut self, reactor: &mut Reactor, key: Key) {
        self.begin_vigil(reactor, key);
        self.begin_usage(reactor, key);
        self.forget_unchecked(reactor, key);
    }

    /// The configuration may no longer ask for the check that has raised an alarm: nobody else would notice its end.
    fn forget_unchecked(&mut self, reactor: &mut Reactor, key: Key) {
        let Some(service) = self.roll.get(key) else { return };
        let (health, bounds) = (service.entry.health.is_some(), service.entry.bounds.clone());
        let is_unchecked = |kind: Kind| match (kind, Thing::of_alarm(kind)) {
            (Kind::Health | Kind::Heartbeat, _) => !health,
            (_, Some(thing)) => bounds.as_ref().is_none_or(|bounds| !thing.is_limited_by(bounds)),
            (_, None) => false,
        };
        for (kind, _) in self.alarms.of(key).into_iter().filter(|(kind, _)| is_unchecked(*kind)) {
            self.recovered(reactor, key, Trouble { kind, text: "not checked any more".to_owned() });
        }
    }

    /// It is no longer up, or is to be looked after in another way.
    pub(in crate::run) fn look_away(&mut self, reactor: &mut Reactor, key: Key) {
        self.end_vigil(reactor, key);
        self.end_usage(reactor, key);
    }

    fn begin_vigil(&mut self, reactor: &mut Reactor, key: Key) {
        let now = Instant::now();
        let Some(service) = self.roll.get_mut(key) else { return };
        let Some(health) = service.entry.health.clone() else {
            service.vigil = Vigil::default();
            return;
        };
        let Vigil { pulse, wrong, .. } = std::mem::take(&mut service.vigil);
        service.vigil = Vigil { pulse: pulse.of_successor(), wrong, ..Vigil::default() };
        // A heartbeat is missed when there was none for a whole interval.
        let first = if health.heartbeat().is_some() { health.interval } else { Duration::ZERO };
        self.check_at(reactor, key, now + health.start_after + first, health.interval);
    }

    fn end_vigil(&mut self, reactor: &mut Reactor, key: Key) {
        let Some(service) = self.roll.get_mut(key) else { return };
        let timer = service.vigil.next.take();
        timer.into_iter().for_each(|timer| self.disarm(reactor, timer));
        self.end_attempt(reactor, key);
    }

    fn end_attempt(&mut self, reactor: &mut Reactor, key: Key) {
        let attempt = self.roll.get_mut(key).and_then(|service| service.vigil.attempt.take());
        if let Some((token, deadline)) = attempt {
            self.watched.remove(token);
            deadline.into_iter().for_each(|timer| self.disarm(reactor, timer));
        }
    }

    fn check_at(&mut self, reactor: &mut Reactor, key: Key, earliest: Instant, interval: Duration) {
        let timer = self.arm_at(reactor, shared(self.since, earliest, interval), Due::Check(key));
        if let Some(service) = self.roll.get_mut(key) {
            service.vigil.next = timer;
        }
    }

    /// It is to be found out how a process is.
    pub(in crate::run) fn check(&mut self, reactor: &mut Reactor, key: Key) {
        let Some(service) = self.roll.get_mut(key) else { return };
        let Some(Health { way, interval, .. }) = service.entry.health.as_deref().cloned() else { return };
        let interval = service.vigil.every.filter(|_| way == Check::Heartbeat).unwrap_or(interval);
        self.check_at(reactor, key, after(Instant::now(), interval), interval);
        match way {
            Check::Heartbeat => {
                // What was sent while we were kept from hearing it counts.
                self.heard(reactor);
                let Some(service) = self.roll.get_mut(key) else { return };
                let outcome = match std::mem::take(&mut service.vigil.has_beaten) {
                    true => Ok(()),
                    false => Err(format!("no heartbeat for {}", span(interval))),
                };
                self.judge(reactor, key, outcome);
            }
            Check::Probe { probe, timeout } => {
                let Some(launch) = self.roll.get(key).map(|service| service.entry.launch.clone()) else { return };
                // The one before is over: its time is no longer than the interval.
                self.end_attempt(reactor, key);
                match self.attempt(reactor, &probe, Asker::Health(key), &launch) {
                    Ok(token) => {
                        let deadline = self.arm(reactor, timeout, Due::CheckTimeout(key));
                        if let Some(service) = self.roll.get_mut(key) {
                            service.vigil.attempt = Some((token, deadline));
                        }
                    }
                    Err(outcome) => self.judge(reactor, key, outcome),
                }
            }
        }
    }

    /// A probe has its answer.
    pub(in crate::run) fn check_answered(&mut self, reactor: &mut Reactor, key: Key, outcome: Outcome) {
        self.end_attempt(reactor, key);
        self.judge(reactor, key, outcome);
    }

    /// A probe has none.
    pub(in crate::run) fn check_timed_out(&mut self, reactor: &mut Reactor, key: Key) {
        self.end_attempt(reactor, key);
        let health = self.roll.get(key).and_then(|service| service.entry.health.as_ref());
        let Some(Check::Probe { timeout, .. }) = health.map(|health| &health.way) else { return };
        let why = format!("no answer within {}", span(*timeout));
        self.judge(reactor, key, Err(why));
    }

    fn judge(&mut self, reactor: &mut Reactor, key: Key, outcome: Outcome) {
        let Some(service) = self.roll.get_mut(key) else { return };
        let Some(health) = &service.entry.health else { return };
        let (pulse, turn) = step(health, service.vigil.pulse, outcome.is_ok());
        service.vigil.pulse = pulse;
        if let Err(why) = outcome {
            service.vigil.wrong = why;
        }
        let (act, why) = (health.act, service.vigil.wrong.clone());
        let kind = if health.heartbeat().is_some() { Kind::Heartbeat } else { Kind::Health };
        match turn {
            // He is not ill but dead, and his core is not to be cut short.
            Some(Turn::FellIll) if act == Act::Restart && self.found_dumping(reactor, key) => {}
            Some(Turn::FellIll) => self.remedy(reactor, key, &Trouble { kind, text: format!("ill: {why}") }, act),
            Some(Turn::Recovered) => self.well_again(reactor, key),
            None => {}
        }
    }

    /// Whatever its illness was called: it may have been found by a check of another kind, or told by itself.
    fn well_again(&mut self, reactor: &mut Reactor, key: Key) {
        for kind in [Kind::Health, Kind::Heartbeat] {
            if self.alarms.has(key, kind) {
                self.recovered(reactor, key, Trouble { kind, text: "well again".to_owned() });
            }
        }
    }

    /// A heartbeat.
    pub(in crate::run) fn beaten(&mut self, key: Key) {
        if let Some(service) = self.roll.get_mut(key) {
            service.vigil.has_beaten = true;
        }
    }

    /// It will beat that often from now on.
    pub(in crate::run) fn beats_every(&mut self, reactor: &mut Reactor, key: Key, every: Duration) {
        let Some(service) = self.roll.get_mut(key) else { return };
        let beats = service.entry.health.as_ref().is_some_and(|health| health.heartbeat().is_some());
        service.vigil.every = Some(every.max(SHORTEST));
        if let Some(timer) = service.vigil.next.take_if(|_| beats) {
            self.disarm(reactor, timer);
            let every = every.max(SHORTEST);
            self.check_at(reactor, key, Instant::now() + every, every);
        }
    }

    /// It says itself that it is ill.
    pub(in crate::run) fn called_in_sick(&mut self, reactor: &mut Reactor, key: Key) {
        let text = "ill: it says so itself".to_owned();
        if let Some(service) = self.roll.get_mut(key) {
            // Its successor has to show that it is well.
            service.vigil.pulse = Pulse::known(Some(Verdict::Ill));
            service.vigil.wrong = "it says so itself".to_owned();
        }
        self.remedy(reactor, key, &Trouble { kind: Kind::Health, text }, Act::Restart);
    }
}

/// The first multiple of `interval` since `since` that is not before `earliest`.
pub fn shared(since: Instant, earliest: Instant, interval: Duration) -> Instant {
    let (passed, length) = (earliest.saturating_duration_since(since).as_nanos(), interval.as_nanos().max(1));
    let nanos = u64::try_from(passed.div_ceil(length).saturating_mul(length)).unwrap_or(u64::MAX / 2);
    since + Duration::from_nanos(nanos)
}

/// The earliest moment for what is due every `interval` and was done just now. Whoever was late does not do it again too
/// soon: a heart is given time to beat.
pub fn after(now: Instant, interval: Duration) -> Instant {
    now + interval - interval / 8
}

const SHORTEST: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_of_one_interval_fall_together_and_never_early() {
        let since = Instant::now();
        let at = |ms| since + Duration::from_millis(ms);
        let second = Duration::from_secs(1);
        assert_eq!(shared(since, at(0), second), at(0));
        assert_eq!(shared(since, at(1), second), at(1000));
        assert_eq!(shared(since, at(1000), second), at(1000));
        assert_eq!(shared(since, at(1001), second), at(2000));
        assert_eq!(shared(since, at(999), second), shared(since, at(3), second));
        // On time, a little late, and so late that the next one would come too soon.
        let next = |ms| shared(since, after(at(ms), second), second);
        assert_eq!((next(5000), next(5120), next(5130)), (at(6000), at(6000), at(7000)));
    }
}
