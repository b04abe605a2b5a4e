//! One connected peer: its socket, who it is, what has come in and is not a whole frame yet, what must go out.

use super::outbox::Outbox;
use crate::core::awaiting::Awaiting;
use crate::core::message::{Moment, Peer};
use msf_wire::librpc::Header;
use std::os::fd::OwnedFd;

/// A connection and its state; it belongs to one reactor for life.
#[derive(Debug)]
pub struct Session {
    /// The socket, non-blocking.
    pub socket: OwnedFd,
    /// Who connected.
    pub peer: Peer,
    /// When it came.
    pub since: Moment,
    /// Who it is to the others.
    pub standing: Standing,
    /// The answers it waits for.
    pub awaiting: Awaiting,
    /// The name it logged in with, for the log.
    pub name: String,
    /// Bytes received and not used yet: usually none, or the beginning of a frame.
    pub inbox: Vec<u8>,
    /// Frames to be written.
    pub outbox: Outbox,
    /// Bytes of a refused payload that are still to come, to be thrown away.
    pub skip: usize,
    /// The kernel may have more for us: nothing less than an empty read clears this.
    pub readable: bool,
    /// The peer has closed its side, or the connection has failed; what it sent before is still to be read.
    pub hangup: bool,
    /// Waits for a sibling's mailbox; reads nothing meanwhile.
    pub parked: bool,
    /// The outbox is to be flushed at the end of this turn.
    pub dirty: bool,
    /// The last flush was cut short: the reactor watches for room.
    pub blocked: bool,
    /// A write has failed: nothing more goes out, but what the peer sent before it closed is still to be read.
    pub broken: bool,
    /// To be closed at the end of this turn; gets nothing more.
    pub doomed: bool,
    /// It has sent a KALIVE once, so it knows them and answers ours.
    pub probes: bool,
    /// Something has come in since this was last cleared.
    pub heard: bool,
    /// A log line has been written about what it may not do; one is enough, a peer could fill the disk with more.
    pub noted: bool,
}

/// Who a session is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Has not logged in; may do nothing else.
    Stranger,
    /// Has asked; what it sent after that waits for the verdict. The request's header is kept for the answer.
    Joining(Header),
    /// Is known to all under this id.
    Member(u32),
    /// Was known under this id. Its peer sends no more, but reads: it gets the answers it waits for, until then.
    Leaving(u32, Moment),
}

/// Why a session ends, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The peer closed it, or it broke.
    Closed,
    /// The peer logged out.
    Logout,
    /// What it sent were no frames, or too long ones; the text says what.
    Malformed(String),
    /// It did not read what was sent to it.
    Slow,
    /// It never logged in.
    Silent,
    /// Another session took over its id.
    Evicted,
    /// The agent ends.
    Shutdown,
}

impl Session {
    /// A connection just made.
    pub fn new(socket: OwnedFd, peer: Peer, since: Moment) -> Session {
        Session {
            socket,
            peer,
            since,
            standing: Standing::Stranger,
            awaiting: Awaiting::default(),
            name: String::new(),
            inbox: Vec::new(),
            outbox: Outbox::default(),
            skip: 0,
            readable: true,
            hangup: false,
            parked: false,
            dirty: false,
            blocked: false,
            broken: false,
            doomed: false,
            probes: false,
            heard: false,
            noted: false,
        }
    }

    /// The id it is known under.
    pub fn member(&self) -> Option<u32> {
        match self.standing {
            Standing::Member(id) if !self.doomed => Some(id),
            _ => None,
        }
    }

    /// The id under which answers find it.
    pub fn caller(&self) -> Option<u32> {
        match self.standing {
            Standing::Member(id) | Standing::Leaving(id, _) if !self.doomed => Some(id),
            _ => None,
        }
    }

    /// Whether anything is still to be given to its peer.
    pub fn is_owed(&self, now: Moment) -> bool {
        self.takes() && (self.awaiting.is_open(now) || !self.outbox.is_empty())
    }

    /// Whether frames may be put into its outbox.
    pub fn takes(&self) -> bool {
        !self.doomed && !self.broken
    }

    /// Whether its frames may be looked at now.
    pub fn listens(&self) -> bool {
        !self.parked && !self.doomed && !matches!(self.standing, Standing::Joining(_) | Standing::Leaving(..))
    }

    /// Bytes it makes us hold.
    pub fn buffered(&self) -> usize {
        self.inbox.len() + self.outbox.len()
    }

    /// Gives back the memory of past bursts.
    pub fn trim(&mut self) {
        if self.inbox.is_empty() && self.inbox.capacity() > KEEP {
            self.inbox = Vec::new();
        }
        self.outbox.trim(KEEP);
    }
}

/// What an idle session may keep for its next frame.
const KEEP: usize = 4096;
