//! Who serves what: an immutable snapshot, built by the control thread, looked up by every reactor without a lock.

use super::desk::Identity;
use super::hash::Mix;
use super::message::Address;
use super::rules::{Rulebook, Rules};
use crate::observe::function::{FunctionTally, Tally};
use std::collections::HashMap;
use std::sync::Arc;

/// One version of the table. Reactors hold it by `Arc`; a change is another version.
#[derive(Clone, Debug)]
pub struct Routes {
    version: u64,
    services: HashMap<u32, Address, Mix>,
    /// By the name they logged in with.
    names: HashMap<Box<[u8]>, u32, Mix>,
    functions: HashMap<Arc<[u8]>, Arc<Function>, Mix>,
    rulebook: Arc<Rulebook>,
}

/// Who carries out one function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: Arc<[u8]>,
    /// How its calls are treated.
    pub rules: Arc<Rules>,
    /// All its workers.
    pub workers: Vec<Worker>,
    /// By reactor, what is counted for it, and how busy its workers there are: the others may be a moment behind.
    pub tallies: Arc<[FunctionTally]>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Where it is.
    pub address: Address,
    /// Its name and address as a number.
    pub identity: u64,
    /// Who it is.
    pub who: Arc<Identity>,
    /// What is counted for it; the reactor it lives on writes.
    pub tally: Arc<Tally>,
}

/// The parts of a version that change.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Services: id, where, and the name it gave itself.
    pub services: Vec<(u32, Address, Vec<u8>)>,
    /// Functions.
    pub functions: Vec<Arc<Function>>,
    /// The rules.
    pub rulebook: Arc<Rulebook>,
}

impl Routes {
    /// Nobody serves anything yet.
    pub fn none(seed: u64) -> Routes {
        let mix = Mix::new(seed);
        Routes {
            version: 0,
            services: HashMap::with_hasher(mix),
            names: HashMap::with_hasher(mix),
            functions: HashMap::with_hasher(mix),
            rulebook: Arc::default(),
        }
    }

    /// The next version, with `tables` instead.
    pub fn succeed(&self, tables: Tables) -> Routes {
        let mix = *self.services.hasher();
        let mut next = Routes {
            version: self.version + 1,
            services: HashMap::with_hasher(mix),
            names: HashMap::with_hasher(mix),
            functions: HashMap::with_hasher(mix),
            rulebook: tables.rulebook,
        };
        for (id, address, name) in tables.services {
            next.services.insert(id, address);
            // Names are not unique; the lowest id is as good as any, and always the same.
            let known = next.names.entry(name.into()).or_insert(id);
            *known = id.min(*known);
        }
        next.functions.extend(tables.functions.into_iter().map(|function| (Arc::clone(&function.name), function)));
        next
    }

    /// Counts the versions.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The session that serves `id`.
    pub fn find(&self, id: u32) -> Option<Address> {
        self.services.get(&id).copied()
    }

    /// The id of the service that calls itself `name`.
    pub fn named(&self, name: &[u8]) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// Who carries out the function called `name`.
    pub fn function(&self, name: &[u8]) -> Option<&Arc<Function>> {
        self.functions.get(name)
    }

    /// The rules.
    pub fn rulebook(&self) -> &Arc<Rulebook> {
        &self.rulebook
    }

    /// How many services there are.
    pub fn len(&self) -> usize {
        self.services.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Address = Address { reactor: 1, session: 2 };

    #[test]
    fn a_snapshot_does_not_see_its_successor() {
        let first = Routes::none(1);
        let services = vec![(0x12, ADDRESS, b"UPNP".to_vec())];
        let second = first.succeed(Tables { services, ..Tables::default() });
        assert_eq!((first.find(0x12), second.find(0x12)), (None, Some(ADDRESS)));
        assert_eq!((second.version(), second.len()), (1, 1));
    }

    #[test]
    fn of_two_services_with_one_name_the_lowest_id_has_it() {
        let services = [0x14, 0x12, 0x13].map(|id| (id, ADDRESS, b"X".to_vec())).to_vec();
        let routes = Routes::none(1).succeed(Tables { services, ..Tables::default() });
        assert_eq!((routes.named(b"X"), routes.named(b"Y")), (Some(0x12), None));
    }

    #[test]
    fn a_function_is_found_by_its_name() {
        let worker = Worker { address: ADDRESS, identity: 7, who: Arc::default(), tally: Arc::default() };
        let name = b"F".as_slice().into();
        let function = Function { name, rules: Arc::default(), workers: vec![worker], tallies: Arc::new([]) };
        let routes = Routes::none(1).succeed(Tables { functions: vec![Arc::new(function)], ..Tables::default() });
        assert_eq!(routes.function(b"F").map(|function| function.workers.len()), Some(1));
        assert!(routes.function(b"G").is_none());
    }
}
