//! Calls of functions on their way: from whatever session asks, over the desk of the reactor where a worker is, to the
//! worker or service, and their ends back to the session. The one place where protocols meet; none is named here but in
//! the three lists at which an end, a job or a question is handed to a session.

use super::broker::{Broker, Phase};
use super::inspect::OPERATOR;
use super::lane::Kind;
use super::note::{self, Submit};
use super::session::{Protocol, Session};
use crate::core::balance;
use crate::core::desk::{Errand, Settled, Verdict};
use crate::core::job::{Caller, JobId, Kept, Past};
use crate::core::message::{Address, Call, Failure, Moment, Outcome};
use crate::core::routes::{Function, Routes};
use crate::core::rules::Balance;
use msf_core::event::Token;
use msf_wire::nmid::lookup;
use std::sync::Arc;

impl Broker {
    /// A session asks for a function. The end comes to its ticket, perhaps before this returns.
    pub(super) fn submit(&mut self, token: Token, ticket: u32, call: &Call<'_>) {
        let caller = Caller { address: self.address(token), ticket };
        self.tap_request(caller, call);
        let size = (call.function.len() + call.params.bytes.len()) as u64;
        if self.phase != Phase::Serving {
            return self.refuse_call(caller, call.function, Failure::NoWorker);
        }
        if self.load() + size > self.limits.memory {
            return self.refuse_call(caller, call.function, Failure::Busy);
        }
        let routes = Arc::clone(self.dispatch.routes());
        match routes.function(call.function) {
            Some(function) => {
                let (reactor, choice) = self.pick(function, caller, call);
                let past = Past::default();
                if reactor == self.me {
                    self.place(caller, call, choice, past);
                } else {
                    let note = self.submit_note(&Submit { ticket, past: past.sent_on(), choice, call: *call });
                    self.post(Address { reactor, session: 0 }, token, Kind::Submit, &note);
                    self.notes.push(note);
                }
            }
            None => self.submit_to_service(&routes, caller, call, Some(token)),
        }
    }

    /// Nobody waits for the answers of this session's calls any longer; with a ticket for that one's alone.
    pub(super) fn cancel(&mut self, session: u32, ticket: Option<u32>) {
        self.tap_cancel(session, ticket);
        self.desk.cancel(Address { reactor: self.me, session }, ticket);
        let note = ticket.map_or(Vec::new(), |ticket| ticket.to_ne_bytes().to_vec());
        for lane in self.lanes.iter_mut().flatten() {
            lane.push(Kind::Cancel, 0, session, &note, &mut self.spares);
        }
    }

    /// What follows from what has happened at the desk.
    pub(super) fn run_errands(&mut self) {
        loop {
            let errands = self.desk.errands();
            if errands.is_empty() {
                return;
            }
            for errand in errands {
                match errand {
                    Errand::Send(worker, id) => self.send_kept(worker, id),
                    Errand::Fail(caller, why) => self.conclude(caller, &Outcome::Failed(why)),
                    Errand::Forward(id) => self.forward(id, None),
                    Errand::Seek(id) => self.seek(id),
                }
            }
        }
    }

    /// What became of a result.
    pub(super) fn settle(&mut self, settled: Settled, ret: &[u8]) {
        match settled {
            Settled::Due(caller) => self.conclude(caller, &Outcome::Ret(ret)),
            Settled::Unwanted => self.counts().dropped_abandoned.count(),
            Settled::Late => self.counts().dropped_late.count(),
            Settled::Foreign => self.counts().dropped_unknown.count(),
        }
    }

    /// A call has ended: its caller is told, wherever he is.
    pub(super) fn conclude(&mut self, caller: Caller, outcome: &Outcome<'_>) {
        let Address { reactor, session } = caller.address;
        if reactor == self.me {
            return self.hand_over(Token::from_bits(session), caller.ticket, outcome);
        }
        let mut note = self.notes.pop().unwrap_or_default();
        note.clear();
        note::append_outcome(&mut note, caller.ticket, outcome);
        if let Some(lane) = self.lanes.get_mut(usize::from(reactor)).and_then(Option::as_mut) {
            lane.push(Kind::Outcome, session, 0, &note, &mut self.spares);
        }
        self.notes.push(note);
    }

