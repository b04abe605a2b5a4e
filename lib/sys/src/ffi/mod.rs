//! The two C ABIs, raw. Everything else in this crate is a safe face on them.

pub mod ipc;
pub mod msf;
