//! The life of one supervised process, as a pure function: `step(life, event) -> (life, action)`.
//!
//! Does no I/O and reads no clock. The driver feeds it what happened and does what it says; at most one timer belongs
//! to a process at any time, and it dies with the phase that asked for it.

use crate::law::Tally;
use msf_conf::daemon::Restart;
use std::time::{Duration, Instant};

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not running, and not meant to.
    Down,
    /// Being started: `Started` or `Died` is the answer.
    Starting,
    /// Running since then.
    Up(Instant),
    /// Dead; the timer will start it again.
    Waiting,
    /// Told to end; the timer will kill it.
    Stopping {
        /// Whether it is to be started again once it has ended.
        again: bool,
    },
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is to run.
    WantUp,
    /// It is to run no more.
    WantDown,
    /// It is to run anew: what it is run with has changed.
    Restart,
    /// It runs.
    Started(Instant),
    /// It has ended, or could not be started at all.
    Died {
        /// When.
        at: Instant,
        /// A random number for the delay.
        chance: u8,
    },
    /// The phase's timer ran out.
    Timeout,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Start it.
    Spawn,
    /// Arm the timer.
    Wait(Duration),
    /// Ask it to end, and arm the timer with the time it is given.
    Terminate,
    /// End it.
    Kill,
}

/// Everything that is remembered of a process between two events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// What it is.
    pub phase: Phase,
    /// Its deaths, as far as they still count.
    pub tally: Tally,
}

impl Phase {
    /// Whether it has been told to end.
    pub fn is_stopping(self) -> bool {
        matches!(self, Phase::Stopping { .. })
    }
}

impl Life {
    /// Down, and without a past.
    pub const NEW: Life = Life { phase: Phase::Down, tally: Tally::NONE };
}

/// What a process becomes by `event`, and what is to be done for it.
pub fn step(law: &Restart, life: Life, event: Event) -> (Life, Action) {
    use {Action::*, Event::*, Phase::*};
    let to = |phase, action| (Life { phase, ..life }, action);
    let fresh = |phase, action| (Life { phase, tally: Tally::NONE }, action);
    match (life.phase, event) {
        (Down, WantUp | Restart) => fresh(Starting, Spawn),
        // What is changed by hand deserves a start at once, and a full bucket.
        (Waiting, Restart) => fresh(Starting, Spawn),
        (Waiting, Timeout) => to(Starting, Spawn),
        (Waiting, WantDown) => to(Down, Nothing),

        (Starting, Started(at)) => to(Up(at), Nothing),
        // It never ran.
        (Starting, Died { chance, .. }) => after(life.tally.no_start(law, chance)),
        (Up(since), Died { at, chance }) => {
            after(life.tally.death(law, at, at.saturating_duration_since(since), chance))
        }
        (Starting | Up(_), WantDown) => to(Stopping { again: false }, Terminate),
        (Starting | Up(_), Restart) => to(Stopping { again: true }, Terminate),

        (Stopping { .. }, WantUp | Restart) => to(Stopping { again: true }, Nothing),
        (Stopping { .. }, WantDown) => to(Stopping { again: false }, Nothing),
        (Stopping { .. }, Timeout) => to(life.phase, Kill),
        (Stopping { again: true }, Died { .. }) => fresh(Starting, Spawn),
        (Stopping { again: false }, Died { .. }) => fresh(Down, Nothing),

        // It is so already, or on its way there.
        (Down, WantDown) | (Starting | Up(_) | Waiting, WantUp) => to(life.phase, Nothing),
        // No timer runs in these phases, nothing runs that could die, and only what is started says so.
        (Down | Starting | Up(_), Timeout) | (Down | Waiting, Died { .. }) => to(life.phase, Nothing),
        (Down | Up(_) | Waiting | Stopping { .. }, Started(_)) => to(life.phase, Nothing),
    }
}

