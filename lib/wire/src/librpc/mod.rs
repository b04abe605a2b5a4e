//! librpc's frame: a 56-byte little-endian header followed by `datalen` bytes of payload.
//!
//! The format is that of librpc since 2019-04-28. We extend it only where old peers do not look: the version's minor
//! byte, opcodes they never send, `reserved`, and pseudo-service ids of the agent. An opcode we do not know is a value
//! like any other; what to do with it is the session's business.
//!
//! ```
//! use msf_wire::librpc::{Frame, Header, Step, decode};
//! let head = Header { restlen: 36, timeout: 5000, ..Header::request(0x11, 0x12, 0x26, 1) };
//! let mut bytes = Vec::new();
//! Frame { head, body: b"" }.append_to(&mut bytes);
//! assert_eq!(decode(&bytes, 1024), Ok(Step::Frame(Frame { head, body: b"" }, 56)));
//! ```

mod call;
mod error;
mod frame;
mod header;
mod login;
mod numbers;
mod publication;

pub use call::CallFunction;
pub use error::WireError;
pub use frame::{Frame, Step, decode};
pub use header::{HEADER_LEN, Header, MAGIC, VERSION};
pub use login::{Heir, LOGIN_LEN, Login, NAME_LEN};
pub use numbers::{cmd, errcode, id, opcode, timeout};
pub use publication::{
    COMPONENT_EVENTS, COMPONENT_OFFLINE, COMPONENT_ONLINE, EVENT_NAME_LEN, EVERY_EVENT, Publication, is_event_name,
};

/// The payload limit of an agent that was not told another one: 1 MiB.
pub const DEFAULT_PAYLOAD_LIMIT: u32 = 1 << 20;
