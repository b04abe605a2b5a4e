//! `include/msf_process.h`.

use core::ffi::{c_char, c_int};
use libc::{gid_t, pid_t, size_t, uid_t};

use super::{MSF_MAX_NAME_LEN, MSF_MAX_PATH_LEN, svcinst};

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

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct process_desc {
    pub proc_pid: pid_t,
    pub proc_age: i64,
    pub proc_fd: c_int,
    pub restart_times: c_int,
    pub proc_idx: u32,
    pub proc_name: [c_char; MSF_MAX_NAME_LEN],
    pub proc_path: [c_char; MSF_MAX_PATH_LEN],
    pub proc_conf: [c_char; MSF_MAX_PATH_LEN],
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_process_fd {
    pub fd: c_int,
    pub number: c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_process_limit {
    pub soft: u64,
    pub hard: u64,
    pub resource: c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_process_plan {
    pub size: u32,
    pub flags: u32,
    pub path: *const c_char,
    pub argv: *const *mut c_char,
    pub envp: *const *mut c_char,
    pub folder: *const c_char,
    pub user: *const c_char,
    pub fds: *const msf_process_fd,
    pub limits: *const msf_process_limit,
    pub cpus: *const u32,
    pub fd_count: u32,
    pub limit_count: u32,
    pub cpu_count: u32,
    pub nice: c_int,
    pub uid: uid_t,
    pub gid: gid_t,
}

pub const MSF_DAEMON_KEEP_FOLDER: u32 = 1;
pub const MSF_DAEMON_KEEP_FILES: u32 = 2;
pub const MSF_FD_NULL: c_int = -1;
pub const MSF_SPAWN_SESSION: u32 = 1;
pub const MSF_SPAWN_OUR_GROUP: u32 = 2;
pub const MSF_SPAWN_DETACHED: u32 = 4;
pub const MSF_SPAWN_IDS: u32 = 8;

unsafe extern "C" {
    pub static mut g_proc: *mut process;
    pub fn msf_run_dir(path_out: *mut c_char, size: size_t) -> c_int;
    pub fn msf_log_dir(path_out: *mut c_char, size: size_t) -> c_int;
    pub fn msf_process_claim(name: *const c_char, holder_out: *mut pid_t) -> c_int;
    pub fn msf_process_release(name: *const c_char) -> c_int;
    pub fn msf_process_holder(name: *const c_char) -> pid_t;
    pub fn msf_process_title(title: *const c_char) -> c_int;
    pub fn msf_process_daemonize(flags: u32) -> c_int;
    pub fn msf_process_ready() -> c_int;
    pub fn msf_get_process_name(name: *mut c_char) -> c_int;
    pub fn msf_getpid_by_name(name: *const c_char) -> pid_t;
    pub fn msf_set_user(proc_: *mut process) -> c_int;
    pub fn msf_set_rlimit(proc_: *const process) -> c_int;
    pub fn process_try_lock(name: *const c_char, mode: u32) -> c_int;
    pub fn msf_crash_notify() -> c_int;
    pub fn process_spwan(desc: *mut process_desc) -> pid_t;
    pub fn msf_process_spawn(plan: *const msf_process_plan) -> pid_t;
    pub fn msf_process_wait(pid: pid_t, timeout_ms: c_int, status_out: *mut c_int) -> c_int;
}
