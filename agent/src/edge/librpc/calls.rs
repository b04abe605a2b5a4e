//! A service's requests and their answers, forwarded byte for byte.

use super::super::broker::Broker;
use super::super::lane::{Kind, Record};
use super::super::session::Session;
use super::{self as librpc, Meaning};
use crate::core::admit;
use crate::core::message::{Address, Envelope, Patience, Refusal};
use crate::observe::traffic::Protocol;
use msf_core::event::Token;
use msf_wire::librpc::{HEADER_LEN, Header};

impl Broker {
    /// A member's request: to its service's session, wherever that lives.
    pub(in super::super) fn call(&mut self, token: Token, head: &Header, raw: &[u8]) {
        self.counts().protocols[Protocol::Librpc].requests.count();
        let call = librpc::envelope(head);
        let caller = self.address(token);
        match self.dispatch.route(&call) {
            Ok(service) if service.reactor == self.me => self.deliver_call(service.session, caller, head, &call, raw),
            Ok(service) => self.post(service, token, Kind::Frame, raw),
            Err(refusal) => self.refuse(caller, head, refusal),
        }
    }

    /// A member's answer: to whoever waits for it.
    pub(in super::super) fn reply(&mut self, token: Token, head: &Header, raw: &[u8]) {
        match self.dispatch.settle(token.bits(), &librpc::envelope(head), self.now) {
            Some(caller) if caller.reactor == self.me => self.deliver_reply(caller.session, head, raw),
            Some(caller) => self.post(caller, token, Kind::Frame, raw),
            None => {}
        }
    }

    /// A request has reached the reactor of its service.
    fn deliver_call(&mut self, service: u32, caller: Address, head: &Header, call: &Envelope, raw: &[u8]) {
        let load = self.load();
        let target = Token::from_bits(service);
        let admitted = match self.sessions.get(target) {
            Some(session) if session.takes() && session.member() == Some(call.to) => {
                admit::call(&self.limits, session.outbox.len(), raw.len(), load)
            }
            _ => Err(Refusal::Offline),
        };
        let entered = admitted.and_then(|()| self.dispatch.enter(service, caller, call, self.limits.pending, self.now));
        match entered {
            Ok(()) => {
                self.counts().calls.count();
                self.put(target, raw);
            }
            Err(refusal) => self.refuse(caller, head, refusal),
        }
    }

    /// An answer has reached the reactor of its caller.
    fn deliver_reply(&mut self, caller: u32, head: &Header, raw: &[u8]) {
        let target = Token::from_bits(caller);
        let takes = |session: &&mut Session| session.takes() && session.caller() == Some(head.dstid);
        let Some(session) = self.sessions.get_mut(target).filter(takes) else {
            return self.counts().dropped_undeliverable.count();
        };
        if librpc::envelope(head).patience != Patience::None
            && let Some(member) = session.librpc()
        {
            member.awaiting.answered();
        }
        self.counts().replies.count();
        self.counts().protocols[Protocol::Librpc].answers.count();
        self.put(target, raw);
    }

    /// Answers a request in the broker's own name.
    pub(in super::super) fn refuse(&mut self, caller: Address, head: &Header, refusal: Refusal) {
        self.tell(caller, librpc::envelope(head).patience, &librpc::refuse(head, refusal), refusal);
    }

    pub(in super::super) fn tell(&mut self, caller: Address, patience: Patience, frame: &[u8], refusal: Refusal) {
        match refusal {
            Refusal::Offline => self.counts().offline.count(),
            Refusal::Busy => self.counts().busy.count(),
            Refusal::Denied => self.counts().spoofed.count(),
        }
        self.counts().protocols[Protocol::Librpc].answers.count();
        if caller.reactor == self.me {
            let caller = Token::from_bits(caller.session);
            if patience != Patience::None
                && let Some(member) = self.sessions.get_mut(caller).and_then(Session::librpc)
            {
                member.awaiting.answered();
            }
            self.put(caller, frame);
        } else if let Some(lane) = self.lanes.get_mut(usize::from(caller.reactor)).and_then(Option::as_mut) {
            lane.push(Kind::Frame, caller.session, 0, frame, &mut self.spares);
        }
    }

    /// A frame has come from another reactor.
    pub(in super::super) fn unpack_frame(&mut self, from: u16, record: &Record<'_>) {
        // Only whole frames that have passed the codec are ever put into a lane.
        let Some(Ok(head)) = record.body.first_chunk::<HEADER_LEN>().map(Header::parse) else { return };
        match librpc::meaning(&head) {
            Meaning::Call => {
                let caller = Address { reactor: from, session: record.sender };
                self.deliver_call(record.receiver, caller, &head, &librpc::envelope(&head), record.body);
            }
            _ => self.deliver_reply(record.receiver, &head, record.body),
        }
    }
}
