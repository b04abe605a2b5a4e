//! The control thread itself: it turns a reactor of its own over the listeners, the signals, the reports of the
//! brokers, and the steps of a shutdown.

mod ending;
mod handover;
mod retiring;
mod taking;
mod wiring;

pub use self::retiring::Sockets;
pub use self::taking::{Handed, Taken};
pub use self::wiring::{Coming, Errands, Reloaded, Wiring};
pub use super::acceptor::Access;
use super::acceptor::{Accepted, Acceptor};
use super::admin::{Admin, House};
use super::listener::Listener;
use super::liveness::Process;
use super::metrics::Metrics;
use super::offers::Offers;
use super::order_line::OrderLine;
use super::publish::{Grant, Publisher};
use super::registry::{Effect, Registry};
use crate::core::component::{Component, Reason};
use crate::core::message::Address;
use crate::core::order::{Door, Order, Report};
use crate::core::routes::Tables;
use crate::core::rules::Rulebook;
use crate::observe::catalog::Catalog;
use crate::observe::counter::Counters;
use crate::observe::page::Subject;
use crate::upgrade::hold::Grip;
use ending::Phase;
use handover::Change;
use msf_core::event::mailbox::Receiver;
use msf_core::event::{Interest, Reactor, Ready, Signals, Token, Turn};
use msf_core::log::Level;
use nix::sys::signal::Signal;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The application of the control thread.
pub struct Control<E> {
    errands: E,
    acceptor: Acceptor,
    registry: Registry,
    offers: Offers,
    rulebook: Arc<Rulebook>,
    publisher: Publisher,
    lines: Vec<OrderLine>,
    reports: Receiver<Report>,
    counters: Arc<[Counters]>,
    started: u64,
    /// Whose numbers there are beside those.
    catalog: Catalog,
    metrics: Option<Metrics>,
    admin: Option<Admin>,
    signals: Signals,
    /// Holds the one place that the signals' token needs beside the listeners'.
    signal_token: Option<Token>,
    drain: Duration,
    retirement: Duration,
    next_reactor: usize,
    /// The timer that tries again is armed.
    accepting_later: bool,
    phase: Phase,
    /// Reactors that have not reported yet what the phase waits for.
    awaited: usize,
    healthy: bool,
    /// Another process is about to take our place.
    change: Option<Change>,
    /// Another process has it.
    replaced: bool,
    /// The reactors, while they stand still.
    grips: Vec<Grip>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Orderly,
    /// A reactor has failed, or has not ended.
    Failed,
    /// Another process goes on. Nothing of what we hold may be ended or taken away.
    HandedOver,
}

impl<E: Errands> Control<E> {
    /// A control thread on `reactor`, listening nowhere yet.
    pub fn new(reactor: &Reactor, wiring: Wiring, errands: E) -> io::Result<Control<E>> {
        let mut control = Control {
            errands,
            acceptor: Acceptor::new(wiring.access, wiring.lists, wiring.max_conns),
            registry: Registry::default(),
            offers: Offers::default(),
            rulebook: wiring.rulebook,
            catalog: Catalog::new(wiring.orders.len()),
            publisher: Publisher::new(wiring.orders.len(), wiring.seed),
            lines: wiring.orders.into_iter().map(OrderLine::new).collect(),
            reports: wiring.reports,
            counters: wiring.counters,
            started: wiring.started,
            metrics: None,
            admin: None,
            signals: wiring.signals,
            signal_token: None,
            drain: wiring.drain,
            retirement: wiring.retirement,
            next_reactor: 0,
            accepting_later: false,
            phase: Phase::Serving,
            awaited: 0,
            healthy: true,
            change: None,
            replaced: false,
            grips: Vec::new(),
        };
        // The highest slot: the acceptor's listeners are counted from the lowest.
        let token = Token::from_bits(SIGNAL_TOKEN);
        reactor.watch(&control.signals, token, Interest::READ)?;
        control.signal_token = Some(token);
        // The rules are published with the first routes.
        control.offers.renew();
        control.finish();
        Ok(control)
    }

    /// Accepts connections from `listener` too.
    pub fn listen(&mut self, reactor: &Reactor, listener: Listener, door: Door) -> io::Result<()> {
        self.acceptor.add(reactor, listener, door)
    }

    /// Serves these metrics too.
    pub fn expose(&mut self, metrics: Metrics) {
        self.metrics = Some(metrics);
    }

    /// Answers operators there.
    pub fn administer(&mut self, admin: Admin) {
        self.admin = Some(admin);
    }

    /// Turns `reactor` until the agent has ended; how it did.
    pub fn run(mut self, mut reactor: Reactor) -> io::Result<End> {
        self.beat(&mut reactor);
        while self.phase != Phase::Over {
            reactor.turn(&mut self, None)?;
            self.fulfil_wishes(&mut reactor);
            self.finish();
            if self.phase == Phase::HandedOver {
                // What its parts would close, remove and let go of is the other process's.
                std::mem::forget(self);
                return Ok(End::HandedOver);
            }
        }
        Ok(match self.healthy {
            true if self.replaced => End::HandedOver,
            true => End::Orderly,
            false => End::Failed,
        })
    }

