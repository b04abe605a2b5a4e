//! Whoever started us, systemd above all, and what he is told while we run: how it stands, that we are alive, that the
//! way down takes its time.
//!
//! Where nobody listens nothing here costs anything: no timer, no datagram.

use crate::law::life::Phase;
use crate::run::driver::{Driver, Due, MODULE, Timer};
use msf_core::event::Reactor;
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::Starter;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub struct Superior {
    starter: Starter,
    /// How often he wants to hear that we are alive.
    heartbeat: Option<Duration>,
    /// A line for people is on its way.
    line: Option<Timer>,
    /// The last one.
    told: String,
    /// He waits for our end until then at least.
    patient_until: Option<Instant>,
}

impl Superior {
    /// Whoever the environment names.
    pub fn new(starter: Starter) -> Superior {
        let heartbeat = starter.heartbeat();
        Superior { starter, heartbeat, line: None, told: String::new(), patient_until: None }
    }
}

impl Driver {
    /// Everything that waits for nobody has been started.
    pub(in crate::run) fn tell_ready(&mut self, reactor: &mut Reactor) {
        self.tell_line();
        // Behind -d we are not the process that was started.
        self.tell(|starter| starter.main_process(std::process::id().cast_signed()));
        self.tell(Starter::ready);
        self.beat(reactor);
    }

    /// We are alive: said from the loop's own turn, so that a loop that hangs does not say so.
    pub(in crate::run) fn beat(&mut self, reactor: &mut Reactor) {
        let Some(every) = self.superior.heartbeat else { return };
        self.tell(|starter| starter.alive());
        self.arm(reactor, every, Due::Heartbeat);
    }

    /// The configuration is being read anew; over with [`Driver::tell_reloaded`].
    pub(in crate::run) fn tell_reloading(&mut self) {
        self.tell(|starter| starter.reloading());
    }

    /// It has been, or has been found wrong.
    pub(in crate::run) fn tell_reloaded(&mut self, reactor: &mut Reactor, outcome: &Result<String, String>) {
        // What was on its way would hide the reason.
        if let Some(timer) = self.superior.line.take() {
            self.disarm(reactor, timer);
        }
        match outcome {
            Ok(_) => self.line_is_old(reactor),
            Err(why) => self.say(why.trim_end().to_owned()),
        }
        self.tell(Starter::ready);
    }

    /// The way down has begun.
    pub(in crate::run) fn tell_stopping(&mut self) {
        self.tell(|starter| starter.stopping());
        self.tell_line();
        // Somebody may be on his way down already.
        let now = Instant::now();
        let ending = self.roll.iter().filter(|service| matches!(service.life.phase, Phase::Stopping(_)));
        let longest =
            ending.filter_map(|service| service.timer).map(|timer| timer.at.saturating_duration_since(now)).max();
        longest.into_iter().for_each(|needed| self.ask_for_patience(needed));
    }

    /// Somebody may take so long to end. Told only where he would lose patience before.
    pub(in crate::run) fn ask_for_patience(&mut self, needed: Duration) {
        let now = Instant::now();
        if !self.superior.starter.listens() || self.superior.patient_until.is_some_and(|until| until >= now + needed) {
            return;
        }
        let asked = needed + MARGIN;
        self.superior.patient_until = Some(now + asked);
        self.tell(|starter| starter.extend(asked));
    }

    /// Whether anybody wants to hear more than that we are ready.
    pub(in crate::run) fn listens(&self) -> bool {
        self.superior.starter.listens()
    }

    /// Whoever started us keeps a copy, for the next daemon.
    pub(in crate::run) fn keep_for_the_next(&mut self, name: &str, fd: BorrowedFd<'_>) {
        self.tell(|starter| starter.keep(name, fd));
    }

    /// He is to keep those of that name no longer.
    pub(in crate::run) fn withdraw(&mut self, name: &str) {
        self.tell(|starter| starter.forget(name));
    }

    /// A phase has changed. Many do at a time, and one line tells of all.
    pub(in crate::run) fn line_is_old(&mut self, reactor: &mut Reactor) {
        if self.superior.starter.listens() && self.superior.line.is_none() {
            self.superior.line = self.arm(reactor, PAUSE, Due::StatusLine);
        }
    }

    /// The pause is over.
    pub(in crate::run) fn line_is_due(&mut self) {
        self.superior.line = None;
        self.tell_line();
    }

    fn tell_line(&mut self) {
        if self.superior.starter.listens() {
            let phases: Vec<_> = self.roll.iter().map(|service| (service.name(), service.life.phase)).collect();
            self.say(line(&phases, self.stopping));
        }
    }

    fn say(&mut self, text: String) {
        if text != self.superior.told {
            self.tell(|starter| starter.status(&text));
            self.superior.told = text;
        }
    }

    fn tell(&mut self, news: impl FnOnce(&mut Starter) -> io::Result<()>) {
        if let Err(e) = news(&mut self.superior.starter) {
            log!(Level::Warn, MODULE, "whoever started us cannot be told: {e}");
        }
    }
}

/// How it stands, in a line: how many are up, and who is meant to be and is not.
fn line(phases: &[(&str, Phase)], stopping: bool) -> String {
    let alive = phases.iter().filter(|(_, phase)| phase.is_alive()).count();
    if stopping {
        return format!("stopping, {alive} of {} still run", phases.len());
    }
    let up = phases.iter().filter(|(_, phase)| matches!(phase, Phase::Up(_))).count();
    let mut line = format!("{up} of {} up", phases.len());
    let others: Vec<_> = phases.iter().filter(|(_, phase)| !matches!(phase, Phase::Up(_) | Phase::Down)).collect();
    for (name, phase) in others.iter().take(FEW) {
        line += &format!("; {name} {}", phase.word());
    }
    if others.len() > FEW {
        line += &format!("; and {} more", others.len() - FEW);
    }
    line
}

/// What is asked for beyond what is needed: a kill takes its time as well.
const MARGIN: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);
const FEW: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_counts_who_is_up_and_names_a_few_who_are_not() {
        let up = Phase::Up(Instant::now());
        assert_eq!(line(&[("a", up), ("b", Phase::Down)], false), "1 of 2 up");
        assert_eq!(line(&[("a", up), ("b", Phase::Waiting)], false), "1 of 2 up; b waiting");
        let many: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| (name, Phase::Starting)).to_vec();
        assert_eq!(line(&many, false), "0 of 5 up; a starting; b starting; c starting; and 2 more");
        assert_eq!(line(&[("a", up), ("b", Phase::Down)], true), "stopping, 1 of 2 still run");
    }
}
