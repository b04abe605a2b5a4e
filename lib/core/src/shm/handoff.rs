//! How one side tells the other that it may go on: a position that only grows, and a word that says "I sleep".
//!
//! The one who moves stores his position, then looks whether the other sleeps. The one who waits says that he sleeps, then
//! looks at the position once more. With a full barrier between the two steps on both sides, one of them always sees the
//! other: a wake-up is never lost. Nobody pays for a system call while the other is awake.
//!
//! The word a side sleeps on also bears the number of the thread whose end the kernel has to tell it of (see `keeper`), in
//! the form that the kernel knows: so one sleep on one word, without a limit, ends for either reason.

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
    other_sleeps.load(Ordering::Relaxed) & ASLEEP != 0
        && other_sleeps.fetch_and(!ASLEEP, Ordering::Relaxed) & ASLEEP != 0
}

/// Says that we sleep; the word to sleep on, unless there is nothing to sleep for, because `ready` has become so.
pub(super) fn lie_down<T>(mine: &AtomicU32, ready: impl FnOnce() -> Option<T>) -> Result<u32, T> {
    let mut before = mine.fetch_or(ASLEEP, Ordering::Relaxed);
    // The kernel's mark is not slept on: were another to come and end meanwhile, the word would be the same again.
    while before & (CALLS | NUMBER) == CALLS {
        let _ = mine.compare_exchange(MARK, ASLEEP, Ordering::Relaxed, Ordering::Relaxed);
        before = mine.fetch_or(ASLEEP, Ordering::Relaxed);
    }
    fence(Ordering::SeqCst);
    match ready() {
        Some(found) => {
            get_up(mine);
            Err(found)
        }
        None => Ok(before | ASLEEP),
    }
}

/// After the sleep, however it ended.
pub(super) fn get_up(mine: &AtomicU32) {
    mine.fetch_and(!ASLEEP, Ordering::Relaxed);
}

/// From now on the other is told when the thread with this number ends. Wake him behind this, whatever the word was: what
/// he has to fear has changed, and that he sleeps is not said any more.
pub(super) fn arrive(others: &AtomicU32, number: u32) {
    others.swap(CALLS | number, Ordering::AcqRel);
}

/// There is nobody any more whose end could be told.
pub(super) fn leave(others: &AtomicU32) {
    others.swap(0, Ordering::AcqRel);
}

/// Whether one who sleeps on `word` has to ask if the other side lives. `untold`: the other is there by his own word, and of
/// his going nothing was told yet.
pub(super) fn must_ask(word: u32, untold: impl FnOnce() -> bool) -> Ask {
    match word & NUMBER {
        UNWATCHED => Ask::Always,
        0 if untold() => Ask::Soon,
        _ => Ask::Never,
    }
}

/// See [`must_ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// There is nobody, and whoever comes wakes him; or the kernel will.
    Never,
    /// The kernel has told of an end: the lock goes in a moment, unless a child has it.
    Soon,
    /// Nothing will tell.
    Always,
}

