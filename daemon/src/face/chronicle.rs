//! The last things that have happened, and how all of them are counted.

use super::event::Happening;
use std::collections::VecDeque;

/// See the module.
#[derive(Debug, Default)]
pub struct Chronicle {
    last: VecDeque<Happening>,
    count: u64,
}

impl Chronicle {
    /// Goes on behind these, and not before `count`.
    pub fn resume(&mut self, last: Vec<Happening>, count: u64) {
        self.count = last.last().map_or(0, |happening| happening.seq).max(count);
        self.last = last.into();
        self.last.drain(..self.last.len().saturating_sub(MOST));
    }

    /// Keeps one, which gets its number.
    pub fn add(&mut self, happening: Happening) -> Happening {
        if self.last.len() == MOST {
            self.last.pop_front();
        }
        self.count += 1;
        let happening = Happening { seq: self.count, ..happening };
        self.last.push_back(happening.clone());
        happening
    }

    /// The number of the last one.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The last `most` of those behind number `since`, oldest first.
    pub fn last(&self, since: u64, most: usize) -> impl Iterator<Item = &Happening> {
        let first = self.last.partition_point(|happening| happening.seq <= since);
        self.last.iter().skip(first.max(self.last.len().saturating_sub(most)))
    }
}

/// As many are kept.
pub const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(chronicle: &Chronicle, since: u64, most: usize) -> Vec<u64> {
        chronicle.last(since, most).map(|one| one.seq).collect()
    }

    #[test]
    fn the_last_ones_are_kept_and_numbered_from_the_first() {
        let mut chronicle = Chronicle::default();
        for _ in 0..MOST + 3 {
            chronicle.add(Happening::default());
        }
        let end = MOST as u64 + 3;
        assert_eq!(numbers(&chronicle, 0, 2), [end - 1, end]);
        assert_eq!(numbers(&chronicle, end - 1, usize::MAX), [end]);
        assert_eq!(numbers(&chronicle, 0, usize::MAX).len(), MOST);
        assert!(numbers(&chronicle, end, 5).is_empty() && numbers(&chronicle, 0, 0).is_empty());
    }

    #[test]
    fn numbers_go_on_behind_what_is_known_from_before() {
        let mut chronicle = Chronicle::default();
        chronicle.resume((1..=2 * MOST as u64).map(|seq| Happening { seq, ..Happening::default() }).collect(), 7);
        assert_eq!((chronicle.count(), numbers(&chronicle, 0, usize::MAX).len()), (2 * MOST as u64, MOST));
        // The file has lost some that somebody else remembers.
        chronicle.resume(vec![Happening { seq: 3, ..Happening::default() }], 9);
        assert_eq!(chronicle.add(Happening::default()).seq, 10);
        assert_eq!(numbers(&chronicle, 0, usize::MAX), [3, 10]);
    }
}
