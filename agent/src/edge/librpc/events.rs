//! Events: what members publish and want to be told of, and the way to them.
//!
//! Whoever publishes lives on one reactor, subscribers on all: the event goes over every lane as a record that names its
//! publisher, and each reactor tells its own. What one publishes arrives everywhere in the order in which it was
//! published. A subscription goes by way of the control thread, which knows who is present: a subscriber is told of them
//! first, and of whatever happens after that behind it, so between the two nothing can be missed.

use super::super::broker::Broker;
use super::super::lane::Kind;
use super::super::session::Session;
use crate::core::admit;
use crate::core::bus::Subscriber;
use crate::core::message::{Address, Peer, Refusal};
use crate::core::order::{Report, Watched};
use crate::observe::traffic::Malformed;
use msf_core::event::Token;
use msf_wire::librpc::{
    COMPONENT_EVENTS, EVERY_EVENT, HEADER_LEN, Header, Publication, cmd, errcode, id, is_event_name, timeout,
};
use nix::unistd::geteuid;
use std::sync::Arc;
use std::time::SystemTime;

impl Broker {
    /// A member wants events of a name. It is not heard before that is answered.
    pub(super) fn subscribe(&mut self, token: Token, head: &Header, name: &[u8]) {
        if !is_event_name(name) && name != EVERY_EVENT {
            return self.refuse_event(token, head);
        }
        let address = self.address(token);
        let Some(member) = self.sessions.get_mut(token).and_then(Session::librpc) else { return };
        member.subscribing = Some((*head, name.to_vec()));
        self.report(Report::Subscribe(address, name.to_vec()));
    }

    /// The control thread has heard of it, and says who is present.
    pub(in super::super) fn subscribed(&mut self, token: Token, present: &[Arc<[u8]>]) {
        let member = self.sessions.get_mut(token).and_then(Session::librpc);
        let Some((head, name)) = member.and_then(|member| member.subscribing.take()) else { return };
        self.more.push(token);
        let who = Subscriber::Session(token.bits());
        match self.bus.subscribe(who, &name) {
            Ok(()) => self.confirm(token, &head),
            Err(refusal) => return self.refuse(self.address(token), &head, refusal),
        }
        present.iter().for_each(|event| self.tell_event(who, id::MSG_SRV, event));
    }

    /// A member no longer wants them.
    pub(super) fn unsubscribe(&mut self, token: Token, head: &Header, name: &[u8]) {
        self.bus.unsubscribe(Subscriber::Session(token.bits()), name);
        self.confirm(token, head);
    }

    /// A member publishes an event.
    pub(super) fn publish(&mut self, token: Token, head: &Header, payload: &[u8]) {
        let Ok(Publication { name, .. }) = Publication::parse(payload) else {
            return self.refuse_event(token, head);
        };
        if name.starts_with(COMPONENT_EVENTS) && !self.is_trusted(token) {
            return self.refuse_component(token, head);
        }
        self.counts().published.count();
        self.confirm(token, head);
        for reactor in 0..self.lanes.len() as u16 {
            // There is no lane to ourselves. Where a record names a session for its receiver, this one names the publisher.
            self.post(Address { reactor, session: head.srcid }, token, Kind::Event, payload);
        }
        self.spread(head.srcid, payload);
    }

    /// Whether it may say who comes and goes: root and our own user may, who could end the agent as well. Of a peer on the
    /// network nobody knows whose it is.
    fn is_trusted(&self, token: Token) -> bool {
        let peer = self.sessions.get(token).map(|session| session.peer);
        matches!(peer, Some(Peer::Local { uid, .. }) if uid == 0 || uid == geteuid().as_raw())
    }

    fn refuse_component(&mut self, token: Token, head: &Header) {
        self.refuse(self.address(token), head, Refusal::Denied);
        if let Some(who) = self.note(token) {
            self.complain(|| {
                format!("{who}: its events component_... refused: it is neither root nor the agent's user")
            });
        }
    }

