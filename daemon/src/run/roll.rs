//! All services, by key, in the order of the file, with the graph of who comes after whom.

use super::driver::Key;
use super::service::Service;
use crate::law::graph::Graph;
use std::collections::HashMap;

/// See the module.
#[derive(Default)]
pub struct Roll {
    /// Boxed: half of a large table is empty.
    services: HashMap<Key, Box<Service>>,
    /// In the order of the file, and behind them those that are being stopped for good.
    order: Vec<Key>,
    /// Who comes after whom, as of the last [`Roll::arrange`].
    pub graph: Graph,
    last: Key,
}

impl Roll {
    /// A new one, at the end; its key.
    pub fn add(&mut self, service: Service) -> Key {
        self.last += 1;
        self.services.insert(self.last, Box::new(service));
        self.order.push(self.last);
        self.last
    }

    /// One of them.
    pub fn get(&self, key: Key) -> Option<&Service> {
        self.services.get(&key).map(Box::as_ref)
    }

    /// One of them, to change.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut Service> {
        self.services.get_mut(&key).map(Box::as_mut)
    }

    /// The one of that name.
    pub fn named(&self, name: &str) -> Option<Key> {
        self.find(|service| service.name() == name)
    }

    /// The first of which this is true.
    pub fn find(&self, is: impl Fn(&Service) -> bool) -> Option<Key> {
        self.pairs().find(|(_, service)| is(service)).map(|(key, _)| key)
    }

    /// All, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Service> {
        self.pairs().map(|(_, service)| service)
    }

    /// All keys, in order.
    pub fn keys(&self) -> &[Key] {
        &self.order
    }

    /// All, in order, with their keys.
    pub fn pairs(&self) -> impl DoubleEndedIterator<Item = (Key, &Service)> {
        self.order.iter().filter_map(|key| Some((*key, self.services.get(key)?.as_ref())))
    }

    /// Forgets these.
    pub fn forget(&mut self, keys: &[Key]) {
        let before = self.order.len();
        self.services.retain(|key, _| !keys.contains(key));
        self.order.retain(|key| self.services.contains_key(key));
        if self.order.len() != before {
            self.arrange();
        }
    }

    /// Puts them into the order of these names; who is not among them comes last.
    pub fn sort(&mut self, names: &[&str]) {
        let places: HashMap<&str, usize> = names.iter().enumerate().map(|(place, name)| (*name, place)).collect();
        let place = |key: &Key| {
            let service = self.services.get(key);
            service.and_then(|service| places.get(service.name())).copied().unwrap_or(usize::MAX)
        };
        self.order.sort_by_key(place);
        self.arrange();
    }

    /// Makes the graph anew, after entries have come, gone or changed.
    pub fn arrange(&mut self) {
        let entries = self.order.iter().filter_map(|key| Some((*key, self.services.get(key)?)));
        self.graph = Graph::of(entries.map(|(key, service)| (key, service.name(), &service.entry.order)));
    }
}
