//! A bounded mailbox between threads: many senders, one loop that receives.
//!
//! It never blocks and never grows. The first message since the receiver has emptied the mailbox wakes its loop (which
//! costs no system call while that loop is awake); what a drain leaves over wakes it again. A sender that finds the
//! mailbox full keeps its message and is woken, on its own loop, when there is room again. Both wakes arrive as
//! [`Turn::woken`](super::Turn::woken).

use super::parking::Parking;
use super::waker::Waker;
use crate::mem::{Queue, Taker, Unsent};
use std::fmt;
use std::sync::Arc;

/// More than this may not wait in any mailbox.
pub const LARGEST: usize = Queue::<()>::MOST;

/// A mailbox for at most `capacity` messages (one to [`LARGEST`]) whose receiver lives on the loop that `waker` wakes.
pub fn bounded<T>(capacity: usize, waker: Waker) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared { queue: Queue::new(capacity), receiver: waker, senders: Parking::new() });
    (Sender { shared: Arc::clone(&shared), home: None }, Receiver { shared })
}

/// The message that found the mailbox full, given back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<T>(pub T);

/// The end that posts; every sending loop has its own clone, made with [`Sender::living_on`].
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
    home: Option<Waker>,
}

/// The end that reads; it belongs to one loop.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    queue: Queue<T>,
    /// The receiver's loop.
    receiver: Waker,
    /// Loops that wait for room.
    senders: Parking<Waker>,
}

impl<T> Sender<T> {
    /// A clone for the loop that `home` wakes: after [`Full`], that loop is woken once there is room.
    pub fn living_on(&self, home: Waker) -> Sender<T> {
        Sender { shared: Arc::clone(&self.shared), home: Some(home) }
    }

    /// Posts, or gives the message back when the mailbox is full (or closed: full for ever). After `Full` the
    /// sender's own loop is woken once as soon as the receiver has made room.
    #[inline(always)]
    pub fn try_send(&self, message: T) -> Result<(), Full<T>> {
        self.post(message).or_else(|refused| self.park_with(refused))
    }

    #[cold]
    fn park_with(&self, refused: Full<T>) -> Result<(), Full<T>> {
        let Some(home) = &self.home else { return Err(refused) };
        // The receiver may have emptied the mailbox before it could see us parked, so one more try.
        self.shared.senders.park(home, Waker::same);
        self.post(refused.0)
    }

    #[inline(always)]
    fn post(&self, message: T) -> Result<(), Full<T>> {
        match self.shared.queue.push(message) {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.shared.receiver.wake();
                Ok(())
            }
            Err(Unsent::Full(message) | Unsent::Closed(message)) => Err(Full(message)),
        }
    }

    /// Whether the receiver is gone, so that nothing posted will ever be read.
    pub fn is_closed(&self) -> bool {
        self.shared.queue.is_closed()
    }
}

impl<T> Receiver<T> {
    /// At most `limit` messages, oldest first; none while another thread drains. When it is dropped, senders that wait
    /// for room are woken, and if messages remain so is the receiver's own loop, in its next turn. While it lives, what
    /// arrives wakes nobody.
    pub fn drain(&self, limit: usize) -> Drain<'_, T> {
        Drain { shared: &self.shared, taker: self.shared.queue.taker(), left: limit, taken: false }
    }

    /// Accepts nothing any more and drops what waits, or has the thread do so that drains just now. Senders learn it as
    /// if it was dropped.
    pub fn close(&self) {
        self.shared.queue.close();
        self.shared.senders.unpark(|sender| sender.wake());
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.shared.queue.len()
    }

    /// Whether none waits and the next message will wake the loop: for whoever turns the loop while a drain lives, which
    /// sees to that only at its end.
    pub fn is_idle(&self) -> bool {
        self.shared.queue.taker().is_some_and(|taker| taker.is_idle())
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Messages being taken out.
pub struct Drain<'a, T> {
    shared: &'a Shared<T>,
    taker: Option<Taker<'a, T>>,
    left: usize,
    taken: bool,
}

impl<T> Iterator for Drain<'_, T> {
    type Item = T;

    #[inline(always)]
    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        let message = self.taker.as_ref()?.pop()?;
        self.taken = true;
        Some(message)
    }
}

