//! One connected peer: its socket, what has come in and is not a whole frame yet, what must go out, and in the protocol
//! it speaks, who it is.

use super::gateway;
use super::librpc::member::{Member, Standing};
use super::nmid;
use super::outbox::Outbox;
use crate::core::component::Reason;
use crate::core::message::{Moment, Peer};
use crate::core::order::Door;
use msf_wire::state;
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
    /// Who it is in its protocol.
    pub protocol: Protocol,
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
    /// Something has come in since this was last cleared.
    pub heard: bool,
    /// Its peer sends no more, but reads: it gets the answers it waits for, until then.
    pub leaving: Option<Moment>,
    /// A log line has been written about what it may not do; one is enough, a peer could fill the disk with more.
    pub noted: bool,
}

state! {
    struct Session {
        socket, peer, since, protocol, inbox, outbox, skip, readable, hangup, broken, heard, leaving, noted;
        parked: false, dirty: false, blocked: false, doomed: false,
    }
}

/// What a session speaks.
#[derive(Debug)]
pub enum Protocol {
    /// librpc: a service or a caller of services.
    Librpc(Box<Member>),
    /// nmid: a worker or a client.
    Nmid(Box<nmid::Peer>),
    /// HTTP.
    Http(Box<gateway::Visitor>),
}

state! {
    enum Protocol {
        0 Librpc(member: Box<Member>),
        1 Nmid(peer: Box<nmid::Peer>),
        2 Http(visitor: Box<gateway::Visitor>),
    }
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

impl Ending {
    /// The same as all who want to know are told it.
    pub fn reason(&self) -> Reason {
        match self {
            Ending::Closed | Ending::Silent | Ending::Shutdown => Reason::Closed,
            Ending::Logout => Reason::Logout,
            Ending::Malformed(_) => Reason::Malformed,
            Ending::Slow => Reason::Slow,
            Ending::Evicted => Reason::Replaced,
        }
    }
}

impl Session {
    /// A connection just made, through this door.
    pub fn new(socket: OwnedFd, peer: Peer, door: Door, since: Moment) -> Session {
        let protocol = match door {
            Door::Librpc => Protocol::Librpc(Box::default()),
            Door::Nmid => Protocol::Nmid(Box::default()),
            Door::Http => Protocol::Http(Box::default()),
        };
        Session {
            socket,
            peer,
            since,
            protocol,
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
            heard: false,
            leaving: None,
            noted: false,
        }
    }

    /// What it is as a librpc peer.
    pub fn librpc(&mut self) -> Option<&mut Member> {
        match &mut self.protocol {
            Protocol::Librpc(member) => Some(member),
            _ => None,
        }
    }

    /// What it is as an nmid peer.
    pub fn nmid(&mut self) -> Option<&mut nmid::Peer> {
        match &mut self.protocol {
            Protocol::Nmid(peer) => Some(peer),
            _ => None,
        }
    }

    /// The id it is known under, if it is a service that can be called.
    pub fn member(&self) -> Option<u32> {
        match &self.protocol {
            Protocol::Librpc(member) if !self.doomed && self.leaving.is_none() => member.id(),
            _ => None,
        }
    }

    /// The id under which answers find it.
    pub fn caller(&self) -> Option<u32> {
        match &self.protocol {
            Protocol::Librpc(member) if !self.doomed => member.id(),
            _ => None,
        }
    }

    /// Whether its coming and going is worth a line in the log.
    pub fn is_known(&self) -> bool {
        match &self.protocol {
            Protocol::Librpc(member) => member.standing != Standing::Stranger,
            Protocol::Nmid(peer) => peer.is_worker(),
            Protocol::Http(_) => false,
        }
    }

    /// Whether answers may still come for it.
    pub fn waits(&self, now: Moment) -> bool {
        match &self.protocol {
            Protocol::Librpc(member) => member.waits(now),
            Protocol::Nmid(peer) => peer.waits(),
            Protocol::Http(visitor) => visitor.waits(),
        }
    }

    /// Whether each of its calls of functions has ended, and its peer been told.
    pub fn is_answered(&self) -> bool {
        match &self.protocol {
            Protocol::Librpc(member) => member.calls.is_empty(),
            Protocol::Nmid(peer) => !peer.waits(),
            Protocol::Http(visitor) => !visitor.waits(),
        }
    }

    /// Whether anything is still to be given to its peer.
    pub fn is_owed(&self, now: Moment) -> bool {
        self.takes() && (self.waits(now) || !self.outbox.is_empty())
    }

    /// Whether all that was for its peer has reached the peer's kernel; where ours cannot say, it has.
    pub fn has_sent_all(&self) -> bool {
        self.outbox.is_empty() && msf_core::sys::unsent(&self.socket).unwrap_or(0) == 0
    }

    /// Whether frames may be put into its outbox.
    pub fn takes(&self) -> bool {
        !self.doomed && !self.broken
    }

    /// Whether its frames may be looked at now.
    pub fn listens(&self) -> bool {
        let listens = match &self.protocol {
            Protocol::Librpc(member) => member.listens(),
            Protocol::Nmid(peer) => peer.listens(),
            Protocol::Http(visitor) => visitor.listens(),
        };
        listens && !self.parked && !self.doomed && self.leaving.is_none()
    }

    /// Bytes it makes us hold.
    pub fn buffered(&self) -> usize {
        let held = match &self.protocol {
            Protocol::Librpc(_) => 0,
            Protocol::Nmid(peer) => peer.buffered(),
            Protocol::Http(visitor) => visitor.buffered(),
        };
        self.inbox.len() + self.outbox.len() + held
    }

    /// Gives back the memory of past bursts.
    pub fn trim(&mut self) {
        if self.inbox.is_empty() && self.inbox.capacity() > KEEP {
            self.inbox = Vec::new();
        }
        self.outbox.trim(KEEP);
        if let Protocol::Nmid(peer) = &mut self.protocol {
            peer.trim();
        }
    }

    /// The session as log lines name it.
    pub fn who(&self) -> String {
        match &self.protocol {
            Protocol::Librpc(member) => member.describe(&self.peer),
            Protocol::Nmid(peer) => peer.describe(&self.peer),
            Protocol::Http(_) => format!("HTTP peer {}", self.peer),
        }
    }
}

/// What an idle session may keep for its next frame.
const KEEP: usize = 4096;
