//! What the kernel knows of a socket and std does not tell.

use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Bytes written to `socket` that its peer has not acknowledged yet.
pub fn unsent(socket: &impl AsFd) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: the request writes one int to its argument, which is a local int; a wrong descriptor is an error, not harm.
    match unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut count) } {
        0 => Ok(usize::try_from(count).unwrap_or(0)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A copy of a descriptor of another process, the same open file. `process` is a pidfd. Linux 5.6; only for who may trace it.
pub fn descriptor_of(process: BorrowedFd<'_>, number: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_getfd takes numbers only; one that is no pidfd or no descriptor is an error.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) };
    let fd = i32::try_from(Errno::result(fd)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made it for us, and nobody else knows it. It is closed on exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets an option whose value is these bytes. A wrong level, name or length is an error of the kernel's.
pub(crate) fn set_option(socket: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel reads `length` bytes from the slice, which has as many, and keeps no address of it.
    let status = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    Errno::result(status).map(drop)
}

/// An option that is one int.
pub(crate) fn option(socket: BorrowedFd<'_>, level: i32, name: i32) -> Result<i32, Errno> {
    let (mut value, mut length) = (0i32, size_of::<i32>() as libc::socklen_t);
    // SAFETY: the kernel writes at most `length` bytes, which is what the local int has.
    let status = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length) };
    Errno::result(status).map(|_| value)
}

/// What one recvmsg brought.
#[derive(Debug)]
pub struct Received {
    /// How many bytes; 0 is the end.
    pub length: usize,
    /// The descriptors that came with them, whatever else is wrong.
    pub fds: Vec<OwnedFd>,
    /// Who has sent them, where the socket passes credentials.
    pub pid: Option<libc::pid_t>,
    /// More descriptors came than this process may open; the rest is gone.
    pub is_short_of_fds: bool,
    /// The message was longer than the buffer, and its end is gone. Does not happen to streams.
    pub is_cut: bool,
}

/// Receives bytes and descriptors. The descriptors are closed on exec.
///
/// Not nix's: where the kernel could not give all descriptors, it tells of none, and those that came stay open for ever.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], flags: i32) -> Result<Received, Errno> {
    // As many as the kernel sends at once, 253, and the header; in words, for the alignment of the header.
    let mut control = [0u64; 160];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: the struct is made of integers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the header names the two buffers with their lengths; both live until the call is over.
    let status = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags | libc::MSG_CMSG_CLOEXEC) };
    let length = usize::try_from(Errno::result(status)?).unwrap_or(0);
    let (fds, pid) = ancillary(&message);
    Ok(Received {
        length,
        fds,
        pid,
        is_short_of_fds: message.msg_flags & libc::MSG_CTRUNC != 0,
        is_cut: message.msg_flags & libc::MSG_TRUNC != 0,
    })
}

/// The descriptors and the sender in a header that recvmsg has just filled; to be taken once.
fn ancillary(message: &libc::msghdr) -> (Vec<OwnedFd>, Option<libc::pid_t>) {
    let (mut fds, mut pid) = (Vec::new(), None);
    // SAFETY: the header describes a live control buffer, whose length recvmsg has set.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: null, or a header inside the control buffer, which is aligned for it.
    while let Some(control) = unsafe { next.as_ref() } {
        if control.cmsg_level == libc::SOL_SOCKET && control.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: the header lies in the control buffer; its data begins behind it.
            let data = unsafe { libc::CMSG_DATA(control) };
            // SAFETY: takes an int, gives an int.
            let bytes = control.cmsg_len.saturating_sub(unsafe { libc::CMSG_LEN(0) } as usize);
            for index in 0..bytes / size_of::<i32>() {
                // SAFETY: `cmsg_len`, which the kernel wrote, counts this int.
                let place = unsafe { data.cast::<i32>().add(index) };
                // SAFETY: as above.
                let fd = unsafe { place.read_unaligned() };
                // SAFETY: the kernel has just opened it for us, and nobody else knows its number.
                fds.push(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
        if control.cmsg_level == libc::SOL_SOCKET && control.cmsg_type == libc::SCM_CREDENTIALS {
            // SAFETY: the header lies in the control buffer; its data begins behind it.
            let data = unsafe { libc::CMSG_DATA(control) };
            // SAFETY: the kernel has written one struct of this type behind the header.
            pid = Some(unsafe { data.cast::<libc::ucred>().read_unaligned() }.pid);
        }
        // SAFETY: both are the header and one of its own entries.
        next = unsafe { libc::CMSG_NXTHDR(message, control) };
    }
    (fds, pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_nobody_has_read_is_unsent_and_a_file_has_no_answer() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        assert_eq!(unsent(&ours).unwrap(), 0);
        ours.write_all(b"hello").unwrap();
        assert!(unsent(&ours).unwrap() >= 5);
        drop(theirs);
        assert!(unsent(&std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
