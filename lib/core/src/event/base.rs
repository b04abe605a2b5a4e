//! The event base of C callers: persistent, level-triggered events whose callbacks run on the thread that turns the
//! base, and which any thread may arm, remove and wake.
//!
//! What callers rely on:
//! - Arming talks to the kernel in the caller's thread, so a bad descriptor is an error at once.
//! - Removing bars new callbacks at once, and waits only while a callback of that very event runs on another thread.
//!   From inside a callback it never waits for its own thread, nor in a ring of threads that wait for each other.
//! - A callback may free its own event, arm and remove others, leave the loop, close the base, and turn it again
//!   (8 deep; deeper is EDEADLK; another thread meanwhile gets EBUSY).
//! - What any thread posts runs on the thread that turns the base, oldest first, between two polls.
//! - `loopexit` ends the dispatch that runs (the innermost one), after the callback that is running, or the next one
//!   if none runs; `wait` is one pass and leaves the request alone.
//!
//! One mutex guards the table. It is taken once per callback (the previous one is noted as ended and the next one is
//! looked up in one go), and never held while a callback or the kernel's wait runs.

mod clock;
mod notes;
mod timer;

use super::call::{Call, Handler, calls};
use super::mailbox;
use super::poller::{KernelWaker, LevelSet, Poller, ReportBatch, unread};
use super::post::{self, Posts, Vigil};
use super::slots::Token;
use super::table::{Refused, Table};
use super::waits::Wait;
use super::waker::Waker;
use clock::Clock;
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

pub use timer::{Timer, TimerSlot};

/// An event base. Clones are handles of the same one.
pub struct Base<H: Handler> {
    shared: Arc<Shared<H>>,
}

/// One descriptor's callbacks. It does not own the descriptor. Dropped while armed, it is removed first.
#[derive(Debug)]
pub struct Event<H: Handler> {
    /// Unique in the process.
    id: u64,
    fd: RawFd,
    handler: H,
    home: Mutex<Home<H>>,
}

/// Where an event was armed last.
#[derive(Debug)]
enum Home<H: Handler> {
    Nowhere,
    /// It may have been removed since.
    At(Weak<Shared<H>>, Token),
    /// It is being dropped: its own callback, which may still run, must not arm it again.
    Gone,
}

struct Shared<H: Handler> {
    table: Mutex<Table<H>>,
    clock: Clock<H>,
    /// A callback has ended, or the turning thread has left.
    idle: Condvar,
    set: LevelSet,
    /// Locked only while the one turning thread polls.
    poller: Mutex<Poller>,
    waker: Waker,
    posts: Posts<H::Job>,
    exit: AtomicBool,
    closed: AtomicBool,
}

/// One poll's reports on their way to the callbacks.
#[derive(Default)]
struct Pass {
    reports: ReportBatch,
    next: usize,
    /// The poll's number on the table's clock.
    poll: u64,
    /// A second call that the last report led to.
    second: Option<(Token, Call)>,
    /// The kernel reports something that cannot be removed from its set any more.
    stray: bool,
    /// Somebody has left a note: posted, signalled or asked to leave.
    woken: bool,
    /// The last pass brought jobs and nothing else.
    posted: bool,
    vigil: Vigil,
}

impl<H: Handler> Base<H> {
    /// A base with no events, for which as many jobs may wait as [`Base::MAILBOX`] says.
    pub fn new() -> io::Result<Base<H>> {
        Self::with_mailbox(Self::MAILBOX)
    }

    /// How many jobs may wait unless somebody says otherwise.
    pub const MAILBOX: usize = 1024;

    /// More than this may not wait anywhere.
    pub const LARGEST_MAILBOX: usize = mailbox::LARGEST;

    /// A base with no events, for which at most `mailbox` jobs may wait ([`Base::LARGEST_MAILBOX`] if it is more).
    pub fn with_mailbox(mailbox: usize) -> io::Result<Base<H>> {
        let poller = Poller::new(1024)?;
        let waker = Waker::new(KernelWaker::new()?);
        poller.add_waker(waker.kernel())?;
        let shared = Shared {
            table: Mutex::new(Table::new()),
            clock: Clock::new(),
            idle: Condvar::new(),
            set: poller.level_set()?,
            poller: Mutex::new(poller),
            waker,
            posts: Posts::new(mailbox),
            exit: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        };
        Ok(Base { shared: Arc::new(shared) })
    }