    /// Tells everybody here who wants to know.
    pub(in super::super) fn spread(&mut self, publisher: u32, payload: &[u8]) {
        let Ok(Publication { name, .. }) = Publication::parse(payload) else { return };
        for who in self.bus.subscribers(name) {
            self.tell_event(who, publisher, payload);
        }
    }

    fn tell_event(&mut self, who: Subscriber, publisher: u32, payload: &[u8]) {
        match who {
            Subscriber::Session(session) => self.send_event(Token::from_bits(session), publisher, payload),
            Subscriber::Operator(number) if self.reports.len() < MOST_REPORTS => {
                self.tell_loss(who);
                let event = Watched::Event(SystemTime::now(), publisher, payload.to_vec());
                self.report(Report::Watched(number, event));
            }
            Subscriber::Operator(_) => self.bus.lose(who),
        }
    }

    fn send_event(&mut self, token: Token, publisher: u32, payload: &[u8]) {
        let (load, who) = (self.load(), Subscriber::Session(token.bits()));
        let Some(session) = self.sessions.get(token).filter(|session| session.takes()) else { return };
        let Some(member) = session.member() else { return };
        if admit::event(&self.limits, session.outbox.len(), HEADER_LEN + payload.len(), load).is_err() {
            self.counts().untold.count();
            return self.bus.lose(who);
        }
        let head = Header { datalen: payload.len() as u32, ..Header::request(id::EVENT_SRV, member, cmd::EVENT, 0) };
        let mut frame = head.with_origin(self.bus.take_lost(who), publisher).encode().to_vec();
        frame.extend_from_slice(payload);
        self.counts().told.count();
        self.put(token, &frame);
    }

    /// Whoever has lost events, and has room again, is told how many. Without that the loss of the last event for a long
    /// time would go unnoticed for as long.
    pub(in super::super) fn tell_losses(&mut self) {
        for who in self.bus.losers() {
            let has_room = match who {
                Subscriber::Session(session) => {
                    let session = self.sessions.get(Token::from_bits(session));
                    session.is_some_and(|session| session.outbox.is_empty() && session.takes())
                }
                Subscriber::Operator(_) => self.reports.len() < MOST_REPORTS / 2,
            };
            if has_room {
                self.tell_loss(who);
            }
        }
    }

    fn tell_loss(&mut self, who: Subscriber) {
        let lost = self.bus.take_lost(who);
        match who {
            _ if lost == 0 => {}
            Subscriber::Operator(number) => self.report(Report::Watched(number, Watched::Lost(lost))),
            Subscriber::Session(session) => {
                let token = Token::from_bits(session);
                let Some(member) = self.sessions.get(token).and_then(Session::member) else { return };
                let head = Header::request(id::EVENT_SRV, member, cmd::EVENT, 0).with_origin(lost, id::MSG_SRV);
                self.put(token, &head.encode());
            }
        }
    }

    /// An operator looks at events.
    pub(in super::super) fn watch(&mut self, number: u32, name: &[u8], present: &[Arc<[u8]>]) {
        let who = Subscriber::Operator(number);
        // A new one wants nothing yet, so there is room.
        let _ = self.bus.subscribe(who, name);
        self.report(Report::Watched(number, Watched::Begun));
        present.iter().for_each(|event| self.tell_event(who, id::MSG_SRV, event));
    }

    /// Done, which is said only to whoever waits for it.
    fn confirm(&mut self, token: Token, head: &Header) {
        if head.timeout != timeout::NO_WAIT {
            self.put(token, &head.ack(errcode::EXEC_SUCC, 0).encode());
        }
    }

    /// That is no name, or no event.
    fn refuse_event(&mut self, token: Token, head: &Header) {
        self.count_misfit(token, Malformed::Body);
        self.put(token, &head.ack(errcode::EXEC_FAIL, 0).encode());
    }
}

/// What waits for the control thread, above which an operator gets a number instead of events.
const MOST_REPORTS: usize = 1_024;
