//! A bounded queue in one block of memory: many senders, one thread that receives, nothing allocated for a message.
//!
//! A sender takes the next ticket with one read-modify-write of `tail`, writes its message into the ticket's slot and
//! then marks the slot. The receiver goes from slot to slot and stops at the first that is not marked. It never touches
//! `tail` but when it has found nothing: then it leaves a bit there, [`IDLE`], and the sender whose ticket takes the bit
//! away is told to wake it. So a message that waits has been told of, and a burst is told of once.
//!
//! Whoever receives holds the [`Taker`], of which only one thread has any, but that one as many as it likes: a message
//! may be worked on while another is taken. After [`Queue::close`] no ticket is given out; what waits is dropped by
//! whoever closes, or by the thread that receives, or, if its sender has not marked it by then, with the queue.

use crate::sys::sync::atomic::{AtomicUsize, Ordering, fence};
use crate::sys::sync::{cell::UnsafeCell, thread_key};
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

pub(crate) struct Queue<T> {
    tail: Tail,
    head: Head,
    /// As many as may wait; the slots are the next power of two.
    limit: usize,
    slots: Box<[Slot<T>]>,
}

/// What senders write. Apart from the receiver's words: 128, because processors fetch lines in pairs.
#[repr(align(128))]
struct Tail {
    /// The next ticket, and the two bits below.
    word: AtomicUsize,
    /// Where the receiver was when a sender last looked: reading the receiver's own word is what costs.
    seen: AtomicUsize,
}

/// What the receiver writes.
#[repr(align(128))]
struct Head {
    /// The ticket of the message that comes next.
    ticket: AtomicUsize,
    /// The thread that receives, 0 for none.
    owner: AtomicUsize,
    /// How many takers it has.
    takers: AtomicUsize,
}

struct Slot<T> {
    /// The ticket after that of the message that lies here or lay here last.
    mark: AtomicUsize,
    message: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: a message is written by the one sender that has its ticket and read once, after the mark, by the one thread
// that has the takers; so it goes from thread to thread, and is never shared.
unsafe impl<T: Send> Sync for Queue<T> {}
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl<T: Send> Send for Queue<T> {}

/// A message that was not taken in, given back.
pub(crate) enum Unsent<T> {
    /// As many as may wait are waiting.
    Full(T),
    /// The queue was closed.
    Closed(T),
}

/// The receiver has found nothing, and wants to be told.
const IDLE: usize = 1;
/// No more tickets.
const CLOSED: usize = 2;
/// Tickets count in steps of this, above the two bits.
const STEP: usize = 4;

fn ticket_of(word: usize) -> usize {
    word & !(STEP - 1)
}

/// How many bytes before its turn a slot is fetched. The receiver's processor has it, and the next ticket's
/// read-modify-write would wait until it is here.
const AHEAD: usize = 512;

/// Has the processor fetch `place` for writing while it does other things.
#[inline(always)]
fn soon_written<P>(place: &P) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: the instruction changes neither memory nor registers, whatever the address.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) std::ptr::from_ref(place), options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = place;
}

impl<T> Queue<T> {
    /// More than this may not wait in any queue.
    pub const MOST: usize = 1 << 24;

    /// A queue for at most `limit` messages (at least one, at most [`Queue::MOST`]).
    pub fn new(limit: usize) -> Queue<T> {
        let limit = limit.clamp(1, Self::MOST);
        let slot = |_| Slot { mark: AtomicUsize::new(0), message: UnsafeCell::new(MaybeUninit::uninit()) };
        Queue {
            tail: Tail { word: AtomicUsize::new(IDLE), seen: AtomicUsize::new(0) },
            head: Head { ticket: AtomicUsize::new(0), owner: AtomicUsize::new(0), takers: AtomicUsize::new(0) },
            limit,
            slots: (0..limit.next_power_of_two()).map(slot).collect(),
        }
    }

    /// Puts `message` behind all others. True when the receiver has to be woken: it has found nothing since.
    #[inline(always)]
    pub fn push(&self, message: T) -> Result<bool, Unsent<T>> {
        let mut tail = self.tail.word.load(Ordering::Relaxed);
        loop {
            if tail & CLOSED != 0 {
                return Err(Unsent::Closed(message));
            }
            let ticket = ticket_of(tail);
            if !self.has_room(ticket) {
                // Beside a ticket of yesterday today's receiver looks far away.
                let now = self.tail.word.load(Ordering::Relaxed);
                if now == tail {
                    return Err(Unsent::Full(message));
                }
                tail = now;
                continue;
            }
            let next = ticket.wrapping_add(STEP);
            match self.tail.word.compare_exchange_weak(tail, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break self.put(ticket, message),
                Err(now) => tail = now,
            }
        }
        Ok(tail & IDLE != 0)
    }

