//! The admin socket, from both its ends.

pub mod admin;
pub mod ask;
