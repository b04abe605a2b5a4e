//! `include/msf*.h` seen from Rust: every function, variable, type and constant of libmsf.so.
//!
//! The headers are the truth. rustc compares this file with the definitions in `lib/msf` (which includes it
//! by `#[path]`), gcc compares it with the headers (`script/check_abi.py`), and `build.rs` takes from it the
//! names of the stub that programs are linked with. Those two read it as text, so it keeps one item per line
//! group, no macros and no conditional compilation.
//!
//! It is included in more than one crate: it may use `core` and `libc` only.
#![allow(non_camel_case_types, non_upper_case_globals, missing_docs, dead_code)]

use core::ffi::{CStr, c_char, c_int, c_void};
use core::marker::{PhantomData, PhantomPinned};

use libc::{gid_t, pid_t, pthread_t, size_t, uid_t};

// msf.h

pub const MSF_HAVE_EPOLL: c_int = 1;
pub const MSF_HAVE_EVENTFD: c_int = 1;
pub const MSF_HAVE_SYS_EVENTFD_H: c_int = 1;
pub const MSF_HAVE_UNIX_DOMAIN: c_int = 1;
pub const MSF_HAVE_POSIX_SEM: c_int = 1;
pub const MSF_HAVE_GCC_ATOMIC: c_int = 1;
pub const MSF_VERSION_MAJOR: c_int = 0;
pub const MSF_VERSION_MINOR: c_int = 1;
pub const MSF_VERSION_PATCH: c_int = 0;
pub const MSF_VERSION_STRING: &CStr = c"0.1.0";

// msf_utils.h

pub const MSF_FALSE: c_int = 0;
pub const MSF_TRUE: c_int = 1;
pub const MSF_OK: c_int = 0;
pub const MSF_ERR: c_int = -1;
pub const MSF_NO_WAIT: c_int = 0;
pub const MSF_WAIT_FOREVER: c_int = -1;
pub const MSF_INVALID_SOCKET: c_int = -1;
pub const MSF_CONF_UNSET_UINT: u32 = 0xffff_ffff;
pub const MSF_INT32_LEN: c_int = 11;
pub const MSF_INT64_LEN: c_int = 20;

pub type sighandler_t = Option<unsafe extern "C" fn(sig: c_int)>;

// msf_errno.h

pub const MSF_ENOMOREFILES: c_int = 0;

// msf_log.h

pub const DBG_FATAL: c_int = 0;
pub const DBG_ERROR: c_int = 1;
pub const DBG_WARN: c_int = 2;
pub const DBG_DEBUG: c_int = 3;
pub const DBG_INFO: c_int = 4;
pub const DBG_MAX: c_int = 5;