    #[inline(always)]
    fn put(&self, ticket: usize, message: T) {
        let slot = self.slot(ticket);
        soon_written(self.slot(ticket.wrapping_add(AHEAD / size_of::<Slot<T>>() * STEP)));
        slot.message.with_mut(|place| {
            // SAFETY: the ticket is ours alone, and there was room: what lay here was taken out before we saw so.
            unsafe { place.write(MaybeUninit::new(message)) }
        });
        slot.mark.store(ticket.wrapping_add(STEP), Ordering::Release);
    }

    #[inline(always)]
    fn slot(&self, ticket: usize) -> &Slot<T> {
        &self.slots[(ticket / STEP) & (self.slots.len() - 1)]
    }

    #[inline(always)]
    fn has_room(&self, ticket: usize) -> bool {
        let seen = self.tail.seen.load(Ordering::Acquire);
        ticket.wrapping_sub(seen) < self.limit * STEP || self.has_room_now(ticket, seen)
    }

    #[cold]
    fn has_room_now(&self, ticket: usize, seen: usize) -> bool {
        let head = self.head.ticket.load(Ordering::Acquire);
        if head != seen {
            // Not over what another has seen meanwhile: whoever is held up here must not turn the clock back.
            let _ = self.tail.seen.compare_exchange(seen, head, Ordering::Release, Ordering::Relaxed);
        }
        ticket.wrapping_sub(head) < self.limit * STEP
    }

    /// How many messages wait, those included that are just being written.
    pub fn len(&self) -> usize {
        let head = self.head.ticket.load(Ordering::Acquire);
        ticket_of(self.tail.word.load(Ordering::Relaxed)).wrapping_sub(head) / STEP
    }

    pub fn is_closed(&self) -> bool {
        self.tail.word.load(Ordering::Acquire) & CLOSED != 0
    }

    /// The right to receive; `None` while another thread has it.
    pub fn taker(&self) -> Option<Taker<'_, T>> {
        let (head, me) = (&self.head, thread_key());
        if head.owner.load(Ordering::Relaxed) != me {
            head.owner.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed).ok()?;
        }
        head.takers.store(head.takers.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        Some(Taker { queue: self, of_this_thread: PhantomData })
    }

    /// Takes nothing in any more, and drops what waits: now, or when the thread that receives just now lets go.
    pub fn close(&self) {
        self.tail.word.fetch_or(CLOSED, Ordering::AcqRel);
        // Either we see that nobody receives, or whoever does sees that it is closed.
        fence(Ordering::SeqCst);
        self.sweep();
    }

    fn sweep(&self) {
        if let Some(taker) = self.taker() {
            while taker.pop().is_some() {}
        }
    }

    fn is_next_marked(&self) -> bool {
        let ticket = self.head.ticket.load(Ordering::Acquire);
        self.slot(ticket).mark.load(Ordering::Acquire) == ticket.wrapping_add(STEP)
    }
}

/// The right of one thread to receive.
pub(crate) struct Taker<'a, T> {
    queue: &'a Queue<T>,
    /// Not `Send`: by its owner the queue knows a thread.
    of_this_thread: PhantomData<*const ()>,
}

impl<T> Taker<'_, T> {
    /// The oldest message, unless its sender is still writing it.
    #[inline(always)]
    pub fn pop(&self) -> Option<T> {
        let ticket = self.queue.head.ticket.load(Ordering::Relaxed);
        let (slot, next) = (self.queue.slot(ticket), ticket.wrapping_add(STEP));
        if slot.mark.load(Ordering::Acquire) != next {
            return None;
        }
        let message = slot.message.with_mut(|place| {
            // SAFETY: the mark says that the message of this ticket was written; only this thread receives, and the
            // store below makes the ticket one of the past, so it is read once.
            unsafe { place.read() }
        });
        self.queue.head.ticket.store(next, Ordering::Release);
        // SAFETY: as above, it was written.
        Some(unsafe { message.assume_init() })
    }

    /// Whether nothing waits; then the next sender will be told to wake the receiver.
    pub fn is_idle(&self) -> bool {
        if self.queue.is_next_marked() {
            return false;
        }
        let (tail, head) = (&self.queue.tail.word, self.queue.head.ticket.load(Ordering::Relaxed));
        match tail.compare_exchange(head, head | IDLE, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => true,
            Err(now) => ticket_of(now) == head,
        }
    }
}

