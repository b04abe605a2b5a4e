//! Several reactors' desks, the mail between them, and the control thread that publishes the routes.
//!
//! Mail keeps its order between each two reactors and no other: which pair is served next, chance decides, and routes
//! reach every reactor at another time. What a reactor does with calls and mail is what `edge` does, without sockets.

use crate::core::balance::{self, Dice};
use crate::core::desk::{Desk, Errand, Identity, Settled, Verdict};
use crate::core::job::{Caller, JobId, Past};
use crate::core::message::{Address, Call, Failure, Moment, Params};
use crate::core::routes::{Function, Routes, Tables, Worker};
use crate::core::rules::{Balance, Rulebook};
use crate::observe::function::{FunctionTally, Tally};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// A call, its arguments the number of the request.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub caller: Caller,
    pub name: &'static str,
    pub request: u64,
    pub patience: Option<u32>,
}

/// What goes from one reactor to another.
#[derive(Clone, Debug)]
enum Note {
    /// A call, and what it has been through.
    Submit { asked: Asked, choice: Option<u32>, past: Past },
    /// How one ended.
    Outcome { caller: Caller, end: End },
    /// A result for a job that another desk has.
    Return { id: JobId, from: Identity, request: u64 },
    /// A caller no longer wants an answer.
    Cancel { caller: Address, ticket: Option<u32> },
    /// A worker is free for this.
    Need { name: Arc<[u8]> },
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With the result of this request.
    Result(u64),
    /// Without one.
    Failed(Failure),
}

/// What the world outside must be told.
#[derive(Debug)]
pub enum Event {
    /// A worker has been sent a job.
    Job { worker: Address, id: JobId, name: Arc<[u8]>, request: u64 },
    /// A caller has been told how his call ended.
    Told { caller: Caller, end: End },
    /// A result found nobody who waits for it.
    Dropped(Settled),
}

/// One worker as the control thread knows it.
#[derive(Clone, Debug)]
struct Registered {
    address: Address,
    identity: u64,
    who: Arc<Identity>,
    tally: Arc<Tally>,
    /// Since this version.
    version: u64,
}

/// One reactor.
#[derive(Debug)]
struct Node {
    desk: Desk,
    /// When its timer for deadlines fires.
    wakes_at: Moment,
    routes: Arc<Routes>,
    /// Routes on their way to it.
    coming: VecDeque<Arc<Routes>>,
}

/// All of it.
pub struct Cluster {
    nodes: Vec<Node>,
    mail: Vec<VecDeque<Note>>,
    registry: BTreeMap<&'static str, Vec<Registered>>,
    tallies: BTreeMap<&'static str, Arc<[FunctionTally]>>,
    rulebook: Arc<Rulebook>,
    latest: Routes,
    /// The registry is ahead of them.
    is_stale: bool,
    now: Moment,
    /// What has happened and nobody has looked at.
    pub events: Vec<Event>,
}

