//! A reactor that stands still: saved for a successor, or loaded from a predecessor.
//!
//! While it is held nothing is read and no timer fires. In the old process the outboxes are written as before: what is
//! out need not pass. In the new one nothing goes out before the hand lets go, since until then the old one may go on.

use super::broker::{Alarm, Broker};
use super::inspect::Inspection;
use super::lane::{Lane, Parcel, are_records};
use super::session::{Protocol, Session};
use crate::core::admit::AnswerOrder;
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
        self.posted.save(&mut out);
        let lanes = self.lanes.iter().map(|lane| lane.as_ref().map_or(&[][..], Lane::waiting).to_vec());
        lanes.collect::<Vec<Vec<u8>>>().save(&mut out);
        out.into_parts()
    }

    fn load_from(&mut self, reactor: &mut Reactor, bytes: &[u8], descriptors: Vec<OwnedFd>) -> Result<(), String> {
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
        shape_of(|broker: &Broker| &broker.posted, out);
        Vec::<Vec<u8>>::shape(out);
    }
}