    /// Tells whoever started us that this thread still turns, if he wants to hear it.
    fn beat(&mut self, reactor: &mut Reactor) {
        if let Some(every) = self.errands.heartbeat() {
            self.errands.alive();
            reactor.arm(every, Timer::Heartbeat as u64);
        }
    }

    /// What follows from what has changed, once for all of it.
    pub fn finish(&mut self) {
        let others_serve = self.registry.take_change();
        if self.offers.take_change() || others_serve {
            let service = |(id, address, name): (u32, Address, &str)| (id, address, name.as_bytes().to_vec());
            let routes = self.publisher.publish(Tables {
                services: self.registry.services().map(service).collect(),
                functions: self.offers.routes(&self.rulebook),
                rulebook: Arc::clone(&self.rulebook),
            });
            self.order_all(|| Order::Routes(routes.clone()));
        }
        self.lines.iter_mut().for_each(OrderLine::flush);
    }

    fn order(&mut self, reactor: u16, order: Order) {
        if let Some(line) = self.lines.get_mut(usize::from(reactor)) {
            line.give(order);
        }
    }

    fn order_all(&mut self, order: impl Fn() -> Order) {
        self.lines.iter_mut().for_each(|line| line.give(order()));
    }

    fn accept(&mut self, reactor: &mut Reactor, token: Option<Token>) {
        let mut taken = Vec::new();
        let now = reactor.now();
        let outcome = match token {
            Some(token) => self.acceptor.accept(token, now, &mut taken),
            None => self.acceptor.accept_all(now, &mut taken),
        };
        for host in self.acceptor.take_strangers() {
            self.catalog.refused(&host.to_string());
        }
        for (socket, peer, door) in taken {
            let reactor = self.next_reactor as u16;
            self.next_reactor = (self.next_reactor + 1) % self.lines.len();
            self.order(reactor, Order::Adopt(socket, peer, door));
        }
        if let Accepted::Later(rest) = outcome
            && !self.accepting_later
        {
            self.accepting_later = true;
            reactor.arm(rest, Timer::Accept as u64);
        }
    }

    fn hear(&mut self, reactor: &mut Reactor, report: Report) {
        match report {
            Report::Login(login) => {
                let process = Process::of(&login.peer);
                let effects = self.registry.login(login, process, Process::lives);
                self.apply(effects);
            }
            Report::Joined(address) => {
                let come = self.registry.online(address);
                come.into_iter().for_each(|component| self.publish(&component, Reason::Login));
            }
            Report::Passed(address, peer) => self.registry.passed(address, peer, Process::of(&peer)),
            Report::Offer(offer) => {
                if self.offers.add(&offer, &mut self.catalog) {
                    self.publisher.grant(Grant::Offer(offer.address));
                }
            }
            Report::Subscribe(address, name) => {
                let present = self.registry.present_to(&name);
                self.order(address.reactor, Order::Subscribed(address.session, present));
            }
            Report::Watched(number, watched) => {
                self.tell_admin(|admin, house| admin.watched(reactor, number, &watched, house));
            }
            Report::Rescinded(address, function) => self.offers.remove(address, &function, &mut self.catalog),
            Report::Withdrawn(address) => {
                let effects = self.registry.left(address, Reason::Closed);
                self.apply(effects);
            }
            Report::Left(address, reason) => {
                self.acceptor.closed();
                self.offers.left(address, &mut self.catalog);
                let effects = self.registry.left(address, reason);
                self.apply(effects);
            }
            Report::Lost => self.acceptor.closed(),
            Report::Probed(address, lives) => {
                let effects = self.registry.probed(address, lives);
                self.apply(effects);
            }
            Report::Routes(reactor, version) => self.tell_granted(reactor, version),
            Report::Described(described) => self.tell_admin(|admin, house| admin.described(reactor, described, house)),
            Report::Concluded(number, end) => {
                self.tell_admin(|admin, house| admin.concluded(reactor, number, &end, house));
            }
            Report::Tapped(tapped) => self.tell_admin(|admin, house| admin.tapped(reactor, &tapped, house)),
            // What was still under way when a phase was cut short says nothing about the next one.
            Report::Retired if self.phase == Phase::Retiring => self.one_less(reactor),
            Report::Drained if self.phase == Phase::Draining => self.one_less(reactor),
            Report::Failed if self.phase == Phase::Failing => self.one_less(reactor),
            Report::Retired | Report::Drained | Report::Failed => {}
            Report::Ended(as_told) => self.ended(reactor, as_told),
        }
    }

    /// A reactor has the routes of this version: whoever waited for the last one to have them is told.
    fn tell_granted(&mut self, reactor: u16, version: u64) {
        for grant in self.publisher.seen(reactor, version) {
            match grant {
                Grant::Login(Address { reactor, session }) => self.order(reactor, Order::Joined(session)),
                Grant::Offer(Address { reactor, session }) => self.order(reactor, Order::Offered(session)),
            }
        }
    }

