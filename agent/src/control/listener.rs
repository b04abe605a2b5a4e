//! Listening sockets: where, with which rights, and how a stale one is told from one in use.

use crate::core::message::Peer;
use msf_core::event::Reactor;
use msf_wire::snapshot::{Damage, Reader, State, Writer};
use nix::errno::Errno;
use nix::sys::socket::sockopt::{
    KeepAlive, PeerCredentials, TcpKeepCount, TcpKeepIdle, TcpKeepInterval, TcpNoDelay, TcpUserTimeout,
};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, connect, getsockopt, listen, setsockopt, socket,
};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, chown};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A socket that accepts connections; a unix one takes its file away with it.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    name: String,
}

#[derive(Debug)]
enum Socket {
    /// Its file is taken away with it, if it is `ours`.
    Unix {
        socket: UnixListener,
        path: PathBuf,
        inode: u64,
        ours: bool,
    },
    Tcp(TcpListener),
}

/// The rights of a unix socket's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Its mode.
    pub mode: u32,
    /// Its group, if it shall have another than ours.
    pub group: Option<Gid>,
}

/// A listener that cannot be had.
#[derive(Debug)]
pub struct CannotListen {
    place: String,
    source: io::Error,
}

impl fmt::Display for CannotListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.place, self.source)
    }
}

impl std::error::Error for CannotListen {}

impl Listener {
    /// Listens at `path`. A socket file that nobody listens behind is taken over; any other file is left alone.
    pub fn unix(path: &Path, rights: Rights, backlog: i32) -> Result<Listener, CannotListen> {
        let failed = |source| CannotListen { place: path.display().to_string(), source };
        let length = path.as_os_str().len();
        if length > LONGEST_PATH {
            let what = format!("the path has {length} bytes, a socket's may have {LONGEST_PATH}");
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, what)));
        }
        make_way(path).map_err(failed)?;
        // Nobody may connect before the file has its rights: it is born without any.
        let before = umask(Mode::from_bits_truncate(0o777));
        let bound = UnixListener::bind(path);
        umask(before);
        let socket = bound.map_err(failed)?;
        let inode = fs::metadata(path).map_err(failed)?.ino();
        let listener = Listener {
            socket: Socket::Unix { socket, path: path.to_owned(), inode, ours: true },
            name: path.display().to_string(),
        };
        if rights.group.is_some() {
            chown(path, None, rights.group).map_err(|errno| failed(errno.into()))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(rights.mode)).map_err(failed)?;
        listener.begin(backlog).map_err(failed)?;
        Ok(listener)
    }

    /// Listens on TCP; `what` is what is spoken there, for whoever reads where we listen.
    pub fn tcp(what: &str, address: SocketAddr, backlog: i32) -> Result<Listener, CannotListen> {
        let failed = |source| CannotListen { place: format!("{what} {address}"), source };
        let socket = TcpListener::bind(address).map_err(failed)?;
        let name = format!("{what} {}", socket.local_addr().map_err(failed)?);
        let listener = Listener { socket: Socket::Tcp(socket), name };
        listener.begin(backlog).map_err(failed)?;
        Ok(listener)
    }

    /// A socket that listens at `path` already. Its file is whoever's who has made it, and stays.
    pub fn given_unix(path: &Path, socket: UnixListener) -> Result<Listener, CannotListen> {
        let name = path.display().to_string();
        socket.set_nonblocking(true).map_err(|source| CannotListen { place: name.clone(), source })?;
        // No file has this number.
        Ok(Listener { socket: Socket::Unix { socket, path: path.to_owned(), inode: 0, ours: false }, name })
    }

    /// A socket that listens on TCP already; `what` is what is spoken there.
    pub fn given_tcp(what: &str, socket: TcpListener) -> Result<Listener, CannotListen> {
        let failed = |source| CannotListen { place: what.to_owned(), source };
        socket.set_nonblocking(true).map_err(failed)?;
        let name = format!("{what} {}", socket.local_addr().map_err(failed)?);
        Ok(Listener { socket: Socket::Tcp(socket), name })
    }

    fn begin(&self, backlog: i32) -> io::Result<()> {
        let backlog = Backlog::new(backlog.min(MOST_BACKLOG)).unwrap_or(Backlog::MAXCONN);
        match &self.socket {
            Socket::Unix { socket, .. } => {
                socket.set_nonblocking(true)?;
                listen(socket, backlog)?;
            }
            Socket::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                listen(socket, backlog)?;
            }
        }
        Ok(())
    }

    /// The next connection, non-blocking, and who it is.
    pub fn accept(&self) -> io::Result<(OwnedFd, Peer)> {
        match &self.socket {
            Socket::Unix { socket, .. } => {
                let (stream, _) = socket.accept()?;
                stream.set_nonblocking(true)?;
                let peer = credentials(&stream)?;
                Ok((stream.into(), peer))
            }
            Socket::Tcp(socket) => {
                let (stream, address) = socket.accept()?;
                prepare(&stream)?;
                Ok((stream.into(), Peer::Remote(address)))
            }
        }
    }

    /// Takes the next connection and drops it; for when there is nothing to keep it with.
    pub fn shed(&self) -> io::Result<()> {
        match &self.socket {
            Socket::Unix { socket, .. } => socket.accept().map(drop),
            Socket::Tcp(socket) => socket.accept().map(drop),
        }
    }

    /// The socket, and its file, are another process's; to be told of it no more, its being closed here is not enough.
    pub fn let_go(mut self, reactor: &Reactor) {
        // If it was not watched, nothing was to be done.
        let _ = reactor.unwatch(&self);
        if let Socket::Unix { ours, .. } = &mut self.socket {
            *ours = false;
        }
    }

    /// The socket's file is ours from here on.
    pub fn keep(&mut self) {
        if let Socket::Unix { ours, .. } = &mut self.socket {
            *ours = true;
        }
    }

    /// Whether peers come over the network from outside this machine.
    pub fn is_public(&self) -> bool {
        match &self.socket {
            Socket::Unix { .. } => false,
            Socket::Tcp(socket) => socket.local_addr().is_ok_and(|address| !address.ip().is_loopback()),
        }
    }
}

