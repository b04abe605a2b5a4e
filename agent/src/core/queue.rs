//! A queue in which callers take turns: whoever has asked a hundred times waits behind whoever has asked once.

use super::hash::Mix;
use super::job::JobId;
use super::message::Address;
use msf_wire::state;
use std::collections::{HashMap, VecDeque};

/// Jobs that wait, by caller.
#[derive(Debug)]
pub struct FairQueue {
    lines: HashMap<Address, VecDeque<JobId>, Mix>,
    /// Callers with a line, in the order of their turns.
    turns: VecDeque<Address>,
    count: usize,
}

state! { struct FairQueue { lines, turns; count: total(&lines) } }

fn total(lines: &HashMap<Address, VecDeque<JobId>, Mix>) -> usize {
    lines.values().map(VecDeque::len).sum()
}

impl FairQueue {
    /// Nobody waits.
    pub fn new(mix: Mix) -> FairQueue {
        FairQueue { lines: HashMap::with_hasher(mix), turns: VecDeque::new(), count: 0 }
    }

    /// Whether nobody does.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Behind everything of the same caller.
    pub fn push(&mut self, caller: Address, job: JobId) {
        let line = self.lines.entry(caller).or_default();
        if line.is_empty() {
            self.turns.push_back(caller);
        }
        line.push_back(job);
        self.count += 1;
    }

    /// In front of everybody: it has waited before.
    pub fn push_first(&mut self, caller: Address, job: JobId) {
        let line = self.lines.entry(caller).or_default();
        if !line.is_empty() {
            self.turns.retain(|turn| *turn != caller);
        }
        self.turns.push_front(caller);
        line.push_front(job);
        self.count += 1;
    }

    /// Which one is next.
    pub fn first(&self) -> Option<JobId> {
        self.lines.get(self.turns.front()?)?.front().copied()
    }

    /// Takes out which one is next: the first of the caller whose turn it is.
    pub fn pop(&mut self) -> Option<JobId> {
        let caller = self.turns.pop_front()?;
        let line = self.lines.get_mut(&caller)?;
        let job = line.pop_front()?;
        self.count -= 1;
        if line.is_empty() {
            self.lines.remove(&caller);
        } else {
            self.turns.push_back(caller);
        }
        Some(job)
    }

    /// Takes `job` of `caller` out, wherever it stands; false when it is not there.
    pub fn remove(&mut self, caller: Address, job: JobId) -> bool {
        let Some(line) = self.lines.get_mut(&caller) else { return false };
        let Some(place) = line.iter().position(|each| *each == job) else { return false };
        line.remove(place);
        self.count -= 1;
        if line.is_empty() {
            self.lines.remove(&caller);
            self.turns.retain(|turn| *turn != caller);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::job::JobId;

    const GREEDY: Address = Address { reactor: 0, session: 1 };
    const MODEST: Address = Address { reactor: 0, session: 2 };

    fn id(number: u8) -> JobId {
        JobId::decode(format!("{number:016x}").as_bytes()).unwrap()
    }

    fn order(queue: &mut FairQueue) -> Vec<JobId> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn callers_take_turns_and_each_ones_jobs_stay_in_order() {
        let mut queue = FairQueue::new(Mix::new(1));
        (1..=4).for_each(|number| queue.push(GREEDY, id(number)));
        queue.push(MODEST, id(9));
        assert_eq!(queue.count, 5);
        assert_eq!(order(&mut queue), [1, 9, 2, 3, 4].map(id));
        assert!(queue.is_empty() && queue.lines.is_empty());
    }

    #[test]
    fn what_is_taken_out_leaves_no_empty_turn() {
        let mut queue = FairQueue::new(Mix::new(1));
        queue.push(GREEDY, id(1));
        queue.push(MODEST, id(2));
        assert!(queue.remove(GREEDY, id(1)) && !queue.remove(GREEDY, id(1)));
        assert_eq!(order(&mut queue), [id(2)]);
    }

    #[test]
    fn who_has_waited_before_comes_first() {
        let mut queue = FairQueue::new(Mix::new(1));
        queue.push(GREEDY, id(1));
        queue.push(MODEST, id(2));
        queue.push_first(MODEST, id(3));
        assert_eq!(order(&mut queue), [id(3), id(1), id(2)]);
    }
}
