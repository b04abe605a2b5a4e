//! How one side tells the other that it may go on: a position that only grows, and a word that says "I sleep".
//!
//! The one who moves stores his position, then looks whether the other sleeps. The one who waits says that he sleeps, then
//! looks at the position once more. With a full barrier between the two steps on both sides, one of them always sees the
//! other: a wake-up is never lost. Nobody pays for a system call while the other is awake.

use crate::sys::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Makes everything written before visible up to `position`; true when the other has to be woken.
#[inline]
pub(super) fn publish(mine: &AtomicU64, position: u64, other_sleeps: &AtomicU32) -> bool {
    mine.store(position, Ordering::Release);
    must_wake(other_sleeps)
}

/// After something the other may wait for was stored: whether he sleeps. He is not asked twice.
#[inline]
pub(super) fn must_wake(other_sleeps: &AtomicU32) -> bool {
    fence(Ordering::SeqCst);
    other_sleeps.load(Ordering::Relaxed) == ASLEEP && other_sleeps.swap(AWAKE, Ordering::Relaxed) == ASLEEP
}

/// Says that we sleep; true when there is nothing to sleep for, because `ready` has become so.
pub(super) fn lie_down<T>(mine: &AtomicU32, ready: impl FnOnce() -> Option<T>) -> Option<T> {
    mine.store(ASLEEP, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    let found = ready();
    if found.is_some() {
        get_up(mine);
    }
    found
}

/// After the sleep, however it ended.
pub(super) fn get_up(mine: &AtomicU32) {
    mine.store(AWAKE, Ordering::Relaxed);
}

pub(super) const AWAKE: u32 = 0;
pub(super) const ASLEEP: u32 = 1;

/// The models: two threads, a ring of two slots, a futex made of loom's mutex and condition. Loom tries every order of
/// every access; a lost wake-up is a deadlock to it, an unpublished slot a data race.
#[cfg(all(test, feature = "loom"))]
mod models {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::{Arc, Condvar, Mutex};

    const SLOTS: u64 = 2;

    struct Ring {
        head: AtomicU64,
        tail: AtomicU64,
        producer_sleeps: AtomicU32,
        consumer_sleeps: AtomicU32,
        slots: [UnsafeCell<u64>; SLOTS as usize],
        kernel: (Mutex<()>, Condvar),
    }

    // SAFETY: who touches which slot is what the model is to prove; loom's cells report it when that fails.
    unsafe impl Sync for Ring {}

    impl Ring {
        fn new() -> Arc<Ring> {
            Arc::new(Ring {
                head: AtomicU64::new(0),
                tail: AtomicU64::new(0),
                producer_sleeps: AtomicU32::new(AWAKE),
                consumer_sleeps: AtomicU32::new(AWAKE),
                slots: [UnsafeCell::new(0), UnsafeCell::new(0)],
                kernel: (Mutex::new(()), Condvar::new()),
            })
        }

        /// FUTEX_WAIT: the comparison and the sleep are one step for FUTEX_WAKE.
        fn futex_wait(&self, word: &AtomicU32) {
            let mut lock = self.kernel.0.lock().unwrap();
            while word.load(Ordering::Relaxed) == ASLEEP {
                lock = self.kernel.1.wait(lock).unwrap();
            }
        }

        fn futex_wake(&self) {
            let _lock = self.kernel.0.lock().unwrap();
            self.kernel.1.notify_all();
        }

        fn until<T>(&self, word: &AtomicU32, ready: impl Fn() -> Option<T>) -> T {
            loop {
                if let Some(found) = ready().or_else(|| lie_down(word, &ready)) {
                    return found;
                }
                self.futex_wait(word);
                get_up(word);
            }
        }

        fn send(&self, at: u64, value: u64) {
            let room = || (at - self.tail.load(Ordering::Acquire) < SLOTS).then_some(());
            self.until(&self.producer_sleeps, room);
            // SAFETY: there is room, so the consumer has left this slot.
            self.slots[(at % SLOTS) as usize].with_mut(|slot| unsafe { *slot = value });
            if publish(&self.head, at + 1, &self.consumer_sleeps) {
                self.futex_wake();
            }
        }

        fn receive(&self, at: u64) -> u64 {
            let filled = || (self.head.load(Ordering::Acquire) > at).then_some(());
            self.until(&self.consumer_sleeps, filled);
            // SAFETY: it was published, so the producer has left this slot.
            let value = self.slots[(at % SLOTS) as usize].with(|slot| unsafe { *slot });
            if publish(&self.tail, at + 1, &self.producer_sleeps) {
                self.futex_wake();
            }
            value
        }
    }

    /// Every order with at most so many preemptions; without a limit a model runs for hours.
    fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(preemptions);
        model.check(body);
    }

    fn exchange(messages: u64, preemptions: usize) {
        model(preemptions, move || {
            let ring = Ring::new();
            let theirs = ring.clone();
            let producer = loom::thread::spawn(move || (0..messages).for_each(|at| theirs.send(at, at + 100)));
            for at in 0..messages {
                assert_eq!(ring.receive(at), at + 100);
            }
            producer.join().unwrap();
        });
    }

    #[test]
    fn loom_every_message_arrives_once_in_order_and_nobody_sleeps_for_ever() {
        exchange(1, 5);
        exchange(2, 3);
    }

    #[test]
    fn loom_a_full_ring_wakes_its_producer() {
        exchange(4, 2);
    }

    /// A block's owner word goes from the producer to the consumer with a message, and comes back without one.
    #[test]
    fn loom_a_block_that_came_back_is_the_producers_alone() {
        model(3, || {
            let ring = Ring::new();
            let block = Arc::new((AtomicU64::new(0), UnsafeCell::new(0u64)));
            let (theirs, lent) = (ring.clone(), block.clone());
            let producer = loom::thread::spawn(move || {
                // SAFETY: the block is free, so it is the producer's.
                lent.1.with_mut(|bytes| unsafe { *bytes = 1 });
                lent.0.store(1, Ordering::Relaxed);
                theirs.send(0, 0);
                let back = || (lent.0.load(Ordering::Acquire) == 0).then_some(());
                theirs.until(&theirs.producer_sleeps, back);
                // SAFETY: it came back.
                lent.1.with_mut(|bytes| unsafe { *bytes = 2 });
            });
            ring.receive(0);
            // SAFETY: it came with the message.
            assert_eq!(block.1.with(|bytes| unsafe { *bytes }), 1);
            block.0.store(0, Ordering::Release);
            if must_wake(&ring.producer_sleeps) {
                ring.futex_wake();
            }
            producer.join().unwrap();
        });
    }
}
