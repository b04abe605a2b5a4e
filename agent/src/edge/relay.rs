//! Calls of functions between reactors: sent on to where a worker is, asked for where one is free, and their results and
//! ends on the way back. What the notes look like is [`note`]'s business.

use super::broker::Broker;
use super::functions::{LOST, is_success};
use super::lane::{Kind, Record};
use super::note::{self, Submit};
use crate::core::desk::Identity;
use crate::core::job::{Caller, JobId, Past};
use crate::core::message::{Address, Call, Failure, Outcome};
use crate::core::routes::Routes;
use msf_core::event::Token;
use std::sync::Arc;

impl Broker {
    /// A note from another reactor.
    pub(super) fn unpack_note(&mut self, from: u16, record: &Record<'_>) {
        let there = Address { reactor: from, session: record.sender };
        match record.kind {
            Kind::Frame => {}
            Kind::Submit => {
                let Some(submit) = Submit::parse(record.body) else { return };
                let caller = Caller { address: self.origin(there, record.receiver), ticket: submit.ticket };
                self.place(caller, &submit.call, submit.choice, submit.past);
            }
            Kind::Outcome => {
                if let Some((ticket, outcome)) = note::parse_outcome(record.body) {
                    self.hand_over(Token::from_bits(record.receiver), ticket, &outcome);
                }
            }
            Kind::Return => {
                let Some((id, who, ret)) = note::parse_return(record.body) else { return };
                let settled = self.desk.complete(id, None, &who, is_success(ret));
                self.settle(settled, ret);
            }
            Kind::Cancel => {
                let ticket = record.body.first_chunk::<4>().map(|bytes| u32::from_ne_bytes(*bytes));
                self.desk.cancel(there, ticket);
            }
            Kind::Event => self.spread(record.receiver, record.body),
            Kind::Need => {
                let (needy, asked) = (record.receiver as u16, record.sender + 1);
                match self.desk.give_away(record.body) {
                    Some(id) => self.forward(id, Some(needy)),
                    // Somebody else was faster; but where nothing waits here, something may wait there.
                    None if (asked as usize) < self.lanes.len() => self.ask_for_work(record.body, needy, asked),
                    None => {}
                }
            }
        }
    }

    /// A job that waits here goes where a worker is free, if there is one.
    pub(super) fn seek(&mut self, id: JobId) {
        let Some((name, past)) = self.desk.waiting(id) else { return };
        let function = self.dispatch.routes().function(name).filter(|_| past.hops < MOST_HOPS);
        if let Some(reactor) = function.and_then(|function| self.desk.elsewhere(function)) {
            self.forward(id, Some(reactor));
        }
    }

    /// A job that waits here goes to `reactor`, or to whichever still has a worker for it.
    pub(super) fn forward(&mut self, id: JobId, reactor: Option<u16>) {
        let Some(job) = self.desk.take(id) else { return };
        let (Some(caller), Some(kept)) = (job.caller, &job.params) else { return };
        let routes = Arc::clone(self.dispatch.routes());
        let target = reactor.or_else(|| self.other_reactor(&routes, &job.function).filter(|_| job.past.hops < LOST));
        let left = job.deadline.0.saturating_sub(self.now.0);
        let call = Call { function: &job.function, params: kept.params(), patience: Some(left as u32) };
        match target {
            Some(reactor) => self.send_on(reactor, caller, &call, job.past.sent_on()),
            None if job.past.attempts > 0 => self.conclude(caller, &Outcome::Failed(Failure::Lost)),
            None => self.refuse_call(caller, &job.function, Failure::NoWorker),
        }
    }

    pub(super) fn send_on(&mut self, reactor: u16, caller: Caller, call: &Call<'_>, past: Past) {
        let note = self.submit_note(&Submit { ticket: caller.ticket, past, choice: None, call: *call });
        let Address { reactor: home, session } = caller.address;
        if let Some(lane) = self.lanes.get_mut(usize::from(reactor)).and_then(Option::as_mut) {
            // The receiver's place says on which reactor the caller is, one more than its number; zero is ours.
            lane.push(Kind::Submit, u32::from(home) + 1, session, &note, &mut self.spares);
        }
        self.notes.push(note);
    }

    /// A result for a job that another reactor has.
    pub(super) fn send_return(&mut self, id: JobId, from: &Identity, ret: &[u8]) {
        let mut note = self.notes.pop().unwrap_or_default();
        note.clear();
        note::append_return(&mut note, id, from, ret);
        if let Some(lane) = self.lanes.get_mut(usize::from(id.reactor)).and_then(Option::as_mut) {
            lane.push(Kind::Return, 0, 0, &note, &mut self.spares);
        }
        self.notes.push(note);
    }

    /// Asks the siblings for work that a worker here is free for.
    pub(super) fn look_for_work(&mut self) {
        for name in self.desk.idle() {
            if !self.desk.is_free(&name) {
                continue;
            }
            self.ask_for_work(&name, self.me, 0);
        }
    }

    /// Asks whichever reactor has most calls of `name` waiting for one, on behalf of `needy`.
    fn ask_for_work(&mut self, name: &[u8], needy: u16, asked: u32) {
        let Some(reactor) = self.desk.in_need(name).filter(|reactor| *reactor != needy) else { return };
        if let Some(lane) = self.lanes.get_mut(usize::from(reactor)).and_then(Option::as_mut) {
            lane.push(Kind::Need, u32::from(needy), asked, name, &mut self.spares);
        }
    }

    /// Who asked: the sender of the note, unless it was sent on for somebody else.
    fn origin(&self, there: Address, home: u32) -> Address {
        match home.checked_sub(1) {
            Some(reactor) => Address { reactor: reactor as u16, ..there },
            None => there,
        }
    }

    /// The next reactor that has a worker of `function`. The routes may be behind, and everybody goes the same way round:
    /// a call comes by wherever one is left.
    pub(super) fn other_reactor(&self, routes: &Routes, function: &[u8]) -> Option<u16> {
        let count = self.lanes.len() as u16;
        let reactors = routes.function(function)?.workers.iter().map(|worker| worker.address.reactor);
        reactors.filter(|reactor| *reactor != self.me).min_by_key(|reactor| (reactor + count - self.me) % count)
    }

    pub(super) fn submit_note(&mut self, submit: &Submit<'_>) -> Vec<u8> {
        let mut note = self.notes.pop().unwrap_or_default();
        note.clear();
        submit.append_to(&mut note);
        note
    }
}

/// How often a call is sent from one reactor to another because it might be carried out sooner there.
const MOST_HOPS: u8 = 20;
