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
//! Starting and stopping is a note. Notes are filed into the wheel when some have come together, and always before the
//! loop looks at it. With a million timers each of them lies where no cache has it: filing many at once lets the processor
//! wait for all of that memory together, and the caller for none of it. Inside the base's own callbacks a note costs no
//! lock either (see [`local`]); there a delay counts from when the note is filed, which is when the callback
//! returns at the latest.
//!
//! A note of the base's own thread may lie there when another thread does something to the same timer, and must not be
//! done after it. So deeds of other threads are counted, a local note carries the count it has seen, and one that has not
//! seen the last deed to its timer is dropped.

use super::local::{self, Deed, LocalNote, NOTES};
use super::{Base, Shared, errno};
use crate::event::call::{Expire, Handler};
use crate::timer::{TICK, Tick, Ticks, Wheel, nanoseconds, tick_not_before};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
        let (slot, first) = self.shared.clock.take(self.address(), handler);
        if first && self.shared.clock.turned.load(Ordering::SeqCst) && local::count(self.address()).is_none() {
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
            None if clock.note_here(self.address(), slot, Deed::Start(after)) => return Ok(()),
            None => clock.start(slot, after),
            Some(every) => clock.start_cycle(self.address(), slot, after, nanoseconds(every)),
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
        !self.shared.is_closed()
            && self.shared.clock.note_here(self.address(), slot, after.map_or(Deed::Stop, Deed::Start))
    }

    /// [`Timer::stop`].
    #[inline]
    pub fn stop_timer(&self, slot: TimerSlot) {
        self.end_timer(slot, Deed::Stop);
    }

    /// Stops it and gives the slot back.
    pub fn free_timer(&self, slot: TimerSlot) {
        self.end_timer(slot, Deed::Free);
    }

    /// On the base's own thread there is nobody to wait for.
    #[inline]
    fn end_timer(&self, TimerSlot(slot): TimerSlot, deed: Deed) {
        let clock = &self.shared.clock;
        if !clock.note_here(self.address(), slot, deed) && clock.end(slot, deed) {
            self.shared.settle_timer(slot);
        }
    }

    /// How many timers run. Exact on the thread that turns the base; elsewhere what that has noted since is missing.
    pub fn timers(&self) -> usize {
        self.shared.clock.running(self.address())
    }

    /// Tells bases apart as long as they live.
    pub fn address(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }
}

impl<H: Handler> Shared<H> {
    /// Runs the timers that are due; true when there were any. What an early end leaves over runs in the next pass.
    pub(super) fn expire(&self, until_exit: bool) -> bool {
        let Some((depth, now)) = self.clock.awake(self.address()) else { return false };
        let mut firing = Firing { shared: self, depth, now };
        let mut any = false;
        while !(until_exit && self.exit.load(Ordering::Relaxed)) {
            let Some(handler) = firing.next() else { break };
            any = true;
            handler.expired();
        }
        any
    }

    /// This thread turns the base from now on.
    pub(super) fn begin_turning(&self) -> Outer {
        // Of this very base, as seen from a callback that turns it again.
        self.clock.take_over(self.address());
        Outer { local: local::enter(self.address()), turned: self.clock.turned.swap(true, Ordering::SeqCst) }
    }

    /// It leaves, to where it was before.
    pub(super) fn end_turning(&self, Outer { local: outer, turned }: Outer) {
        self.clock.take_over(self.address());
        self.clock.turned.store(turned, Ordering::Relaxed);
        local::leave(outer);
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn settle_timer(&self, slot: u32) {
        self.wait_while(|_| self.clock.is_awaited(slot));
    }
}

/// What a thread was doing before it turned a base.
pub(super) struct Outer {
    local: local::Outer,
    /// Whether it, or another one before it, was inside this very base.
    turned: bool,
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
        let mut state = self.shared.clock.state();
        let (awaited, handler) =
            state.as_mut().map(|state| (state.ended(self.depth), state.next_due(self.shared.address(), self.now)))?;
        drop(state);
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
        let awaited = self.shared.clock.state().as_mut().is_some_and(|state| state.ended(self.depth));
        if awaited {
            self.tell();
        }
    }
}

