//! Who offers which function. The control thread's book, from which the routes of functions are made.

use crate::core::balance;
use crate::core::desk::Identity;
use crate::core::message::Address;
use crate::core::order::Offer;
use crate::core::routes::{Function, Worker};
use crate::core::rules::Rulebook;
use crate::observe::catalog::Catalog;
use crate::observe::function::{FunctionTally, Labels, Sums, Tally};
use msf_core::sys::timestamp;
use msf_wire::snapshot::{Damage, Reader, State, Writer};
use std::collections::HashMap;
use std::sync::Arc;

/// The functions, and what each session offers.
#[derive(Debug, Default)]
pub struct Offers {
    functions: HashMap<Arc<[u8]>, Entry>,
    sessions: HashMap<Address, Session>,
    changed: bool,
}

/// A worker's connection.
#[derive(Debug, Default)]
struct Session {
    offered: Vec<Arc<[u8]>>,
    /// Where it came from.
    ip: String,
}

#[derive(Debug)]
struct Entry {
    workers: Vec<Worker>,
    tallies: Arc<[FunctionTally]>,
    /// As it was last published; `None` when something has changed since.
    route: Option<Arc<Function>>,
}

impl Offers {
    /// A worker offers a function; false when it does already.
    pub fn add(&mut self, offer: &Offer, catalog: &mut Catalog) -> bool {
        self.enter(offer, None, catalog).is_some()
    }

    /// The same, for a worker whose metrics may have a name already; where its jobs are counted.
    fn enter(&mut self, offer: &Offer, known: Option<Labels>, catalog: &mut Catalog) -> Option<Arc<Tally>> {
        let Offer { address, function, identity } = offer;
        let name = match self.functions.get_key_value(function.as_slice()) {
            Some((name, _)) => Arc::clone(name),
            None => function.as_slice().into(),
        };
        let session = self.sessions.entry(*address).or_default();
        if session.offered.contains(&name) {
            return None;
        }
        session.offered.push(Arc::clone(&name));
        let fresh = labels(*address, &name, identity);
        let create_time = known.map_or_else(|| fresh.create_time.clone(), |known| known.create_time);
        let labels = Labels { create_time, ..fresh };
        session.ip.clone_from(&labels.worker_ip);
        let (tally, tallies) = catalog.enrol(labels);
        let lot = match identity.name.as_slice() {
            [] => balance::hash_of(&address.number().to_le_bytes()),
            // Two workers of one name are two; what their keys move to when one goes is the other's.
            given => balance::hash_of(given) ^ balance::hash_of(&address.number().to_le_bytes()),
        };
        let entry = self.functions.entry(name).or_insert_with(|| Entry { workers: Vec::new(), tallies, route: None });
        let who = Arc::new(identity.clone());
        entry.workers.push(Worker { address: *address, identity: lot, who, tally: Arc::clone(&tally) });
        entry.route = None;
        self.changed = true;
        Some(tally)
    }

    /// A worker no longer offers a function.
    pub fn remove(&mut self, address: Address, function: &[u8], catalog: &mut Catalog) {
        if let Some(session) = self.sessions.get_mut(&address) {
            session.offered.retain(|name| **name != *function);
        }
        self.drop_worker(address, function, catalog);
    }

    /// A session has ended; whether it was a worker's.
    pub fn left(&mut self, address: Address, catalog: &mut Catalog) -> bool {
        let Some(session) = self.sessions.remove(&address) else { return false };
        catalog.closed(&session.ip);
        session.offered.iter().for_each(|name| self.drop_worker(address, name, catalog));
        true
    }

    /// The rules have changed.
    pub fn renew(&mut self) {
        self.functions.values_mut().for_each(|entry| entry.route = None);
        self.changed = true;
    }

    /// Whether the functions or their workers are others than when this was last asked.
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Every function, for the routes.
    pub fn routes(&mut self, rulebook: &Rulebook) -> Vec<Arc<Function>> {
        let route = |(name, entry): (&Arc<[u8]>, &mut Entry)| {
            let build = || {
                Arc::new(Function {
                    name: Arc::clone(name),
                    rules: rulebook.of(name),
                    workers: entry.workers.clone(),
                    tallies: Arc::clone(&entry.tallies),
                })
            };
            Arc::clone(entry.route.get_or_insert_with(build))
        };
        self.functions.iter_mut().map(route).collect()
    }