/// The next start, as the law wants it.
fn after((tally, delay): (Tally, Duration)) -> (Life, Action) {
    if delay.is_zero() {
        (Life { phase: Phase::Starting, tally }, Action::Spawn)
    } else {
        (Life { phase: Phase::Waiting, tally }, Action::Wait(delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of every phase by every event, with a full bucket: the review of `step`.
    #[test]
    fn every_event_in_every_phase() {
        let at = Instant::now();
        let law = Restart::default();
        let phases = [
            Phase::Down,
            Phase::Starting,
            Phase::Up(at),
            Phase::Waiting,
            Phase::Stopping { again: false },
            Phase::Stopping { again: true },
        ];
        let events = [
            Event::WantUp,
            Event::WantDown,
            Event::Restart,
            Event::Started(at),
            Event::Died { at, chance: 0 },
            Event::Timeout,
        ];
        let table = [
            // WantUp              WantDown              Restart                Started     Died                Timeout
            ["starting spawn", "down -", "starting spawn", "down -", "down -", "down -"],
            ["starting -", "stopping terminate", "again terminate", "up -", "waiting wait", "starting -"],
            ["up -", "stopping terminate", "again terminate", "up -", "starting spawn", "up -"],
            ["waiting -", "down -", "starting spawn", "waiting -", "waiting -", "starting spawn"],
            ["again -", "stopping -", "again -", "stopping -", "down -", "stopping kill"],
            ["again -", "stopping -", "again -", "again -", "starting spawn", "again kill"],
        ];
        for (phase, row) in phases.into_iter().zip(table) {
            for (event, expected) in events.into_iter().zip(row) {
                let (life, action) = step(&law, Life { phase, tally: Tally::NONE }, event);
                assert_eq!(told(life.phase, action), expected, "{phase:?} {event:?}");
            }
        }
    }

    fn told(phase: Phase, action: Action) -> String {
        let phase = match phase {
            Phase::Down => "down",
            Phase::Starting => "starting",
            Phase::Up(_) => "up",
            Phase::Waiting => "waiting",
            Phase::Stopping { again: false } => "stopping",
            Phase::Stopping { again: true } => "again",
        };
        let action = match action {
            Action::Nothing => "-",
            Action::Spawn => "spawn",
            Action::Wait(_) => "wait",
            Action::Terminate => "terminate",
            Action::Kill => "kill",
        };
        format!("{phase} {action}")
    }

    #[test]
    fn a_program_that_never_runs_waits_longer_and_longer_and_is_never_given_up() {
        let law = Restart::default();
        let at = Instant::now();
        let mut life = step(&law, Life::NEW, Event::WantUp).0;
        let mut waits = Vec::new();
        for _ in 0..40 {
            let (next, action) = step(&law, life, Event::Died { at, chance: 0 });
            let Action::Wait(delay) = action else { panic!("{action:?}") };
            waits.push(delay);
            life = step(&law, next, Event::Timeout).0;
            assert_eq!(life.phase, Phase::Starting);
        }
        assert_eq!(waits.first(), Some(&law.delay));
        assert!(waits.is_sorted());
        assert_eq!(waits.last(), Some(&law.delay_max));
    }

    /// A driver without a system: a process that may be there, and a timer that may be armed.
    #[test]
    fn whatever_happens_there_is_one_process_at_most_and_who_waits_has_a_timer() {
        let law = Restart { immediate: 1, ..Restart::default() };
        let mut at = Instant::now();
        let (mut life, mut process, mut timer) = (Life::NEW, false, false);
        let mut random = 1u64;
        for _ in 0..100_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            at += Duration::from_millis(random >> 52);
            let mut event = match random >> 33 & 7 {
                0 | 1 => Event::WantUp,
                2 => Event::WantDown,
                3 => Event::Restart,
                4 | 5 if process => Event::Died { at, chance: 9 },
                _ if timer => Event::Timeout,
                _ => continue,
            };
            process &= !matches!(event, Event::Died { .. });
            timer &= event != Event::Timeout;
            loop {
                let before = life.phase;
                let (next, action) = step(&law, life, event);
                life = next;
                timer &= std::mem::discriminant(&before) == std::mem::discriminant(&life.phase);
                match action {
                    Action::Spawn => {
                        assert!(!process, "a second process: {before:?} {event:?}");
                        process = random & 1 == 0;
                        event = if process { Event::Started(at) } else { Event::Died { at, chance: 9 } };
                        continue;
                    }
                    Action::Terminate | Action::Kill => assert!(process, "nobody to end: {before:?} {event:?}"),
                    Action::Wait(_) | Action::Nothing => {}
                }
                timer |= !matches!(action, Action::Nothing);
                break;
            }
            match life.phase {
                Phase::Down => assert!(!process && !timer),
                Phase::Up(_) => assert!(process && !timer),
                Phase::Waiting => assert!(!process && timer),
                Phase::Stopping { .. } => assert!(process && timer),
                Phase::Starting => panic!("starting is over when the driver is done"),
            }
        }
    }

    #[test]
    fn a_restart_by_hand_forgets_the_deaths() {
        let law = Restart { immediate: 0, ..Restart::default() };
        let (life, _) = step(
            &law,
            Life { phase: Phase::Starting, tally: Tally::NONE },
            Event::Died { at: Instant::now(), chance: 0 },
        );
        assert_eq!(life.phase, Phase::Waiting);
        assert_eq!(step(&law, life, Event::Restart).0, Life { phase: Phase::Starting, tally: Tally::NONE });
    }
}
