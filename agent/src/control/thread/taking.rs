//! The new one: it takes over what the control thread of another process has saved, and the one who saves it.

#[cfg(test)]
use super::super::acceptor::Acceptor;
use super::super::admin::Admin;
use super::super::answers;
use super::super::metrics::Metrics;
use super::super::offers::Offers;
use super::super::registry::Registry;
use super::{Control, Errands};
use crate::core::order::Order;
use crate::observe::catalog::Catalog;
use crate::upgrade::clock;
use crate::upgrade::hold::{Grip, Said, Step};
use crate::upgrade::passage::Came;
use msf_core::event::{Reactor, Token};
use msf_wire::snapshot::{Damage, Reader, State, What, Writer};
use msf_wire::state;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// What the successor is told beside the state.
#[derive(Debug)]
pub struct Handed {
    /// When the reactors of the old process were stopped, in nanoseconds of the monotonic clock.
    began: u64,
    /// The operator who has asked for it.
    asker: Option<u32>,
    /// The old process.
    pub pid: i32,
    /// The lock that says that nobody else is the agent.
    pub lock: Option<OwnedFd>,
}

state! { struct Handed { began, asker, pid, lock } }

impl Handed {
    /// How long the reactors have stood still by now.
    pub fn standstill(&self) -> Duration {
        let now = clock::monotonic().unwrap_or(self.began);
        Duration::from_nanos(now.saturating_sub(self.began))
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The old process.
    pub from: i32,
    /// For so long nobody was served.
    pub standstill: Duration,
    /// So many connections have come over.
    pub connections: usize,
}

impl<E: Errands> Control<E> {
    /// Appends everything this thread knows.
    pub(super) fn save(&mut self, began: u64, asker: Option<Token>, out: &mut Writer) {
        (began, asker.map(Token::bits), std::process::id() as i32).save(out);
        self.errands.lock().save(out);
        self.catalog.save(out);
        self.offers.save(out);
        self.registry.save(out);
        self.acceptor.save(out);
        self.next_reactor.save(out);
        self.metrics.is_some().save(out);
        self.metrics.iter().for_each(|metrics| metrics.save(out));
        self.admin.is_some().save(out);
        self.admin.iter().for_each(|admin| admin.save(out));
    }

    /// Goes on with it; the metrics are at this path, with or without the label `create_time`.
    ///
    /// # Errors
    /// What came is not that, or a socket cannot be watched.
    pub fn resume(
        &mut self,
        reactor: &mut Reactor,
        (path, create_time): (&str, bool),
        from: &mut Reader<'_>,
    ) -> io::Result<Handed> {
        let handed = Handed::load(from).map_err(io::Error::other)?;
        let listeners = self.restore(from).map_err(io::Error::other)?;
        for (listener, door) in listeners {
            self.acceptor.add(reactor, listener, door)?;
        }
        if bool::load(from).map_err(io::Error::other)? {
            self.metrics = Some(Metrics::resumed(reactor, path, create_time, from)?);
        }
        if bool::load(from).map_err(io::Error::other)? {
            self.admin = Some(Admin::resumed(reactor, from)?);
        }
        from.end().map_err(io::Error::other)?;
        Ok(handed)
    }

    fn restore(&mut self, from: &mut Reader<'_>) -> Result<Vec<(super::Listener, super::Door)>, Damage> {
        self.catalog = Catalog::load(self.lines.len(), from)?;
        self.offers = Offers::load(from, &mut self.catalog)?;
        self.registry = Registry::load(from)?;
        let listeners = self.acceptor.resume(from)?;
        self.next_reactor = usize::load(from)?;
        if self.next_reactor >= self.lines.len() {
            return Err(from.damage(What::Contradiction("a reactor that there is not")));
        }
        Ok(listeners)
    }

    /// The reactors, which stand still, get their parts, and then the routes.
    ///
    /// # Errors
    /// Why one cannot go on with its part.
    pub fn share_out(&mut self, grips: &[Grip], parts: Vec<Came>, until: Instant) -> Result<(), String> {
        if parts.len() != grips.len() {
            return Err(format!("there are parts for {} reactors, and {} reactors", parts.len(), grips.len()));
        }
        // The rules, which they need for what they are about to load, are among the orders.
        self.take_orders_in(grips, until)?;
        for (grip, (bytes, descriptors)) in grips.iter().zip(parts) {
            grip.tell(Step::Load(bytes, descriptors));
        }
        for grip in grips {
            if let Said::Loaded(outcome) = grip.hear(until)? {
                outcome?;
            }
        }
        self.finish();
        self.take_orders_in(grips, until)
    }

    fn take_orders_in(&mut self, grips: &[Grip], until: Instant) -> Result<(), String> {
        self.lines.iter_mut().for_each(super::OrderLine::flush);
        grips.iter().for_each(|grip| grip.tell(Step::Orders));
        grips.iter().try_for_each(|grip| grip.hear(until).map(drop))
    }

    /// It is ours from here on.
    pub fn begin(&mut self, reactor: &mut Reactor, handed: Handed, standstill: Duration) -> Taken {
        *self.errands.lock() = handed.lock;
        self.keep();
        // Whoever was asked whether it lives is asked again: the answer may have gone to nobody.
        for address in self.registry.probed_now() {
            self.order(address.reactor, Order::Probe(address.session));
        }
        let taken = Taken { from: handed.pid, standstill, connections: self.acceptor.open() };
        if let Some(asker) = handed.asker {
            let answer = answers::upgraded(handed.pid, std::process::id(), standstill, taken.connections);
            self.tell(reactor, Token::from_bits(asker), &answer);
        }
        self.finish();
        taken
    }

    /// The sockets' files are ours from here on.
    pub fn keep(&mut self) {
        self.acceptor.keep();
        self.admin.iter_mut().for_each(Admin::keep);
    }

    /// Where connections are accepted.
    pub fn places(&self) -> Vec<String> {
        self.acceptor.places().into_iter().chain(self.metrics.as_ref().map(Metrics::place)).collect()
    }

    /// Appends how this thread's part of a snapshot is laid out.
    #[cfg(test)]
    pub fn shape(out: &mut String) {
        Handed::shape(out);
        Catalog::shape(out);
        Offers::shape(out);
        Registry::shape(out);
        Acceptor::shape(out);
        usize::shape(out);
        Metrics::shape(out);
        Admin::shape(out);
    }
}
