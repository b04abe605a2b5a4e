//! Calls of functions over several reactors, in virtual time: callers ask, give up and leave, workers answer, dawdle,
//! die, come back elsewhere with their results and change what they offer, mail comes in any order between different
//! senders. Whatever happens, every call has exactly one end, in time, and it is its own.

mod mischief;

use super::cluster::{Asked, Cluster, End, Event};
use crate::core::balance::Dice;
use crate::core::desk::{Identity, Settled};
use crate::core::job::{Caller, JobId};
use crate::core::message::{Address, Failure};
use crate::core::rules::{Balance, Rulebook, Rules};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// The functions, and what is special about each.
fn functions() -> Vec<(&'static str, Rules)> {
    let usual = Rules { deadline: Duration::from_millis(600), queue_limit: 40, ..Rules::default() };
    vec![
        ("Plain", usual.clone()),
        ("Again", Rules { idempotent: true, retries: 2, ..usual.clone() }),
        ("Narrow", Rules { queue_limit: 2, ..usual.clone() }),
        ("Wide", Rules { in_flight: 4, ..usual.clone() }),
        ("Twice", Rules { in_flight: 4, idempotent: true, retries: 1, ..usual.clone() }),
        ("Brief", Rules { deadline: Duration::from_millis(30), ..usual.clone() }),
        ("Weighed", Rules { balance: Balance::Weighted, ..usual.clone() }),
        ("Keyed", Rules { balance: Balance::Hash, ..usual.clone() }),
        ("Sticky", Rules { balance: Balance::Sticky, ..usual.clone() }),
        ("Rare", usual),
    ]
}

/// A call without an end.
#[derive(Debug)]
struct Open {
    request: u64,
    function: usize,
    /// When it was asked, and by when it must have ended, mail included.
    asked: u64,
    latest: u64,
    runs: u32,
    /// Its worker has answered in time.
    answered: bool,
    /// A worker of it that stays was known everywhere all along.
    is_served: bool,
}

/// A job as its worker has it.
#[derive(Debug)]
struct Given {
    id: JobId,
    request: u64,
    /// From now on the desk may have taken it back.
    until: u64,
    /// Over which connection it came.
    over: Address,
}

#[derive(Debug)]
struct Peer {
    address: Address,
    identity: Identity,
    offers: HashSet<usize>,
    jobs: Vec<Given>,
    held: bool,
    /// It is given one job at a time, whatever the rules say.
    serial: bool,
}

/// What a run has seen, to show that everything happened that was to be tried.
#[derive(Debug, Default)]
struct Sums {
    asked: u64,
    results: u64,
    no_worker: u64,
    busy: u64,
    deadline: u64,
    lost: u64,
    error: u64,
    given_up: u64,
    repeated: u64,
    brought_home: u64,
    late: u64,
    foreign: u64,
    unwanted: u64,
}

struct World {
    dice: Dice,
    cluster: Cluster,
    rules: Vec<(&'static str, Rules)>,
    now: u64,
    sessions: u32,
    tickets: u32,
    requests: u64,
    callers: Vec<Address>,
    workers: Vec<Peer>,
    open: HashMap<(Address, u32), Open>,
    /// Whose end nobody waits for.
    forgotten: HashSet<(Address, u32)>,
    /// By request, who asked.
    askers: HashMap<u64, (Address, u32)>,
    sums: Sums,
}

/// The function that often nobody has.
const RARE: usize = 9;
const REACTORS: u64 = 4;
const WORKERS: usize = 12;
const CALLERS: usize = 24;
/// Beyond what the rules say: mail on its way, at every stop.
const SLACK: u64 = 150;

impl World {
    fn new(seed: u64) -> World {
        let rules = functions();
        let mut book = Rulebook::default();
        for (name, rules) in &rules {
            book.functions.insert(name.as_bytes().to_vec(), Arc::new(rules.clone()));
        }
        let names: Vec<&'static str> = rules.iter().map(|(name, _)| *name).collect();
        let mut world = World {
            dice: Dice::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            cluster: Cluster::new(REACTORS as usize, seed, book, &names),
            rules,
            now: 0,
            sessions: 0,
            tickets: 0,
            requests: 0,
            callers: Vec::new(),
            workers: Vec::new(),
            open: HashMap::new(),
            forgotten: HashSet::new(),
            askers: HashMap::new(),
            sums: Sums::default(),
        };
        world.callers = (0..CALLERS).map(|_| world.address()).collect();
        (0..WORKERS).for_each(|number| world.hire(number));
        world.settle_mail();
        world
    }

    fn address(&mut self) -> Address {
        self.sessions += 1;
        Address { reactor: self.dice.below(REACTORS) as u16, session: self.sessions }
    }

