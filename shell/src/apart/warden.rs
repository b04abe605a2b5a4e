//! The thread that owns the process of an isolated service. Whoever asks is answered, whatever becomes of it:
//!
//! | the process         | a call                                              |
//! |---------------------|-----------------------------------------------------|
//! | is up               | goes to it, and its answer comes back               |
//! | dies                | those it had taken get an error at once             |
//! | is being replaced   | waits for the next one, no longer than [`HELD`]     |
//! | is not to come back | gets an error at once                               |
//!
//! One that had been started is replaced by the restart law ([`Backoff`]): loaded, initialised and started again, from
//! nothing, since what it knew went with it. This thread outlives each of its processes, as it must: they end with it.

mod climb;
mod end;

use crate::MODULE;
use crate::apart::annex::{Desk, Inside, Opened, Plan};
use crate::apart::backoff::Backoff;
use crate::apart::child::{self, Child, Ready};
use crate::apart::frame::{Frame, Kind};
use crate::apart::letter;
use crate::place::work::{Outcome, Then, Work, failure};
use crate::tell;
use climb::Climb;
use msf_conf::shell::Service;
use msf_sys::log::Level;
use msf_sys::service::{Answer, Slot};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

/// What a warden can be told.
pub enum Order {
    /// A question to the service, and how many bytes it has.
    Work(Work, Then, usize),
    /// Start a process that loads the service.
    Open(Sender<Result<Opened, String>>),
    /// Tell what it uses.
    Usage(Sender<Inside>),
    /// Open its log anew.
    Rotate,
    /// What the file says now of how it is dealt with.
    Heed(Box<Service>),
    /// End its process at once; why.
    Kill(String, Sender<()>),
    /// Have its process end; the last order. How it ended.
    Leave(Sender<String>),
}

/// How far a service is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Nothing,
    Loaded,
    Initialised,
    Started,
}

/// Who waits for an answer of the process.
enum Asked {
    Somebody {
        then: Then,
        bytes: usize,
        /// What can be asked of the next process, should this one not take it.
        again: Option<Frame>,
    },
    Slot {
        slot: Slot,
        then: Then,
    },
    Usage(Sender<Inside>),
    /// A step of ours on the way up.
    Step,
    /// The last question.
    Leave,
}

struct Held {
    until: Instant,
    frame: Frame,
    then: Then,
    bytes: usize,
}

/// The owner of a process.
pub struct Warden {
    plan: Plan,
    orders: Receiver<Order>,
    desk: Arc<Desk>,
    child: Option<Child>,
    asked: HashMap<u64, Asked>,
    next: u64,
    held: VecDeque<Held>,
    /// How far it was taken; one that was started is to stay so.
    reach: Reach,
    climb: Option<Climb>,
    backoff: Backoff,
    /// When the next process is started.
    again: Option<Instant>,
    /// Those that are gone but for their cores, which the kernel still writes.
    dying: Vec<Child>,
    leaving: Option<Sender<String>>,
    /// Its process knows that the shell is to stop.
    told: bool,
    /// What the last one said when it left, or how it ended.
    last: String,
    over: bool,
}

impl Warden {
    /// Without a process yet.
    pub fn new(plan: Plan, orders: Receiver<Order>, desk: Arc<Desk>) -> Warden {
        Warden {
            backoff: Backoff::new(plan.service.restart, Instant::now()),
            plan,
            orders,
            desk,
            child: None,
            asked: HashMap::new(),
            next: 0,
            held: VecDeque::new(),
            reach: Reach::Nothing,
            climb: None,
            again: None,
            dying: Vec::new(),
            leaving: None,
            told: false,
            last: "it was never started".to_owned(),
            over: false,
        }
    }

