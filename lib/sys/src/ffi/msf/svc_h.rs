//! `include/msf_svc.h`.

use core::ffi::{c_char, c_int, c_void};

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
pub const MSF_SVC_NOT_FOUND: c_int = 401;

unsafe extern "C" {
    pub fn msf_svcinst_init(svc: *mut svcinst) -> c_int;
    pub fn msf_svcinst_deinit(svc: *mut svcinst) -> c_int;
    pub fn msf_load_dynamic(path: *const c_char) -> *mut c_void;
    pub fn msf_load_symbol(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}
