//! nmid's clients.
//!
//! Answers carry no number: a client takes whatever comes next for the answer to what it asked last. So the answers to
//! one connection go out in the order of its requests, one for each; and a request that is followed by another one
//! before it is answered is *abandoned* where the client can only have given it up: nothing is ever sent for it. Go's
//! library loses its step, and its process, when it finds two answers in its buffer, so between two of them there is a
//! pause.

use super::super::broker::{Alarm, Broker, Phase};
use super::super::session::Session;
use crate::core::admit::{AnswerOrder, Rewrite};
use crate::core::message::{Call, Failure, Outcome, Params};
use crate::observe::traffic::{Malformed, Protocol};
use msf_core::event::Token;
use msf_wire::nmid::{
    Answer, Dialect, DoJob, Frame, FromClient, RetStruct, as_map, conn, empty, for_first_generation, pdt, to_second,
};
use msf_wire::state;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

/// What a client waits for.
#[derive(Debug, Default)]
pub struct Client {
    /// In the order of the requests.
    asked: VecDeque<Asked>,
    /// Bytes in there, now and as the broker has counted them.
    held: usize,
    counted: usize,
    ticket: u32,
    /// Every request is answered, in order: it has shown that it wants that.
    ordered: bool,
    /// When its last request came, and when the last answer went, in microseconds.
    last_asked: u64,
    last_answered: u64,
    /// The next answer waits for the pause to be over.
    paused: bool,
    /// The buffer of a past request.
    spare: Vec<u8>,
}

state! {
    struct Client {
        asked, held, counted, ticket, ordered, last_asked, last_answered, paused;
        spare: Vec::new(),
    }
}

/// One request that has not been answered.
#[derive(Debug)]
struct Asked {
    ticket: u32,
    dialect: Dialect,
    since: u64,
    /// The function's name and the params, as the client sent them.
    text: Vec<u8>,
    function: usize,
    /// The answer, while earlier ones are not out yet.
    ready: Option<Vec<u8>>,
}

state! { struct Asked { ticket, dialect, since, text, function, ready } }

impl Asked {
    fn size(&self) -> usize {
        self.text.len() + self.ready.as_ref().map_or(0, Vec::len)
    }
}

impl Client {
    /// Whether answers may still come for it.
    pub fn waits(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Whether it has asked so much that it is not listened to for the moment.
    pub fn is_crowded(&self) -> bool {
        self.asked.len() >= MOST_ASKED || self.held >= MOST_HELD
    }

    /// Bytes held for it, as the broker has counted them.
    pub fn buffered(&self) -> usize {
        self.counted
    }

    /// See [`Peer::wake_again`](super::Peer::wake_again).
    pub fn wake_again(&self, micros: u64, pace: u64) -> Vec<(Duration, Alarm)> {
        let left = Duration::from_micros((self.last_answered + pace).saturating_sub(micros));
        self.paused.then_some((left, Alarm::Pause)).into_iter().collect()
    }

    /// A request that needs no answer any more.
    fn take(&mut self, place: usize) -> Option<Asked> {
        let asked = self.asked.remove(place)?;
        self.held -= asked.size();
        Some(asked)
    }

    /// Every request.
    fn take_all(&mut self) -> VecDeque<Asked> {
        self.held = 0;
        std::mem::take(&mut self.asked)
    }

    /// Gives back the memory of past bursts.
    pub fn trim(&mut self) {
        if self.spare.capacity() > KEEP {
            self.spare = Vec::new();
        }
        if self.asked.is_empty() && self.asked.capacity() > MOST_IDLE {
            self.asked = VecDeque::new();
        }
    }

    fn ask(&mut self, dialect: Dialect, job: &DoJob<'_>, since: u64) -> u32 {
        self.ticket = self.ticket.wrapping_add(1);
        let mut text = std::mem::take(&mut self.spare);
        text.clear();
        text.extend_from_slice(job.function);
        text.extend_from_slice(job.params.bytes);
        self.held += text.len();
        self.asked.push_back(Asked {
            ticket: self.ticket,
            dialect,
            since,
            text,
            function: job.function.len(),
            ready: None,
        });
        self.ticket
    }
}

impl Broker {
    pub(super) fn client_frame(&mut self, token: Token, frame: &Frame<'_>) {
        match FromClient::parse(frame) {
            Ok(FromClient::DoJob(dialect, job)) => {
                self.client_asks(token, dialect, &job);
                self.weigh_client(token);
            }
            Ok(FromClient::Other(_)) => self.counts().ignored.count(),
            Err(error) => {
                self.count_misfit(token, Malformed::Lengths);
                if let Some(who) = self.note(token) {
                    self.complain(|| format!("{who}: answered ERROR: {error}"));
                }
                self.client_refused(token);
            }
        }
    }

