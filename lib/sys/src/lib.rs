//! The C ABIs of libmsf.so and libipc.so seen from Rust: the raw mirror, and safe faces on what our own
//! programs use.
//!
//! This crate links stubs (see `build.rs`), never the libraries' Rust code: a program built on it asks the
//! dynamic linker for `libmsf.so.1`, so that it and the C plugins it loads share one log, one event loop per
//! thread, one state. It owns no state itself.

pub mod ffi;
