//! Who wakes a sleeping loop: the protocol between the one that sleeps and those that leave something for it.
//!
//! The sleeper says when it is about to sleep ([`Doze::doze`]) and when it is up again ([`Doze::rouse`]); who leaves
//! something and then calls [`Doze::wake`] rings the bell (whatever that is) only if it is told so: once per sleep at
//! most. Every step is a read-modify-write of one word, so the steps have one order, and each sees what was left before
//! the steps ahead of it: either the sleeper learns of the note before it sleeps, or the waker learns of the sleep.

use crate::sys::sync::atomic::{AtomicU8, Ordering};

/// The loop runs and will look for a note before it sleeps.
const AWAKE: u8 = 0;
/// The loop is in the kernel, or on its way there.
const ASLEEP: u8 = 1;
/// A note lies there that the loop has not read yet.
const NOTIFIED: u8 = 2;

/// Whether a loop sleeps, and whether a note waits for it.
#[derive(Debug)]
pub(super) struct Doze(AtomicU8);

impl Doze {
    pub fn new() -> Doze {
        Doze(AtomicU8::new(AWAKE))
    }

    /// Leaves a note; true when the caller has to ring. Does not lock: a signal handler may call it.
    pub fn wake(&self) -> bool {
        self.0.swap(NOTIFIED, Ordering::AcqRel) == ASLEEP
    }

    /// The loop is about to sleep; false when a note lies there, and then it must not.
    pub fn doze(&self) -> bool {
        self.0.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The loop is up again; true when there was a note since it last asked. To be called before what was left is
    /// looked at: whoever leaves more afterwards leaves a new note.
    pub fn rouse(&self) -> bool {
        self.0.swap(AWAKE, Ordering::AcqRel) == NOTIFIED
    }

    /// Whether a note lies there; for a loop that is up and watches for one.
    #[inline]
    pub fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed) == NOTIFIED
    }
}

#[cfg(all(test, feature = "loom"))]
mod model {
    use super::*;
    use crate::sys::sync::{atomic::AtomicBool, thread};
    use loom::sync::Notify;
    use std::sync::Arc;

    struct Shared {
        doze: Doze,
        /// What the kernel does for us: a sleep that a ring ends, and a ring that is not forgotten while nobody sleeps.
        bell: Notify,
        /// What two posters leave; released and acquired by nothing but the protocol.
        left: [AtomicBool; 2],
    }

    fn shared() -> Arc<Shared> {
        let left = [AtomicBool::new(false), AtomicBool::new(false)];
        Arc::new(Shared { doze: Doze::new(), bell: Notify::new(), left })
    }

    fn post(shared: &Shared, poster: usize) {
        shared.left[poster].store(true, Ordering::Relaxed);
        if shared.doze.wake() {
            shared.bell.notify();
        }
    }

    /// Sleeps until everything was seen: a wake that gets lost leaves it asleep for ever, which loom reports.
    fn receive(shared: &Shared) {
        let mut all = false;
        while !all {
            if shared.doze.doze() {
                shared.bell.wait();
            }
            if shared.doze.rouse() {
                all = shared.left.iter().all(|left| left.load(Ordering::Relaxed));
            }
        }
    }

    #[test]
    fn loom_nothing_that_was_left_is_slept_through() {
        loom::model(|| {
            let shared = shared();
            let posters = [0, 1].map(|poster| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || post(&shared, poster))
            });
            receive(&shared);
            posters.into_iter().for_each(|poster| poster.join().unwrap());
        });
    }

    #[test]
    fn loom_a_loop_that_watches_before_it_sleeps_misses_nothing() {
        loom::model(|| {
            let shared = shared();
            let poster = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    post(&shared, 0);
                    post(&shared, 1);
                })
            };
            // One look and no sleep, then as ever.
            let seen = shared.doze.is_noted() && shared.doze.rouse();
            if !(seen && shared.left.iter().all(|left| left.load(Ordering::Relaxed))) {
                receive(&shared);
            }
            poster.join().unwrap();
        });
    }
}
