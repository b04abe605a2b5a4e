//! `include/msf*.h` seen from Rust: every function, variable, type and constant of libmsf.so, a file for each header.
//!
//! The headers are the truth. rustc compares this folder with the definitions in `lib/msf` (which includes it
//! by `#[path]`), gcc compares it with the headers (`script/check_abi.py`), and `build.rs` takes from it the
//! names of the stub that programs are linked with. Those two read all files of this folder as text, so they keep one item
//! per line group, no macros and no conditional compilation.
//!
//! It is included in more than one crate: it may use `core` and `libc` only.
#![allow(non_camel_case_types, non_upper_case_globals, missing_docs, dead_code, unused_imports)]

mod atomic_h;
mod channel_h;
mod crc_h;
mod crypto_h;
mod daemon_h;
mod errno_h;
mod event_h;
mod file_h;
mod list_h;
mod log_h;
mod loop_h;
mod md5_h;
mod mem_h;
mod mempool_h;
mod msf_h;
mod network_h;
mod os_h;
mod process_h;
mod ringbuff_h;
mod sem_h;
mod serial_h;
mod sha1_h;
mod shmem_h;
mod source_h;
mod svc_h;
mod sysinfo_h;
mod thread_h;
mod threadpool_h;
mod time_h;
mod utils_h;

pub use atomic_h::*;
pub use channel_h::*;
pub use crc_h::*;
pub use crypto_h::*;
pub use daemon_h::*;
pub use errno_h::*;
pub use event_h::*;
pub use file_h::*;
pub use list_h::*;
pub use log_h::*;
pub use loop_h::*;
pub use md5_h::*;
pub use mem_h::*;
pub use mempool_h::*;
pub use msf_h::*;
pub use network_h::*;
pub use os_h::*;
pub use process_h::*;
pub use ringbuff_h::*;
pub use sem_h::*;
pub use serial_h::*;
pub use sha1_h::*;
pub use shmem_h::*;
pub use source_h::*;
pub use svc_h::*;
pub use sysinfo_h::*;
pub use thread_h::*;
pub use threadpool_h::*;
pub use time_h::*;
pub use utils_h::*;
