//! eventfd and epoll, by the caller's own descriptors.

use super::fd_of;
use crate::guard::{guard, guard_or};
use msf_core::net;
use nix::errno::Errno;
use std::ffi::{c_int, c_void};

as_declared! {
    msf_eventfd msf_eventfd_notify msf_eventfd_clear msf_epoll_create msf_add_event msf_mod_event msf_mod_event_ptr
    msf_del_event
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_eventfd(initval: u32, flags: c_int) -> c_int {
    // SAFETY: two numbers; the kernel refuses flags that are none of its own.
    guard_or(-1, || Errno::result(unsafe { libc::eventfd(initval, flags | libc::EFD_CLOEXEC) }))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_eventfd_notify(efd: c_int) -> c_int {
    guard(|| net::notify(fd_of(efd)?))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_eventfd_clear(efd: c_int) -> c_int {
    guard(|| net::clear(fd_of(efd)?))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_epoll_create() -> c_int {
    // SAFETY: one flag of the kernel's own.
    guard_or(-1, || Errno::result(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_add_event(epfd: c_int, fd: c_int, events: u32, p: *mut c_void) -> c_int {
    guard(|| control(epfd, libc::EPOLL_CTL_ADD, fd, events, p.addr() as u64))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_mod_event(epfd: c_int, fd: c_int, events: u32) -> c_int {
    guard(|| {
        let data = net::registered(fd_of(epfd)?, fd_of(fd)?)?;
        control(epfd, libc::EPOLL_CTL_MOD, fd, events, data)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_mod_event_ptr(epfd: c_int, fd: c_int, events: u32, p: *mut c_void) -> c_int {
    guard(|| control(epfd, libc::EPOLL_CTL_MOD, fd, events, p.addr() as u64))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_del_event(epfd: c_int, fd: c_int) -> c_int {
    guard(|| control(epfd, libc::EPOLL_CTL_DEL, fd, 0, 0))
}

fn control(epfd: c_int, operation: c_int, fd: c_int, events: u32, data: u64) -> Result<(), Errno> {
    let mut event = libc::epoll_event { events, u64: data };
    // SAFETY: the kernel reads one event, which is a local; numbers that are no such descriptors are errors.
    Errno::result(unsafe { libc::epoll_ctl(epfd, operation, fd, &raw mut event) }).map(drop)
}
