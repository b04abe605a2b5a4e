//! The driver of a worker: a thread for each broker it serves, and as many for its functions as it is told.
//!
//! The functions run at the same time if there are threads for it, on whatever jobs come first, whichever broker they come from.
//! A panic, like a failure, is the caller's answer and nothing else. A lost connection is made anew, with the name and
//! all functions, as often as it takes.
//!
//! [`Running::close`] takes the functions back, lets what has been accepted end, and closes: a broker loses no job.

use super::connection::Connection;
use super::job::{Failure, Job, ret};
use super::link::{self, Notice};
use super::pool::Pool;
use crate::Place;
use msf_wire::nmid::RetStruct;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

type Function = Box<dyn Fn(&Job) -> Vec<u8> + Send + Sync>;
type Observer = Box<dyn Fn(&Notice<'_>) + Send + Sync>;
type Alarm = Box<dyn Fn() + Send + Sync>;
/// What a thread does.
pub type Life = Box<dyn FnOnce() + Send>;
/// Waits for a thread's end.
pub type Join = Box<dyn FnOnce() + Send>;
/// Starts a thread under a name.
pub type Spawn = fn(&str, Life) -> io::Result<Join>;

/// A worker that is being described.
#[must_use]
pub struct Worker {
    shared: Shared,
    servers: Vec<Place>,
    concurrency: usize,
    spawn: Spawn,
}

/// A worker at work. Dropped, it ends at once; [`close`](Self::close) is the friendly way.
pub struct Running {
    shared: Arc<Shared>,
    threads: Mutex<Vec<Join>>,
}

/// So many functions still ran when the time to close was over. Their threads end with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StillBusy(pub usize);

/// What every thread of a worker knows.
pub(super) struct Shared {
    pub(super) name: Vec<u8>,
    pub(super) pool: Pool,
    functions: Vec<(Vec<u8>, Function)>,
    observer: Option<Observer>,
    /// Rung when a job waits for somebody to run it.
    alarm: Option<Alarm>,
}

impl Worker {
    /// A worker that calls itself `name`, with one thread for its functions.
    pub fn new(name: impl Into<Vec<u8>>) -> Self {
        Self::with_threads_of(name, |name, life| {
            let thread = thread::Builder::new().name(name.into()).spawn(life)?;
            // Its panics were caught and told.
            Ok(Box::new(|| drop(thread.join())))
        })
    }

    /// The same, for a program that makes its threads in a way of its own.
    pub fn with_threads_of(name: impl Into<Vec<u8>>, spawn: Spawn) -> Self {
        let shared =
            Shared { name: name.into(), pool: Pool::default(), functions: Vec::new(), observer: None, alarm: None };
        Self { shared, servers: Vec::new(), concurrency: 1, spawn }
    }

    /// Offers a function. What it returns is the Data of its RetStruct, a failure is its Code and Msg. Under a name
    /// that is there already it takes the other's place.
    pub fn function(
        self,
        name: impl Into<Vec<u8>>,
        run: impl Fn(&Job) -> Result<Vec<u8>, Failure> + Send + Sync + 'static,
    ) -> Self {
        self.raw_function(name, move |job| match run(job) {
            Ok(data) => ret(&RetStruct { code: 0, msg: b"ok", data: &data }),
            Err(failure) => failure.ret(),
        })
    }

    /// Offers a function that writes its own Ret, whatever its callers expect it to be.
    pub fn raw_function(
        mut self,
        name: impl Into<Vec<u8>>,
        run: impl Fn(&Job) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let name = name.into();
        self.shared.functions.retain(|(other, _)| *other != name);
        self.shared.functions.push((name, Box::new(run)));
        self
    }

    /// Serves the broker at `place`; may be said of several.
    pub fn server(mut self, place: Place) -> Self {
        self.servers.push(place);
        self
    }

    /// How many functions may run at the same time; at least 1. Nothing is gained with a broker that sends one job at a
    /// time (`in_flight` of msf_agent).
    pub fn concurrency(mut self, threads: usize) -> Self {
        self.concurrency = threads.max(1);
        self
    }

    /// Is told what happens, on the threads to which it happens.
    pub fn observer(mut self, tell: impl Fn(&Notice<'_>) + Send + Sync + 'static) -> Self {
        self.shared.observer = Some(Box::new(tell));
        self
    }

    /// Begins to serve, on threads of its own.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(self) -> io::Result<Running> {
        let concurrency = self.concurrency;
        self.begin(concurrency)
    }

    /// Begins to serve, but leaves running the functions to who calls [`Running::run_one`]. `alarm` is rung, on a
    /// thread of the worker, whenever a job has come.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start_without_threads(mut self, alarm: impl Fn() + Send + Sync + 'static) -> io::Result<Running> {
        self.shared.alarm = Some(Box::new(alarm));
        self.begin(0)
    }

    fn begin(self, concurrency: usize) -> io::Result<Running> {
        let running = Running { shared: Arc::new(self.shared), threads: Mutex::default() };
        for _ in 0..concurrency {
            running.spawn(self.spawn, "nmid-function", |shared| while shared.run(shared.pool.take()) {})?;
        }
        for place in self.servers {
            running.shared.pool.link_begins();
            let started = running.spawn(self.spawn, "nmid-link", move |shared| link::run(shared, &place));
            if started.is_err() {
                running.shared.pool.link_ends();
                return started.map(|()| running);
            }
        }
        Ok(running)
    }
}

