//! The reactor: one loop, one thread, one owner per object.
//!
//! [`Reactor`] serves Rust programs (edge-triggered, the handler drains). The C event base stands beside it on the
//! same [`poller`]: level-triggered, and callable from other threads.

mod poller;
mod reactor;
mod signal;
mod slots;

pub use poller::{Interest, Ready};
pub use reactor::{Reactor, Turn, Waker};
pub use signal::Signals;
pub use slots::{Slots, Token};
