//! The wire formats of libmsf as pure codecs: bytes in, a step out.
//!
//! A codec owns no buffer, no clock and no socket, allocates nothing it was not handed, and never panics: whatever a
//! peer sends is a frame, a wish for more bytes, or an error that says what was expected.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod base64;
pub mod http;
pub mod json;
pub mod librpc;
pub mod nmid;
pub mod snapshot;
pub mod ws;
