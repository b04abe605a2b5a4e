//! Threads that carry out what is queued, oldest first.
//!
//! The queue is bounded: what does not fit is given back, or waits for room. One lock guards queue and counts; it is
//! never held while a job runs or is dropped, so jobs may use their own pool, and may even end it.

use super::{Builder, Pin};
use crate::sys::cpus;
use crate::sys::sched::Class;
use crate::sys::starting::Thread;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Something to be done once, on another thread. Closures are jobs; so is their box, which lets different ones share a pool.
pub trait Job: Send + 'static {
    /// Does it.
    fn run(self);
}

impl<F: FnOnce() + Send + 'static> Job for F {
    fn run(self) {
        self();
    }
}

/// Threads and a queue of jobs for them.
///
/// Dropping the pool carries out what is queued and waits for it; [`Pool::finish`] can also drop it.
///
/// ```
/// use msf_core::thread::Pool;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// static SUM: AtomicU32 = AtomicU32::new(0);
/// let pool = Pool::builder().threads(2).queue(100).name("adder").start()?;
/// for n in 1..=100 {
///     pool.run(move || { SUM.fetch_add(n, Ordering::Relaxed); }).expect("there is room for 100");
/// }
/// drop(pool);
/// assert_eq!(SUM.load(Ordering::Relaxed), 5050);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Pool<J: Job = Box<dyn FnOnce() + Send>> {
    shared: Arc<Shared<J>>,
    threads: Mutex<Vec<Thread>>,
}

/// Why a job was not taken, and the job.
#[derive(PartialEq, Eq)]
pub enum Refused<J> {
    /// The queue is full (and has stayed so).
    Full(J),
    /// The pool is being finished.
    Finishing(J),
}

impl<J> fmt::Display for Refused<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Full(_) => "the pool's queue is full",
            Refused::Finishing(_) => "the pool is being finished",
        })
    }
}

/// The job itself need not be printable.
impl<J> fmt::Debug for Refused<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<J> std::error::Error for Refused<J> {}

/// What a pool has done and has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Threads.
    pub threads: u32,
    /// Jobs in the queue.
    pub queued: u32,
    /// Jobs being carried out.
    pub running: u32,
    /// Jobs that were carried out, those that panicked included.
    pub done: u64,
    /// Jobs that panicked.
    pub panicked: u64,
    /// Jobs that were not taken because the queue was full.
    pub refused: u64,
}

/// How the pool is to be.
#[derive(Clone, Debug)]
pub struct PoolBuilder {
    threads: u32,
    queue: u32,
    name: String,
    each: bool,
    thread: Builder,
}

impl PoolBuilder {
    /// How many threads, 1 to 64; otherwise one for each processor the caller may use.
    pub fn threads(mut self, count: u32) -> PoolBuilder {
        self.threads = count;
        self
    }

    /// How many jobs may wait, 1 to 65536; otherwise 1024.
    pub fn queue(mut self, slots: u32) -> PoolBuilder {
        self.queue = slots;
        self
    }

    /// The threads' names: this one, a slash and a number.
    pub fn name(mut self, name: impl Into<String>) -> PoolBuilder {
        self.name = name.into();
        self
    }

    /// Bytes of each thread's stack.
    pub fn stack(mut self, bytes: usize) -> PoolBuilder {
        self.thread = self.thread.stack(bytes);
        self
    }

    /// Where all threads run.
    pub fn pin(mut self, pin: Pin) -> PoolBuilder {
        self.thread = self.thread.pin(pin);
        self
    }

    /// Each thread on a processor of its own, in turn those the caller may use.
    pub fn pin_each(mut self) -> PoolBuilder {
        self.each = true;
        self
    }

    /// How urgent the threads are.
    pub fn class(mut self, class: Class) -> PoolBuilder {
        self.thread = self.thread.class(class);
        self
    }

