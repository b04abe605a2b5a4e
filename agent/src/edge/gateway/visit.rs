//! Requests of a visitor, and the answers to them.

use super::super::broker::{Broker, Phase};
use super::MOST_OPEN;
use super::compat;
use super::line::{Face, Pending};
use super::manner::Manner;
use super::modern::{self, Health};
use super::verdict::Verdict;
use super::wanted::Wanted;
use crate::core::message::{Moment, Outcome};
use crate::observe::traffic::{Malformed, Protocol};
use msf_core::event::Token;
use msf_wire::http::{Decoder, Limits, Persistence, Refusal, Request, Response, Step};

impl Broker {
    /// Handles what `bytes` begin with; how many bytes are done with, none when more are needed first.
    pub(in super::super) fn http_frame(&mut self, token: Token, bytes: &[u8]) -> usize {
        let Some(visitor) = self.visitor(token) else { return bytes.len() };
        if visitor.closing.is_some() {
            return bytes.len();
        }
        let used = if visitor.socket.is_some() {
            self.socket_frame(token, bytes)
        } else {
            // Taken out while it lends us the request, which may be answered before we are back.
            let mut decoder = std::mem::take(&mut visitor.decoder);
            let used = self.read_request(token, &mut decoder, bytes);
            let (now, stage) = (self.now, decoder.stage());
            if let Some(visitor) = self.visitor(token) {
                visitor.decoder = decoder;
                visitor.clock.note(stage, now);
            }
            used
        };
        self.weigh(token);
        used
    }

    fn read_request(&mut self, token: Token, decoder: &mut Decoder, bytes: &[u8]) -> usize {
        let limits = Limits { head: self.limits.http.head, body: self.limits.http.body };
        match decoder.step(bytes, &limits) {
            Ok(Step::Request(request, used)) => {
                self.request(token, &request);
                used
            }
            Ok(Step::NeedMore(used)) => {
                if self.is_full(bytes.len()) {
                    self.turn_away(token, 503, "the agent's memory ceiling is reached");
                    return bytes.len();
                }
                used
            }
            Ok(Step::Continue(used)) => {
                // Behind requests without an answer it would be taken for the first one's.
                if self.visitor(token).is_some_and(|visitor| visitor.line.is_empty()) {
                    let mut go_on = Vec::new();
                    Response::go_on(&mut go_on);
                    self.put(token, &go_on);
                }
                used
            }
            Err(refusal) => {
                self.count_misfit(token, reason(&refusal));
                self.turn_away(token, refusal.status(), &refusal.to_string());
                bytes.len()
            }
        }
    }

    /// One request, whole.
    fn request(&mut self, token: Token, request: &Request<'_>) {
        self.counts().protocols[Protocol::Http].requests.count();
        let (draining, full) = (self.phase != Phase::Serving, self.is_full(request.body.len()));
        let me = u64::from(self.me);
        let Some(visitor) = self.visitor(token) else { return };
        visitor.count = visitor.count.wrapping_add(1);
        let fresh = me << 56 | u64::from(token.bits()) << 24 | u64::from(visitor.count & 0xff_ffff);
        let health = Health { draining, full, behind: !visitor.line.is_empty() };
        let manner = Manner::of(&request.head, draining);
        visitor.last = manner.persistence == Persistence::Ends;
        let mut out = std::mem::take(&mut self.frame);
        out.clear();
        if request.head.header(compat::REQUEST_TYPE).is_some() {
            let knows = |name: &[u8]| self.dispatch.routes().function(name).is_some();
            match compat::ask(request, manner, knows, &mut out) {
                compat::Ask::Call(wanted) => {
                    let named = request.head.header("N-NMID-FunctionName").unwrap_or_default();
                    self.begin_call(token, &wanted, manner, Face::Compat(named.into()));
                }
                compat::Ask::Answered(status) => self.answered(token, &mut out, status, manner.persistence),
            }
        } else {
            match modern::ask(request, manner, health, fresh, &mut out) {
                modern::Ask::Call(wanted, telling) => {
                    self.begin_call(token, &wanted, manner, Face::Modern(telling));
                }
                modern::Ask::Answered(status) => self.answered(token, &mut out, status, manner.persistence),
                modern::Ask::Upgraded => {
                    if let Some(visitor) = self.visitor(token) {
                        visitor.socket = Some(Box::default());
                        visitor.last = false;
                    }
                    self.answered(token, &mut out, 101, Persistence::Stays);
                    // One kind of connection less, one of another more.
                    let protocols = &self.counts().protocols;
                    protocols[Protocol::Http].closed.count();
                    protocols[Protocol::Ws].opened.count();
                }
            }
        }
        self.frame = out;
    }

