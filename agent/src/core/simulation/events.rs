//! Events in a simulated agent: publishers and subscribers on several reactors, lanes that take their time, subscribers
//! that read when they like, change their minds, die, and pass to another process. A model beside it counts what each
//! should have been told.

use super::Dice;
use crate::core::bus::{Bus, Subscriber};
use msf_wire::snapshot::{Reader, State, Writer};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const REACTORS: usize = 3;
const NAMES: [&[u8]; 3] = [b"a", b"b", b"*"];
const ROOM: usize = 5;

/// An event: who has published it, under which name, and his number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Event {
    publisher: usize,
    name: usize,
    number: u64,
}

/// Somebody who wants to know, as the model sees him.
#[derive(Default)]
struct Watcher {
    wants: BTreeSet<usize>,
    /// What has been sent and not read: how many were lost before, and an event, or none.
    inbox: VecDeque<(u32, Option<Event>)>,
    /// What should have been sent since he was last told of a loss, and was not.
    missed: u32,
    /// The last number seen of each publisher.
    last: BTreeMap<usize, u64>,
}

struct World {
    dice: Dice,
    buses: Vec<Bus>,
    /// By reactor and session.
    watchers: BTreeMap<(usize, u32), Watcher>,
    /// From each reactor to each other one.
    lanes: BTreeMap<(usize, usize), VecDeque<Event>>,
    next: Vec<u64>,
    seen: u64,
    lost: u64,
}

impl World {
    fn new(seed: u64) -> World {
        World {
            dice: Dice(seed * 2 + 1),
            buses: (0..REACTORS).map(|_| Bus::default()).collect(),
            watchers: BTreeMap::new(),
            lanes: BTreeMap::new(),
            next: vec![0; REACTORS],
            seen: 0,
            lost: 0,
        }
    }

    fn step(&mut self) {
        let reactor = self.dice.below(REACTORS as u64) as usize;
        let session = self.dice.below(4) as u32;
        match self.dice.below(100) {
            0..8 => self.publish(reactor),
            8..20 => self.carry(reactor),
            20..90 => self.read(reactor, session),
            90..95 => self.subscribe(reactor, session),
            95..97 => self.unsubscribe(reactor, session),
            97 => self.die(reactor, session),
            _ => self.pass(reactor),
        }
        self.tell_losses(reactor);
    }

    /// Each reactor has one publisher.
    fn publish(&mut self, reactor: usize) {
        self.next[reactor] += 1;
        // Nobody publishes under the name that stands for all.
        let event = Event { publisher: reactor, name: self.dice.below(2) as usize, number: self.next[reactor] };
        for other in (0..REACTORS).filter(|other| *other != reactor) {
            self.lanes.entry((reactor, other)).or_default().push_back(event);
        }
        self.spread(reactor, event);
    }

    /// One lane delivers what it has.
    fn carry(&mut self, reactor: usize) {
        let from = self.dice.below(REACTORS as u64) as usize;
        for event in self.lanes.remove(&(from, reactor)).unwrap_or_default() {
            self.spread(reactor, event);
        }
    }

    fn spread(&mut self, reactor: usize, event: Event) {
        let bus = &mut self.buses[reactor];
        let told = bus.subscribers(NAMES[event.name]);
        let expected = self.watchers.iter().filter(|((at, _), watcher)| {
            *at == reactor && (watcher.wants.contains(&event.name) || watcher.wants.contains(&2))
        });
        let expected: BTreeSet<u32> = expected.map(|((_, session), _)| *session).collect();
        let sessions: Vec<u32> = told.iter().map(|who| session_of(*who)).collect();
        assert_eq!(sessions.iter().copied().collect::<BTreeSet<u32>>(), expected);
        assert_eq!(sessions.len(), expected.len(), "nobody twice");
        for who in told {
            let Some(watcher) = self.watchers.get_mut(&(reactor, session_of(who))) else { unreachable!() };
            if watcher.inbox.len() < ROOM {
                watcher.inbox.push_back((bus.take_lost(who), Some(event)));
            } else {
                bus.lose(who);
                watcher.missed += 1;
            }
        }
    }

