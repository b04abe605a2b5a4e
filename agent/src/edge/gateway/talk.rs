//! A visitor that has become a WebSocket: its messages, and the answers to them.

use super::super::broker::{Broker, Phase};
use super::MOST_OPEN;
use super::socket::{complaint, read};
use super::verdict::Verdict;
use crate::core::message::Moment;
use crate::observe::traffic::{Malformed, Protocol};
use msf_core::event::Token;
use msf_wire::http::Stage;
use msf_wire::ws::{self, Decoder, Event, Refusal, Step};

impl Broker {
    /// Handles what `bytes` begin with; how many bytes are done with.
    pub(super) fn socket_frame(&mut self, token: Token, bytes: &[u8]) -> usize {
        let now = self.now;
        let Some(socket) = self.visitor(token).and_then(|visitor| visitor.socket.as_mut()) else { return bytes.len() };
        socket.asked = false;
        // Taken out while it lends us the message, which may be answered before we are back.
        let mut decoder = std::mem::take(&mut socket.decoder);
        let used = self.read_message(token, &mut decoder, bytes);
        decoder.let_go();
        let stage = if decoder.is_within() { Stage::Body } else { Stage::Idle };
        if let Some(visitor) = self.visitor(token) {
            visitor.clock.note(stage, now);
            if let Some(socket) = &mut visitor.socket {
                socket.decoder = decoder;
            }
        }
        used
    }

    fn read_message(&mut self, token: Token, decoder: &mut Decoder, bytes: &[u8]) -> usize {
        let mut reply = Vec::new();
        let used = match decoder.step(bytes, self.limits.http.body) {
            Ok(Step::NeedMore(used)) => {
                // As for a body: many messages that never end must not hold more than the agent may.
                if decoder.is_within() && self.is_full(bytes.len()) {
                    self.hang_up(token, ws::code::TRY_LATER, "the agent's memory ceiling is reached");
                    *decoder = Decoder::default();
                    return bytes.len();
                }
                used
            }
            Ok(Step::Event(event, used)) => {
                match event {
                    Event::Text(text) => self.message(token, text),
                    Event::Binary(_) => self.hang_up(token, ws::code::UNSUPPORTED, "messages are texts in JSON"),
                    Event::Ping(payload) => ws::append_pong(&mut reply, payload),
                    Event::Pong(_) => {}
                    Event::Close(code, _) => self.say_goodbye(token, code),
                }
                used
            }
            Err(refusal) => {
                let why = match refusal {
                    Refusal::Protocol(_) => Malformed::Preamble,
                    Refusal::NotUtf8 => Malformed::Body,
                    Refusal::TooLong(_) => Malformed::Oversized,
                };
                self.count_misfit(token, why);
                self.hang_up(token, refusal.code(), &refusal.to_string());
                bytes.len()
            }
        };
        if !reply.is_empty() {
            self.put(token, &reply);
        }
        used
    }

    /// One text.
    fn message(&mut self, token: Token, text: &str) {
        self.counts().protocols[Protocol::Ws].requests.count();
        let (since, draining) = (self.micros, self.phase != Phase::Serving);
        match read(text) {
            Ok((_, id)) if draining => self.say_text(token, &complaint(&id, 503, "the agent is about to end")),
            Ok((wanted, id)) => {
                let Some(socket) = self.visitor(token).and_then(|visitor| visitor.socket.as_mut()) else { return };
                let ticket = socket.calls.begin(&id, since);
                self.submit(token, ticket, &wanted.call());
            }
            Err(answer) => self.say_text(token, &answer),
        }
    }

    /// The end of a call.
    pub(super) fn answer_socket(&mut self, token: Token, ticket: u32, verdict: &Verdict<'_>) {
        let Some(visitor) = self.visitor(token) else { return };
        let was_crowded = visitor.open() >= MOST_OPEN;
        let asked = visitor.socket.as_mut().and_then(|socket| socket.calls.end(ticket));
        let Some(asked) = asked else { return self.counts().dropped_abandoned.count() };
        self.say_text(token, &asked.conclude(verdict));
        let took = self.micros.saturating_sub(asked.since);
        self.counts().protocols[Protocol::Ws].latency.observe(took);
        if was_crowded {
            self.more.push(token);
        }
    }

    fn say_text(&mut self, token: Token, text: &str) {
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        ws::append_text(&mut frame, text);
        self.put(token, &frame);
        self.frame = frame;
        self.counts().protocols[Protocol::Ws].answers.count();
    }

    /// We end it.
    pub(super) fn hang_up(&mut self, token: Token, code: u16, why: &str) {
        self.forget_calls(token);
        let mut frame = Vec::new();
        ws::append_close(&mut frame, Some(code), why);
        self.put(token, &frame);
        self.close_after_this(token);
    }

    /// The client ends it, and gets its own code back.
    fn say_goodbye(&mut self, token: Token, code: Option<u16>) {
        self.forget_calls(token);
        let mut frame = Vec::new();
        ws::append_close(&mut frame, code, "");
        self.put(token, &frame);
        let until = Moment(self.now.0 + GOODBYE);
        if let Some(session) = self.sessions.get_mut(token) {
            session.leaving.get_or_insert(until);
        }
    }

    /// Nothing may be said behind a Close: the answers of calls that are open have nowhere to go.
    fn forget_calls(&mut self, token: Token) {
        if let Some(socket) = self.visitor(token).and_then(|visitor| visitor.socket.as_mut()) {
            socket.calls = super::Calls::default();
            self.cancel(token.bits(), None);
        }
    }
}

/// Milliseconds a client has to read our Close.
const GOODBYE: u64 = 2000;
