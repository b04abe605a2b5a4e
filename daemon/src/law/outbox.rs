//! What one target is still to be told, and when: at most so many messages in any minute, and what had to wait goes
//! together in one. Pure; time is an argument.
//!
//! A window of a minute and not a bucket that is full at first: some receivers count the messages of a minute, and are
//! deaf for ten when there was one too many.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Letters to one target.
#[derive(Debug)]
pub struct Outbox<T> {
    per_minute: usize,
    /// When the messages of the last minute were sent, oldest first.
    sent: VecDeque<Instant>,
    waiting: VecDeque<T>,
    /// Letters that found no place since the last message.
    lost: u64,
    /// What waits had to wait for the window: it goes together.
    is_held_back: bool,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// This is to be sent.
    Send {
        /// The letters of the message, oldest first; at least one.
        letters: Vec<T>,
        /// How many more there were.
        lost: u64,
    },
    /// There is something, and it has to wait until then.
    Wait(Instant),
    /// Nothing.
    Idle,
}

impl<T> Outbox<T> {
    /// For a target that takes so many messages a minute.
    pub fn new(per_minute: u32) -> Outbox<T> {
        let per_minute = (per_minute as usize).max(1);
        Outbox { per_minute, sent: VecDeque::new(), waiting: VecDeque::new(), lost: 0, is_held_back: false }
    }

    /// One more. Of too many the oldest go: what is wrong now matters more.
    pub fn push(&mut self, letter: T) {
        if self.waiting.len() == MOST {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.waiting.push_back(letter);
    }

    /// The next message, if it is time for one; it counts as sent.
    pub fn next(&mut self, now: Instant) -> Next<T> {
        if self.waiting.is_empty() {
            return Next::Idle;
        }
        while self.sent.front().is_some_and(|then| now.saturating_duration_since(*then) >= MINUTE) {
            self.sent.pop_front();
        }
        if self.sent.len() >= self.per_minute
            && let Some(oldest) = self.sent.front()
        {
            self.is_held_back = true;
            return Next::Wait(*oldest + MINUTE);
        }
        self.sent.push_back(now);
        let many = if self.is_held_back { self.waiting.len() } else { 1 };
        self.is_held_back = false;
        Next::Send { letters: self.waiting.drain(..many).collect(), lost: std::mem::take(&mut self.lost) }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// Enough for an hour in which everything goes wrong, and nothing to a gateway's memory.
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_allowed_in_any_minute_and_nothing_is_held_back_for_ever() {
        let start = Instant::now();
        let mut outbox = Outbox::new(20);
        let (mut sent, mut told) = (Vec::new(), Vec::new());
        for second in 0..600u64 {
            let now = start + Duration::from_secs(second);
            if second < 300 {
                outbox.push(second);
            }
            while let Next::Send { letters, lost } = outbox.next(now) {
                assert_eq!(lost, 0);
                sent.push(now);
                told.extend(letters);
            }
        }
        assert_eq!(told, (0..300).collect::<Vec<_>>());
        for (at, now) in sent.iter().enumerate() {
            let within = sent[at..].iter().take_while(|then| **then - *now < MINUTE).count();
            assert!(within <= 20, "{within} in a minute");
        }
    }

    #[test]
    fn what_was_held_back_goes_in_one() {
        let start = Instant::now();
        let mut outbox = Outbox::new(1);
        (0..3).for_each(|letter| outbox.push(letter));
        assert_eq!(outbox.next(start), Next::Send { letters: vec![0], lost: 0 });
        let later = start + MINUTE;
        assert_eq!(outbox.next(start), Next::Wait(later));
        assert_eq!(outbox.next(later), Next::Send { letters: vec![1, 2], lost: 0 });
        assert_eq!(outbox.next(later), Next::Idle);
        // What comes alone after that goes alone.
        outbox.push(3);
        assert_eq!(outbox.next(later + MINUTE), Next::Send { letters: vec![3], lost: 0 });
    }

    #[test]
    fn of_too_many_the_oldest_are_counted_and_gone() {
        let start = Instant::now();
        let mut outbox = Outbox::new(1);
        (0..MOST + 5).for_each(|letter| outbox.push(letter));
        assert_eq!(outbox.next(start), Next::Send { letters: vec![5], lost: 5 });
    }
}
