//! The neutral words that protocols are translated into.
//!
//! Requests and answers travel as an [`Envelope`] beside their bytes; the bytes are the protocol's own and opaque here.

use std::fmt;
use std::net::SocketAddr;

/// Where a session lives. A stale address finds nobody: the session's number carries a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Which reactor.
    pub reactor: u16,
    /// Which of its sessions.
    pub session: u32,
}

/// What the core must know of a request or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Service id of the sender.
    pub from: u32,
    /// Service id of the receiver.
    pub to: u32,
    /// What is asked.
    pub command: u32,
    /// The requester's number for it.
    pub seq: u32,
    /// How long the requester waits.
    pub patience: Patience,
}

/// How long a requester waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all: the answer, if any, is another message.
    None,
    /// This many milliseconds.
    Millis(u32),
    /// For as long as both connections live.
    Forever,
}

/// Why a request is answered by the broker itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The source is not who logged in, or the id is taken.
    Denied,
    /// Nobody serves the id asked, or whoever did has died.
    Offline,
    /// The service or the agent cannot take more now.
    Busy,
}

/// Milliseconds since the agent started: the only time the core knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

/// Who is at the other end of a connection, as the kernel says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A process of this machine.
    Local {
        /// Its process id when it connected.
        pid: i32,
        /// Its effective user id then.
        uid: u32,
    },
    /// Somebody on the network, unauthenticated.
    Remote(SocketAddr),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Local { pid, uid } => write!(f, "pid {pid} uid {uid}"),
            Peer::Remote(address) => write!(f, "{address}"),
        }
    }
}
