//! Slots with generations: a [`Token`] outlives its slot harmlessly, so a stale event finds nobody.
//!
//! 20 bits of slot and 12 bits of generation fit the 32-bit epoll word of every target.

use slab::Slab;

const SLOT_BITS: u32 = 20;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
const GENERATIONS: u16 = 1 << (32 - SLOT_BITS);

/// Index and generation of one registered object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(u32);

impl Token {
    /// The slot no [`Slots`] ever hands out; the reactor's own waker uses it.
    pub(super) const WAKER: Token = Token(u32::MAX);

    fn new(slot: usize, generation: u16) -> Token {
        Token(u32::from(generation) << SLOT_BITS | (slot as u32 & SLOT_MASK))
    }

    /// The slot half.
    pub fn slot(self) -> usize {
        (self.0 & SLOT_MASK) as usize
    }

    fn generation(self) -> u16 {
        (self.0 >> SLOT_BITS) as u16
    }

    /// The whole token as one word, as the kernel keeps it.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The token a word stands for; any word is a token, though perhaps one that finds nobody.
    pub const fn from_bits(bits: u32) -> Token {
        Token(bits)
    }
}

/// A table of `T` found by [`Token`].
#[derive(Debug)]
pub struct Slots<T> {
    /// Each value beside the generation of its token, so that a look-up touches one place.
    entries: Slab<(u16, T)>,
    /// The next generation of every slot that was ever taken.
    generations: Vec<u16>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { entries: Slab::new(), generations: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// Puts the value that `make` builds for its own token into a free slot; `None` when all 2^20 - 1 are taken.
    pub fn insert_with(&mut self, make: impl FnOnce(Token) -> T) -> Option<Token> {
        let entry = self.entries.vacant_entry();
        let slot = entry.key();
        if slot >= SLOT_MASK as usize {
            return None;
        }
        if slot >= self.generations.len() {
            self.generations.resize(slot + 1, 0);
        }
        let token = Token::new(slot, self.generations[slot]);
        entry.insert((token.generation(), make(token)));
        Some(token)
    }

    /// Puts `value` into a free slot; `None` when all are taken.
    pub fn insert(&mut self, value: T) -> Option<Token> {
        self.insert_with(|_| value)
    }

    /// The value `token` names, if it still lives.
    #[inline]
    pub fn get(&self, token: Token) -> Option<&T> {
        let (generation, value) = self.entries.get(token.slot())?;
        (*generation == token.generation()).then_some(value)
    }

    /// The value `token` names, if it still lives, to change.
    #[inline]
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        let (generation, value) = self.entries.get_mut(token.slot())?;
        (*generation == token.generation()).then_some(value)
    }

    /// Takes the value out; from here on `token` finds nobody.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        self.get(token)?;
        let (generation, value) = self.entries.try_remove(token.slot())?;
        self.generations[token.slot()] = (generation + 1) % GENERATIONS;
        Some(value)
    }

    /// The next generation of every slot that was ever taken.
    pub fn generations(&self) -> &[u16] {
        &self.generations
    }

    /// A table in which each of `values` is found by the token it has, and in which no token means anybody else that
    /// meant somebody when the `generations` were these. `None` where a token is of no such slot, or of a slot that has
    /// another one.
    pub fn restored(generations: Vec<u16>, values: Vec<(Token, T)>) -> Option<Slots<T>> {
        let fits = |token: &Token| generations.get(token.slot()) == Some(&token.generation());
        let count = values.len();
        if generations.len() > SLOT_MASK as usize
            || generations.iter().any(|generation| *generation >= GENERATIONS)
            || !values.iter().all(|(token, _)| fits(token))
        {
            return None;
        }
        let place = |(token, value): (Token, T)| (token.slot(), (token.generation(), value));
        let entries: Slab<(u16, T)> = values.into_iter().map(place).collect();
        (entries.len() == count).then_some(Slots { entries, generations })
    }

    /// How many live.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none lives.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All that live, with their tokens.
    pub fn iter(&self) -> impl Iterator<Item = (Token, &T)> {
        self.entries.iter().map(|(slot, (generation, value))| (Token::new(slot, *generation), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_of_a_removed_value_finds_nobody_in_the_reused_slot() {
        let mut slots = Slots::default();
        let first = slots.insert("a").unwrap();
        assert_eq!(slots.remove(first), Some("a"));
        let second = slots.insert("b").unwrap();
        assert_eq!(first.slot(), second.slot());
        assert_ne!(first, second);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"b"));
    }

    #[test]
    fn generation_wraps_without_touching_the_slot_bits() {
        let mut slots = Slots::default();
        for _ in 0..=usize::from(GENERATIONS) {
            let token = slots.insert(()).unwrap();
            assert_eq!(token.slot(), 0);
            slots.remove(token).unwrap();
        }
    }

    #[test]
    fn a_restored_table_knows_the_same_tokens_and_no_others() {
        let mut slots = Slots::default();
        let tokens: Vec<Token> = (0..5).filter_map(|number| slots.insert(number)).collect();
        slots.remove(tokens[1]);
        slots.remove(tokens[4]);
        let generations = slots.generations().to_vec();
        let values: Vec<(Token, i32)> = slots.iter().map(|(token, value)| (token, *value)).collect();
        let mut restored = Slots::restored(generations.clone(), values).unwrap();
        assert_eq!((restored.get(tokens[2]), restored.get(tokens[1]), restored.len()), (Some(&2), None, 3));
        let fresh = restored.insert(7).unwrap();
        assert!([1, 4].contains(&fresh.slot()) && !tokens.contains(&fresh));
        let twice = vec![(tokens[0], 1), (tokens[0], 2)];
        assert!(Slots::restored(generations.clone(), twice).is_none());
        assert!(Slots::restored(generations, vec![(tokens[1], 1)]).is_none(), "a token of the past");
    }
}
