//! Shared memory: segments, and a ring of messages in one.
//!
//! A [`Segment`] is memory that several processes map. A ring lies in a segment: one [`Producer`], one [`Consumer`],
//! messages in order, each delivered once. Blocks beside the ring change hands with a message, so that a megabyte costs
//! what sixteen bytes cost. A request and its answer are two rings.
//!
//! The other side is not trusted with our memory: whatever it writes, every length and position is checked on a private
//! copy before it is used. It may die at any time: its side's lock is dropped by the kernel, the one who waits for it
//! learns that within [`SLICE`], and a successor goes on where it stopped. `doc/shared-memory.md` has every byte.

mod bell;
mod consumer;
mod end;
mod handoff;
mod keeper;
mod layout;
mod named;
mod patience;
mod pool;
mod producer;
mod refusal;
mod segment;
#[cfg(test)]
mod tests;

pub use bell::Bells;
pub use consumer::{Consumer, Message};
pub use end::{Peer, SLICE};
pub use layout::{Config, LONGEST_RING, create, format};
pub use patience::Wait;
pub use pool::Block;
pub use producer::{Producer, Reservation};
pub use refusal::Refusal;
pub use segment::Segment;
