//! The loop of a Rust program: it owns a poller and timers, and nothing of the application.
//!
//! The application keeps its objects in its own [`Slots`](super::Slots), registers their descriptors under their
//! tokens, and is told in [`Turn`] what happened. Descriptors are edge-triggered: drain, or remember that you did not.

use super::poller::{Interest, KernelWaker, Poller, Ready};
use super::slots::Token;
use super::waker::Waker;
use crate::timer::{TimerId, Timers};
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// What a loop tells its application. The reactor is handed in, so a handler may watch, unwatch and arm freely.
pub trait Turn {
    /// The descriptor registered under `token` is ready.
    fn ready(&mut self, reactor: &mut Reactor, token: Token, ready: Ready);
    /// The timer armed with `key` has expired (once; it is gone).
    fn expired(&mut self, reactor: &mut Reactor, key: u64);
    /// Another thread called [`Waker::wake`] at least once since the last time: look into the mailboxes.
    fn woken(&mut self, reactor: &mut Reactor);
}

/// A loop that belongs to the thread that turns it.
pub struct Reactor {
    poller: Poller,
    timers: Timers,
    waker: Waker,
    now: Instant,
    /// Inside a turn `now` is the time; outside it is an old one.
    turning: bool,
    ready: Vec<(Token, Ready)>,
}

impl Reactor {
    /// A loop with nothing in it.
    pub fn new() -> io::Result<Reactor> {
        let poller = Poller::new(1024)?;
        let waker = Waker::new(KernelWaker::new()?);
        poller.add_waker(waker.kernel())?;
        let now = Instant::now();
        Ok(Reactor { poller, timers: Timers::new(now), waker, now, turning: false, ready: Vec::with_capacity(1024) })
    }

    /// A handle with which other threads wake this loop.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// The time at which this turn began; one clock reading per turn serves everything in it.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Watches `fd`, edge-triggered, under `token`. The caller keeps the descriptor open until [`Reactor::unwatch`].
    pub fn watch(&self, fd: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        self.poller.add_edge(fd.as_fd(), token, interest)
    }

    /// Changes what is watched; re-arms the edge, so what is ready now is reported again.
    pub fn rewatch(&self, fd: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        self.poller.change_edge(fd.as_fd(), token, interest)
    }

    /// Stops watching `fd`.
    pub fn unwatch(&self, fd: impl AsFd) -> io::Result<()> {
        self.poller.remove(fd.as_fd())
    }

    /// Arms a one-shot timer; `key` comes back in [`Turn::expired`], never early, and never in this same turn.
    pub fn arm(&mut self, after: Duration, key: u64) -> TimerId {
        let now = if self.turning { self.now } else { Instant::now() };
        self.timers.arm(now + after, key)
    }

    /// Arms a one-shot timer for a moment; those of one moment expire in one turn, wherever they were armed.
    pub fn arm_at(&mut self, at: Instant, key: u64) -> TimerId {
        self.timers.arm(at, key)
    }

    /// Disarms a timer; false when it has already fired.
    pub fn disarm(&mut self, timer: TimerId) -> bool {
        self.timers.disarm(timer)
    }

    /// Waits for the next thing to happen and tells `app` everything that had happened by then, each thing once.
    /// `longest` bounds the wait.
    pub fn turn(&mut self, app: &mut impl Turn, longest: Option<Duration>) -> io::Result<()> {
        let timeout = self.longest_sleep(longest);
        let mut ready = std::mem::take(&mut self.ready);
        let waited = self.poller.wait(timeout, &mut ready);
        let woken = self.waker.rouse();
        self.now = Instant::now();
        self.turning = true;
        if woken {
            app.woken(self);
        }
        for &(token, what) in &ready {
            app.ready(self, token, what);
        }
        self.ready = ready;
        self.expire(app);
        self.turning = false;
        waited
    }