    fn client_asks(&mut self, token: Token, dialect: Dialect, job: &DoJob<'_>) {
        self.make_up_its_mind(token, dialect);
        let micros = self.micros;
        let Some(client) = self.sessions.get_mut(token).and_then(Session::client) else { return };
        client.last_asked = micros;
        let ticket = client.ask(dialect, job, micros);
        if job.function.is_empty() || job.params.bytes.is_empty() {
            return self.answer_client(token, ticket, &Outcome::Failed(Failure::Error));
        }
        let params = match dialect {
            Dialect::G2 => Cow::Borrowed(job.params.bytes),
            Dialect::G0 => to_second(job.params),
        };
        let params = Params { bytes: &params, ..job.params };
        self.counts().protocols[Protocol::Nmid].requests.count();
        self.submit(token, ticket, &Call { function: job.function, params, patience: None });
    }

    /// A request that cannot be carried out, or read, still has its place in the order of answers.
    pub(super) fn client_refused(&mut self, token: Token) {
        self.make_up_its_mind(token, Dialect::G2);
        let micros = self.micros;
        let Some(client) = self.sessions.get_mut(token).and_then(Session::client) else { return };
        client.last_asked = micros;
        let nothing = DoJob { function: b"", params: Params::untyped(b"") };
        let ticket = client.ask(Dialect::G2, &nothing, micros);
        self.answer_client(token, ticket, &Outcome::Failed(Failure::Error));
    }

    /// Another request has come. If earlier ones are not answered, does the client want both, or has it given those up?
    fn make_up_its_mind(&mut self, token: Token, dialect: Dialect) {
        let (micros, nmid) = (self.micros, self.limits.nmid);
        let Some(client) = self.sessions.get_mut(token).and_then(Session::client) else { return };
        if client.asked.is_empty() || client.ordered {
            return;
        }
        let is_close = micros.saturating_sub(client.last_asked) < u64::from(nmid.gap) * 1000;
        client.ordered = match nmid.order {
            AnswerOrder::Auto => is_close || dialect == Dialect::G0,
            AnswerOrder::Abandon => dialect == Dialect::G0,
            AnswerOrder::Ordered | AnswerOrder::Pipelined => true,
        };
        if client.ordered {
            return;
        }
        let given_up = client.take_all();
        self.counts().abandoned.add(given_up.len() as u64);
        for asked in given_up {
            let routes = std::sync::Arc::clone(self.dispatch.routes());
            let function = asked.text.get(..asked.function).unwrap_or_default();
            if let Some(tally) = routes.function(function).and_then(|route| route.tallies.get(usize::from(self.me))) {
                tally.abandoned.count();
            }
            self.cancel(token.bits(), Some(asked.ticket));
        }
    }

    /// What is held for it belongs to the bytes that the memory ceiling is about.
    fn weigh_client(&mut self, token: Token) {
        if let Some(client) = self.sessions.get_mut(token).and_then(Session::client) {
            let before = std::mem::replace(&mut client.counted, client.held);
            self.buffered = self.buffered + client.held - before;
        }
    }

    /// The end of a request.
    pub(in super::super) fn answer_client(&mut self, token: Token, ticket: u32, outcome: &Outcome<'_>) {
        let (micros, nmid, pace) = (self.micros, self.limits.nmid, self.pace());
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        let Some(client) = self.sessions.get_mut(token).and_then(Session::client) else { return };
        let Some(place) = client.asked.iter().position(|asked| asked.ticket == ticket) else {
            self.frame = frame;
            return self.counts().dropped_abandoned.count();
        };
        let was_crowded = client.is_crowded();
        let Some(asked) = client.asked.get_mut(place) else { return };
        let took = micros.saturating_sub(asked.since);
        if nmid.stale > 0 && asked.dialect == Dialect::G2 && took > u64::from(nmid.stale) * 1000 {
            client.take(place);
            self.frame = frame;
            self.counts().dropped_stale.count();
            if was_crowded {
                self.more.push(token);
            }
            self.weigh_client(token);
            return self.next_answer(token);
        }
        append_answer(&mut frame, asked, outcome, nmid.rewrite);
        if place == 0 && !client.paused && (pace == 0 || !client.ordered) {
            client.last_answered = micros;
            if let Some(asked) = client.take(0) {
                client.spare = asked.text;
            }
            self.put_whole(token, &frame);
        } else {
            client.held += frame.len();
            asked.ready = Some(frame.clone());
        }
        if was_crowded {
            // What it has sent meanwhile is not announced again.
            self.more.push(token);
        }
        self.frame = frame;
        self.weigh_client(token);
        let traffic = &self.counts().protocols[Protocol::Nmid];
        traffic.answers.count();
        traffic.latency.observe(took);
        self.next_answer(token);
    }

