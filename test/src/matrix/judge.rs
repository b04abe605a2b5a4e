//! Calls held against deaths.
//!
//! A call is late if it ends more than so long (100 ms) after the first death while it was under way, or, without one, after it
//! began: nobody waits for the dead, whether they died before or meanwhile. It is calm if nobody whom it needs died within
//! the second before its end. Of what is late it is also told how much would not be, had the machine not kept even an idle
//! thread waiting meanwhile.

use super::call::{Call, Death, Names, Outcome};
use super::noise::Noise;
use std::fmt::Write as _;

const GRACE: u64 = 1_000_000_000;
/// Enough to see what is wrong.
const COMPLAINTS: usize = 20;

/// All counts of a run.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What is late, in nanoseconds.
    pub notice: u64,
    /// Calls in all.
    pub calls: usize,
    /// With the right answer.
    pub right: usize,
    /// That have failed.
    pub failed: usize,
    /// With a wrong answer.
    pub wrong: usize,
    /// Without an end.
    pub hung: usize,
    /// Later than allowed.
    pub late: usize,
    /// Of those: with the machine's own lateness taken off they are late still.
    pub late_still: usize,
    /// Calls of which nobody they need has died within a second.
    pub calm: usize,
    /// Of those, the right ones.
    pub calm_right: usize,
    /// One for each kind of victim.
    pub victims: Vec<Victim>,
    /// What was wrong, in words, and how late it was; in the end the worst of it.
    pub complaints: Vec<(u64, String)>,
}

/// What the deaths of one kind of victim did.
#[derive(Debug, Default)]
pub struct Victim {
    /// Whose.
    pub name: String,
    /// How many.
    pub deaths: usize,
    /// How long after the death the last call that was under way ended, at most.
    pub longest_notice: u64,
    /// Calls that failed while it died.
    pub failed: usize,
    /// From each death to the first right answer of a call that began after it and needs the victim.
    pub recoveries: Vec<u64>,
}

/// Judges calls in any order against deaths in the order of time.
pub fn judge(mut calls: Vec<Call>, deaths: &[Death], noise: &Noise, names: &Names, notice: u64) -> Verdict {
    calls.sort_unstable_by_key(|call| call.ended);
    let mut verdict = Verdict { calls: calls.len(), notice, ..Verdict::default() };
    for death in deaths {
        verdict.victim(&death.victim).deaths += 1;
    }
    for call in &calls {
        verdict.count(call);
        verdict.hold_against(call, deaths, noise, names);
    }
    verdict.keep_worst();
    for (index, death) in deaths.iter().enumerate() {
        // Only until it dies again: a later life's answer says nothing of this one.
        let next = deaths[index + 1..].iter().find(|next| next.victim == death.victim).map_or(u64::MAX, |next| next.at);
        let first = calls.partition_point(|call| call.ended <= death.at);
        let is_back =
            |call: &&Call| call.begun > death.at && call.outcome == Outcome::Right && death.concerns(call.target);
        if let Some(call) = calls[first..].iter().take_while(|call| call.ended < next).find(is_back) {
            verdict.victim(&death.victim).recoveries.push(call.ended - death.at);
        }
    }
    verdict
}

impl Verdict {
    fn count(&mut self, call: &Call) {
        match call.outcome {
            Outcome::Right => self.right += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Wrong => self.wrong += 1,
            Outcome::Hung => self.hung += 1,
        }
    }

    fn hold_against(&mut self, call: &Call, deaths: &[Death], noise: &Noise, names: &Names) {
        let first = deaths.partition_point(|death| death.at < call.begun.saturating_sub(GRACE));
        let near = || deaths[first..].iter().take_while(|death| death.at <= call.ended);
        let died = near().find(|death| death.at >= call.begun);
        let from = died.map_or(call.begun, |death| death.at);
        let took = call.ended.saturating_sub(from);
        if let Some(death) = died {
            let victim = self.victim(&death.victim);
            victim.longest_notice = victim.longest_notice.max(took);
            victim.failed += usize::from(call.outcome == Outcome::Failed);
        }
        let is_late = took > self.notice;
        self.late += usize::from(is_late);
        let still = took.saturating_sub(noise.between(from, call.ended)) > self.notice;
        self.late_still += usize::from(is_late && still);
        let is_calm = !near().any(|death| death.concerns(call.target));
        self.calm += usize::from(is_calm);
        self.calm_right += usize::from(is_calm && call.outcome == Outcome::Right);
        if is_late
            || matches!(call.outcome, Outcome::Wrong | Outcome::Hung)
            || (is_calm && call.outcome != Outcome::Right)
        {
            self.complain(call, died.or_else(|| near().last()), took, names);
        }
    }

