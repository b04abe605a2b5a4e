//! Timers with a thread of their own, named by numbers: for programs that have no loop.
//!
//! What callers rely on:
//! - A timer runs for the first time after one interval, then after each further one. Intervals that pass while its
//!   handler (or another one) still runs are skipped; the phase stays.
//! - Numbers may be given twice; removing a number removes all timers that have it.
//! - After removing, no handler of that number starts, and none still runs, unless it is the handler that removes.
//! - Stopping joins the thread, unless a handler does it: then the thread ends when that handler has returned.

use super::{TimerId, Timers};
use crate::sys::starting::{self, Id, Thread};
use slab::Slab;
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a handler wants of its timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Another time, if it is not the last one.
    Going,
    /// No more.
    Ending,
}

type Handler = Arc<Mutex<dyn FnMut() -> Keep + Send>>;

/// A thread that runs timers.
///
/// ```
/// use msf_core::timer::{Keep, TimerThread};
/// use std::sync::mpsc;
/// use std::time::Duration;
///
/// let timers = TimerThread::start()?;
/// let (told, heard) = mpsc::channel();
/// timers.add(7, Duration::from_millis(2), Some(3), move || {
///     let _ = told.send(());
///     Keep::Going
/// });
/// assert_eq!(heard.iter().count(), 3);
/// assert!(!timers.remove(7));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TimerThread {
    shared: Arc<Shared>,
    thread: Mutex<Option<Thread>>,
    id: Id,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// An earlier timer, or the end.
    news: Condvar,
    /// A handler has returned.
    idle: Condvar,
}

#[derive(Debug)]
struct State {
    timers: Timers,
    entries: Slab<Entry>,
    by_number: HashMap<u32, Vec<usize>>,
    /// The number whose handler runs.
    running: Option<u32>,
    ending: bool,
}

struct Entry {
    number: u32,
    interval: Duration,
    due: Instant,
    /// How many more times; `None` for ever.
    left: Option<u32>,
    armed: TimerId,
    /// Whose it is, in a number of the caller's own.
    mark: usize,
    /// `None` while it runs.
    handler: Option<Handler>,
}

impl TimerThread {
    /// Starts the thread.
    pub fn start() -> io::Result<TimerThread> {
        let state = State {
            timers: Timers::new(Instant::now()),
            entries: Slab::new(),
            by_number: HashMap::new(),
            running: None,
            ending: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), news: Condvar::new(), idle: Condvar::new() });
        let its = Arc::clone(&shared);
        let thread = starting::start("msf_timer", None, None, Box::new(move || its.run()))?;
        let id = thread.id();
        Ok(TimerThread { shared, thread: Mutex::new(Some(thread)), id })
    }

    /// Runs `handler` after every `interval` (at least a millisecond), `times` times or for ever.
    pub fn add(
        &self,
        number: u32,
        interval: Duration,
        times: Option<u32>,
        handler: impl FnMut() -> Keep + Send + 'static,
    ) {
        self.add_marked(number, 0, interval, times, handler);
    }

    /// How many timers have a mark in `marks`, one that runs for the last time included.
    pub fn count(&self, marks: Range<usize>) -> usize {
        self.shared.lock().entries.iter().filter(|(_, entry)| marks.contains(&entry.mark)).count()
    }

    /// [`TimerThread::add`] for whoever wants to count his own later.
    pub fn add_marked(
        &self,
        number: u32,
        mark: usize,
        interval: Duration,
        times: Option<u32>,
        handler: impl FnMut() -> Keep + Send + 'static,
    ) {
        let interval = interval.max(Duration::from_millis(1));
        let now = Instant::now();
        let due = now.checked_add(interval).unwrap_or(now + NEVER);
        let mut state = self.shared.lock();
        if times == Some(0) || state.ending {
            return;
        }
        let handler: Handler = Arc::new(Mutex::new(handler));
        let place = state.entries.vacant_key();
        let armed = state.timers.arm(due, place as u64);
        state.entries.insert(Entry { number, interval, due, left: times, armed, mark, handler: Some(handler) });
        state.by_number.entry(number).or_default().push(place);
        drop(state);
        self.shared.news.notify_one();
    }

    /// Removes every timer of this number; false when there is none.
    pub fn remove(&self, number: u32) -> bool {
        let mut state = self.shared.lock();
        let places = state.by_number.remove(&number).unwrap_or_default();
        let handlers: Vec<_> = places.iter().filter_map(|&place| state.take_out(place).handler).collect();
        while state.running == Some(number) && !self.id.is_own() {
            state = self.shared.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        // What a handler holds may come back here when it is dropped.
        drop(handlers);
        !places.is_empty()
    }

    /// Ends the thread and forgets all timers.
    pub fn stop(&self) {
        let entries = {
            let mut state = self.shared.lock();
            state.ending = true;
            state.by_number.clear();
            state.timers = Timers::new(Instant::now());
            std::mem::take(&mut state.entries)
        };
        drop(entries);
        self.shared.news.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(|thread| !thread.id().is_own()) {
            // It has caught what its handlers threw.
            let _ = thread.join();
        }
    }
}

