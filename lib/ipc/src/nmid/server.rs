//! A worker as C knows it: described bit by bit, then started one way or another, then closed.

use super::handle::Handle;
use super::task::Function;
use crate::errno::Errno;
use crate::{signals, socket};
use msf_client::Place;
use msf_client::nmid::{Join, Life, Notice, Running, Worker};
use msf_sys::ffi::ipc::nmid_worker;
use msf_sys::log;
use msf_sys::log::Level;
use msf_sys::thread;
use std::cell::Cell;
use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

thread_local! {
    /// Inside a function of which worker this thread is; 0: of none.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

/// See the module.
pub(super) struct Server {
    owner: u32,
    /// What tells it apart from other workers on this thread's stack.
    mark: Arc<()>,
    stage: Mutex<Stage>,
}

enum Stage {
    Described(Description),
    Serving { worker: Arc<Running>, brokers: usize, bell: Option<Arc<OwnedFd>> },
    Closed,
}

struct Description {
    name: Vec<u8>,
    servers: Vec<Place>,
    functions: Vec<(Vec<u8>, Function)>,
    concurrency: usize,
}

impl Server {
    pub(super) fn new(name: &[u8]) -> Server {
        let described =
            Description { name: name.to_owned(), servers: Vec::new(), functions: Vec::new(), concurrency: 1 };
        Server { owner: process::id(), mark: Arc::new(()), stage: Mutex::new(Stage::Described(described)) }
    }

    pub(super) fn add_server(&self, place: Place) -> Result<(), Errno> {
        self.describe(|described| described.servers.push(place))
    }

    pub(super) fn add_function(&self, name: &[u8], function: Function) -> Result<(), Errno> {
        self.describe(|described| described.functions.push((name.to_owned(), function)))
    }

    pub(super) fn set_concurrency(&self, threads: u32) -> Result<(), Errno> {
        if !(1..=MOST_THREADS).contains(&threads) {
            return Err(Errno::INVAL);
        }
        self.describe(|described| described.concurrency = threads as usize)
    }

    /// Serves on threads of its own.
    pub(super) fn start(&self) -> Result<Arc<Running>, Errno> {
        self.begin(|worker| Ok((worker.start()?, None)))
    }

    /// Serves in the program's loop: what rings it when there is work.
    pub(super) fn descriptor(&self) -> Result<c_int, Errno> {
        if let Stage::Serving { bell: Some(bell), .. } = &*self.stage() {
            return Ok(bell.as_raw_fd());
        }
        let bell = Arc::new(socket::eventfd()?);
        let fd = bell.as_raw_fd();
        let rung = Arc::clone(&bell);
        self.begin(|worker| Ok((worker.start_without_threads(move || socket::count_up(&rung))?, Some(bell))))?;
        Ok(fd)
    }

    pub(super) fn process(&self) -> Result<c_int, Errno> {
        self.outside()?;
        let (worker, bell) = match &*self.stage() {
            Stage::Serving { worker, bell: Some(bell), .. } => (Arc::clone(worker), Arc::clone(bell)),
            _ => return Err(Errno(libc::EBADF)),
        };
        socket::clear_count(&bell);
        let mut count = 0;
        while worker.run_one() {
            count += 1;
        }
        Ok(count)
    }

    pub(super) fn ready(&self, patience: Duration) -> Result<c_int, Errno> {
        let (worker, brokers) = match &*self.stage() {
            Stage::Serving { worker, brokers, .. } => (Arc::clone(worker), *brokers),
            _ => return Err(Errno::NOTCONN),
        };
        Ok(c_int::try_from(worker.wait_registered(brokers, patience)).unwrap_or(c_int::MAX))
    }

    pub(super) fn close(&self, limit: Duration) -> Result<(), Errno> {
        self.outside()?;
        let mut stage = self.stage();
        if !matches!(&*stage, Stage::Serving { .. }) {
            return Err(Errno::NOTCONN);
        }
        // The bell stays until the links have ended: they may still ring it.
        let Stage::Serving { worker, bell, .. } = std::mem::replace(&mut *stage, Stage::Closed) else {
            return Err(Errno::NOTCONN);
        };
        drop(stage);
        let left = worker.leave(limit);
        drop((worker, bell));
        left.map_err(|_| Errno::TIMEDOUT)
    }

    fn describe(&self, say: impl FnOnce(&mut Description)) -> Result<(), Errno> {
        match &mut *self.stage() {
            Stage::Described(described) => {
                say(described);
                Ok(())
            }
            Stage::Serving { .. } | Stage::Closed => Err(Errno::ALREADY),
        }
    }

    fn begin(
        &self,
        start: impl FnOnce(Worker) -> Result<(Running, Option<Arc<OwnedFd>>), Errno>,
    ) -> Result<Arc<Running>, Errno> {
        let mut stage = self.stage();
        let Stage::Described(described) = &mut *stage else { return Err(Errno::ALREADY) };
        if described.servers.is_empty() {
            return Err(Errno(libc::EDESTADDRREQ));
        }
        let brokers = described.servers.len();
        let empty = Description { name: Vec::new(), servers: Vec::new(), functions: Vec::new(), concurrency: 1 };
        let worker = self.worker(std::mem::replace(described, empty));
        let (worker, bell) = signals::shielded(|| start(worker)).inspect_err(|_| *stage = Stage::Closed)?;
        let worker = Arc::new(worker);
        *stage = Stage::Serving { worker: Arc::clone(&worker), brokers, bell };
        Ok(worker)
    }

    fn worker(&self, described: Description) -> Worker {
        let name = String::from_utf8_lossy(&described.name).into_owned();
        let observer = move |notice: &Notice<'_>| {
            let level = match notice {
                Notice::Registered(_) => Level::Info,
                Notice::Lost(..) | Notice::NoBroker(..) => Level::Warn,
                Notice::Malformed(..) | Notice::Panicked(_) => Level::Error,
            };
            log!(level, &name, "{notice}");
        };
        let mut worker =
            Worker::with_threads_of(described.name, spawn).concurrency(described.concurrency).observer(observer);
        for (name, function) in described.functions {
            let mark = mark(&self.mark);
            worker = worker.raw_function(name, move |job| {
                let outside = INSIDE.replace(mark);
                let result = function.result(job);
                INSIDE.set(outside);
                result
            });
        }
        described.servers.into_iter().fold(worker, Worker::server)
    }

    /// A function of the worker that waits for it to end would wait for itself.
    fn outside(&self) -> Result<(), Errno> {
        if INSIDE.get() == mark(&self.mark) { Err(Errno::DEADLK) } else { Ok(()) }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle for Server {
    type Face = nmid_worker;

    fn owner(&self) -> u32 {
        self.owner
    }
}

/// As every thread of libipc is made, and no second way linked in.
fn spawn(name: &str, life: Life) -> io::Result<Join> {
    let thread = thread::spawn(name, life)?;
    Ok(Box::new(|| drop(thread.join())))
}

/// An address nothing else has while the worker lives.
fn mark(of: &Arc<()>) -> usize {
    Arc::as_ptr(of).addr()
}

const MOST_THREADS: u32 = 1024;