    /// An end to the session that asked, in its own words.
    pub(super) fn hand_over(&mut self, token: Token, ticket: u32, outcome: &Outcome<'_>) {
        if let Outcome::Failed(why) = outcome {
            match why {
                Failure::NoWorker => self.counts().no_worker.count(),
                Failure::Busy => self.counts().busy.count(),
                Failure::Deadline => self.counts().deadline.count(),
                Failure::Lost | Failure::Unfit | Failure::Error => self.counts().failed.count(),
            }
        }
        self.tap_end(token, ticket, outcome);
        if token == OPERATOR {
            return self.conclude_for_operator(ticket, outcome);
        }
        match self.sessions.get(token).filter(|session| session.takes()).map(|session| &session.protocol) {
            Some(Protocol::Librpc(_)) => self.answer_member(token, ticket, outcome),
            Some(Protocol::Nmid(_)) => self.answer_client(token, ticket, outcome),
            Some(Protocol::Http(_)) => self.answer_visitor(token, ticket, outcome),
            None => self.counts().dropped_undeliverable.count(),
        }
    }

    /// The reactor whose workers are to carry out a call, and which of them, if the rules say so.
    fn pick(&mut self, function: &Function, caller: Caller, call: &Call<'_>) -> (u16, Option<u32>) {
        let rules = &function.rules;
        let key = match rules.balance {
            Balance::Least => return (self.pick_reactor(function), None),
            Balance::Weighted => return (self.pick_by_weight(function), None),
            Balance::Sticky => caller.address.number(),
            Balance::Hash => {
                let field = rules.hash_key.as_ref().and_then(|field| lookup(call.params, field.as_bytes()));
                balance::hash_of(field.as_deref().unwrap_or(call.params.bytes))
            }
        };
        let workers = function.workers.iter().map(|worker| (worker.address, worker.identity));
        match balance::by_key(workers, key) {
            Some(address) => (address.reactor, Some(address.session)),
            None => (self.me, None),
        }
    }

    /// This one if a worker is free here; else one where one is; else where the fewest wait for each worker.
    fn pick_reactor(&self, function: &Function) -> u16 {
        if self.lanes.len() == 1 || self.desk.is_free(&function.name) {
            return self.me;
        }
        if let Some(reactor) = self.desk.elsewhere(function) {
            return reactor;
        }
        let crowd = |reactor: u16| {
            let workers = function.workers.iter().filter(|worker| worker.address.reactor == reactor).count() as u64;
            let queued = function.tallies.get(usize::from(reactor)).map_or(0, |tally| tally.queued.value());
            (workers > 0).then(|| ((queued + 1) * 1024 / workers, reactor != self.me, reactor))
        };
        (0..self.lanes.len() as u16).filter_map(crowd).min().map_or(self.me, |(.., reactor)| reactor)
    }

    /// The one of a worker picked by weight: to prefer those near would be another weight.
    fn pick_by_weight(&mut self, function: &Function) -> u16 {
        let rulebook = Arc::clone(self.dispatch.routes().rulebook());
        let weight = |name: &[u8]| u64::from(rulebook.of_worker(name).weight.max(1));
        let workers = function.workers.iter().map(|worker| (worker.address.reactor, weight(&worker.who.name)));
        balance::by_weight(workers, self.desk.dice()).unwrap_or(self.me)
    }

    /// Hands a call in at this reactor's desk, or sends it on when nobody here has the function any more.
    pub(super) fn place(&mut self, caller: Caller, call: &Call<'_>, choice: Option<u32>, past: Past) {
        // Calls that have left the queue are on their way before one that never was in it.
        self.run_errands();
        match self.desk.submit(caller, call, choice, past) {
            Verdict::Send(worker, id) => self.send_job(Token::from_bits(worker), id, call.function, &call.params),
            // Whoever looks last sees the other: we have shown that one waits before we look for who is free.
            Verdict::Queued(id) => self.seek(id),
            Verdict::Refused(Failure::NoWorker) => {
                let routes = Arc::clone(self.dispatch.routes());
                match self.other_reactor(&routes, call.function).filter(|_| past.hops < LOST) {
                    Some(reactor) => self.send_on(reactor, caller, call, past.sent_on()),
                    // It may have been carried out: that nobody has the function is not the whole truth.
                    None if past.attempts > 0 => self.conclude(caller, &Outcome::Failed(Failure::Lost)),
                    None => self.submit_to_service(&routes, caller, call, None),
                }
            }
            Verdict::Refused(why) => self.refuse_call(caller, call.function, why),
        }
    }

