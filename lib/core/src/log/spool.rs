//! The file in which a process keeps the records that its log does not hold yet: one ring per thread that logs.
//!
//! It lies in memory that outlives processes, as `/dev/shm/msf-log-<hash of the log's path>.4711-0.ring`: a page of a disk's
//! file would keep its author waiting for the disk now and then, whenever the kernel writes it out. Where there is no such
//! place it lies beside the log, as `.x.log.4711-0.ring`. It is locked as long as its process has it mapped: the mapping keeps
//! the lock, so neither a program that closes descriptors it did not open nor a forked child (which does not inherit the
//! mapping) confuses whose it is. When the process dies, however it dies, the lock goes, and whoever opens that log next
//! writes what is left.
//!
//! ```text
//! 0        the head: magic, pid, sizes, where in the log a batch is being written, and how large the log may become
//! 4096     ring 0: its positions, 4096 bytes later its entries
//! ...      ring 1, as far as there are threads
//! ```
//! A batch goes into the log between two marks. `Writing` says which records it holds (each ring's `intended`) and where
//! the log ended before; whoever finds that looks into the log for how much of it is there. `Written` says that all is.

use super::berth::{self, SUFFIX, hash, real};
use super::ring::{Positions, Ring};
use super::room::Room;
use super::rotate::Limit;
use crate::error::Error;
use crate::sys::{Map, futex};
use nix::errno::Errno;
use nix::fcntl::posix_fallocate;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::geteuid;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The rings of one process, mapped.
#[derive(Debug)]
pub(super) struct Spool {
    map: Map,
    /// None: in memory only, it ends with the process.
    path: Option<PathBuf>,
    capacity: u32,
    /// Where this process's own callers wait.
    pub room: Room,
}

/// A place in a file: where a log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub dev: u64,
    pub ino: u64,
    pub size: u64,
}

/// What the last batch of a process that is gone has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batch {
    /// There is none.
    Complete,
    /// Some of it may be in the log that ended at the spot.
    Begun(Spot),
    /// It is in the log, and still in the rings.
    Written,
}

/// The file's first page. Another process may look at it, so everything is atomic.
#[repr(C)]
struct Head {
    magic: AtomicU32,
    pid: AtomicU32,
    capacity: AtomicU32,
    used: AtomicU32,
    state: AtomicU32,
    /// Bytes of the log's path at [`LOG_PATH`]; 0: it is longer than there is room for.
    path: AtomicU32,
    dev: AtomicU64,
    ino: AtomicU64,
    size: AtomicU64,
    /// The hash of the log's path.
    log: AtomicU64,
    /// The log's limit; 0 bytes: not known, as in the files of older programs.
    bytes: AtomicU64,
    files: AtomicU32,
}

impl Spool {
    /// A new file beside `log` for rings of `capacity` bytes each.
    pub fn create(log: &Path, capacity: u32) -> Result<Spool, Error> {
        let mut outcome = None;
        for (folder, prefix) in berth::places(log) {
            match Spool::create_in(&folder, prefix, log, capacity) {
                Ok(spool) => return Ok(spool),
                Err(error) => outcome = Some(error),
            }
        }
        Err(outcome.unwrap_or(Error::System { doing: "create the rings", source: Errno::ENOENT }))
    }

    pub fn create_in(folder: &Path, prefix: OsString, log: &Path, capacity: u32) -> Result<Spool, Error> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut taken = None;
        for _ in 0..NAMES_TRIED {
            let mut name = prefix.clone();
            name.push(format!("{}-{}{SUFFIX}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
            let path = folder.join(name);
            // One of that name was left by a process that had our number, and whoever locks it first removes it.
            let _ = adopted(&path, log);
            match Spool::create_as(&path, log, capacity) {
                Ok(spool) => return Ok(spool),
                // Another container's process with our number has it, or somebody who wants to annoy us.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = Some((error, path)),
                Err(error) => return Err(Error::file("create the rings", &path, error)),
            }
        }
        let (error, path) = taken.unwrap_or_else(|| (Errno::EEXIST.into(), folder.to_owned()));
        Err(Error::file("create the rings", &path, error))
    }

    fn create_as(path: &Path, log: &Path, capacity: u32) -> io::Result<Spool> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        let fill = || -> io::Result<Spool> {
            file.lock()?;
            // A umask that takes our own rights would keep us from adding rings, and our successor from finding them.
            file.set_permissions(Permissions::from_mode(0o600))?;
            posix_fallocate(&file, 0, PAGE as libc::off_t)?;
            file.set_len(length(capacity))?;
            Spool::begin_in(&file, Some(path.to_owned()), log, capacity)
        };
        // Only from here on is it ours to remove.
        fill().inspect_err(|_| drop(fs::remove_file(path)))
    }

