//! Memory: pools of blocks from 32 B to 1 MiB, mapped when they are needed and given out again and again; huge pages, and
//! pages near a node.
//!
//! How a pool is built, from the outside in: [`OwnedPool`] (Rust) or a handle (C); `local`, what each thread has at hand;
//! `tray`, the blocks of one class at hand; `shelf`, all blocks of a class; `depot`, where trays exchange magazines of
//! blocks; `arena`, the addresses. Larger blocks: `slab`, and `blocks`, who has which.
//!
//! Beside them `queue`, what mailboxes are made of.

mod arena;
mod blocks;
mod cache;
mod depot;
mod huge;
mod local;
mod near;
mod owned;
mod pool;
mod queue;
mod region;
mod ring;
mod shelf;
mod slab;
mod source;
mod stack;
mod statistics;
mod tray;

pub use blocks::Ticket;
pub use cache::Cache;
pub use huge::{HUGE_PAGE, HugePages, page_size, unmap};
pub use local::{at_hand, get, get_many, keep_at_hand, put, put_many};
pub use near::{Near, Pages};
pub use owned::{Chunk, OwnedPool};
pub use pool::{Block, Flags, Pool, create, destroy, free, lookup, owned, set_owner};
pub(crate) use queue::{Queue, Taker, Unsent};
pub use ring::Ring;
pub use slab::SlabPlan;
pub use statistics::SlabStatistics;
pub use tray::Hand;
