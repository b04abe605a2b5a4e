//! The neutral words: what protocols are translated into, and what the agent's threads say to each other.
//!
//! Requests and answers travel as an [`Envelope`] beside their bytes; the bytes are the protocol's own and opaque
//! here. [`Order`] goes from the control thread to a reactor, [`Report`] the other way.

use super::admit::Limits;
use super::routes::Routes;
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

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

/// What the control thread tells a reactor.
#[derive(Debug)]
pub enum Order {
    /// A new connection is yours.
    Adopt(OwnedFd, Peer),
    /// From now on these routes hold; report the version when they do.
    Routes(Arc<Routes>),
    /// The login of this session succeeded: every reactor has the routes.
    Joined(u32),
    /// The login of this session failed.
    Refused(u32),
    /// Does this session's peer still live? Report what you find.
    Probe(u32),
    /// Another session took over this one's id: close it.
    Evict(u32),
    /// The limits have changed.
    Limits(Limits),
    /// Accept no more requests; report when nobody waits any longer.
    Drain,
    /// Tell everybody who still waits that nobody will answer; report when they have been told.
    Fail,
    /// Close everything, end.
    Stop,
}

/// What a reactor tells the control thread.
#[derive(Debug)]
pub enum Report {
    /// A session asks to be known as a service.
    Login(Login),
    /// This session serves nobody any longer: its peer sends no more, and only waits for its last answers.
    Withdrawn(Address),
    /// This session has ended.
    Left(Address),
    /// A connection handed over could not be taken.
    Lost,
    /// This reactor has the routes of this version.
    Routes(u16, u64),
    /// Whether the peer probed still lives.
    Probed(Address, bool),
    /// After [`Order::Drain`]: nobody waits for anything in this reactor any longer.
    Drained,
    /// After [`Order::Fail`]: everybody in this reactor has been told.
    Failed,
    /// This reactor's thread has ended; true when it was told to.
    Ended(bool),
}

/// A request to be known as a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The session that asks.
    pub address: Address,
    /// The id it wants.
    pub id: u32,
    /// The name it gives itself, for the log only.
    pub name: String,
    /// Who it is.
    pub peer: Peer,
}
