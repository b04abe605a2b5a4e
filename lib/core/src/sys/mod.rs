//! The operating system as the other rooms see it: places, the clock of the wall, fork.

pub mod place;

pub(crate) mod fork;
pub(crate) mod wall;
