//! What an operator asks of a reactor: who its sessions are, what a function is asked and answers, and to call one.
//!
//! Taps look where a call comes in from its caller and where its end goes back, so they see every protocol's calls, and
//! each end once. They never hold anything up: bytes are cut, what the control thread is too slow for is counted and
//! thrown away, and without a tap all of it is one look at an empty list.

use super::broker::Broker;
use super::session::{self, Session};
use crate::core::job::Caller;
use crate::core::message::{Address, Call, Outcome, Params};
use crate::core::order::{Asked, Concluded, Described, Event, MOST_SHOWN, MOST_TAPPED, Report, Seen, Shown, Tapped};
use crate::observe::traffic::{Malformed, Protocol, Traffic};
use msf_core::event::Token;
use msf_wire::nmid::{handle_type, params_type};
use msf_wire::state;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

/// What operators have under way in one reactor.
#[derive(Debug, Default)]
pub struct Inspection {
    taps: Vec<Tap>,
    /// Their calls: number, and when it was made, in microseconds.
    calls: HashMap<u32, u64>,
}

state! { struct Inspection { taps, calls } }

/// One operator's look at one function.
#[derive(Debug)]
struct Tap {
    number: u32,
    function: Arc<[u8]>,
    /// Calls that have not ended: since when, in microseconds, and what the caller speaks.
    open: HashMap<Caller, (u64, Protocol)>,
    seen: Vec<Seen>,
    missed: u64,
}

state! { struct Tap { number, function, open, missed; seen: Vec::new() } }

impl Inspection {
    /// What there is to be reported.
    pub fn take_seen(&mut self) -> impl Iterator<Item = Report> {
        let full = self.taps.iter_mut().filter(|tap| !tap.seen.is_empty() || tap.missed > 0);
        full.map(|tap| {
            let (seen, missed) = (std::mem::take(&mut tap.seen), std::mem::take(&mut tap.missed));
            Report::Tapped(Tapped { tap: tap.number, seen, missed })
        })
    }
}

impl Tap {
    fn note(&mut self, seen: Seen) {
        if self.seen.len() < MOST_KEPT {
            self.seen.push(seen);
        } else {
            self.missed += 1;
        }
    }
}

impl Broker {
    /// Reports the sessions, those with an id first.
    pub(super) fn describe(&mut self, question: u32) {
        let ranked = |(token, session): (Token, &Session)| (session.caller().is_none(), token);
        let mut tokens: Vec<(bool, Token)> = self.sessions.iter().map(ranked).collect();
        tokens.sort();
        tokens.truncate(MOST_SHOWN);
        let shown = tokens.into_iter().filter_map(|(_, token)| self.shown(token)).collect();
        self.report(Report::Described(Described { question, sessions: self.sessions.len(), shown }));
    }

    fn shown(&self, token: Token) -> Option<Shown> {
        let session = self.sessions.get(token)?;
        let (standing, name) = match &session.protocol {
            session::Protocol::Librpc(member) => (member.standing.in_a_word(), member.name.clone()),
            session::Protocol::Nmid(peer) => (peer.in_a_word(), peer.name()),
            session::Protocol::Http(_) => ("visitor", String::new()),
        };
        Some(Shown {
            address: self.address(token),
            protocol: session.speaks(),
            peer: session.peer,
            name,
            id: session.caller(),
            standing: if session.leaving.is_some() { "leaving" } else { standing },
            age: self.now.0.saturating_sub(session.since.0),
            waiting: session.outbox.len(),
        })
    }

    /// Calls a function for an operator.
    pub(super) fn call_for_operator(&mut self, asked: &Asked) {
        self.counts().protocols[Protocol::Admin].requests.count();
        self.inspection.calls.insert(asked.number, self.micros);
        let params = Params { kind: params_type::JSON, handle: handle_type::ENCODE, bytes: &asked.params };
        let call = Call { function: &asked.function, params, patience: asked.patience };
        self.submit(OPERATOR, asked.number, &call);
    }

    /// Nobody waits for this call of an operator any longer.
    pub(super) fn call_off(&mut self, number: u32) {
        if self.inspection.calls.remove(&number).is_some() {
            self.cancel(OPERATOR.bits(), Some(number));
        }
    }

    /// The end of an operator's call.
    pub(super) fn conclude_for_operator(&mut self, number: u32, outcome: &Outcome<'_>) {
        let Some(since) = self.inspection.calls.remove(&number) else {
            return self.counts().dropped_undeliverable.count();
        };
        let traffic = &self.counts().protocols[Protocol::Admin];
        traffic.answers.count();
        traffic.latency.observe(self.micros.saturating_sub(since));
        self.report(Report::Concluded(number, Concluded::of(outcome, usize::MAX)));
    }

