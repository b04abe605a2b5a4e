//! The threads: one for control, one per reactor, and what connects them.

use super::errands::Program;
use super::left::Left;
use super::{Failure, LOG, access, sockets};
use crate::control::admin::Admin;
use crate::control::metrics::Metrics;
use crate::control::thread::{self as control_thread, Control, End, Handed, Sockets, Taken};
use crate::core::admit::{Http, Limits, Nmid};
use crate::core::order::{Order, Report};
use crate::core::rules::Rulebook;
use crate::edge::broker::{self, Broker};
use crate::edge::lane::{self, Parcel};
use crate::observe::counter::Counters;
use crate::upgrade::clock;
use crate::upgrade::hold::{self, Grip, Hold};
use crate::upgrade::passage::Came;
use msf_conf::agent::Settings;
use msf_core::event::mailbox::{self, Receiver, Sender};
use msf_core::event::{Reactor, Signals};
use msf_core::log::Level;
use msf_core::thread::{Builder, Thread};
use msf_wire::snapshot::Reader;
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::unistd::Pid;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// An agent at work; its control thread is the one that calls [`Running::join`].
pub struct Running {
    control: Control<Program>,
    reactor: Reactor,
    reactors: Vec<Thread>,
    counters: Arc<[Counters]>,
    places: Vec<String>,
}

/// Opens the sockets and starts the reactors' threads.
pub fn start(settings: &Settings, program: Program, mut left: Left) -> Result<Running, Failure> {
    let listeners = sockets::open(settings, &mut left)?;
    let metrics = sockets::endpoint(settings, &mut left, "metrics", "metrics", &settings.metrics.listen)?;
    drop(left);
    let admin = Some(sockets::admin(settings)?);
    start_at(settings, program, Sockets { pid: 0, lock: None, listeners, metrics, admin })
}

/// The same at sockets that there are.
pub fn start_at(settings: &Settings, mut program: Program, sockets: Sockets) -> Result<Running, Failure> {
    raise_descriptor_limit(settings.max_conns);
    let Sockets { lock, listeners, metrics, admin, .. } = sockets;
    program.lock = program.lock.or(lock);
    let mut running = build(settings, program, reactors(settings), Instant::now(), || None)?;
    running.places = listeners.iter().map(|(listener, _)| listener).chain(&metrics).map(ToString::to_string).collect();
    let (control, reactor) = (&mut running.control, &running.reactor);
    for (listener, door) in listeners {
        control.listen(reactor, listener, door)?;
    }
    if let Some(listener) = metrics {
        let settings = &settings.metrics;
        control.expose(Metrics::new(reactor, listener, &settings.path, settings.create_time)?);
    }
    if let Some(listener) = admin {
        control.administer(Admin::new(reactor, listener)?);
    }
    Ok(running)
}

/// Starts the reactors' threads, which stand still, for state that is still to come: so many reactors, whose time began
/// then.
pub fn hold(settings: &Settings, program: Program, reactors: usize, started: Instant) -> Result<Held, Failure> {
    raise_descriptor_limit(settings.max_conns);
    let (grips, holds): (Vec<Grip>, Vec<Hold>) = (0..reactors).map(|_| hold::pair()).unzip();
    let mut holds = holds.into_iter();
    let running = build(settings, program, reactors, started, || holds.next())?;
    let until = Instant::now() + STARTING;
    grips.iter().try_for_each(|grip| grip.hear(until).map(drop))?;
    Ok(Held { running, grips })
}

/// The threads, listening nowhere yet; each reactor in the hand that `hold` says.
fn build(
    settings: &Settings,
    program: Program,
    count: usize,
    started: Instant,
    mut hold: impl FnMut() -> Option<Hold>,
) -> Result<Running, Failure> {
    let signals = Signals::new(&[libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1])?;
    let reactor = Reactor::new()?;
    let loops = (0..count).map(|_| Reactor::new()).collect::<Result<Vec<_>, _>>()?;
    let counters: Arc<[Counters]> = (0..count).map(|_| Counters::default()).collect();
    let seed = RandomState::new().hash_one("the seed of this process");
    let (control, reports) = mailbox::bounded(REPORTS, reactor.waker());
    let mut wires = Wires::new(&loops);
    let control_wiring = control_thread::Wiring {
        seed,
        orders: wires.orders.iter().map(|(sender, _)| sender.living_on(reactor.waker())).collect(),
        reports,
        counters: Arc::clone(&counters),
        started: clock::number_of(started)?,
        signals,
        access: access::access(settings),
        max_conns: settings.max_conns,
        drain: settings.drain,
        retirement: settings.retirement,
        rulebook: rulebook(settings),
        lists: settings.lists.clone(),
    };
    let program = Program { counters: Arc::clone(&counters), ..program };
    let controlling = Control::new(&reactor, control_wiring, program)?;
    let mut reactors = Vec::with_capacity(count);
    for (index, event_loop) in loops.into_iter().enumerate() {
        let (orders, siblings, parcels) = wires.of(index, &event_loop);
        let control = control.living_on(event_loop.waker());
        let broker = Broker::new(broker::Wiring {
            me: index as u16,
            seed,
            started,
            limits: limits(settings),
            counters: Arc::clone(&counters),
            siblings,
            parcels,
            orders,
            control: control.clone(),
            hold: hold(),
        });
        let cpu = settings.cpu_affinity.get(index % settings.cpu_affinity.len().max(1)).copied();
        let thread = Builder::new().name(format!("reactor_{index}"));
        reactors.push(thread.start(move || turn(index as u16, broker, event_loop, cpu, &control))?);
    }
    Ok(Running { control: controlling, reactor, reactors, counters, places: Vec::new() })
}

