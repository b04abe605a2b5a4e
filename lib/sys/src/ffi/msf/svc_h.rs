//! `include/msf_svc.h`.

use super::msf_event_base;
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

pub const MSF_SVC_ABI: u32 = 1;
pub const MSF_SVC_LOOP: u32 = 1;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_svc_ctx {
    pub size: u32,
    pub generation: u32,
    pub name: *const c_char,
    pub config: *const c_char,
    pub base: *mut msf_event_base,
    pub data: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_svc_out {
    pub size: u32,
    pub put: Option<unsafe extern "C" fn(out: *mut msf_svc_out, data: *const c_void, len: usize) -> c_int>,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_svc_function {
    pub name: *const c_char,
    pub run: Option<
        unsafe extern "C" fn(
            ctx: *mut msf_svc_ctx,
            params: *const c_void,
            len: usize,
            result: *mut msf_svc_out,
        ) -> c_int,
    >,
    pub flags: u32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_svc_ops {
    pub size: u32,
    pub abi: u32,
    pub flags: u32,
    pub state: u32,
    pub version: *const c_char,
    pub init: Option<unsafe extern "C" fn(ctx: *mut msf_svc_ctx) -> c_int>,
    pub start: Option<unsafe extern "C" fn(ctx: *mut msf_svc_ctx) -> c_int>,
    pub stop: Option<unsafe extern "C" fn(ctx: *mut msf_svc_ctx) -> c_int>,
    pub deinit: Option<unsafe extern "C" fn(ctx: *mut msf_svc_ctx) -> c_int>,
    pub call: Option<
        unsafe extern "C" fn(
            ctx: *mut msf_svc_ctx,
            command: *const c_char,
            params: *const c_void,
            len: usize,
            result: *mut msf_svc_out,
        ) -> c_int,
    >,
    pub export_state: Option<unsafe extern "C" fn(ctx: *mut msf_svc_ctx, state: *mut msf_svc_out) -> c_int>,
    pub import_state:
        Option<unsafe extern "C" fn(ctx: *mut msf_svc_ctx, version: u32, state: *const c_void, len: usize) -> c_int>,
    pub health: Option<unsafe extern "C" fn(ctx: *mut msf_svc_ctx, text: *mut msf_svc_out) -> c_int>,
    pub functions: *const msf_svc_function,
}

unsafe extern "C" {
    pub fn msf_svcinst_init(svc: *mut svcinst) -> c_int;
    pub fn msf_svcinst_deinit(svc: *mut svcinst) -> c_int;
    pub fn msf_load_dynamic(path: *const c_char) -> *mut c_void;
    pub fn msf_load_symbol(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}
