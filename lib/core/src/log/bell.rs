//! How callers tell the writer thread that there is something to write, at the price of one load as long as it is awake.
//!
//! While records come in, the writer only naps between two looks, and nobody calls it unless a ring fills up: a burst
//! costs no system call. When nothing has come for a while it sleeps until it is called, so an idle program has no
//! wake-ups. Once the bell is *closed* no writer looks any more, and whoever published a record takes care of it himself.
//!
//! The invariant: a record is published *before* the word is read, and the writer says that it rests (or somebody that
//! the bell is closed) *before* he looks at the rings for the last time, both with a fence in between. So either he
//! sees the record or its author sees the word.

use crate::sys::sync::atomic::{AtomicU32, Ordering, fence};

/// The state of one session's writer.
#[derive(Debug)]
pub(super) struct Bell(AtomicU32);

/// What is left to do for somebody who has published a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// The writer will come by.
    Nothing,
    /// It has to be woken up.
    Wake,
    /// There is none: write what is in the ring.
    Write,
}

/// How the writer rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// For a few milliseconds: called only when a ring fills up.
    Nap,
    /// Until it is called.
    Sleep,
}

impl Bell {
    pub fn new() -> Bell {
        Bell(AtomicU32::new(AWAKE))
    }

    /// To be called after a record was published; `filling` when its ring is half full.
    #[inline]
    pub fn published(&self, filling: bool) -> Duty {
        fence(Ordering::SeqCst);
        match self.0.load(Ordering::Relaxed) {
            AWAKE => Duty::Nothing,
            NAPPING if !filling => Duty::Nothing,
            CLOSED => Duty::Write,
            resting => self.call(resting),
        }
    }

    /// One of those who find it resting wakes it up. Where the word has changed since it was read, somebody else has, or
    /// the writer (or who closed the bell) looks at the rings after this record was published.
    #[cold]
    fn call(&self, resting: u32) -> Duty {
        match self.0.compare_exchange(resting, AWAKE, Ordering::SeqCst, Ordering::Relaxed) {
            Ok(_) => Duty::Wake,
            Err(_) => Duty::Nothing,
        }
    }

    /// The writer is about to rest, and has to look at the rings once more before it does. False: the bell is closed.
    pub fn rest(&self, how: Rest) -> bool {
        let word = if how == Rest::Nap { NAPPING } else { ASLEEP };
        let said = self.0.compare_exchange(AWAKE, word, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        fence(Ordering::SeqCst);
        said
    }

    /// What says that the writer may go on resting, as long as it is the word's value.
    pub fn resting(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Acquire)).filter(|word| matches!(*word, NAPPING | ASLEEP))
    }

    /// The word itself, to wait for.
    pub fn word(&self) -> &AtomicU32 {
        &self.0
    }

    /// Whether authors write themselves.
    pub fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) == CLOSED
    }

    /// The writer has got up. False: the bell is closed.
    pub fn rise(&self) -> bool {
        let word = self.0.load(Ordering::Acquire);
        // Where the exchange fails, somebody has just called, or closed the bell.
        matches!(word, NAPPING | ASLEEP)
            && self.0.compare_exchange(word, AWAKE, Ordering::SeqCst, Ordering::Relaxed).is_ok()
            || self.0.load(Ordering::Acquire) != CLOSED
    }

    /// From now on authors write themselves; whoever closes looks at the rings once more afterwards.
    pub fn close(&self) {
        self.0.store(CLOSED, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }
}

const AWAKE: u32 = 0;
const NAPPING: u32 = 1;
const ASLEEP: u32 = 2;
const CLOSED: u32 = 3;

#[cfg(test)]
#[cfg(not(feature = "loom"))]
mod tests {
    use super::*;

    #[test]
    fn a_sleeper_is_called_once_and_a_napper_only_when_a_ring_fills_up() {
        let bell = Bell::new();
        assert_eq!(bell.published(true), Duty::Nothing);
        assert!(bell.rest(Rest::Nap));
        assert_eq!(bell.published(false), Duty::Nothing);
        assert_eq!(bell.published(true), Duty::Wake);
        assert_eq!(bell.published(true), Duty::Nothing);
        assert!(bell.rise() && bell.rest(Rest::Sleep) && bell.resting().is_some());
        assert_eq!(bell.published(false), Duty::Wake);
        assert!(bell.resting().is_none());
    }

    #[test]
    fn behind_a_closed_bell_everybody_writes_himself() {
        let bell = Bell::new();
        bell.close();
        assert_eq!(bell.published(false), Duty::Write);
        assert!(!bell.rest(Rest::Sleep) && !bell.rise());
    }
}
