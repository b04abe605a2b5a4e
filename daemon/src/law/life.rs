//! The life of one supervised process, as a pure function: `step(rules, life, event) -> (life, actions)`.
//!
//! Does no I/O and reads no clock. The driver feeds it what happened and does what it says, in order; at most one timer
//! belongs to a process at any time, and it dies with the phase that asked for it. Every start goes through
//! [`Action::Look`]: whether all is there that the process needs is asked of the system each time.

use super::tally::Tally;
use msf_conf::daemon::{Policy, Process, Restart};
use std::mem::discriminant;
use std::time::{Duration, Instant};

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not running, and not meant to.
    Down,
    /// Meant to run; something it needs is not there.
    Held(Reason),
    /// Being started: it runs perhaps, and has not said that it is ready.
    Starting,
    /// Running and ready since then.
    Up(Instant),
    /// The same, and its successor is being started beside it.
    Upgrading(Instant),
    /// Dead; the timer will start it again.
    Waiting,
    /// Told to end; the timer will kill it.
    Stopping(Next),
}

/// Why a process is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is being looked whether all is there; over when the driver is done.
    Looking,
    /// Somebody it comes `after` is on his way up.
    After,
    /// Somebody it `requires` is not up.
    Requires,
    /// A file or a device of `wait_for` is not there.
    Missing,
}

/// What comes after the end of a process that was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Down,
    /// A start at once, its deaths forgotten.
    Fresh,
    /// As after a death, having been up for so long: it was ended for its own good.
    ByLaw(Duration),
    /// A start as soon as what it needs is there.
    Held,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is to run.
    WantUp,
    /// It is to run no more.
    WantDown,
    /// It is to run anew: what it is run with has changed, or somebody asked.
    Restart,
    /// What it needs may have come or gone.
    Look,
    /// Everything it needs is there.
    Present,
    /// Something is not.
    Absent(Reason),
    /// Somebody it requires has stopped for good.
    Lost,
    /// It runs; of one that is being upgraded, its successor, and so are the next two.
    Spawned,
    /// It does not, and never did.
    Unstartable {
        /// A random number for the delay.
        chance: u8,
    },
    /// It is ready.
    Ready(Instant),
    /// It runs, and does not do what it is for.
    Unhealthy(Instant),
    /// It has ended.
    Died {
        /// When.
        at: Instant,
        /// Whether it ended as one that has done its work.
        clean: bool,
        /// A random number for the delay.
        chance: u8,
    },
    /// Its program is to be replaced while it runs.
    Upgrade,
    /// Its successor has ended before it was ready.
    HeirDied,
    /// The phase's timer ran out.
    Timeout,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look whether everything it needs is there; the answer is `Present` or `Absent`.
    Look,
    /// Start it; the answer is `Spawned` or `Unstartable`.
    Spawn,
    /// Arm the phase's timer.
    Arm(Duration),
    /// Ask it to end.
    Terminate,
    /// End it.
    Kill,
    /// Start its successor beside it; the answer is `Spawned` or `Unstartable`.
    SpawnHeir,
    /// End the successor.
    EndHeir,
    /// The successor is the process from now on; what was the process before, if it still runs, ends on its own.
    Promote,
}

/// Everything that is remembered of a process between two events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// What it is.
    pub phase: Phase,
    /// Its deaths, as far as they still count.
    pub tally: Tally,
    /// How often it was started again by itself.
    pub restarts: u64,
}

/// What the configuration says of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How it comes back.
    pub restart: Restart,
    /// How long it may take to become ready; `None` when it is ready as soon as it runs.
    pub start_timeout: Option<Duration>,
    /// How long it may take to end.
    pub stop_timeout: Duration,
    /// How often it is looked for what is missing.
    pub look_again: Duration,
    /// How long its successor may take to become ready.
    pub upgrade_timeout: Duration,
}

impl Rules {
    /// Those of an entry.
    pub fn of(entry: &Process) -> Rules {
        Rules {
            restart: entry.restart,
            start_timeout: entry.ready.timeout(),
            stop_timeout: entry.stop.timeout,
            look_again: entry.order.look_again,
            upgrade_timeout: entry.upgrade.timeout,
        }
    }
}

impl Phase {
    /// Whether there may be a process in the system.
    pub fn is_alive(self) -> bool {
        matches!(self, Phase::Starting | Phase::Up(_) | Phase::Upgrading(_) | Phase::Stopping(_))
    }