    /// Starts the pool. Fails as [`Builder::start`] does, and with EINVAL for a number out of range; then no thread is left.
    pub fn start<J: Job>(&self) -> io::Result<Pool<J>> {
        let usable: Vec<u32> = cpus::affinity(0)?.iter().collect();
        let count = match self.threads {
            0 => (usable.len() as u32).clamp(1, Pool::<J>::THREADS_MOST),
            count => count,
        };
        if count > Pool::<J>::THREADS_MOST || !(1..=Pool::<J>::QUEUE_MOST).contains(&self.queue) {
            return Err(Errno::EINVAL.into());
        }
        let pool = Pool { shared: Arc::new(Shared::new(self.queue as usize)), threads: Mutex::new(Vec::new()) };
        for (number, &cpu) in (0..count).zip(usable.iter().cycle()) {
            let builder = self.thread.clone().name(format!("{}/{number}", self.name));
            let builder = if self.each { builder.pin(Pin::Cpu(cpu)) } else { builder };
            let shared = Arc::clone(&pool.shared);
            // On failure the pool is dropped, and with it the threads that were started.
            let thread = builder.start(move || work(&shared))?;
            lock(&pool.threads).push(thread);
        }
        lock(&pool.shared.state).statistics.threads = count;
        Ok(pool)
    }
}

impl Pool {
    /// How a pool is to be.
    pub fn builder() -> PoolBuilder {
        PoolBuilder { threads: 0, queue: 1024, name: "pool".to_owned(), each: false, thread: Builder::new() }
    }

    /// Queues a closure.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Refused<Box<dyn FnOnce() + Send>>> {
        self.add(Box::new(job))
    }
}

impl<J: Job> Pool<J> {
    /// How many threads a pool may have.
    pub const THREADS_MOST: u32 = 64;
    /// How many jobs may wait.
    pub const QUEUE_MOST: u32 = 65_536;

    /// Queues a job, if there is room.
    pub fn add(&self, job: J) -> Result<(), Refused<J>> {
        self.add_within(job, Duration::ZERO)
    }

    /// Queues a job, and waits for room as long as `limit`.
    ///
    /// A job that does this in its own pool may wait for itself: give it a limit.
    pub fn add_within(&self, job: J, limit: Duration) -> Result<(), Refused<J>> {
        let shared = &*self.shared;
        let full = |state: &State<J>| !state.finishing && state.queue.len() >= shared.capacity;
        let mut state = waited(&shared.room, lock(&shared.state), limit, full);
        if state.finishing {
            return Err(Refused::Finishing(job));
        }
        if state.queue.len() >= shared.capacity {
            state.statistics.refused += 1;
            return Err(Refused::Full(job));
        }
        state.queue.push_back(job);
        // Waking costs a system call: it is left out while all threads are busy.
        if state.sleeping > 0 {
            drop(state);
            shared.work.notify_one();
        }
        Ok(())
    }

    /// Waits until nothing is queued and nothing runs; `false` when that has not come about within `limit`.
    ///
    /// Fails with EDEADLK inside one of the pool's own jobs.
    pub fn wait_idle(&self, limit: Duration) -> io::Result<bool> {
        if self.is_inside() {
            return Err(Errno::EDEADLK.into());
        }
        let mut state = lock(&self.shared.state);
        state.watchers += 1;
        let mut state = waited(&self.shared.idle, state, limit, |state| !state.is_idle());
        state.watchers -= 1;
        Ok(state.is_idle())
    }

    /// Ends the pool: takes no more jobs, carries out or drops those that are queued, and waits for its threads.
    ///
    /// Inside one of its own jobs it does not wait: the threads end by themselves. Gives `false` when the pool was being
    /// finished already.
    pub fn finish(&self, queued: Queued) -> bool {
        let dropped = {
            let mut state = lock(&self.shared.state);
            if state.finishing {
                return false;
            }
            state.finishing = true;
            if queued == Queued::Drop { std::mem::take(&mut state.queue) } else { VecDeque::new() }
        };
        self.shared.work.notify_all();
        self.shared.room.notify_all();
        self.shared.idle.notify_all();
        drop(dropped);
        let threads = std::mem::take(&mut *lock(&self.threads));
        if !self.is_inside() {
            for thread in threads {
                // What its jobs panicked with has been counted; the thread itself does not panic.
                let _ = thread.join();
            }
        }
        true
    }

