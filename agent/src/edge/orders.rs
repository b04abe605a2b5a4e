//! What the control thread asks of a reactor.

use super::broker::{Alarm, Broker, LOG, Phase};
use super::librpc;
use super::librpc::member::Standing;
use super::session::{Ending, Session};
use crate::core::bus::Subscriber;
use crate::core::message::{Address, Peer};
use crate::core::order::{Door, Order, Report};
use msf_core::event::{Interest, Reactor, Token};
use msf_core::log::Level;
use msf_wire::librpc::id;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

impl Broker {
    /// Carries out what has been ordered.
    pub(super) fn take_orders(&mut self, reactor: &mut Reactor) {
        let orders: Vec<Order> = self.orders.drain(ORDERS_PER_TURN).collect();
        for order in orders {
            self.carry_out(reactor, order);
        }
    }

    fn carry_out(&mut self, reactor: &mut Reactor, order: Order) {
        match order {
            Order::Adopt(socket, peer, door) => self.adopt(reactor, socket, peer, door),
            Order::Routes(routes) => {
                let version = routes.version();
                self.desk.adopt(&routes);
                self.dispatch.adopt(routes);
                self.report(Report::Routes(self.me, version));
            }
            Order::Joined(session) => self.verdict(Token::from_bits(session), true),
            Order::Offered(session) => self.offered(Token::from_bits(session)),
            Order::Refused(session) => self.verdict(Token::from_bits(session), false),
            Order::Probe(session) => self.probe(reactor, Token::from_bits(session)),
            Order::Evict(session) => {
                // Its last words may be answers.
                self.pull(Token::from_bits(session));
                self.doom(Token::from_bits(session), Ending::Evicted);
            }
            Order::Subscribed(session, present) => self.subscribed(Token::from_bits(session), &present),
            Order::Publish(event) => self.spread(id::MSG_SRV, &event),
            Order::Watch(number, name, present) => self.watch(number, &name, &present),
            Order::Unwatch(number) => self.bus.forget(Subscriber::Operator(number)),
            Order::Limits(limits) => self.limits = limits,
            Order::Describe(question) => self.describe(question),
            Order::Call(asked) => self.call_for_operator(&asked),
            Order::CallOff(number) => self.call_off(number),
            Order::Tap(number, function) => self.tap(number, function),
            Order::Untap(number) => self.untap(number),
            Order::Hold(hold) => self.hold = Some(hold),
            Order::Retire => self.retiring = true,
            Order::Drain => {
                self.dispatch.drain();
                self.phase = Phase::Draining;
            }
            Order::Fail => {
                let tokens: Vec<Token> = self.sessions.iter().map(|(token, _)| token).collect();
                for token in tokens {
                    self.fail_callers(token);
                }
                self.desk.fail_all();
                self.phase = Phase::Failing;
            }
            Order::Stop => self.phase = Phase::Stopping,
        }
    }

    fn adopt(&mut self, reactor: &Reactor, socket: OwnedFd, peer: Peer, door: Door) {
        let Some(token) = self.sessions.insert(Session::new(socket, peer, door, self.now)) else {
            msf_core::log!(Level::Error, LOG, "{peer}: closed: reactor {} has no slot left", self.me);
            return self.report(Report::Lost);
        };
        self.traffic(token, |traffic| traffic.opened.count());
        let watched = self.sessions.get(token).map(|session| reactor.watch(&session.socket, token, Interest::READ));
        match watched {
            Some(Err(error)) => {
                msf_core::log!(Level::Error, LOG, "{peer}: closed: cannot watch its socket: {error}");
                self.doom(token, Ending::Closed);
            }
            // What came in before the socket was watched may be here already.
            _ => self.more.push(token),
        }
    }

    /// The control thread has decided about a login.
    fn verdict(&mut self, token: Token, granted: bool) {
        let Some(session) = self.sessions.get_mut(token) else { return };
        let Some(member) = session.librpc() else { return };
        let Standing::Joining(head) = member.standing else { return };
        self.more.push(token);
        if !granted {
            member.standing = Standing::Stranger;
            return self.login_refused(token, &head, "its id is taken by a session that lives");
        }
        member.standing = Standing::Member(head.srcid);
        msf_core::log!(Level::Info, LOG, "{} has logged in", session.who());
        self.counts().logins.count();
        self.put(token, &librpc::confirm(&head, self.limits.payload));
        self.report(Report::Joined(self.address(token)));
    }

    /// Finds out whether a session's peer still lives: by its socket, and if it knows KALIVE, by asking it.
    fn probe(&mut self, reactor: &mut Reactor, token: Token) {
        let address = self.address(token);
        let Some(session) = self.sessions.get_mut(token).filter(|session| !session.doomed) else {
            return self.report(Report::Probed(address, false));
        };
        let mut byte = [0];
        match recv(session.socket.as_raw_fd(), &mut byte, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
            Ok(1..) => return self.report(Report::Probed(address, true)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            _ => {
                self.no_more_from(token);
                return self.report(Report::Probed(address, false));
            }
        }
        let probes = session.librpc().is_some_and(|member| member.probes);
        let Some(id) = session.member().filter(|_| probes) else {
            return self.report(Report::Probed(address, true));
        };
        session.heard = false;
        self.put(token, &librpc::probe(id, 0));
        reactor.arm(PROBE, Alarm::Probe as u64 + u64::from(token.bits()));
    }

    pub(super) fn probe_is_over(&mut self, token: Token) {
        let lives = self.sessions.get(token).is_some_and(|session| session.heard && !session.doomed);
        self.report(Report::Probed(Address { reactor: self.me, session: token.bits() }, lives));
    }

    /// Everything ends: the last bytes are written, as far as the peers take them at once.
    pub(super) fn close_all(&mut self) {
        let tokens: Vec<Token> = self.sessions.iter().map(|(token, _)| token).collect();
        for token in tokens {
            self.pause_is_over(token);
            self.doom(token, Ending::Shutdown);
        }
    }
}

/// How long a peer may take to answer our KALIVE.
const PROBE: Duration = Duration::from_millis(500);
/// How many orders are carried out before the sockets get their turn.
const ORDERS_PER_TURN: usize = 256;
