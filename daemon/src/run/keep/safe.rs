//! Descriptors that are kept for processes, whatever becomes of them: the sockets that the configuration lists, and what
//! the processes give us to keep (`FDSTORE=1`). They get them back at every start (`LISTEN_FDS`), so nobody who
//! connects meanwhile is refused.
//!
//! [`Safe`] is the noun: who wants to keep them elsewhere as well finds what there is, by label, in [`Safe::all`], and
//! puts back what he has with [`Safe::refill`]. After the death of a daemon each is looked for in the process that was
//! given it, which has a copy.

use crate::run::child::ready::{FIRST, Gift};
use crate::run::child::surroundings::Unstartable;
use crate::run::driver::{Driver, Key, MODULE};
use crate::run::service::Service;
use msf_conf::daemon::{Place, Socket};
use msf_core::log;
use msf_core::log::Level;
use msf_core::sys::descriptor_of;
use nix::sys::socket::{Backlog, listen};
use std::fs::{self, File, Permissions};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// All of them.
#[derive(Debug, Default)]
pub struct Safe {
    kept: Vec<Kept>,
}

/// One of them.
#[derive(Debug)]
pub struct Kept {
    /// The service's name.
    pub service: String,
    /// What it is called.
    pub name: String,
    /// By which the same open socket is known in another process.
    inode: u64,
    /// Where it listens, if we have opened it; `None`: the process has given it to us.
    place: Option<Place>,
    fd: OwnedFd,
}

impl Kept {
    /// Names it beyond this process: at most 255 visible ASCII characters without a colon, if the service's name is such.
    pub fn label(&self) -> String {
        format!("{}/{}", self.service, self.name)
    }

    /// The descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// By which the same open socket is known in another process.
    pub fn inode(&self) -> u64 {
        self.inode
    }
}

impl Safe {
    /// All there are.
    pub fn all(&self) -> impl Iterator<Item = &Kept> {
        self.kept.iter()
    }

    fn of(&self, service: &str) -> impl Iterator<Item = &Kept> {
        self.kept.iter().filter(move |kept| kept.service == service)
    }

    /// Keeps one that has been kept elsewhere meanwhile; `place` as it is configured now.
    pub fn refill(&mut self, service: &str, name: &str, place: Option<Place>, fd: OwnedFd) -> io::Result<bool> {
        self.keep(service, name, place, fd)
    }

    /// Keeps one. Whether it is news: the same open file is kept once.
    fn keep(&mut self, service: &str, name: &str, place: Option<Place>, fd: OwnedFd) -> io::Result<bool> {
        let (fd, inode) = numbered(fd)?;
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.service == service && kept.inode == inode) {
            kept.place = kept.place.take().or(place);
            return Ok(false);
        }
        if self.of(service).count() >= MOST {
            return Err(io::Error::other(format!("{MOST} are kept for it already")));
        }
        self.kept.push(Kept { service: service.to_owned(), name: name.to_owned(), inode, place, fd });
        Ok(true)
    }

    /// What the state file says of those of a service: name and number.
    pub fn noted(&self, service: &str) -> Vec<(String, u64)> {
        self.of(service).map(|kept| (kept.name.clone(), kept.inode)).collect()
    }
}

impl Driver {
    /// What a process tells us to keep, or to keep no longer.
    pub(in crate::run) fn store(&mut self, key: Key, name: Option<&str>, fds: Vec<OwnedFd>) {
        let Some(service) = self.roll.get(key) else { return };
        let service = service.name().to_owned();
        for fd in fds {
            match self.safe.keep(&service, name.unwrap_or("stored"), None, fd) {
                Ok(true) => log!(Level::Info, MODULE, "{service}: \"{}\" is kept for it", name.unwrap_or("stored")),
                Ok(false) => {}
                Err(e) => log!(Level::Warn, MODULE, "{service}: a descriptor is not kept for it: {e}"),
            }
        }
        self.remember(key);
    }

    /// It wants those of this name kept no longer.
    pub(in crate::run) fn unstore(&mut self, key: Key, name: &str) {
        let Some(service) = self.roll.get(key) else { return };
        let service = service.name();
        self.safe.kept.retain(|kept| kept.service != service || kept.name != name || kept.place.is_some());
        self.remember(key);
    }

    /// It is down for good: what it gave us is nobody's. Its sockets are closed, and their files taken away.
    pub(in crate::run) fn empty_safe(&mut self, key: Key) {
        let Some(name) = self.roll.get(key).map(|service| service.name().to_owned()) else { return };
        let gone: Vec<Kept> = self.safe.kept.extract_if(.., |kept| kept.service == name).collect();
        gone.into_iter().for_each(|kept| self.close(kept));
    }

    /// With its file, unless that is a socket unit's.
    fn close(&self, kept: Kept) {
        if let Some(Place::Unix { path, .. }) = &kept.place
            && self.is_ours(&kept)
        {
            let _ = fs::remove_file(path);
        }
    }

    /// Opens what of the configuration's sockets is not open.
    pub(in crate::run) fn open_sockets(&mut self, key: Key) -> Result<(), Unstartable> {
        let Some(Service { entry, .. }) = self.roll.get(key) else { return Ok(()) };
        let (service, sockets) = (entry.name.clone(), entry.launch.sockets.clone());
        // One that has gone from the configuration is closed.
        let stays = |place: &Place| sockets.iter().any(|socket| socket.at == *place);
        let goes = |kept: &mut Kept| kept.service == service && !kept.place.as_ref().is_none_or(stays);
        let gone: Vec<Kept> = self.safe.kept.extract_if(.., goes).collect();
        gone.into_iter().for_each(|kept| self.close(kept));
        for Socket { name, at } in sockets {
            if self.safe.of(&service).any(|kept| kept.place.as_ref() == Some(&at)) {
                continue;
            }
            let failed =
                |e: io::Error| Unstartable::Readiness(io::Error::new(e.kind(), format!("cannot listen on {at}: {e}")));
            let fd = match self.left_for(&name, &at) {
                Some(fd) => fd,
                None => open(&at).map_err(failed)?,
            };
            log!(Level::Info, MODULE, "{service}: listening on {at} for it");
            self.safe.keep(&service, &name, Some(at.clone()), fd).map_err(failed)?;
        }
        Ok(())
    }

