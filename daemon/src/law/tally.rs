//! The restart law: how long to wait after a death. Pure; time and chance are arguments.
//!
//! A bucket of immediate restarts comes first, so that a rare crash costs nothing. When it is empty, a delay doubles from
//! death to death: a program that cannot run must not eat the machine, and is never given up either. Both are
//! forgotten once the process has stayed up.

use msf_conf::daemon::Restart;
use std::time::{Duration, Instant};

/// What is remembered of the deaths of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Immediate restarts taken from the bucket and not yet refilled.
    taken: u32,
    /// When the oldest of them began to come back.
    refilling_since: Option<Instant>,
    /// How many delays in a row there were.
    delays: u32,
}

impl Tally {
    /// No deaths.
    pub const NONE: Tally = Tally { taken: 0, refilling_since: None, delays: 0 };

    /// What it consists of: taken from the bucket, since when that refills, delays.
    pub fn parts(self) -> (u32, Option<Instant>, u32) {
        (self.taken, self.refilling_since, self.delays)
    }

    /// The tally that consists of these.
    pub fn of_parts(taken: u32, refilling_since: Option<Instant>, delays: u32) -> Tally {
        Tally { taken, refilling_since, delays }
    }

    /// A death at `now` after `up` of being up: when to start again. `chance` spreads delays, so that processes which
    /// died together do not come back together; it only ever shortens them, by up to a quarter.
    pub fn death(self, law: &Restart, now: Instant, up: Duration, chance: u8) -> (Tally, Duration) {
        let tally = if up >= law.reset { Tally::NONE } else { self.refilled(law, now) };
        if tally.taken < law.immediate {
            let since = tally.refilling_since.or(Some(now));
            return (Tally { taken: tally.taken + 1, refilling_since: since, ..tally }, Duration::ZERO);
        }
        tally.delayed(law, chance)
    }

    /// The program could not even be executed: another try at once would meet the same. The bucket is kept for deaths.
    pub fn no_start(self, law: &Restart, chance: u8) -> (Tally, Duration) {
        self.delayed(law, chance)
    }

    fn delayed(self, law: &Restart, chance: u8) -> (Tally, Duration) {
        let doubled = law.delay.saturating_mul(2u32.saturating_pow(self.delays)).min(law.delay_max);
        let spread = doubled / 4 * u32::from(chance) / u32::from(u8::MAX);
        (Tally { delays: self.delays.saturating_add(1), ..self }, doubled - spread)
    }

    fn refilled(self, law: &Restart, now: Instant) -> Tally {
        let Some(since) = self.refilling_since else { return self };
        let back = now.saturating_duration_since(since).as_nanos() / law.refill.as_nanos().max(1);
        let back = u32::try_from(back).unwrap_or(u32::MAX);
        if back >= self.taken {
            return Tally { taken: 0, refilling_since: None, ..self };
        }
        Tally { taken: self.taken - back, refilling_since: Some(since + law.refill * back), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YOUNG: Duration = Duration::from_millis(1);

    fn law(immediate: u32) -> Restart {
        Restart { immediate, ..Restart::default() }
    }

    /// The delays of `deaths` in a row, each right after the last start.
    fn delays(law: &Restart, deaths: usize, chance: u8) -> Vec<u64> {
        let mut now = Instant::now();
        let mut tally = Tally::NONE;
        let mut delays = Vec::new();
        for _ in 0..deaths {
            let (next, delay) = tally.death(law, now, YOUNG, chance);
            tally = next;
            now += delay;
            delays.push(u64::try_from(delay.as_millis()).unwrap());
        }
        delays
    }

    #[test]
    fn ten_restarts_are_immediate_and_then_delays_double() {
        let first = delays(&law(10), 14, 0);
        assert_eq!(first, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200, 400, 800]);
    }

    #[test]
    fn delays_end_at_the_maximum_and_never_overflow() {
        let slow = Restart { refill: Duration::from_secs(86_400), ..law(0) };
        let all = delays(&slow, 100, 0);
        assert_eq!(all[5..9], [3200, 6400, 10_000, 10_000]);
        assert_eq!(all[99], 10_000);
    }

    #[test]
    fn chance_shortens_by_at_most_a_quarter() {
        assert_eq!(delays(&law(0), 2, u8::MAX), [75, 150]);
        assert_eq!(delays(&law(0), 1, 0), [100]);
    }

    #[test]
    fn a_start_that_fails_waits_at_once_and_leaves_the_bucket_full() {
        let law = law(10);
        let (tally, delay) = Tally::NONE.no_start(&law, 0);
        assert_eq!(delay, law.delay);
        let (tally, delay) = tally.no_start(&law, 0);
        assert_eq!(delay, law.delay * 2);
        assert_eq!(tally.death(&law, Instant::now(), YOUNG, 0).1, Duration::ZERO);
    }

    #[test]
    fn one_immediate_restart_comes_back_every_refill() {
        let law = law(2);
        let start = Instant::now();
        let (tally, _) = Tally::NONE.death(&law, start, YOUNG, 0);
        let (tally, _) = tally.death(&law, start, YOUNG, 0);
        let (tally, delay) = tally.death(&law, start + Duration::from_secs(9), YOUNG, 0);
        assert_eq!(delay, law.delay, "nothing has come back after nine seconds");
        let (tally, delay) = tally.death(&law, start + Duration::from_secs(11), YOUNG, 0);
        assert_eq!(delay, Duration::ZERO, "one has after eleven");
        let (tally, delay) = tally.death(&law, start + Duration::from_secs(19), YOUNG, 0);
        assert_eq!(delay, law.delay * 2, "the next is due at twenty, not at twenty-one");
        assert_eq!(tally.death(&law, start + Duration::from_secs(20), YOUNG, 0).1, Duration::ZERO);
    }

    #[test]
    fn a_process_that_stayed_up_is_forgiven() {
        let law = law(1);
        let now = Instant::now();
        let (tally, _) = Tally::NONE.death(&law, now, YOUNG, 0);
        let (tally, delay) = tally.death(&law, now, YOUNG, 0);
        assert_eq!(delay, law.delay);
        let (tally, delay) = tally.death(&law, now, Duration::from_secs(60), 0);
        assert_eq!(delay, Duration::ZERO);
        assert_eq!(tally.death(&law, now, YOUNG, 0).1, law.delay, "doubling began anew");
    }
}
