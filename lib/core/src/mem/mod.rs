//! Memory pools: blocks of four sizes, mapped when they are needed and given out again and again.

mod blocks;
mod pool;
mod region;

pub use blocks::Ticket;
pub use pool::{Block, Flags, Pool, create, destroy, free, lookup};
