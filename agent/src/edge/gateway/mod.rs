//! The HTTP gateway: requests in, calls of functions out, and their ends back as responses.

use super::broker::Broker;
use crate::core::message::Outcome;
use msf_core::event::Token;

/// One HTTP peer.
#[derive(Debug, Default)]
pub struct Visitor {
    asked: u32,
}

impl Visitor {
    /// Whether answers may still come for it.
    pub fn waits(&self) -> bool {
        self.asked > 0
    }

    /// Whether its requests may be looked at now.
    pub fn listens(&self) -> bool {
        true
    }
}

impl Broker {
    /// Handles the request that `bytes` begin with; how many bytes are done with, none when it is not whole yet.
    pub(super) fn http_frame(&mut self, token: Token, bytes: &[u8]) -> usize {
        self.doom(token, super::session::Ending::Malformed("HTTP is not served yet".to_owned()));
        bytes.len()
    }

    /// Looks whether it takes too long over its request.
    pub(super) fn watch_visitor(&mut self, _token: Token) {}

    /// The end of a call.
    pub(super) fn answer_visitor(&mut self, _token: Token, _ticket: u32, _outcome: &Outcome<'_>) {}
}