    /// `<login name or id>/<command>` is a librpc service's command.
    fn submit_to_service(&mut self, routes: &Routes, caller: Caller, call: &Call<'_>, token: Option<Token>) {
        let Some((id, command)) = service_command(routes, call.function) else {
            return self.refuse_call(caller, call.function, Failure::NoWorker);
        };
        match (routes.find(id), token) {
            (Some(service), _) if service.reactor == self.me => {
                self.ask_service(service.session, command, caller, call)
            }
            // It is asked for where it lives; a second time it is not sent on.
            (Some(service), Some(token)) => {
                let past = Past { hops: LOST, attempts: 0 };
                let note = self.submit_note(&Submit { ticket: caller.ticket, past, choice: None, call: *call });
                self.post(Address { session: 0, ..service }, token, Kind::Submit, &note);
                self.notes.push(note);
            }
            _ => self.refuse_call(caller, call.function, Failure::NoWorker),
        }
    }

    pub(super) fn refuse_call(&mut self, caller: Caller, function: &[u8], why: Failure) {
        if why == Failure::NoWorker
            && let Some(function) = self.dispatch.routes().function(function)
            && let Some(tally) = function.tallies.get(usize::from(self.me))
        {
            tally.no_worker.count();
        }
        self.conclude(caller, &Outcome::Failed(why));
    }

    fn send_kept(&mut self, worker: u32, id: JobId) {
        if let Some((function, kept)) = self.desk.params(id) {
            let kept: Kept = kept;
            self.send_job(Token::from_bits(worker), id, &function, &kept.params());
        }
    }

    /// A session ends: its calls are called off, and whatever it was at as a worker or a service is told to the desk.
    pub(super) fn leave_desks(&mut self, token: Token, session: &Session) {
        if session.waits(self.now) {
            self.cancel(token.bits(), None);
        }
        match &session.protocol {
            Protocol::Librpc(_) => self.desk.service_left(token.bits()),
            Protocol::Nmid(peer) if peer.is_worker() => self.desk.leave(token.bits(), Moment(self.now.0 + GRACE)),
            Protocol::Nmid(_) | Protocol::Http(_) => {}
        }
        self.run_errands();
    }
}

/// The service and the command that a function's name means.
fn service_command(routes: &Routes, function: &[u8]) -> Option<(u32, u32)> {
    let text = str::from_utf8(function).ok()?;
    let (service, command) = text.rsplit_once('/')?;
    let command = number(command)?;
    let id = routes.named(service.as_bytes()).or_else(|| number(service))?;
    Some((id, command))
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Whether a result says that all went well; one that cannot be read says nothing else.
pub(super) fn is_success(ret: &[u8]) -> bool {
    // How most of them begin.
    ret.starts_with(GO_SUCCESS) || msf_wire::nmid::RetStruct::parse(ret).is_none_or(|ret| ret.code == 0)
}

/// A map of three that begins with the code zero, in nine bytes.
const GO_SUCCESS: &[u8] = b"\x83\xa4Code\xd3\0\0\0\0\0\0\0\0";

/// How often it is sent on because nobody here has the function, which the routes do not know yet.
pub(super) const LOST: u8 = 100;
/// How long jobs wait for a worker that has said goodbye to connect anew, in milliseconds. nmid's own workers do so at
/// once when a job keeps them longer than they wait for a PONG, and five seconds later when that fails; then the job
/// has its deadline to come back. A worker that has not done so by now has ended, and its callers need not wait.
const GRACE: u64 = 6_000;