    /// Until it is told to leave, and its process has ended.
    pub fn run(mut self) {
        while !self.over {
            while let Ok(order) = self.orders.try_recv() {
                self.obey(order);
            }
            self.see_to_time();
            if self.over {
                break;
            }
            let ready = self.wait();
            let _ = self.desk.bell.read();
            if ready.write
                && let Some(child) = &mut self.child
            {
                child.write();
            }
            if ready.read || ready.ended {
                self.listen(ready);
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Work(work, then, bytes) => self.work(work, then, bytes),
            Order::Open(then) => {
                self.climb_to(Reach::Loaded, Some(Box::new(move |done| drop(then.send(done)))));
            }
            Order::Usage(then) if self.is_up() => self.ask(Kind::Usage, Asked::Usage(then)),
            Order::Rotate if self.child.is_some() => {
                self.next += 1;
                self.say(&Frame::bare(self.next, Kind::Rotate));
            }
            Order::Usage(_) | Order::Rotate => {}
            Order::Heed(service) => {
                self.backoff.heed(service.restart);
                self.plan.service = *service;
            }
            Order::Kill(why, done) => {
                if let Some(child) = &mut self.child {
                    child.kill();
                    self.died(Some(why));
                }
                let _ = done.send(());
            }
            Order::Leave(done) => {
                (self.reach, self.again, self.leaving) = (Reach::Nothing, None, Some(done));
                match &mut self.child {
                    Some(_) if self.climb.is_none() => self.ask(Kind::Leave, Asked::Leave),
                    Some(child) => {
                        child.kill();
                        self.died(None);
                    }
                    None => self.gone(),
                }
            }
        }
    }

    fn work(&mut self, work: Work, then: Then, bytes: usize) {
        match work {
            Work::Run(slot @ (Slot::Stop | Slot::Deinit)) => self.go_down(slot, then),
            Work::Run(slot) if self.child.is_some() => self.ask_slot(slot, then),
            Work::Run(slot) => {
                let to = if slot == Slot::Init { Reach::Initialised } else { Reach::Started };
                self.settle(0);
                self.climb_to(to, Some(Box::new(move |done| then(outcome_of(done)))));
            }
            work if self.is_up() => self.ask_work(Frame::of_work(0, work), then, bytes),
            // It is being replaced: what has a caller waits a moment for the next one.
            work @ (Work::Call { .. } | Work::Health) if self.reach == Reach::Started => {
                let until = Instant::now() + HELD;
                self.held.push_back(Held { until, frame: Frame::of_work(0, work), then, bytes });
            }
            _ => {
                self.settle(bytes);
                then(Outcome::lost(ErrorKind::NotConnected, &self.last));
            }
        }
    }

    /// A slot on the way down: nothing is replaced any more.
    fn go_down(&mut self, slot: Slot, then: Then) {
        self.reach = self.reach.min(if slot == Slot::Stop { Reach::Initialised } else { Reach::Loaded });
        self.again = None;
        self.let_go(None);
        if self.climb.is_some()
            && let Some(child) = &mut self.child
        {
            child.kill();
            self.died(None);
        }
        match &self.child {
            Some(_) => self.ask_slot(slot, then),
            // What is not there has been stopped.
            None => {
                self.settle(0);
                then(Outcome::bare(Answer::Absent));
            }
        }
    }

    fn is_up(&self) -> bool {
        self.child.is_some() && self.climb.is_none()
    }

    fn say(&mut self, frame: &Frame) {
        if let Some(child) = &mut self.child {
            child.say(frame);
            // Most of the time there is room, and the poll need not tell so.
            child.write();
        }
    }

    fn ask(&mut self, kind: Kind, asked: Asked) {
        self.next += 1;
        self.asked.insert(self.next, asked);
        self.say(&Frame::bare(self.next, kind));
    }

    fn ask_slot(&mut self, slot: Slot, then: Then) {
        self.next += 1;
        self.asked.insert(self.next, Asked::Slot { slot, then });
        self.say(&Frame::of_work(self.next, Work::Run(slot)));
    }

    fn ask_work(&mut self, frame: Frame, then: Then, bytes: usize) {
        self.next += 1;
        let frame = Frame { id: self.next, ..frame };
        self.say(&frame);
        let again = matches!(frame.kind, Kind::Call | Kind::Health).then_some(frame);
        self.asked.insert(self.next, Asked::Somebody { then, bytes, again });
    }

    /// One question is answered.
    fn settle(&self, bytes: usize) {
        self.desk.waiting.fetch_sub(1, Ordering::Relaxed);
        self.desk.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn listen(&mut self, ready: Ready) {
        let Some(child) = &mut self.child else { return };
        let open = child.read();
        match child.frames() {
            Ok(frames) => frames.into_iter().for_each(|frame| self.hear(frame)),
            Err(_) => {
                child.kill();
                return self.died(Some("it spoke nonsense to its shell".to_owned()));
            }
        }
        if !open || ready.ended {
            self.died(None);
        }
    }

    fn hear(&mut self, frame: Frame) {
        let Some(asked) = self.asked.remove(&frame.id) else { return };
        if let Asked::Usage(then) = asked {
            drop(letter::read_usage(&frame.bytes).map(|inside| then.send(inside)));
            return;
        }
        let Ok(outcome) = frame.into_outcome() else { return };
        match asked {
            Asked::Somebody { then, bytes, .. } => {
                self.settle(bytes);
                then(outcome);
            }
            Asked::Slot { slot, then } => {
                let fine = failure("", &outcome.answer).is_ok();
                match slot {
                    Slot::Init if fine => self.reach = Reach::Initialised,
                    Slot::Start if fine => self.reach = Reach::Started,
                    _ => {}
                }
                self.settle(0);
                then(outcome);
            }
            Asked::Step => self.stepped(outcome),
            Asked::Leave => self.last = String::from_utf8_lossy(&outcome.bytes).into_owned(),
            Asked::Usage(_) => {}
        }
    }

    /// Tells those who have waited until `now` for the next process that it has not come; all, without a time.
    fn let_go(&mut self, now: Option<Instant>) {
        while self.held.front().is_some_and(|held| now.is_none_or(|now| held.until <= now)) {
            if let Some(Held { then, bytes, .. }) = self.held.pop_front() {
                self.settle(bytes);
                then(Outcome::lost(ErrorKind::NotConnected, &format!("it is not back yet: {}", self.last)));
            }
        }
    }

    /// While a slot of the service runs on its way up, its shell does nothing else, and so is not told to stop before that has
    /// returned; but it may look for a signal that waits, as it could in the shell.
    fn pass_on(&mut self) {
        if self.slot_runs()
            && !self.told
            && stop_is_pending()
            && let Some(child) = &self.child
        {
            child.signal(Signal::SIGTERM);
            self.told = true;
        }
    }

    fn slot_runs(&self) -> bool {
        self.asked.values().any(|asked| matches!(asked, Asked::Slot { .. }))
    }

    fn see_to_time(&mut self) {
        let now = Instant::now();
        self.pass_on();
        self.let_go(Some(now));
        if self.again.is_some_and(|again| again <= now) && self.child.is_none() {
            self.again = None;
            self.climb_to(Reach::Started, None);
        }
        if self.climb.as_ref().and_then(|climb| climb.until).is_some_and(|until| until <= now)
            && let Some(child) = &mut self.child
        {
            child.kill();
            self.fell("its new process was not up in time", true);
            self.died(Some("it was not up in time".to_owned()));
        }
        let name = &self.plan.service.name;
        self.dying.retain_mut(|child| {
            let ended = child.ended();
            if let Some(status) = ended {
                tell(Level::Error, name, &format!("its process {} {}", child.pid(), child::told(status)));
            }
            ended.is_none()
        });
        if self.child.as_ref().is_some_and(Child::must_be_looked_at)
            && self.child.as_mut().is_some_and(|child| child.ended().is_some())
        {
            self.listen(Ready { ended: true, ..Ready::default() });
        }
    }

    fn wait(&self) -> Ready {
        let now = Instant::now();
        let climb = self.climb.as_ref().and_then(|climb| climb.until);
        let moments = [self.again, self.held.front().map(|held| held.until), climb];
        let mut limit = moments.into_iter().flatten().map(|at| at.saturating_duration_since(now)).min();
        let blind = self.child.as_ref().is_some_and(Child::must_be_looked_at);
        if !self.dying.is_empty() || blind || self.slot_runs() && !self.told {
            limit = Some(limit.map_or(GLANCE, |limit| limit.min(GLANCE)));
        }
        // Rounded up, or it would be asked for again and again until it has come.
        let limit = limit.map(|limit| limit + Duration::from_micros(999));
        let limit = limit.map_or(PollTimeout::NONE, |limit| PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX));
        let mut watched = vec![PollFd::new(self.desk.bell.as_fd(), PollFlags::POLLIN)];
        watched.extend(self.child.iter().flat_map(Child::watched));
        match poll(&mut watched, limit) {
            Ok(_) => Child::ready(watched.get(1..).unwrap_or_default()),
            Err(nix::errno::Errno::EINTR) => Ready::default(),
            Err(e) => {
                msf_sys::log!(Level::Error, MODULE, "cannot wait for the process of a service: {e}");
                std::thread::sleep(GLANCE);
                Ready::default()
            }
        }
    }
}

/// Whether this process was told to stop, and has not taken note of it.
fn stop_is_pending() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stops = [Signal::SIGTERM, Signal::SIGINT].iter().fold(0, |mask, signal| mask | 1u64 << (*signal as i32 - 1));
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    pending.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & stops != 0)
}

fn outcome_of(done: Result<Opened, String>) -> Outcome {
    match done {
        Ok(_) => Outcome::bare(Answer::Done(0)),
        Err(why) => Outcome::lost(ErrorKind::ConnectionReset, &why),
    }
}

/// How long a call waits for the next process: an answer or an error has to have reached the caller within 100 ms.
const HELD: Duration = Duration::from_millis(80);
/// How often a kernel is asked that does not tell.
const GLANCE: Duration = Duration::from_millis(50);