    fn hire(&mut self, number: usize) {
        let address = self.address();
        let identity = Identity { name: format!("worker{number}").into_bytes(), host: None };
        let stays = number < 2;
        let peer =
            Peer { address, identity, offers: HashSet::new(), jobs: Vec::new(), held: false, serial: number % 4 == 3 };
        self.workers.insert(number, peer);
        for function in 0..self.rules.len() {
            // The first two have nearly everything between them, for good.
            let is_rare = function == RARE;
            if (stays && !is_rare && function % 2 == number) || self.dice.below(if is_rare { 20 } else { 2 }) == 0 {
                self.offer(number, function);
            }
        }
    }

    fn offer(&mut self, worker: usize, function: usize) {
        let peer = &mut self.workers[worker];
        peer.offers.insert(function);
        self.cluster.offer(peer.address, &peer.identity, peer.serial, self.rules[function].0);
        self.look();
    }

    fn step(&mut self) {
        match self.dice.below(1000) {
            0..=329 => self.ask(),
            330..=659 => self.answer(),
            660..=909 => drop(self.cluster.deliver(&mut self.dice)),
            910..=965 => self.pass(),
            966..=970 => self.give_one_up(),
            971..=972 => self.caller_leaves(),
            973..=979 => self.worker_dies(),
            980..=984 => self.worker_moves(),
            985..=988 => self.worker_changes_its_mind(),
            989..=992 => self.worker_is_held(),
            993..=995 => self.function_fails(),
            _ => self.forge(),
        }
        self.look();
    }

    fn ask(&mut self) {
        if self.open.len() > 300 {
            return;
        }
        let address = self.callers[self.dice.below(CALLERS as u64) as usize];
        let function = self.dice.below(self.rules.len() as u64) as usize;
        let (name, rules) = &self.rules[function];
        let patience = (self.dice.below(8) == 0).then(|| 5 + self.dice.below(400) as u32);
        let wait = patience.map_or(u64::MAX, u64::from).min(rules.deadline.as_millis() as u64);
        self.tickets += 1;
        self.requests += 1;
        self.sums.asked += 1;
        let caller = Caller { address, ticket: self.tickets };
        let is_served = self.has_a_stayer(function);
        let open = Open {
            request: self.requests,
            function,
            asked: self.now,
            latest: self.now + wait + SLACK,
            runs: 0,
            answered: false,
            is_served,
        };
        self.open.insert((address, self.tickets), open);
        self.askers.insert(self.requests, (address, self.tickets));
        self.cluster.ask(Asked { caller, name, request: self.requests, patience });
    }

    fn has_a_stayer(&self, function: usize) -> bool {
        if function == RARE {
            return false;
        }
        let stayer = &self.workers[function % 2];
        self.cluster.is_known_everywhere(stayer.address, self.rules[function].0)
    }

    /// A worker answers one of its jobs, seldom the oldest.
    fn answer(&mut self) {
        let number = self.dice.below(WORKERS as u64) as usize;
        let count = self.workers[number].jobs.len() as u64;
        if count == 0 {
            return;
        }
        let place = self.dice.below(count) as usize;
        let peer = &mut self.workers[number];
        let job = peer.jobs.swap_remove(place);
        let came_here = job.over == peer.address;
        if let Some(open) = self.askers.get(&job.request).and_then(|key| self.open.get_mut(key)) {
            open.answered |= came_here && self.now < job.until;
        }
        let before = self.sums.results;
        self.cluster.result(peer.address, &peer.identity.clone(), job.id, job.request);
        if self.dice.below(50) == 0 {
            // Once more: somebody else may have that id by now, but never in the same life.
            let peer = &self.workers[number];
            self.cluster.result(peer.address, &peer.identity.clone(), job.id, u64::MAX);
        }
        self.look();
        if !came_here {
            self.sums.brought_home += self.sums.results - before;
        }
    }

    fn pass(&mut self) {
        let millis = self.dice.below(8);
        self.now += millis;
        self.cluster.pass(millis);
    }

    /// Everything that has happened is right, or the run ends here.
    fn look(&mut self) {
        for event in std::mem::take(&mut self.cluster.events) {
            match event {
                Event::Job { worker, id, name, request } => self.given(worker, id, &name, request),
                Event::Told { caller, end } => self.told(caller, end),
                Event::Dropped(Settled::Late) => self.sums.late += 1,
                Event::Dropped(Settled::Foreign) => self.sums.foreign += 1,
                Event::Dropped(_) => self.sums.unwanted += 1,
            }
        }
    }

    fn given(&mut self, address: Address, id: JobId, name: &[u8], request: u64) {
        let function = self.rules.iter().position(|(known, _)| known.as_bytes() == name).expect("a known function");
        let rules = &self.rules[function].1;
        let now = self.now;
        let peer = self.workers.iter_mut().find(|peer| peer.address == address);
        let peer = peer.expect("jobs go to workers that live");
        assert!(
            peer.offers.contains(&function),
            "{} is given to a worker that does not offer it",
            self.rules[function].0
        );
        assert!(!peer.held, "a job is given to a worker that is to be left alone");
        let busy = peer.jobs.iter().filter(|job| job.over == address && now < job.until).count();
        let limit = if peer.serial { 1 } else { rules.in_flight as usize };
        assert!(busy < limit, "the limit is {limit}, and the worker has {busy} jobs");
        let mut until = now + rules.deadline.as_millis() as u64;
        if let Some(open) = self.askers.get(&request).and_then(|key| self.open.get_mut(key)) {
            open.runs += 1;
            self.sums.repeated += u64::from(open.runs > 1);
            let most = if rules.idempotent { 1 + rules.retries } else { 1 };
            assert!(open.runs <= most, "request {request} is run {} times", open.runs);
            assert_eq!(open.function, function);
            until = open.latest - SLACK;
        } else {
            // Nobody waits for it; the desk knows when it ends, we do not.
            until = until.min(now);
        }
        peer.jobs.push(Given { id, request, until, over: address });
    }

