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
    ready: Vec<(Token, Ready)>,
}

impl Reactor {
    /// A loop with nothing in it.
    pub fn new() -> io::Result<Reactor> {
        let poller = Poller::new(1024)?;
        let waker = Waker::new(KernelWaker::new()?);
        poller.add_waker(waker.kernel())?;
        let now = Instant::now();
        Ok(Reactor { poller, timers: Timers::new(now), waker, now, ready: Vec::with_capacity(1024) })
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

    /// Arms a one-shot timer; `key` comes back in [`Turn::expired`].
    pub fn arm(&mut self, after: Duration, key: u64) -> TimerId {
        self.timers.arm(self.now + after, key)
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
        if woken {
            app.woken(self);
        }
        for &(token, what) in &ready {
            app.ready(self, token, what);
        }
        self.ready = ready;
        self.expire(app);
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