    fn drop_worker(&mut self, address: Address, function: &[u8], catalog: &mut Catalog) {
        let Some(entry) = self.functions.get_mut(function) else { return };
        for worker in entry.workers.extract_if(.., |worker| worker.address == address) {
            catalog.retire(&worker.tally);
        }
        entry.route = None;
        if entry.workers.is_empty() {
            self.functions.remove(function);
        }
        self.changed = true;
    }
}

/// A worker as it is kept: where it lives, who it is, what its metrics are called, and what they say.
type Kept = (Address, Identity, (Labels, Sums));

impl Offers {
    /// Appends who offers what, with what has been counted for it.
    pub fn save(&self, out: &mut Writer) {
        out.count(self.functions.len());
        for (name, entry) in &self.functions {
            name.save(out);
            out.count(entry.workers.len());
            for worker in &entry.workers {
                worker.address.save(out);
                worker.who.save(out);
                worker.tally.labels().save(out);
                worker.tally.sums().save(out);
            }
        }
        out.count(self.sessions.len());
        for (address, session) in &self.sessions {
            address.save(out);
            session.ip.save(out);
        }
    }

    /// Reads it back, enrolling everybody with the catalog.
    ///
    /// # Errors
    /// Whatever is not what [`Offers::save`] writes.
    pub fn load(from: &mut Reader<'_>, catalog: &mut Catalog) -> Result<Offers, Damage> {
        let mut offers = Offers { changed: true, ..Offers::default() };
        for (function, workers) in Vec::<(Vec<u8>, Vec<Kept>)>::load(from)? {
            for (address, identity, (labels, sums)) in workers {
                let offer = Offer { address, function: function.clone(), identity };
                if let Some(tally) = offers.enter(&offer, Some(labels), catalog) {
                    tally.resume(&sums);
                }
            }
        }
        for (address, ip) in Vec::<(Address, String)>::load(from)? {
            offers.sessions.entry(address).or_default().ip = ip;
        }
        Ok(offers)
    }

    /// Appends how it is laid out.
    #[cfg(test)]
    pub fn shape(out: &mut String) {
        <(Vec<(Vec<u8>, Vec<Kept>)>, Vec<(Address, String)>)>::shape(out);
    }
}

fn labels(address: Address, function: &[u8], identity: &Identity) -> Labels {
    Labels {
        worker_id: address.number().to_string(),
        worker_name: String::from_utf8_lossy(&identity.name).into_owned(),
        worker_ip: identity.host.map_or_else(String::new, |host| host.to_string()),
        func_name: String::from_utf8_lossy(function).into_owned(),
        create_time: timestamp(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Address = Address { reactor: 0, session: 1 };
    const TWO: Address = Address { reactor: 1, session: 1 };

    fn offer(address: Address, function: &[u8]) -> Offer {
        let identity = Identity { name: b"W".to_vec(), host: None };
        Offer { address, function: function.to_vec(), identity }
    }

    fn workers(offers: &mut Offers, function: &[u8]) -> Vec<Address> {
        let routes = offers.routes(&Rulebook::default());
        let found = routes.iter().find(|route| *route.name == *function);
        found.into_iter().flat_map(|route| route.workers.iter().map(|worker| worker.address)).collect()
    }

    #[test]
    fn a_function_lives_as_long_as_somebody_offers_it() {
        let (mut offers, mut catalog) = (Offers::default(), Catalog::new(2));
        assert!(offers.add(&offer(ONE, b"F"), &mut catalog) && offers.add(&offer(TWO, b"F"), &mut catalog));
        assert!(!offers.add(&offer(TWO, b"F"), &mut catalog), "twice is once");
        assert!(offers.take_change() && !offers.take_change());
        assert_eq!(workers(&mut offers, b"F"), [ONE, TWO]);
        offers.remove(ONE, b"F", &mut catalog);
        assert_eq!(workers(&mut offers, b"F"), [TWO]);
        assert!(offers.left(TWO, &mut catalog) && offers.take_change());
        assert!(offers.functions.is_empty());
        assert!(!offers.left(TWO, &mut catalog));
        assert_eq!(catalog.closings().collect::<Vec<_>>(), [("", 1)]);
    }

    #[test]
    fn what_has_not_changed_is_not_built_anew() {
        let (mut offers, mut catalog) = (Offers::default(), Catalog::new(1));
        offers.add(&offer(ONE, b"F"), &mut catalog);
        let first = offers.routes(&Rulebook::default());
        offers.add(&offer(ONE, b"G"), &mut catalog);
        let second = offers.routes(&Rulebook::default());
        let kept = second.iter().filter(|route| first.iter().any(|old| Arc::ptr_eq(old, route))).count();
        assert_eq!((second.len(), kept), (2, 1));
    }
}
