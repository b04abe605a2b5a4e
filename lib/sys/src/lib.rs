//! The C ABIs of libmsf.so and libipc.so seen from Rust: the raw mirror, and safe faces on what our own
//! programs use.
//!
//! This crate links stubs (see `build.rs`), never the libraries' Rust code: a program built on it asks the
//! dynamic linker for `libmsf.so.1`, so that it and the C plugins it loads share one log, one set of loops,
//! one state. It owns no state itself.

pub mod crash;
pub mod event;
pub mod ffi;
pub mod library;
pub mod log;
pub mod plugin;
pub mod process;
pub mod relative;
pub mod rest;
pub mod roster;
pub mod service;
pub mod thread;
pub mod usage;

mod keys;
mod outcome;
mod table;

pub use table::Unusable;

use std::ffi::CStr;

/// "major.minor.patch" of the libmsf.so that is loaded.
pub fn version() -> &'static str {
    // SAFETY: the function takes nothing.
    let version = unsafe { ffi::msf::msf_version() };
    // SAFETY: the header promises a terminated string in static storage, never null.
    unsafe { CStr::from_ptr(version) }.to_str().unwrap_or("?")
}