/// An agent whose reactors stand still.
pub struct Held {
    running: Running,
    grips: Vec<Grip>,
}

impl Held {
    /// Takes over what another process has saved: the control thread's part, and those of the reactors.
    pub fn load(
        &mut self,
        settings: &Settings,
        from: &mut Reader<'_>,
        parts: Vec<Came>,
        until: Instant,
    ) -> Result<Handed, Failure> {
        let Running { control, reactor, .. } = &mut self.running;
        let handed = control.resume(reactor, (&settings.metrics.path, settings.metrics.create_time), from)?;
        control.share_out(&self.grips, parts, until)?;
        Ok(handed)
    }

    /// It serves from here on. What else has to be done is done before the one who asked for it is told.
    pub fn let_go<T>(mut self, handed: Handed, meanwhile: impl FnOnce() -> T) -> (Running, Taken, T) {
        let standstill = handed.standstill();
        drop(self.grips);
        let done = meanwhile();
        let taken = self.running.control.begin(&mut self.running.reactor, handed, standstill);
        self.running.places = self.running.control.places();
        (self.running, taken, done)
    }
}

impl Running {
    /// The sockets' files are ours from here on.
    pub fn keep(&mut self) {
        self.control.keep();
    }

    /// Where it listens and with how many reactors, for the log.
    pub fn describe(&self) -> String {
        let count = self.reactors.len();
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} reactor{plural}, listening on {}", self.places.join(", "))
    }

    /// Where it listens, for whoever started it by hand.
    pub fn greeting(&self) -> String {
        let kind = |place: &String| if place.starts_with('/') { format!("unix {place}") } else { place.clone() };
        let places: Vec<String> = self.places.iter().map(kind).collect();
        format!("msf_agent {} listens on {}", env!("CARGO_PKG_VERSION"), places.join(", "))
    }

    /// Controls the agent until it has ended; how it did.
    pub fn join(self) -> End {
        let end = match self.control.run(self.reactor) {
            Ok(end) => end,
            Err(error) => {
                msf_core::log!(Level::Fatal, LOG, "the control thread has failed: {error}");
                End::Failed
            }
        };
        if end == End::Orderly {
            self.reactors.into_iter().for_each(|thread| drop(thread.join()));
        }
        if end != End::HandedOver {
            log_counters(&self.counters);
        }
        end
    }
}

/// Everything counted since the start that is not zero, in one line.
pub fn log_counters(counters: &[Counters]) {
    let totals = Counters::totals(counters.iter());
    let counted = totals.iter().filter(|(_, value)| *value > 0);
    let counted: Vec<String> = counted.map(|(name, value)| format!("{name}={value}")).collect();
    let counted = if counted.is_empty() { "nothing".to_owned() } else { counted.join(" ") };
    msf_core::log!(Level::Info, LOG, "counted: {counted}");
}

/// The mailboxes of all reactors, until each has taken its own.
struct Wires {
    orders: Vec<(Sender<Order>, Option<Receiver<Order>>)>,
    parcels: Vec<(Sender<Parcel>, Option<Receiver<Parcel>>)>,
}

impl Wires {
    fn new(loops: &[Reactor]) -> Wires {
        let orders = loops.iter().map(|each| mailbox::bounded(ORDERS, each.waker()));
        let parcels = loops.iter().map(|each| mailbox::bounded(lane::MAILBOX * loops.len(), each.waker()));
        Wires {
            orders: orders.map(|(sender, receiver)| (sender, Some(receiver))).collect(),
            parcels: parcels.map(|(sender, receiver)| (sender, Some(receiver))).collect(),
        }
    }

    /// What the reactor number `index` reads, and its ways to the others.
    fn of(&mut self, index: usize, home: &Reactor) -> (Receiver<Order>, Vec<Option<Sender<Parcel>>>, Receiver<Parcel>) {
        let siblings = self.parcels.iter().enumerate();
        let siblings =
            siblings.map(|(other, (sender, _))| (other != index).then(|| sender.living_on(home.waker()))).collect();
        let orders = self.orders.get_mut(index).and_then(|(_, receiver)| receiver.take());
        let parcels = self.parcels.get_mut(index).and_then(|(_, receiver)| receiver.take());
        match (orders, parcels) {
            (Some(orders), Some(parcels)) => (orders, siblings, parcels),
            _ => unreachable!("each reactor takes its mailboxes once"),
        }
    }
}