    /// Something an operator has asked for has come, if one can ask at all.
    fn tell_admin(&mut self, tell: impl FnOnce(&mut Admin, House<'_>)) {
        if let Some(admin) = &mut self.admin {
            tell(
                admin,
                House {
                    catalog: &self.catalog,
                    counters: &self.counters,
                    registry: &self.registry,
                    lines: &mut self.lines,
                },
            );
        }
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Grant(address) => self.publisher.grant(Grant::Login(address)),
                Effect::Refuse(address) => self.order(address.reactor, Order::Refused(address.session)),
                Effect::Probe(address) => self.order(address.reactor, Order::Probe(address.session)),
                Effect::Evict(address) => self.order(address.reactor, Order::Evict(address.session)),
                Effect::Offline(component, reason) => self.publish(&component, reason),
            }
        }
    }

    /// Everybody who wants to know is told of a component. When all go because the agent does, nobody is there to be told.
    fn publish(&mut self, component: &Component, reason: Reason) {
        if matches!(self.phase, Phase::Serving | Phase::Retiring) {
            let event = Arc::<[u8]>::from(component.event(reason));
            self.order_all(|| Order::Publish(Arc::clone(&event)));
        }
    }

    fn signal(&mut self, reactor: &mut Reactor, number: i32) {
        match Signal::try_from(number) {
            Ok(Signal::SIGHUP) => {
                if let Some(reloaded) = self.errands.reload() {
                    self.acceptor.limit(reloaded.max_conns, reloaded.lists);
                    (self.drain, self.retirement) = (reloaded.drain, reloaded.retirement);
                    self.rulebook = reloaded.rulebook;
                    self.offers.renew();
                    self.order_all(|| Order::Limits(reloaded.limits));
                }
            }
            Ok(Signal::SIGUSR1) => self.errands.rotate(),
            Ok(Signal::SIGTERM | Signal::SIGINT) if matches!(self.phase, Phase::Serving | Phase::Retiring) => {
                self.next_phase(reactor);
            }
            // Whoever asks twice is in a hurry.
            Ok(Signal::SIGTERM | Signal::SIGINT) if self.phase == Phase::Draining => self.next_phase(reactor),
            _ => {}
        }
    }
}

impl<E: Errands> Turn for Control<E> {
    fn ready(&mut self, reactor: &mut Reactor, token: Token, _ready: Ready) {
        if Some(token) == self.signal_token {
            for number in self.signals.take() {
                self.signal(reactor, number);
            }
        } else if let Some(metrics) = self.metrics.as_mut().filter(|metrics| metrics.own(token)) {
            let (counters, catalog) = (&*self.counters, &self.catalog);
            let version = env!("CARGO_PKG_VERSION");
            metrics.ready(reactor, token, &Subject { counters, catalog, process: None, create_time: true, version });
        } else if let Some(admin) = self.admin.as_mut().filter(|admin| admin.own(token)) {
            let house = House {
                catalog: &self.catalog,
                counters: &self.counters,
                registry: &self.registry,
                lines: &mut self.lines,
            };
            admin.ready(reactor, token, house);
        } else {
            self.accept(reactor, Some(token));
        }
    }

    fn expired(&mut self, reactor: &mut Reactor, key: u64) {
        if let Some(metrics) = self.metrics.as_mut().filter(|metrics| metrics.own_timer(key)) {
            return metrics.sweep(reactor);
        }
        if let Some(admin) = self.admin.as_mut().filter(|admin| admin.own_timer(key)) {
            return admin.sweep(reactor, &mut self.lines);
        }
        let phase = self.phase;
        match key {
            key if key == Timer::Heartbeat as u64 => self.beat(reactor),
            key if key == Timer::Upgrade as u64 => self.look_after_upgrade(reactor),
            key if key == Timer::Accept as u64 => {
                self.accepting_later = false;
                self.accept(reactor, None);
            }
            key if key == Timer::Drain as u64 && phase == Phase::Draining => self.next_phase(reactor),
            key if key == Timer::Retirement as u64 && phase == Phase::Retiring => self.retire_at_once(reactor),
            key if key == Timer::LastWords as u64 && phase == Phase::Failing => self.next_phase(reactor),
            key if key == Timer::Stop as u64 && phase == Phase::Stopping => {
                msf_core::log!(Level::Error, LOG, "{} reactors did not end in time", self.awaited);
                self.healthy = false;
                self.phase = Phase::Over;
            }
            _ => {}
        }
    }

    fn woken(&mut self, reactor: &mut Reactor) {
        let reports: Vec<Report> = self.reports.drain(REPORTS_PER_TURN).collect();
        for report in reports {
            self.hear(reactor, report);
        }
    }
}

#[derive(Clone, Copy)]
enum Timer {
    Accept,
    Drain,
    LastWords,
    Stop,
    Upgrade,
    Heartbeat,
    Retirement,
}

const LOG: &str = "AGENT";
/// A slot the acceptor never reaches.
const SIGNAL_TOKEN: u32 = 0xf_fff0;
const REPORTS_PER_TURN: usize = 1024;