    /// Since when it is up, if it is.
    pub fn up_since(self) -> Option<Instant> {
        match self {
            Phase::Up(since) | Phase::Upgrading(since) => Some(since),
            _ => None,
        }
    }

    /// As people and programs see it. One that is just being looked after is starting.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Down => "down",
            Phase::Held(Reason::Looking) | Phase::Starting => "starting",
            Phase::Held(_) => "held",
            Phase::Up(_) => "up",
            Phase::Upgrading(_) => "upgrading",
            Phase::Waiting => "waiting",
            Phase::Stopping(_) => "stopping",
        }
    }

    /// Whether becoming `next` is a change that others hear of. That a look was taken and all was there is none, nor is
    /// another intention with one that is ending.
    pub fn is_changed_by(self, next: Phase) -> bool {
        let looked = (self, next) == (Phase::Held(Reason::Looking), Phase::Starting);
        let ending = matches!((self, next), (Phase::Stopping(_), Phase::Stopping(_)));
        self != next && !looked && !ending
    }

    /// Whether it is worth a line in what is kept of the process: one that is over when the driver is done is not, nor is
    /// the start, before which there is a line with its mark.
    pub fn is_lasting(self) -> bool {
        !matches!(self, Phase::Held(Reason::Looking) | Phase::Starting)
    }

    /// Whether a timer armed in `self` still means something in `next`.
    pub fn keeps_timer(self, next: Phase) -> bool {
        match (self, next) {
            (Phase::Held(before), Phase::Held(after)) => before == after,
            (before, after) => discriminant(&before) == discriminant(&after),
        }
    }
}

impl Life {
    /// Down, and without a past.
    pub const NEW: Life = Life { phase: Phase::Down, tally: Tally::NONE, restarts: 0 };

    fn to(self, phase: Phase, actions: &[Action]) -> (Life, Vec<Action>) {
        (Life { phase, ..self }, actions.to_vec())
    }

    /// As [`Life::to`], and its deaths are forgotten.
    fn fresh(self, phase: Phase, actions: &[Action]) -> (Life, Vec<Action>) {
        Life { tally: Tally::NONE, ..self }.to(phase, actions)
    }

    fn stop(self, rules: &Rules, next: Next) -> (Life, Vec<Action>) {
        let actions = [Action::EndHeir, Action::Terminate, Action::Arm(rules.stop_timeout)];
        let skipped = usize::from(!matches!(self.phase, Phase::Upgrading(_)));
        self.to(Phase::Stopping(next), &actions[skipped..])
    }

    /// Counted when it is due, not when it succeeds: it may be held.
    fn again(self) -> (Life, Vec<Action>) {
        Life { restarts: self.restarts + 1, ..self }.to(Phase::Held(Reason::Looking), &[Action::Look])
    }

    /// The next start, as the law wants it.
    fn later(self, (tally, delay): (Tally, Duration)) -> (Life, Vec<Action>) {
        let life = Life { tally, ..self };
        if delay.is_zero() { life.again() } else { life.to(Phase::Waiting, &[Action::Arm(delay)]) }
    }

    /// A death nobody asked for.
    fn died(self, law: &Restart, at: Instant, up: Duration, clean: bool, chance: u8) -> (Life, Vec<Action>) {
        match law.policy {
            Policy::Never => self.fresh(Phase::Down, &[]),
            Policy::OnFailure if clean => self.fresh(Phase::Down, &[]),
            Policy::Always | Policy::OnFailure => self.later(self.tally.death(law, at, up, chance)),
        }
    }
}

