//! Sockets in the file system: made and reached without ever removing what is not a dead socket of ours.
//!
//! Whether somebody lives behind a socket's file is asked of the kernel by connecting with a socket of another type:
//! it answers ECONNREFUSED when nobody does and EPROTOTYPE when somebody does, who notices nothing of it. Between the
//! question and the new socket the folder is locked, so that of two that start at once only one takes over.

use super::listen::room;
use crate::error::Error;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, bind, connect as reach, getsockopt, listen as begin, socket, sockopt,
};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::geteuid;
use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Who is at the other end, as the kernel saw him when he connected (or listened, or made the pair).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// His process; 0 when it cannot be seen from here.
    pub pid: i32,
    /// His effective user.
    pub uid: u32,
    /// His effective group.
    pub gid: u32,
}

/// Who is at the other end of a connected unix socket.
///
/// ```
/// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
/// assert_eq!(msf_core::net::unix::peer(&ours)?.pid as u32, std::process::id());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn peer(socket: impl AsFd) -> Result<Peer, Error> {
    let socket = socket.as_fd();
    let asked = || {
        let credentials = getsockopt(&socket, sockopt::PeerCredentials)?;
        // Other families, and sockets without a peer, have nobody.
        if credentials.pid() == 0 && credentials.uid() == u32::MAX {
            return Err(Errno::ENOTCONN);
        }
        Ok(Peer { pid: credentials.pid(), uid: credentials.uid(), gid: credentials.gid() })
    };
    asked().map_err(Error::system("ask who the peer of a socket is"))
}

/// Listens at `path` with the file's `mode`, and room for `backlog` connections nobody has accepted yet. A dead socket of
/// ours is replaced. Anything else that is there stays: a living socket is EADDRINUSE, somebody else's EPERM, what is
/// no socket EEXIST.
pub fn listen(path: &Path, mode: u32, backlog: u32) -> Result<UnixListener, Error> {
    let made = || {
        let socket = bound(path, mode)?;
        begin(&socket, room(backlog))?;
        Ok(UnixListener::from(socket))
    };
    made().map_err(Error::place("listen on", path.display()))
}

/// Connects to the socket at `server`. With `own`, ours gets a file there, as [`listen`] would make it, for a server that
/// looks at it; whoever gave the path removes it.
pub fn connect(server: &Path, own: Option<&Path>) -> Result<UnixStream, Error> {
    let socket = match own {
        None => stream().map_err(Error::system("make a socket"))?,
        Some(own) => bound(own, 0o700).map_err(Error::place("make the socket", own.display()))?,
    };
    let reached = UnixAddr::new(server).and_then(|address| interrupted(|| reach(socket.as_raw_fd(), &address)));
    match reached {
        Ok(()) => Ok(UnixStream::from(socket)),
        Err(errno) => {
            // We made it in this call, so it is ours to remove.
            own.map(fs::remove_file);
            Err(Error::place("connect to", server.display())(errno))
        }
    }
}

fn stream() -> Result<OwnedFd, Errno> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
}

fn interrupted(mut call: impl FnMut() -> Result<(), Errno>) -> Result<(), Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            done => return done,
        }
    }
}

/// A socket with its file.
fn bound(path: &Path, mode: u32) -> Result<OwnedFd, Errno> {
    let address = UnixAddr::new(path)?;
    let socket = stream()?;
    let mode = mode & 0o777;
    // The file is made with the rights the socket has, less the umask: never with more than it shall have.
    fchmod(&socket, Mode::from_bits_truncate(mode))?;
    let bind = || bind(socket.as_raw_fd(), &address);
    match bind() {
        Err(Errno::EADDRINUSE) => {
            let _locked = locked(path)?;
            remove_dead(path)?;
            bind()?;
        }
        done => done?,
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(raw)?;
    Ok(socket)
}

/// The folder of `path`, locked against others who do the same.
fn locked(path: &Path) -> Result<File, Errno> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = File::open(folder).map_err(raw)?;
    let end = Instant::now() + PATIENCE;
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(folder),
            Err(TryLockError::Error(error)) => return Err(raw(error)),
            Err(TryLockError::WouldBlock) if Instant::now() >= end => return Err(Errno::EBUSY),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn remove_dead(path: &Path) -> Result<(), Errno> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(raw)?,
    };
    if !found.file_type().is_socket() {
        return Err(Errno::EEXIST);
    }
    let me = geteuid().as_raw();
    if found.uid() != me && me != 0 {
        return Err(Errno::EPERM);
    }
    if lives(path)? {
        return Err(Errno::EADDRINUSE);
    }
    fs::remove_file(path).map_err(raw)
}

fn lives(path: &Path) -> Result<bool, Errno> {
    let probe =
        socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    match reach(probe.as_raw_fd(), &UnixAddr::new(path)?) {
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(false),
        // EPROTOTYPE: a stream or a sequence of packets. No error: it takes datagrams. Others: we cannot know.
        _ => Ok(true),
    }
}

fn raw(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// As long as replacing a dead socket may take others; it takes microseconds.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("msf-unix-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder.join("s")
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let path = place("dead");
        let first = listen(&path, 0o640, 5).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert_eq!(listen(&path, 0o600, 5).unwrap_err().errno(), Errno::EADDRINUSE);
        // The living one noticed nothing.
        first.set_nonblocking(true).unwrap();
        assert_eq!(first.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(first);
        let second = listen(&path, 0o600, 5).unwrap();
        let client = connect(&path, None).unwrap();
        second.accept().unwrap();
        assert_eq!(peer(&client).unwrap().uid, geteuid().as_raw());
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn what_is_no_socket_stays() {
        let path = place("file");
        fs::write(&path, "precious").unwrap();
        assert_eq!(listen(&path, 0o600, 5).unwrap_err().errno(), Errno::EEXIST);
        assert_eq!(connect(Path::new("/nowhere"), Some(&path)).unwrap_err().errno(), Errno::EEXIST);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_client_that_reaches_nobody_leaves_no_file() {
        let path = place("client");
        let nobody = path.with_file_name("nobody");
        assert_eq!(connect(&nobody, Some(&path)).unwrap_err().errno(), Errno::ENOENT);
        assert!(!path.exists());
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn of_many_that_start_at_once_one_takes_over() {
        let path = place("race");
        drop(listen(&path, 0o600, 5).unwrap());
        let starters: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                thread::spawn(move || listen(&path, 0o600, 5))
            })
            .collect();
        let outcomes: Vec<_> = starters.into_iter().map(|starter| starter.join().unwrap()).collect();
        let winners: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
        assert_eq!(winners.len(), 1);
        connect(&path, None).unwrap();
        winners[0].accept().unwrap();
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_socket_without_a_peer_has_nobody() {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(peer(&udp).is_err());
    }
}
