//! What the long tests are made of; the programs in `bin/` and the scripts beside them run it.

mod dice;
pub mod matrix;
pub mod nmid;
pub mod soak;
