//! `include/msf_mem.h`.

use core::ffi::c_void;
use core::marker::{PhantomData, PhantomPinned};
use libc::size_t;

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
