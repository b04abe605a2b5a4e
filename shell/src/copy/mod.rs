//! A copy of a library that was loaded, from the first symbol to its unmapping.

pub mod generation;
pub mod grave;
pub mod here;