    /// An operator looks at a function.
    pub(super) fn tap(&mut self, number: u32, function: Arc<[u8]>) {
        let tap = Tap { number, function, open: HashMap::new(), seen: Vec::new(), missed: 0 };
        self.inspection.taps.push(tap);
        // From here on nothing is missed, which is said by saying nothing.
        self.report(Report::Tapped(Tapped { tap: number, seen: Vec::new(), missed: 0 }));
    }

    /// It no longer does.
    pub(super) fn untap(&mut self, number: u32) {
        self.inspection.taps.retain(|tap| tap.number != number);
    }

    /// A session here asks for a function.
    pub(super) fn tap_request(&mut self, caller: Caller, call: &Call<'_>) {
        if self.inspection.taps.is_empty() {
            return;
        }
        let since = self.micros;
        let bytes = call.params.bytes;
        let event = || Event::Asked(call.params.kind, bytes.get(..MOST_TAPPED).unwrap_or(bytes).to_vec());
        let protocol = self.protocol_of(caller.address.session);
        for tap in self.inspection.taps.iter_mut().filter(|tap| *tap.function == *call.function) {
            if tap.open.len() >= MOST_OPEN {
                tap.missed += 1;
                continue;
            }
            tap.open.insert(caller, (since, protocol));
            tap.note(seen(protocol, caller, bytes.len(), event()));
        }
    }

    /// The end of a call has come to the session that asked.
    pub(super) fn tap_end(&mut self, token: Token, ticket: u32, outcome: &Outcome<'_>) {
        if self.inspection.taps.is_empty() {
            return;
        }
        let caller = Caller { address: self.address(token), ticket };
        let now = self.micros;
        let bytes = match outcome {
            Outcome::Ret(bytes) | Outcome::Service { body: bytes, .. } => bytes.len(),
            Outcome::Failed(_) => 0,
        };
        for tap in &mut self.inspection.taps {
            if let Some((since, protocol)) = tap.open.remove(&caller) {
                let event = Event::Ended(Concluded::of(outcome, MOST_TAPPED), now.saturating_sub(since));
                tap.note(seen(protocol, caller, bytes, event));
            }
        }
    }

    /// A session here waits for this call, or without a ticket for any of its calls, no longer.
    pub(super) fn tap_cancel(&mut self, session: u32, ticket: Option<u32>) {
        let now = self.micros;
        let address = Address { reactor: self.me, session };
        for tap in &mut self.inspection.taps {
            let gone =
                |caller: &Caller| caller.address == address && ticket.is_none_or(|ticket| ticket == caller.ticket);
            let gone: Vec<_> = tap.open.extract_if(|caller, _| gone(caller)).collect();
            for (caller, (since, protocol)) in gone {
                tap.note(seen(protocol, caller, 0, Event::Abandoned(now.saturating_sub(since))));
            }
        }
    }

    /// Counts something that was not what its protocol wants, and why.
    pub(super) fn count_misfit(&self, token: Token, why: Malformed) {
        self.counts().malformed.count();
        self.traffic(token, |traffic| traffic.malformed(why).count());
    }

    /// Counts for what a session speaks.
    pub(super) fn traffic(&self, token: Token, count: impl FnOnce(&Traffic)) {
        if let Some(session) = self.sessions.get(token) {
            count(&self.counts().protocols[session.speaks()]);
        }
    }

    fn protocol_of(&self, session: u32) -> Protocol {
        self.sessions.get(Token::from_bits(session)).map_or(Protocol::Admin, Session::speaks)
    }
}

impl Session {
    /// What it speaks, as it is counted.
    pub(super) fn speaks(&self) -> Protocol {
        match &self.protocol {
            session::Protocol::Librpc(_) => Protocol::Librpc,
            session::Protocol::Nmid(_) => Protocol::Nmid,
            session::Protocol::Http(visitor) if visitor.is_socket() => Protocol::Ws,
            session::Protocol::Http(_) => Protocol::Http,
        }
    }
}

fn seen(protocol: Protocol, caller: Caller, bytes: usize, event: Event) -> Seen {
    Seen { at: SystemTime::now(), protocol, caller: caller.address, ticket: caller.ticket, bytes, event }
}

/// The session of operators' calls: a slot that no session ever has.
pub const OPERATOR: Token = Token::from_bits(u32::MAX - 1);
/// What is kept for the control thread.
const MOST_KEPT: usize = 256;
/// Calls of which the end is looked for.
const MOST_OPEN: usize = 4_096;
