//! The neutral words that protocols are translated into.
//!
//! A service's requests and answers travel as an [`Envelope`] beside their bytes; the bytes are the protocol's own and
//! opaque here. Functions are called by name, by callers of any protocol, and workers and services of any protocol carry
//! them out: a [`Call`] goes there, an [`Outcome`] comes back.

pub use msf_wire::nmid::Params;
use msf_wire::state;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Where a session lives. A stale address finds nobody: the session's number carries a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Which reactor.
    pub reactor: u16,
    /// Which of its sessions.
    pub session: u32,
}

state! { struct Address { reactor, session } }

impl Address {
    /// The address as one number.
    pub fn number(self) -> u64 {
        u64::from(self.reactor) << 32 | u64::from(self.session)
    }
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

state! { struct Envelope { from, to, command, seq, patience } }

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

state! { enum Patience { 0 None, 1 Millis(wait: u32), 2 Forever } }

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

/// A function is asked for. Its arguments are in nmid's form, which says how they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// By its name.
    pub function: &'a [u8],
    /// With these arguments.
    pub params: Params<'a>,
    /// Milliseconds the caller waits at most; `None`: as long as the function's own deadline.
    pub patience: Option<u32>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// A worker has carried it out: these are its bytes, by convention a RetStruct in msgpack.
    Ret(&'a [u8]),
    /// A librpc service has answered.
    Service {
        /// How, see [`msf_wire::librpc::errcode`].
        errcode: u32,
        /// With what.
        body: &'a [u8],
    },
    /// It has not been carried out, or nobody knows.
    Failed(Failure),
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody offers the function.
    NoWorker,
    /// Too many calls wait for it already, or the agent's memory is full.
    Busy,
    /// Nobody has answered in time.
    Deadline,
    /// Whoever was carrying it out has died.
    Lost,
    /// The arguments cannot be handed to the worker there is.
    Unfit,
    /// The worker's function has failed without a result.
    Error,
}

/// Milliseconds since the agent started: the only time the core knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

state! { struct Moment(u64) }

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

state! { enum Peer { 0 Local { pid: i32, uid: u32 }, 1 Remote(at: SocketAddr) } }

impl Peer {
    /// The machine it is on.
    pub fn host(&self) -> Option<IpAddr> {
        match self {
            Peer::Local { .. } => None,
            Peer::Remote(address) => Some(address.ip()),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Local { pid, uid } => write!(f, "pid {pid} uid {uid}"),
            Peer::Remote(address) => write!(f, "{address}"),
        }
    }
}
