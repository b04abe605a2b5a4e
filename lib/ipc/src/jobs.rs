//! The queue between the io thread and the callback thread.
//!
//! It is bounded by count and by bytes. A full queue stops the io thread, which then reads nothing more, so that the
//! agent stops sending and the callers feel it: nothing grows, nothing is lost. A callback that waits for an answer of
//! its own keeps taking from the queue, so the thread that stands still is always the one that may.

use msf_client::wire::Header;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A callback to run.
pub(crate) enum Job {
    /// Somebody calls us.
    Request(Header, Vec<u8>),
    /// The answer to a call nobody waited for, with its payload if it had one.
    Answer(Header, Option<Vec<u8>>),
    /// An event that was subscribed to; without a payload, only what its header says was lost.
    Event(Header, Vec<u8>),
}

/// See the module.
#[derive(Default)]
pub(crate) struct Jobs {
    state: Mutex<State>,
    /// A job came, or somebody wants the callback thread to look at something else, or it is to end.
    arrived: Condvar,
    /// There may be room again, or the queue was closed.
    room: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    bytes: usize,
    closed: bool,
    /// Jobs that were taken out and are not done.
    running: usize,
}

impl Jobs {
    /// Adds a job, waiting for room as long as it takes, and doing `meanwhile` now and then. Dropped when the queue is
    /// closed.
    pub(crate) fn push(&self, job: Job, meanwhile: impl Fn()) {
        let mut state = self.lock();
        while state.is_full() && !state.closed {
            let (held, waited) = self.room.wait_timeout(state, NOW_AND_THEN).unwrap_or_else(PoisonError::into_inner);
            state = held;
            if waited.timed_out() {
                drop(state);
                meanwhile();
                state = self.lock();
            }
        }
        if !state.closed {
            state.bytes += job.bytes();
            state.queue.push_back(job);
            self.arrived.notify_one();
        }
    }

    /// The next job; waits for one until `done` says that there is something better to do, or `deadline`, or the end.
    pub(crate) fn next(&self, done: impl Fn() -> bool, deadline: Option<Instant>) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.closed || done() {
                return None;
            }
            let rest = deadline.map_or(FOREVER, |deadline| deadline.saturating_duration_since(Instant::now()));
            // First: who has run out of time does not begin another callback.
            if rest.is_zero() {
                return None;
            }
            if let Some(job) = state.take() {
                state.running += 1;
                self.room.notify_one();
                return Some(job);
            }
            state = self.arrived.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A job that was taken out is done.
    pub(crate) fn done(&self) {
        let mut state = self.lock();
        state.running = state.running.saturating_sub(1);
    }

    /// Whether none waits and none is being done.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.queue.is_empty() && state.running == 0
    }

    /// Makes [`next`](Self::next) look at its `done` again.
    pub(crate) fn nudge(&self) {
        // The lock, so that this cannot fall between its look and its sleep.
        let _state = self.lock();
        self.arrived.notify_one();
    }

    /// Drops what waits; from here on nothing waits any more.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.bytes = 0;
        state.queue.clear();
        self.arrived.notify_all();
        self.room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_full(&self) -> bool {
        self.queue.len() >= MOST_JOBS || self.bytes >= MOST_BYTES
    }

    fn take(&mut self) -> Option<Job> {
        let job = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(job.bytes());
        Some(job)
    }
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Request(_, body) | Self::Answer(_, Some(body)) | Self::Event(_, body) => body.len(),
            Self::Answer(_, None) => 0,
        }
    }
}

const MOST_JOBS: usize = 1024;
const MOST_BYTES: usize = 8 << 20;
const NOW_AND_THEN: Duration = Duration::from_millis(20);
const FOREVER: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn request(number: u32, bytes: usize) -> Job {
        Job::Request(Header::request(1, 2, number, number), vec![0; bytes])
    }

    fn next(jobs: &Jobs) -> Option<u32> {
        match jobs.next(|| false, Some(Instant::now() + Duration::from_secs(10)))? {
            Job::Request(head, _) | Job::Answer(head, _) | Job::Event(head, _) => Some(head.cmd),
        }
    }

    #[test]
    fn jobs_come_out_in_order() {
        let jobs = Jobs::default();
        (0..3).for_each(|number| jobs.push(request(number, 10), || ()));
        assert_eq!([next(&jobs), next(&jobs), next(&jobs)], [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn who_has_something_better_to_do_or_no_time_takes_no_job() {
        let jobs = Jobs::default();
        jobs.push(request(0, 0), || ());
        assert!(jobs.next(|| true, None).is_none());
        assert!(jobs.next(|| false, Some(Instant::now())).is_none());
        assert_eq!(next(&jobs), Some(0));
    }

    #[test]
    fn a_full_queue_makes_the_io_thread_wait_for_room() {
        let jobs = Jobs::default();
        (0..MOST_JOBS as u32).for_each(|number| jobs.push(request(number, 0), || ()));
        thread::scope(|scope| {
            let pushed = scope.spawn(|| jobs.push(request(9999, 0), || ()));
            assert_eq!(next(&jobs), Some(0));
            pushed.join().unwrap();
        });
        assert_eq!(jobs.lock().queue.len(), MOST_JOBS);
    }

    #[test]
    fn bytes_fill_it_as_jobs_do_but_one_job_always_fits() {
        let jobs = Jobs::default();
        jobs.push(request(0, MOST_BYTES + 1), || ());
        assert!(jobs.lock().is_full());
        assert_eq!(next(&jobs), Some(0));
        assert!(!jobs.lock().is_full());
    }

    #[test]
    fn closing_wakes_both_sides_and_drops_what_waits() {
        let jobs = Jobs::default();
        thread::scope(|scope| {
            let taker = scope.spawn(|| jobs.next(|| false, None).is_none());
            jobs.close();
            assert!(taker.join().unwrap());
        });
        jobs.push(request(1, 1), || ());
        assert!(jobs.lock().queue.is_empty());
    }

    #[test]
    fn a_nudge_makes_a_sleeper_look_again() {
        let (jobs, done) = (Jobs::default(), Mutex::new(false));
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| jobs.next(|| *done.lock().unwrap(), None).is_none());
            *done.lock().unwrap() = true;
            jobs.nudge();
            assert!(sleeper.join().unwrap());
        });
    }
}