impl Drop for TimerThread {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.ending {
            let now = Instant::now();
            if let Some(place) = state.timers.expire(now) {
                state = self.fire(state, place as usize, now);
                continue;
            }
            let sleep = state.timers.next().map(|at| at.saturating_duration_since(Instant::now()));
            state = match sleep {
                None => self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(sleep) => self.news.wait_timeout(state, sleep).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    fn fire<'a>(&'a self, mut state: MutexGuard<'a, State>, place: usize, now: Instant) -> MutexGuard<'a, State> {
        let Some(entry) = state.entries.get_mut(place) else { return state };
        let (number, armed) = (entry.number, entry.armed);
        let Some(handler) = entry.handler.take() else { return state };
        state.running = Some(number);
        drop(state);
        let keep = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (handler.lock().unwrap_or_else(PoisonError::into_inner))()
        }));
        let mut state = self.lock();
        state.running = None;
        self.idle.notify_all();
        // It may have been removed meanwhile, and its place given to another one.
        if state.entries.get(place).is_some_and(|entry| entry.armed == armed) {
            let again = matches!(keep, Ok(Keep::Going)) && state.again(place, now);
            match state.entries.get_mut(place) {
                Some(entry) if again => {
                    entry.handler = Some(handler);
                    return state;
                }
                _ => state.end(place),
            }
        }
        drop(state);
        // What a handler holds may come back here when it is dropped.
        drop(handler);
        self.lock()
    }
}

impl State {
    /// Arms the next run; false when that was the last one.
    fn again(&mut self, place: usize, now: Instant) -> bool {
        let entry = &mut self.entries[place];
        entry.left = entry.left.map(|left| left - 1);
        if entry.left == Some(0) {
            return false;
        }
        let now = now.max(Instant::now());
        entry.due = entry.due.checked_add(entry.interval).unwrap_or(now + NEVER);
        if entry.due <= now {
            let late = super::nanoseconds(now - entry.due);
            let interval = super::nanoseconds(entry.interval);
            entry.due = now + Duration::from_nanos(interval - late % interval);
        }
        entry.armed = self.timers.arm(entry.due, place as u64);
        true
    }

    /// Forgets a timer that has run for the last time.
    fn end(&mut self, place: usize) {
        let number = self.take_out(place).number;
        if let Some(places) = self.by_number.get_mut(&number) {
            places.retain(|&other| other != place);
            if places.is_empty() {
                self.by_number.remove(&number);
            }
        }
    }

    fn take_out(&mut self, place: usize) -> Entry {
        let entry = self.entries.remove(place);
        self.timers.disarm(entry.armed);
        entry
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("number", &self.number).field("interval", &self.interval).finish_non_exhaustive()
    }
}

