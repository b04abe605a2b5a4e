//! WebSocket (RFC 6455) as a server sees it: the key of the handshake, frames, and messages put together from them.
//!
//! A client must mask what it sends and we must not, so a [`Decoder`] reads what clients write; [`Frame`] writes both
//! sides. Fragments are joined, control frames between them are handed out at once, and every [`Refusal`] has the
//! status code with which the connection is to be closed.
//!
//! ```
//! use msf_wire::ws::{Decoder, Event, Frame, Step, opcode};
//! let mut bytes = Vec::new();
//! Frame { end: true, opcode: opcode::TEXT, mask: Some([1, 2, 3, 4]), payload: b"{}" }.append_to(&mut bytes);
//! let mut decoder = Decoder::default();
//! let Ok(Step::Event(Event::Text("{}"), 8)) = decoder.step(&bytes, 1024) else { panic!() };
//! ```

mod accept;
mod close;
mod decoder;
mod frame;

pub use accept::accept;
pub use close::{Refusal, code};
pub use decoder::{Decoder, Event, Step};
pub use frame::{Frame, append_close, append_pong, append_text, opcode};