    fn complain(&mut self, call: &Call, death: Option<&Death>, took: u64, names: &Names) {
        let mut what = format!("a call of {}: {:?} ({})", names.of(call.target), call.outcome, call.why);
        let millis = |nanos: u64| nanos as f64 / 1e6;
        // Into a String: this cannot fail.
        let _ =
            write!(what, " after {:.1} ms, {:.1} ms late to be told", millis(call.ended - call.begun), millis(took));
        if let Some(death) = death {
            let since = (call.begun as f64 - death.at as f64) / 1e6;
            let _ = write!(what, "; begun {since:.1} ms after the death of {} at {}", death.victim, death.at);
        }
        // What is wrong or hangs is worse than anything late.
        let is_late = matches!(call.outcome, Outcome::Right | Outcome::Failed);
        self.complaints.push((if is_late { took } else { u64::MAX }, what));
        if self.complaints.len() > 50 * COMPLAINTS {
            self.keep_worst();
        }
    }

    fn keep_worst(&mut self) {
        self.complaints.sort_by_key(|(took, _)| std::cmp::Reverse(*took));
        self.complaints.truncate(COMPLAINTS);
    }

    fn victim(&mut self, name: &str) -> &mut Victim {
        let place = self.victims.iter().position(|victim| victim.name == name).unwrap_or_else(|| {
            self.victims.push(Victim { name: name.to_owned(), ..Victim::default() });
            self.victims.len() - 1
        });
        &mut self.victims[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn call(begun: u64, ended: u64, outcome: Outcome) -> Call {
        Call { target: 0, begun: begun * MS, ended: ended * MS, outcome, why: 0 }
    }

    fn death(at: u64) -> Death {
        Death { victim: "agent".to_owned(), at: at * MS, targets: Vec::new(), is_felt: true }
    }

    fn judged(calls: Vec<Call>, deaths: &[Death]) -> Verdict {
        judge(calls, deaths, &Noise::default(), &Names::default(), 100 * MS)
    }

    #[test]
    fn a_call_has_a_hundred_milliseconds_from_the_first_death_it_meets() {
        let calls = vec![call(1900, 2100, Outcome::Failed), call(1900, 2101, Outcome::Failed)];
        let verdict = judged(calls, &[death(2000), death(2050)]);
        assert_eq!((verdict.late, verdict.failed, verdict.calm), (1, 2, 0));
        assert_eq!(verdict.victims[0].longest_notice, 101 * MS);
    }

    #[test]
    fn who_calls_the_dead_is_told_as_soon() {
        let verdict = judged(vec![call(2500, 2601, Outcome::Right)], &[death(2000)]);
        assert_eq!((verdict.late, verdict.late_still, verdict.calm), (1, 1, 0));
        assert_eq!(verdict.victims[0].recoveries, [601 * MS]);
    }

    #[test]
    fn a_failure_counts_against_the_share_when_nobody_it_needs_has_died() {
        let elsewhere = Death { targets: vec![7], ..death(2000) };
        let verdict = judged(vec![call(2001, 2002, Outcome::Failed), call(3001, 3002, Outcome::Right)], &[elsewhere]);
        assert_eq!((verdict.calm, verdict.calm_right), (2, 1));
        assert!(verdict.victims[0].recoveries.is_empty());
        assert_eq!(judged(vec![call(3001, 3002, Outcome::Failed)], &[death(2000)]).calm, 1);
    }

    #[test]
    fn the_machines_own_lateness_is_told_apart_and_still_counted() {
        let noise = Noise::of(&[(2000 * MS, 2050 * MS)]);
        let calls = vec![call(1990, 2140, Outcome::Failed)];
        let verdict = judge(calls, &[death(2000)], &noise, &Names::default(), 100 * MS);
        assert_eq!((verdict.late, verdict.late_still), (1, 0));
    }

    #[test]
    fn an_answer_of_the_next_life_is_no_recovery_of_this_one() {
        let verdict = judged(vec![call(3100, 3110, Outcome::Right)], &[death(2000), death(3000)]);
        assert_eq!(verdict.victims[0].recoveries, [110 * MS]);
    }
}
