//! The one crate with process state: it exists exactly once per process, as `libmsf.so` or inside a program that
//! links it statically and hosts no plugins (`msf_agent`, `msf_daemon`).
//!
//! The rooms, each using only those before it:
//! `sys, error, crypto, exposition < log, mem < timer < event < net, shm, serial, file, thread, process, sysinfo < svc`.

pub mod crypto;
pub mod error;
pub mod event;
pub mod exposition;
pub mod file;
pub mod log;
pub mod mem;
pub mod net;
pub mod process;
pub mod serial;
pub mod shm;
pub mod svc;
pub mod sys;
pub mod sysinfo;
pub mod thread;
pub mod timer;

#[cfg(doctest)]
mod pages;

pub use error::Error;
