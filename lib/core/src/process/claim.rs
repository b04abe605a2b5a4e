//! One live process per name: a lock file that the kernel gives back when its holder dies, and a pid file for people.
//!
//! `R/<name>.lock` is locked with flock: that is the claim. `R/<name>.pid` holds the number, and is locked as well from the
//! moment it has its name: a number without a lock was left by a crash, and whoever has that number now is a stranger
//! whom nobody must name or signal. One that tells of its crash lets go of both at once. A forked child that outlives its parent keeps both locks, so the lock file says when
//! the holder was started: numbers come again, that does not (but within a tick of the kernel's, a hundredth of a second).
//! Both files are removed when the claim is dropped.

use super::crash::LOCKS;
use crate::error::Error;
use crate::sys::{place, regular};
use crate::sysinfo::process;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{self, Pid};
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The exclusive right to a name, until it is dropped or the process ends.
///
/// It survives a fork in which the parent ends ([`daemonize`](super::daemonize)) if [`Claim::renew`] is called in the
/// child; a child that does not call it leaves the files alone.
#[derive(Debug)]
pub struct Claim {
    /// Both are open for as long as their locks are to last; the kernel drops these with the last descriptor.
    lock: File,
    pid: File,
    lock_path: PathBuf,
    pid_path: PathBuf,
    owner: u32,
}

/// Why a name could not be claimed.
#[derive(Debug)]
pub enum Held {
    /// Another live process has it.
    By {
        /// The name.
        name: String,
        /// Its process; 0 when it has not written its number down.
        pid: i32,
    },
    /// The lock could not be made.
    Failed(Error),
}

/// Claims `name` in the run directory for this process. Fails with [`Held::By`] when another live process has it.
pub fn claim(name: &str) -> Result<Claim, Held> {
    check_name(name)?;
    claim_in(&place::run_dir()?, name)
}

/// The live process that holds `name`, in whichever run directory; `None` when nobody does. Where root has one and so
/// have we, it is ours.
pub fn holder(name: &str) -> Option<i32> {
    check_name(name).ok()?;
    let holders: Vec<i32> = place::run_dirs().iter().filter_map(|folder| holder_in(folder, name)).collect();
    let ours = holders.iter().find(|pid| kill(Pid::from_raw(**pid), None).is_ok());
    ours.or(holders.first()).copied()
}

