//! `include/msf_file.h`.

use core::ffi::{c_char, c_int, c_void};
use libc::{pid_t, size_t, ssize_t};

pub const MSF_FILE_OPEN: c_int = 0;
pub const MSF_FILE_DEFAULT_ACCESS: c_int = 0x1a4;
pub const MSF_FILE_OWNER_ACCESS: c_int = 0x180;
pub const MSF_FILE_READ: u32 = 0;
pub const MSF_FILE_WRITE: u32 = 1;
pub const MSF_FILE_EXEC: u32 = 2;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_file {
    pub fd: c_int,
    pub uniq: u64,
    pub mtime: i64,
    pub size: i64,
    pub fs_size: i64,
    pub directio: i64,
    pub read_ahead: size_t,
    pub flags_read_only: u32,
    pub is_exist: u32,
    pub is_dir: u32,
    pub is_file: u32,
    pub is_link: u32,
    pub is_exec: u32,
    pub is_directio: u32,
    pub exec_access: u32,
    pub read_access: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_file_mapping {
    pub name: *mut u8,
    pub size: size_t,
    pub addr: *mut c_void,
    pub fd: c_int,
}

unsafe extern "C" {
    pub fn msf_get_file_info(path: *const c_char, file_out: *mut msf_file, mode: u32) -> c_int;
    pub fn msf_chk_file_exist(path: *const c_char) -> c_int;
    pub fn msf_read_file(fd: c_int, buffer: *mut u8, size: size_t, offset: i64) -> ssize_t;
    pub fn msf_write_file(fd: c_int, buffer: *const u8, size: size_t, offset: i64) -> ssize_t;
    pub fn config_read_file(path: *const c_char) -> *mut c_char;
    pub fn msf_file_load(path: *const c_char, size_out: *mut size_t) -> *mut u8;
    pub fn msf_file_replace(path: *const c_char, bytes: *const c_void, size: size_t, mode: u32) -> c_int;
    pub fn msf_file_lock(fd: c_int, timeout_ms: c_int) -> c_int;
    pub fn msf_unlock_fd(fd: c_int) -> c_int;
    pub fn msf_fs_bsize(path: *const u8) -> size_t;
    pub fn msf_enable_coredump();
    pub fn msf_create_pidfile(path: *const c_char) -> c_int;
    pub fn msf_write_pidfile(path: *const c_char);
    pub fn msf_delete_pidfile(path: *const c_char);
    pub fn msf_read_pidfile(path: *const c_char) -> pid_t;
    pub fn msf_check_runningpid(path: *const c_char) -> c_int;
    pub fn msf_create_file_mapping(mapping: *mut msf_file_mapping) -> c_int;
    pub fn msf_close_file_mapping(mapping: *mut msf_file_mapping);
}
