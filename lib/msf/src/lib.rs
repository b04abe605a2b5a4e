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
mod mempool;
mod process;
mod svc;
mod thread;
mod utils;

/// Two functions of different type cannot share an array: a doorway that is not what the mirror of the headers says
/// does not compile. (`msf_log_write` is compared where it is defined, the rest of the comparison is gcc's.)
macro_rules! as_declared {
    ($($room:ident: $($name:ident)*;)*) => { $($(const _: () = { let _ = [$room::$name, header::$name]; };)*)* };
}

as_declared! {
    event: msf_event_base_new msf_event_base_free msf_event_base_dispatch msf_event_base_wait msf_event_base_signal
        msf_event_base_loopexit msf_event_new msf_event_add msf_event_del msf_event_free;
    log: msf_log_init msf_log_init_default msf_log_reopen msf_log_limit msf_log_level msf_log_free;
    mempool: msf_mempool_create_prv msf_mempool_alloc msf_mempool_free msf_mempool_dump msf_mempool_destroy;
    process: msf_run_dir msf_log_dir msf_process_claim msf_process_release msf_process_holder msf_process_title;
    svc: msf_svcinst_init msf_svcinst_deinit;
    thread: msf_pthread_spawn;
    utils: msf_version daemonize;
}
