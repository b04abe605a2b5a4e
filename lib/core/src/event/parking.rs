//! Senders that found a mailbox full, and the receiver that wakes them: nobody waits while there is room.
//!
//! A sender parks and *then* tries once more; the receiver makes room and *then* looks for parked ones. Between the two
//! steps of each stands a sequentially consistent fence, so whoever of the two looks last sees the other.

use crate::sys::sync::atomic::{AtomicBool, Ordering, fence};
use crate::sys::sync::{Mutex, MutexGuard};
use std::sync::PoisonError;

/// Who waits for room; `W` is what wakes him.
#[derive(Debug)]
pub(super) struct Parking<W> {
    /// `waiting` is not empty; saves the receiver the lock.
    any: AtomicBool,
    waiting: Mutex<Vec<W>>,
}

impl<W> Parking<W> {
    pub fn new() -> Parking<W> {
        Parking { any: AtomicBool::new(false), waiting: Mutex::new(Vec::new()) }
    }

    /// Parks `waker`, unless one that is the same (says `same`) is there already. The caller then tries once more.
    pub fn park(&self, waker: &W, same: impl Fn(&W, &W) -> bool)
    where
        W: Clone,
    {
        let mut waiting = self.lock();
        if !waiting.iter().any(|parked| same(parked, waker)) {
            waiting.push(waker.clone());
        }
        self.any.store(true, Ordering::Relaxed);
        drop(waiting);
        fence(Ordering::SeqCst);
    }

    /// Wakes everybody, once each. To be called after room was made.
    pub fn unpark(&self, wake: impl FnMut(W)) {
        fence(Ordering::SeqCst);
        if self.any.load(Ordering::Relaxed) {
            let mut waiting = self.lock();
            self.any.store(false, Ordering::Relaxed);
            waiting.drain(..).for_each(wake);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<W>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, feature = "loom"))]
mod model {
    use super::*;
    use crate::sys::sync::{atomic::AtomicUsize, thread};
    use std::sync::Arc;

    #[test]
    fn loom_a_sender_that_waits_is_woken_or_there_is_still_no_room() {
        loom::model(|| {
            let room = Arc::new(AtomicUsize::new(0));
            let parking = Arc::new(Parking::<()>::new());
            let sender = {
                let (room, parking) = (Arc::clone(&room), Arc::clone(&parking));
                thread::spawn(move || {
                    parking.park(&(), |(), ()| true);
                    room.load(Ordering::Relaxed) > 0
                })
            };
            let mut woken = 0;
            room.store(1, Ordering::Relaxed);
            parking.unpark(|()| woken += 1);
            let found_room = sender.join().unwrap();
            assert!(found_room || woken == 1, "parked beside an empty place, and nobody knows");
        });
    }
}