    /// Arms `event`; armed already, it is armed anew. EINVAL when it is armed (or still runs) on another base, EEXIST
    /// when another event watches the same descriptor, otherwise what the kernel says (EBADF, EPERM for a regular file).
    pub fn add(&self, event: &Event<H>) -> io::Result<()> {
        let mut home = event.home();
        let armed_as = match &*home {
            Home::Nowhere => None,
            Home::At(shared, token) if shared.ptr_eq(&Arc::downgrade(&self.shared)) => Some(*token),
            Home::At(other, token) if !other.upgrade().is_some_and(|other| other.is_busy_with(*token, event.id)) => {
                None
            }
            Home::At(..) | Home::Gone => return Err(errno(libc::EINVAL)),
        };
        let token = self.shared.arm(event, armed_as)?;
        *home = Home::At(Arc::downgrade(&self.shared), token);
        Ok(())
    }

    /// Removes `event`. ENOENT when it is not armed here; nothing of it runs any more all the same.
    pub fn del(&self, event: &Event<H>) -> io::Result<()> {
        let home = event.home();
        let was_armed = match &*home {
            Home::At(shared, token) if shared.ptr_eq(&Arc::downgrade(&self.shared)) => {
                self.shared.disarm(*token, event.id)
            }
            _ => false,
        };
        // Whoever runs the callback may be waiting for this very lock.
        drop(home);
        self.shared.settle(event.id);
        if was_armed { Ok(()) } else { Err(errno(libc::ENOENT)) }
    }

    /// Runs callbacks until [`Base::loopexit`]. EBUSY while another thread turns the base.
    pub fn dispatch(&self) -> io::Result<()> {
        let inside = Inside::enter(&self.shared)?;
        let mut pass = Pass::default();
        loop {
            if inside.exit.swap(false, Ordering::AcqRel) || inside.is_closed() {
                return Ok(());
            }
            match inside.poll(&mut pass) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            inside.deliver(&mut pass, true);
            inside.expire(true);
        }
    }

    /// One pass: sleeps until something is ready, a timer is due or the base is woken, and runs what is ready or due.
    pub fn wait(&self) -> io::Result<()> {
        let inside = Inside::enter(&self.shared)?;
        let mut pass = Pass::default();
        loop {
            match inside.poll(&mut pass) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let woken = pass.woken;
            inside.deliver(&mut pass, false);
            // The clock may have us look before the first timer is due.
            if inside.expire(false) || woken || !pass.reports.is_empty() || inside.is_closed() {
                return Ok(());
            }
        }
    }

    /// Has `job` run by the thread that turns the base; any thread may post, also that one. Jobs of one poster run in
    /// the order of posting. Never blocks: the job comes back when as many as may wait are waiting, or the base is
    /// closed.
    #[inline(always)]
    pub fn post(&self, job: H::Job) -> Result<(), post::Refused<H::Job>> {
        self.shared.posts.post(job, &self.shared.waker)
    }

    /// Wakes the loop without leaving it. Async-signal-safe, as is [`Base::loopexit`].
    pub fn signal(&self) {
        self.shared.waker.wake();
    }

    /// Ends the dispatch that runs, or the next one if none runs.
    pub fn loopexit(&self) {
        self.shared.exit.store(true, Ordering::Release);
        self.shared.waker.wake();
    }

    /// How many events are armed.
    pub fn events(&self) -> usize {
        self.shared.table().count()
    }

    /// Removes every event, drops the jobs that wait, ends a dispatch that runs on another thread and waits until that
    /// has left. The events stay valid and may be armed elsewhere.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.table().clear();
        self.shared.clock.clear();
        self.shared.posts.close();
        self.shared.waker.wake();
        self.shared.wait_while(|table| table.turner().is_some());
    }
}

impl<H: Handler> Clone for Base<H> {
    fn clone(&self) -> Self {
        Base { shared: Arc::clone(&self.shared) }
    }
}

impl<H: Handler> fmt::Debug for Base<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Base").field("closed", &self.shared.closed).finish_non_exhaustive()
    }
}

