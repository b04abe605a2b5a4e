//! Whether a process that is up is well, and whether it uses more than it may.

pub mod health;
pub mod usage;
