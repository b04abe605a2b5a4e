//! The HTTP gateway: requests in, calls of functions out, and their ends back as responses.
//!
//! A [`Visitor`] is one connection. Its requests are answered in their order ([`line`]), in the face they have seen:
//! nmid's ([`compat`]) or ours ([`modern`]); or it has become a WebSocket ([`socket`]), whose calls are answered as they
//! end. What they mean is decided in those files without a session; `visit` and `talk` are where they meet the broker,
//! and `clock` ends whoever keeps us waiting.

mod clock;
mod compat;
mod line;
mod manner;
mod modern;
mod socket;
mod talk;
mod verdict;
mod visit;
mod wanted;

use crate::core::message::Moment;
use clock::Clock;
use line::Line;
use msf_wire::state;
use msf_wire::{http, ws};
use socket::Calls;

/// One HTTP peer.
#[derive(Debug, Default)]
pub struct Visitor {
    decoder: http::Decoder,
    line: Line,
    /// What it is since it became a WebSocket.
    socket: Option<Box<Socket>>,
    /// Requests so far.
    count: u32,
    clock: Clock,
    /// The answer to its last request is under way: nothing behind that is looked at.
    last: bool,
    /// It has been told why its connection ends; until then it may read that, and what it sends is thrown away.
    closing: Option<Moment>,
    /// Bytes held for it here, as the broker has counted them.
    held: usize,
}

state! { struct Visitor { decoder, line, socket, count, clock, last, closing, held } }

/// A visitor's WebSocket.
#[derive(Debug, Default)]
struct Socket {
    decoder: ws::Decoder,
    calls: Calls,
    /// It has been asked whether it lives, and has said nothing since.
    asked: bool,
}

state! { struct Socket { decoder, calls, asked } }

impl Visitor {
    /// Whether answers may still come for it.
    pub fn waits(&self) -> bool {
        self.open() > 0
    }

    /// Whether its requests may be looked at now.
    pub fn listens(&self) -> bool {
        self.closing.is_some() || (!self.last && self.open() < MOST_OPEN)
    }

    /// Whether it stands between two requests, or between two messages.
    pub fn is_between(&self) -> bool {
        self.decoder.stage() == http::Stage::Idle
            && self.socket.as_ref().is_none_or(|socket| !socket.decoder.is_within())
    }

    /// Whether it has become a WebSocket.
    pub fn is_socket(&self) -> bool {
        self.socket.is_some()
    }

    /// Bytes held for it beside its inbox and outbox.
    pub fn buffered(&self) -> usize {
        self.held
    }

    /// Requests without an answer.
    fn open(&self) -> usize {
        self.line.len() + self.socket.as_ref().map_or(0, |socket| socket.calls.len())
    }

    /// What is held for it now.
    fn holds(&self) -> usize {
        let socket = self.socket.as_ref().map_or(0, |socket| socket.decoder.buffered());
        self.decoder.buffered() + self.line.buffered() + socket
    }
}

/// Requests of one connection that may be unanswered; more are not read.
const MOST_OPEN: usize = 1024;
