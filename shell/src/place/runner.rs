//! The thread of a library: it loads it, and makes all calls of its services, one after the other, until told to leave.
//!
//! Everything that code of the library leaves in the thread it ran on (thread-locals and their destructors) ends with
//! this one, before the library is let go. No other thread of ours ever enters it. Services that have a loop share
//! one, which this thread turns between calls.

use crate::MODULE;
use crate::place::work::{self, Outcome, Place, Then, Work};
use msf_sys::crash::HandlerStack;
use msf_sys::event::Base;
use msf_sys::library::{self, Library};
use msf_sys::log::Level;
use msf_sys::rest::{self, Begun};
use msf_sys::service::{About, Service};
use msf_sys::thread::{self, Thread};
use msf_sys::usage;
use nix::unistd::gettid;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// A library to be loaded, and where what it needs lies.
#[derive(Debug)]
pub struct Plan {
    /// For the loader.
    pub path: PathBuf,
    /// As it will be mapped.
    pub mapped_as: PathBuf,
    /// Names of libraries it needs, and where they are, if it says so itself.
    pub needs: Vec<(String, Option<PathBuf>)>,
}

/// What is known of a service once it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traits {
    /// What it calls its version.
    pub version: Option<String>,
    /// Whether its state passes to its successor.
    pub hands_over: bool,
    /// Whether its table is of 2019.
    pub of_2019: bool,
    /// Functions that others may call.
    pub functions: Vec<String>,
}

/// What a library and its services use.
#[derive(Clone, Debug)]
pub struct Usage {
    /// Where its code is.
    pub code: Vec<Range<usize>>,
    /// The number of its thread.
    pub runner: i32,
    /// Threads that it has started.
    pub begun: Vec<Begun>,
    /// Of its loop.
    pub events: u32,
    /// Of its loop.
    pub timers: u32,
    /// That appeared during its slots and are still there.
    pub descriptors: usize,
    /// Of pools made during its calls.
    pub pool_bytes: u64,
}

/// Something to be done on the thread.
type Job = Box<dyn FnOnce(&mut Image) + Send>;

/// The handle of the thread.
pub struct Runner {
    jobs: Sender<Order>,
    base: Arc<OnceLock<Base>>,
    /// Until it is joined.
    thread: Mutex<Option<Thread>>,
    /// Gets the library back when the thread has left.
    left: Mutex<Receiver<Left>>,
}

/// What a thread leaves behind.
#[derive(Debug)]
pub struct Left {
    /// To be closed by somebody else.
    pub library: Library,
    /// What it has left beside it, one sentence each.
    pub told: Vec<String>,
    /// Threads that began during its slots.
    pub begun: Vec<Begun>,
}

enum Order {
    Job(Job),
    Leave,
}

/// A loaded library and its services, on its thread.
pub struct Image {
    library: Library,
    services: Vec<(String, Service)>,
    base: Arc<OnceLock<Base>>,
    /// Whose pools its are.
    owner: u32,
    /// Descriptors that appeared during its slots.
    opened: Vec<(i32, PathBuf)>,
    /// Threads that began during its slots, while no other slot of the process ran: they are nobody else's.
    begun: Vec<Begun>,
}

impl Image {
    /// The library, for whoever has to look at it.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// Service number `at`.
    pub fn service(&self, at: usize) -> Option<&Service> {
        self.services.get(at).map(|(_, service)| service)
    }

    /// Finds one more service; its number is one more than that of the one before.
    pub fn add(&mut self, about: &About, with_loop: bool) -> Result<Traits, String> {
        let mut service = Service::find(&self.library, about).map_err(|e| e.to_string())?;
        if with_loop || service.wants_loop() {
            service.give_loop(self.loop_of_its_own().map_err(|e| format!("cannot make a loop: {e}"))?);
        }
        let traits = Traits {
            version: service.version(),
            hands_over: service.hands_over(),
            of_2019: service.is_of_2019(),
            functions: service.functions(),
        };
        self.services.push((about.name.clone(), service));
        Ok(traits)
    }

    /// What it uses now.
    pub fn usage(&mut self) -> Usage {
        let now = usage::descriptors();
        self.opened.retain(|one| now.contains(one));
        let (events, timers) = self.base.get().map_or((0, 0), Base::count);
        Usage {
            code: self.library.code(),
            runner: gettid().as_raw(),
            begun: self.begun.clone(),
            events,
            timers,
            descriptors: self.opened.len(),
            pool_bytes: usage::pool_bytes(self.owner),
        }
    }

    fn loop_of_its_own(&mut self) -> io::Result<&Base> {
        if self.base.get().is_none() {
            let _ = self.base.set(Base::new()?);
        }
        self.base.get().ok_or_else(|| io::Error::other("somebody else has made one"))
    }

    fn answer(&mut self, at: usize, work: Work) -> Option<Outcome> {
        let (name, service) = self.services.get_mut(at)?;
        Some(match work {
            Work::Run(slot) => {
                if service.offers(slot) {
                    msf_sys::log!(Level::Info, MODULE, "service {name}: {}", work::word(slot));
                }
                let (before, threads) = (usage::descriptors(), rest::begun());
                let number = BEGUN.fetch_add(1, Ordering::AcqRel);
                let alone = number == ENDED.load(Ordering::Acquire);
                let outcome = Outcome::bare(service.run(slot));
                // A slot that is late is not waited for, and others begin beside it.
                if alone && BEGUN.load(Ordering::Acquire) == number + 1 {
                    self.begun.extend(rest::begun().into_iter().filter(|one| !threads.contains(one)));
                }
                ENDED.fetch_add(1, Ordering::AcqRel);
                let now = usage::descriptors();
                self.opened.retain(|one| now.contains(one));
                self.opened.extend(now.into_iter().filter(|one| !before.contains(one)));
                outcome
            }
            Work::Call { command, params } => {
                let (answer, bytes) = service.call(&command, &params);
                Outcome { answer, bytes, version: 0 }
            }
            Work::Export => {
                let (answer, version, bytes) = service.export();
                Outcome { answer, bytes, version }
            }
            Work::Import { version, state } => Outcome::bare(service.import(version, &state)),
            Work::Health => {
                let (answer, text) = service.health();
                Outcome { answer, bytes: text.into_bytes(), version: 0 }
            }
        })
    }
}

