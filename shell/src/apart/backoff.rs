//! When an isolated service gets its next process: the law by which msf_daemon restarts. Pure; time is
//! an argument.

use msf_conf::daemon::{Policy, Restart};
use std::time::{Duration, Instant};

/// What is remembered of the deaths of one service.
#[derive(Clone, Debug)]
pub struct Backoff {
    law: Restart,
    /// Restarts at once that are left, and since when they grow again.
    left: u32,
    since: Instant,
    /// Delays in a row.
    delays: u32,
}

impl Backoff {
    /// No deaths.
    pub fn new(law: Restart, now: Instant) -> Backoff {
        Backoff { left: law.immediate, since: now, delays: 0, law }
    }

    /// From now on this is the law.
    pub fn heed(&mut self, law: Restart) {
        self.left = self.left.saturating_sub(self.law.immediate.saturating_sub(law.immediate));
        self.law = law;
    }

    /// Whether there is a next process after such an end.
    pub fn comes_back(&self, in_order: bool) -> bool {
        match self.law.policy {
            Policy::Always => true,
            Policy::OnFailure => !in_order,
            Policy::Never => false,
        }
    }

    /// One that was up for so long has died: how long to wait.
    pub fn death(&mut self, now: Instant, up: Duration) -> Duration {
        if up >= self.law.reset {
            *self = Backoff::new(self.law, now);
        }
        let refill = self.law.refill.max(Duration::from_nanos(1));
        let grown = now.saturating_duration_since(self.since).as_nanos() / refill.as_nanos();
        let grown = u32::try_from(grown).unwrap_or(u32::MAX);
        (self.left, self.since) = match self.left.saturating_add(grown) {
            full if full >= self.law.immediate => (self.law.immediate, now),
            some => (some, self.since + refill * grown),
        };
        if self.left > 0 {
            self.left -= 1;
            return Duration::ZERO;
        }
        self.failure()
    }

    /// One could not even be taken up: another try at once would meet the same.
    pub fn failure(&mut self) -> Duration {
        let delay = self.law.delay.saturating_mul(2u32.saturating_pow(self.delays)).min(self.law.delay_max);
        self.delays = self.delays.saturating_add(1);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_of_restarts_at_once_then_delays_that_double_and_end() {
        let (law, now) = (Restart::default(), Instant::now());
        let mut backoff = Backoff::new(law, now);
        for _ in 0..law.immediate {
            assert_eq!(backoff.death(now, Duration::ZERO), Duration::ZERO);
        }
        assert_eq!(backoff.death(now, Duration::ZERO), law.delay);
        assert_eq!(backoff.death(now, Duration::ZERO), law.delay * 2);
        assert_eq!(backoff.failure(), law.delay * 4);
        for _ in 0..100 {
            backoff.death(now, Duration::ZERO);
        }
        assert_eq!(backoff.death(now, Duration::ZERO), law.delay_max);
    }

    #[test]
    fn the_bucket_fills_with_time_and_a_long_life_forgets_everything() {
        let (law, now) = (Restart::default(), Instant::now());
        let mut backoff = Backoff::new(law, now);
        for _ in 0..law.immediate + 3 {
            backoff.death(now, Duration::ZERO);
        }
        let later = now + law.refill;
        assert_eq!(backoff.death(later, Duration::ZERO), Duration::ZERO);
        assert!(backoff.death(later, Duration::ZERO) > Duration::ZERO);
        assert_eq!(backoff.death(later, law.reset), Duration::ZERO);
        assert_eq!(backoff.failure(), law.delay);
    }

    #[test]
    fn the_policy_says_after_which_ends_there_is_a_next_one() {
        let ends = |policy| {
            let backoff = Backoff::new(Restart { policy, ..Restart::default() }, Instant::now());
            (backoff.comes_back(true), backoff.comes_back(false))
        };
        assert_eq!(ends(Policy::Always), (true, true));
        assert_eq!(ends(Policy::OnFailure), (false, true));
        assert_eq!(ends(Policy::Never), (false, false));
    }
}
