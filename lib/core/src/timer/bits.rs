//! A set of small numbers (below 4096) that finds its next member in a few steps.

/// Which of its numbers are in the set.
#[derive(Debug)]
pub(super) struct Bits {
    words: Vec<u64>,
    /// Which words are not zero.
    summary: u64,
}

impl Bits {
    /// An empty set of numbers below `size`, a multiple of 64 and at most 4096.
    pub fn new(size: usize) -> Bits {
        debug_assert!(size.is_multiple_of(64) && size <= 4096, "size is {size}");
        Bits { words: vec![0; size / 64], summary: 0 }
    }

    #[inline(always)]
    pub fn set(&mut self, number: usize) {
        self.words[number / 64] |= 1 << (number % 64);
        self.summary |= 1 << (number / 64);
    }

    pub fn clear(&mut self, number: usize) {
        let word = &mut self.words[number / 64];
        *word &= !(1 << (number % 64));
        if *word == 0 {
            self.summary &= !(1 << (number / 64));
        }
    }

    /// The first member from `from` on, going round.
    pub fn next(&self, from: usize) -> Option<usize> {
        let (word, bit) = (from / 64, from % 64);
        let here = self.words[word] & (!0 << bit);
        if here != 0 {
            return Some(word * 64 + here.trailing_zeros() as usize);
        }
        // Words behind this one, else from the beginning round to the lower bits of this very word.
        let behind = if word == 63 { 0 } else { self.summary & (!0 << (word + 1)) };
        let found = if behind != 0 { behind } else { self.summary };
        if found == 0 {
            return None;
        }
        let word = found.trailing_zeros() as usize;
        Some(word * 64 + self.words[word].trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_member_is_found_going_round() {
        let mut bits = Bits::new(4096);
        assert_eq!(bits.next(5), None);
        [3, 64, 4095].into_iter().for_each(|number| bits.set(number));
        assert_eq!([0, 3, 4, 64, 65, 4095].map(|from| bits.next(from).unwrap()), [3, 3, 64, 64, 4095, 4095]);
        bits.clear(4095);
        assert_eq!(bits.next(65), Some(3));
        bits.clear(3);
        assert_eq!(bits.next(4095), Some(64));
        bits.clear(64);
        assert_eq!(bits.next(0), None);
    }

    #[test]
    fn member_below_the_start_in_the_same_word_comes_last() {
        let mut bits = Bits::new(64);
        bits.set(1);
        assert_eq!(bits.next(2), Some(1));
    }
}
