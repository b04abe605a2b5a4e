//! libmsf.so: the C doorways of `msf_core`, and nothing else.
//!
//! A doorway checks, translates, calls one Rust function and translates back (see [`guard`]). It never lets a panic
//! out, never touches errno on success, and refuses with EALREADY when another libmsf.so came first (see
//! [`instance`]). The headers in `include/` are the contract; where a header and a doorway disagree, the header is right.
#![allow(non_camel_case_types, non_upper_case_globals)]
#![allow(missing_docs, reason = "the headers document every doorway")]

mod event;
pub(crate) mod guard;
#[path = "../../sys/src/ffi/msf.rs"]
mod header;
mod instance;
mod log;
