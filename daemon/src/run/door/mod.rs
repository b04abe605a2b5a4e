//! Who speaks to the daemon: people, signals, and whoever has started it.

pub mod desk;
pub mod hand;
pub mod signals;
pub mod superior;
