//! Threads as C programs start them.

mod spawn;

pub use spawn::{Main, spawn};
