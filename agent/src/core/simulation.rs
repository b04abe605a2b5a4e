//! A simulated day of one reactor's dispatch: callers and services live, answer, die and are reborn in an order drawn
//! from a seed, time is virtual, and a model beside it says what every caller must be told.

mod cluster;
mod events;
mod functions;

use super::dispatch::Dispatch;
use super::message::{Address, Envelope, Moment, Patience};
use super::routes::{Routes, Tables};
use crate::observe::counter::Counters;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// A small generator, so that a failing seed is the whole bug report.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[derive(Clone, Copy)]
struct Asked {
    caller: Address,
    call: Envelope,
    deadline: u64,
}

/// The world beside the dispatch: sessions by id, and what each service has been asked, in order.
struct World {
    dice: Dice,
    now: u64,
    next_session: u32,
    sessions: HashMap<u32, u32>,
    seqs: HashMap<u32, u32>,
    inboxes: HashMap<u32, VecDeque<Asked>>,
    routes: Routes,
    dispatch: Dispatch,
    counters: Arc<[Counters]>,
    answered: u64,
    failed: u64,
    late: u64,
}

const IDS: u32 = 12;

impl World {
    fn new(seed: u64) -> World {
        let counters: Arc<[Counters]> = Arc::new([Counters::default()]);
        World {
            dice: Dice(seed * 2 + 1),
            now: 0,
            next_session: 0,
            sessions: HashMap::new(),
            seqs: HashMap::new(),
            inboxes: HashMap::new(),
            routes: Routes::none(seed),
            dispatch: Dispatch::new(seed, 0, Arc::clone(&counters)),
            counters,
            answered: 0,
            failed: 0,
            late: 0,
        }
    }

    fn publish(&mut self) {
        let place = |session: u32| Address { reactor: 0, session };
        let services = self.sessions.iter().map(|(id, session)| (*id, place(*session), Vec::new())).collect();
        self.routes = self.routes.succeed(Tables { services, ..Tables::default() });
        self.dispatch.adopt(Arc::new(self.routes.clone()));
    }

    fn id(&mut self) -> u32 {
        0x11 + self.dice.below(u64::from(IDS)) as u32
    }

    fn join(&mut self) {
        let id = self.id();
        if self.sessions.contains_key(&id) {
            return;
        }
        self.next_session += 1;
        self.sessions.insert(id, self.next_session);
        self.seqs.insert(id, 0);
        self.publish();
    }

    fn call(&mut self) {
        let (from, to) = (self.id(), self.id());
        let Some(&session) = self.sessions.get(&from) else { return };
        let seq = self.seqs.entry(from).or_default();
        *seq += 1;
        let wait = 1 + self.dice.below(3000);
        let call = Envelope { from, to, command: 0x26, seq: *seq, patience: Patience::Millis(wait as u32) };
        let caller = Address { reactor: 0, session };
        match self.dispatch.route(&call) {
            Err(_) => assert!(!self.sessions.contains_key(&to), "refused although the service is there"),
            Ok(at) => {
                assert_eq!(Some(&at.session), self.sessions.get(&to));
                self.dispatch.enter(at.session, caller, &call, usize::MAX, Moment(self.now)).unwrap();
                self.inboxes.entry(at.session).or_default().push_back(Asked {
                    caller,
                    call,
                    deadline: self.now + wait + 1,
                });
            }
        }
    }

    /// A service answers the oldest request it has.
    fn answer(&mut self) {
        let id = self.id();
        let Some(&session) = self.sessions.get(&id) else { return };
        let Some(asked) = self.inboxes.get_mut(&session).and_then(VecDeque::pop_front) else { return };
        let reply = Envelope { from: id, to: asked.call.from, ..asked.call };
        let got = self.dispatch.settle(session, &reply, Moment(self.now));
        if self.now < asked.deadline {
            assert_eq!(got, Some(asked.caller), "an answer in time reaches exactly who asked");
            self.answered += 1;
        } else if got.is_none() {
            self.late += 1;
        } else {
            panic!("a late answer reached {got:?}");
        }
    }

    fn die(&mut self) {
        let id = self.id();
        let Some(session) = self.sessions.remove(&id) else { return };
        let told: Vec<_> = self.dispatch.left(session, Moment(self.now)).collect();
        let mut expected: HashMap<(Address, u32), u32> = HashMap::new();
        for asked in self.inboxes.remove(&session).unwrap_or_default() {
            if self.now < asked.deadline {
                *expected.entry((asked.caller, asked.call.seq)).or_default() += 1;
            }
        }
        for (caller, call) in &told {
            let left = expected.get_mut(&(*caller, call.seq)).expect("told although he does not wait");
            *left -= 1;
        }
        assert!(expected.values().all(|left| *left == 0), "somebody who waits was not told");
        self.failed += told.len() as u64;
        self.publish();
    }
}

#[test]
fn every_caller_gets_exactly_one_end_in_a_day_of_births_and_deaths() {
    for seed in 1..=20 {
        let mut world = World::new(seed);
        for _ in 0..20_000 {
            // Answers are given within the grace after the deadline, as services that answer in order do.
            world.now += world.dice.below(4);
            match world.dice.below(100) {
                0..=3 => world.join(),
                4..=44 => world.call(),
                45..=97 => world.answer(),
                98 => world.die(),
                _ => world.dispatch.sweep(Moment(world.now)),
            }
        }
        for _ in 0..u64::from(IDS) * 64 {
            world.die();
        }
        assert_eq!(world.dispatch.pending(), 0, "seed {seed}: nothing is left behind");
        assert!(world.answered > 1000 && world.failed > 0, "seed {seed}: {} {}", world.answered, world.failed);
        assert_eq!(world.counters[0].dropped_late.value(), world.late);
    }
}
