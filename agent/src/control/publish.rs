//! New routes to every reactor, and who may be told so only after all of them have them.

use crate::core::message::Address;
use crate::core::routes::{Routes, Tables};
use std::collections::VecDeque;
use std::sync::Arc;

/// The latest routes and how far each reactor is.
#[derive(Debug)]
pub struct Publisher {
    routes: Arc<Routes>,
    /// By reactor: the version it has reported.
    seen: Vec<u64>,
    /// Who is to be told "OK", with the version that must be everywhere first.
    waiting: VecDeque<(u64, Grant)>,
}

/// Something that is true for a session once every reactor knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// It is the service it says.
    Login(Address),
    /// One more of its functions can be called.
    Offer(Address),
}

impl Publisher {
    /// For so many reactors, all of which know nobody.
    pub fn new(reactors: usize, seed: u64) -> Publisher {
        Publisher { routes: Arc::new(Routes::none(seed)), seen: vec![0; reactors], waiting: VecDeque::new() }
    }

    /// Whoever was just registered is told "OK" after the next publication is everywhere.
    pub fn grant(&mut self, grant: Grant) {
        self.waiting.push_back((self.routes.version() + 1, grant));
    }

    /// The next version, to be sent to every reactor.
    pub fn publish(&mut self, tables: Tables) -> Arc<Routes> {
        self.routes = Arc::new(self.routes.succeed(tables));
        Arc::clone(&self.routes)
    }

    /// Reactor `reactor` has `version`; what may be told "OK" by now.
    pub fn seen(&mut self, reactor: u16, version: u64) -> Vec<Grant> {
        if let Some(seen) = self.seen.get_mut(usize::from(reactor)) {
            *seen = version.max(*seen);
        }
        let everywhere = self.seen.iter().copied().min().unwrap_or(0);
        let mut told = Vec::new();
        while let Some((_, grant)) = self.waiting.pop_front_if(|(version, _)| *version <= everywhere) {
            told.push(grant);
        }
        told
    }

    /// How many services there are.
    pub fn services(&self) -> usize {
        self.routes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Address = Address { reactor: 0, session: 1 };
    const TWO: Address = Address { reactor: 1, session: 2 };

    fn tables(services: &[(u32, Address)]) -> Tables {
        let services = services.iter().map(|(id, address)| (*id, *address, Vec::new())).collect();
        Tables { services, ..Tables::default() }
    }

    #[test]
    fn nobody_is_told_before_the_slowest_reactor_knows() {
        let mut publisher = Publisher::new(2, 1);
        publisher.grant(Grant::Login(ONE));
        let first = publisher.publish(tables(&[(1, ONE)]));
        publisher.grant(Grant::Offer(TWO));
        let second = publisher.publish(tables(&[(1, ONE), (2, TWO)]));
        assert_eq!(publisher.seen(0, second.version()), []);
        assert_eq!(publisher.seen(1, first.version()), [Grant::Login(ONE)]);
        assert_eq!(publisher.seen(1, second.version()), [Grant::Offer(TWO)]);
        assert_eq!(publisher.services(), 2);
    }
}