    /// For logs that are no files and folders in which none can be made: what is not written yet dies with the process.
    pub fn in_memory(capacity: u32) -> io::Result<Spool> {
        let file = File::from(memfd_create("msf-log", MFdFlags::MFD_CLOEXEC)?);
        file.set_len(length(capacity))?;
        Spool::begin_in(&file, None, Path::new(""), capacity)
    }

    fn begin_in(file: &File, path: Option<PathBuf>, log: &Path, capacity: u32) -> io::Result<Spool> {
        let map = Map::shared(file, length(capacity) as usize)?;
        // A child would keep the lock of a parent that is gone.
        map.keep_from_children()?;
        let spool = Spool { map, path, capacity, room: Room::new() };
        let head = spool.head();
        head.pid.store(process::id(), Ordering::Relaxed);
        spool.name(&real(log));
        head.capacity.store(capacity, Ordering::Relaxed);
        head.magic.store(MAGIC, Ordering::Release);
        Ok(spool)
    }

    /// Says whose rings these are, also for somebody who does not know that log.
    fn name(&self, log: &Path) {
        let bytes = log.as_os_str().as_bytes();
        self.head().log.store(hash(log), Ordering::Relaxed);
        if bytes.len() <= PAGE - LOG_PATH {
            let place = self.place(LOG_PATH);
            // SAFETY: the path ends before the first page does, and nobody looks there before the magic is stored.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place.as_ptr(), bytes.len()) };
            self.head().path.store(bytes.len() as u32, Ordering::Relaxed);
        }
    }

    /// The log that the rings belong to, if the file tells.
    pub fn log(&self) -> Option<PathBuf> {
        let length = self.head().path.load(Ordering::Relaxed) as usize;
        let mut bytes = vec![0; Some(length).filter(|length| (1..=PAGE - LOG_PATH).contains(length))?];
        let place = self.place(LOG_PATH);
        // SAFETY: `length` bytes are in the first page, and whoever wrote them is gone.
        unsafe { ptr::copy_nonoverlapping(place.as_ptr(), bytes.as_mut_ptr(), length) };
        let log = PathBuf::from(OsString::from_vec(bytes));
        (log.is_absolute() && hash(&log) == self.head().log.load(Ordering::Relaxed)).then_some(log)
    }

    /// Tells whoever takes the file over how the log is rotated.
    pub fn set_limit(&self, limit: &Limit) {
        self.head().files.store(limit.files, Ordering::Relaxed);
        self.head().bytes.store(limit.bytes, Ordering::Relaxed);
    }

    /// How the log is rotated, if the file tells, and it makes sense.
    pub fn limit(&self) -> Option<Limit> {
        let head = self.head();
        Limit::checked(head.bytes.load(Ordering::Relaxed), head.files.load(Ordering::Relaxed)).ok()
    }

    /// Whether there is nothing in it that is not in the log.
    pub fn is_empty(&self) -> bool {
        let batch = self.batch();
        let done = |positions: &Positions| {
            let (tail, head) = positions.waiting();
            head == if batch == Batch::Written { positions.intended() } else { tail }
        };
        !matches!(batch, Batch::Begun(_)) && self.rings().all(|ring| done(ring.positions()))
    }

    /// Takes over the file of a process that is gone, for whichever log. None: it lives, or the file is none of ours.
    pub fn stray(path: &Path) -> Option<Spool> {
        Spool::adopt(path, None).ok().flatten()
    }

