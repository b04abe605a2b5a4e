//! Why bytes are not a frame, or a payload not what its header says. A frame that is none ends the connection: after
//! it nobody knows where the next one begins.

use std::fmt;

use super::{Header, LOGIN_LEN, MAGIC, VERSION};

/// What a peer sent instead of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// Bytes 4 to 7 are not the magic number: not a librpc peer, or the stream lost its step.
    Magic(u32),
    /// A major version we do not speak.
    Version(u32),
    /// A payload longer than we accept. The header is handed out, so that the requester can be told.
    Oversized {
        /// The frame's header.
        head: Header,
        /// The longest payload accepted, in bytes.
        limit: u32,
    },
    /// A login whose payload is shorter than a login is.
    ShortLogin(usize),
    /// A call by name of this many bytes whose name is empty or longer than it, or with flags we do not know. The
    /// frame is lost, the connection is not.
    MalformedCall(usize),
    /// A publication of this many bytes without a name that an event can have. The frame is lost, the connection is not.
    MalformedPublication(usize),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic(found) => write!(f, "magic number {found:#010x} at byte 4, expected {MAGIC:#010x}"),
            Self::Version(found) => {
                write!(f, "version {found:#x} at byte 0, expected {VERSION:#x} (major {})", VERSION >> 8)
            }
            Self::Oversized { head, limit } => {
                write!(f, "payload of {} bytes announced at byte 32, at most {limit} are accepted", head.datalen)
            }
            Self::ShortLogin(found) => write!(f, "login payload of {found} bytes, expected {LOGIN_LEN}"),
            Self::MalformedCall(found) => {
                write!(
                    f,
                    "payload of {found} bytes is no call by name: 12 bytes, a name of the length they say, params"
                )
            }
            Self::MalformedPublication(found) => {
                write!(f, "payload of {found} bytes is no event: 4 bytes, a name of the length they say, data")
            }
        }
    }
}

impl std::error::Error for WireError {}
