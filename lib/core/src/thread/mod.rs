//! Threads: how they are started, where they run, who does what is queued, who waits for whom.

mod builder;
mod pin;
mod pool;
mod semaphore;
mod spawn;

pub use crate::sys::starting::{Panicked, Thread};
pub use builder::Builder;
pub use pin::{Pin, node_of, prefer_node};
pub use pool::{Job, Pool, PoolBuilder, Queued, Refused, Statistics};
pub use semaphore::Semaphore;
pub use spawn::{Likeness, Main, spawn, spawn_like};