    /// As [`Spool::stray`], for one log only, if one is given.
    fn adopt(path: &Path, log: Option<&Path>) -> io::Result<Option<Spool>> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let found = file.metadata()?;
        // Somebody else's could become shorter while it is read, which is a SIGBUS.
        let ours = found.is_file() && found.nlink() == 1 && found.uid() == geteuid().as_raw();
        if !ours || found.len() < PAGE as u64 {
            if ours && found.modified().is_ok_and(|time| time.elapsed().is_ok_and(|age| age > BEING_MADE)) {
                fs::remove_file(path)?;
            }
            return Ok(None);
        }
        let length = usize::try_from(found.len()).map_err(|_| Errno::EFBIG)?;
        let map = Map::shared(&file, length)?;
        map.keep_from_children()?;
        let mut spool = Spool { map, path: Some(path.to_owned()), capacity: SMALLEST, room: Room::new() };
        let (magic, capacity) =
            (spool.head().magic.load(Ordering::Acquire), spool.head().capacity.load(Ordering::Relaxed));
        let sound = capacity.is_power_of_two() && (SMALLEST..=LARGEST).contains(&capacity);
        let another = log.is_some_and(|log| {
            path.parent() != log.parent() && spool.head().log.load(Ordering::Relaxed) != hash(&real(log))
        });
        if !matches!(magic, MAGIC | MAGIC_BEFORE) || !sound || another || self::length(capacity) != found.len() {
            return Ok(None);
        }
        spool.capacity = capacity;
        Ok(Some(spool))
    }

    /// One more ring; None when there are [`RINGS`] already.
    pub fn add(&self) -> io::Result<Option<Ring>> {
        let used = self.head().used.load(Ordering::Relaxed);
        if used >= RINGS {
            return Ok(None);
        }
        if let Some(path) = &self.path {
            // Writing to a hole of a mapping on a full disk would be a SIGBUS: so there must be no hole.
            // Whatever has taken its place meanwhile, a FIFO included, keeps nobody waiting.
            let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
            let file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
            posix_fallocate(&file, self.start(used) as libc::off_t, self.stride() as libc::off_t)?;
        }
        self.head().used.store(used + 1, Ordering::Release);
        let ring = self.ring(used);
        ring.touch();
        Ok(Some(ring))
    }

    /// Every ring there is.
    pub fn rings(&self) -> impl Iterator<Item = Ring> {
        let used = self.head().used.load(Ordering::Acquire).min(RINGS);
        (0..used).map(|number| self.ring(number))
    }

    /// The process whose records these are.
    pub fn pid(&self) -> i32 {
        self.head().pid.load(Ordering::Relaxed) as i32
    }

    /// A batch, which ends at each ring's intended position, is about to be written to a log that ends at `spot`.
    pub fn begin(&self, spot: Spot) {
        let head = self.head();
        head.dev.store(spot.dev, Ordering::Relaxed);
        head.ino.store(spot.ino, Ordering::Relaxed);
        head.size.store(spot.size, Ordering::Relaxed);
        head.state.store(WRITING, Ordering::Release);
    }

    /// The batch is in the log: its records leave the rings.
    pub fn finish(&self) {
        self.head().state.store(WRITTEN, Ordering::Release);
        for ring in self.rings() {
            let positions = ring.positions();
            positions.release(positions.intended());
        }
        self.head().state.store(IDLE, Ordering::Release);
        self.room.made(|word| futex::wake(word, u32::MAX));
    }

    /// What the last batch has come to.
    pub fn batch(&self) -> Batch {
        let head = self.head();
        match head.state.load(Ordering::Acquire) {
            WRITING => Batch::Begun(Spot {
                dev: head.dev.load(Ordering::Relaxed),
                ino: head.ino.load(Ordering::Relaxed),
                size: head.size.load(Ordering::Relaxed),
            }),
            WRITTEN => Batch::Written,
            _ => Batch::Complete,
        }
    }

    /// Removes the file; who has mapped it keeps the memory.
    pub fn remove(&self) {
        if let Some(path) = &self.path {
            // Somebody else may have cleared the folder away.
            let _ = fs::remove_file(path);
        }
    }

    fn head(&self) -> &Head {
        // SAFETY: the mapping has at least a page, begins at one, and every bit pattern is a valid `Head`.
        unsafe { self.map.start().cast().as_ref() }
    }

    fn ring(&self, number: u32) -> Ring {
        let positions = self.place(self.start(number)).cast::<Positions>();
        let data = self.place(self.start(number) + PAGE);
        // SAFETY: the length of the mapping was made, or checked, for RINGS rings; it lives as long as this spool, which
        // every user of a ring keeps.
        unsafe { Ring::new(positions, data, self.capacity) }
    }

    fn place(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset < self.map.len());
        // SAFETY: inside the mapping.
        unsafe { self.map.start().add(offset) }
    }

    fn start(&self, number: u32) -> usize {
        PAGE + number as usize * self.stride()
    }

    fn stride(&self) -> usize {
        PAGE + self.capacity as usize
    }
}

/// The files of processes that are gone and had records for `log`, each locked for us. They are taken over one by one:
/// there may be thousands, and a mapping of all of them at once is more than a 32-bit process has room for.
pub(super) fn orphans(log: &Path) -> impl Iterator<Item = Spool> + use<> {
    let places = berth::places(log).into_iter();
    let paths: Vec<PathBuf> = places.flat_map(|(folder, prefix)| berth::rings_in(&folder, &prefix)).collect();
    let log = log.to_owned();
    paths.into_iter().filter_map(move |path| adopted(&path, &log))
}

/// A file that cannot be taken over stays where it is, for somebody who can.
fn adopted(path: &Path, log: &Path) -> Option<Spool> {
    Spool::adopt(path, Some(log)).ok().flatten()
}

fn length(capacity: u32) -> u64 {
    PAGE as u64 + u64::from(RINGS) * (PAGE as u64 + u64::from(capacity))
}

/// How many rings a process has at most. The last one is shared by all further threads.
pub(super) const RINGS: u32 = 64;
/// The sizes a ring may have.
pub(super) const SMALLEST: u32 = 16 * 1024;
pub(super) const LARGEST: u32 = 4 * 1024 * 1024;

