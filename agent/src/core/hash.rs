//! A fast seeded hash for keys of a few integers.
//!
//! Callers choose their sequence numbers, so the seed keeps a hostile one from aiming at one bucket; SipHash would do
//! the same at five times the price on the path of every request.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Builds hashers that share one seed.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    seed: u64,
}

impl Mix {
    /// The one family that is the same everywhere; for what no stranger can aim at.
    pub const fn fixed() -> Mix {
        Mix { seed: 0x9e37_79b9_7f4a_7c15 }
    }

    /// A family of hashers; two seeds give two unrelated ones.
    pub fn new(seed: u64) -> Mix {
        Mix { seed: seed ^ 0x9e37_79b9_7f4a_7c15 }
    }
}

/// The hasher: one folded multiplication per integer.
#[derive(Clone, Copy, Debug)]
pub struct Mixer {
    state: u64,
}

impl Default for Mix {
    /// A family that no other one is related to.
    fn default() -> Mix {
        Mix::new(RandomState::new().hash_one("a seed"))
    }
}

impl BuildHasher for Mix {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer { state: self.seed }
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        // The length goes in, too: "a" and "a\0" are two names.
        let last = rest.iter().fold(bytes.len() as u64, |last, byte| last << 8 | u64::from(*byte));
        self.write_u64(last);
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let wide = u128::from(self.state ^ value) * u128::from(MULTIPLIER);
        self.state = (wide as u64) ^ ((wide >> 64) as u64);
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

/// Odd, and half of its bits set: what one multiplication needs to spread an integer over 128 bits.
const MULTIPLIER: u64 = 0xa076_1d64_78bd_642f;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn neighbours_spread_over_the_low_and_the_high_bits() {
        let mix = Mix::new(7);
        let low: HashSet<u64> = (0u32..1024).map(|seq| mix.hash_one((0x11u32, seq)) & 0xffff).collect();
        let high: HashSet<u64> = (0u32..1024).map(|seq| mix.hash_one((0x11u32, seq)) >> 57).collect();
        assert!(low.len() > 900, "{}", low.len());
        assert_eq!(high.len(), 128);
    }

    #[test]
    fn another_seed_is_another_order() {
        assert_ne!(Mix::new(1).hash_one(5u32), Mix::new(2).hash_one(5u32));
    }
}
