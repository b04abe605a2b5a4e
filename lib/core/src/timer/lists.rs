//! A great many lists of numbers in memory that they share: which timers lie where.
//!
//! A list is a stack of lines of 15 numbers. Adding and removing touch its top and the place in question: no neighbours,
//! which with a million timers would be a cache miss each. The price is that a list has no order of its own.

use std::hint::black_box;

/// The lists.
#[derive(Debug)]
pub(super) struct Lists {
    ends: Vec<End>,
    lines: Vec<Line>,
    /// A line that no list uses; its word [`BELOW`] leads to the next one.
    free: u32,
}

/// A line of the cache, or of a list.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([u32; WORDS]);

#[derive(Clone, Copy, Debug)]
struct End {
    /// The place of the number that was added last.
    top: u32,
    len: u32,
}

const WORDS: usize = 16;
/// The word of a line in which the place below its first number is kept.
const BELOW: usize = 0;
/// No place; as a place it would be the last of a line, so that behind it a new line begins.
const NONE: u32 = u32::MAX;

impl Lists {
    /// So many empty lists.
    pub fn new(count: usize) -> Lists {
        Lists { ends: vec![End { top: NONE, len: 0 }; count], lines: Vec::new(), free: NONE }
    }

    pub fn len(&self, list: usize) -> u32 {
        self.ends[list].len
    }

    /// Adds a number, and names its place: it stays there until `remove` says otherwise.
    pub fn push(&mut self, list: usize, number: u32) -> u32 {
        let top = self.ends[list].top;
        let place = if top as usize % WORDS == WORDS - 1 { self.new_line(top) } else { top + 1 };
        *self.word(place) = number;
        let end = &mut self.ends[list];
        (end.top, end.len) = (place, end.len + 1);
        place
    }

    /// Takes out the number at the top.
    #[inline(always)]
    pub fn pop(&mut self, list: usize) -> Option<u32> {
        let top = self.ends[list].top;
        if top == NONE {
            return None;
        }
        let number = *self.word(top);
        let below = if top as usize % WORDS == BELOW + 1 { self.free_line(top) } else { top - 1 };
        let end = &mut self.ends[list];
        (end.top, end.len) = (below, end.len - 1);
        Some(number)
    }

    /// Removes what is at this place, to which the number at the top moves: that one is returned. (It may be the
    /// removed one itself.)
    pub fn remove(&mut self, list: usize, place: u32) -> Option<u32> {
        let moved = self.pop(list)?;
        *self.word(place) = moved;
        Some(moved)
    }

    #[inline(always)]
    fn word(&mut self, place: u32) -> &mut u32 {
        &mut self.lines[place as usize / WORDS].0[place as usize % WORDS]
    }

    /// The first place of a line that lies above `below`.
    fn new_line(&mut self, below: u32) -> u32 {
        let mut line = self.free;
        if line == NONE {
            line = self.lines.len() as u32;
            self.lines.push(Line([NONE; WORDS]));
        } else {
            self.free = self.lines[line as usize].0[BELOW];
        }
        self.lines[line as usize].0[BELOW] = below;
        line * WORDS as u32 + 1
    }

    /// Gives back the line of this place, and names the place below it.
    fn free_line(&mut self, place: u32) -> u32 {
        let line = place / WORDS as u32;
        let free = std::mem::replace(&mut self.free, line);
        let below = std::mem::replace(&mut self.lines[line as usize].0[BELOW], free);
        // Whoever empties a list comes to the line after the next one soon: it is fetched meanwhile.
        let under = |place: u32| self.lines.get(place as usize / WORDS).map_or(NONE, |line| line.0[BELOW]);
        black_box(under(under(below)));
        below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_to_a_list_comes_out_of_it_whatever_happens_to_others() {
        let mut lists = Lists::new(3);
        for number in 0..100 {
            lists.push(number as usize % 3, number);
        }
        assert_eq!([0, 1, 2].map(|list| lists.len(list)), [34, 33, 33]);
        for (list, step) in [(1, 1), (0, 0), (2, 2)] {
            let numbers: Vec<_> = std::iter::from_fn(|| lists.pop(list)).collect();
            assert_eq!(numbers, (0..100).filter(|number| number % 3 == step).rev().collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_number_is_found_at_the_place_that_was_told() {
        let mut lists = Lists::new(2);
        let mut places: Vec<u32> = (0..200).map(|number| lists.push(1, number)).collect();
        for number in (0..200).step_by(3) {
            let place = places[number as usize];
            assert_eq!(*lists.word(place), number);
            let moved = lists.remove(1, place).unwrap();
            places[moved as usize] = place;
        }
        assert_eq!(lists.len(1), 133);
        for number in (0..200).filter(|number| number % 3 != 0) {
            assert_eq!(*lists.word(places[number as usize]), number);
        }
    }

    #[test]
    fn lines_are_used_again() {
        let mut lists = Lists::new(64);
        for round in 0..50 {
            let list = round % 64;
            for number in 0..150 {
                lists.push(list, number);
            }
            while lists.pop(list).is_some() {}
            assert_eq!((lists.len(list), lists.pop(list)), (0, None));
        }
        assert_eq!(lists.lines.len(), 10);
    }
}
