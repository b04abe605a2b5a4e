//! The jobs of a worker that wait, and who is at work: what all its threads share.

use super::connection::Connection;
use super::job::Job;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pool {
    state: Mutex<State>,
    /// Rung for one thread: a job waits.
    work: Condvar,
    /// Rung for all: anything else has changed.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stage: Stage,
    jobs: VecDeque<Job>,
    running: usize,
    connections: Vec<Arc<Connection>>,
    /// Threads that hold or look for a connection.
    links: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Serving,
    /// No new connections; those that are there end when their jobs are done.
    Leaving,
    /// Nobody takes a job any more.
    Over,
}

impl Pool {
    /// A link begins; it must say [`link_ends`](Self::link_ends).
    pub(super) fn link_begins(&self) {
        self.state().links += 1;
    }

    pub(super) fn link_ends(&self) {
        self.state().links -= 1;
        self.changed.notify_all();
    }

    /// A connection is there; false when the worker is leaving.
    pub(super) fn welcome(&self, connection: &Arc<Connection>) -> bool {
        let mut state = self.state();
        let serving = state.stage == Stage::Serving;
        if serving {
            state.connections.push(Arc::clone(connection));
        }
        serving
    }

    /// It has ended: its jobs that have not begun are nobody's any more.
    pub(super) fn forget(&self, connection: &Arc<Connection>) {
        let mut state = self.state();
        state.connections.retain(|other| !Arc::ptr_eq(other, connection));
        state.jobs.retain(|job| !Arc::ptr_eq(&job.connection, connection));
        drop(state);
        self.changed.notify_all();
    }

    /// Somebody's registration is complete.
    pub(super) fn registered(&self) {
        drop(self.state());
        self.changed.notify_all();
    }

    /// Adds a job; waits while too many wait already, which keeps the link's thread from reading more of them.
    pub(super) fn add(&self, job: Job) {
        let full = |state: &mut State| state.jobs.len() >= MOST_WAITING && state.stage != Stage::Over;
        let waited = self.changed.wait_while(self.state(), full);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.stage != Stage::Over {
            state.jobs.push_back(job);
            drop(state);
            self.work.notify_one();
        }
    }

    /// The next job, waiting for it; `None` when the worker is over.
    pub(super) fn take(&self) -> Option<Job> {
        let idle = |state: &mut State| state.jobs.is_empty() && state.stage != Stage::Over;
        let waited = self.work.wait_while(self.state(), idle);
        self.begin(waited.unwrap_or_else(PoisonError::into_inner))
    }

    /// The next job if one waits.
    pub(super) fn try_take(&self) -> Option<Job> {
        self.begin(self.state())
    }

    fn begin(&self, mut state: MutexGuard<'_, State>) -> Option<Job> {
        let was_full = state.jobs.len() >= MOST_WAITING;
        let job = state.jobs.pop_front()?;
        state.running += 1;
        drop(state);
        if was_full {
            self.changed.notify_all();
        }
        Some(job)
    }

    /// A job that was taken is done.
    pub(super) fn done(&self) {
        let mut state = self.state();
        state.running -= 1;
        let awaited = state.running == 0 && state.stage != Stage::Serving;
        drop(state);
        if awaited {
            self.changed.notify_all();
        }
    }

    /// Whether a connection that ends is to be made anew.
    pub(super) fn is_serving(&self) -> bool {
        self.state().stage == Stage::Serving
    }

    /// Waits between two attempts to connect, while there will be another.
    pub(super) fn pause(&self, time: Duration) {
        let serving = |state: &mut State| state.stage == Stage::Serving;
        drop(self.changed.wait_timeout_while(self.state(), time, serving).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until `wanted` brokers know every function; how many do.
    pub(super) fn wait_registered(&self, wanted: usize, time: Duration) -> usize {
        let count = |state: &State| state.connections.iter().filter(|one| one.is_registered()).count();
        let few = |state: &mut State| state.stage == Stage::Serving && count(state) < wanted;
        let waited = self.changed.wait_timeout_while(self.state(), time, few);
        count(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// From now on nobody connects. The connections that are there.
    pub(super) fn leave(&self) -> Vec<Arc<Connection>> {
        let mut state = self.state();
        state.stage = state.stage.max(Stage::Leaving);
        let connections = state.connections.clone();
        drop(state);
        self.changed.notify_all();
        connections
    }

    /// Waits until every link has ended; false when some have not in time.
    pub(super) fn wait_unlinked(&self, end: Instant) -> bool {
        self.wait_until(end, |state| state.links == 0)
    }

    /// Waits until no function runs; how many do.
    pub(super) fn wait_idle(&self, end: Instant) -> usize {
        self.wait_until(end, |state| state.running == 0);
        self.state().running
    }

    /// Waits until somebody has closed the worker.
    pub(super) fn wait_over(&self) {
        let on = |state: &mut State| state.stage != Stage::Over;
        drop(self.changed.wait_while(self.state(), on).unwrap_or_else(PoisonError::into_inner));
    }

    /// Drops what waits and lets every thread go.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.stage = Stage::Over;
        state.jobs.clear();
        let connections = std::mem::take(&mut state.connections);
        drop(state);
        for connection in connections {
            connection.shutdown();
        }
        self.work.notify_all();
        self.changed.notify_all();
    }

    fn wait_until(&self, end: Instant, there: impl Fn(&State) -> bool) -> bool {
        let left = end.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(self.state(), left, |state| !there(state));
        there(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Jobs that may wait; a broker that sends more has to wait itself.
const MOST_WAITING: usize = 1024;