    /// Sends the answers that are next, with the pause between them that the client needs.
    pub(in super::super) fn next_answer(&mut self, token: Token) {
        let (micros, pace) = (self.micros, self.pace());
        loop {
            let Some(session) = self.sessions.get_mut(token) else { return };
            let Some(client) = session.client() else { return };
            let was_crowded = client.is_crowded();
            if client.paused || client.asked.front().is_none_or(|asked| asked.ready.is_none()) {
                return;
            }
            let (is_paced, over) = (client.ordered && pace > 0, client.last_answered + pace);
            let must_wait = is_paced && (micros < over || !session.has_sent_all());
            let Some(client) = session.client() else { return };
            if must_wait {
                client.paused = true;
                let wait = over.saturating_sub(micros).max(pace / 2);
                return self.alarms.push((Duration::from_micros(wait), Alarm::Pause, token));
            }
            client.last_answered = micros;
            let frame = client.take(0).and_then(|asked| asked.ready).unwrap_or_default();
            self.put_whole(token, &frame);
            self.weigh_client(token);
            if was_crowded {
                self.more.push(token);
            }
        }
    }

    /// Microseconds between two answers to a client that has shown that it wants each of them. At the end there is no
    /// time for it.
    fn pace(&self) -> u64 {
        let nmid = &self.limits.nmid;
        let is_paced = nmid.order != AnswerOrder::Pipelined && matches!(self.phase, Phase::Serving | Phase::Draining);
        if is_paced { u64::from(nmid.pace) * 1000 } else { 0 }
    }

    /// The pause between two answers is over.
    pub(in super::super) fn pause_is_over(&mut self, token: Token) {
        if let Some(client) = self.sessions.get_mut(token).and_then(Session::client) {
            client.paused = false;
            self.next_answer(token);
        }
    }
}

/// The end of a request as its client understands it.
fn append_answer(out: &mut Vec<u8>, asked: &Asked, outcome: &Outcome<'_>, rewrite: Rewrite) {
    let mut packed = Vec::new();
    let ret = match outcome {
        Outcome::Failed(why) => {
            let kind = match why {
                Failure::NoWorker => pdt::CANT_DO,
                Failure::Busy => pdt::RATE_LIMIT,
                Failure::Deadline | Failure::Lost | Failure::Unfit | Failure::Error => pdt::ERROR,
            };
            return out.extend_from_slice(&empty(conn::SERVER, kind));
        }
        Outcome::Ret(ret) => *ret,
        Outcome::Service { errcode, body } => {
            RetStruct { code: i64::from(*errcode), msg: b"", data: body }.append_map_to(&mut packed);
            &packed
        }
    };
    let ret = match (asked.dialect, rewrite) {
        (Dialect::G0, Rewrite::G0 | Rewrite::All) => match for_first_generation(ret) {
            Some(ret) => ret,
            // Its reader would not survive it, and an empty one is none either.
            None => return out.extend_from_slice(&empty(conn::SERVER, pdt::ERROR)),
        },
        (Dialect::G2, Rewrite::All) => as_map(ret),
        _ => Cow::Borrowed(ret),
    };
    let (function, params) = asked.text.split_at_checked(asked.function).unwrap_or_default();
    Answer { function, params, ret: &ret }.append_to(out);
}

/// Requests of one connection that may be unanswered; more are not read.
const MOST_ASKED: usize = 1024;
/// Bytes of requests and of answers that wait for earlier ones; while there are more, nothing more is read.
const MOST_HELD: usize = 1 << 20;
/// What an idle client may keep for its next request.
const KEEP: usize = 4096;
const MOST_IDLE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(dialect: Dialect, ret: &[u8]) -> Vec<u8> {
        let asked = Asked { ticket: 1, dialect, since: 0, text: b"F\x91\xa3a:b".to_vec(), function: 1, ready: None };
        let mut frame = Vec::new();
        append_answer(&mut frame, &asked, &Outcome::Ret(ret), Rewrite::G0);
        frame
    }

    #[test]
    fn regress_an_empty_result_is_an_error_for_the_first_generation() {
        assert_eq!(answered(Dialect::G0, b""), empty(conn::SERVER, pdt::ERROR));
        let mut whole = Vec::new();
        Answer { function: b"F", params: b"\x91\xa3a:b", ret: b"" }.append_to(&mut whole);
        assert_eq!(answered(Dialect::G2, b""), whole, "Go's callback is called for it");
    }
}
