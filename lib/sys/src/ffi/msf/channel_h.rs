//! `include/msf_channel.h`.

use core::ffi::{c_int, c_void};
use libc::pid_t;

pub const MSF_CMD_OPEN_CHANNEL: c_int = 1;
pub const MSF_CMD_CLOSE_CHANNEL: c_int = 2;
pub const MSF_CMD_QUIT: c_int = 3;
pub const MSF_CMD_TERMINATE: c_int = 4;
pub const MSF_CMD_REOPEN: c_int = 5;
pub const MSF_CHANNEL_MAX_FDS: c_int = 253;
pub const MSF_CHANNEL_MAX_DATA: c_int = 1048576;

#[derive(Clone, Copy)]
#[repr(C)]
pub struct msf_channel_hdr {
    pub cmd: u32,
    pub pid: pid_t,
    pub slot: u32,
    pub data_len: u32,
    pub fd_num: u32,
}

#[repr(C)]
pub struct msf_channel {
    pub hdr: msf_channel_hdr,
    pub snd_flag: u32,
    pub rcv_flag: u32,
    pub cur_pos: u32,
    pub fd_idx: *mut u32,
    pub fd_arr: *mut c_int,
}

unsafe extern "C" {
    pub fn msf_new_channel(fd_num: u32) -> *mut msf_channel;
    pub fn msf_add_channel(ch: *mut msf_channel, fd: c_int);
    pub fn msf_channel_put(ch: *mut msf_channel, data: *const c_void, len: u32) -> c_int;
    pub fn msf_write_channel(fd: c_int, ch: *mut msf_channel) -> c_int;
    pub fn msf_read_channel(fd: c_int, ch: *mut msf_channel) -> c_int;
    pub fn msf_channel_data(ch: *const msf_channel) -> *const c_void;
    pub fn msf_channel_take(ch: *mut msf_channel, index: u32) -> c_int;
    pub fn msf_channel_reset(ch: *mut msf_channel);
    pub fn msf_free_channel(ch: *mut msf_channel);
}
