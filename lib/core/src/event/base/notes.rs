//! What the callbacks of a base note about its timers, on the thread that runs them: no lock, and nothing that keeps the
//! processor from going on with the next call while it waits for memory of this one.
//!
//! The notes are atomics, but only the thread that turns the base touches them; which one that is, each thread can tell
//! for itself. A thread that turns another base inside a callback has notes in both.

use nix::sys::pthread::pthread_self;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What is to be done to a timer: started after so many nanoseconds, or one of those below. A number, so that a note is
/// two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deed(u64);

impl Deed {
    pub const STOP: Deed = Deed(u64::MAX);
    pub const FREE: Deed = Deed(u64::MAX - 1);

    #[inline(always)]
    pub fn start(after: u64) -> Deed {
        Deed(after.min(Self::FREE.0 - 1))
    }

    /// Of a start.
    #[inline(always)]
    pub fn delay(self) -> u64 {
        self.0
    }
}

/// A deed, and how many deeds of other threads had been done before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub slot: u32,
    pub epoch: u32,
    pub deed: Deed,
}

/// How many notes come together before they are taken over.
pub(super) const NOTES: usize = 128;

/// The notes of one base.
#[derive(Debug)]
pub(super) struct Notes {
    /// The thread that turns the base; 0 when there is none.
    owner: AtomicUsize,
    len: AtomicUsize,
    /// The deed of each, and its slot and epoch.
    notes: Box<[(AtomicU64, AtomicU64)]>,
}

impl Notes {
    pub fn new() -> Notes {
        let empty = || (AtomicU64::new(0), AtomicU64::new(0));
        Notes {
            owner: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            notes: std::iter::repeat_with(empty).take(NOTES).collect(),
        }
    }

    /// This thread turns the base from now on; whoever did before is to be handed to `leave`.
    pub fn enter(&self) -> usize {
        self.owner.swap(this_thread(), Ordering::SeqCst)
    }

    pub fn leave(&self, before: usize) {
        self.owner.store(before, Ordering::SeqCst);
    }

    /// Whether a thread turns the base: this one, or another one.
    pub fn is_turned(&self) -> bool {
        self.owner.load(Ordering::SeqCst) != 0
    }

    /// Whether it is this thread that turns the base.
    #[inline(always)]
    pub fn are_mine(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == this_thread()
    }

    /// Keeps a note, if this thread turns the base: whether there are enough of them now to be taken over.
    #[inline(always)]
    pub fn note(&self, Note { slot, epoch, deed }: Note) -> Option<bool> {
        if !self.are_mine() {
            return None;
        }
        let mut len = self.len.load(Ordering::Relaxed);
        if let Some((last, whose)) = self.notes.get(len.wrapping_sub(1))
            && whose.load(Ordering::Relaxed) as u32 == slot
            && last.load(Ordering::Relaxed) != Deed::FREE.0
        {
            // Stopped and started again: the last word counts, and the first costs nothing.
            len -= 1;
        }
        let (what, whose) = self.notes.get(len)?;
        what.store(deed.0, Ordering::Relaxed);
        whose.store(u64::from(epoch) << 32 | u64::from(slot), Ordering::Relaxed);
        self.len.store(len + 1, Ordering::Relaxed);
        Some(len + 1 == NOTES)
    }

    /// How many notes this thread has; `None` when it does not turn the base.
    #[inline]
    pub fn count(&self) -> Option<usize> {
        self.are_mine().then(|| self.len.load(Ordering::Relaxed))
    }

    /// All notes of this thread, which turns the base; they are forgotten when the next one is noted.
    pub fn drain(&self) -> impl ExactSizeIterator<Item = Note> + Clone {
        let len = self.len.swap(0, Ordering::Relaxed);
        self.notes.iter().take(len).map(|(what, whose)| {
            let whose = whose.load(Ordering::Relaxed);
            Note { slot: whose as u32, epoch: (whose >> 32) as u32, deed: Deed(what.load(Ordering::Relaxed)) }
        })
    }
}

/// Never 0: it is an address, or as good as one.
#[inline(always)]
fn this_thread() -> usize {
    pthread_self() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(slot: u32, deed: Deed) -> Note {
        Note { slot, epoch: 7, deed }
    }

    #[test]
    fn notes_are_kept_for_the_thread_that_turns_the_base_alone() {
        let notes = Notes::new();
        assert_eq!((notes.note(of(1, Deed::STOP)), notes.count(), notes.is_turned()), (None, None, false));
        let before = notes.enter();
        assert_eq!((notes.note(of(1, Deed::start(5))), notes.count()), (Some(false), Some(1)));
        std::thread::scope(|scope| {
            let others = scope.spawn(|| (notes.note(of(2, Deed::STOP)), notes.count(), notes.is_turned()));
            assert_eq!(others.join().unwrap(), (None, None, true));
        });
        // Turned once more, inside a callback.
        let outer = notes.enter();
        notes.leave(outer);
        assert_eq!(notes.drain().collect::<Vec<_>>(), [of(1, Deed::start(5))]);
        notes.leave(before);
        assert_eq!((notes.count(), notes.is_turned()), (None, false));
    }

    #[test]
    fn the_last_word_about_a_timer_counts_unless_it_was_freed() {
        let notes = Notes::new();
        notes.enter();
        let said = [of(1, Deed::STOP), of(1, Deed::start(9)), of(2, Deed::FREE), of(2, Deed::STOP), of(1, Deed::STOP)];
        said.into_iter().for_each(|note| assert_eq!(notes.note(note), Some(false)));
        let kept = [of(1, Deed::start(9)), of(2, Deed::FREE), of(2, Deed::STOP), of(1, Deed::STOP)];
        assert_eq!(notes.drain().collect::<Vec<_>>(), kept);
        let full: Vec<_> = (0..NOTES).map(|slot| notes.note(of(slot as u32, Deed::STOP))).collect();
        assert_eq!((full[NOTES - 2], full[NOTES - 1], notes.count()), (Some(false), Some(true), Some(NOTES)));
        assert_eq!((notes.drain().count(), notes.count()), (NOTES, Some(0)));
    }
}
