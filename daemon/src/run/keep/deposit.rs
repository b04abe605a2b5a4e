//! What whoever started us has left us, and what he keeps for the next daemon: systemd's socket units and its store
//! (`LISTEN_FDS`, `FDSTORE`).
//!
//! The safe is the master: whatever is in it is deposited, whatever leaves it is withdrawn. What came from a socket unit is
//! not, for that one gives it to every daemon.

use super::safe::Kept;
use crate::run::driver::{Driver, MODULE};
use msf_conf::daemon::{Place, Process};
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::Bequest;
use nix::sys::socket::{getsockopt, sockopt::AcceptConn};
use std::fs::File;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// See the module.
#[derive(Debug, Default)]
pub struct Deposits {
    /// Nobody has asked for them yet.
    left: Vec<Bequest>,
    /// Of those that came from socket units.
    units: Vec<u64>,
    /// What is deposited: under which label, and which socket.
    made: Vec<(String, u64)>,
}

impl Deposits {
    /// With what was left to us.
    pub fn new(left: Vec<Bequest>) -> Deposits {
        let units = left.iter().filter(|one| !is_label(&one.name)).filter_map(|one| inode(one.fd.as_fd())).collect();
        Deposits { left, units, made: Vec::new() }
    }
}

impl Driver {
    /// What a daemon before us has deposited goes back into the safe, as far as its process is still known. Before
    /// anything is started or adopted.
    pub(in crate::run) fn take_back(&mut self, processes: &[Process]) {
        let left = std::mem::take(&mut self.deposits.left);
        let (labelled, units): (Vec<_>, Vec<_>) = left.into_iter().partition(|one| is_label(&one.name));
        self.deposits.left = units;
        for Bequest { name: label, fd } in labelled {
            self.deposits.made.extend(inode(fd.as_fd()).map(|inode| (label.clone(), inode)));
            let (service, name) = label.split_once('/').unwrap_or_default();
            let Some(process) = processes.iter().find(|process| process.name == service) else { continue };
            let socket = process.launch.sockets.iter().find(|socket| socket.name == name);
            match socket.map(|socket| &socket.at) {
                // It listens elsewhere by now.
                Some(at) if !is_at(fd.as_fd(), at) => {}
                at => match self.safe.refill(service, name, at.cloned(), fd) {
                    Ok(_) => log!(Level::Info, MODULE, "{service}: \"{name}\" is back for it"),
                    Err(e) => log!(Level::Warn, MODULE, "{service}: \"{name}\" is not kept for it: {e}"),
                },
            }
        }
    }

    /// What a socket unit has for this place: by where it listens, or by its name.
    pub(in crate::run) fn left_for(&mut self, name: &str, at: &Place) -> Option<OwnedFd> {
        let is_it = |one: &Bequest| (one.name == name || *at != Place::Given) && is_at(one.fd.as_fd(), at);
        let place = self.deposits.left.iter().position(is_it)?;
        Some(self.deposits.left.remove(place).fd)
    }

    /// Everything is started: what is left is nobody's. It stays open, for a reload may know it.
    pub(in crate::run) fn complain_of_the_rest(&self) {
        for one in &self.deposits.left {
            log!(Level::Warn, MODULE, "descriptor \"{}\" was given to us, and no process has such a socket", one.name);
        }
    }

    /// After anything that may have changed what is in the safe.
    pub(in crate::run) fn deposit(&mut self) {
        if !self.listens() {
            return;
        }
        let now: Vec<(String, u64)> = self.safe.all().filter(|kept| self.is_ours(kept)).map(name_of).collect();
        if now == self.deposits.made {
            return;
        }
        let mut made = std::mem::take(&mut self.deposits.made);
        let gone: Vec<String> = made.iter().filter(|one| !now.contains(one)).map(|(label, _)| label.clone()).collect();
        for label in &gone {
            self.withdraw(label);
        }
        // Of several with one label all are withdrawn.
        made.retain(|(label, _)| !gone.contains(label));
        let new: Vec<(String, OwnedFd)> = self
            .safe
            .all()
            .filter(|kept| now.contains(&name_of(kept)) && !made.contains(&name_of(kept)))
            .filter_map(|kept| Some((kept.label(), kept.fd().try_clone_to_owned().ok()?)))
            .collect();
        for (label, fd) in new {
            self.keep_for_the_next(&label, fd.as_fd());
        }
        self.deposits.made = now;
    }

    /// Whether it is not a socket unit's.
    pub(in crate::run) fn is_ours(&self, kept: &Kept) -> bool {
        !self.deposits.units.contains(&kept.inode())
    }
}

fn name_of(kept: &Kept) -> (String, u64) {
    (kept.label(), kept.inode())
}

/// Names of socket units are file names, or have no slash by intent.
fn is_label(name: &str) -> bool {
    name.contains('/')
}

fn inode(fd: BorrowedFd<'_>) -> Option<u64> {
    let file = File::from(fd.try_clone_to_owned().ok()?);
    file.metadata().ok().map(|about| about.ino())
}

/// Whether this is a socket that listens there, where it can be reached.
fn is_at(fd: BorrowedFd<'_>, place: &Place) -> bool {
    let Ok(copy) = fd.try_clone_to_owned() else { return false };
    match place {
        Place::Given => true,
        _ if !getsockopt(&fd, AcceptConn).unwrap_or(false) => false,
        Place::Tcp(address) => TcpListener::from(copy).local_addr().is_ok_and(|own| own == *address),
        Place::Unix { path, .. } => {
            let own = UnixListener::from(copy).local_addr();
            own.is_ok_and(|own| own.as_pathname() == Some(Path::new(path))) && Path::new(path).exists()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_socket_is_known_by_where_it_listens() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = tcp.local_addr().unwrap();
        assert!(is_at(tcp.as_fd(), &Place::Tcp(own)) && is_at(tcp.as_fd(), &Place::Given));
        assert!(!is_at(tcp.as_fd(), &Place::Tcp("127.0.0.2:1".parse().unwrap())));
        let path = std::env::temp_dir().join(format!("msf-deposit-{}", std::process::id()));
        let place = Place::Unix { path: path.display().to_string(), mode: 0o600 };
        assert!(!is_at(tcp.as_fd(), &place));
        let unix = UnixListener::bind(&path).unwrap();
        assert!(is_at(unix.as_fd(), &place));
        fs::remove_file(&path).unwrap();
        assert!(!is_at(unix.as_fd(), &place), "nobody can reach it");
        let connected = std::net::TcpStream::connect(own).unwrap();
        assert!(!is_at(connected.as_fd(), &Place::Tcp(own)));
    }
}
