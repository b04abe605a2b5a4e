//! msf_network.h: sockets. Servers, connections and plain sending are here; the other doorways are beside it.

mod address;
mod epoll;
mod link;
mod option;

pub(crate) use link::{copy_sized, size_of_sized};

use crate::guard::{bytes, guard, guard_or, plain};
use msf_core::Error;
use msf_core::log::Level;
use msf_core::net::{self, SocketOption, unix};
use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, getsockname};
use option::ALIVE;
use std::ffi::{OsStr, c_char, c_int, c_void};
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

as_declared! {
    msf_socket_create msf_socket_bind msf_socket_listen msf_socket_accept msf_server_socket msf_server_unix_socket
    msf_connect_unix_socket msf_connect_host msf_connect_host_within msf_socket_peer msf_socket_debug msf_sendto
    msf_recvfrom msf_sendmsg_v1 msf_recvmsg_v1 msf_sendmsg_v2 msf_recvmsg_v2 msf_drain_fd
}

/// A descriptor of the caller's, for the time of the call.
pub(crate) fn fd_of<'a>(fd: c_int) -> Result<BorrowedFd<'a>, Errno> {
    if fd < 0 {
        return Err(Errno::EBADF);
    }
    // SAFETY: it is not -1; the caller keeps it open during the call, and a number nobody has open is EBADF, not harm.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// # Safety
/// `text` is null or a C string that stays as it is for `'a`.
pub(crate) unsafe fn text_of<'a>(text: *const c_char) -> Result<&'a str, Errno> {
    // SAFETY: our caller's promise is the callee's.
    str::from_utf8(unsafe { bytes(text) }?).map_err(|_| Errno::EINVAL)
}

/// # Safety
/// As [`text_of`]. Null and "" are nothing.
pub(crate) unsafe fn optional<'a>(text: *const c_char) -> Result<Option<&'a str>, Errno> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: our caller's promise is the callee's.
    Ok(Some(unsafe { text_of(text) }?).filter(|text| !text.is_empty()))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_create(domain: u32, kind: u32, protocol: u32) -> c_int {
    let kind = kind as c_int | libc::SOCK_CLOEXEC;
    // SAFETY: three numbers; the kernel refuses those that are none of its own.
    guard_or(-1, || Errno::result(unsafe { libc::socket(domain as c_int, kind, protocol as c_int) }))
}

/// # Safety
/// `addrlen` bytes may be read from `addr`, or it is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_socket_bind(
    fd: c_int,
    addr: *const libc::sockaddr,
    addrlen: libc::socklen_t,
    backlog: u32,
) -> c_int {
    guard(|| {
        if addr.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: the kernel reads `addrlen` bytes, which are there as our caller says.
        Errno::result(unsafe { libc::bind(fd, addr, addrlen) })?;
        match begin(fd, i32::try_from(backlog).unwrap_or(0)) {
            // What knows no connections is bound, which is all there is to do.
            Err(Errno::EOPNOTSUPP) => Ok(()),
            done => done,
        }
    })
}

fn begin(fd: c_int, backlog: c_int) -> Result<(), Errno> {
    let backlog = if backlog < 1 { libc::SOMAXCONN } else { backlog };
    // SAFETY: two numbers; the kernel refuses what is no socket.
    Errno::result(unsafe { libc::listen(fd, backlog) }).map(drop)
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_listen(fd: c_int, backlog: c_int) -> c_int {
    guard(|| begin(fd, backlog))
}

/// # Safety
/// Both are null, or `*addrlen` bytes may be written to `addr`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_socket_accept(
    fd: c_int,
    addr: *mut libc::sockaddr,
    addrlen: *mut libc::socklen_t,
) -> c_int {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: our caller's promise is the kernel's condition.
    guard_or(-1, || again(|| unsafe { libc::accept4(fd, addr, addrlen, flags) } as isize))
}

/// # Safety
/// `interf` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_server_socket(
    interf: *const c_char,
    protocol: c_int,
    port: c_int,
    backlog: c_int,
) -> c_int {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let (place, port) = (unsafe { optional(interf) }?, u16::try_from(port).map_err(|_| Errno::EINVAL)?);
        let backlog = u32::try_from(backlog).unwrap_or(0);
        match protocol {
            libc::SOCK_DGRAM => given(net::bind_udp(place, port), &[]),
            _ => given(net::listen(place, port, backlog), &[]),
        }
    })
}

/// # Safety
/// `path` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_server_unix_socket(backlog: c_int, path: *const c_char, access_mask: c_int) -> c_int {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let path = Path::new(OsStr::from_bytes(unsafe { bytes(path) }?));
        given(unix::listen(path, access_mask as u32, u32::try_from(backlog).unwrap_or(0)), &[])
    })
}

/// # Safety
/// Both are null or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_connect_unix_socket(cname: *const c_char, sname: *const c_char) -> c_int {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let own = if cname.is_null() { &[] } else { unsafe { bytes(cname) }? };
        // SAFETY: our caller's promise is the callee's.
        let server = Path::new(OsStr::from_bytes(unsafe { bytes(sname) }?));
        let own = (!own.is_empty()).then(|| Path::new(OsStr::from_bytes(own)));
        given(unix::connect(server, own), &[])
    })
}

/// # Safety
/// Both are null or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_connect_host(host: *const c_char, port: *const c_char) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    unsafe { msf_connect_host_within(host, port, -1) }
}

