//! How long to wait before the next attempt to reach the agent.

use std::time::Duration;

/// Waits that grow by half from 10 ms to 2 s: an agent that was away for a second is found again within half a second,
/// one that is away for good costs an attempt every other second.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
}

impl Backoff {
    /// The first wait will be the shortest.
    #[must_use]
    pub const fn new() -> Self {
        Self { next: SHORTEST }
    }

    /// The wait before the attempt that comes now; the one after it will be longer.
    pub fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 3 / 2).min(LONGEST);
        wait
    }

    /// After a success: a later loss begins with the shortest wait again.
    pub const fn reset(&mut self) {
        self.next = SHORTEST;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wait_is_short_and_the_waits_end_at_two_seconds() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..30).map(|_| backoff.wait()).collect();
        assert!(waits[0] <= Duration::from_millis(50));
        assert!(waits.is_sorted());
        assert_eq!(waits[29], LONGEST);
    }

    #[test]
    fn no_wait_is_longer_than_half_of_the_time_already_waited_or_ten_milliseconds_more() {
        let (mut backoff, mut waited) = (Backoff::new(), Duration::ZERO);
        while waited < LONGEST {
            let wait = backoff.wait();
            assert!(wait <= waited / 2 + SHORTEST, "{wait:?} after {waited:?}");
            waited += wait;
        }
    }

    #[test]
    fn after_a_reset_it_begins_anew() {
        let mut backoff = Backoff::new();
        backoff.wait();
        backoff.wait();
        backoff.reset();
        assert_eq!(backoff.wait(), SHORTEST);
    }
}
