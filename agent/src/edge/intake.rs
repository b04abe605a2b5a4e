//! From a socket's bytes to the frames of its protocol.

use super::broker::Broker;
use super::session::{Ending, Protocol};
use msf_core::event::Token;
use nix::errno::Errno;
use nix::unistd::read;

impl Broker {
    /// Reads what a session has for us, as far as its share of this turn goes.
    pub(super) fn pull(&mut self, token: Token) {
        let mut scratch = std::mem::take(&mut self.scratch);
        self.feed(token, &[]);
        for _ in 0..READS_PER_TURN {
            let Some(session) = self.sessions.get_mut(token) else { break };
            if !session.readable || !session.listens() {
                break;
            }
            match read(&session.socket, &mut scratch) {
                Ok(0) => self.no_more_from(token),
                Ok(count) => {
                    // A short read has emptied a stream socket; the end of file, if any, comes as an edge of its own.
                    session.readable = count == scratch.len() || session.hangup || session.broken;
                    session.heard = true;
                    self.traffic(token, |traffic| traffic.received.add(count as u64));
                    self.feed(token, scratch.get(..count).unwrap_or_default());
                }
                // Nothing more to read, nothing can be written: that is an end, too.
                Err(Errno::EAGAIN) if session.broken => self.doom(token, Ending::Closed),
                Err(Errno::EAGAIN) => session.readable = false,
                Err(Errno::EINTR) => {}
                Err(Errno::ENOMEM | Errno::ENOBUFS) => {
                    self.scratch = scratch;
                    return self.starved.push(token);
                }
                Err(_) => self.doom(token, Ending::Closed),
            }
        }
        self.scratch = scratch;
        if self.sessions.get(token).is_some_and(|session| session.readable && session.listens()) {
            self.more.push(token);
        }
    }

    /// Handles the frames in what has been kept of a session's bytes and in `fresh`, and keeps the rest.
    fn feed(&mut self, token: Token, fresh: &[u8]) {
        let Some(session) = self.sessions.get_mut(token) else { return };
        if session.inbox.is_empty() {
            let used = self.digest(token, fresh);
            let rest = fresh.get(used..).unwrap_or_default();
            if let Some(session) = self.sessions.get_mut(token) {
                session.inbox.extend_from_slice(rest);
                self.buffered += rest.len();
            }
            return;
        }
        let mut inbox = std::mem::take(&mut session.inbox);
        inbox.extend_from_slice(fresh);
        let used = self.digest(token, &inbox);
        inbox.drain(..used);
        self.buffered = self.buffered + fresh.len() - used;
        if let Some(session) = self.sessions.get_mut(token) {
            session.inbox = inbox;
        }
    }

    /// Handles the whole frames at the front of `bytes`; how many bytes they were.
    fn digest(&mut self, token: Token, bytes: &[u8]) -> usize {
        let mut used = self.throw_away(token, bytes.len());
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            let Some(session) = self.sessions.get(token).filter(|session| session.listens()) else { break };
            let length = match session.protocol {
                Protocol::Librpc(_) => self.librpc_frame(token, rest),
                Protocol::Nmid(_) => self.nmid_frame(token, rest),
                Protocol::Http(_) => self.http_frame(token, rest),
            };
            if length == 0 {
                break;
            }
            used += length;
        }
        used.min(bytes.len())
    }

    /// How many of `available` bytes belong to a payload that was refused.
    fn throw_away(&mut self, token: Token, available: usize) -> usize {
        let Some(session) = self.sessions.get_mut(token) else { return 0 };
        let thrown = session.skip.min(available);
        session.skip -= thrown;
        thrown
    }

    /// The session's name, once: one line about what it may not do is enough.
    pub(super) fn note(&mut self, token: Token) -> Option<String> {
        let session = self.sessions.get_mut(token).filter(|session| !session.noted)?;
        session.noted = true;
        Some(session.who())
    }
}

/// How often a session may read per turn before the others get theirs.
const READS_PER_TURN: usize = 4;