    /// How long the kernel may keep us: not at all when somebody left a note meanwhile.
    fn longest_sleep(&self, longest: Option<Duration>) -> Option<Duration> {
        if !self.waker.doze() {
            return Some(Duration::ZERO);
        }
        let next = self.timers.next().map(|at| at.saturating_duration_since(Instant::now()));
        match (next, longest) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// One by one, so that a handler may still disarm what is due in the same turn.
    fn expire(&mut self, app: &mut impl Turn) {
        let now = self.now;
        while let Some(key) = self.timers.expire(now) {
            app.expired(self, key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Signals;
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::thread;

    #[derive(Default)]
    struct Seen {
        ready: Vec<(u32, Ready)>,
        expired: Vec<u64>,
        woken: usize,
        /// What to do when a timer expires.
        on_expiry: Option<fn(&mut Reactor, u64)>,
    }

    impl Turn for Seen {
        fn ready(&mut self, _: &mut Reactor, token: Token, ready: Ready) {
            self.ready.push((token.bits(), ready));
        }
        fn expired(&mut self, reactor: &mut Reactor, key: u64) {
            self.expired.push(key);
            if let Some(run) = self.on_expiry {
                run(reactor, key);
            }
        }
        fn woken(&mut self, _: &mut Reactor) {
            self.woken += 1;
        }
    }

    const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
    const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

    fn token(number: u32) -> Token {
        Token::from_bits(number)
    }

    #[test]
    fn edge_is_told_once_and_again_for_new_data_or_when_rearmed() {
        let mut reactor = Reactor::new().unwrap();
        let mut seen = Seen::default();
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        reactor.watch(&ours, token(7), Interest::READ).unwrap();
        theirs.write_all(b"ab").unwrap();
        reactor.turn(&mut seen, PATIENCE).unwrap();
        reactor.turn(&mut seen, AT_ONCE).unwrap();
        assert_eq!(seen.ready, [(7, Ready { read: true, ..Ready::default() })]);
        reactor.rewatch(&ours, token(8), Interest::READ).unwrap();
        reactor.turn(&mut seen, PATIENCE).unwrap();
        ours.read_exact(&mut [0; 2]).unwrap();
        theirs.write_all(b"c").unwrap();
        reactor.turn(&mut seen, PATIENCE).unwrap();
        assert_eq!(seen.ready.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [7, 8, 8]);
        drop(theirs);
        reactor.turn(&mut seen, PATIENCE).unwrap();
        assert!(seen.ready[3].1.hangup);
        reactor.unwatch(&ours).unwrap();
    }

    #[test]
    fn everything_ready_is_told_exactly_once_per_turn() {
        let mut reactor = Reactor::new().unwrap();
        let mut seen = Seen::default();
        let pairs: Vec<_> = (0..200).map(|_| UnixStream::pair().unwrap()).collect();
        for (number, (ours, theirs)) in pairs.iter().enumerate() {
            reactor.watch(ours, token(number as u32), Interest::BOTH).unwrap();
            (&*theirs).write_all(b"x").unwrap();
        }
        reactor.turn(&mut seen, PATIENCE).unwrap();
        let mut told: Vec<_> = seen.ready.iter().map(|(token, _)| *token).collect();
        told.sort_unstable();
        assert_eq!(told, (0..200).collect::<Vec<_>>());
        reactor.turn(&mut seen, AT_ONCE).unwrap();
        assert_eq!(seen.ready.len(), 200);
    }

    #[test]
    fn many_wakes_before_a_turn_are_told_once() {
        let mut reactor = Reactor::new().unwrap();
        let mut seen = Seen::default();
        let waker = reactor.waker();
        thread::spawn(move || (0..100).for_each(|_| waker.wake())).join().unwrap();
        reactor.turn(&mut seen, PATIENCE).unwrap();
        reactor.turn(&mut seen, AT_ONCE).unwrap();
        assert_eq!((seen.woken, seen.ready.len()), (1, 0));
    }

    #[test]
    fn wake_ends_the_sleep_of_another_thread() {
        let mut reactor = Reactor::new().unwrap();
        let waker = reactor.waker();
        let asked = Instant::now();
        let sleeper = thread::spawn(move || {
            let mut seen = Seen::default();
            while seen.woken < 2 {
                reactor.turn(&mut seen, PATIENCE).unwrap();
                if seen.woken == 1 {
                    // From inside the loop, too: the next turn must not sleep.
                    reactor.waker().wake();
                }
            }
        });
        waker.wake();
        sleeper.join().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn signals_arrive_as_readiness() {
        let mut reactor = Reactor::new().unwrap();
        let mut seen = Seen::default();
        let mut signals = Signals::new(&[libc::SIGWINCH]).unwrap();
        reactor.watch(&signals, token(1), Interest::READ).unwrap();
        let mut taken = Vec::new();
        for _ in 0..2 {
            nix::sys::signal::raise(nix::sys::signal::SIGWINCH).unwrap();
            seen.ready.clear();
            while seen.ready.is_empty() {
                reactor.turn(&mut seen, PATIENCE).unwrap();
            }
            taken.extend(signals.take());
        }
        assert_eq!(taken, [libc::SIGWINCH; 2]);
    }

    #[test]
    fn timers_fire_in_order_never_early_and_not_in_the_turn_that_armed_them() {
        let mut reactor = Reactor::new().unwrap();
        let mut seen = Seen::default();
        let armed = Instant::now();
        reactor.arm(Duration::from_millis(20), 2);
        reactor.arm(Duration::from_millis(5), 1);
        let cancelled = reactor.arm(Duration::from_millis(1), 9);
        assert!(reactor.disarm(cancelled));
        seen.on_expiry = Some(|reactor, key| {
            if key == 2 {
                reactor.arm(Duration::ZERO, 3);
            }
        });
        while seen.expired.len() < 2 {
            reactor.turn(&mut seen, PATIENCE).unwrap();
        }
        assert!(armed.elapsed() >= Duration::from_millis(20));
        assert_eq!(seen.expired, [1, 2]);
        while seen.expired.len() < 3 {
            reactor.turn(&mut seen, PATIENCE).unwrap();
        }
        assert_eq!(seen.expired, [1, 2, 3]);
    }

    #[test]
    fn time_spent_before_the_first_turn_does_not_make_a_timer_early() {
        let mut reactor = Reactor::new().unwrap();
        reactor.now -= Duration::from_secs(60);
        let armed = Instant::now();
        reactor.arm(Duration::from_millis(10), 1);
        let mut seen = Seen::default();
        while seen.expired.is_empty() {
            reactor.turn(&mut seen, PATIENCE).unwrap();
        }
        assert!(armed.elapsed() >= Duration::from_millis(10));
    }
}
