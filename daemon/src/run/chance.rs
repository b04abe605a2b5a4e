//! A little randomness for delays. Not for secrets.

use std::hash::{BuildHasher, RandomState};

/// A sequence of random bytes, another one in every process.
#[derive(Debug)]
pub struct Chance {
    /// Its keys are the operating system's randomness.
    keys: RandomState,
    drawn: u64,
}

impl Chance {
    /// A new sequence.
    pub fn new() -> Chance {
        Chance { keys: RandomState::new(), drawn: 0 }
    }

    /// The next byte.
    pub fn draw(&mut self) -> u8 {
        self.drawn = self.drawn.wrapping_add(1);
        let [first, ..] = self.keys.hash_one(self.drawn).to_ne_bytes();
        first
    }

    /// A word that nobody else has.
    pub fn mark(&mut self) -> String {
        (0..8).map(|_| format!("{:02x}", self.draw())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_differ() {
        let mut chance = Chance::new();
        let first = chance.draw();
        assert!((0..100).any(|_| chance.draw() != first));
    }
}
