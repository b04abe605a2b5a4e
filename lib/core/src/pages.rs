//! The Rust examples of the manual, which are compiled and run as this crate's documentation tests.

#[doc = include_str!("../../../doc/crypto.md")]
mod crypto {}
