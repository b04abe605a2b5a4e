//! The timers of one base: a wheel, and what is to be done to it.
//!
//! Starting and stopping is a note. Notes are filed into the wheel when some have come together, and always before the
//! loop looks at it. With a million timers each of them lies where no cache has it: filing many at once lets the processor
//! wait for all of that memory together, and the caller for none of it. Inside the base's own callbacks a note costs no
//! lock either (see [`Notes`]); there a delay counts from when the note is filed, which is when the callback
//! returns at the latest.
//!
//! A note of the base's own thread may lie there when another thread does something to the same timer, and must not be
//! done after it. So deeds of other threads are counted, a local note carries the count it has seen, and one that has not
//! seen the last deed to its timer is dropped.

use super::notes::{Deed, NOTES, Note, Notes};
use crate::event::call::{Expire, Handler};
use crate::timer::{TICK, Tick, Ticks, Wheel, tick_not_before};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The timers of one base.
pub(super) struct Clock<H: Handler> {
    /// There has been a timer. Until then the loop neither locks nor asks what time it is.
    used: AtomicBool,
    /// What the thread inside the loop has noted.
    own: Notes,
    /// How many deeds other threads have done meanwhile.
    epoch: AtomicU32,
    state: Mutex<Option<Box<State<H::Timer>>>>,
}

struct State<T> {
    ticks: Ticks,
    wheel: Wheel<T>,
    /// What is to be done to the wheel.
    notes: Vec<Other>,
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

/// What another thread has noted.
#[derive(Clone, Copy)]
struct Other {
    slot: u32,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Start(Tick),
    Stop,
    Free,
}

impl What {
    /// A deed that is done `now`.
    #[inline(always)]
    fn of(deed: Deed, now: u64) -> What {
        match deed {
            Deed::STOP => What::Stop,
            Deed::FREE => What::Free,
            _ => What::Start(tick_not_before(now.saturating_add(deed.delay()))),
        }
    }
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

/// So many notes are not worth fetching their timers together.
const FEW: usize = 8;

impl<H: Handler> Clock<H> {
    pub fn new() -> Clock<H> {
        Clock { used: AtomicBool::new(false), own: Notes::new(), epoch: AtomicU32::new(0), state: Mutex::new(None) }
    }

    #[inline]
    fn state(&self) -> MutexGuard<'_, Option<Box<State<H::Timer>>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many timers run.
    pub fn running(&self) -> usize {
        let mut state = self.state();
        let Some(state) = state.as_mut() else { return 0 };
        state.take_over(&self.own);
        state.file();
        state.wheel.running()
    }

    /// A new timer, and whether it is the first one of this base.
    pub fn take(&self, handler: H::Timer) -> (u32, bool) {
        let mut state = self.state();
        let state = state.get_or_insert_with(|| Box::new(State::new(Instant::now())));
        // One order with `enter`: either the loop sees this before it sleeps, or our caller sees the loop.
        let first = !self.used.swap(true, Ordering::SeqCst);
        // What has been freed may be taken again.
        state.take_over(&self.own);
        state.file();
        (state.wheel.take(|_| handler), first)
    }

    /// Notes it on the base's own thread; false when this is another one.
    #[inline(always)]
    pub fn note_here(&self, slot: u32, deed: Deed) -> bool {
        let noted = self.own.note(Note { slot, deed, epoch: self.epoch.load(Ordering::Relaxed) });
        if noted == Some(true) {
            self.take_over();
        }
        noted.is_some()
    }

    #[cold]
    #[inline(never)]
    pub fn take_over(&self) {
        if self.own.count().is_some_and(|count| count > 0)
            && let Some(state) = self.state().as_mut()
        {
            state.take_over(&self.own);
        }
    }

    /// Whether the loop has to be woken for it.
    pub fn start(&self, slot: u32, after: u64) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        let Some(state) = state.as_mut().filter(|state| state.holds(slot)) else { return false };
        let at = tick_not_before(state.ticks.nanoseconds(now).saturating_add(after));
        self.count(state, slot);
        state.note(Other { slot, what: What::Start(at) });
        state.is_earlier(at)
    }

    /// As [`Clock::start`]. Not noted but filed at once, for the interval has no place in a note.
    pub fn start_cycle(&self, slot: u32, after: u64, every: u64) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        let Some(state) = state.as_mut().filter(|state| state.holds(slot)) else { return false };
        state.take_over(&self.own);
        state.file();
        self.count(state, slot);
        let next = state.ticks.nanoseconds(now).saturating_add(after);
        state.start_cycle(slot, Cycle { next, every: every.max(1) });
        state.is_earlier(tick_not_before(next))
    }

    /// From here on no handler of it begins; true when one runs.
    pub fn end(&self, slot: u32, deed: Deed) -> bool {
        let mut state = self.state();
        let Some(state) = state.as_mut() else { return false };
        if state.holds(slot) {
            self.count(state, slot);
            state.note(Other { slot, what: What::of(deed, 0) });
        }
        state.running.contains(&slot)
    }

