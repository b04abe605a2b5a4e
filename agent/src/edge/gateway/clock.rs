//! How long a visitor may take: over a head, over a body, and over nothing at all. The broker's sweep looks at it once a
//! second, so an end may come a second late.

use super::super::broker::Broker;
use super::super::session::{Ending, Protocol, Session};
use super::Visitor;
use crate::core::admit::Http;
use crate::core::message::Moment;
use crate::observe::traffic::Malformed;
use msf_core::event::Token;
use msf_wire::http::Stage;
use msf_wire::state;
use msf_wire::ws;
use nix::sys::socket::{Shutdown, shutdown};
use std::os::fd::AsRawFd;

/// Where a visitor stands, and since when.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    stage: Stage,
    since: Moment,
}

state! { struct Clock { stage, since } }

impl Default for Clock {
    fn default() -> Clock {
        Clock { stage: Stage::Idle, since: Moment(0) }
    }
}

impl Clock {
    /// Something has come or gone; the visitor stands here now. Each request's time begins with its first byte.
    pub fn note(&mut self, stage: Stage, now: Moment) {
        if stage != self.stage || stage == Stage::Idle {
            *self = Clock { stage, since: now };
        }
    }

    /// Whether patience has ended, with somebody who came at `came`.
    fn is_over(&self, came: Moment, limits: &Http, now: Moment) -> bool {
        let wait = match self.stage {
            Stage::Idle => limits.idle,
            Stage::Head => limits.head_wait,
            Stage::Body => limits.body_wait,
        };
        now.0 >= self.since.max(came).0 + u64::from(wait)
    }
}

impl Broker {
    /// Looks whether a visitor takes too long.
    pub(in super::super) fn watch_visitor(&mut self, token: Token) {
        let (limits, now) = (self.limits.http, self.now);
        let Some(session) = self.sessions.get_mut(token).filter(|session| !session.doomed) else { return };
        let came = session.since;
        let Protocol::Http(visitor) = &mut session.protocol else { return };
        match visitor.closing {
            Some(until) if now >= until => return self.doom(token, Ending::Closed),
            Some(_) => return,
            None => {}
        }
        if visitor.waits() {
            // It is we who keep it waiting.
            return visitor.clock.note(Stage::Idle, now);
        }
        if visitor.clock.is_over(came, &limits, now) {
            self.run_out_of_patience(token);
        }
    }

    fn run_out_of_patience(&mut self, token: Token) {
        let now = self.now;
        let Some(visitor) = self.visitor(token) else { return };
        let stage = visitor.clock.stage;
        match (&mut visitor.socket, stage) {
            (Some(socket), Stage::Idle) if !socket.asked => {
                socket.asked = true;
                visitor.clock.note(Stage::Idle, now);
                let mut frame = Vec::new();
                ws::Frame { end: true, opcode: ws::opcode::PING, mask: None, payload: b"" }.append_to(&mut frame);
                self.put(token, &frame);
            }
            (Some(_), _) => self.hang_up(token, ws::code::GOING_AWAY, "nothing came in time"),
            (None, Stage::Idle) => self.doom(token, Ending::Closed),
            (None, Stage::Head) => self.turn_away(token, 408, "the head of the request did not come in time"),
            (None, Stage::Body) => self.turn_away(token, 408, "the body of the request did not come in time"),
        }
        if stage != Stage::Idle {
            self.count_misfit(token, Malformed::Slow);
        }
    }

    /// The last word has been said. Our side of the connection is closed once that is out; the other side is read to
    /// its end for a while, since a connection closed with bytes unread would take the last word back.
    pub(super) fn close_after_this(&mut self, token: Token) {
        let until = Moment(self.now.0 + LINGER);
        if let Some(visitor) = self.visitor(token) {
            visitor.closing.get_or_insert(until);
        }
    }

    pub(super) fn visitor(&mut self, token: Token) -> Option<&mut Visitor> {
        match &mut self.sessions.get_mut(token).filter(|session| !session.doomed)?.protocol {
            Protocol::Http(visitor) => Some(visitor),
            _ => None,
        }
    }
}

impl Session {
    /// Its outbox is empty. If that was the last word of a visitor, our side of the connection is closed.
    pub(in super::super) fn last_word_is_out(&mut self) {
        if let Protocol::Http(visitor) = &self.protocol
            && visitor.closing.is_some()
        {
            // The peer may have closed its side meanwhile, which is what we want.
            shutdown(self.socket.as_raw_fd(), Shutdown::Write).ok();
        }
    }
}

/// Milliseconds a peer has to read its last answer.
const LINGER: u64 = 2000;
