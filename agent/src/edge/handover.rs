//! A reactor that stands still: saved for a successor, or loaded from a predecessor.
//!
//! While it is held nothing is read and no timer fires. In the old process the outboxes are written as before: what is
//! out need not pass. In the new one nothing goes out before the hand lets go, since until then the old one may go on.

use super::broker::{Alarm, Broker};
use super::inspect::Inspection;
use super::lane::{Lane, Parcel, are_records};
use super::session::{Protocol, Session};
use crate::core::admit::AnswerOrder;
use crate::core::bus::Bus;
use crate::upgrade::hold::{Hold, Said, Step};
use crate::upgrade::table;
use msf_core::event::{Interest, Reactor, Token};
use msf_wire::snapshot::{Damage, Reader, State, What, Writer};
use msf_wire::state;
use std::os::fd::{OwnedFd, RawFd};
use std::time::{Duration, Instant};

state! { struct Parcel { from, records } }

impl Broker {
    /// Does what the hand says until it lets go.
    pub(super) fn stand_still(&mut self, reactor: &mut Reactor, hold: &Hold) {
        hold.say(Said::Still);
        while let Some(step) = hold.next() {
            self.tell_time(Instant::now());
            hold.say(match step {
                Step::Settle => self.settle_down(reactor),
                Step::Orders => self.take_all_orders(reactor),
                Step::Save => {
                    let (bytes, descriptors) = self.save();
                    Said::Saved(bytes, descriptors)
                }
                Step::Load(bytes, descriptors) => Said::Loaded(self.load_from(reactor, &bytes, descriptors)),
            });
        }
        self.tell_time(Instant::now());
        // What came for this turn before it was held is not announced again.
        self.take_parcels();
        self.finish(reactor);
    }

    fn settle_down(&mut self, reactor: &mut Reactor) -> Said {
        let said = self.take_all_orders(reactor);
        self.conclude_turn(reactor);
        match said {
            Said::Settled(orders, _) => Said::Settled(orders, self.reports.len()),
            other => other,
        }
    }

    fn take_all_orders(&mut self, reactor: &mut Reactor) -> Said {
        let mut orders = 0;
        while !self.orders.is_empty() {
            orders += self.orders.len();
            self.take_orders(reactor);
        }
        self.flush_reports();
        Said::Settled(orders, self.reports.len())
    }

    /// Everything another process needs to go on, and the sockets' numbers.
    fn save(&mut self) -> (Vec<u8>, Vec<RawFd>) {
        // They stay ours until it is certain that we end.
        self.posted.extend(self.parcels.drain(usize::MAX));
        let mut out = Writer::default();
        self.counts().save(&mut out);
        table::save(&self.sessions, &mut out, Session::save);
        self.dispatch.save(&mut out);
        self.desk.save(&mut out);
        self.inspection.save(&mut out);
        self.bus.save(&mut out);
        self.posted.save(&mut out);
        let lanes = self.lanes.iter().map(|lane| lane.as_ref().map_or(&[][..], Lane::waiting).to_vec());
        lanes.collect::<Vec<Vec<u8>>>().save(&mut out);
        out.into_parts()
    }

    /// Goes on with what [`Broker::save`] has appended in another process.
    pub fn load_from(&mut self, reactor: &mut Reactor, bytes: &[u8], descriptors: Vec<OwnedFd>) -> Result<(), String> {
        let mut from = Reader::new(bytes, descriptors);
        self.restore(&mut from).and_then(|()| from.end()).map_err(|damage| format!("reactor {}: {damage}", self.me))?;
        self.take_up(reactor)
    }

    fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), Damage> {
        self.counts().resume(from)?;
        self.sessions = table::load(from, Session::load)?;
        self.dispatch.resume(from)?;
        let rulebook = std::sync::Arc::clone(self.dispatch.routes().rulebook());
        self.desk.resume(from, &rulebook)?;
        self.inspection = Inspection::load(from)?;
        self.bus = Bus::load(from)?;
        self.posted = State::load(from)?;
        let lanes = Vec::<Vec<u8>>::load(from)?;
        let contradiction = |what| Err(from.damage(What::Contradiction(what)));
        if lanes.len() != self.lanes.len() {
            return contradiction("a snapshot of another number of reactors");
        }
        let resumed = self.lanes.iter_mut().zip(lanes).all(|(lane, records)| match lane {
            Some(lane) => lane.resume(records),
            None => records.is_empty(),
        });
        if !resumed || !self.posted.iter().all(|parcel| are_records(&parcel.records)) {
            return contradiction("what the reactors write to each other is no record");
        }
        Ok(())
    }

    /// What is not said because it follows from the rest: what is watched, what is to be looked at, what is armed.
    fn take_up(&mut self, reactor: &mut Reactor) -> Result<(), String> {
        self.buffered = self.sessions.iter().map(|(_, session)| session.buffered()).sum();
        self.stirred = true;
        let tokens: Vec<Token> = self.sessions.iter().map(|(token, _)| token).collect();
        for token in tokens {
            let Some(session) = self.sessions.get_mut(token) else { continue };
            reactor
                .watch(&session.socket, token, Interest::READ)
                .map_err(|error| format!("cannot watch the socket of {}: {error}", session.who()))?;
            if !session.outbox.is_empty() {
                session.dirty = true;
                self.dirty.push(token);
            }
            if session.readable || !session.inbox.is_empty() {
                self.more.push(token);
            }
            self.wake_again(token);
        }
        Ok(())
    }

    /// Arms a session's alarms again.
    fn wake_again(&mut self, token: Token) {
        let nmid = &self.limits.nmid;
        let pace = if nmid.order == AnswerOrder::Pipelined { 0 } else { u64::from(nmid.pace) * 1000 };
        let (micros, settle) = (self.micros, Duration::from_millis(nmid.settle.into()));
        let Some(Session { protocol: Protocol::Nmid(peer), .. }) = self.sessions.get_mut(token) else { return };
        let alarms: Vec<(Duration, Alarm)> = peer.wake_again(micros, settle, pace);
        self.alarms.extend(alarms.into_iter().map(|(after, alarm)| (after, alarm, token)));
    }

    /// Appends how a reactor's part of a snapshot is laid out.
    #[cfg(test)]
    pub fn shape(out: &mut String) {
        use crate::core::{desk::Desk, dispatch::Dispatch};
        use crate::observe::counter::Counters;
        use msf_wire::snapshot::shape_of;
        Counters::shape(out);
        Vec::<u16>::shape(out);
        Vec::<(u32, Session)>::shape(out);
        Dispatch::shape(out);
        Desk::shape(out);
        shape_of(|broker: &Broker| &broker.inspection, out);
        shape_of(|broker: &Broker| &broker.bus, out);
        shape_of(|broker: &Broker| &broker.posted, out);
        Vec::<Vec<u8>>::shape(out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::by_hand::{CALLER, LOCAL, REMOTE, Stage, two_members};
    use super::*;
    use crate::core::balance::Dice;
    use crate::core::message::Peer;
    use crate::core::order::{Door, Order};
    use msf_wire::librpc::{HEADER_LEN, Header};
    use msf_wire::nmid::{DoJob, Params, append_name, conn, pdt};
    use std::io::{Read, Write};
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::UnixStream;

    /// A reactor with somebody of each kind, and something of each kind under way.
    fn busy() -> (Stage, Vec<UnixStream>) {
        let mut stage = Stage::new();
        let [(mut caller, _), (service, _)] = two_members(&mut stage);
        let mut adopt = |door| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let peer = Peer::Local { pid: 1, uid: 0 };
            stage.orders.try_send(Order::Adopt(ours.into(), peer, door)).unwrap();
            stage.turn();
            theirs
        };
        let (mut worker, mut client) = (adopt(Door::Nmid), adopt(Door::Nmid));
        let (mut http, mut half) = (adopt(Door::Http), adopt(Door::Librpc));
        let call = |to, seq| Header { timeout: 60_000, ..Header::request(CALLER, to, 0x26, seq) }.encode();
        caller.write_all(&[call(LOCAL, 1), call(REMOTE, 2)].concat()).unwrap();
        let mut names = Vec::new();
        append_name(&mut names, conn::WORKER, pdt::W_SET_NAME, b"W");
        append_name(&mut names, conn::WORKER, pdt::W_ADD_FUNC, b"F");
        worker.write_all(&names).unwrap();
        let mut jobs = Vec::new();
        let params = Params::untyped(b"\x81\xa1a\x01");
        (0..3).for_each(|_| DoJob { function: b"12/0x26", params }.append_to(&mut jobs));
        client.write_all(&jobs).unwrap();
        http.write_all(b"POST /call/G HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{\"a").unwrap();
        half.write_all(&call(LOCAL, 3)[..17]).unwrap();
        (0..4).for_each(|_| stage.turn());
        (stage, vec![caller, service, worker, client, http, half])
    }

    fn parts(stage: &mut Stage) -> (Vec<u8>, usize) {
        let (bytes, descriptors) = stage.broker.save();
        (bytes, descriptors.len())
    }

    /// A descriptor for each of the sockets that a snapshot has.
    fn descriptors(count: usize) -> Vec<OwnedFd> {
        let copy = |peer: BorrowedFd<'_>| peer.try_clone_to_owned().unwrap();
        (0..count).map(|_| copy(UnixStream::pair().unwrap().0.as_fd())).collect()
    }

    #[test]
    fn what_is_saved_loaded_and_saved_again_is_the_same() {
        let (mut stage, _peers) = busy();
        let (before, count) = parts(&mut stage);
        assert_eq!(count, 6);
        let mut other = Stage::new();
        other.broker.load_from(&mut other.reactor, &before, descriptors(count)).unwrap();
        let (after, _) = parts(&mut other);
        // Tables have no order; what they hold has the same size.
        assert_eq!((after.len(), other.broker.sessions.len()), (before.len(), 6));
    }

    #[test]
    fn a_saved_reactor_goes_on_where_it_stood() {
        let (mut stage, mut peers) = busy();
        let mut asked = [0; HEADER_LEN];
        peers[1].read_exact(&mut asked).unwrap();
        let (bytes, numbers) = stage.broker.save();
        let sessions = stage.broker.sessions.iter();
        let own: Vec<OwnedFd> =
            sessions.map(|(_, session)| session.socket.as_fd().try_clone_to_owned().unwrap()).collect();
        assert_eq!(own.len(), numbers.len());
        let mut other = Stage::new();
        other.broker.load_from(&mut other.reactor, &bytes, own).unwrap();
        drop(stage);
        let head = Header::parse(&asked).unwrap();
        peers[1].write_all(&head.ack(0, 0).encode()).unwrap();
        (0..4).for_each(|_| other.turn());
        let mut answer = [0; HEADER_LEN];
        peers[0].read_exact(&mut answer).unwrap();
        assert_eq!(answer, head.ack(0, 0).encode());
    }

    #[test]
    fn a_damaged_part_is_refused_or_loaded_and_never_a_panic() {
        let (mut stage, _peers) = busy();
        let (bytes, count) = parts(&mut stage);
        let mut other = Stage::new();
        let mut load = |bytes: &[u8]| {
            let loaded = other.broker.load_from(&mut other.reactor, bytes, descriptors(count));
            other.broker.more.clear();
            other.broker.dirty.clear();
            loaded
        };
        for length in (0..bytes.len()).step_by(7) {
            let why = load(&bytes[..length]).unwrap_err();
            assert!(why.contains("reactor 0: the snapshot is damaged at byte"), "{why}");
        }
        let mut dice = Dice::new(5);
        for _ in 0..4_000 {
            let mut other = bytes.clone();
            for _ in 0..=dice.below(3) {
                let place = dice.below(bytes.len() as u64) as usize;
                other[place] = dice.below(256) as u8;
            }
            let _ = load(&other);
        }
        load(&bytes).unwrap();
    }
}
