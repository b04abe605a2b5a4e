//! Services in processes of their own, seen from the shell: what is said to them, and what becomes of them.

pub mod annex;
pub mod backoff;
pub mod bond;
pub mod child;
pub mod frame;
pub mod letter;
pub mod sandbox;
pub mod warden;