/// Thirty years: what the clock cannot name will not be waited for.
const NEVER: Duration = Duration::from_secs(1 << 30);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;
    use std::thread;

    const MOMENT: Duration = Duration::from_millis(2);
    const PATIENCE: Duration = Duration::from_secs(20);

    fn counter() -> (Arc<AtomicU32>, mpsc::Sender<()>, mpsc::Receiver<()>) {
        let (told, heard) = mpsc::channel();
        (Arc::default(), told, heard)
    }

    #[test]
    fn limited_timer_runs_so_often_and_no_more() {
        let timers = TimerThread::start().unwrap();
        let (count, told, heard) = counter();
        let counted = Arc::clone(&count);
        timers.add(1, MOMENT, Some(4), move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = told.send(());
            Keep::Going
        });
        assert_eq!(heard.iter().count(), 4);
        assert_eq!(count.load(Ordering::SeqCst), 4);
        assert!(!timers.remove(1));
    }

    #[test]
    fn handler_that_wants_no_more_gets_no_more() {
        let timers = TimerThread::start().unwrap();
        let (_, told, heard) = counter();
        timers.add(1, MOMENT, None, move || {
            let _ = told.send(());
            Keep::Ending
        });
        assert_eq!(heard.iter().count(), 1);
    }

    #[test]
    fn an_earlier_timer_wakes_the_thread() {
        let timers = TimerThread::start().unwrap();
        let (_, told, heard) = counter();
        timers.add(1, Duration::from_secs(3600), None, || Keep::Going);
        timers.add(2, MOMENT, Some(1), move || {
            let _ = told.send(());
            Keep::Going
        });
        heard.recv_timeout(PATIENCE).unwrap();
        assert!(timers.remove(1));
    }

    #[test]
    fn removing_a_number_removes_all_and_waits_for_the_one_that_runs() {
        let timers = TimerThread::start().unwrap();
        let (count, told, heard) = counter();
        for _ in 0..3 {
            let (count, told) = (Arc::clone(&count), told.clone());
            timers.add(9, MOMENT, None, move || {
                let _ = told.send(());
                thread::sleep(MOMENT * 5);
                count.fetch_add(1, Ordering::SeqCst);
                Keep::Going
            });
        }
        drop(told);
        heard.recv_timeout(PATIENCE).unwrap();
        assert!(timers.remove(9));
        let then = count.load(Ordering::SeqCst);
        assert!(then >= 1);
        // All handlers, and with them the senders, are gone.
        assert!(heard.iter().count() <= then as usize);
        assert_eq!(count.load(Ordering::SeqCst), then);
        assert!(!timers.remove(9));
    }

    #[test]
    fn slow_handler_skips_what_it_has_missed() {
        let timers = TimerThread::start().unwrap();
        let (told, heard) = mpsc::channel();
        let mut first = true;
        timers.add(1, MOMENT * 5, Some(3), move || {
            let _ = told.send(Instant::now());
            if std::mem::take(&mut first) {
                thread::sleep(MOMENT * 40);
            }
            Keep::Going
        });
        let at: Vec<Instant> = heard.iter().collect();
        assert_eq!(at.len(), 3);
        assert!(at[1] - at[0] >= MOMENT * 40);
        // Not at once, as one of a burst would be: the phase leaves at least the rest of an interval, less the delay.
        assert!(at[2] > at[1]);
    }

    #[test]
    fn handler_may_remove_itself_add_others_and_stop_the_thread() {
        let timers = Arc::new(TimerThread::start().unwrap());
        let (told, heard) = mpsc::channel();
        let its = Arc::clone(&timers);
        timers.add(1, MOMENT, None, move || {
            assert!(its.remove(1));
            let (told, timers) = (told.clone(), Arc::clone(&its));
            its.add(1, MOMENT, None, move || {
                timers.stop();
                let _ = told.send(());
                Keep::Going
            });
            Keep::Going
        });
        heard.recv_timeout(PATIENCE).unwrap();
        assert!(heard.recv_timeout(PATIENCE).is_err(), "nothing runs after the end");
    }

    #[test]
    fn a_handler_that_panics_ends_its_own_timer_only() {
        let timers = TimerThread::start().unwrap();
        let (_, told, heard) = counter();
        timers.add(1, MOMENT, None, || panic!("inside a handler"));
        timers.add(2, MOMENT, Some(3), move || {
            let _ = told.send(());
            Keep::Going
        });
        assert_eq!(heard.iter().count(), 3);
        assert!(!timers.remove(1));
    }
}
