//! Who waits for one service's answers.
//!
//! A [`Ledger`] belongs to one session of a service and lives on that session's reactor: when the session ends, its
//! ledger says at once whom to tell. Entries are found by (caller, seq, command). A caller that reconnects starts its numbers
//! again, so two entries may share a key; services answer in order, hence the older one is served first, and an entry
//! stays for [`GRACE`] after its deadline, lest a late answer be taken for the one to the caller's next life.

use super::awaiting::LINGER;
use super::hash::Mix;
use super::message::{Address, Envelope, Moment, Patience};
use msf_wire::state;
use std::collections::{HashMap, VecDeque, hash_map};
use std::iter;

/// How long an entry outlives its deadline, in milliseconds.
pub const GRACE: u64 = 2_000;

/// The requests a service has not answered yet.
#[derive(Debug)]
pub struct Ledger {
    /// By caller, number and command: whatever a caller numbers alike, no look-up walks past what it does not want.
    waiting: HashMap<(u32, u32, u32), Queue, Mix>,
    count: usize,
}

state! { struct Ledger { waiting; count: total(&waiting) } }

/// The entries behind one key, oldest first; there is hardly ever more than one.
#[derive(Debug)]
struct Queue {
    first: Waiting,
    behind: VecDeque<Waiting>,
}

state! { struct Queue { first, behind } }

/// One request that awaits its answer.
#[derive(Debug)]
struct Waiting {
    caller: Address,
    call: Envelope,
    /// When it was entered, in the dispatch's microseconds.
    since: u64,
    /// `None`: forever.
    deadline: Option<Moment>,
    expired: bool,
}

state! { struct Waiting { caller, call, since, deadline, expired } }

fn total(waiting: &HashMap<(u32, u32, u32), Queue, Mix>) -> usize {
    waiting.values().map(|queue| 1 + queue.behind.len()).sum()
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// This caller waits for it, since then.
    Due(Address, u64),
    /// Its caller has stopped waiting, or nobody asked.
    Late,
}

