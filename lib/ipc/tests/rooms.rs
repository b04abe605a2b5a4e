//! The rooms of libipc that need no libmsf, by themselves: their tests stand at the bottom of each. A test executable of
//! the library itself would ask for `libmsf.so.1` before it could begin; `test/c/ipc_*.c` test the whole.
#![allow(dead_code, clippy::unwrap_used)]

#[path = "../src/errno.rs"]
mod errno;
#[path = "../src/jobs.rs"]
mod jobs;
#[path = "../src/waiter.rs"]
mod waiter;
