//! New routes to every reactor, and who may be told so only after all of them have them.

use crate::core::message::Address;
use crate::core::routes::Routes;
use std::collections::VecDeque;
use std::sync::Arc;

/// The latest routes and how far each reactor is.
#[derive(Debug)]
pub struct Publisher {
    routes: Arc<Routes>,
    /// By reactor: the version it has reported.
    seen: Vec<u64>,
    /// Sessions to be told "OK", with the version that must be everywhere first.
    waiting: VecDeque<(u64, Address)>,
}

impl Publisher {
    /// For so many reactors, all of which know nobody.
    pub fn new(reactors: usize, seed: u64) -> Publisher {
        Publisher { routes: Arc::new(Routes::none(seed)), seen: vec![0; reactors], waiting: VecDeque::new() }
    }

    /// The session that was just registered is told "OK" after the next publication is everywhere.
    pub fn grant(&mut self, address: Address) {
        self.waiting.push_back((self.routes.version() + 1, address));
    }

    /// The next version, to be sent to every reactor.
    pub fn publish(&mut self, services: impl Iterator<Item = (u32, Address)>) -> Arc<Routes> {
        self.routes = Arc::new(self.routes.succeed(services));
        Arc::clone(&self.routes)
    }

    /// Reactor `reactor` has `version`; the sessions that may be told "OK" by now.
    pub fn seen(&mut self, reactor: u16, version: u64) -> Vec<Address> {
        if let Some(seen) = self.seen.get_mut(usize::from(reactor)) {
            *seen = version.max(*seen);
        }
        let everywhere = self.seen.iter().copied().min().unwrap_or(0);
        let mut told = Vec::new();
        while let Some((_, address)) = self.waiting.pop_front_if(|(version, _)| *version <= everywhere) {
            told.push(address);
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

    #[test]
    fn nobody_is_told_before_the_slowest_reactor_knows() {
        let mut publisher = Publisher::new(2, 1);
        publisher.grant(ONE);
        let first = publisher.publish([(1, ONE)].into_iter());
        publisher.grant(TWO);
        let second = publisher.publish([(1, ONE), (2, TWO)].into_iter());
        assert_eq!(publisher.seen(0, second.version()), []);
        assert_eq!(publisher.seen(1, first.version()), [ONE]);
        assert_eq!(publisher.seen(1, second.version()), [TWO]);
        assert_eq!(publisher.services(), 2);
    }
}