    fn begin_call(&mut self, token: Token, wanted: &Wanted<'_>, manner: Manner, face: Face) {
        let since = self.micros;
        let Some(visitor) = self.visitor(token) else { return };
        let ticket = visitor.line.wait(Pending { manner, face, since });
        self.submit(token, ticket, &wanted.call());
    }

    /// A request was answered without a call.
    fn answered(&mut self, token: Token, out: &mut Vec<u8>, status: u16, persistence: Persistence) {
        self.count_answer(status);
        let Some(visitor) = self.visitor(token) else { return };
        let after = visitor.line.answered(out, persistence);
        if !out.is_empty() {
            self.put(token, out);
        }
        self.go_on_after(token, after);
    }

    /// The end of a call.
    pub(in super::super) fn answer_visitor(&mut self, token: Token, ticket: u32, outcome: &Outcome<'_>) {
        let verdict = Verdict::of(outcome);
        let Some(visitor) = self.visitor(token) else { return };
        if visitor.socket.is_some() {
            return self.answer_socket(token, ticket, &verdict);
        }
        let was_crowded = visitor.open() >= MOST_OPEN;
        let mut out = std::mem::take(&mut self.frame);
        out.clear();
        let Some(visitor) = self.visitor(token) else { return };
        let told = visitor.line.conclude(ticket, &verdict, &mut out);
        let after = visitor.line.advance(&mut out);
        if !out.is_empty() {
            self.put(token, &out);
        }
        self.frame = out;
        match told {
            Some(told) => {
                self.count_answer(told.status);
                let took = self.micros.saturating_sub(told.since);
                self.counts().protocols[Protocol::Http].latency.observe(took);
            }
            None => self.counts().dropped_abandoned.count(),
        }
        if was_crowded {
            self.more.push(token);
        }
        self.weigh(token);
        self.go_on_after(token, after);
    }

    /// What becomes of the connection after an answer that is out.
    fn go_on_after(&mut self, token: Token, after: Option<Persistence>) {
        let now = self.now;
        let Some(visitor) = self.visitor(token) else { return };
        visitor.clock.note(visitor.decoder.stage(), now);
        if after == Some(Persistence::Ends)
            && let Some(session) = self.sessions.get_mut(token)
        {
            // It ends as soon as that has been written; nothing more was to be read.
            session.leaving.get_or_insert(Moment(now.0 + LINGER));
        }
    }

    /// What came was no request we answer, or did not come: that is said, behind the answers that are owed, and is the
    /// last word.
    pub(super) fn turn_away(&mut self, token: Token, status: u16, why: &str) {
        let mut out = Vec::new();
        Manner::last().refuse(&mut out, status, why, &[]);
        self.count_answer(status);
        let Some(visitor) = self.visitor(token) else { return };
        visitor.last = true;
        match visitor.line.answered(&mut out, Persistence::Ends) {
            Some(_) => {
                self.put(token, &out);
                self.close_after_this(token);
            }
            None => self.weigh(token),
        }
    }

    /// Whether so many bytes more would be too many.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        self.load() + bytes as u64 > self.limits.memory
    }

    /// Brings the account of what is held for a visitor up to date.
    pub(super) fn weigh(&mut self, token: Token) {
        let Some(visitor) = self.visitor(token) else { return };
        let (before, now) = (visitor.held, visitor.holds());
        visitor.held = now;
        self.buffered = self.buffered + now - before;
    }

    fn count_answer(&self, status: u16) {
        let counts = self.counts();
        counts.protocols[Protocol::Http].answers.count();
        match status {
            ..200 => counts.http_1xx.count(),
            200..400 => counts.http_2xx.count(),
            400..500 => counts.http_4xx.count(),
            500.. => counts.http_5xx.count(),
        }
    }
}

/// As what a refusal is counted.
fn reason(refusal: &Refusal) -> Malformed {
    match refusal {
        Refusal::NotHttp(_) | Refusal::Version => Malformed::Preamble,
        Refusal::Framing(_) => Malformed::Lengths,
        Refusal::HeadTooLong(_) | Refusal::BodyTooLong(_) => Malformed::Oversized,
        Refusal::TooManyHeaders(_) | Refusal::Coding | Refusal::Expectation => Malformed::Header,
    }
}

/// Milliseconds a peer has to read its last answer.
const LINGER: u64 = 10_000;
