//! xorshift64: the same frames in every run.

pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    pub fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len() as u64) as usize]
    }

    pub fn bytes(&mut self, longest: u64) -> Vec<u8> {
        (0..self.below(longest + 1)).map(|_| (self.next() >> 24) as u8).collect()
    }

    /// A name as a C program has it: without NUL, not empty.
    pub fn name(&mut self, longest: u64) -> Vec<u8> {
        (0..self.below(longest) + 1).map(|_| (self.below(255) + 1) as u8).collect()
    }
}