/// The timers of one base.
pub(super) struct Clock<H: Handler> {
    /// There has been a timer. Until then the loop neither locks nor asks what time it is.
    used: AtomicBool,
    /// A thread is inside the loop, and may have made notes of its own.
    turned: AtomicBool,
    /// How many deeds other threads have done meanwhile.
    epoch: AtomicU32,
    state: Mutex<Option<Box<State<H::Timer>>>>,
}

struct State<T> {
    ticks: Ticks,
    wheel: Wheel<T>,
    /// What is to be done to the wheel.
    notes: Vec<Note>,
    /// What has been taken out of the wheel and waits for its turn.
    due: VecDeque<u32>,
    /// What other threads have done since local notes were taken over: slot and epoch.
    foreign: HashMap<u32, u32>,
    /// The cyclic ones; they are marked in the wheel.
    cycles: HashMap<u32, Cycle>,
    /// Whose handlers run, each but the first from inside the one before it.
    running: Vec<u32>,
    /// Those of them that were freed meanwhile: no other timer may get their slot before they have returned.
    freed: Vec<u32>,
    /// Somebody waits for one of them to end.
    awaited: bool,
    /// The loop sleeps, and will look at this tick.
    asleep_until: Option<Tick>,
    closed: bool,
}

#[derive(Clone, Copy)]
struct Note {
    slot: u32,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Start(Tick),
    Stop,
    Free,
}

/// In nanoseconds on the clock's scale.
#[derive(Clone, Copy)]
struct Cycle {
    next: u64,
    every: u64,
}

impl<H: Handler> fmt::Debug for Clock<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("used", &self.used).finish_non_exhaustive()
    }
}

/// How many due timers are taken out together.
const BATCH: usize = 64;

impl<H: Handler> Clock<H> {
    pub fn new() -> Clock<H> {
        Clock {
            used: AtomicBool::new(false),
            turned: AtomicBool::new(false),
            epoch: AtomicU32::new(0),
            state: Mutex::new(None),
        }
    }

    #[inline]
    fn state(&self) -> MutexGuard<'_, Option<Box<State<H::Timer>>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new timer, and whether it is the first one of this base.
    fn running(&self, base: usize) -> usize {
        let mut state = self.state();
        let Some(state) = state.as_mut() else { return 0 };
        state.take_over(base);
        state.file();
        state.wheel.running()
    }

    fn take(&self, base: usize, handler: H::Timer) -> (u32, bool) {
        let mut state = self.state();
        let state = state.get_or_insert_with(|| Box::new(State::new(Instant::now())));
        // One order with `turned`: either the loop sees this before it sleeps, or our caller sees the loop.
        let first = !self.used.swap(true, Ordering::SeqCst);
        // What has been freed may be taken again.
        state.take_over(base);
        state.file();
        (state.wheel.take(|_| handler), first)
    }

    /// Notes it on the base's own thread; false when this is another one.
    #[inline(always)]
    fn note_here(&self, base: usize, slot: u32, deed: Deed) -> bool {
        let noted = local::note(base, || LocalNote { slot, deed, epoch: self.epoch.load(Ordering::Relaxed) });
        if noted == Some(true) {
            self.take_over(base);
        }
        noted.is_some()
    }

    #[cold]
    #[inline(never)]
    fn take_over(&self, base: usize) {
        if local::count(base).is_some_and(|count| count > 0)
            && let Some(state) = self.state().as_mut()
        {
            state.take_over(base);
        }
    }