    /// Whoever has read everything is told what he has lost.
    fn tell_losses(&mut self, reactor: usize) {
        for who in self.buses[reactor].losers() {
            let Some(watcher) = self.watchers.get_mut(&(reactor, session_of(who))) else {
                panic!("{who:?} has gone, and is still owed something");
            };
            if watcher.inbox.is_empty() {
                watcher.inbox.push_back((self.buses[reactor].take_lost(who), None));
            }
        }
    }

    fn read(&mut self, reactor: usize, session: u32) {
        let Some(watcher) = self.watchers.get_mut(&(reactor, session)) else { return };
        let Some((lost, event)) = watcher.inbox.pop_front() else { return };
        // What is lost while this was on its way is told later.
        assert!(lost <= watcher.missed, "told of {lost} lost, of {}", watcher.missed);
        watcher.missed -= lost;
        self.lost += u64::from(lost);
        match event {
            Some(Event { publisher, number, .. }) => {
                let before = watcher.last.insert(publisher, number).unwrap_or(0);
                assert!(number > before, "{number} of {publisher} comes after {before}");
                self.seen += 1;
            }
            None => assert!(lost > 0, "an empty word"),
        }
    }

    fn subscribe(&mut self, reactor: usize, session: u32) {
        let name = self.dice.below(3) as usize;
        self.buses[reactor].subscribe(Subscriber::Session(session), NAMES[name]).unwrap();
        self.watchers.entry((reactor, session)).or_default().wants.insert(name);
    }

    fn unsubscribe(&mut self, reactor: usize, session: u32) {
        let name = self.dice.below(3) as usize;
        self.buses[reactor].unsubscribe(Subscriber::Session(session), NAMES[name]);
        if let Some(watcher) = self.watchers.get_mut(&(reactor, session)) {
            watcher.wants.remove(&name);
            if watcher.wants.is_empty() {
                // Whoever wants nothing has lost nothing, but for what is on its way to him.
                watcher.missed = watcher.inbox.iter().map(|(lost, _)| lost).sum();
            }
        }
    }

    fn die(&mut self, reactor: usize, session: u32) {
        self.buses[reactor].forget(Subscriber::Session(session));
        self.watchers.remove(&(reactor, session));
    }

    /// Another process goes on with this reactor.
    fn pass(&mut self, reactor: usize) {
        let mut out = Writer::default();
        self.buses[reactor].save(&mut out);
        let mut from = Reader::new(out.bytes(), Vec::new());
        self.buses[reactor] = Bus::load(&mut from).unwrap();
        from.end().unwrap();
    }

    /// In the end everything arrives and is read; nothing is owed.
    fn end(&mut self) {
        for (from, to) in self.lanes.keys().copied().collect::<Vec<_>>() {
            for event in self.lanes.remove(&(from, to)).unwrap_or_default() {
                self.spread(to, event);
            }
        }
        for (reactor, session) in self.watchers.keys().copied().collect::<Vec<_>>() {
            while self.watchers.get(&(reactor, session)).is_some_and(|watcher| !watcher.inbox.is_empty()) {
                self.read(reactor, session);
                self.tell_losses(reactor);
            }
        }
        assert!(self.watchers.values().all(|watcher| watcher.missed == 0));
    }
}

fn session_of(who: Subscriber) -> u32 {
    match who {
        Subscriber::Session(session) | Subscriber::Operator(session) => session,
    }
}

#[test]
fn whatever_happens_each_is_told_once_in_order_or_knows_how_many_it_has_lost() {
    let seeds = std::env::var("MSF_SIMULATION_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(10);
    let (mut seen, mut lost) = (0, 0);
    for seed in 0..seeds {
        let mut world = World::new(seed);
        (0..5_000).for_each(|_| world.step());
        world.end();
        (seen, lost) = (seen + world.seen, lost + world.lost);
    }
    assert!(seen > 1_000 * seeds && lost > 10 * seeds, "a world in which too little happens: {seen}, {lost}");
}
