//! Looks at a folder and has the keeper follow it: a thread with an inotify descriptor.
//!
//! It does not care what has changed. When nothing has for a moment, or something has all the time for a while, the
//! folder is read anew; so a queue that has overflowed, or a name that came and went, needs nothing of its own. A
//! folder that is not there, or was put in another's place, is looked for again and again.

use crate::MODULE;
use crate::keep::orders::{Orders, What};
use msf_sys::log::Level;
use msf_sys::rest::HostThread;
use msf_sys::thread::{self, Thread};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The thread; it ends when this is dropped.
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<Thread>,
}

struct Shared {
    folder: Mutex<Option<PathBuf>>,
    /// Rung when there is another folder, or an end.
    bell: EventFd,
    over: AtomicBool,
}

impl Watch {
    /// Looks at `folder` from now on; the first order is given at once.
    pub fn start(folder: &Path, orders: Orders) -> io::Result<Watch> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let bell = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        let shared =
            Arc::new(Shared { folder: Mutex::new(Some(folder.to_owned())), bell, over: AtomicBool::new(false) });
        let its = Arc::clone(&shared);
        let thread = thread::spawn("msf_shell:watch", move || {
            let _host = HostThread::this();
            Eye { shared: its, inotify, orders, at: None, told: false, due: None, late: None }.look();
        })?;
        Ok(Watch { shared, thread: Some(thread) })
    }

    /// Looks at another folder, or at none.
    pub fn aim(&self, folder: Option<&Path>) {
        let mut aimed = self.shared.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if aimed.as_deref() != folder {
            *aimed = folder.map(Path::to_owned);
            self.shared.ring();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        self.shared.ring();
        if let Some(thread) = self.thread.take() {
            // It joins nobody who could join it.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn ring(&self) {
        // A bell that is full has been rung.
        let _ = self.bell.write(1);
    }

    fn folder(&self) -> Option<PathBuf> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the thread knows.
struct Eye {
    shared: Arc<Shared>,
    inotify: Inotify,
    orders: Orders,
    /// The folder it looks at, and which one that is.
    at: Option<(PathBuf, WatchDescriptor, Inode)>,
    /// It was told that there is none.
    told: bool,
    /// When the keeper is to follow: if nothing more happens, and at the latest.
    due: Option<Instant>,
    late: Option<Instant>,
}

type Inode = (u64, u64);

impl Eye {
    fn look(&mut self) {
        while !self.shared.over.load(Ordering::Acquire) {
            self.aim();
            if self.due.into_iter().chain(self.late).min().is_some_and(|due| due <= Instant::now()) {
                (self.due, self.late) = (None, None);
                self.orders.give(What::Follow);
            }
            self.wait();
            let _ = self.shared.bell.read();
            self.take();
        }
    }

    /// Sees to it that the folder that is there now is the one that is looked at.
    fn aim(&mut self) {
        let wanted = self.shared.folder();
        let now = wanted.as_deref().and_then(inode);
        match &self.at {
            Some((folder, _, inode)) if Some(folder) == wanted.as_ref() && Some(*inode) == now => return,
            None if wanted.is_none() => return,
            _ => {}
        }
        if let Some((_, old, _)) = self.at.take() {
            // A folder that is gone has taken its watch with it.
            let _ = self.inotify.rm_watch(old);
        }
        let Some(folder) = wanted else { return };
        let watched = now.ok_or(Errno::ENOENT).and_then(|_| self.inotify.add_watch(&folder, events()));
        match (watched, now) {
            (Ok(watch), Some(inode)) => {
                msf_sys::log!(Level::Info, MODULE, "services_dir: {} is watched", folder.display());
                warn_of_strangers(&folder);
                self.at = Some((folder, watch, inode));
                self.told = false;
            }
            (Err(_), _) | (_, None) if self.told => return,
            (Err(e), _) => self.complain(&folder, e),
            (_, None) => self.complain(&folder, Errno::ENOENT),
        }
        // What happened before it was watched is not missed.
        self.soon();
    }

    fn complain(&mut self, folder: &Path, e: Errno) {
        let folder = folder.display();
        msf_sys::log!(
            Level::Error,
            MODULE,
            "services_dir: {folder} cannot be watched: {}; it is looked for again",
            e.desc()
        );
        self.told = true;
    }

    /// Until something happens, or is due.
    fn wait(&self) {
        let due = self.due.into_iter().chain(self.late).min().map(|due| due.saturating_duration_since(Instant::now()));
        let again = (self.at.is_none() && self.shared.folder().is_some()).then_some(AGAIN);
        let limit = due.into_iter().chain(again).min().map(|limit| limit + Duration::from_millis(1));
        let limit = limit.map_or(PollTimeout::NONE, |limit| PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX));
        let mut fds = [
            PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.shared.bell.as_fd(), PollFlags::POLLIN),
        ];
        if let Err(e) = poll(&mut fds, limit)
            && e != Errno::EINTR
        {
            msf_sys::log!(Level::Error, MODULE, "services_dir: the watch fails: {}", e.desc());
            std::thread::sleep(AGAIN);
        }
    }

    /// Takes what has happened.
    fn take(&mut self) {
        while let Ok(happened) = self.inotify.read_events() {
            if happened.iter().any(|event| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW)) {
                msf_sys::log!(
                    Level::Warn,
                    MODULE,
                    "services_dir: more has happened than could be told; it is read anew"
                );
            }
            if happened.iter().any(|event| self.matters(event)) {
                self.soon();
            }
        }
    }

    /// A file that is only begun will be told of when it is complete; a link is complete at once.
    fn matters(&self, event: &InotifyEvent) -> bool {
        if !event.mask.contains(AddWatchFlags::IN_CREATE) {
            return true;
        }
        let file = self.at.as_ref().zip(event.name.as_ref()).map(|((folder, _, _), name)| folder.join(name));
        let about = file.and_then(|file| fs::symlink_metadata(file).ok());
        about.is_some_and(|about| about.is_symlink() || about.nlink() > 1)
    }

    fn soon(&mut self) {
        let now = Instant::now();
        self.due = Some(now + QUIET);
        self.late.get_or_insert(now + LATEST);
    }
}

/// What lies in the folder is code of ours.
fn warn_of_strangers(folder: &Path) {
    if fs::metadata(folder).is_ok_and(|about| about.mode() & ANYBODY_WRITES != 0) {
        let folder = folder.display();
        msf_sys::log!(Level::Warn, MODULE, "services_dir: anybody may write into {folder}, and so have code run here");
    }
}

fn inode(folder: &Path) -> Option<Inode> {
    fs::metadata(folder).ok().filter(fs::Metadata::is_dir).map(|about| (about.dev(), about.ino()))
}

fn events() -> AddWatchFlags {
    AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_MOVED_FROM
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_ONLYDIR
}

const ANYBODY_WRITES: u32 = 0o002;
/// So long nothing happens before the folder is read: files that come together are read together.
const QUIET: Duration = Duration::from_millis(30);
/// But it is read so long after the first of them.
const LATEST: Duration = Duration::from_millis(500);
/// How often a folder that is not there is looked for.
const AGAIN: Duration = Duration::from_millis(500);