impl<T> Drop for Taker<'_, T> {
    fn drop(&mut self) {
        let head = &self.queue.head;
        let left = head.takers.load(Ordering::Relaxed) - 1;
        head.takers.store(left, Ordering::Relaxed);
        if left > 0 {
            return;
        }
        head.owner.store(0, Ordering::Release);
        // The other half of what `close` does.
        fence(Ordering::SeqCst);
        if self.queue.is_closed() && self.queue.is_next_marked() {
            self.queue.sweep();
        }
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        self.sweep();
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("limit", &self.limit).field("waiting", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    fn all(queue: &Queue<u32>) -> Vec<u32> {
        let taker = queue.taker().unwrap();
        std::iter::from_fn(|| taker.pop()).collect()
    }

    #[test]
    fn messages_come_in_order_and_no_more_than_may_wait_for_many_laps() {
        let queue = Queue::new(3);
        for lap in 0..50 {
            for number in 0..3 {
                assert!(queue.push(lap * 3 + number).is_ok());
            }
            assert!(matches!(queue.push(99), Err(Unsent::Full(99))));
            assert_eq!(queue.len(), 3);
            assert_eq!(queue.taker().unwrap().pop(), Some(lap * 3));
            assert!(queue.push(7777).is_ok() && queue.push(9).is_err());
            assert_eq!(all(&queue), [lap * 3 + 1, lap * 3 + 2, 7777]);
        }
    }

    #[test]
    fn tickets_may_run_over() {
        let queue = Queue::new(2);
        let last = ticket_of(usize::MAX - 4 * STEP);
        queue.tail.word.store(last, Ordering::Relaxed);
        queue.tail.seen.store(last, Ordering::Relaxed);
        queue.head.ticket.store(last, Ordering::Relaxed);
        for number in 0..20 {
            assert!(queue.push(number).is_ok() && queue.push(number + 100).is_ok());
            assert!(matches!(queue.push(0), Err(Unsent::Full(0))));
            assert_eq!(all(&queue), [number, number + 100]);
        }
    }

    #[test]
    fn only_the_first_message_after_an_idle_receiver_wakes_it() {
        let queue = Queue::new(4);
        let woke = |number| queue.push(number).ok().unwrap();
        assert!(woke(1) && !woke(2));
        let taker = queue.taker().unwrap();
        assert_eq!(taker.pop(), Some(1));
        assert!(!taker.is_idle() && !woke(3));
        assert_eq!((taker.pop(), taker.pop(), taker.pop()), (Some(2), Some(3), None));
        assert!(taker.is_idle() && taker.is_idle());
        assert!(woke(4));
    }

    #[test]
    fn one_thread_receives_and_may_do_so_twice() {
        let queue = Queue::new(4);
        let (outer, inner) = (queue.taker().unwrap(), queue.taker());
        thread::scope(|scope| {
            assert!(scope.spawn(|| queue.taker().is_none()).join().unwrap());
            drop(outer);
            assert!(scope.spawn(|| queue.taker().is_none()).join().unwrap());
            drop(inner);
            assert!(scope.spawn(|| queue.taker().is_some()).join().unwrap());
        });
        assert!(queue.push(1).is_ok());
        assert_eq!(all(&queue), [1]);
    }

    #[test]
    fn closing_drops_what_waits_once_nobody_receives_and_refuses_what_comes() {
        let queue = Queue::new(4);
        let message = Arc::new(());
        (0..3).for_each(|_| assert!(queue.push(Arc::clone(&message)).is_ok()));
        let taker = queue.taker().unwrap();
        let first = taker.pop();
        thread::scope(|scope| {
            scope.spawn(|| queue.close());
        });
        assert_eq!(Arc::strong_count(&message), 4, "the thread that receives drops, not another one");
        assert!(matches!(queue.push(Arc::clone(&message)), Err(Unsent::Closed(_))));
        drop(taker);
        assert_eq!(Arc::strong_count(&message), 2);
        drop((first, queue));
        assert_eq!(Arc::strong_count(&message), 1);
        let queue = Queue::new(4);
        assert!(queue.push(Arc::clone(&message)).is_ok());
        drop(queue);
        assert_eq!(Arc::strong_count(&message), 1, "a queue drops what it holds");
    }

    #[test]
    fn several_senders_lose_nothing_and_keep_their_order() {
        const SENDERS: usize = 4;
        const EACH: usize = if cfg!(miri) { 40 } else { 100_000 };
        let queue = Queue::new(37);
        thread::scope(|scope| {
            for sender in 0..SENDERS {
                let queue = &queue;
                scope.spawn(move || {
                    for number in 0..EACH {
                        while queue.push(Box::new((sender, number))).is_err() {
                            thread::yield_now();
                        }
                    }
                });
            }
            let (mut due, taker) = ([0; SENDERS], queue.taker().unwrap());
            while due.iter().sum::<usize>() < SENDERS * EACH {
                let Some(message) = taker.pop() else {
                    thread::yield_now();
                    continue;
                };
                let (sender, number) = *message;
                assert_eq!(number, due[sender]);
                due[sender] += 1;
            }
            assert!(taker.is_idle());
        });
    }
}

#[cfg(all(test, feature = "loom"))]
mod model;
