//! The operating system as the other rooms see it: places, the clock on the wall, fork, processors and NUMA nodes.

pub mod code;
pub mod cpus;
pub mod heap;
pub mod hole;
mod inotify;
mod machine;
mod map;
pub mod names;
pub mod node;
pub mod place;
pub mod sched;
mod signal;
pub(crate) mod socket;
mod topology;

pub use cpus::CpuSet;
pub use inotify::{Change, Watcher};
pub use machine::Machine;
pub use map::Map;
pub use signal::Catch;
pub use socket::{Received, descriptor_of, receive, unsent};
pub use topology::{Cpu, Topology};

pub(crate) mod environment;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod regular;
pub(crate) mod starting;
pub(crate) mod stderr;
#[allow(unused_imports, reason = "what each model needs differs")]
pub(crate) mod sync;
pub(crate) mod tty;
pub(crate) mod volume;
pub(crate) mod wall;

pub use wall::{now_rfc3339, rfc3339, timestamp};
