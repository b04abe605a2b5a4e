//! Whether a process is well, from what its probes and heartbeats say: so many failures in a row make it ill, so many
//! successes make it well again. Pure.

use msf_conf::daemon::Health;

/// What is remembered between two answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// What it is held to be; nothing before the first answer.
    pub verdict: Option<Verdict>,
    failures: u32,
    successes: u32,
}

/// What a process is held to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answers.
    Well,
    /// It does not.
    Ill,
}

/// What an answer changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is ill: somebody is told, and something is done.
    FellIll,
    /// It is well again: somebody is told.
    Recovered,
}

impl Pulse {
    /// Of a process that was held to be this before we came.
    pub fn known(verdict: Option<Verdict>) -> Pulse {
        Pulse { verdict, ..Pulse::default() }
    }

    /// As of the process that is started in its place: whoever was ill is so until the new one answers.
    pub fn of_successor(self) -> Pulse {
        Pulse { failures: 0, successes: 0, ..self }
    }
}

/// One more answer.
pub fn step(rules: &Health, pulse: Pulse, answered: bool) -> (Pulse, Option<Turn>) {
    let failures = if answered { 0 } else { pulse.failures.saturating_add(1) };
    let successes = if answered { pulse.successes.saturating_add(1) } else { 0 };
    let (verdict, turn) = match pulse.verdict {
        // Exactly as often: what was done about it is not done again at every further failure of the same process.
        _ if failures == rules.failures => (Some(Verdict::Ill), Some(Turn::FellIll)),
        Some(Verdict::Ill) if successes >= rules.successes => (Some(Verdict::Well), Some(Turn::Recovered)),
        None if answered => (Some(Verdict::Well), None),
        verdict => (verdict, None),
    };
    (Pulse { verdict, failures, successes }, turn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use msf_conf::daemon::{Act, Check};
    use std::time::Duration;

    fn rules(failures: u32, successes: u32) -> Health {
        let (interval, start_after) = (Duration::from_secs(1), Duration::ZERO);
        Health { way: Check::Heartbeat, interval, failures, successes, start_after, act: Act::Restart }
    }

    /// What every answer of a row brings: `i` falls ill, `w` recovers, `.` nothing.
    fn turns(rules: &Health, pulse: &mut Pulse, answers: &str) -> String {
        let one = |answer: char| {
            let (next, turn) = step(rules, *pulse, answer == '+');
            *pulse = next;
            turn.map_or('.', |turn| if turn == Turn::FellIll { 'i' } else { 'w' })
        };
        answers.chars().map(one).collect()
    }

    #[test]
    fn only_failures_in_a_row_make_ill_and_only_successes_in_a_row_make_well() {
        let row = |answers| turns(&rules(3, 2), &mut Pulse::default(), answers);
        assert_eq!(row("+--+--+-+-"), "..........");
        assert_eq!(row("---"), "..i");
        assert_eq!(row("+-----+-++"), "...i.....w");
        // Once for each row of failures: one that goes on failing is not reported again.
        assert_eq!(row("---------"), "..i......");
        assert_eq!(row("---++---"), "..i.w..i");
    }

    #[test]
    fn who_takes_the_place_of_one_that_was_ill_recovers_or_falls_ill_anew() {
        let mut pulse = Pulse::default();
        assert_eq!(turns(&rules(2, 1), &mut pulse, "+--"), "..i");
        pulse = pulse.of_successor();
        assert_eq!(pulse.verdict, Some(Verdict::Ill));
        assert_eq!(turns(&rules(2, 1), &mut pulse, "-"), ".");
        let mut well = pulse;
        assert_eq!(turns(&rules(2, 1), &mut pulse, "-"), "i");
        assert_eq!(turns(&rules(2, 1), &mut well, "+"), "w");
        // As of one that a daemon before us has found ill.
        assert_eq!(turns(&rules(2, 1), &mut Pulse::known(Some(Verdict::Ill)), "+"), "w");
        assert_eq!(turns(&rules(2, 1), &mut Pulse::known(None), "+"), ".");
    }
}