impl Cluster {
    pub fn new(reactors: usize, seed: u64, rulebook: Rulebook, names: &[&'static str]) -> Cluster {
        let origin = Instant::now();
        let latest = Routes::none(seed);
        let tallies = |_: &&'static str| (0..reactors).map(|_| FunctionTally::default()).collect::<Arc<[_]>>();
        let node = |me: usize| Node {
            desk: Desk::new(me as u16, reactors, seed, origin),
            wakes_at: Moment(u64::MAX),
            routes: Arc::new(latest.clone()),
            coming: VecDeque::new(),
        };
        Cluster {
            nodes: (0..reactors).map(node).collect(),
            mail: vec![VecDeque::new(); reactors * reactors],
            registry: BTreeMap::new(),
            tallies: names.iter().map(|name| (*name, tallies(name))).collect(),
            rulebook: Arc::new(rulebook),
            latest,
            is_stale: false,
            now: Moment(0),
            events: Vec::new(),
        }
    }

    /// Time goes on, and everybody notices.
    pub fn pass(&mut self, millis: u64) {
        self.now.0 += millis;
        for me in 0..self.nodes.len() {
            self.nodes[me].desk.tell_time(self.now.0 * 1000);
            if self.nodes[me].wakes_at <= self.now {
                self.nodes[me].wakes_at = Moment(u64::MAX);
                self.nodes[me].desk.expire();
            }
            self.turn(me);
        }
    }

    /// A caller asks.
    pub fn ask(&mut self, asked: Asked) {
        let me = usize::from(asked.caller.address.reactor);
        let Some(function) = self.nodes[me].routes.function(asked.name.as_bytes()).cloned() else {
            return self.told(asked.caller, End::Failed(Failure::NoWorker));
        };
        let (reactor, choice) = self.pick(me, &function, &asked);
        if usize::from(reactor) == me {
            self.place(me, asked, choice, Past::default());
        } else {
            self.post(me, reactor, Note::Submit { asked, choice, past: Past::default().sent_on() });
        }
        self.turn(me);
    }

    /// A caller has gone, or given one call up.
    pub fn cancel(&mut self, caller: Address, ticket: Option<u32>) {
        let me = usize::from(caller.reactor);
        self.nodes[me].desk.cancel(caller, ticket);
        for other in (0..self.nodes.len()).filter(|other| *other != me) {
            self.post(me, other as u16, Note::Cancel { caller, ticket });
        }
        self.turn(me);
    }

    /// A worker, which may return results without ids, offers a function; the control thread hears of it and publishes.
    pub fn offer(&mut self, worker: Address, identity: &Identity, serial: bool, name: &'static str) {
        let node = &mut self.nodes[usize::from(worker.reactor)];
        let routes = Arc::clone(&node.routes);
        if !node.desk.offer(worker.session, identity, name.as_bytes(), &routes) {
            return;
        }
        node.desk.ready(worker.session, serial);
        let version = self.latest.version() + 1;
        let who = Arc::new(identity.clone());
        let identity = balance::hash_of(&identity.name);
        let entry = Registered { address: worker, identity, who, tally: Arc::default(), version };
        self.registry.entry(name).or_default().push(entry);
        self.is_stale = true;
        self.turn(usize::from(worker.reactor));
    }

    /// A worker withdraws one.
    pub fn withdraw(&mut self, worker: Address, name: &'static str) {
        let me = usize::from(worker.reactor);
        if self.nodes[me].desk.withdraw(worker.session, name.as_bytes()) {
            self.registry.entry(name).or_default().retain(|entry| entry.address != worker);
            self.is_stale = true;
        }
        self.turn(me);
    }

    /// A worker's connection ends.
    pub fn leave(&mut self, worker: Address) {
        let me = usize::from(worker.reactor);
        self.nodes[me].desk.leave(worker.session, Moment(self.now.0 + GRACE));
        self.registry.values_mut().for_each(|entries| entries.retain(|entry| entry.address != worker));
        self.is_stale = true;
        self.turn(me);
    }

    /// A worker is to be left alone, or no longer.
    pub fn hold(&mut self, worker: Address, held: bool) {
        let me = usize::from(worker.reactor);
        self.nodes[me].desk.hold(worker.session, held);
        self.turn(me);
    }

    /// A worker returns a result.
    pub fn result(&mut self, worker: Address, from: &Identity, id: JobId, request: u64) {
        let me = usize::from(worker.reactor);
        if usize::from(id.reactor) == me {
            let settled = self.nodes[me].desk.complete(id, Some(worker.session), from, true);
            self.settle(me, settled, request);
        } else if usize::from(id.reactor) < self.nodes.len() {
            self.post(me, id.reactor.into(), Note::Return { id, from: from.clone(), request });
        }
        self.turn(me);
    }

    /// A worker says that a job's function has failed.
    pub fn give_up(&mut self, worker: Address, id: JobId) {
        let me = usize::from(worker.reactor);
        self.nodes[me].desk.give_up(id, Failure::Error);
        self.turn(me);
    }

    /// One piece of mail arrives, or routes are published, or arrive. False when nothing is on its way.
    pub fn deliver(&mut self, dice: &mut Dice) -> bool {
        let count = self.nodes.len();
        if self.is_stale && dice.below(8) == 0 {
            self.publish();
        }
        let first = dice.below((count * count + count) as u64) as usize;
        for step in 0..count * count + count {
            let place = (first + step) % (count * count + count);
            if place >= count * count {
                let me = place - count * count;
                if let Some(routes) = self.nodes[me].coming.pop_front() {
                    self.adopt(me, routes);
                    return true;
                }
            } else if let Some(note) = self.mail[place].pop_front() {
                self.unpack(place / count, place % count, note);
                return true;
            }
        }
        self.is_stale
    }

    /// Whether every reactor knows that this worker offers `name`.
    pub fn is_known_everywhere(&self, worker: Address, name: &str) -> bool {
        let oldest = self.nodes.iter().map(|node| node.routes.version()).min().unwrap_or(0);
        let mut entries = self.registry.get(name).into_iter().flatten();
        entries.any(|entry| entry.address == worker && entry.version <= oldest)
    }

    /// How many calls have no end yet, at each desk.
    pub fn open(&self) -> impl Iterator<Item = usize> {
        self.nodes.iter().map(|node| node.desk.len())
    }

    /// How many calls of `name` wait at each desk, as the others see it.
    pub fn queued(&self, name: &str) -> impl Iterator<Item = u64> {
        self.tallies.get(name).into_iter().flat_map(|tallies| tallies.iter()).map(|tally| tally.queued.value())
    }

    /// How many jobs a worker has, as its desk sees it.
    pub fn in_flight(&self, worker: Address) -> usize {
        self.nodes[usize::from(worker.reactor)].desk.in_flight(worker.session)
    }

    fn publish(&mut self) {
        self.is_stale = false;
        let function = |(name, entries): (&&'static str, &Vec<Registered>)| {
            let worker = |entry: &Registered| Worker {
                address: entry.address,
                identity: entry.identity,
                who: Arc::clone(&entry.who),
                tally: Arc::clone(&entry.tally),
            };
            let workers: Vec<Worker> = entries.iter().map(worker).collect();
            let name_bytes: Arc<[u8]> = name.as_bytes().into();
            let rules = self.rulebook.of(name.as_bytes());
            let tallies = Arc::clone(&self.tallies[*name]);
            (!workers.is_empty()).then(|| Arc::new(Function { name: name_bytes, rules, workers, tallies }))
        };
        let functions = self.registry.iter().filter_map(function).collect();
        let rulebook = Arc::clone(&self.rulebook);
        self.latest = self.latest.succeed(Tables { functions, rulebook, ..Tables::default() });
        let routes = Arc::new(self.latest.clone());
        self.nodes.iter_mut().for_each(|node| node.coming.push_back(Arc::clone(&routes)));
    }

    fn adopt(&mut self, me: usize, routes: Arc<Routes>) {
        self.nodes[me].desk.adopt(&routes);
        self.nodes[me].routes = routes;
        self.turn(me);
    }

    fn post(&mut self, from: usize, to: u16, note: Note) {
        let count = self.nodes.len();
        self.mail[from * count + usize::from(to)].push_back(note);
    }

    fn unpack(&mut self, from: usize, me: usize, note: Note) {
        match note {
            Note::Submit { asked, choice, past } => self.place(me, asked, choice, past),
            Note::Outcome { caller, end } => self.told(caller, end),
            Note::Return { id, from, request } => {
                let settled = self.nodes[me].desk.complete(id, None, &from, true);
                self.settle(me, settled, request);
            }
            Note::Cancel { caller, ticket } => self.nodes[me].desk.cancel(caller, ticket),
            Note::Need { name } => {
                if let Some(id) = self.nodes[me].desk.give_away(&name) {
                    self.forward(me, id, Some(from as u16));
                }
            }
        }
        self.turn(me);
    }

    /// What follows from what has happened at a desk.
    fn turn(&mut self, me: usize) {
        loop {
            let errands = self.nodes[me].desk.errands();
            if errands.is_empty() {
                break;
            }
            for errand in errands {
                match errand {
                    Errand::Send(worker, id) => self.send(me, worker, id),
                    Errand::Fail(caller, why) => self.conclude(me, caller, End::Failed(why)),
                    Errand::Forward(id) => self.forward(me, id, None),
                    Errand::Seek(id) => self.seek(me, id),
                }
            }
        }
        for name in self.nodes[me].desk.idle() {
            if !self.nodes[me].desk.is_free(&name) {
                continue;
            }
            if let Some(other) = self.nodes[me].desk.in_need(&name) {
                self.post(me, other, Note::Need { name });
            }
        }
        let node = &mut self.nodes[me];
        let soonest = node.desk.take_soonest().filter(|soonest| *soonest < node.wakes_at);
        node.wakes_at = soonest.unwrap_or(node.wakes_at);
    }

    fn send(&mut self, me: usize, worker: u32, id: JobId) {
        if let Some((name, kept)) = self.nodes[me].desk.params(id) {
            let request = number(kept.params().bytes);
            let worker = Address { reactor: me as u16, session: worker };
            self.events.push(Event::Job { worker, id, name, request });
        }
    }

    fn settle(&mut self, me: usize, settled: Settled, request: u64) {
        match settled {
            Settled::Due(caller) => self.conclude(me, caller, End::Result(request)),
            dropped => self.events.push(Event::Dropped(dropped)),
        }
    }

    fn conclude(&mut self, me: usize, caller: Caller, end: End) {
        if usize::from(caller.address.reactor) == me {
            return self.told(caller, end);
        }
        self.post(me, caller.address.reactor, Note::Outcome { caller, end });
    }

    fn told(&mut self, caller: Caller, end: End) {
        self.events.push(Event::Told { caller, end });
    }

    fn pick(&self, me: usize, function: &Function, asked: &Asked) -> (u16, Option<u32>) {
        let key = match function.rules.balance {
            Balance::Least | Balance::Weighted => return (self.pick_reactor(me, function), None),
            Balance::Sticky => asked.caller.address.number(),
            Balance::Hash => balance::hash_of(&[asked.request as u8 % 16]),
        };
        let workers = function.workers.iter().map(|worker| (worker.address, worker.identity));
        balance::by_key(workers, key).map_or((me as u16, None), |found| (found.reactor, Some(found.session)))
    }

    fn pick_reactor(&self, me: usize, function: &Function) -> u16 {
        let desk = &self.nodes[me].desk;
        if self.nodes.len() == 1 || desk.is_free(&function.name) {
            return me as u16;
        }
        if let Some(reactor) = desk.elsewhere(function) {
            return reactor;
        }
        let crowd = |reactor: u16| {
            let workers = function.workers.iter().filter(|worker| worker.address.reactor == reactor).count() as u64;
            let queued = function.tallies.get(usize::from(reactor)).map_or(0, |tally| tally.queued.value());
            (workers > 0).then(|| ((queued + 1) * 1024 / workers, usize::from(reactor) != me, reactor))
        };
        (0..self.nodes.len() as u16).filter_map(crowd).min().map_or(me as u16, |(.., reactor)| reactor)
    }

    fn place(&mut self, me: usize, asked: Asked, choice: Option<u32>, past: Past) {
        let bytes = asked.request.to_be_bytes();
        let name = asked.name.as_bytes();
        let call = Call { function: name, params: Params::untyped(&bytes), patience: asked.patience };
        match self.nodes[me].desk.submit(asked.caller, &call, choice, past) {
            Verdict::Send(worker, id) => {
                let worker = Address { reactor: me as u16, session: worker };
                self.events.push(Event::Job { worker, id, name: name.into(), request: asked.request });
            }
            Verdict::Queued(id) => self.seek(me, id),
            Verdict::Refused(Failure::NoWorker) => match self.other_reactor(me, name).filter(|_| past.hops < LOST) {
                Some(reactor) => {
                    self.post(me, reactor, Note::Submit { asked, choice: None, past: past.sent_on() });
                }
                None if past.attempts > 0 => self.conclude(me, asked.caller, End::Failed(Failure::Lost)),
                None => self.conclude(me, asked.caller, End::Failed(Failure::NoWorker)),
            },
            Verdict::Refused(why) => self.conclude(me, asked.caller, End::Failed(why)),
        }
    }

    fn seek(&mut self, me: usize, id: JobId) {
        let node = &self.nodes[me];
        let Some((name, past)) = node.desk.waiting(id) else { return };
        let function = node.routes.function(name).filter(|_| past.hops < MOST_HOPS);
        if let Some(reactor) = function.and_then(|function| node.desk.elsewhere(function)) {
            self.forward(me, id, Some(reactor));
        }
    }

    fn forward(&mut self, me: usize, id: JobId, reactor: Option<u16>) {
        let Some(job) = self.nodes[me].desk.take(id) else { return };
        let (Some(caller), Some(kept)) = (job.caller, &job.params) else { return };
        let name = self.tallies.keys().find(|name| name.as_bytes() == &*job.function);
        let asked = Asked {
            caller,
            name: name.expect("a function of this world"),
            request: number(kept.params().bytes),
            patience: Some(job.deadline.0.saturating_sub(self.now.0) as u32),
        };
        let target = reactor.or_else(|| self.other_reactor(me, &job.function).filter(|_| job.past.hops < LOST));
        match target {
            Some(reactor) => {
                self.post(me, reactor, Note::Submit { asked, choice: None, past: job.past.sent_on() });
            }
            None if job.past.attempts > 0 => self.conclude(me, caller, End::Failed(Failure::Lost)),
            None => self.conclude(me, caller, End::Failed(Failure::NoWorker)),
        }
    }

    fn other_reactor(&self, me: usize, name: &[u8]) -> Option<u16> {
        let (me, count) = (me as u16, self.nodes.len() as u16);
        let workers = self.nodes[usize::from(me)].routes.function(name)?.workers.iter();
        let others = workers.map(|worker| worker.address.reactor).filter(|reactor| *reactor != me);
        others.min_by_key(|reactor| (reactor + count - me) % count)
    }
}

/// The request that arguments name.
fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("the number of a request"))
}

/// As in `edge`, but for the time a worker has to come back: a run has no two minutes.
const MOST_HOPS: u8 = 20;
const LOST: u8 = 100;
const GRACE: u64 = 300;