/// Of a word: its owner sleeps. To the kernel FUTEX_OWNER_DIED.
pub(super) const ASLEEP: u32 = 1 << 30;
/// FUTEX_WAITERS: the kernel is to wake who sleeps. Always there beside a number, not only while somebody sleeps: one who
/// dies between taking ASLEEP away and waking would else wake nobody.
const CALLS: u32 = 1 << 31;
/// FUTEX_TID_MASK: the number of the thread that ends when the other side dies, 0 when nobody is there.
const NUMBER: u32 = ASLEEP - 1;
/// What the kernel makes of a word when the thread with its number has ended.
const MARK: u32 = CALLS | ASLEEP;
/// The number of a side that the kernel does not watch; no thread has it.
pub(super) const UNWATCHED: u32 = NUMBER;

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
        /// The producer's word (odd while he is there) and lock.
        presence: AtomicU32,
        lock: AtomicU32,
    }

    // SAFETY: who touches which slot is what the model is to prove; loom's cells report it when that fails.
    unsafe impl Sync for Ring {}

    impl Ring {
        fn new() -> Arc<Ring> {
            Arc::new(Ring {
                head: AtomicU64::new(0),
                tail: AtomicU64::new(0),
                producer_sleeps: AtomicU32::new(0),
                consumer_sleeps: AtomicU32::new(0),
                slots: [UnsafeCell::new(0), UnsafeCell::new(0)],
                kernel: (Mutex::new(()), Condvar::new()),
                presence: AtomicU32::new(0),
                lock: AtomicU32::new(0),
            })
        }

        /// FUTEX_WAIT: the comparison and the sleep are one step for FUTEX_WAKE. A wake-up ends it, whatever the word is.
        fn futex_wait(&self, word: &AtomicU32, seen: u32) {
            let lock = self.kernel.0.lock().unwrap();
            if word.load(Ordering::Relaxed) == seen {
                drop(self.kernel.1.wait(lock).unwrap());
            }
        }

        fn futex_wake(&self) {
            let _lock = self.kernel.0.lock().unwrap();
            self.kernel.1.notify_all();
        }

        fn until<T>(&self, word: &AtomicU32, ready: impl Fn() -> Option<T>) -> T {
            loop {
                if let Some(found) = ready() {
                    return found;
                }
                match lie_down(word, &ready) {
                    Err(found) => return found,
                    Ok(seen) => self.futex_wait(word, seen),
                }
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

    /// What a producer does from his coming to the end of a message, if nothing ends him before.
    const STEPS: usize = 6;

    /// A producer who is killed before step `last`; then the kernel cleans up behind him: the words (by a
    /// compare-and-swap that is a full barrier), then the lock.
    fn lives(ring: &Ring, number: u32, last: usize) {
        let mut wake = false;
        ring.lock.store(1, Ordering::Relaxed);
        for step in 0..last {
            match step {
                0 => arrive(&ring.consumer_sleeps, number),
                1 => ring.futex_wake(),
                2 => ring.presence.store((ring.presence.load(Ordering::Relaxed) & !1) + 3, Ordering::Release),
                3 => ring.head.store(1, Ordering::Release),
                4 => wake = must_wake(&ring.consumer_sleeps),
                _ if wake => ring.futex_wake(),
                _ => {}
            }
        }
        let marked = |word: u32| (word & NUMBER == number).then_some(MARK);
        let marks = ring.consumer_sleeps.fetch_update(Ordering::AcqRel, Ordering::Relaxed, marked).is_ok();
        if marks && number != UNWATCHED {
            ring.futex_wake();
        }
        ring.lock.store(0, Ordering::Release);
    }

    /// As `End::sleep` waits: true for a message, false when the producer has died and that was not `told` before.
    fn awaits(ring: &Ring, told: &mut u32) -> bool {
        let word = &ring.consumer_sleeps;
        let ready = || (ring.head.load(Ordering::Acquire) > 0).then_some(());
        let untold = || Some(ring.presence.load(Ordering::Acquire)).filter(|there| there & 1 == 1 && *there != *told);
        loop {
            let Ok(seen) = lie_down(word, ready) else { return true };
            let ask = must_ask(seen, || untold().is_some());
            match ask {
                Ask::Never => ring.futex_wait(word, seen),
                _ => loom::thread::yield_now(),
            }
            get_up(word);
            if ready().is_some() {
                return true;
            }
            let before = untold();
            let ask = if ask == Ask::Never { None } else { before };
            if let Some(word) = ask.filter(|_| ring.lock.load(Ordering::Acquire) == 0 && untold() == before) {
                *told = word;
                return ready().is_some();
            }
        }
    }

    /// Whatever the kernel watches or not: once he was there, his end is learnt or his message received.
    #[test]
    fn loom_who_waits_for_one_that_is_killed_at_any_step_learns_it() {
        for number in [7, UNWATCHED] {
            for last in 3..=STEPS {
                model(2, move || {
                    let ring = Ring::new();
                    let theirs = ring.clone();
                    let producer = loom::thread::spawn(move || lives(&theirs, number, last));
                    let received = awaits(&ring, &mut 0);
                    producer.join().unwrap();
                    assert!(received == (last > 3), "{last}");
                });
            }
        }
    }

    /// One who was killed while he came is succeeded by one who sends: nobody sleeps through that.
    #[test]
    fn loom_who_waits_sees_the_successor_of_one_that_was_killed_at_any_step() {
        for (number, next) in [(7, 8), (UNWATCHED, 8), (7, UNWATCHED)] {
            for last in 0..=3 {
                model(2, move || {
                    let ring = Ring::new();
                    let theirs = ring.clone();
                    let producer = loom::thread::spawn(move || {
                        lives(&theirs, number, last);
                        lives(&theirs, next, STEPS);
                    });
                    let mut told = 0;
                    while !awaits(&ring, &mut told) {}
                    producer.join().unwrap();
                });
            }
        }
    }
}
