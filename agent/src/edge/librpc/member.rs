//! Who a librpc session is to the others, and what it waits for.

use crate::core::awaiting::Awaiting;
use crate::core::message::{Moment, Peer};
use msf_wire::librpc::Header;
use msf_wire::state;
use std::collections::HashMap;

/// See the module.
#[derive(Debug, Default)]
pub struct Member {
    /// How far it has come.
    pub standing: Standing,
    /// The name it logged in with, for the log.
    pub name: String,
    /// The answers of services it waits for.
    pub awaiting: Awaiting,
    /// Its calls of functions, by ticket: the request's header and when it came, in microseconds.
    pub calls: HashMap<u32, (Header, u64)>,
    /// The last ticket given.
    pub ticket: u32,
    /// It has asked for events of this name, by this request; what it sent after that waits for the answer.
    pub subscribing: Option<(Header, Vec<u8>)>,
    /// It has sent a KALIVE once, so it knows them and answers ours.
    pub probes: bool,
}

state! { struct Member { standing, name, awaiting, calls, ticket, subscribing, probes } }

/// How far a librpc session has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Has not logged in; may do nothing else.
    #[default]
    Stranger,
    /// Has asked; what it sent after that waits for the verdict. The request's header is kept for the answer.
    Joining(Header),
    /// Is known to all under this id.
    Member(u32),
}

state! { enum Standing { 0 Stranger, 1 Joining(head: Header), 2 Member(id: u32) } }

impl Standing {
    /// For people.
    pub fn in_a_word(self) -> &'static str {
        match self {
            Standing::Stranger => "stranger",
            Standing::Joining(_) => "joining",
            Standing::Member(_) => "member",
        }
    }
}

impl Member {
    /// The id it is known under.
    pub fn id(&self) -> Option<u32> {
        match self.standing {
            Standing::Member(id) => Some(id),
            _ => None,
        }
    }

    /// Whether answers may still come.
    pub fn waits(&self, now: Moment) -> bool {
        self.awaiting.is_open(now) || !self.calls.is_empty()
    }

    /// Whether its frames may be looked at now.
    pub fn listens(&self) -> bool {
        !matches!(self.standing, Standing::Joining(_)) && self.subscribing.is_none()
    }

    /// How log lines name it.
    pub fn describe(&self, peer: &Peer) -> String {
        let id = match self.standing {
            Standing::Stranger => return peer.to_string(),
            Standing::Joining(head) => head.srcid,
            Standing::Member(id) => id,
        };
        format!("{} ({id:#x}, {peer})", self.name)
    }
}