impl Running {
    /// Waits until `brokers` of the servers know every function, at most so long; how many do.
    pub fn wait_registered(&self, brokers: usize, patience: Duration) -> usize {
        self.shared.pool.wait_registered(brokers, patience)
    }

    /// Runs the function of one job that waits; false when none does. For a worker that was started without threads.
    pub fn run_one(&self) -> bool {
        self.shared.run(self.shared.pool.try_take())
    }

    /// Waits until another thread closes the worker.
    pub fn wait_closed(&self) {
        self.shared.pool.wait_over();
    }

    /// Ends it: the functions are taken back, jobs that came are finished if that takes no longer than `limit`, the
    /// connections are closed.
    ///
    /// # Errors
    /// [`StillBusy`]: a function cannot be stopped from outside, so its result will go nowhere.
    pub fn close(self, limit: Duration) -> Result<(), StillBusy> {
        self.leave(limit)
    }

    /// See [`close`](Self::close); for whoever has the worker in common with others. The second to call it waits
    /// likewise and finds it ended. Not from inside a function of this worker, which would wait for itself.
    ///
    /// # Errors
    /// See [`close`](Self::close).
    pub fn leave(&self, limit: Duration) -> Result<(), StillBusy> {
        let end = Instant::now().checked_add(limit).unwrap_or_else(far);
        let connections = self.withdrawn();
        while !self.shared.pool.wait_unlinked(end.min(Instant::now() + A_MOMENT)) && Instant::now() < end {
            // A broker that answers no PING is left when its time is over, which no frame will say.
            for connection in &connections {
                connection.tick();
            }
            while self.shared.alarm.is_some() && self.run_one() {}
        }
        let busy = self.shared.pool.wait_idle(end);
        self.shared.pool.end();
        if busy > 0 {
            return Err(StillBusy(busy));
        }
        let threads = std::mem::take(&mut *self.threads());
        // A link that is still trying to connect cannot be interrupted; it ends by itself when the attempt does.
        if self.shared.pool.wait_unlinked(Instant::now() + SOON) {
            threads.into_iter().for_each(|join| join());
        }
        Ok(())
    }

    /// Takes the functions back and waits for nothing; [`leave`](Self::leave) is to follow. For who ends several workers:
    /// the brokers say goodbye to all of them at the same time.
    pub fn withdraw(&self) {
        self.withdrawn();
    }

    fn withdrawn(&self) -> Vec<Arc<Connection>> {
        let connections = self.shared.pool.leave();
        for connection in &connections {
            connection.leave(self.shared.names());
        }
        connections
    }

    fn spawn(&self, spawn: Spawn, name: &str, life: impl FnOnce(&Arc<Shared>) + Send + 'static) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        self.threads().push(spawn(name, Box::new(move || life(&shared)))?);
        Ok(())
    }

    fn threads(&self) -> MutexGuard<'_, Vec<Join>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.threads().is_empty() {
            self.shared.pool.leave();
            self.shared.pool.end();
        }
    }
}

impl Shared {
    /// The functions' names.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.functions.iter().map(|(name, _)| name.as_slice())
    }

    pub(super) fn tell(&self, notice: &Notice<'_>) {
        if let Some(tell) = &self.observer {
            tell(notice);
        }
    }

    /// A job came.
    pub(super) fn job(&self, job: Job) {
        self.pool.add(job);
        if let Some(ring) = &self.alarm {
            ring();
        }
    }

    /// Runs a job that was taken out of the pool; false when there is none.
    fn run(&self, job: Option<Job>) -> bool {
        let Some(job) = job else { return false };
        job.connection.finish(&job, &self.result(&job));
        self.pool.done();
        true
    }

    fn result(&self, job: &Job) -> Vec<u8> {
        let Some((name, function)) = self.functions.iter().find(|(name, _)| name == job.function()) else {
            return Failure::new(Failure::UNKNOWN_FUNCTION, "this worker has no such function").ret();
        };
        catch_unwind(AssertUnwindSafe(|| function(job))).unwrap_or_else(|_| {
            self.tell(&Notice::Panicked(name));
            Failure::new(Failure::BROKEN, "the function panicked").ret()
        })
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name.escape_ascii().to_string()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("servers", &self.servers).field("concurrency", &self.concurrency).finish()
    }
}

impl fmt::Display for StillBusy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} functions still run", self.0)
    }
}

impl std::error::Error for StillBusy {}

/// Long enough to stand for ever, and no clock overflows.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(1 << 30)
}

const A_MOMENT: Duration = Duration::from_millis(50);
/// More than a thread needs to see that its connection was shut.
const SOON: Duration = Duration::from_secs(1);
