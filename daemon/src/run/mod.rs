//! The running daemon: what happens is fed to `law`, and what `law` says is done.
//!
//! [`driver`] is the hub: its queue of events, its descriptors and its timers. Every source of events is a file of its
//! own in one of the rooms that adds an `impl Driver`, one variant of [`driver::Watched`] (a descriptor) or [`driver::Due`] (a
//! time), and feeds [`crate::law::life::Event`]s. Every change of a process's phase passes through `change`.

mod chance;
mod change;
pub mod child;
mod clerk;
pub mod door;
pub mod driver;
pub mod keep;
mod order;
pub mod output;
mod purpose;
mod reload;
mod remedy;
mod roll;
mod service;
pub mod tell;
pub mod watch;