impl Ledger {
    /// Nobody waits.
    pub fn new(mix: Mix) -> Ledger {
        Ledger { waiting: HashMap::with_hasher(mix), count: 0 }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Notes that `caller` waits for the answer to `call`, `since` now.
    pub fn enter(&mut self, caller: Address, call: &Envelope, now: Moment, since: u64) {
        let deadline = match call.patience {
            Patience::None => return,
            // One more, because `now` has lost its fraction: the caller must not find us the less patient one.
            Patience::Millis(wait) => Some(Moment(now.0 + u64::from(wait) + 1)),
            Patience::Forever => None,
        };
        let entry = Waiting { caller, call: *call, since, deadline, expired: false };
        self.count += 1;
        match self.waiting.entry((call.from, call.seq, call.command)) {
            hash_map::Entry::Vacant(place) => {
                place.insert(Queue { first: entry, behind: VecDeque::new() });
            }
            hash_map::Entry::Occupied(mut place) => place.get_mut().behind.push_back(entry),
        }
    }

    /// Takes out the oldest entry that `reply` answers.
    pub fn settle(&mut self, reply: &Envelope, now: Moment) -> Settled {
        let key = (reply.to, reply.seq, reply.command);
        let hash_map::Entry::Occupied(mut place) = self.waiting.entry(key) else { return Settled::Late };
        let queue = place.get_mut();
        let taken = match queue.behind.pop_front() {
            Some(next) => std::mem::replace(&mut queue.first, next),
            None => place.remove().first,
        };
        self.count -= 1;
        if taken.due(now) { Settled::Due(taken.caller, taken.since) } else { Settled::Late }
    }

    /// Everybody who still waits; the ledger is closed.
    pub fn close(self, now: Moment) -> impl Iterator<Item = (Address, Envelope)> {
        let entries = self.waiting.into_values().flat_map(|queue| iter::once(queue.first).chain(queue.behind));
        entries.filter(move |entry| entry.due(now)).map(|entry| (entry.caller, entry.call))
    }

    /// Whether anybody waits whose deadline has not passed.
    pub fn is_awaited(&self, now: Moment) -> bool {
        self.waiting.values().any(|queue| queue.first.due(now) || queue.behind.iter().any(|entry| entry.due(now)))
    }

    /// Drops what expired more than [`GRACE`] ago, lets what waits forever for a caller that `lives` no longer expire
    /// after [`LINGER`] (it may still read), and says how many deadlines passed since the last time.
    pub fn sweep(&mut self, now: Moment, lives: impl Fn(u32, Address) -> bool) -> u64 {
        let mut expired = 0;
        let mut dropped = 0;
        let mut stays = |entry: &mut Waiting| {
            if entry.deadline.is_none() && !lives(entry.call.from, entry.caller) {
                entry.deadline = Some(Moment(now.0 + LINGER));
            }
            if !entry.due(now) && !entry.expired {
                entry.expired = true;
                expired += 1;
            }
            let over = entry.deadline.is_some_and(|at| at.0 + GRACE <= now.0);
            dropped += usize::from(over);
            !over
        };
        self.waiting.retain(|_, queue| {
            queue.behind.retain_mut(&mut stays);
            if queue.behind.len() * 8 < queue.behind.capacity() {
                queue.behind.shrink_to(queue.behind.len() * 2);
            }
            if stays(&mut queue.first) {
                return true;
            }
            queue.behind.pop_front().map(|next| queue.first = next).is_some()
        });
        self.count -= dropped;
        if self.waiting.len() * 8 < self.waiting.capacity() {
            self.waiting.shrink_to(self.waiting.len() * 2);
        }
        expired
    }
}

impl Waiting {
    fn due(&self, now: Moment) -> bool {
        self.deadline.is_none_or(|at| now < at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Address = Address { reactor: 0, session: 1 };
    const B: Address = Address { reactor: 1, session: 9 };
    const NOON: Moment = Moment(1_000_000);

    fn call(seq: u32, command: u32, patience: Patience) -> Envelope {
        Envelope { from: 0x11, to: 0x12, command, seq, patience }
    }

    fn reply(seq: u32, command: u32) -> Envelope {
        Envelope { from: 0x12, to: 0x11, command, seq, patience: Patience::Millis(100) }
    }

    fn ledger() -> Ledger {
        Ledger::new(Mix::new(3))
    }

    fn after(wait: u64) -> Moment {
        Moment(NOON.0 + wait)
    }

    #[test]
    fn an_answer_is_due_once() {
        let mut ledger = ledger();
        ledger.enter(A, &call(1, 5, Patience::Millis(100)), NOON, 0);
        assert_eq!(ledger.settle(&reply(1, 5), after(100)), Settled::Due(A, 0));
        assert_eq!(ledger.settle(&reply(1, 5), after(100)), Settled::Late);
        assert_eq!(ledger.len(), 0);
    }

    #[test]
    fn an_answer_after_the_deadline_is_late() {
        let mut ledger = ledger();
        ledger.enter(A, &call(1, 5, Patience::Millis(100)), NOON, 0);
        assert_eq!(ledger.settle(&reply(1, 5), after(101)), Settled::Late);
    }

    #[test]
    fn an_answer_to_another_command_is_nobodys() {
        let mut ledger = ledger();
        ledger.enter(A, &call(1, 5, Patience::Forever), NOON, 0);
        assert_eq!(ledger.settle(&reply(1, 6), NOON), Settled::Late);
        assert_eq!(ledger.settle(&reply(1, 5), NOON), Settled::Due(A, 0));
    }

    #[test]
    fn a_reborn_caller_gets_the_second_answer_and_its_former_life_the_first() {
        let mut ledger = ledger();
        ledger.enter(A, &call(1, 5, Patience::Millis(100)), NOON, 0);
        ledger.enter(B, &call(1, 5, Patience::Millis(5_000)), after(150), 0);
        assert_eq!(ledger.settle(&reply(1, 5), after(200)), Settled::Late, "the first life stopped waiting");
        assert_eq!(ledger.settle(&reply(1, 5), after(210)), Settled::Due(B, 0));
    }

    #[test]
    fn the_right_command_is_found_behind_another_with_the_same_number() {
        let mut ledger = ledger();
        for (caller, command) in [(A, 5), (B, 6), (A, 7)] {
            ledger.enter(caller, &call(1, command, Patience::Forever), NOON, 0);
        }
        assert_eq!(ledger.settle(&reply(1, 6), NOON), Settled::Due(B, 0));
        assert_eq!(ledger.settle(&reply(1, 7), NOON), Settled::Due(A, 0));
        assert_eq!(ledger.len(), 1);
    }

    #[test]
    fn a_closed_ledger_names_all_who_still_wait_and_nobody_else() {
        let mut ledger = ledger();
        ledger.enter(A, &call(1, 5, Patience::Millis(100)), NOON, 0);
        ledger.enter(A, &call(2, 5, Patience::Forever), NOON, 0);
        ledger.enter(B, &call(2, 5, Patience::Millis(500)), NOON, 0);
        ledger.enter(A, &call(3, 5, Patience::None), NOON, 0);
        let mut told: Vec<_> = ledger.close(after(200)).map(|(caller, call)| (caller, call.seq)).collect();
        told.sort();
        assert_eq!(told, [(A, 2), (B, 2)]);
    }

    #[test]
    fn a_sweep_counts_each_deadline_once_and_drops_after_the_grace() {
        let mut ledger = ledger();
        ledger.enter(A, &call(1, 5, Patience::Millis(100)), NOON, 0);
        assert_eq!(ledger.sweep(after(50), |_, _| true), 0);
        assert_eq!(ledger.sweep(after(150), |_, _| true), 1);
        assert_eq!((ledger.sweep(after(200), |_, _| true), ledger.len()), (0, 1));
        assert_eq!((ledger.sweep(after(101 + GRACE), |_, _| true), ledger.len()), (0, 0));
    }

    #[test]
    fn forever_ends_with_the_caller() {
        let mut ledger = ledger();
        ledger.enter(A, &call(1, 5, Patience::Forever), NOON, 0);
        assert_eq!(ledger.sweep(after(1 << 40), |_, _| true), 0);
        assert_eq!(ledger.sweep(after(1 << 41), |id, at| (id, at) != (0x11, A)), 0);
        assert_eq!(ledger.sweep(after((1 << 41) + LINGER), |_, _| false), 1, "it may have read until then");
        assert_eq!((ledger.sweep(after((1 << 41) + LINGER + GRACE), |_, _| false), ledger.len()), (0, 0));
    }
}