/// # Safety
/// Both are null or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_connect_host_within(host: *const c_char, port: *const c_char, timeout_ms: c_int) -> c_int {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let host = unsafe { text_of(host) }?;
        // SAFETY: our caller's promise is the callee's.
        let port = unsafe { text_of(port) }?;
        let longest = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        let as_in_2019 = [
            SocketOption::NoDelay(true),
            SocketOption::Linger(Some(Duration::ZERO)),
            SocketOption::KeepAlive(Some(ALIVE)),
        ];
        given(net::connect(host, port, longest), &as_in_2019)
    })
}

/// A socket as C gets it.
fn given(socket: Result<impl Into<OwnedFd>, Error>, options: &[SocketOption<'_>]) -> Result<c_int, Errno> {
    let socket = socket.map_err(plain)?.into();
    let options = options.iter().chain([&SocketOption::NonBlocking(true)]);
    options.into_iter().try_for_each(|option| option.set(&socket)).map_err(plain)?;
    Ok(socket.into_raw_fd())
}

/// # Safety
/// Each pointer is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_socket_peer(
    fd: c_int,
    pid_out: *mut libc::pid_t,
    uid_out: *mut libc::uid_t,
    gid_out: *mut libc::gid_t,
) -> c_int {
    guard(|| {
        let peer = unix::peer(fd_of(fd)?).map_err(plain)?;
        // SAFETY: our caller's promise is the callee's.
        unsafe { give(pid_out, peer.pid) };
        // SAFETY: our caller's promise is the callee's.
        unsafe { give(uid_out, peer.uid) };
        // SAFETY: our caller's promise is the callee's.
        unsafe { give(gid_out, peer.gid) };
        Ok(())
    })
}

/// # Safety
/// `out` is null or may be written.
pub(crate) unsafe fn give<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: not null, and our caller says that it may be written.
        unsafe { out.write(value) };
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_socket_debug(fd: c_int) {
    guard_or((), || {
        let level = Level::Debug;
        match getsockname::<SockaddrStorage>(fd) {
            Ok(address) => msf_core::log!(level, "NETWORK", "the socket {fd} is {address}"),
            Err(error) => msf_core::log!(level, "NETWORK", "the descriptor {fd} has no address: {error}"),
        }
        Ok(())
    });
}

/// # Safety
/// `len` bytes may be read from `buf`, `addrlen` from `addr`; `addr` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_sendto(
    fd: c_int,
    buf: *const c_void,
    len: u32,
    addr: *const libc::sockaddr,
    addrlen: libc::socklen_t,
) -> c_int {
    // SAFETY: our caller's promise is the kernel's condition.
    transfer(buf, || unsafe { libc::sendto(fd, buf, len as usize, libc::MSG_NOSIGNAL, addr, addrlen) })
}

/// # Safety
/// `len` bytes may be written to `buf`; `addr` and `addrlen` are null, or `*addrlen` bytes may be written to `addr`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_recvfrom(
    fd: c_int,
    buf: *mut c_void,
    len: u32,
    addr: *mut libc::sockaddr,
    addrlen: *mut libc::socklen_t,
) -> c_int {
    // SAFETY: our caller's promise is the kernel's condition.
    transfer(buf, || unsafe { libc::recvfrom(fd, buf, len as usize, 0, addr, addrlen) })
}

/// # Safety
/// `iov` is null or has `count` entries whose bytes may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_sendmsg_v1(fd: c_int, iov: *mut libc::iovec, count: u32, flag: c_int) -> c_int {
    let msg = parts(iov, count);
    // SAFETY: our caller's promise is the kernel's condition; the header is a local.
    transfer(iov, || unsafe { libc::sendmsg(fd, &raw const msg, flag | libc::MSG_NOSIGNAL) })
}

/// # Safety
/// `iov` is null or has `count` entries whose bytes may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_recvmsg_v1(fd: c_int, iov: *mut libc::iovec, count: u32, flag: c_int) -> c_int {
    let mut msg = parts(iov, count);
    // SAFETY: our caller's promise is the kernel's condition; the header is a local.
    transfer(iov, || unsafe { libc::recvmsg(fd, &raw mut msg, flag) })
}

/// # Safety
/// `msg` is null or says what may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_sendmsg_v2(fd: c_int, msg: *mut libc::msghdr, flag: c_int) -> c_int {
    // SAFETY: our caller's promise is the kernel's condition.
    transfer(msg, || unsafe { libc::sendmsg(fd, msg, flag | libc::MSG_NOSIGNAL) })
}

/// # Safety
/// `msg` is null or says what may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_recvmsg_v2(fd: c_int, msg: *mut libc::msghdr, flag: c_int) -> c_int {
    // SAFETY: our caller's promise is the kernel's condition.
    transfer(msg, || unsafe { libc::recvmsg(fd, msg, flag) })
}

fn parts(iov: *mut libc::iovec, count: u32) -> libc::msghdr {
    // SAFETY: the struct is made of integers and pointers, for which zero is a value.
    let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
    msg.msg_iov = iov;
    msg.msg_iovlen = count as _;
    msg
}

/// A call with a buffer, which is never null.
fn transfer<T>(buffer: *const T, call: impl FnMut() -> isize) -> c_int {
    guard_or(-1, || if buffer.is_null() { Err(Errno::EINVAL) } else { again(call) })
}

/// Until no signal interrupts it. More than C's int can say is cut by nobody: the kernel's own limit is below.
fn again(mut call: impl FnMut() -> isize) -> Result<c_int, Errno> {
    loop {
        match Errno::result(call()) {
            Err(Errno::EINTR) => {}
            done => return Ok(c_int::try_from(done?).unwrap_or(c_int::MAX)),
        }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_drain_fd(fd: c_int, n: u32) {
    guard_or((), || net::drain(fd_of(fd)?, n));
}