/// What a process becomes by `event`, and what is to be done for it.
pub fn step(rules: &Rules, life: Life, event: Event) -> (Life, Vec<Action>) {
    use {Event::*, Phase::*};
    let law = &rules.restart;
    match (life.phase, event) {
        // What is begun or changed by hand deserves a start at once, and a full bucket.
        (Down, WantUp | Restart) | (Held(_) | Waiting, Restart) => life.fresh(Held(Reason::Looking), &[Action::Look]),
        (Held(_) | Waiting, WantDown) => life.fresh(Down, &[]),

        (Held(reason), Look | Timeout) => life.to(Held(reason), &[Action::Look]),
        (Held(_), Present) => life.to(Starting, &[Action::Spawn]),
        // Who comes up tells who waits for him; of a file nobody tells.
        (Held(_), Absent(Reason::Missing)) => life.to(Held(Reason::Missing), &[Action::Arm(rules.look_again)]),
        (Held(_), Absent(reason)) => life.to(Held(reason), &[]),

        (Starting, Spawned) => match rules.start_timeout {
            Some(timeout) => life.to(Starting, &[Action::Arm(timeout)]),
            None => life.to(Starting, &[]),
        },
        (Starting, Unstartable { .. }) if law.policy == Policy::Never => life.fresh(Down, &[]),
        (Starting, Unstartable { chance }) => life.later(life.tally.no_start(law, chance)),
        (Starting, Ready(at)) => life.to(Up(at), &[]),
        (Starting, Died { at, clean, chance }) => life.died(law, at, Duration::ZERO, clean, chance),
        (Up(since), Died { at, clean, chance }) => {
            life.died(law, at, at.saturating_duration_since(since), clean, chance)
        }
        (Starting, Timeout | Unhealthy(_)) => life.stop(rules, Next::ByLaw(Duration::ZERO)),
        (Up(since) | Upgrading(since), Unhealthy(at)) => {
            life.stop(rules, Next::ByLaw(at.saturating_duration_since(since)))
        }
        (Starting | Up(_) | Upgrading(_), WantDown) => life.stop(rules, Next::Down),
        (Starting | Up(_) | Upgrading(_), Restart) => life.stop(rules, Next::Fresh),
        (Starting | Up(_) | Upgrading(_), Lost) => life.stop(rules, Next::Held),

        (Up(since), Upgrade) => life.to(Upgrading(since), &[Action::SpawnHeir]),
        (Upgrading(_), Spawned) => life.to(life.phase, &[Action::Arm(rules.upgrade_timeout)]),
        (Upgrading(_), Ready(at)) => life.to(Up(at), &[Action::Promote]),
        // Whatever the successor fails of, what runs goes on.
        (Upgrading(since), Unstartable { .. } | HeirDied) => life.to(Up(since), &[]),
        (Upgrading(since), Timeout) => life.to(Up(since), &[Action::EndHeir]),
        // It has handed over and ended, and the successor has not said yet that it is ready; or it was killed, and the
        // successor is who comes next in any case. Neither is a restart.
        (Upgrading(_), Died { .. }) => life.to(Starting, &[Action::Promote, Action::Arm(rules.upgrade_timeout)]),

        (Waiting, Timeout) => life.again(),

        (Stopping(Next::Down), WantUp) | (Stopping(_), Restart) => life.to(Stopping(Next::Fresh), &[]),
        (Stopping(_), WantDown) => life.to(Stopping(Next::Down), &[]),
        // One that hangs in the kernel is told again, and the log with it.
        (Stopping(_), Timeout) => life.to(life.phase, &[Action::Kill, Action::Arm(rules.stop_timeout.max(KILL_AGAIN))]),
        (Stopping(Next::Down), Died { .. }) => life.fresh(Down, &[]),
        (Stopping(Next::Fresh | Next::Held), Died { .. }) => life.fresh(Held(Reason::Looking), &[Action::Look]),
        (Stopping(Next::ByLaw(up)), Died { at, chance, .. }) => life.died(law, at, up, false, chance),

        // It is so already, or on its way there.
        (Down, WantDown) | (Held(_) | Starting | Up(_) | Upgrading(_) | Waiting | Stopping(_), WantUp) => {
            life.to(life.phase, &[])
        }
        // Only what is up can be upgraded, and once at a time; nobody else has an heir.
        (Down | Held(_) | Starting | Upgrading(_) | Waiting | Stopping(_), Upgrade)
        | (Down | Held(_) | Starting | Up(_) | Waiting | Stopping(_), HeirDied) => life.to(life.phase, &[]),
        // Whoever is not started has nothing to lose, and who is being ended is ended.
        (Down | Held(_) | Waiting | Stopping(_), Lost | Unhealthy(_)) => life.to(life.phase, &[]),
        // Only who is held looks.
        (Down | Starting | Up(_) | Upgrading(_) | Waiting | Stopping(_), Look | Present | Absent(_)) => {
            life.to(life.phase, &[])
        }
        // No timer runs in these phases, nothing runs that could die, only what is started says so, and once.
        (Down | Up(_), Timeout) | (Down | Held(_) | Waiting, Died { .. }) => life.to(life.phase, &[]),
        (Down | Held(_) | Up(_) | Waiting | Stopping(_), Spawned | Unstartable { .. } | Ready(_)) => {
            life.to(life.phase, &[])
        }
    }
}

const KILL_AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