impl Runner {
    /// Starts a thread called after `name` that loads what `plan` says; the channel tells how that ended.
    pub fn start(name: &str, plan: Plan, owner: u32) -> io::Result<(Arc<Runner>, Receiver<io::Result<()>>)> {
        let (jobs, orders) = mpsc::channel();
        let (gone, left) = mpsc::channel();
        let (told, loaded) = mpsc::channel();
        let base = Arc::new(OnceLock::new());
        let its = Arc::clone(&base);
        let name = name.to_owned();
        let thread = thread::spawn(&format!("svc:{name}"), move || {
            usage::own_pools(owner);
            // Without it, a stack that overflows has no last words.
            let _stack = HandlerStack::new();
            match load(&plan) {
                Ok(mut library) => {
                    library.belongs_to(&name);
                    let _ = told.send(Ok(()));
                    let mut image = Image {
                        library,
                        services: Vec::new(),
                        base: its,
                        owner,
                        opened: Vec::new(),
                        begun: Vec::new(),
                    };
                    image.run(&orders);
                    let _ = gone.send(image.end());
                }
                Err(e) => drop(told.send(Err(e))),
            }
        })?;
        Ok((Arc::new(Runner { jobs, base, thread: Some(thread).into(), left: left.into() }), loaded))
    }

    /// Has `job` done after everything that was given before. What it holds is dropped if the thread is gone.
    pub fn give_job(&self, job: impl FnOnce(&mut Image) + Send + 'static) {
        self.order(Order::Job(Box::new(job)));
    }

    /// Has the thread end after everything that was given before.
    pub fn leave(&self) {
        self.order(Order::Leave);
    }

    /// The library, once the thread has left, which is joined then.
    pub fn left(&self, wait: impl FnOnce(&Receiver<Left>) -> Option<Left>) -> Option<Left> {
        let left = wait(&self.left.lock().unwrap_or_else(PoisonError::into_inner))?;
        self.join();
        Some(left)
    }

    /// Waits for the end of a thread that has nothing left to do.
    pub fn join(&self) {
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It joins nobody who could join it.
            let _ = thread.join();
        }
    }

    fn order(&self, order: Order) {
        let _ = self.jobs.send(order);
        if let Some(base) = self.base.get() {
            base.signal();
        }
    }
}

impl Place for Runner {
    fn give(&self, at: usize, work: Work, then: Then) {
        self.give_job(move |image| {
            if let Some(outcome) = image.answer(at, work) {
                then(outcome);
            }
        });
    }
}

impl Image {
    /// With its loop goes what it should have taken out of it.
    fn end(mut self) -> Left {
        let Usage { events, timers, pool_bytes, .. } = self.usage();
        let mut told = Vec::new();
        if (events, timers) != (0, 0) {
            told.push(format!(
                "it had left {events} events and {timers} timers in its loop, which were taken away with it"
            ));
        }
        for (fd, link) in &self.opened {
            told.push(format!("it has left descriptor {fd} open, {}", link.display()));
        }
        if pool_bytes > 0 {
            told.push(format!("it has left pools with {pool_bytes} bytes"));
        }
        Left { library: self.library, told, begun: self.begun }
    }

    fn run(&mut self, orders: &Receiver<Order>) {
        loop {
            let order = match self.base.get().cloned() {
                None => orders.recv().unwrap_or(Order::Leave),
                Some(base) => match orders.try_recv() {
                    Ok(order) => order,
                    Err(TryRecvError::Disconnected) => Order::Leave,
                    Err(TryRecvError::Empty) => {
                        // Who gives an order signals the loop behind it.
                        if let Err(e) = base.wait() {
                            msf_sys::log!(Level::Error, MODULE, "the loop of a library fails: {e}");
                            std::thread::sleep(PAUSE);
                        }
                        continue;
                    }
                },
            };
            match order {
                Order::Job(job) => job(self),
                Order::Leave => return,
            }
        }
    }
}

/// Loads the library and sees to it that what it needs stays: other libraries may have come to need it as well, and
/// nobody looks whether its code is at rest.
fn load(plan: &Plan) -> io::Result<Library> {
    for (name, file) in &plan.needs {
        if let Some(file) = file.as_ref().filter(|_| !library::keep(Path::new(name))) {
            // Named like this it is found where the copy would not look.
            let need = Library::open(file, file)?;
            library::keep(file);
            drop(need);
        }
    }
    let library = Library::open(&plan.path, &plan.mapped_as)?;
    for (name, _) in &plan.needs {
        library::keep(Path::new(name));
    }
    Ok(library)
}

/// How many slots of this process have begun, and how many have ended.
static BEGUN: AtomicUsize = AtomicUsize::new(0);
static ENDED: AtomicUsize = AtomicUsize::new(0);
const PAUSE: Duration = Duration::from_millis(100);