impl<H: Handler> Event<H> {
    /// An event for `fd`; what `handler` wants is what is watched. EINVAL when it wants nothing.
    pub fn new(fd: RawFd, handler: H) -> io::Result<Event<H>> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        if ![Call::Read, Call::Write, Call::Error].iter().any(|&call| handler.wants(call)) {
            return Err(errno(libc::EINVAL));
        }
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Event { id, fd, handler, home: Mutex::new(Home::Nowhere) })
    }

    /// Removes it for good, wherever it is armed, as dropping it does. On its own for whoever shares it with its own
    /// callback by an address, as C does: while this waits for the callback, no exclusive reference exists.
    pub fn retire(&self) {
        let home = std::mem::replace(&mut *self.home(), Home::Gone);
        if let Home::At(shared, token) = home
            && let Some(shared) = shared.upgrade()
        {
            shared.disarm(token, self.id);
            shared.settle(self.id);
        }
    }

    fn home(&self) -> MutexGuard<'_, Home<H>> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: Handler> Drop for Event<H> {
    fn drop(&mut self) {
        self.retire();
    }
}

impl<H: Handler> Shared<H> {
    fn table(&self) -> MutexGuard<'_, Table<H>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn is_busy_with(&self, token: Token, event: u64) -> bool {
        let table = self.table();
        table.holds(token, event) || table.runs(event)
    }

    fn arm(&self, event: &Event<H>, armed_as: Option<Token>) -> io::Result<Token> {
        let mut table = self.table();
        if self.is_closed() {
            return Err(errno(libc::EINVAL));
        }
        if let Some(token) = armed_as.filter(|&token| table.holds(token, event.id)) {
            self.rearm(&mut table, event, token)?;
            return Ok(token);
        }
        let token = table.insert(event.id, event.fd, event.handler).ok_or_else(|| errno(libc::ENOSPC))?;
        if let Err(e) = self.set.add(event.fd, token, &event.handler) {
            table.discard(token);
            return Err(e);
        }
        table.own(token, event.fd);
        Ok(token)
    }

    fn rearm(&self, table: &mut Table<H>, event: &Event<H>, token: Token) -> io::Result<()> {
        if table.owns(token, event.fd) {
            match self.set.change(event.fd, token, &event.handler) {
                // The caller has closed the descriptor and opened another one under its number.
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
                changed => return changed,
            }
        }
        self.set.add(event.fd, token, &event.handler)?;
        table.own(token, event.fd);
        Ok(())
    }

    /// From here on no callback of the event begins; false when it was not armed.
    fn disarm(&self, token: Token, event: u64) -> bool {
        let mut table = self.table();
        let removed = table.remove(token, event);
        if let Some((fd, true)) = removed
            && self.set.remove(fd).is_err()
        {
            // The descriptor was closed first, which usually, but not always, has removed it from the kernel's set.
            table.orphan();
        }
        removed.is_some()
    }

    /// Waits while a callback of `event` runs on another thread.
    fn settle(&self, event: u64) {
        self.wait_while(|table| table.runs(event));
    }

    fn wait_while(&self, mut busy: impl FnMut(&Table<H>) -> bool) {
        let me = thread::current().id();
        let mut table = self.table();
        let Some(turner) = table.turner().filter(|&turner| turner != me && busy(&table)) else { return };
        let Some(_wait) = Wait::begin(me, turner) else { return };
        while busy(&table) && table.turner() == Some(turner) {
            table.waiting += 1;
            table = self.idle.wait(table).unwrap_or_else(PoisonError::into_inner);
            table.waiting -= 1;
        }
    }

    fn poll(&self, pass: &mut Pass) -> io::Result<()> {
        pass.next = 0;
        pass.poll = self.table().tick();
        if std::mem::take(&mut pass.posted) {
            pass.vigil.keep(&self.waker);
        }
        // Asked before dozing: whoever starts an earlier timer from now on wakes us.
        let longest = self.clock.longest_sleep();
        let timeout = if self.waker.doze() { longest } else { Some(Duration::ZERO) };
        let polled = self.poller.lock().unwrap_or_else(PoisonError::into_inner).wait_level(timeout, &mut pass.reports);
        pass.woken = self.waker.rouse();
        match polled {
            // The note has been taken, so what it was about must be looked at now.
            Err(e) if e.kind() == io::ErrorKind::Interrupted && pass.woken => Ok(()),
            polled => polled,
        }
    }

    /// Runs what the poll has found; what an early end leaves over is reported again, being level-triggered.
    fn deliver(&self, pass: &mut Pass, until_exit: bool) {
        if std::mem::take(&mut pass.woken) {
            let leave = || self.is_closed() || until_exit && self.exit.load(Ordering::Relaxed);
            pass.posted = self.posts.run(leave) && pass.reports.is_empty();
        }
        while let Some((handler, call)) = self.next_call(pass, until_exit) {
            handler.call(call);
        }
        if std::mem::take(&mut pass.stray) {
            self.renew();
        }
    }

    /// Notes the end of the previous callback and looks the next one up, under one lock.
    #[inline]
    fn next_call(&self, pass: &mut Pass, until_exit: bool) -> Option<(H, Call)> {
        let mut table = self.table();
        if table.waiting > 0 {
            self.idle.notify_all();
        }
        if until_exit && self.exit.load(Ordering::Relaxed) {
            pass.second = None;
            table.run(0);
            return None;
        }
        pass.next_in(&mut table)
    }

    /// Replaces the kernel's set by a new one that holds only what is armed.
    #[cold]
    fn renew(&self) {
        let mut table = self.table();
        let poller = self.poller.lock().unwrap_or_else(PoisonError::into_inner);
        if poller.renew(&self.set, self.waker.kernel()).is_err() {
            // No descriptor to spare: the next pass tries again.
            return;
        }
        for (token, fd, handler) in table.owned() {
            if self.set.add(fd, token, &handler).is_err() {
                // Closed meanwhile; the old set would have dropped it silently, too.
                table.disown(fd);
            }
        }
        table.adopt_new_set();
    }
}

