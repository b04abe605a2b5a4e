//! msf_sem.h: waiting for a semaphore: one jump to the C function in `wait.c`.

use crate::header;
use crate::instance;
use std::ffi::c_int;

unsafe extern "C" {
    fn msf_sem_wait_c(sem: *mut libc::sem_t, ms: c_int) -> c_int;
}

/// # Safety
/// `sem` is null or an initialised semaphore, which is not destroyed meanwhile.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn msf_sem_wait(sem: *mut libc::sem_t, ms: c_int) -> c_int {
    core::arch::naked_asm!(jump!(), sym msf_sem_wait_c)
}

// The jump's target is what the header says msf_sem_wait is.
const _: () = {
    let _ = [msf_sem_wait_c, header::msf_sem_wait];
};

// `wait.c` finds `refused` under this name; hidden, it is no symbol of the finished library.
core::arch::global_asm!(
    ".globl msf_sem_refused",
    ".hidden msf_sem_refused",
    ".set msf_sem_refused, {}",
    sym refused
);

/// Whether this is a second copy of the library, which serves nobody.
extern "C" fn refused() -> c_int {
    c_int::from(instance::check().is_err())
}
