//! What the agent's threads say to each other: an [`Order`] goes from the control thread to a reactor, a [`Report`] the
//! other way.

use super::admit::Limits;
use super::component::Reason;
use super::desk::Identity;
use super::message::{Address, Failure, Outcome, Peer};
use super::routes::Routes;
use crate::observe::traffic::Protocol;
use crate::upgrade::hold::Hold;
use msf_wire::state;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::SystemTime;

/// Which protocol is spoken behind a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// librpc's.
    Librpc,
    /// nmid's.
    Nmid,
    /// HTTP.
    Http,
}

state! { enum Door { 0 Librpc, 1 Nmid, 2 Http } }

/// What the control thread tells a reactor.
#[derive(Debug)]
pub enum Order {
    /// A new connection, through this door, is yours.
    Adopt(OwnedFd, Peer, Door),
    /// From now on these routes hold; report the version when they do.
    Routes(Arc<Routes>),
    /// The login of this session succeeded: every reactor has the routes.
    Joined(u32),
    /// The login of this session failed.
    Refused(u32),
    /// One more function that this session's worker offers can be called from everywhere.
    Offered(u32),
    /// Does this session's peer still live? Report what you find.
    Probe(u32),
    /// Another session took over this one's id: close it.
    Evict(u32),
    /// This session gets events of the name it has asked for; these, about those who are present, are the first.
    Subscribed(u32, Vec<Arc<[u8]>>),
    /// This has happened: tell your subscribers.
    Publish(Arc<[u8]>),
    /// The same for the operator of this number, and the name he wants to see.
    Watch(u32, Arc<[u8]>, Vec<Arc<[u8]>>),
    /// He has seen enough.
    Unwatch(u32),
    /// The limits have changed.
    Limits(Limits),
    /// Who are your sessions? Report them as the answer to this question.
    Describe(u32),
    /// An operator calls a function; report how it ends.
    Call(Asked),
    /// The operator of the call with this number has gone.
    CallOff(u32),
    /// An operator wants to see, under this number, what is asked of this function and answered.
    Tap(u32, Arc<[u8]>),
    /// The operator has seen enough.
    Untap(u32),
    /// Stand still, and do what this hand says until it lets go.
    Hold(Hold),
    /// Another process takes new connections: end each of yours as soon as nothing is under way on it; report when none
    /// is left.
    Retire,
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
    /// This session has been told that it is known: from here on it can be called.
    Joined(Address),
    /// The connection of this session belongs to another process now.
    Passed(Address, Peer),
    /// A worker offers a function.
    Offer(Offer),
    /// A worker no longer offers it.
    Rescinded(Address, Vec<u8>),
    /// This session wants events of this name.
    Subscribe(Address, Vec<u8>),
    /// What the operator of this number is to be shown.
    Watched(u32, Watched),
    /// This session serves nobody any longer: its peer sends no more, and only waits for its last answers.
    Withdrawn(Address),
    /// This session has ended, and why.
    Left(Address, Reason),
    /// A connection handed over could not be taken.
    Lost,
    /// This reactor has the routes of this version.
    Routes(u16, u64),
    /// Whether the peer probed still lives.
    Probed(Address, bool),
    /// The answer to [`Order::Describe`].
    Described(Described),
    /// How the operator's call with this number has ended.
    Concluded(u32, Concluded),
    /// What a tap has shown.
    Tapped(Tapped),
    /// After [`Order::Retire`]: no connection is left.
    Retired,
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

state! { struct Login { address, id, name, peer } }

/// A worker's wish to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its session.
    pub address: Address,
    /// For this function.
    pub function: Vec<u8>,
    /// Who it is.
    pub identity: Identity,
}

/// A call that an operator makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The number of its answer.
    pub number: u32,
    /// The function's name.
    pub function: Vec<u8>,
    /// Its arguments, as JSON.
    pub params: Vec<u8>,
    /// Milliseconds the operator waits; `None`: as long as the function's own deadline.
    pub patience: Option<u32>,
}

/// How a call ended, on its way to another thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concluded {
    /// See [`Outcome::Ret`].
    Ret(Vec<u8>),
    /// See [`Outcome::Service`].
    Service(u32, Vec<u8>),
    /// See [`Outcome::Failed`].
    Failed(Failure),
}

impl Concluded {
    /// A copy of at most `longest` bytes of it.
    pub fn of(outcome: &Outcome<'_>, longest: usize) -> Concluded {
        let cut = |bytes: &[u8]| bytes.get(..longest).unwrap_or(bytes).to_vec();
        match outcome {
            Outcome::Ret(bytes) => Concluded::Ret(cut(bytes)),
            Outcome::Service { errcode, body } => Concluded::Service(*errcode, cut(body)),
            Outcome::Failed(why) => Concluded::Failed(*why),
        }
    }
}

/// What one reactor has seen at a tap since it last reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tapped {
    /// The tap.
    pub tap: u32,
    /// In order.
    pub seen: Vec<Seen>,
    /// How many more there were than could be kept.
    pub missed: u64,
}

/// A request or its end, as its caller's reactor saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: SystemTime,
    /// What the caller speaks.
    pub protocol: Protocol,
    /// The caller, and its number for the call.
    pub caller: Address,
    /// The same for a request and its end.
    pub ticket: u32,
    /// How many bytes the arguments or the result have.
    pub bytes: usize,
    /// What it is.
    pub event: Event,
}

/// What a tap shows. Bytes are cut to [`MOST_TAPPED`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Arguments, and how they are written.
    Asked(u32, Vec<u8>),
    /// An end, after so many microseconds.
    Ended(Concluded, u64),
    /// The caller has given up waiting after so many microseconds.
    Abandoned(u64),
}

/// What an operator who looks at events is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// From here on nothing is missed.
    Begun,
    /// An event: when, the service that has published it, and its payload.
    Event(SystemTime, u32, Vec<u8>),
    /// So many there was no room for.
    Lost(u32),
}

/// The sessions of one reactor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Which question this answers.
    pub question: u32,
    /// How many sessions there are.
    pub sessions: usize,
    /// The first [`MOST_SHOWN`] of them, those with an id before the others.
    pub shown: Vec<Shown>,
}

/// A session as an operator is shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Where it lives.
    pub address: Address,
    /// What it speaks.
    pub protocol: Protocol,
    /// Who it is to the kernel.
    pub peer: Peer,
    /// What it calls itself.
    pub name: String,
    /// The service id it has.
    pub id: Option<u32>,
    /// What it is to us, in a word.
    pub standing: &'static str,
    /// How long it has been here, in milliseconds.
    pub age: u64,
    /// Bytes that wait for it.
    pub waiting: usize,
}

/// Sessions that one reactor describes: whoever has more is not read line by line.
pub const MOST_SHOWN: usize = 500;
/// Bytes of arguments or of a result that a tap shows.
pub const MOST_TAPPED: usize = 256;