    /// Whether the loop has to be woken for it.
    fn start(&self, slot: u32, after: u64) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        let Some(state) = state.as_mut().filter(|state| state.holds(slot)) else { return false };
        let at = tick_not_before(state.ticks.nanoseconds(now).saturating_add(after));
        self.count(state, slot);
        state.note(Note { slot, what: What::Start(at) });
        state.is_earlier(at)
    }

    /// As [`Clock::start`]. Not noted but filed at once, for the interval has no place in a note.
    fn start_cycle(&self, base: usize, slot: u32, after: u64, every: u64) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        let Some(state) = state.as_mut().filter(|state| state.holds(slot)) else { return false };
        state.take_over(base);
        state.file();
        self.count(state, slot);
        let next = state.ticks.nanoseconds(now).saturating_add(after);
        state.start_cycle(slot, Cycle { next, every: every.max(1) });
        state.is_earlier(tick_not_before(next))
    }

    /// From here on no handler of it begins; true when one runs.
    fn end(&self, slot: u32, deed: Deed) -> bool {
        let mut state = self.state();
        let Some(state) = state.as_mut() else { return false };
        if state.holds(slot) {
            self.count(state, slot);
            state.note(Note { slot, what: if deed == Deed::Free { What::Free } else { What::Stop } });
        }
        state.running.contains(&slot)
    }

    /// Local notes about this timer that lie there now are void.
    fn count(&self, state: &mut State<H::Timer>, slot: u32) {
        if self.turned.load(Ordering::Relaxed) && state.asleep_until.is_none() {
            let epoch = self.epoch.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            state.foreign.insert(slot, epoch);
        }
    }

    /// Whether a handler of it runs, which will tell when it has ended.
    fn is_awaited(&self, slot: u32) -> bool {
        self.state().as_mut().is_some_and(|state| {
            let runs = state.running.contains(&slot);
            state.awaited |= runs;
            runs
        })
    }

    /// How long the loop may sleep; from here on whoever starts an earlier timer has to wake it.
    pub fn longest_sleep(&self, base: usize) -> Option<Duration> {
        if !self.used.load(Ordering::SeqCst) {
            return None;
        }
        let mut state = self.state();
        let state = state.as_mut()?;
        state.take_over(base);
        state.file();
        if !state.due.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = state.wheel.next();
        state.asleep_until = Some(next.unwrap_or(Tick::MAX));
        Some(state.ticks.instant(next?).saturating_duration_since(Instant::now()))
    }

    /// The loop is up again: how many handlers run, and what time it is; `None` when there is no timer to look at.
    fn awake(&self, base: usize) -> Option<(usize, u64)> {
        if !self.used.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.state();
        let state = state.as_mut()?;
        state.asleep_until = None;
        let idle = state.notes.is_empty()
            && state.due.is_empty()
            && state.wheel.running() == 0
            && local::count(base) == Some(0);
        (!idle).then(|| (state.running.len(), state.ticks.nanoseconds(Instant::now())))
    }

    /// Forgets all timers for good: from here on none can be started.
    pub fn clear(&self) {
        if let Some(state) = self.state().as_mut() {
            let running = std::mem::take(&mut state.running);
            **state = State { running, closed: true, ..State::new(Instant::now()) };
        }
    }
}

impl<T: Expire> State<T> {
    fn new(now: Instant) -> State<T> {
        State {
            ticks: Ticks::new(now),
            wheel: Wheel::new(),
            notes: Vec::with_capacity(2 * NOTES),
            due: VecDeque::with_capacity(BATCH),
            foreign: HashMap::new(),
            cycles: HashMap::new(),
            running: Vec::new(),
            freed: Vec::new(),
            awaited: false,
            asleep_until: None,
            closed: false,
        }
    }

    /// Whether there is such a timer (any more).
    fn holds(&self, slot: u32) -> bool {
        !self.closed && self.wheel.has(slot)
    }

    #[inline]
    fn note(&mut self, note: Note) {
        self.notes.push(note);
        if self.notes.len() >= NOTES {
            self.file();
        }
    }