// msf_event.h

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_event_base {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_event {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

// msf_thread.h

pub type pfn_msf_thrd = Option<unsafe extern "C" fn(arg: *mut c_void) -> *mut c_void>;

// msf_atomic.h

pub type msf_atomic_t = u32;

// msf_list.h

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct list_head {
    pub next: *mut list_head,
    pub prev: *mut list_head,
}

// msf_svc.h

pub const MSF_MAX_NAME_LEN: usize = 64;
pub const MSF_MAX_PATH_LEN: usize = 4096;
pub const MSF_MAX_DEPLIB_NUM: usize = 8;

pub type svc_func = Option<unsafe extern "C" fn(data: *mut c_void, len: u32) -> c_int>;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_svc {
    pub init: svc_func,
    pub deinit: svc_func,
    pub start: svc_func,
    pub stop: svc_func,
    pub get_param: svc_func,
    pub set_param: svc_func,
    pub msg_handler: svc_func,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct svcinst {
    pub state: u32,
    pub svc_name: [c_char; MSF_MAX_NAME_LEN],
    pub svc_lib: [c_char; MSF_MAX_PATH_LEN],
    pub svc_deplib_num: u32,
    pub svc_deplib: [*mut c_char; MSF_MAX_DEPLIB_NUM],
    pub svc_handle: *mut c_void,
    pub svc_cb: *mut msf_svc,
}

pub const SVCINST_EMPTY: c_int = 0;
pub const SVCINST_LOADED: c_int = 1;

// msf_process.h

/// `enum process_state`, one byte wide: a number here, since C may store any.
pub type process_state = u8;

pub const PROCESS_STATE_DOWN: process_state = 0;
pub const PROCESS_STATE_STARTING: process_state = 1;
pub const PROCESS_STATE_UP: process_state = 2;
pub const PROCESS_STATE_STOPPING: process_state = 3;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct process {
    pub proc_state: process_state,
    pub pid: pid_t,
    pub role: u32,
    pub worker_processes: u32,
    pub working_directory: *mut c_char,
    pub channel: [c_int; 2],
    pub username: *mut c_char,
    pub user: uid_t,
    pub group: gid_t,
    pub priority: c_int,
    pub cpu_affinity: c_int,
    pub cpu_affinity_id: c_int,
    pub coredump: u32,
    pub core_file: *mut c_char,
    pub lock_file: *mut c_char,
    pub rlimit_nofile: c_int,
    pub rlimit_core: c_int,
    pub proc_name: [c_char; 32],
    pub proc_author: [c_char; 32],
    pub proc_desc: [c_char; 32],
    pub proc_version: [c_char; 32],
    pub logfd: c_int,
    pub confile: *mut c_char,
    pub proc_signo: c_int,
    pub proc_daemon: c_int,
    pub proc_upgrade: u32,
    pub terminate: u32,
    pub quit: u32,
    pub fault_times: u32,
    pub alarm_times: u32,
    pub alarm_state: u32,
    pub start_times: u32,
    pub proc_svc_num: u32,
    pub proc_svcs: *mut svcinst,
}

// msf_mem.h

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_mr {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_reg_mem {
    pub addr: *mut c_void,
    pub length: size_t,
    pub mr: *mut msf_mr,
    pub r#priv: *mut c_void,
}

// msf_mempool.h

pub const MSF_MEM_SLABS_NR: c_int = 4;
pub const MSF_MAX_SLABS_NR: c_int = 6;

pub const MSF_MEMPOOL_FLAG_NONE: u32 = 0x00;
pub const MSF_MEMPOOL_FLAG_REG_MR: u32 = 0x01;
pub const MSF_MEMPOOL_FLAG_HUGE_PAGES_ALLOC: u32 = 0x02;
pub const MSF_MEMPOOL_FLAG_NUMA_ALLOC: u32 = 0x04;
pub const MSF_MEMPOOL_FLAG_REGULAR_PAGES_ALLOC: u32 = 0x08;
pub const MSF_MEMPOOL_FLAG_USE_SMALLEST_SLAB: u32 = 0x16;

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_mempool {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

// msf_network.h

pub const LOCAL_HOST_V4: &CStr = c"127.0.0.1";
pub const LOCAL_HOST_V6: &CStr = c"[::1]";
pub const LOCAL_PORT: &CStr = c"9999";
pub const max_epoll_event: c_int = 256;
pub const MAX_IPADDR_LEN: c_int = 64;
pub const DOMAIN_ADDR_LEN: c_int = 64;
pub const INVALID_SOCKET: c_int = -1;
pub const PREFIX_UNIX_PATH: &CStr = c"/var/";
pub const MSF_RPC_UNIX_SERVER: &CStr = c"/var/msf_agent.sock";
pub const MSF_RPC_UNIX_FORMAT: &CStr = c"/var/msf_%s.sock";
pub const MSF_RPC_UNIX_DLNA: &CStr = c"/var/msf_dlna.sock";
pub const MSF_RPC_UNIX_UPNP: &CStr = c"/var/msf_upnp.sock";

unsafe extern "C" {
    // msf.h
    pub fn msf_version() -> *const c_char;

    // msf_utils.h
    pub fn daemonize(nochdir: c_int, noclose: c_int) -> c_int;

    // msf_log.h
    pub fn msf_log_write(
        level: c_int,
        module: *const c_char,
        func: *const c_char,
        file: *const c_char,
        line: c_int,
        fmt: *const c_char,
        ...
    ) -> c_int;
    pub fn msf_log_init(log_path: *const c_char) -> c_int;
    pub fn msf_log_init_default(name: *const c_char) -> c_int;
    pub fn msf_log_reopen() -> c_int;
    pub fn msf_log_limit(bytes: u64, files: u32) -> c_int;
    pub fn msf_log_level(level: c_int) -> c_int;
    pub fn msf_log_free();

    // msf_event.h
    pub fn msf_event_base_new() -> *mut msf_event_base;
    pub fn msf_event_base_free(base: *mut msf_event_base);
    pub fn msf_event_base_dispatch(base: *mut msf_event_base) -> c_int;
    pub fn msf_event_base_wait(base: *mut msf_event_base) -> c_int;
    pub fn msf_event_base_signal(base: *mut msf_event_base);
    pub fn msf_event_base_loopexit(base: *mut msf_event_base);
    pub fn msf_event_new(
        fd: c_int,
        read_cb: Option<unsafe extern "C" fn(args: *mut c_void)>,
        write_cb: Option<unsafe extern "C" fn(args: *mut c_void)>,
        error_cb: Option<unsafe extern "C" fn(args: *mut c_void)>,
        args: *mut c_void,
    ) -> *mut msf_event;
    pub fn msf_event_add(base: *mut msf_event_base, ev: *mut msf_event) -> c_int;
    pub fn msf_event_del(base: *mut msf_event_base, ev: *mut msf_event) -> c_int;
    pub fn msf_event_free(ev: *mut msf_event);

    // msf_thread.h
    pub fn msf_pthread_spawn(
        tid: *mut pthread_t,
        func: Option<unsafe extern "C" fn(arg: *mut c_void) -> *mut c_void>,
        arg: *mut c_void,
    ) -> c_int;

    // msf_svc.h
    pub fn msf_svcinst_init(svc: *mut svcinst) -> c_int;
    pub fn msf_svcinst_deinit(svc: *mut svcinst) -> c_int;

    // msf_process.h
    pub static mut g_proc: *mut process;
    pub fn msf_run_dir(path_out: *mut c_char, size: size_t) -> c_int;
    pub fn msf_log_dir(path_out: *mut c_char, size: size_t) -> c_int;
    pub fn msf_process_claim(name: *const c_char, holder_out: *mut pid_t) -> c_int;
    pub fn msf_process_release(name: *const c_char) -> c_int;
    pub fn msf_process_holder(name: *const c_char) -> pid_t;
    pub fn msf_process_title(title: *const c_char) -> c_int;

    // msf_mempool.h
    pub fn msf_mempool_create_prv(nodeid: c_int, flags: u32) -> *mut msf_mempool;
    pub fn msf_mempool_alloc(pool: *mut msf_mempool, len: size_t, mem: *mut msf_reg_mem) -> c_int;
    pub fn msf_mempool_free(mem: *mut msf_reg_mem);
    pub fn msf_mempool_dump(pool: *mut msf_mempool);
    pub fn msf_mempool_destroy(pool: *mut msf_mempool);
}