    fn told(&mut self, caller: Caller, end: End) {
        let key = (caller.address, caller.ticket);
        let Some(open) = self.open.remove(&key) else {
            assert!(self.forgotten.remove(&key), "{caller:?} is told {end:?}, and has been told before");
            return;
        };
        self.askers.remove(&open.request);
        assert!(self.now <= open.latest, "{open:?} ends at {}", self.now);
        match end {
            End::Result(request) => {
                assert_eq!(request, open.request, "a result of another call, or a forged one");
                self.sums.results += 1;
                return;
            }
            End::Failed(why) => assert!(!open.answered, "{open:?} was answered in time and failed: {why:?}"),
        }
        match end {
            End::Failed(Failure::NoWorker) => {
                assert!(!open.is_served, "{open:?} found nobody, but there was somebody all the time");
                assert!(open.runs == 0, "{open:?} is said to have found nobody");
                self.sums.no_worker += 1;
            }
            End::Failed(Failure::Busy) => self.sums.busy += 1,
            End::Failed(Failure::Deadline) => {
                assert!(self.now >= open.asked, "{open:?} ends before it began");
                self.sums.deadline += 1;
            }
            End::Failed(Failure::Lost) => self.sums.lost += 1,
            _ => self.sums.error += 1,
        }
    }

    /// What holds at any moment, whatever has happened.
    fn check(&self) {
        for (name, rules) in &self.rules {
            // Calls of the dead go in front without being counted against the limit.
            let repeats = if rules.idempotent { WORKERS * 4 } else { 0 };
            for queued in self.cluster.queued(name) {
                assert!(queued as usize <= rules.queue_limit + repeats, "{queued} wait for {name}");
            }
        }
        for peer in &self.workers {
            assert!(self.cluster.in_flight(peer.address) <= 4);
        }
        for open in self.open.values() {
            assert!(self.now <= open.latest, "{open:?} is still open at {}", self.now);
        }
    }

    fn settle_mail(&mut self) {
        while self.cluster.deliver(&mut self.dice) {
            self.look();
        }
    }

    /// Nobody asks any more; whatever is open comes to its end.
    fn finish(&mut self) {
        for _ in 0..200 {
            self.now += 5;
            self.cluster.pass(5);
            self.settle_mail();
            self.look();
        }
        assert!(self.open.is_empty(), "without an end: {:?}", self.open);
        assert!(
            self.cluster.open().all(|open| open == 0),
            "left at desks: {:?}",
            self.cluster.open().collect::<Vec<_>>()
        );
        for (name, _) in &self.rules {
            assert!(self.cluster.queued(name).all(|queued| queued == 0), "{name} has a queue of nobody");
        }
    }
}

/// Runs one seed; what it has seen.
fn run(seed: u64, requests: u64) -> Sums {
    let mut world = World::new(seed);
    let mut steps = 0u64;
    while world.requests < requests {
        world.step();
        steps += 1;
        if steps.is_multiple_of(64) {
            world.settle_mail();
            world.check();
        }
    }
    world.finish();
    world.sums
}

/// Runs a share of the seeds, of which `MSF_SIMULATION_SEEDS` says how many there are.
fn run_seeds(share: u64) {
    let seeds = std::env::var("MSF_SIMULATION_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(SEEDS);
    let mut sums = Vec::new();
    for seed in (share..seeds).step_by(2) {
        let seen = std::panic::catch_unwind(|| run(seed, REQUESTS));
        sums.push(seen.unwrap_or_else(|_| panic!("seed {seed}")));
    }
    let total = |what: fn(&Sums) -> u64| sums.iter().map(what).sum::<u64>();
    assert!(total(|sums| sums.results) > total(|sums| sums.asked) / 2, "most calls have a result");
    let rare = [total(|sums| sums.no_worker), total(|sums| sums.repeated), total(|sums| sums.brought_home)];
    assert!(rare.iter().all(|count| *count > 0), "nothing tried these: {sums:?}");
}

#[test]
fn every_call_has_exactly_one_end_and_it_is_its_own_even_seeds() {
    run_seeds(0);
}

#[test]
fn every_call_has_exactly_one_end_and_it_is_its_own_odd_seeds() {
    run_seeds(1);
}

/// Calls in one run.
const REQUESTS: u64 = 10_000;
/// Runs, where nobody says how many.
const SEEDS: u64 = 10;