impl Claim {
    /// Whether the calling process is the owner, and not a fork of it.
    pub fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }

    /// The lock, for a process that is to go on under this name: the claim is its as soon as it has this, and nobody's
    /// as soon as nobody has it.
    pub fn lock(&self) -> io::Result<OwnedFd> {
        self.lock.try_clone().map(OwnedFd::from)
    }

    /// Goes on under `name` with the lock of a process that is about to end without having dropped its claim.
    ///
    /// # Errors
    /// It is not the lock of that name.
    pub fn take_over(name: &str, lock: OwnedFd) -> Result<Claim, Error> {
        check_name(name)?;
        let (lock_path, pid_path) = paths(&place::run_dir()?, name);
        let lock = File::from(lock);
        let failed = |error: io::Error| Error::file("take over the lock", &lock_path, error);
        // Through the same open file it is had already; through any other it cannot be had.
        lock.try_lock().map_err(|error| failed(error.into()))?;
        let (given, named) = (lock.metadata().map_err(failed)?, fs::metadata(&lock_path).map_err(failed)?);
        if (given.dev(), given.ino()) != (named.dev(), named.ino()) {
            return Err(failed(io::Error::other("it is the lock of another name")));
        }
        write_start(&lock).map_err(failed)?;
        let pid = write_pid(&pid_path)?;
        Ok(Claim::of((lock, lock_path), (pid, pid_path)))
    }

    fn of((lock, lock_path): (File, PathBuf), (pid, pid_path): (File, PathBuf)) -> Claim {
        let claim = Claim { lock, pid, lock_path, pid_path, owner: std::process::id() };
        LOCKS.are(claim.files());
        claim
    }

    fn files(&self) -> [i32; 2] {
        [self.lock.as_raw_fd(), self.pid.as_raw_fd()]
    }

    /// Makes the calling process the owner, after a fork in which the old one is about to end.
    pub fn renew(&mut self) -> Result<(), Error> {
        self.owner = std::process::id();
        write_start(&self.lock).map_err(|error| Error::file("write the lock", &self.lock_path, error))?;
        self.pid = write_pid(&self.pid_path)?;
        LOCKS.are(self.files());
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A forked child has a copy of this value; the files are its parent's.
        if self.is_ours() {
            LOCKS.were(self.files());
            let _ = fs::remove_file(&self.pid_path);
            // While the lock is still held: who waits for it sees that the name leads elsewhere and starts over.
            let _ = fs::remove_file(&self.lock_path);
            let _ = self.lock.unlock();
            let _ = self.pid.unlock();
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Held::By { name, pid: 0 } => write!(f, "{name} is running already"),
            Held::By { name, pid } => write!(f, "{name} is running already, as process {pid}"),
            Held::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Held {}

impl From<Error> for Held {
    fn from(error: Error) -> Held {
        Held::Failed(error)
    }
}

fn claim_in(folder: &Path, name: &str) -> Result<Claim, Held> {
    let (lock_path, pid_path) = paths(folder, name);
    let patience = Instant::now() + PATIENCE;
    loop {
        if let Some(lock) = try_lock(&lock_path)? {
            write_start(&lock).map_err(|error| Error::file("write the lock", &lock_path, error))?;
            let pid = write_pid(&pid_path)?;
            return Ok(Claim::of((lock, lock_path), (pid, pid_path)));
        }
        // Somebody has the lock: its holder, perhaps before writing his pid down.
        let pid = holder_in(folder, name);
        if pid.is_some() || Instant::now() >= patience {
            return Err(Held::By { name: name.to_owned(), pid: pid.unwrap_or(0) });
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// The lock, or `None` when somebody else has it.
fn try_lock(path: &Path) -> Result<Option<File>, Error> {
    let failed = |error: io::Error| Error::file("lock", path, error);
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // The former holder removes the file before he lets go: then this is a lock on a file without a name.
        let ours = file.metadata().map_err(failed)?.ino();
        if fs::metadata(path).is_ok_and(|current| current.ino() == ours) {
            return Ok(Some(file));
        }
    }
}

/// Does not look at the lock: one can only do so by taking it, and would refuse whoever claims the name just then.
fn holder_in(folder: &Path, name: &str) -> Option<i32> {
    let (lock_path, pid_path) = paths(folder, name);
    let pid = read_pid(&pid_path)?;
    let now = process::started(pid).map(|started| started.as_millis());
    // Where we cannot look, at the process or at the lock, nothing speaks against it.
    let is_another = read_start(&lock_path).zip(now).is_some_and(|(then, now)| then != now);
    (!is_another).then_some(pid)
}

/// When this process was started, for those who find its number in the pid file.
fn write_start(mut lock: &File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    match process::started(unistd::getpid().as_raw()) {
        Some(started) => writeln!(lock, "{}", started.as_millis()),
        None => Ok(()),
    }
}

fn read_start(path: &Path) -> Option<u128> {
    let mut text = String::new();
    regular::open(path).ok()?.take(LONGEST_START).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn paths(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    (folder.join(format!("{name}.lock")), folder.join(format!("{name}.pid")))
}

fn check_name(name: &str) -> Result<(), Error> {
    let fits = !name.is_empty() && name.len() <= LONGEST_NAME && !name.starts_with('.');
    if fits && !name.bytes().any(|byte| byte == b'/' || byte.is_ascii_control()) {
        return Ok(());
    }
    Err(Error::Argument {
        given: name.to_owned(),
        expected: "a process name (1 to 200 bytes, no '/', no dot in front)",
    })
}

/// The pid file, whole, locked and with its name from the first moment anybody can see it. Until then it has one that
/// nobody but the lock's holder uses; there may lie what a holder before us has left that was killed meanwhile.
fn write_pid(path: &Path) -> Result<File, Error> {
    let aside = path.with_extension("pid.new");
    let _ = fs::remove_file(&aside);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o644);
    let written = options.open(&aside).and_then(|mut file| {
        file.try_lock()?;
        writeln!(file, "{}", std::process::id())?;
        fs::rename(&aside, path)?;
        Ok(file)
    });
    written.map_err(|error| {
        let _ = fs::remove_file(&aside);
        Error::file("write the pid file", path, error)
    })
}

/// The live process named by the pid file, if the file is locked: then it is the one that wrote it.
fn read_pid(path: &Path) -> Option<i32> {
    let mut options = OpenOptions::new();
    let mut file = options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).ok()?;
    if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    let mut number = String::new();
    file.read_to_string(&mut number).ok()?;
    let pid: i32 = number.trim().parse().ok()?;
    let alive = pid > 0 && !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH));
    alive.then_some(pid)
}

const LONGEST_NAME: usize = 200;
/// Bytes of a number and the line's end.
const LONGEST_START: u64 = 40;
/// How long a holder may take between locking and writing its pid down.
const PATIENCE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("msf-claim-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn regress_a_stranger_who_has_got_the_number_of_a_dead_holder_is_not_named() {
        let folder = fresh("stranger");
        let claim = claim_in(&folder, "agent").unwrap();
        // The lock is kept, as by a child, and the number is that of a process started at another time.
        fs::write(folder.join("agent.lock"), "1\n").unwrap();
        assert_eq!(holder_in(&folder, "agent"), None);
        assert!(matches!(claim_in(&folder, "agent"), Err(Held::By { pid: 0, .. })));
        // Nobody said when: another version's claim.
        fs::write(folder.join("agent.lock"), "").unwrap();
        assert_eq!(holder_in(&folder, "agent"), Some(std::process::id() as i32));
        drop(claim);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_second_claim_is_refused_and_names_the_holder() {
        let folder = fresh("second");
        let first = claim_in(&folder, "agent").unwrap();
        assert_eq!(holder_in(&folder, "agent"), Some(std::process::id() as i32));
        match claim_in(&folder, "agent") {
            Err(Held::By { pid, .. }) => assert_eq!(pid, std::process::id() as i32),
            other => panic!("{other:?}"),
        }
        drop(first);
        assert_eq!(holder_in(&folder, "agent"), None);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        claim_in(&folder, "agent").unwrap();
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn files_left_by_a_crash_are_taken_over() {
        let folder = fresh("crash");
        fs::write(folder.join("agent.lock"), "").unwrap();
        fs::write(folder.join("agent.pid"), "999999999\n").unwrap();
        fs::write(folder.join("agent.pid.new"), "").unwrap();
        assert_eq!(holder_in(&folder, "agent"), None);
        let claim = claim_in(&folder, "agent").unwrap();
        assert_eq!(fs::read_to_string(folder.join("agent.pid")).unwrap(), format!("{}\n", std::process::id()));
        drop(claim);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn regress_a_number_left_by_a_crash_is_nobody_even_if_somebody_has_it_now() {
        let folder = fresh("reused");
        // Our parent's: alive, and certainly no holder.
        fs::write(folder.join("agent.pid"), format!("{}\n", std::os::unix::process::parent_id())).unwrap();
        assert_eq!(holder_in(&folder, "agent"), None);
        // Nor while another one has the lock and has not written his number down yet.
        let other = try_lock(&folder.join("agent.lock")).unwrap().unwrap();
        assert_eq!(holder_in(&folder, "agent"), None);
        match claim_in(&folder, "agent") {
            Err(Held::By { pid, .. }) => assert_eq!(pid, 0),
            other => panic!("{other:?}"),
        }
        drop(other);
        claim_in(&folder, "agent").unwrap();
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn regress_who_looks_for_the_holder_is_in_nobodys_way() {
        let folder = fresh("looking");
        let done = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        let _ = holder_in(&folder, "agent");
                    }
                });
            }
            let refused = (0..500).filter(|_| claim_in(&folder, "agent").is_err()).count();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(refused, 0);
        });
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn regress_a_claim_that_cannot_write_leaves_nothing_of_its_own_behind() {
        let folder = fresh("blocked");
        fs::create_dir(folder.join("agent.pid")).unwrap();
        assert!(matches!(claim_in(&folder, "agent"), Err(Held::Failed(_))));
        let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["agent.lock", "agent.pid"]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn names_that_would_leave_the_folder_are_refused() {
        for name in ["", "../x", "a/b", ".hidden", "a\nb"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name("msf_shell.msf_agent").is_ok());
    }

    #[test]
    fn of_many_who_claim_at_once_exactly_one_succeeds() {
        let folder = fresh("many");
        let claims: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| claim_in(&folder, "agent"))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 1);
        drop(claims);
        fs::remove_dir_all(folder).unwrap();
    }
}