    /// How many descriptors a process will get; their numbers begin at 3.
    pub(in crate::run) fn count_kept(&self, key: Key) -> i32 {
        let count = self.roll.get(key).map_or(0, |service| self.safe.of(service.name()).count());
        i32::try_from(count).unwrap_or(0)
    }

    /// Puts what is kept for a process into what it is given.
    pub(in crate::run) fn give_kept(&self, key: Key, gift: &mut Gift) -> io::Result<()> {
        let Some(service) = self.roll.get(key) else { return Ok(()) };
        let mut names = Vec::new();
        for (kept, number) in self.safe.of(service.name()).zip(FIRST..) {
            if gift.fds.iter().any(|(_, taken)| *taken == number) {
                return Err(io::Error::other(format!(
                    "its pipe has the number {number}, which is one of its sockets'"
                )));
            }
            gift.fds.push((kept.fd.try_clone()?, number));
            names.push(kept.name.as_str());
        }
        if !names.is_empty() {
            gift.env.push(("LISTEN_FDS".into(), names.len().to_string().into()));
            gift.env.push(("LISTEN_FDNAMES".into(), names.join(":").into()));
        }
        Ok(())
    }

    /// After the death of a daemon: an adopted process has copies of what was kept for it.
    pub(in crate::run) fn restore_kept(&mut self, key: Key, noted: &[(String, u64)]) {
        let Some(service) = self.roll.get(key) else { return };
        let Some(running) = &service.running else { return };
        let (name, pid) = (service.name().to_owned(), running.child.pid());
        let sockets = service.entry.launch.sockets.clone();
        for (fd_name, inode) in noted {
            if self.safe.of(&name).any(|kept| kept.inode == *inode) {
                continue;
            }
            let copy = running.child.pidfd().and_then(|pidfd| copied(pidfd, pid, *inode).ok()?);
            let socket = sockets.iter().find(|socket| socket.name == *fd_name);
            let kept = match copy {
                Some(fd) => self.safe.keep(&name, fd_name, socket.map(|socket| socket.at.clone()), fd).is_ok(),
                None => false,
            };
            if !kept && socket.is_none() {
                log!(Level::Warn, MODULE, "{name}: what was kept for it as \"{fd_name}\" is lost");
            }
        }
    }
}

/// Of another process's descriptors the one that leads to this socket.
fn copied(process: BorrowedFd<'_>, pid: i32, inode: u64) -> io::Result<Option<OwnedFd>> {
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        if fs::metadata(entry.path()).is_ok_and(|about| about.ino() == inode) {
            let number = entry.file_name().to_string_lossy().parse().map_err(io::Error::other)?;
            let (fd, found) = numbered(descriptor_of(process, number)?)?;
            // It may have closed it, and opened another one, between two of our questions.
            return Ok((found == inode).then_some(fd));
        }
    }
    Ok(None)
}

fn numbered(fd: OwnedFd) -> io::Result<(OwnedFd, u64)> {
    let file = File::from(fd);
    let inode = file.metadata()?.ino();
    Ok((file.into(), inode))
}

fn open(place: &Place) -> io::Result<OwnedFd> {
    match place {
        Place::Given => Err(io::Error::other("whoever started us has left us no descriptor of that name")),
        Place::Tcp(address) => {
            let listener = TcpListener::bind(address)?;
            listen(&listener, Backlog::MAXCONN)?;
            Ok(listener.into())
        }
        Place::Unix { path, mode } => {
            let path = Path::new(path);
            let is_socket = fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket());
            // Somebody's, whose end was not orderly; whoever answers is alive.
            if is_socket && UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
                fs::remove_file(path)?;
            }
            let listener = UnixListener::bind(path)?;
            fs::set_permissions(path, Permissions::from_mode(*mode))?;
            listen(&listener, Backlog::MAXCONN)?;
            Ok(listener.into())
        }
    }
}
/// So many are kept for one service.
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_socket_is_kept_once_and_found_by_its_label() {
        let mut safe = Safe::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(safe.keep("a", "x", None, listener.try_clone().unwrap().into()).unwrap());
        assert!(!safe.keep("a", "y", None, listener.try_clone().unwrap().into()).unwrap());
        safe.refill("b", "x", None, listener.into()).unwrap();
        let labels: Vec<String> = safe.all().map(Kept::label).collect();
        assert_eq!(labels, ["a/x", "b/x"]);
        let most = (0..MOST + 3).filter(|_| {
            let other = TcpListener::bind("127.0.0.1:0").unwrap();
            safe.keep("a", "z", None, other.into()).is_ok()
        });
        assert_eq!(most.count(), MOST - 1);
    }

    #[test]
    fn a_socket_file_of_a_dead_one_is_taken_over_and_that_of_a_living_one_is_not() {
        let path = std::env::temp_dir().join(format!("msf-safe-{}", std::process::id()));
        let place = Place::Unix { path: path.display().to_string(), mode: 0o640 };
        let first = open(&place).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(open(&place).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        open(&place).unwrap();
        fs::remove_file(&path).unwrap();
    }
}
