//! `include/msf_daemon.h`.

use core::ffi::c_char;

use super::process_desc;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_daemon {
    pub msf_state: u32,
    pub msf_author: [c_char; 32],
    pub msf_version: [c_char; 32],
    pub msf_desc: [c_char; 64],
    pub msf_conf: *mut c_char,
    pub msf_name: *mut c_char,
    pub msf_proc_num: u32,
    pub msf_proc_desc: *mut process_desc,
}