    fn is_earlier(&mut self, at: Tick) -> bool {
        let earlier = self.asleep_until.is_some_and(|until| at < until);
        if earlier {
            self.asleep_until = Some(at);
        }
        earlier
    }

    /// Takes over what the base's own thread has noted, if this is it.
    fn take_over(&mut self, base: usize) {
        match local::count(base) {
            None => return,
            Some(0) => return self.foreign.clear(),
            Some(_) => {}
        }
        // One reading of the clock serves all; it is later than any of them, so nothing fires early.
        let now = self.ticks.nanoseconds(Instant::now());
        local::take_over(base, |LocalNote { slot, epoch, deed }| {
            // Counts wrap: what is less than half a round behind is behind.
            let void = self.foreign.get(&slot).is_some_and(|&done| (epoch.wrapping_sub(done) as i32) < 0);
            if void || !self.holds(slot) {
                return;
            }
            let what = match deed {
                Deed::Start(after) => What::Start(tick_not_before(now.saturating_add(after))),
                Deed::Stop => What::Stop,
                Deed::Free => What::Free,
            };
            self.notes.push(Note { slot, what });
        });
        self.foreign.clear();
        self.file();
    }

    /// Does to the wheel what was noted.
    fn file(&mut self) {
        let mut notes = std::mem::take(&mut self.notes);
        if notes.len() > 8 {
            self.wheel.fetch(notes.iter().map(|note| note.slot));
        }
        for Note { slot, what } in notes.drain(..) {
            if self.wheel.is_marked(slot) {
                self.wheel.mark(slot, false);
                self.cycles.remove(&slot);
            }
            match what {
                What::Start(at) => self.wheel.start(slot, at),
                What::Free if !self.running.contains(&slot) => self.wheel.give_back(slot),
                What::Free | What::Stop => {
                    self.wheel.stop(slot);
                    self.freed.extend((what == What::Free).then_some(slot));
                }
            }
        }
        self.notes = notes;
    }

    fn start_cycle(&mut self, slot: u32, cycle: Cycle) {
        self.wheel.mark(slot, true);
        self.wheel.start(slot, tick_not_before(cycle.next));
        self.cycles.insert(slot, cycle);
    }

    /// The handlers from `depth` on have returned; true when somebody has waited for that.
    #[inline]
    fn ended(&mut self, depth: usize) -> bool {
        if self.running.len() <= depth {
            return false;
        }
        self.running.truncate(depth);
        if !self.freed.is_empty() {
            self.give_back_freed();
        }
        std::mem::take(&mut self.awaited)
    }

    #[cold]
    fn give_back_freed(&mut self) {
        let State { freed, running, wheel, .. } = self;
        freed.retain(|slot| {
            let runs = running.contains(slot);
            if !runs {
                wheel.give_back(*slot);
            }
            runs
        });
    }

    /// The handler of the next timer that is due, noted as the one that runs.
    fn next_due(&mut self, base: usize, now: u64) -> Option<T> {
        // Whoever was stopped by the handler before must not be called.
        self.take_over(base);
        loop {
            if !self.notes.is_empty() {
                self.file();
            }
            if self.due.is_empty() {
                self.wheel.take_due(now >> TICK, BATCH, &mut self.due);
            }
            let slot = self.due.pop_front()?;
            if let Some(handler) = self.wheel.claim(slot) {
                if self.wheel.is_marked(slot) {
                    self.go_round(slot, now);
                }
                self.running.push(slot);
                return Some(handler);
            }
        }
    }

    /// Starts a cyclic timer that has fired again: in the phase it has, at the first time that is still to come.
    fn go_round(&mut self, slot: u32, now: u64) {
        let Some(&Cycle { next, every }) = self.cycles.get(&slot) else { return };
        let missed = now.saturating_sub(next) / every;
        let next = next.saturating_add(every.saturating_mul(missed + 1));
        self.start_cycle(slot, Cycle { next, every });
    }
}
