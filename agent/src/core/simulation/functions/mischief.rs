//! What goes wrong with a call or its worker: callers give up and leave, workers die, move, withdraw what they offer, are
//! held, fail, and somebody returns what is not his.

use super::{CALLERS, REACTORS, WORKERS, World};
use crate::core::desk::Identity;
use crate::core::job::JobId;
use crate::core::message::Address;

impl World {
    pub(super) fn give_one_up(&mut self) {
        let count = self.open.len() as u64;
        if count == 0 {
            return;
        }
        // By age: which one a hash table comes to first is not for a seed to say.
        let mut keys: Vec<_> = self.open.keys().copied().collect();
        keys.sort_unstable_by_key(|(_, ticket)| *ticket);
        let (address, ticket) = keys[self.dice.below(count) as usize];
        self.forget((address, ticket));
        self.cluster.cancel(address, Some(ticket));
    }

    pub(super) fn caller_leaves(&mut self) {
        let place = self.dice.below(CALLERS as u64) as usize;
        let address = self.callers[place];
        let his: Vec<_> = self.open.keys().copied().filter(|(each, _)| *each == address).collect();
        his.into_iter().for_each(|key| self.forget(key));
        self.callers[place] = self.address();
        self.cluster.cancel(address, None);
    }

    pub(super) fn forget(&mut self, key: (Address, u32)) {
        if let Some(open) = self.open.remove(&key) {
            self.askers.remove(&open.request);
            self.forgotten.insert(key);
            self.sums.given_up += 1;
        }
    }

    /// Not one of the first two, who stay.
    pub(super) fn mortal(&mut self) -> usize {
        2 + self.dice.below(WORKERS as u64 - 2) as usize
    }

    pub(super) fn worker_dies(&mut self) {
        let number = self.mortal();
        let peer = self.workers.remove(number);
        self.cluster.leave(peer.address);
        self.hire(number);
    }

    /// Withdraws everything, and comes back over another connection with its jobs.
    pub(super) fn worker_moves(&mut self) {
        let number = self.mortal();
        let mut peer = self.workers.remove(number);
        let mut offers: Vec<usize> = peer.offers.drain().collect();
        offers.sort_unstable();
        for function in offers {
            self.cluster.withdraw(peer.address, self.rules[function].0);
        }
        // It may have been given another job in the meantime.
        self.workers.insert(number, peer);
        self.look();
        let peer = self.workers.remove(number);
        self.cluster.leave(peer.address);
        self.hire(number);
        self.workers[number].jobs.extend(peer.jobs);
    }

    pub(super) fn worker_changes_its_mind(&mut self) {
        let number = self.mortal();
        let function = self.dice.below(self.rules.len() as u64) as usize;
        if self.workers[number].offers.remove(&function) {
            self.cluster.withdraw(self.workers[number].address, self.rules[function].0);
        } else {
            self.offer(number, function);
        }
    }

    pub(super) fn worker_is_held(&mut self) {
        let number = self.mortal();
        let peer = &mut self.workers[number];
        if peer.offers.is_empty() {
            return;
        }
        peer.held = !peer.held;
        self.cluster.hold(peer.address, peer.held);
    }

    /// The worker shows that a job's function returned an error.
    pub(super) fn function_fails(&mut self) {
        let number = self.dice.below(WORKERS as u64) as usize;
        let peer = &mut self.workers[number];
        let here = peer.jobs.iter().position(|job| job.over == peer.address);
        if let Some(place) = here {
            let job = peer.jobs.remove(place);
            self.cluster.give_up(peer.address, job.id);
        }
    }

    /// Somebody returns a job that is another one's, or that never was.
    pub(super) fn forge(&mut self) {
        let (thief, owner) = (self.mortal(), self.dice.below(WORKERS as u64) as usize);
        let Some(id) = self.workers[owner].jobs.first().map(|job| job.id).filter(|_| thief != owner) else { return };
        let thief = &self.workers[thief];
        self.cluster.result(thief.address, &thief.identity.clone(), id, u64::MAX);
        let word = self.dice.below(u64::MAX);
        let never = JobId::decode(format!("{:02x}{:014x}", self.dice.below(REACTORS), word >> 8).as_bytes());
        let identity = Identity { name: b"nobody".to_vec(), host: None };
        self.cluster.result(self.callers[0], &identity, never.expect("sixteen digits"), u64::MAX);
    }
}
