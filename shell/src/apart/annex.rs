//! A service in a process of its own, seen from the shell: a [`Place`] that never blocks, whatever that process does.
//!
//! All of it that waits is the [`Warden`], a thread that owns the process and its socket. Calls go to it through a
//! mailbox and come back answered, whether the process lives, dies or has died: see there.

use crate::apart::sandbox::Enforced;
use crate::apart::warden::{Order, Warden};
use crate::place::footprint::Footprint;
use crate::place::runner::Traits;
use crate::place::work::{self, Limit, Outcome, Place, Then, Work};
use msf_conf::shell::Service;
use msf_sys::rest::HostThread;
use msf_sys::thread::{self, Thread};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

/// What every process of the service is given.
#[derive(Debug)]
pub struct Plan {
    /// The service.
    pub service: Service,
    /// Its library's file, or the name the system's loader knows.
    pub file: PathBuf,
    /// Which generation it is.
    pub number: u32,
    /// What the copy of the library is called.
    pub mapped_as: String,
    /// The copy: the code is the same however often the process is replaced.
    pub library: Option<File>,
    /// The configuration's file, for the search and for complaints.
    pub config: PathBuf,
    /// What was in it.
    pub text: Arc<str>,
    /// Nobody sees what it prints.
    pub quiet: bool,
}

/// What a process tells once it has loaded its service.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Where the library was found.
    pub file: PathBuf,
    /// What its table says.
    pub traits: Traits,
    /// What has come of its sandbox.
    pub sandbox: Enforced,
}

/// What a process tells of what its service uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inside {
    /// Of its loop.
    pub events: u64,
    /// Of its loop.
    pub timers: u64,
    /// Of pools made during its calls.
    pub pool_bytes: u64,
}

/// The service's side of the shell.
pub struct Annex {
    desk: Arc<Desk>,
    thread: Mutex<Option<Thread>>,
}

/// What threads share of it.
pub struct Desk {
    /// Its warden's mailbox.
    orders: Mutex<Sender<Order>>,
    /// Wakes the warden.
    pub bell: EventFd,
    /// Questions that are not answered yet, and their bytes.
    pub waiting: AtomicUsize,
    /// See `waiting`.
    pub bytes: AtomicUsize,
    /// Of the process that is there; 0: none.
    pub pid: AtomicU32,
    /// It is as far up as it was taken.
    pub up: AtomicBool,
    /// Processes that have taken the place of one that ended.
    pub respawns: AtomicU32,
    /// How the last one ended.
    pub last: Mutex<String>,
    /// What has come of the sandbox of the last one.
    pub sandbox: Mutex<Enforced>,
}

impl Annex {
    /// With a warden, and without a process yet.
    pub fn new(plan: Plan) -> io::Result<Annex> {
        let (give, take) = mpsc::channel();
        let desk = Arc::new(Desk {
            orders: Mutex::new(give),
            bell: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            waiting: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            pid: AtomicU32::new(0),
            up: AtomicBool::new(false),
            respawns: AtomicU32::new(0),
            last: Mutex::default(),
            sandbox: Mutex::default(),
        });
        let name = format!("iso:{}", plan.service.name);
        let its = Arc::clone(&desk);
        let thread = thread::spawn(&name, move || {
            let _host = HostThread::this();
            Warden::new(plan, take, its).run();
        })?;
        Ok(Annex { desk, thread: Mutex::new(Some(thread)) })
    }

    /// Starts the first process, which loads the service.
    pub fn open(&self, limit: Limit<'_>) -> Result<Opened, String> {
        let (tell, hear) = mpsc::channel();
        self.desk.order(Order::Open(tell));
        work::wait(&hear, limit).unwrap_or_else(|silence| {
            self.kill("its library was not loaded in time".to_owned());
            Err(format!("cannot be loaded: {silence}; its process was ended"))
        })
    }

    /// The place calls are given to.
    pub fn place(&self) -> Arc<dyn Place> {
        Arc::clone(&self.desk) as Arc<dyn Place>
    }

    /// The process that is there.
    pub fn pid(&self) -> Option<u32> {
        Some(self.desk.pid.load(Ordering::Acquire)).filter(|pid| *pid != 0)
    }

    /// Whether its process is there, and as far up as it was taken.
    pub fn is_up(&self) -> bool {
        self.desk.up.load(Ordering::Acquire)
    }

    /// How many processes have taken the place of one that had ended.
    pub fn respawns(&self) -> u32 {
        self.desk.respawns.load(Ordering::Relaxed)
    }

    /// How the last process ended, if one has.
    pub fn last_end(&self) -> String {
        self.desk.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What its process may not do, and could after all.
    pub fn sandbox(&self) -> Enforced {
        self.desk.sandbox.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What its process uses, as the kernel counts.
    pub fn footprint(&self) -> Option<Footprint> {
        self.pid().and_then(Footprint::of)
    }

    /// What its process tells of itself, some time.
    pub fn usage(&self) -> Receiver<Inside> {
        let (tell, hear) = mpsc::channel();
        self.desk.order(Order::Usage(tell));
        hear
    }

    /// For its next process: how long it may take, and when it is started.
    pub fn heed(&self, service: Service) {
        self.desk.order(Order::Heed(Box::new(service)));
    }

    /// Has it open its log anew.
    pub fn rotate(&self) {
        self.desk.order(Order::Rotate);
    }

    /// The way down has begun: a slot that has to wait finds a SIGTERM pending, as it does in the shell.
    pub fn hurry(&self) {
        if let Some(pid) = self.pid() {
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM);
        }
    }

    /// Ends its process at once; when this returns, all that waited has been told why.
    pub fn kill(&self, why: String) {
        let (tell, hear) = mpsc::channel();
        self.desk.order(Order::Kill(why, tell));
        let _ = hear.recv();
    }

    /// Takes the service out of its process, and ends that; by force, if it has not ended in time. How it ended.
    pub fn leave(&self, limit: Limit<'_>) -> String {
        let (tell, hear) = mpsc::channel();
        self.desk.order(Order::Leave(tell));
        let told = work::wait(&hear, limit).unwrap_or_else(|_| {
            self.kill("it has not ended in time".to_owned());
            hear.recv().unwrap_or_else(|_| "has ended with its process".to_owned())
        });
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It joins nobody who could join it.
            let _ = thread.join();
        }
        told
    }
}

impl Drop for Annex {
    /// The warden ends its process, and itself.
    fn drop(&mut self) {
        self.desk.order(Order::Leave(mpsc::channel().0));
        self.desk.order(Order::Kill("its shell wants it no more".to_owned(), mpsc::channel().0));
    }
}

impl Desk {
    /// Has the warden do something. What it holds is dropped if that is gone.
    pub fn order(&self, order: Order) {
        let _ = self.orders.lock().unwrap_or_else(PoisonError::into_inner).send(order);
        let _ = self.bell.write(1);
    }
}

impl Place for Desk {
    fn give(&self, _at: usize, work: Work, then: Then) {
        let bytes = match &work {
            Work::Call { params, .. } => params.len(),
            _ => 0,
        };
        let (waiting, held) = (self.waiting.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        if matches!(work, Work::Call { .. }) && (waiting >= MOST_WAITING || waiting > 0 && held + bytes > MOST_BYTES) {
            let why = format!("it is busy: {waiting} calls with {held} bytes wait already");
            return then(Outcome::lost(ErrorKind::WouldBlock, &why));
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.order(Order::Work(work, then, bytes));
    }
}

/// Calls that may wait for one service, and their bytes.
const MOST_WAITING: usize = 10_000;
const MOST_BYTES: usize = 64 << 20;
