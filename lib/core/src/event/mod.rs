//! The reactor: one loop, one thread, one owner per object.
//!
//! [`Reactor`] serves Rust programs (edge-triggered, the handler drains). The C event base stands beside it on the
//! same poller: level-triggered, and callable from other threads.

mod base;
mod call;
mod doze;
mod loops;
pub mod mailbox;
mod parking;
mod poller;
mod post;
mod reactor;
mod signal;
mod slots;
mod table;
mod waits;
mod waker;

pub use crate::sys::{Catch, Change, Watcher};
pub use base::{Base, Event, Timer, TimerSlot};
pub use call::{Call, Expire, Handler, NoTimers};
pub use loops::{Group, Loop, Settings as LoopSettings, TasksOnly};
pub use poller::{Interest, Ready};
pub use post::{Job, Refused, Task};
pub use reactor::{Reactor, Turn};
pub use signal::Signals;
pub use slots::{Slots, Token};
pub use waker::Waker;