/// The life of one reactor's thread. Whatever ends it, the control thread hears of it.
fn turn(me: u16, broker: Broker, reactor: Reactor, cpu: Option<usize>, control: &Sender<Report>) {
    if let Some(cpu) = cpu {
        pin(me, cpu);
    }
    let ended = catch_unwind(AssertUnwindSafe(|| broker.run(reactor)));
    if let Ok(Err(error)) = &ended {
        msf_core::log!(Level::Fatal, LOG, "reactor {me} has failed: {error}");
    }
    let mut report = Report::Ended(matches!(ended, Ok(Ok(()))));
    // The loop that would be woken when there is room is gone, so this one message may wait for it.
    while let Err(mailbox::Full(back)) = control.try_send(report) {
        if control.is_closed() {
            return;
        }
        report = back;
        thread::yield_now();
    }
}

fn pin(me: u16, cpu: usize) {
    if let Err(errno) = pin_here(cpu) {
        msf_core::log!(Level::Warn, LOG, "cpu_affinity: cannot pin reactor {me} to core {cpu}: {errno}");
    }
}

fn pin_here(cpu: usize) -> Result<(), Errno> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// Those of `cores` that no thread can be pinned to, and why: a thread has tried, which is what a reactor will do.
pub fn missing_cores(cores: &[usize]) -> Vec<(usize, Errno)> {
    let found = Arc::new(OnceLock::new());
    let (cores, there) = (cores.to_vec(), Arc::clone(&found));
    let look = move || there.set(cores.into_iter().filter_map(|core| Some((core, pin_here(core).err()?))).collect());
    // Without a thread nothing is known to be missing.
    let _ = Builder::new().start(move || drop(look())).map(Thread::join);
    found.get().cloned().unwrap_or_default()
}

/// What the settings let in.
pub fn limits(settings: &Settings) -> Limits {
    Limits {
        payload: settings.payload_limit,
        outbox_soft: settings.outbox_soft,
        outbox_hard: settings.outbox_hard,
        memory: settings.memory_limit,
        pending: settings.pending_limit,
        login: settings.login.as_millis() as u64,
        nmid: nmid(&settings.nmid),
        http: http(&settings.http),
    }
}

/// How HTTP's peers are treated.
fn http(settings: &msf_conf::agent::Http) -> Http {
    let millis = |time: std::time::Duration| time.as_millis() as u32;
    Http {
        head: settings.header_limit,
        body: settings.body_limit,
        head_wait: millis(settings.header),
        body_wait: millis(settings.body),
        idle: millis(settings.idle),
    }
}

/// How nmid's peers are treated. What does not fit its type has been refused when it was read.
fn nmid(settings: &msf_conf::agent::Nmid) -> Nmid {
    let millis = |time: std::time::Duration| time.as_millis() as u32;
    Nmid {
        payload: settings.payload_limit as u32,
        settle: millis(settings.settle),
        order: settings.order,
        gap: millis(settings.gap),
        pace: millis(settings.pace),
        stale: settings.stale.map_or(0, millis),
        probe: settings.probe,
        rewrite: settings.rewrite,
    }
}

/// How functions and workers are treated.
pub fn rulebook(settings: &Settings) -> Arc<Rulebook> {
    let functions = settings.functions.iter();
    let workers = settings.workers.iter();
    Arc::new(Rulebook {
        usual: Arc::new(settings.rules.clone()),
        functions: functions.map(|(name, rules)| (name.clone().into_bytes(), Arc::new(rules.clone()))).collect(),
        workers: workers.map(|(name, rules)| (name.clone().into_bytes(), *rules)).collect(),
        first_generation: settings.nmid.legacy_workers.clone(),
    })
}

/// As many reactors as the settings say; without a word one for two cores, at most four.
pub fn reactors(settings: &Settings) -> usize {
    settings.max_threads.unwrap_or_else(|| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        (cores / 2).clamp(1, MOST_REACTORS)
    })
}

/// Lets the process have a descriptor for every connection it may have, as far as the hard limit goes.
fn raise_descriptor_limit(max_conns: usize) {
    let wanted = max_conns as rlim_t + OTHER_DESCRIPTORS;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < wanted && soft < hard {
        // Not being allowed to is no failure: the door turns away whom there is no descriptor for.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
    if hard < wanted {
        msf_core::log!(Level::Warn, LOG, "max_conns={max_conns}, but at most {hard} descriptors may be open");
    }
}

const MOST_REACTORS: usize = 4;
/// Listeners, epoll sets, wakers, the log, and the guests of the control thread.
const OTHER_DESCRIPTORS: rlim_t = 128;
/// How long the threads may take to begin.
const STARTING: Duration = Duration::from_secs(5);
const REPORTS: usize = 1024;
const ORDERS: usize = 1024;
