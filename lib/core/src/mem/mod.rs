//! Memory pools: blocks of four sizes, mapped when they are needed and given out again and again.

mod blocks;
mod near;
mod pool;
mod region;

pub use blocks::Ticket;
pub use near::{Near, Pages};
pub use pool::{Block, Flags, Pool, create, destroy, free, lookup};