impl<T> Drop for Drain<'_, T> {
    fn drop(&mut self) {
        if self.taken {
            self.shared.senders.unpark(|sender| sender.wake());
        }
        if self.taker.as_ref().is_some_and(|taker| !taker.is_idle()) {
            self.shared.receiver.wake();
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender { shared: Arc::clone(&self.shared), home: self.home.clone() }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the mailbox is full")
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("waiting", &self.shared.queue.len()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("waiting", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Reactor, Ready, Token, Turn};
    use super::*;
    use std::thread;
    use std::time::Duration;

    #[derive(Default)]
    struct Woken(usize);

    impl Turn for Woken {
        fn ready(&mut self, _: &mut Reactor, _: Token, _: Ready) {}
        fn expired(&mut self, _: &mut Reactor, _: u64) {}
        fn woken(&mut self, _: &mut Reactor) {
            self.0 += 1;
        }
    }

    const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

    #[test]
    fn message_wakes_the_receiving_loop() {
        let mut reactor = Reactor::new().unwrap();
        let (sender, receiver) = bounded(4, reactor.waker());
        let poster = thread::spawn(move || sender.try_send(7).unwrap());
        let mut app = Woken::default();
        while app.0 == 0 {
            reactor.turn(&mut app, PATIENCE).unwrap();
        }
        poster.join().unwrap();
        assert_eq!(receiver.drain(10).collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn full_mailbox_gives_the_message_back_and_wakes_the_sender_when_there_is_room() {
        let receiving = Reactor::new().unwrap();
        let mut sending = Reactor::new().unwrap();
        let (sender, receiver) = bounded(2, receiving.waker());
        let sender = sender.living_on(sending.waker());
        sender.try_send(1).unwrap();
        sender.try_send(2).unwrap();
        assert_eq!(sender.try_send(3), Err(Full(3)));
        assert_eq!(receiver.drain(1).collect::<Vec<_>>(), [1]);
        let mut app = Woken::default();
        sending.turn(&mut app, PATIENCE).unwrap();
        assert_eq!(app.0, 1);
        sender.try_send(3).unwrap();
        assert_eq!(receiver.drain(9).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn what_a_limited_drain_leaves_wakes_the_receiver_again() {
        let mut reactor = Reactor::new().unwrap();
        let (sender, receiver) = bounded(4, reactor.waker());
        (0..3).for_each(|n| sender.try_send(n).unwrap());
        let mut app = Woken::default();
        reactor.turn(&mut app, PATIENCE).unwrap();
        assert_eq!(receiver.drain(2).count(), 2);
        reactor.turn(&mut app, PATIENCE).unwrap();
        assert_eq!((app.0, receiver.drain(2).count()), (2, 1));
    }

    #[test]
    fn sender_learns_that_the_receiver_is_gone() {
        let reactor = Reactor::new().unwrap();
        let (sender, receiver) = bounded(1, reactor.waker());
        assert!(!sender.is_closed());
        drop(receiver);
        assert!(sender.is_closed());
        assert_eq!(sender.try_send(1), Err(Full(1)));
    }

    #[test]
    fn nothing_is_lost_or_stuck_between_two_loops_and_a_tiny_mailbox() {
        const COUNT: u64 = 20_000;
        let mut receiving = Reactor::new().unwrap();
        let (sender, receiver) = bounded(3, receiving.waker());
        let poster = thread::spawn(move || {
            let mut reactor = Reactor::new().unwrap();
            let sender = sender.living_on(reactor.waker());
            let mut app = Woken::default();
            for n in 0..COUNT {
                let mut message = n;
                while let Err(Full(back)) = sender.try_send(message) {
                    message = back;
                    reactor.turn(&mut app, PATIENCE).unwrap();
                }
            }
        });
        let mut expected = 0;
        let mut app = Woken::default();
        while expected < COUNT {
            receiving.turn(&mut app, PATIENCE).unwrap();
            for got in receiver.drain(2) {
                assert_eq!(got, expected);
                expected += 1;
            }
        }
        poster.join().unwrap();
    }
}