impl Pass {
    /// The next call, noted in `table` as the one that runs.
    #[inline]
    fn next_in<H: Handler>(&mut self, table: &mut Table<H>) -> Option<(H, Call)> {
        if let Some((token, call)) = self.second.take()
            && let Some((event, handler)) = table.delivered(token, self.poll).map(|entry| (entry.event, entry.handler))
        {
            table.run(event);
            return Some((handler, call));
        }
        while let Some(&(token, report)) = self.reports.get(self.next) {
            self.next += 1;
            let Some(entry) = table.deliver(token, self.poll) else {
                self.stray |= table.is_orphan(self.poll) && !table.knows(token);
                continue;
            };
            let (event, handler, fd) = (entry.event, entry.handler, entry.fd);
            let (first, second) = calls(&handler, report, || unread(fd));
            self.second = second.map(|call| (token, call));
            table.run(event);
            return Some((handler, first));
        }
        table.run(0);
        None
    }
}

/// A thread inside the loop; it leaves when this is dropped, and it keeps the base alive until then.
struct Inside<H: Handler> {
    shared: Arc<Shared<H>>,
    /// Which thread was inside before: none, or this one.
    outer: usize,
}

impl<H: Handler> Inside<H> {
    fn enter(shared: &Arc<Shared<H>>) -> io::Result<Inside<H>> {
        match shared.table().enter(thread::current().id()) {
            Ok(()) => {}
            Err(Refused::Busy) => return Err(errno(libc::EBUSY)),
            Err(Refused::TooDeep) => return Err(errno(libc::EDEADLK)),
        }
        // Inside a job the note of those behind it has been read by the turn that runs it.
        if !shared.posts.are_idle() {
            shared.waker.wake();
        }
        Ok(Inside { outer: shared.clock.enter(), shared: Arc::clone(shared) })
    }
}

impl<H: Handler> std::ops::Deref for Inside<H> {
    type Target = Shared<H>;

    fn deref(&self) -> &Shared<H> {
        &self.shared
    }
}

impl<H: Handler> Drop for Inside<H> {
    fn drop(&mut self) {
        self.shared.clock.leave(self.outer);
        let mut table = self.shared.table();
        table.leave();
        if table.waiting > 0 {
            self.shared.idle.notify_all();
        }
    }
}

fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

#[cfg(test)]
mod tests;
