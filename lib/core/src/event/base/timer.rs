//! Timers of an event base: started and stopped by any thread, run by the thread that turns the base.
//!
//! What callers rely on:
//! - A timer never fires early. It is late by at most a tick (a quarter of a millisecond) and the millisecond to which
//!   the kernel's wait is rounded up, if the loop is free.
//! - A cyclic timer keeps its phase; what it misses while the loop is busy is skipped, never made up for in a burst.
//! - Stopping bars new calls at once, and waits only while a call of that very timer runs on another thread. A timer
//!   started from inside a callback fires in the next pass at the earliest.
//! - A callback may start, stop and free its own timer and others.
//!
//! What happens to a timer that was started or stopped is said in [`super::clock`].

use super::notes::Deed;
use super::{Base, Shared, errno};
use crate::event::call::{Expire, Handler};
use crate::timer::nanoseconds;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A timer of a base; it does not run before it is started. Dropped, it is stopped first.
///
/// ```
/// use msf_core::event::{Base, Call, Expire, Handler, Timer};
/// use std::time::Duration;
///
/// #[derive(Clone, Copy)]
/// struct Descriptor;
/// #[derive(Clone, Copy)]
/// struct Leave(&'static std::sync::OnceLock<Base<Descriptor>>);
///
/// impl Handler for Descriptor {
///     type Job = msf_core::event::Task;
///     type Timer = Leave;
///     fn wants(&self, _: Call) -> bool { false }
///     fn call(self, _: Call) {}
/// }
/// impl Expire for Leave {
///     fn expired(self) {
///         if let Some(base) = self.0.get() {
///             base.loopexit();
///         }
///     }
/// }
///
/// static BASE: std::sync::OnceLock<Base<Descriptor>> = std::sync::OnceLock::new();
/// let base = BASE.get_or_init(|| Base::new().expect("two descriptors to spare"));
/// let timer = Timer::new(base, Leave(&BASE))?;
/// timer.start(Duration::from_millis(5), None)?;
/// base.dispatch()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Timer<H: Handler> {
    base: Base<H>,
    slot: TimerSlot,
}

/// Which timer of its base it is: for whoever keeps base and timers apart, as C does. It means nothing to another base,
/// and another timer after it was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerSlot(u32);

impl TimerSlot {
    /// Its number: as small as can be, for those who keep things in arrays.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The slot of that number.
    pub fn from_number(number: u32) -> TimerSlot {
        TimerSlot(number)
    }
}

impl<H: Handler> Timer<H> {
    /// A timer of `base`. EINVAL when the base is closed.
    pub fn new(base: &Base<H>, handler: H::Timer) -> io::Result<Timer<H>> {
        Ok(Timer { slot: base.new_timer(handler)?, base: base.clone() })
    }

    /// Has it fire once after `after`, or from then on every `every`; not any more when it was going to. EINVAL when
    /// the base is closed.
    pub fn start(&self, after: Duration, every: Option<Duration>) -> io::Result<()> {
        self.base.start_timer(self.slot, after, every)
    }

    /// Stops it, whether it runs or not, and waits while its handler runs on another thread.
    pub fn stop(&self) {
        self.base.stop_timer(self.slot);
    }
}

impl<H: Handler> Drop for Timer<H> {
    fn drop(&mut self) {
        self.base.free_timer(self.slot);
    }
}

impl<H: Handler> fmt::Debug for Timer<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timer").field(&self.slot.0).finish()
    }
}

impl<H: Handler> Base<H> {
    /// [`Timer::new`] for whoever keeps the slot himself, until [`Base::free_timer`].
    pub fn new_timer(&self, handler: H::Timer) -> io::Result<TimerSlot> {
        if self.shared.is_closed() {
            return Err(errno(libc::EINVAL));
        }
        let (slot, first) = self.shared.clock.take(handler);
        if first && self.shared.clock.is_turned_elsewhere() {
            // A loop that sleeps has not said until when: it had no timers.
            self.shared.waker.wake();
        }
        Ok(TimerSlot(slot))
    }

    /// [`Timer::start`].
    #[inline]
    pub fn start_timer(&self, TimerSlot(slot): TimerSlot, after: Duration, every: Option<Duration>) -> io::Result<()> {
        if self.shared.is_closed() {
            return Err(errno(libc::EINVAL));
        }
        let clock = &self.shared.clock;
        let after = nanoseconds(after);
        let earlier = match every {
            None if clock.note_here(slot, Deed::start(after)) => return Ok(()),
            None => clock.start(slot, after),
            Some(every) => clock.start_cycle(slot, after, nanoseconds(every)),
        };
        if earlier {
            self.shared.waker.wake();
        }
        Ok(())
    }

    /// [`Timer::start`] (once after so many nanoseconds) or, without a delay, [`Timer::stop`], where that is only a note;
    /// false where it is not: on other threads than the one that turns the base, and when the base is closed.
    #[inline(always)]
    pub fn note_timer(&self, TimerSlot(slot): TimerSlot, after: Option<u64>) -> bool {
        !self.shared.is_closed() && self.shared.clock.note_here(slot, after.map_or(Deed::STOP, Deed::start))
    }

    /// [`Timer::stop`].
    #[inline]
    pub fn stop_timer(&self, slot: TimerSlot) {
        self.end_timer(slot, Deed::STOP);
    }

    /// Stops it and gives the slot back.
    pub fn free_timer(&self, slot: TimerSlot) {
        self.end_timer(slot, Deed::FREE);
    }

    /// On the base's own thread there is nobody to wait for.
    #[inline]
    fn end_timer(&self, TimerSlot(slot): TimerSlot, deed: Deed) {
        let clock = &self.shared.clock;
        if !clock.note_here(slot, deed) && clock.end(slot, deed) {
            self.shared.settle_timer(slot);
        }
    }

    /// How many timers run. Exact on the thread that turns the base; elsewhere what that has noted since is missing.
    pub fn timers(&self) -> usize {
        self.shared.clock.running()
    }

    /// Tells bases apart as long as they live.
    pub fn address(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }
}

impl<H: Handler> Shared<H> {
    /// Runs the timers that are due; true when there were any. What an early end leaves over runs in the next pass.
    pub(super) fn expire(&self, until_exit: bool) -> bool {
        let Some((depth, now)) = self.clock.awake() else { return false };
        let mut firing = Firing { shared: self, depth, now };
        let mut any = false;
        while !(until_exit && self.exit.load(Ordering::Relaxed)) {
            let Some(handler) = firing.next() else { break };
            any = true;
            handler.expired();
        }
        any
    }

    fn settle_timer(&self, slot: u32) {
        self.wait_while(|_| self.clock.is_awaited(slot));
    }
}

/// A pass over the timers that are due; the handler that was taken out last runs until the next is, or this is dropped.
struct Firing<'a, H: Handler> {
    shared: &'a Shared<H>,
    /// How many handlers run outside this pass, each having turned the loop again.
    depth: usize,
    now: u64,
}

impl<H: Handler> Firing<'_, H> {
    #[inline]
    fn next(&mut self) -> Option<H::Timer> {
        let (awaited, handler) = self.shared.clock.next(self.depth, self.now);
        if awaited {
            self.tell();
        }
        handler
    }

    /// Under the table's lock: whoever waits has looked at the clock before, or looks at it after us.
    #[cold]
    fn tell(&self) {
        let _table = self.shared.table();
        self.shared.idle.notify_all();
    }
}

impl<H: Handler> Drop for Firing<'_, H> {
    fn drop(&mut self) {
        if self.shared.clock.ended(self.depth) {
            self.tell();
        }
    }
}
