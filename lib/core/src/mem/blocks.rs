//! The bookkeeping of one slab, in numbers only: which blocks there are, which are out, and whose turn it was.
//!
//! It touches no memory of the blocks, so a user who writes past his own cannot damage it, and Miri can run it.

/// The blocks of one size: numbers from 0, most recently freed first.
#[derive(Debug)]
pub(super) struct Blocks {
    free: Vec<u32>,
    /// One entry per block: odd while it is out, and one more with every change.
    turns: Vec<u16>,
    most: u32,
}

impl Blocks {
    /// No blocks yet, and never more than `most`.
    pub const fn new(most: u32) -> Blocks {
        Blocks { free: Vec::new(), turns: Vec::new(), most }
    }

    /// Takes a free block and tells its number and turn.
    pub fn take(&mut self) -> Option<(u32, u16)> {
        let number = self.free.pop()?;
        let turn = self.turns.get_mut(number as usize)?;
        *turn = turn.wrapping_add(1);
        Some((number, *turn))
    }

    /// Gives a block back. False when it is not out, or out to somebody else by now.
    pub fn give_back(&mut self, number: u32, turn: u16) -> bool {
        let Some(current) = self.turns.get_mut(number as usize) else { return false };
        let is_out = *current % 2 == 1;
        if !is_out || !same_turn(*current, turn) {
            return false;
        }
        *current = current.wrapping_add(1);
        self.free.push(number);
        true
    }

    /// Gives the block back that is out under this number, whoever has it. False when it is not out.
    pub fn give_back_number(&mut self, number: u32) -> bool {
        let turn = self.turns.get(number as usize).copied();
        turn.is_some_and(|turn| self.give_back(number, turn))
    }

    /// Adds up to `count` free blocks, the first of them with the number [`Blocks::there`] told before.
    pub fn grow(&mut self, count: u32) {
        let first = self.there();
        let added = count.min(self.room());
        self.turns.resize(self.turns.len() + added as usize, 0);
        // The lowest number comes out first: neighbours stay neighbours.
        self.free.extend((first..first + added).rev());
    }

    /// How many more there may be.
    pub fn room(&self) -> u32 {
        self.most - self.there()
    }

    /// How many there are, out or not.
    pub fn there(&self) -> u32 {
        self.turns.len() as u32
    }

    /// How many are out.
    pub fn out(&self) -> u32 {
        self.there() - self.free.len() as u32
    }
}

/// What a caller holds for a block: enough to find it again, and to notice that it is no longer his.
///
/// It is one machine word. On 64 bits it tells pools (18 bits) and turns (14 bits) that reuse a number apart; on 32
/// bits there is room for the numbers alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub(super) pool: u16,
    pub(super) pool_turn: u32,
    pub(super) slab: u8,
    pub(super) block: u32,
    pub(super) turn: u16,
}

impl Ticket {
    /// The word for it; never 0.
    pub fn to_word(self) -> usize {
        let low = (usize::from(self.pool) + 1) << 18 | usize::from(self.slab) << 15 | self.block as usize;
        #[cfg(target_pointer_width = "64")]
        let low = low | (self.pool_turn as usize & POOL_TURNS) << 32 | (usize::from(self.turn) & TURNS) << 50;
        low
    }

    /// The ticket of a word; `None` for a word that was never one.
    pub fn from_word(word: usize) -> Option<Ticket> {
        let pool = (word >> 18 & 0x3fff).checked_sub(1)?;
        #[cfg(target_pointer_width = "64")]
        let (pool_turn, turn) = (word >> 32 & POOL_TURNS, word >> 50 & TURNS);
        #[cfg(not(target_pointer_width = "64"))]
        let (pool_turn, turn) = (0, 0);
        Some(Ticket {
            pool: pool as u16,
            pool_turn: pool_turn as u32,
            slab: (word >> 15 & 7) as u8,
            block: (word & 0x7fff) as u32,
            turn: turn as u16,
        })
    }
}

/// Whether a turn that went through a ticket is this one: a ticket carries its low bits, or nothing.
fn same_turn(current: u16, told: u16) -> bool {
    if cfg!(target_pointer_width = "64") { usize::from(current ^ told) & TURNS == 0 } else { true }
}

/// Most pools there may be at a time, as tickets count them.
pub(super) const MOST_POOLS: usize = 0x3fff;
/// Most blocks a slab may have, as tickets count them.
pub(super) const MOST_BLOCKS: u32 = 0x8000;
/// How much of a pool's turn a ticket and a handle carry.
#[cfg(target_pointer_width = "64")]
pub(super) const POOL_TURNS: usize = 0x3_ffff;
#[cfg(not(target_pointer_width = "64"))]
pub(super) const POOL_TURNS: usize = 0;
const TURNS: usize = 0x3fff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_comes_out_once_and_the_most_recently_freed_first() {
        let mut blocks = Blocks::new(5);
        assert_eq!(blocks.take(), None);
        blocks.grow(3);
        let taken: Vec<u32> = std::iter::from_fn(|| blocks.take()).map(|(number, _)| number).collect();
        assert_eq!(taken, [0, 1, 2]);
        blocks.grow(8);
        assert_eq!((blocks.there(), blocks.room(), blocks.out()), (5, 0, 3));
        assert!(blocks.give_back(1, 1));
        assert_eq!(blocks.take(), Some((1, 3)));
    }

    #[test]
    fn a_block_given_back_twice_stays_free_once() {
        let mut blocks = Blocks::new(2);
        blocks.grow(2);
        let (number, turn) = blocks.take().unwrap();
        assert!(blocks.give_back(number, turn));
        assert!(!blocks.give_back(number, turn));
        assert!(!blocks.give_back(77, turn));
        assert_eq!(blocks.out(), 0);
        assert_ne!(blocks.take().unwrap().0, blocks.take().unwrap().0);
        assert_eq!(blocks.take(), None);
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn an_old_ticket_does_not_free_the_blocks_next_owner() {
        let mut blocks = Blocks::new(1);
        blocks.grow(1);
        let (number, first) = blocks.take().unwrap();
        assert!(blocks.give_back(number, first));
        let (number, second) = blocks.take().unwrap();
        assert!(!blocks.give_back(number, first));
        assert!(blocks.give_back(number, second));
    }

    #[test]
    fn a_ticket_survives_being_a_word() {
        let plain = Ticket { pool: 16382, pool_turn: 0, slab: 7, block: 0x7fff, turn: 0 };
        assert_eq!(Ticket::from_word(plain.to_word()), Some(plain));
        if cfg!(target_pointer_width = "64") {
            let full = Ticket { pool: 0, pool_turn: 0x3_ffff, slab: 3, block: 24575, turn: 0x3fff };
            assert_eq!(Ticket::from_word(full.to_word()), Some(full));
        }
        assert_eq!(Ticket::from_word(0), None);
        assert_eq!(Ticket::from_word(0x2_ffff), None);
    }
}
