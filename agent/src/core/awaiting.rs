//! How many answers a caller still waits for, and until when at most: what its own session can know of it.
//!
//! The entries themselves are in the ledgers of the services, on other reactors perhaps. A deadline that passes is
//! told to nobody, so the number may be too large, never too small, and the time bounds it.

use super::message::{Moment, Patience};
use msf_wire::state;

/// One caller's account.
#[derive(Clone, Copy, Debug, Default)]
pub struct Awaiting {
    open: u32,
    until: Moment,
}

state! { struct Awaiting { open, until } }

impl Awaiting {
    /// A request has been made by whoever waits with such patience.
    pub fn asked(&mut self, patience: Patience, now: Moment) {
        let until = match patience {
            Patience::None => return,
            // One more, as in the ledger.
            Patience::Millis(wait) => Moment(now.0 + u64::from(wait) + 1),
            Patience::Forever => Moment(u64::MAX),
        };
        if !self.is_open(now) {
            *self = Awaiting::default();
        }
        self.open += 1;
        self.until = self.until.max(until);
    }

    /// One of them has been answered.
    pub fn answered(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// Whether an answer may still come.
    pub fn is_open(&self, now: Moment) -> bool {
        self.open > 0 && now < self.until
    }
}

/// For how many milliseconds answers are kept for somebody who sends no more.
pub const LINGER: u64 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_closed_by_the_last_answer_or_the_longest_deadline() {
        let mut awaiting = Awaiting::default();
        assert!(!awaiting.is_open(Moment(0)));
        awaiting.asked(Patience::Millis(100), Moment(1000));
        awaiting.asked(Patience::Millis(50), Moment(1000));
        awaiting.asked(Patience::None, Moment(1000));
        assert!(awaiting.is_open(Moment(1100)) && !awaiting.is_open(Moment(1101)));
        awaiting.answered();
        assert!(awaiting.is_open(Moment(1010)));
        awaiting.answered();
        assert!(!awaiting.is_open(Moment(1010)));
    }

    #[test]
    fn what_expired_is_forgotten_with_the_next_request() {
        let mut awaiting = Awaiting::default();
        awaiting.asked(Patience::Millis(10), Moment(0));
        awaiting.asked(Patience::Millis(10), Moment(500));
        awaiting.answered();
        assert!(!awaiting.is_open(Moment(501)));
    }

    #[test]
    fn an_answered_forever_leaves_nothing_open() {
        let mut awaiting = Awaiting::default();
        awaiting.asked(Patience::Forever, Moment(0));
        assert!(awaiting.is_open(Moment(u64::MAX - 1)));
        awaiting.answered();
        awaiting.asked(Patience::Millis(10), Moment(20));
        assert!(!awaiting.is_open(Moment(31)));
    }
}
