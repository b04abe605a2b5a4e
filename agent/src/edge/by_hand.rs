//! A broker turned by hand, for what threads and sockets would show by chance only: a sibling that does not read its
//! mailbox, and a peer that answers and dies between two system calls of ours.

use super::broker::{Broker, Wiring};
use super::lane::{Parcel, split_record};
use crate::core::admit::{Http, Limits, Nmid};
use crate::core::message::{Address, Peer};
use crate::core::order::{Door, Order, Report};
use crate::core::routes::{Routes, Tables};
use crate::observe::counter::Counters;
use msf_core::event::mailbox::{self, Receiver, Sender};
use msf_core::event::{Reactor, Ready, Token, Turn};
use msf_wire::librpc::{HEADER_LEN, Header, LOGIN_LEN, cmd, errcode, id};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) const CALLER: u32 = 0x11;
pub(super) const LOCAL: u32 = 0x12;
pub(super) const REMOTE: u32 = 0x13;
const LIMITS: Limits = Limits {
    payload: 1 << 20,
    outbox_soft: 4 << 20,
    outbox_hard: 16 << 20,
    memory: 64 << 20,
    pending: 65_536,
    login: 0,
    nmid: Nmid::USUAL,
    http: Http::USUAL,
};

/// Reactor 0 of two, turned by hand; reactor 1 is only a mailbox of one parcel.
pub(super) struct Stage {
    pub(super) reactor: Reactor,
    pub(super) broker: Broker,
    pub(super) orders: Sender<Order>,
    reports: Receiver<Report>,
    sibling: Receiver<Parcel>,
    counters: Arc<[Counters]>,
    /// Keeps the way back to reactor 0 open.
    _parcels: Sender<Parcel>,
}

impl Stage {
    pub(super) fn new() -> Stage {
        let reactor = Reactor::new().unwrap();
        let elsewhere = Reactor::new().unwrap();
        let counters: Arc<[Counters]> = Arc::new([Counters::default(), Counters::default()]);
        let (orders, receiver_of_orders) = mailbox::bounded(64, reactor.waker());
        let (control, reports) = mailbox::bounded(64, elsewhere.waker());
        let (to_sibling, sibling) = mailbox::bounded(1, elsewhere.waker());
        let (parcels, receiver_of_parcels) = mailbox::bounded(16, reactor.waker());
        let broker = Broker::new(Wiring {
            me: 0,
            seed: 1,
            started: Instant::now(),
            limits: LIMITS,
            counters: Arc::clone(&counters),
            siblings: vec![None, Some(to_sibling.living_on(reactor.waker()))],
            parcels: receiver_of_parcels,
            orders: receiver_of_orders,
            control: control.living_on(reactor.waker()),
            hold: None,
        });
        Stage { reactor, broker, orders, reports, sibling, counters, _parcels: parcels }
    }

    pub(super) fn turn(&mut self) {
        self.broker.turn(&mut self.reactor, Some(Duration::from_millis(20))).unwrap();
    }

    /// A connected peer that has asked to log in; where it lives.
    fn join(&mut self, id: u32) -> (UnixStream, Address) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        self.orders.try_send(Order::Adopt(ours.into(), Peer::Local { pid: 1, uid: 0 }, Door::Librpc)).unwrap();
        let head = Header { datalen: LOGIN_LEN as u32, ..Header::request(id, id::MSG_SRV, cmd::LOGIN, 1) };
        theirs.write_all(&[head.encode().as_slice(), &[0; LOGIN_LEN]].concat()).unwrap();
        loop {
            self.turn();
            if let Some(Report::Login(login)) = self.reports.drain(1).next() {
                return (theirs, login.address);
            }
        }
    }
}