/// "msf" and the layout's number.
const MAGIC: u32 = 0x6d73_6602;
/// Its records are of one of the kinds that ours are, so what it has left is read; it does not read ours.
const MAGIC_BEFORE: u32 = 0x6d73_6601;
const PAGE: usize = 4096;
/// Where in the first page the log's path is.
const LOG_PATH: usize = 1024;
/// A file without a head is being made, unless it is older than this.
const BEING_MADE: Duration = Duration::from_secs(60);

/// So many files of the same process number may live at once, one per PID namespace that shares the folder.
const NAMES_TRIED: u32 = 16;

const IDLE: u32 = 0;
const WRITING: u32 = 1;
const WRITTEN: u32 = 2;

#[cfg(test)]
#[cfg(not(feature = "loom"))]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("msf-spool-{}-{name}", process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn the_file_of_a_process_that_lives_is_nobodys_to_take() {
        let folder = folder("lock");
        let log = folder.join("x.log");
        for (place, prefix) in berth::places(&log) {
            let spool = Spool::create_in(&place, prefix, &log, SMALLEST).unwrap();
            assert!(orphans(&log).next().is_none());
            drop(spool);
            let left: Vec<Spool> = orphans(&log).collect();
            assert_eq!(left.len(), 1, "{}", place.display());
            assert_eq!((left[0].pid(), left[0].batch()), (process::id() as i32, Batch::Complete));
            assert!(orphans(&log).next().is_none(), "taken twice");
            assert!(orphans(&folder.join("y.log")).next().is_none(), "of another log");
            left[0].remove();
        }
        assert!(orphans(&log).next().is_none());
        assert!(fs::read_dir(&folder).unwrap().next().is_none());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_name_that_is_taken_is_left_alone_and_the_next_one_used() {
        let folder = folder("taken");
        let log = folder.join("x.log");
        let (place, prefix) = berth::places(&log).pop().unwrap();
        // Which number comes next is not known; every one of the next few is taken by somebody who lives.
        let first = Spool::create_in(&place, prefix.clone(), &log, SMALLEST).unwrap();
        let name = first.path.as_ref().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let number: u32 = name.rsplit(['-', '.']).nth(1).unwrap().parse().unwrap();
        let taken: Vec<File> = (1..8)
            .map(|next| {
                let file = File::create_new(
                    folder.join(name.replace(&format!("-{number}."), &format!("-{}.", number + next))),
                );
                file.inspect(|file| file.lock().unwrap()).unwrap()
            })
            .collect();
        let second = Spool::create_in(&place, prefix, &log, SMALLEST).unwrap();
        assert_ne!(first.path, second.path);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), taken.len() + 2, "one was removed");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_batch_that_was_begun_is_told_and_a_finished_one_leaves_the_rings() {
        let spool = Spool::in_memory(SMALLEST).unwrap();
        let ring = spool.add().unwrap().unwrap();
        let mut producer = ring.positions().producer();
        // SAFETY: one test, one thread.
        unsafe { ring.push(&mut producer, 64, |entry| entry.fill(64)) }.unwrap();
        ring.positions().intend(64);
        let spot = Spot { dev: 1, ino: 2, size: 3 };
        spool.begin(spot);
        assert_eq!(spool.batch(), Batch::Begun(spot));
        assert_eq!(ring.positions().waiting(), (0, 64));
        spool.finish();
        assert_eq!(spool.batch(), Batch::Complete);
        assert_eq!(ring.positions().waiting(), (64, 64));
    }

    #[test]
    fn a_limit_is_told_unless_it_makes_no_sense() {
        let spool = Spool::in_memory(SMALLEST).unwrap();
        let told = || spool.limit().map(|limit| (limit.bytes, limit.files));
        assert_eq!(told(), None);
        for (bytes, files, sound) in [(4096, 0, true), (u64::MAX, 99, true), (4095, 5, false), (1 << 20, 100, false)] {
            spool.set_limit(&Limit { bytes, files });
            assert_eq!(told(), sound.then_some((bytes, files)));
        }
    }

    #[test]
    fn there_are_only_so_many_rings() {
        let spool = Spool::in_memory(SMALLEST).unwrap();
        assert!((0..RINGS).all(|_| spool.add().unwrap().is_some()));
        assert!(spool.add().unwrap().is_none());
        assert_eq!(spool.rings().count(), RINGS as usize);
    }

    #[test]
    fn a_file_that_only_has_the_name_is_left_alone() {
        let folder = folder("strange");
        let log = folder.join("x.log");
        let strange = folder.join(".x.log.1-0.ring");
        fs::write(&strange, vec![0; 2 * PAGE]).unwrap();
        assert!(orphans(&log).next().is_none());
        assert_eq!(fs::metadata(&strange).unwrap().len(), 2 * PAGE as u64);
        fs::remove_dir_all(folder).unwrap();
    }
}
