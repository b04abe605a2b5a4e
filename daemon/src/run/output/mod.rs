//! What the processes write, and where it goes.

pub mod capture;
pub mod outputs;
pub mod rotation;
pub mod spool;
