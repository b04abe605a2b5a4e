//! Listening sockets that whoever started us has left us (`LISTEN_FDS`): systemd's socket units, and what msf_daemon holds
//! for us. Each is known by where it listens, and takes the place of the one that we would open there.

use super::{Failure, LOG};
use crate::control::listener::{Listener, Rights};
use msf_conf::agent::Settings;
use msf_core::log::Level;
use msf_core::process::Bequest;
use nix::sys::socket::{getsockopt, sockopt::AcceptConn};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// See the module.
#[derive(Debug, Default)]
pub struct Left(Vec<Bequest>);

impl Left {
    /// All there are. Before anything is opened.
    pub fn claim() -> io::Result<Left> {
        Bequest::claim().map(Left)
    }

    /// The listener at `path`: what was left to us, or a new one.
    pub fn unix(&mut self, path: &Path, rights: Rights, backlog: i32) -> Result<Listener, Failure> {
        let there = |fd: OwnedFd| UnixListener::from(fd).local_addr().is_ok_and(|own| own.as_pathname() == Some(path));
        match self.take(there) {
            Some(fd) => Ok(Listener::given_unix(path, fd.into())?),
            None => Ok(Listener::unix(path, rights, backlog)?),
        }
    }

    /// The same on TCP; `what` is what is spoken there.
    pub fn tcp(&mut self, what: &str, address: SocketAddr, settings: &Settings) -> Result<Listener, Failure> {
        let there = |fd: OwnedFd| TcpListener::from(fd).local_addr().is_ok_and(|own| own == address);
        match self.take(there) {
            Some(fd) => Ok(Listener::given_tcp(what, fd.into())?),
            None => Ok(Listener::tcp(what, address, settings.backlog)?),
        }
    }

    /// Another process hands us its listeners, and with them the sockets these are.
    pub fn let_go(mut self) {
        self.0.clear();
    }

    fn take(&mut self, is_it: impl Fn(OwnedFd) -> bool) -> Option<OwnedFd> {
        let listens = |one: &Bequest| getsockopt(&one.fd, AcceptConn).unwrap_or(false);
        let found = |one: &Bequest| listens(one) && one.fd.try_clone().is_ok_and(&is_it);
        let place = self.0.iter().position(found)?;
        Some(self.0.remove(place).fd)
    }
}

/// Everything is open.
impl Drop for Left {
    fn drop(&mut self) {
        for one in &self.0 {
            msf_core::log!(
                Level::Warn,
                LOG,
                "descriptor \"{}\" was given to us, and nothing here listens there",
                one.name
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_there_is_taken_once_and_everything_else_is_left() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, inode) = (tcp.local_addr().unwrap(), tcp.try_clone().unwrap());
        let connected = std::net::TcpStream::connect(address).unwrap();
        let bequest = |name: &str, fd: OwnedFd| Bequest { name: name.to_owned(), fd };
        let mut left = Left(vec![bequest("no", connected.into()), bequest("web", tcp.into())]);
        let settings = Settings::default();
        let listener = left.tcp("HTTP", address, &settings).unwrap();
        assert_eq!(listener.to_string(), format!("HTTP {address}"));
        assert_eq!(left.0.len(), 1);
        // Now it is in use, and nobody has left it a second time.
        assert!(left.tcp("HTTP", address, &settings).is_err());
        drop(inode);
    }

    #[test]
    fn a_socket_file_that_was_left_stays_when_we_go() {
        let path = std::env::temp_dir().join(format!("msf-left-{}", std::process::id()));
        let theirs = UnixListener::bind(&path).unwrap();
        let mut left = Left(vec![Bequest { name: "unit".to_owned(), fd: theirs.into() }]);
        let rights = Rights { mode: 0o600, group: None };
        drop(left.unix(&path, rights, 8).unwrap());
        assert!(path.exists());
        // One of our own goes with us.
        drop(left.unix(&path, rights, 8).unwrap());
        assert!(!path.exists());
    }
}
