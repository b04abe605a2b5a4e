//! Why bytes are not a frame, or a frame's payload not what its type says.

use std::fmt;

/// What a peer sent instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NmidError {
    /// Bytes 0 to 3 name no sender: not an nmid peer, or the stream lost its step. Ends the connection.
    ConnType(u32),
    /// A payload longer than we accept. Ends the connection.
    Oversized {
        /// Who sent it, see [`conn`](super::conn).
        conn: u32,
        /// Its type, see [`pdt`](super::pdt).
        kind: u32,
        /// Bytes announced.
        len: u32,
        /// The longest payload accepted, in bytes.
        limit: u32,
    },
    /// The lengths inside the payload do not add up to the payload's. The frame is lost, the connection is not.
    Lengths {
        /// The frame's type, see [`pdt`](super::pdt).
        kind: u32,
        /// The payload's length, in bytes.
        len: u32,
    },
}

impl fmt::Display for NmidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnType(found) => {
                write!(
                    f,
                    "connection type {found:#x} at byte 0, expected 1 (broker), 2 (worker), 3 (client) or 4 (service)"
                )
            }
            Self::Oversized { kind, len, limit, .. } => {
                write!(
                    f,
                    "payload of {len} bytes announced at byte 8 of a frame of type {kind}, at most {limit} are accepted"
                )
            }
            Self::Lengths { kind, len } => {
                write!(f, "the lengths inside a frame of type {kind} do not add up to its payload of {len} bytes")
            }
        }
    }
}

impl std::error::Error for NmidError {}
