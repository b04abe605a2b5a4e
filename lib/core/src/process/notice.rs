//! The hearing side of sd_notify: a socket to which the processes we have started say how they are. The other side is
//! [`Starter`](super::Starter).
//!
//! Who has sent a datagram is what the kernel says. What it says is the caller's business.

use crate::sys::socket::receive;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::PassCred};
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// The socket. Its file goes when it is dropped.
#[derive(Debug)]
pub struct Notices {
    socket: UnixDatagram,
    path: PathBuf,
}

/// One datagram.
#[derive(Debug)]
pub struct Notice {
    /// Who has sent it; he may have ended since.
    pub pid: i32,
    /// What it says: lines of `KEY=value`.
    pub text: Vec<u8>,
    /// The descriptors that came with it.
    pub fds: Vec<OwnedFd>,
}

impl Notices {
    /// Listens at `path`, to everybody who reaches it. A file that is there already is taken for a dead one's.
    ///
    /// # Errors
    /// With the path, when the socket cannot be made.
    pub fn listen(path: &Path) -> io::Result<Notices> {
        let bound = || -> io::Result<UnixDatagram> {
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let socket = UnixDatagram::bind(path)?;
            socket.set_nonblocking(true)?;
            setsockopt(&socket, PassCred, &true)?;
            // A process may run as somebody else.
            fs::set_permissions(path, Permissions::from_mode(0o666))?;
            Ok(socket)
        };
        let failed = |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {}: {e}", path.display()));
        bound().map(|socket| Notices { socket, path: path.to_owned() }).map_err(failed)
    }

    /// The next datagram; `None` when all have been read. Those longer than 4 KiB, and empty ones, are passed over.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn next(&self) -> io::Result<Option<Notice>> {
        let mut bytes = [0; LONGEST];
        loop {
            match receive(self.socket.as_fd(), &mut bytes, libc::MSG_DONTWAIT) {
                Ok(got) if got.is_cut || got.length == 0 => {}
                Ok(got) => {
                    let text = bytes[..got.length].to_vec();
                    return Ok(Some(Notice { pid: got.pid.unwrap_or(0), text, fds: got.fds }));
                }
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for Notices {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

const LONGEST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_datagram_comes_with_its_sender_and_his_descriptors() {
        let path = std::env::temp_dir().join(format!("msf-notices-{}", std::process::id()));
        let notices = Notices::listen(&path).unwrap();
        assert!(notices.next().unwrap().is_none());
        let peer = UnixDatagram::unbound().unwrap();
        peer.send_to(b"READY=1", &path).unwrap();
        peer.send_to(b"", &path).unwrap();
        peer.send_to(&[b'x'; LONGEST + 1], &path).unwrap();
        peer.connect(&path).unwrap();
        let fds = [peer.as_raw_fd()];
        let rights = [nix::sys::socket::ControlMessage::ScmRights(&fds)];
        let parts = [io::IoSlice::new(b"FDSTORE=1")];
        nix::sys::socket::sendmsg::<()>(peer.as_raw_fd(), &parts, &rights, nix::sys::socket::MsgFlags::empty(), None)
            .unwrap();
        let first = notices.next().unwrap().unwrap();
        assert_eq!((first.pid, &first.text[..]), (std::process::id() as i32, &b"READY=1"[..]));
        let second = notices.next().unwrap().unwrap();
        assert_eq!((second.fds.len(), &second.text[..]), (1, &b"FDSTORE=1"[..]));
        assert!(notices.next().unwrap().is_none());
        drop(notices);
        assert!(!path.exists());
    }
}
