//! Who serves what: an immutable snapshot, built by the control thread, looked up by every reactor without a lock.

use super::hash::Mix;
use super::message::Address;
use std::collections::HashMap;

/// One version of the table. Reactors hold it by `Arc`; a change is another version.
#[derive(Clone, Debug)]
pub struct Routes {
    version: u64,
    services: HashMap<u32, Address, Mix>,
}

impl Routes {
    /// Nobody serves anything yet.
    pub fn none(seed: u64) -> Routes {
        Routes { version: 0, services: HashMap::with_hasher(Mix::new(seed)) }
    }

    /// The next version, with `services` instead.
    pub fn succeed(&self, services: impl Iterator<Item = (u32, Address)>) -> Routes {
        let mut next = HashMap::with_hasher(*self.services.hasher());
        next.extend(services);
        Routes { version: self.version + 1, services: next }
    }

    /// Counts the versions.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The session that serves `id`.
    pub fn find(&self, id: u32) -> Option<Address> {
        self.services.get(&id).copied()
    }

    /// How many services there are.
    pub fn len(&self) -> usize {
        self.services.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_does_not_see_its_successor() {
        let first = Routes::none(1);
        let address = Address { reactor: 1, session: 2 };
        let second = first.succeed([(0x12, address)].into_iter());
        assert_eq!((first.find(0x12), second.find(0x12)), (None, Some(address)));
        assert_eq!((second.version(), second.len()), (1, 1));
    }
}
