//! Memory pools: blocks of four sizes, mapped when they are needed and given out again and again.

mod blocks;
mod pages;
mod pool;
mod region;

pub use blocks::Ticket;
pub use pages::{HUGE_PAGE, Pages, page_size, unmap};
pub use pool::{Block, Flags, Pool, create, destroy, free, lookup};