/// The same socket in another process. Its file is its predecessor's until [`Listener::keep`].
impl State for Listener {
    fn save(&self, out: &mut Writer) {
        self.name.save(out);
        match &self.socket {
            Socket::Unix { path, inode, .. } => Some((path.as_os_str().as_bytes().to_vec(), *inode)).save(out),
            Socket::Tcp(_) => None::<(Vec<u8>, u64)>.save(out),
        }
        out.descriptor(&self.as_fd());
    }

    fn load(from: &mut Reader<'_>) -> Result<Listener, Damage> {
        let (name, file) = <(String, Option<(Vec<u8>, u64)>)>::load(from)?;
        let socket = from.descriptor()?;
        let socket = match file {
            Some((path, inode)) => {
                Socket::Unix { socket: socket.into(), path: OsString::from_vec(path).into(), inode, ours: false }
            }
            None => Socket::Tcp(socket.into()),
        };
        Ok(Listener { socket, name })
    }

    fn shape(out: &mut String) {
        <(String, Option<(Vec<u8>, u64)>)>::shape(out);
        out.push_str(" fd");
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Unix { socket, .. } => socket.as_fd(),
            Socket::Tcp(socket) => socket.as_fd(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Socket::Unix { path, inode, ours: true, .. } = &self.socket
            // Somebody may have put his own there meanwhile.
            && fs::symlink_metadata(path).is_ok_and(|file| file.ino() == *inode)
        {
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes a socket file behind which nobody listens.
fn make_way(path: &Path) -> io::Result<()> {
    let file = match fs::symlink_metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !file.file_type().is_socket() {
        return Err(io::Error::other("a file that is not a socket is in the way"));
    }
    match knock(path) {
        Err(Errno::ECONNREFUSED) => fs::remove_file(path),
        Err(Errno::ENOENT) => Ok(()),
        // EAGAIN: he does not get round to us, so many connections wait.
        Ok(()) | Err(Errno::EAGAIN) => Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there")),
        Err(errno) => Err(errno.into()),
    }
}

/// Connects to a unix socket and hangs up, without waiting for room in a full backlog.
fn knock(path: &Path) -> Result<(), Errno> {
    let kind = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let caller = socket(AddressFamily::Unix, SockType::Stream, kind, None)?;
    connect(caller.as_raw_fd(), &UnixAddr::new(path)?)
}

fn credentials(stream: &UnixStream) -> io::Result<Peer> {
    let credentials = getsockopt(stream, PeerCredentials)?;
    Ok(Peer::Local { pid: credentials.pid(), uid: credentials.uid() })
}

/// Small frames leave at once, and a peer whose machine is gone is noticed within minutes.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let set = || -> Result<(), Errno> {
        setsockopt(stream, TcpNoDelay, &true)?;
        setsockopt(stream, KeepAlive, &true)?;
        setsockopt(stream, TcpKeepIdle, &KEEP_ALIVE_IDLE)?;
        setsockopt(stream, TcpKeepInterval, &KEEP_ALIVE_INTERVAL)?;
        setsockopt(stream, TcpKeepCount, &KEEP_ALIVE_COUNT)?;
        setsockopt(stream, TcpUserTimeout, &USER_TIMEOUT)
    };
    set().map_err(io::Error::from)
}

/// `sun_path` without its terminating NUL.
const LONGEST_PATH: usize = 107;
/// The original's RPC_KEEP_ALIVE_SECS.
const KEEP_ALIVE_IDLE: u32 = 60;
const KEEP_ALIVE_INTERVAL: u32 = 10;
const KEEP_ALIVE_COUNT: u32 = 6;
/// Milliseconds that sent bytes may stay unacknowledged; keep-alive is silent while there are any.
const USER_TIMEOUT: u32 = 300_000;
/// Above this `Backlog` refuses; the kernel's own maximum is lower in practice.
const MOST_BACKLOG: i32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Rights = Rights { mode: 0o600, group: None };

    /// A place for a socket, in a folder that goes with it.
    struct Place(PathBuf);

    impl std::ops::Deref for Place {
        type Target = Path;

        fn deref(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(self.0.parent().unwrap());
        }
    }

    fn fresh(name: &str) -> Place {
        let folder = std::env::temp_dir().join(format!("msf-listener-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Place(folder.join("sock"))
    }

    #[test]
    fn the_file_has_its_mode_and_goes_with_the_listener() {
        let path = fresh("mode");
        let listener = Listener::unix(&path, OWN, 8).unwrap();
        assert_eq!(fs::metadata(&*path).unwrap().permissions().mode() & 0o777, 0o600);
        UnixStream::connect(&*path).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert!(matches!(peer, Peer::Local { pid, .. } if pid == std::process::id() as i32));
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_taken_over_and_a_living_one_is_not() {
        let path = fresh("stale");
        drop(UnixListener::bind(&*path).unwrap());
        assert!(path.exists());
        let first = Listener::unix(&path, OWN, 8).unwrap();
        let error = Listener::unix(&path, OWN, 8).unwrap_err().to_string();
        assert!(error.contains("somebody listens there"), "{error}");
        drop(first);
    }

    #[test]
    fn regress_a_listener_with_a_full_backlog_is_a_living_one() {
        let path = fresh("full");
        let _first = Listener::unix(&path, OWN, 1).unwrap();
        let waiting = |_| {
            let kind = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let caller = socket(AddressFamily::Unix, SockType::Stream, kind, None).unwrap();
            connect(caller.as_raw_fd(), &UnixAddr::new(&*path).unwrap()).map(|()| caller)
        };
        let _callers: Vec<_> = (0..100).map_while(|number| waiting(number).ok()).collect();
        assert_eq!(knock(&path), Err(Errno::EAGAIN));
        let error = Listener::unix(&path, OWN, 1).unwrap_err().to_string();
        assert!(error.contains("somebody listens there"), "{error}");
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_refused_by_its_length() {
        let place = fresh("long");
        let error = Listener::unix(&place.with_file_name("x".repeat(200)), OWN, 8).unwrap_err().to_string();
        assert!(error.contains("a socket's may have 107"), "{error}");
    }

    #[test]
    fn a_plain_file_in_the_way_is_left_alone() {
        let path = fresh("file");
        fs::write(&*path, "precious").unwrap();
        let error = Listener::unix(&path, OWN, 8).unwrap_err().to_string();
        assert!(error.contains("not a socket"), "{error}");
        assert_eq!(fs::read_to_string(&*path).unwrap(), "precious");
    }
}
