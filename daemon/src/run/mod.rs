//! The running daemon: what happens is fed to `law`, and what `law` says is done.
//!
//! [`driver`] is the hub: its queue of events, its descriptors and its timers. Every source of events is a file of its
//! own beside it that adds an `impl Driver`, one variant of [`driver::Watched`] (a descriptor) or [`driver::Due`] (a
//! time), and feeds [`crate::law::life::Event`]s. Every change of a process's phase passes through `change`.

mod adopt;
mod audience;
mod capture;
mod cgroup;
mod chance;
mod change;
mod clerk;
mod collect;
pub mod courier;
mod crash;
mod deposit;
mod desk;
pub mod driver;
mod fit;
mod follow;
mod hand;
mod health;
mod heir;
mod herald;
mod http;
mod inherit;
pub mod journal;
mod kin;
mod leaver;
mod metrics;
pub mod morgue;
mod notice;
mod order;
pub mod outputs;
mod probe;
mod purpose;
mod ready;
mod reload;
mod remedy;
mod roll;
mod rotation;
pub mod safe;
mod service;
mod signals;
mod spool;
mod start;
mod state;
mod superior;
pub mod surroundings;
mod tell;
mod teller;
mod usage;
