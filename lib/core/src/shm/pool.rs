//! Blocks: large payloads that change hands with a message instead of being copied.
//!
//! A word for each block says whose it is: 0 the producer's, else one more than the position of the message that took it
//! to the consumer. It is written before that message is published and cleared by the consumer, so whoever succeeds a
//! dead producer or consumer sees from it, and from the two positions, which blocks were his predecessor's.

use super::end::End;
use super::refusal::Refusal;
use crate::sys::sync::atomic::Ordering;
use std::collections::VecDeque;

/// A block that is held. Not a message yet (the producer's), or no longer (the consumer's). Dropped without being sent,
/// put back or freed it is lost to the ring until a successor takes this side.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Block(pub(super) u32);

/// The producer's private view of all blocks.
#[derive(Debug)]
pub(super) struct Pool {
    state: Vec<State>,
    free: Vec<u32>,
    /// In the order in which they were sent: the first is the likeliest to be back.
    lent: VecDeque<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Held,
    Lent,
}

impl Pool {
    /// As a predecessor left it: what he had not published is free.
    pub fn recovered(end: &End, head: u64) -> Pool {
        let count = end.layout.blocks;
        let mut pool = Pool { state: vec![State::Free; count as usize], free: Vec::new(), lent: VecDeque::new() };
        for index in (0..count).rev() {
            let owner = end.layout.owner(&end.map, index);
            match owner.load(Ordering::Acquire).checked_sub(1) {
                Some(position) if position < head => pool.note(index, State::Lent),
                _ => {
                    owner.store(0, Ordering::Relaxed);
                    pool.note(index, State::Free);
                }
            }
        }
        pool
    }

    /// A block to fill, if one is free: best the one that came back last, which is still in the cache.
    pub fn take(&mut self, end: &End) -> Option<Block> {
        let back = |index: &u32| end.layout.owner(&end.map, *index).load(Ordering::Acquire) == 0;
        let index = match self.lent.front().filter(|index| back(index)) {
            Some(_) => self.lent.pop_front(),
            None => self.free.pop().or_else(|| {
                let place = self.lent.iter().position(back)?;
                self.lent.remove(place)
            }),
        }?;
        self.note(index, State::Held);
        Some(Block(index))
    }

    pub fn holds(&self, index: u32) -> bool {
        self.state.get(index as usize) == Some(&State::Held)
    }

    /// It was sent.
    pub fn lend(&mut self, block: Block) {
        self.note(block.0, State::Lent);
    }

    /// It is not sent after all.
    pub fn put_back(&mut self, block: Block) -> Result<(), Refusal> {
        if !self.holds(block.0) {
            return Err(Refusal::NotHeld);
        }
        self.note(block.0, State::Free);
        Ok(())
    }

    fn note(&mut self, index: u32, state: State) {
        if let Some(slot) = self.state.get_mut(index as usize) {
            *slot = state;
        }
        match state {
            State::Free => self.free.push(index),
            State::Held => {}
            State::Lent => self.lent.push_back(index),
        }
    }
}

/// The consumer's: which blocks he has kept beyond their messages.
#[derive(Debug)]
pub(super) struct Kept(Vec<bool>);

impl Kept {
    /// None yet: what a predecessor had kept goes back to the producer.
    pub fn recovered(end: &End, tail: u64) -> Kept {
        for index in 0..end.layout.blocks {
            let owner = end.layout.owner(&end.map, index);
            if owner.load(Ordering::Acquire).checked_sub(1).is_some_and(|position| position < tail) {
                owner.store(0, Ordering::Release);
            }
        }
        Kept(vec![false; end.layout.blocks as usize])
    }

    pub fn holds(&self, index: u32) -> bool {
        self.0.get(index as usize) == Some(&true)
    }

    pub fn keep(&mut self, index: u32) -> Block {
        self.note(index, true);
        Block(index)
    }

    /// No longer: the caller gives it back.
    pub fn drop(&mut self, block: &Block) -> Result<(), Refusal> {
        if !self.holds(block.0) {
            return Err(Refusal::NotHeld);
        }
        self.note(block.0, false);
        Ok(())
    }

    fn note(&mut self, index: u32, kept: bool) {
        if let Some(slot) = self.0.get_mut(index as usize) {
            *slot = kept;
        }
    }
}
