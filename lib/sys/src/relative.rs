//! What a process and one that it has started hand each other: a descriptor through a socket, and one that tells of an end.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use libc::{c_int, c_void};

/// A descriptor that is readable when the child `pid` has ended. The caller has not waited for it yet, so its number is
/// nobody else's. ENOSYS before Linux 5.3.
pub fn end_of(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: two plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

/// Waits for one byte, and gives the descriptor that came with it, if one did. UnexpectedEof when nobody will send any.
pub fn receive(socket: &impl AsFd) -> io::Result<Option<OwnedFd>> {
    let mut byte = 0u8;
    let mut part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // Aligned as a cmsghdr has to be, and larger than one with a number in it.
    let mut room = [0u64; 8];
    // SAFETY: numbers and null pointers, for which all bits zero is a value.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    (message.msg_control, message.msg_controllen) = (room.as_mut_ptr().cast(), size_of_val(&room) as _);
    let read = loop {
        // SAFETY: everything `message` points to is above, and as large as it says.
        let read = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        match io::Error::last_os_error() {
            e if read < 0 && e.kind() == io::ErrorKind::Interrupted => {}
            e if read < 0 => return Err(e),
            _ => break read,
        }
    };
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    // SAFETY: the kernel has filled `message` in.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    if header.is_null() {
        return Ok(None);
    }
    // SAFETY: not null, so it lies in `room`, whole.
    let about = unsafe { header.read() };
    if (about.cmsg_level, about.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
        return Ok(None);
    }
    // SAFETY: a header of the kernel's.
    let data: *const c_void = unsafe { libc::CMSG_DATA(header) }.cast();
    // SAFETY: what SCM_RIGHTS brings are numbers of descriptors, one at least.
    let fd = unsafe { ptr::read_unaligned(data.cast::<c_int>()) };
    // SAFETY: it is new in this process, and known here only.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}

const _: () = assert!(size_of::<[u64; 8]>() >= size_of::<libc::cmsghdr>() + 2 * size_of::<c_int>());
