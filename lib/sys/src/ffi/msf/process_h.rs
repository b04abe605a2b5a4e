//! `include/msf_process.h`.

use core::ffi::{c_char, c_int};
use libc::{gid_t, pid_t, size_t, uid_t};

use super::svcinst;

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

unsafe extern "C" {
    pub static mut g_proc: *mut process;
    pub fn msf_run_dir(path_out: *mut c_char, size: size_t) -> c_int;
    pub fn msf_log_dir(path_out: *mut c_char, size: size_t) -> c_int;
    pub fn msf_process_claim(name: *const c_char, holder_out: *mut pid_t) -> c_int;
    pub fn msf_process_release(name: *const c_char) -> c_int;
    pub fn msf_process_holder(name: *const c_char) -> pid_t;
    pub fn msf_process_title(title: *const c_char) -> c_int;
}
