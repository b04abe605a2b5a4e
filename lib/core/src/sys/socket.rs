//! What the kernel knows of a socket and std does not tell.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Bytes written to `socket` that its peer has not acknowledged yet.
pub fn unsent(socket: &impl AsFd) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: the request writes one int to its argument, which is a local int; a wrong descriptor is an error, not harm.
    match unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut count) } {
        0 => Ok(usize::try_from(count).unwrap_or(0)),
        _ => Err(io::Error::last_os_error()),
    }
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