/// Two members of reactor 0 with their logins answered, and a remote id.
pub(super) fn two_members(stage: &mut Stage) -> [(UnixStream, Address); 2] {
    let (mut caller, at) = stage.join(CALLER);
    let (mut other, other_at) = stage.join(LOCAL);
    let remote = Address { reactor: 1, session: 77 };
    let services = [(CALLER, at), (LOCAL, other_at), (REMOTE, remote)];
    let services = services.map(|(id, address)| (id, address, Vec::new())).to_vec();
    let routes = Routes::none(1).succeed(Tables { services, ..Tables::default() });
    stage.orders.try_send(Order::Routes(Arc::new(routes))).unwrap();
    stage.orders.try_send(Order::Joined(at.session)).unwrap();
    stage.orders.try_send(Order::Joined(other_at.session)).unwrap();
    stage.turn();
    for peer in [&mut caller, &mut other] {
        peer.read_exact(&mut [0; HEADER_LEN]).unwrap();
    }
    [(caller, at), (other, other_at)]
}

#[test]
fn regress_an_answer_sent_before_the_end_is_read_although_writing_fails_first() {
    let mut stage = Stage::new();
    let [(mut caller, at), (mut service, _)] = two_members(&mut stage);
    let call = |seq| Header { timeout: 60_000, ..Header::request(CALLER, LOCAL, 0x26, seq) };
    caller.write_all(&call(1).encode()).unwrap();
    stage.turn();
    service.read_exact(&mut [0; HEADER_LEN]).unwrap();
    service.write_all(&call(1).ack(0, 0).encode()).unwrap();
    drop(service);
    // The broker hears of the caller alone, forwards, and finds the service gone.
    caller.write_all(&call(2).encode()).unwrap();
    let read = Ready { read: true, ..Ready::default() };
    stage.broker.ready(&mut stage.reactor, Token::from_bits(at.session), read);
    stage.broker.finish(&mut stage.reactor);
    stage.turn();
    let mut answers = [0; 2 * HEADER_LEN];
    caller.read_exact(&mut answers).unwrap();
    let (first, second) = answers.split_at(HEADER_LEN);
    assert_eq!(first, call(1).ack(errcode::EXEC_SUCC, 0).encode());
    assert_eq!(second, call(2).ack(errcode::PEER_OFFLINE, 0).encode());
}

#[test]
fn the_session_that_fills_a_siblings_mailbox_waits_and_nothing_is_lost() {
    let mut stage = Stage::new();
    let [(mut caller, at), (mut other, _)] = two_members(&mut stage);
    caller.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();

    // Send until the socket is full: more than the mailbox holds, and nobody empties it.
    let call = |seq: u32| Header { datalen: 4000, timeout: 60_000, ..Header::request(CALLER, REMOTE, 0x26, seq) };
    let mut sent = Vec::new();
    let mut seq = 0;
    let mut refused = 0;
    while refused < 5 {
        let bytes = [call(seq).encode().as_slice(), &[seq as u8; 4000]].concat();
        match caller.write(&bytes) {
            // A unix socket takes a small write whole or not at all.
            Ok(count) => {
                assert_eq!(count, bytes.len());
                sent.push(seq);
                seq += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                refused += 1;
                stage.turn();
            }
        }
        assert!(seq < 100_000, "the session is not parked: everything is read");
    }
    assert!(stage.counters[0].parked.value() > 0);

    // Whoever does not need that sibling is served meanwhile.
    other.write_all(&Header { timeout: 1, ..Header::request(LOCAL, LOCAL, 1, 9) }.encode()).unwrap();
    stage.turn();
    other.read_exact(&mut [0; HEADER_LEN]).unwrap();

    // The sibling wakes up: everything comes, in order.
    let mut got = Vec::new();
    while got.len() < sent.len() {
        for parcel in stage.sibling.drain(1) {
            let mut rest = parcel.records.as_slice();
            while let Some((record, after)) = split_record(rest) {
                assert_eq!((record.receiver, Token::from_bits(record.sender)), (77, Token::from_bits(at.session)));
                let head = Header::parse(record.body.first_chunk().unwrap()).unwrap();
                assert!(record.body.ends_with(&[head.seq as u8; 4000]));
                got.push(head.seq);
                rest = after;
            }
        }
        stage.turn();
    }
    assert_eq!(got, sent);
}