    /// Local notes about this timer that lie there now are void.
    fn count(&self, state: &mut State<H::Timer>, slot: u32) {
        if self.own.is_turned() && state.asleep_until.is_none() {
            let epoch = self.epoch.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            state.foreign.insert(slot, epoch);
        }
    }

    /// Whether a handler of it runs, which will tell when it has ended.
    pub fn is_awaited(&self, slot: u32) -> bool {
        self.state().as_mut().is_some_and(|state| {
            let runs = state.running.contains(&slot);
            state.awaited |= runs;
            runs
        })
    }

    /// How long the loop may sleep; from here on whoever starts an earlier timer has to wake it.
    pub fn longest_sleep(&self) -> Option<Duration> {
        if !self.used.load(Ordering::SeqCst) {
            return None;
        }
        let mut state = self.state();
        let state = state.as_mut()?;
        state.take_over(&self.own);
        state.file();
        let next = state.wheel.next();
        state.asleep_until = Some(next.unwrap_or(Tick::MAX));
        Some(state.ticks.instant(next?).saturating_duration_since(Instant::now()))
    }

    /// The loop is up again: how many handlers run, and what time it is; `None` when there is no timer to look at.
    pub fn awake(&self) -> Option<(usize, u64)> {
        if !self.used.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.state();
        let state = state.as_mut()?;
        state.asleep_until = None;
        let idle = state.notes.is_empty() && state.wheel.running() == 0 && self.own.count() == Some(0);
        (!idle).then(|| (state.running.len(), state.ticks.nanoseconds(Instant::now())))
    }

    /// The handlers from `depth` on have returned: whether somebody has waited for that, and the next one that is due.
    #[inline]
    pub fn next(&self, depth: usize, now: u64) -> (bool, Option<H::Timer>) {
        self.state().as_mut().map_or((false, None), |state| (state.ended(depth), state.next_due(&self.own, now)))
    }

    /// As [`Clock::next`], and none is called any more.
    pub fn ended(&self, depth: usize) -> bool {
        self.state().as_mut().is_some_and(|state| state.ended(depth))
    }

    /// Whether another thread is inside the loop.
    pub fn is_turned_elsewhere(&self) -> bool {
        self.own.is_turned() && !self.own.are_mine()
    }

    /// This thread goes into the loop; what it gets is for [`Clock::leave`].
    pub fn enter(&self) -> usize {
        self.own.enter()
    }

    /// It leaves, to where it was before.
    pub fn leave(&self, before: usize) {
        self.take_over();
        self.own.leave(before);
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
    fn note(&mut self, note: Other) {
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
    fn take_over(&mut self, own: &Notes) {
        match own.count() {
            None => return,
            Some(0) => return self.foreign.clear(),
            Some(_) => {}
        }
        // What others have done before.
        self.file();
        // One reading of the clock serves all; it is later than any of them, so nothing fires early.
        let now = self.ticks.nanoseconds(Instant::now());
        let notes = own.drain();
        self.fetch(notes.clone().map(|note| note.slot));
        for Note { slot, epoch, deed } in notes {
            // Counts wrap: what is less than half a round behind is behind.
            let void = |&done: &u32| (epoch.wrapping_sub(done) as i32) < 0;
            if !self.foreign.get(&slot).is_some_and(void) && self.holds(slot) {
                self.apply(slot, What::of(deed, now));
            }
        }
        self.foreign.clear();
    }

    /// Does to the wheel what was noted.
    #[inline(always)]
    fn file(&mut self) {
        if !self.notes.is_empty() {
            self.file_notes();
        }
    }

    #[inline(never)]
    fn file_notes(&mut self) {
        let mut notes = std::mem::take(&mut self.notes);
        self.fetch(notes.iter().map(|note| note.slot));
        notes.drain(..).for_each(|note| self.apply(note.slot, note.what));
        self.notes = notes;
    }

    #[inline(always)]
    fn fetch(&self, slots: impl ExactSizeIterator<Item = u32>) {
        if slots.len() > FEW {
            self.wheel.fetch(slots);
        }
    }

    #[inline(always)]
    fn apply(&mut self, slot: u32, what: What) {
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
    fn next_due(&mut self, own: &Notes, now: u64) -> Option<T> {
        // Whoever was stopped by the handler before must not be called.
        self.take_over(own);
        self.file();
        let slot = self.wheel.pop(now >> TICK)?;
        if self.wheel.is_marked(slot) {
            self.go_round(slot, now);
        }
        self.running.push(slot);
        self.wheel.payload(slot)
    }

    /// Starts a cyclic timer that has fired again: in the phase it has, at the first time that is still to come.
    fn go_round(&mut self, slot: u32, now: u64) {
        let Some(&Cycle { next, every }) = self.cycles.get(&slot) else { return };
        let missed = now.saturating_sub(next) / every;
        let next = next.saturating_add(every.saturating_mul(missed + 1));
        self.start_cycle(slot, Cycle { next, every });
    }
}
