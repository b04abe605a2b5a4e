//! The Rust examples of the manual, which are compiled and run as this crate's documentation tests.

#[doc = include_str!("../../../doc/crypto.md")]
mod crypto {}

#[doc = include_str!("../../../doc/event-loop.md")]
mod event_loop {}

#[doc = include_str!("../../../doc/files.md")]
mod files {}

#[doc = include_str!("../../../doc/logging.md")]
mod logging {}

#[doc = include_str!("../../../doc/memory.md")]
mod memory {}

#[doc = include_str!("../../../doc/network.md")]
mod network {}

#[doc = include_str!("../../../doc/processes.md")]
mod processes {}

#[doc = include_str!("../../../doc/serial.md")]
mod serial {}

#[doc = include_str!("../../../doc/shared-memory.md")]
mod shared_memory {}

#[doc = include_str!("../../../doc/system.md")]
mod system {}

#[doc = include_str!("../../../doc/threads.md")]
mod threads {}

#[doc = include_str!("../../../doc/timers.md")]
mod timers {}
