//! Functions called by name by librpc's peers, and librpc's services called as functions.

use super::super::broker::Broker;
use super::super::session::Session;
use crate::core::admit;
use crate::core::job::Caller;
use crate::core::message::{Call, Failure, Outcome, Params};
use crate::observe::traffic::{Malformed, Protocol};
use msf_core::event::Token;
use msf_wire::librpc::{CallFunction, Header, errcode, id, timeout};
use msf_wire::nmid::{RetStruct, handle_type, service_params};

impl Broker {
    /// A member calls a function by its name.
    pub(super) fn call_function(&mut self, token: Token, head: &Header, body: &[u8]) {
        let Ok(call) = CallFunction::parse(body) else {
            self.count_misfit(token, Malformed::Body);
            return self.put(token, &head.ack(errcode::EXEC_FAIL, 0).encode());
        };
        self.traffic(token, |traffic| traffic.requests.count());
        let micros = self.micros;
        let Some(member) = self.sessions.get_mut(token).and_then(Session::librpc) else { return };
        member.ticket = member.ticket.wrapping_add(1);
        let ticket = member.ticket;
        // Whether the answer shall be raw is kept where a request has its zeroes.
        let kept = Header { errcode: u32::from(call.raw), ..*head };
        member.calls.insert(ticket, (kept, micros));
        let params = Params { kind: call.params_type, handle: handle_type::ENCODE, bytes: call.params };
        let patience = (head.timeout != timeout::NO_WAIT && head.timeout != timeout::FOREVER).then_some(head.timeout);
        self.submit(token, ticket, &Call { function: call.name, params, patience });
    }

    /// The end of such a call.
    pub(in super::super) fn answer_member(&mut self, token: Token, ticket: u32, outcome: &Outcome<'_>) {
        let Some(member) = self.sessions.get_mut(token).and_then(Session::librpc) else { return };
        let Some((head, since)) = member.calls.remove(&ticket) else { return };
        let is_raw = head.errcode == 1;
        let (code, number, body) = match outcome {
            Outcome::Ret(ret) if is_raw => (errcode::EXEC_SUCC, 0, *ret),
            Outcome::Ret(ret) => match RetStruct::parse(ret) {
                Some(RetStruct { code: 0, data, .. }) => (errcode::EXEC_SUCC, 0, data),
                Some(RetStruct { code, msg, .. }) => (errcode::EXEC_FAIL, code, msg),
                None => (errcode::EXEC_SUCC, 0, *ret),
            },
            Outcome::Service { errcode: 0, body } => (errcode::EXEC_SUCC, 0, *body),
            Outcome::Service { errcode, body } => (*errcode, i64::from(*errcode), *body),
            Outcome::Failed(why) => (in_numbers(*why), 0, b"".as_slice()),
        };
        let number = number.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        let ack = head.ack(code, body.len() as u32).with_code(number);
        let mut frame = ack.encode().to_vec();
        frame.extend_from_slice(body);
        self.counts().replies.count();
        let traffic = &self.counts().protocols[Protocol::Librpc];
        traffic.answers.count();
        traffic.latency.observe(self.micros.saturating_sub(since));
        self.put(token, &frame);
    }

    /// A function's name that means a command of the service of `session`, which lives here.
    pub(in super::super) fn ask_service(&mut self, session: u32, command: u32, caller: Caller, call: &Call<'_>) {
        let target = Token::from_bits(session);
        let Ok(asked) = service_params(call.params) else {
            return self.refuse_call(caller, call.function, Failure::Unfit);
        };
        let payload = asked.payload.unwrap_or_default();
        let load = self.load();
        let member = self.sessions.get(target).filter(|session| session.takes()).and_then(|session| {
            let admitted = admit::call(&self.limits, session.outbox.len(), payload.len(), load);
            Some((session.member()?, admitted.is_ok()))
        });
        let (service, most) = match member {
            Some((service, true)) if payload.len() <= self.limits.payload as usize => (service, self.limits.pending),
            Some(_) => return self.refuse_call(caller, call.function, Failure::Busy),
            None => return self.refuse_call(caller, call.function, Failure::NoWorker),
        };
        match self.desk.ask(session, caller, call.function, call.patience, most) {
            Ok((seq, wait)) => {
                let head = Header {
                    datalen: payload.len() as u32,
                    restlen: asked.restlen,
                    timeout: wait.max(1),
                    ..Header::request(id::FUNCTION_SRV, service, command, seq)
                };
                let mut frame = head.encode().to_vec();
                frame.extend_from_slice(&payload);
                self.counts().calls.count();
                self.put(target, &frame);
            }
            Err(why) => self.refuse_call(caller, call.function, why),
        }
    }

    /// A service has carried out what it was asked for as a function.
    pub(super) fn function_done(&mut self, token: Token, head: &Header, body: &[u8]) {
        use crate::core::desk::Settled;
        match self.desk.answered(token.bits(), head.seq) {
            Settled::Due(caller) => self.conclude(caller, &Outcome::Service { errcode: head.errcode, body }),
            Settled::Unwanted => self.counts().dropped_abandoned.count(),
            Settled::Late | Settled::Foreign => self.counts().dropped_late.count(),
        }
    }
}

fn in_numbers(why: Failure) -> u32 {
    match why {
        Failure::NoWorker | Failure::Lost => errcode::PEER_OFFLINE,
        Failure::Busy => errcode::PEER_BUSY,
        Failure::Deadline => errcode::DEADLINE,
        Failure::Unfit | Failure::Error => errcode::EXEC_FAIL,
    }
}
