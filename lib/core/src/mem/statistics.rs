//! What a pool tells about itself.

/// The blocks of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlabStatistics {
    /// A small class, whose blocks come from the caches; else a slab.
    pub small: bool,
    /// The bytes of a block.
    pub block: usize,
    /// Blocks that are with their users.
    pub used: usize,
    /// Free blocks in the caches of threads, and between them.
    pub cached: usize,
    /// Blocks there are, used or not.
    pub allocated: usize,
    /// Blocks there may be.
    pub most: usize,
    /// How often a cache came for blocks.
    pub refills: u64,
    /// How often the pool asked the system for more.
    pub growths: u64,
}
