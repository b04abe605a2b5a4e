//! The operating system as the other rooms see it: places, the clock on the wall, fork, NUMA nodes.

mod map;
pub mod place;
mod socket;

pub use map::Map;
pub use socket::unsent;

pub(crate) mod fork;
pub(crate) mod node;
pub(crate) mod stderr;
#[allow(unused_imports, reason = "what each model needs differs")]
pub(crate) mod sync;
pub(crate) mod volume;
pub(crate) mod wall;

pub use wall::timestamp;
