//! libmsf.so: the C doorways of `msf_core`, and nothing else.
//!
//! A doorway checks, translates, calls one Rust function and translates back (see [`guard`]). It never lets a panic
//! out, never touches errno on success, and refuses with EALREADY when another libmsf.so came first (see
//! [`instance`]). The headers in `include/` are the contract; where a header and a doorway disagree, the header is right.
#![allow(non_camel_case_types, non_upper_case_globals)]
#![allow(missing_docs, reason = "the headers document every doorway")]

/// Two functions of different type cannot share an array: a doorway that is not what the mirror of the headers says
/// does not compile. (`msf_log_write` is compared where it is defined, the rest of the comparison is gcc's.)
macro_rules! as_declared {
    ($($name:ident)*) => { $(const _: () = { let _ = [$name, crate::header::$name]; };)* };
}

/// The one instruction that hands a call over to another function, registers and stack as they are.
#[cfg(target_arch = "x86_64")]
macro_rules! jump {
    () => {
        "jmp {}"
    };
}
#[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
macro_rules! jump {
    () => {
        "b {}"
    };
}

mod cancel;
mod channel;
mod crypto;
mod doors;
mod event;
mod file;
pub(crate) mod guard;
#[path = "../../sys/src/ffi/msf/mod.rs"]
mod header;
mod instance;
mod log;
mod look;
mod loops;
mod mem;
mod memcache;
mod mempool;
mod network;
mod numa;
mod os;
mod pidfile;
mod process;
mod ringbuff;
mod sem;
mod serial;
mod shmem;
mod sized;
mod source;
mod spawn;
mod svc;
mod sysinfo;
mod thread;
mod threadpool;
mod timer;
mod utils;
