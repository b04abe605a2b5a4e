//! Services that live in shared libraries.

mod loader;

pub use loader::{Loaded, load, open_library, symbol, unload};
