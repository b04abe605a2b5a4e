//! Where a pool's memory comes from, and that its wish is complained about once.

use super::region::Wish;
use crate::log::Level;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug)]
pub(super) struct Source {
    wish: Wish,
    told: AtomicBool,
}

impl Source {
    pub fn new(wish: Wish) -> Source {
        Source { wish, told: AtomicBool::new(false) }
    }

    /// What is wished for.
    pub fn wish(&self) -> Wish {
        self.wish
    }

    /// A wish that was not fulfilled is worth one record, not one per mapping.
    pub fn tell(&self, unfulfilled: Option<String>) {
        if let Some(why) = unfulfilled
            && !self.told.swap(true, Ordering::Relaxed)
        {
            crate::log!(Level::Info, "MEMPOOL", "{why}");
        }
    }
}