    /// What it has done and has to do.
    pub fn statistics(&self) -> Statistics {
        let state = lock(&self.shared.state);
        Statistics { queued: state.queue.len() as u32, ..state.statistics }
    }

    fn is_inside(&self) -> bool {
        INSIDE.get() == Arc::as_ptr(&self.shared).addr()
    }
}

impl<J: Job> Drop for Pool<J> {
    fn drop(&mut self) {
        self.finish(Queued::Run);
    }
}

/// What becomes of jobs that are queued when a pool is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// They are carried out.
    Run,
    /// They are dropped.
    Drop,
}

struct Shared<J> {
    capacity: usize,
    state: Mutex<State<J>>,
    /// There is something to do, or the pool is being finished.
    work: Condvar,
    /// There is room in the queue.
    room: Condvar,
    /// There is nothing to do.
    idle: Condvar,
}

struct State<J> {
    queue: VecDeque<J>,
    /// Threads that wait for something to do.
    sleeping: u32,
    /// Callers that wait for there to be nothing to do.
    watchers: u32,
    finishing: bool,
    statistics: Statistics,
}

impl<J> Shared<J> {
    fn new(capacity: usize) -> Shared<J> {
        let state = State {
            queue: VecDeque::new(),
            sleeping: 0,
            watchers: 0,
            finishing: false,
            statistics: Statistics::default(),
        };
        let [work, room, idle] = [(); 3].map(|()| Condvar::new());
        Shared { capacity, state: Mutex::new(state), work, room, idle }
    }
}

impl<J> State<J> {
    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.statistics.running == 0
    }
}

/// What each thread does until the pool is finished.
fn work<J: Job>(shared: &Arc<Shared<J>>) {
    // Writing to a peer that is gone is an error for a job, not the end of the process.
    let mut sigpipe = SigSet::empty();
    sigpipe.add(Signal::SIGPIPE);
    let _ = sigpipe.thread_block();
    INSIDE.set(Arc::as_ptr(shared).addr());
    while let Some(job) = next(shared) {
        let panicked = catch_unwind(AssertUnwindSafe(|| job.run())).is_err();
        let mut state = lock(&shared.state);
        state.statistics.running -= 1;
        state.statistics.done += 1;
        state.statistics.panicked += u64::from(panicked);
        if state.watchers > 0 && state.is_idle() {
            drop(state);
            shared.idle.notify_all();
        }
    }
}

/// The oldest job; `None` when the pool is being finished and nothing is left.
fn next<J>(shared: &Shared<J>) -> Option<J> {
    let mut state = lock(&shared.state);
    loop {
        if let Some(job) = state.queue.pop_front() {
            state.statistics.running += 1;
            let was_full = state.queue.len() + 1 == shared.capacity;
            drop(state);
            if was_full {
                shared.room.notify_all();
            }
            return Some(job);
        }
        if state.finishing {
            return None;
        }
        state.sleeping += 1;
        state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.sleeping -= 1;
    }
}

/// Waits on `changed` while `so`, at most as long as `limit`.
fn waited<'a, J>(
    changed: &Condvar,
    mut state: MutexGuard<'a, State<J>>,
    limit: Duration,
    so: impl Fn(&State<J>) -> bool,
) -> MutexGuard<'a, State<J>> {
    if limit.is_zero() || !so(&state) {
        return state;
    }
    // A limit beyond the end of time is none.
    let end = Instant::now().checked_add(limit);
    while so(&state) {
        let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            break;
        }
        state = changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    state
}

/// No job runs under a lock, so nobody panics while holding one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// Which pool this thread works for: the address of what its threads share.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

#[cfg(test)]
mod tests;
