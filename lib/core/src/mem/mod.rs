//! Memory pools: blocks of four sizes, mapped when they are needed and given out again and again.

mod blocks;
mod huge;
mod near;
mod pool;
mod region;

pub use blocks::Ticket;
pub use huge::{HUGE_PAGE, HugePages, page_size, unmap};
pub use near::{Near, Pages};
pub use pool::{Block, Flags, Pool, create, destroy, free, lookup};
