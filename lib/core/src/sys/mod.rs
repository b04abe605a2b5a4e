//! The operating system as the other rooms see it: places, the clock on the wall, fork, NUMA nodes.

pub mod place;
mod socket;

pub use socket::unsent;

pub(crate) mod fork;
pub(crate) mod node;
pub(crate) mod stderr;
pub(crate) mod wall;

pub use wall::timestamp;
