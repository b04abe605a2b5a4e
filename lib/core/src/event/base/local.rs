//! What the callbacks of a base note about its timers, on the thread that runs them: no lock, and nothing that keeps the
//! processor from going on with the next call while it waits for memory of this one.
//!
//! A thread turns one base at a time; turning another one inside a callback puts the notes of the outer one aside.

use std::cell::{Cell, RefCell};

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
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalNote {
    pub slot: u32,
    pub epoch: u32,
    pub deed: Deed,
}

/// How many notes come together before they are taken over.
pub(super) const NOTES: usize = 128;

struct Local {
    /// The address of the base that this thread turns; 0 when it turns none.
    base: Cell<usize>,
    notes: RefCell<Vec<LocalNote>>,
}

thread_local! {
    static LOCAL: Local = const { Local { base: Cell::new(0), notes: RefCell::new(Vec::new()) } };
}

/// What this thread was doing before it turned a base.
#[derive(Debug)]
pub(super) struct Outer {
    base: usize,
    notes: Vec<LocalNote>,
}

/// This thread turns `base` from now on.
pub(super) fn enter(base: usize) -> Outer {
    LOCAL.with(|local| {
        let mut notes = local.notes.borrow_mut();
        let notes = if notes.is_empty() { Vec::new() } else { std::mem::take(&mut *notes) };
        Outer { base: local.base.replace(base), notes }
    })
}

/// It is back in what it did before.
pub(super) fn leave(outer: Outer) {
    LOCAL.with(|local| {
        local.base.set(outer.base);
        if !outer.notes.is_empty() {
            *local.notes.borrow_mut() = outer.notes;
        }
    });
}

/// Keeps a note, if this thread turns `base`: whether there are enough of them now to be taken over. Compiled here, for
/// speed: the fewer instructions a call has, the more calls the processor waits for memory with at once.
#[inline(never)]
pub(super) fn note(base: usize, note: LocalNote) -> Option<bool> {
    LOCAL.with(|local| {
        if local.base.get() != base {
            return None;
        }
        let mut notes = local.notes.borrow_mut();
        match notes.last_mut() {
            // Stopped and started again: the last word counts, and the first costs nothing.
            Some(last) if last.slot == note.slot && last.deed != Deed::FREE => *last = note,
            _ => notes.push(note),
        }
        Some(notes.len() >= NOTES)
    })
}

/// Hands over what has been noted for `base`, if this thread turns it, to be drained.
pub(super) fn take_over(base: usize, what: impl FnOnce(&mut Vec<LocalNote>)) {
    LOCAL.with(|local| {
        if local.base.get() == base {
            what(&mut local.notes.borrow_mut());
        }
    });
}

/// How many notes [`take_over`] would hand over; `None` when this thread turns another base, or none.
#[inline]
pub(super) fn count(base: usize) -> Option<usize> {
    LOCAL.with(|local| (local.base.get() == base).then(|| local.notes.borrow().len()))
}
