//! The one crate with process state: it exists exactly once per process, as `libmsf.so` or inside a program that
//! links it statically and hosts no plugins (`msf_agent`, `msf_daemon`).
//!
//! The rooms, each using only those before it:
//! `sys, error < log, mem < timer < event < thread, process < svc`.

pub mod error;
pub mod event;
pub mod log;
pub mod mem;
pub mod process;
pub mod svc;
pub mod sys;
pub mod thread;
pub mod timer;

pub use error::Error;
