//! How a caller whose ring is full waits until there is room: for a word that whoever makes room moves on.
//!
//! The invariant: a caller says that it waits *before* it looks for room for the last time, and room is made *before* who
//! made it looks whether somebody waits, both with a fence in between. So either the caller finds the room, or the other
//! finds the caller and moves the word on, which the caller has read before it looked.

use crate::sys::sync::atomic::{AtomicU32, Ordering, fence};

/// Where the callers of one process wait for room in their rings.
#[derive(Debug)]
pub(super) struct Room {
    /// Moves on whenever there is more room, as long as anybody waits.
    turn: AtomicU32,
    waiting: AtomicU32,
}

impl Room {
    pub fn new() -> Room {
        Room { turn: AtomicU32::new(0), waiting: AtomicU32::new(0) }
    }

    /// Tries until it comes to something, and between two attempts has `sleep` wait until the word is no longer the one
    /// given.
    pub fn wait<T>(&self, mut attempt: impl FnMut() -> Option<T>, mut sleep: impl FnMut(&AtomicU32, u32)) -> T {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let found = loop {
            let turn = self.turn.load(Ordering::Acquire);
            fence(Ordering::SeqCst);
            match attempt() {
                Some(found) => break found,
                None => sleep(&self.turn, turn),
            }
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        found
    }

    /// Whether anybody waits.
    pub fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// There is more room, or nobody makes any more: `wake` is to wake those who wait for the word.
    #[inline]
    pub fn made(&self, wake: impl FnOnce(&AtomicU32)) {
        fence(Ordering::SeqCst);
        if self.is_wanted() {
            self.turn.fetch_add(1, Ordering::Release);
            wake(&self.turn);
        }
    }
}
