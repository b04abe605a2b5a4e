//! Options of sockets. They are values, set by one function, so that these many doorways share one guard.

use super::{fd_of, optional, text_of};
use crate::guard::{guard, plain};
use msf_core::net::{self, Group, KeepAlive, SocketOption};
use nix::errno::Errno;
use std::ffi::{c_char, c_int};
use std::net::IpAddr;
use std::time::Duration;

as_declared! {
    msf_socket_nonblocking msf_socket_blocking msf_socket_closeonexec msf_socket_reuseaddr msf_socket_reuseport
    msf_socket_linger msf_socket_timeout msf_socket_alive msf_socket_keepalive msf_socket_tcp_nodelay
    msf_socket_tcp_fastopen msf_socket_tcp_defer_accept msf_socket_cork_flag msf_socket_buffers
    msf_socket_maximize_sndbuf msf_socket_v6only msf_socket_device msf_set_dscp msf_multicast_join msf_multicast_leave
    msf_multicast_send
}

fn set(fd: c_int, options: &[SocketOption<'_>]) -> c_int {
    guard(|| {
        let fd = fd_of(fd)?;
        options.iter().try_for_each(|option| option.set(fd)).map_err(plain)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_nonblocking(fd: c_int) -> c_int {
    set(fd, &[SocketOption::NonBlocking(true)])
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_blocking(fd: c_int) -> c_int {
    set(fd, &[SocketOption::NonBlocking(false)])
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_closeonexec(fd: c_int) -> c_int {
    set(fd, &[SocketOption::CloseOnExec(true)])
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_reuseaddr(fd: c_int) -> c_int {
    set(fd, &[SocketOption::ReuseAddress(true)])
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_reuseport(fd: c_int) -> c_int {
    set(fd, &[SocketOption::ReusePort(true)])
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_linger(fd: c_int) -> c_int {
    set(fd, &[SocketOption::Linger(Some(Duration::ZERO))])
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_timeout(fd: c_int, ms: u32) -> c_int {
    let longest = (ms > 0).then(|| Duration::from_millis(ms.into()));
    set(fd, &[SocketOption::Timeout(longest)])
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_alive(fd: c_int) -> c_int {
    set(fd, &[SocketOption::KeepAlive(Some(ALIVE))])
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_keepalive(fd: c_int, idle: u32, interval: u32, count: u32) -> c_int {
    set(fd, &[SocketOption::KeepAlive(Some(KeepAlive { idle, interval, count }))])
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_tcp_nodelay(fd: c_int) -> c_int {
    set(fd, &[SocketOption::NoDelay(true)])
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_tcp_fastopen(fd: c_int) -> c_int {
    set(fd, &[SocketOption::FastOpen(5)])
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_tcp_defer_accept(fd: c_int) -> c_int {
    set(fd, &[SocketOption::DeferAccept(1)])
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_cork_flag(fd: c_int, state: u32) -> c_int {
    set(fd, &[SocketOption::Cork(state != 0)])
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_buffers(fd: c_int, send: u32, receive: u32) -> c_int {
    let both = [SocketOption::SendBuffer(send), SocketOption::ReceiveBuffer(receive)];
    match (send > 0, receive > 0) {
        (true, true) => set(fd, &both),
        (true, false) => set(fd, &both[..1]),
        (false, true) => set(fd, &both[1..]),
        // Nothing to set, but a descriptor to be told about.
        (false, false) => guard(|| nix::fcntl::fcntl(fd_of(fd)?, nix::fcntl::FcntlArg::F_GETFD).map(drop)),
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_maximize_sndbuf(fd: c_int) {
    // The kernel cuts it at its limit.
    set(fd, &[SocketOption::SendBuffer(c_int::MAX as u32 / 2)]);
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_v6only(fd: c_int, state: u32) -> c_int {
    set(fd, &[SocketOption::OnlyV6(state != 0)])
}

/// # Safety
/// `interf` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_socket_device(fd: c_int, interf: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let name = unsafe { optional(interf) }?.unwrap_or("");
        SocketOption::Device(name).set(fd_of(fd)?).map_err(plain)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_set_dscp(fd: c_int, family: u32, dscp: u8) -> c_int {
    match family as c_int {
        libc::AF_INET | libc::AF_INET6 => set(fd, &[SocketOption::Dscp(dscp)]),
        _ => guard(|| Err(Errno::EAFNOSUPPORT)),
    }
}

/// # Safety
/// Both are null or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_multicast_join(fd: c_int, group: *const c_char, interf: *const c_char) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard(|| SocketOption::Join(unsafe { group_of(group, interf) }?).set(fd_of(fd)?).map_err(plain))
}

/// # Safety
/// Both are null or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_multicast_leave(fd: c_int, group: *const c_char, interf: *const c_char) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard(|| SocketOption::Leave(unsafe { group_of(group, interf) }?).set(fd_of(fd)?).map_err(plain))
}

/// # Safety
/// Both are null or C strings.
unsafe fn group_of(group: *const c_char, interf: *const c_char) -> Result<Group, Errno> {
    // SAFETY: our caller's promise is the callee's.
    let address: IpAddr = unsafe { text_of(group) }?.parse().map_err(|_| Errno::EINVAL)?;
    // SAFETY: our caller's promise is the callee's.
    Ok(Group { address, interface: unsafe { index_of(interf) }? })
}

/// # Safety
/// It is null or a C string.
unsafe fn index_of(interf: *const c_char) -> Result<u32, Errno> {
    // SAFETY: our caller's promise is the callee's.
    unsafe { optional(interf) }?.map_or(Ok(0), |name| net::interface_index(name).map_err(plain))
}

/// # Safety
/// `interf` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_multicast_send(fd: c_int, interf: *const c_char, hops: u32, loopback: u32) -> c_int {
    guard(|| {
        let (fd, hops) = (fd_of(fd)?, u8::try_from(hops).map_err(|_| Errno::EINVAL)?);
        // SAFETY: our caller's promise is the callee's.
        SocketOption::MulticastInterface(unsafe { index_of(interf) }?).set(fd).map_err(plain)?;
        SocketOption::MulticastHops(hops).set(fd).map_err(plain)?;
        SocketOption::MulticastLoop(loopback != 0).set(fd).map_err(plain)
    })
}

/// What 2019's connections have.
pub(super) const ALIVE: KeepAlive = KeepAlive { idle: 1, interval: 1, count: 3 };
