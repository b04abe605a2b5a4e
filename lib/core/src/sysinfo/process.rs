//! What a process uses: `/proc/PID/stat`, `statm` and `fd`.

use super::{odd, text, ticks};
use crate::error::Error;
use nix::errno::Errno;
use nix::unistd::{SysconfVar, sysconf};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// A process, as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// Its short name: the program's, or what it calls itself; up to 15 bytes, more for a thread of the kernel.
    pub name: String,
    /// `R` running, `S` sleeping, `D` waiting for a disk, `Z` ended but not collected, ... as proc(5) says.
    pub state: char,
    /// How many threads it has.
    pub threads: u32,
    /// How many descriptors it has open; `None` where we may not look (another user's).
    pub descriptors: Option<u32>,
    /// Bytes of memory it has in use.
    pub resident: u64,
    /// How many of them may be shared with others (files, shared memory).
    pub shared: u64,
    /// Bytes of addresses it has.
    pub addresses: u64,
    /// Processor time of its own, its ended threads included.
    pub user: Duration,
    /// Processor time the kernel spent for it.
    pub system: Duration,
    /// When it was started, since the machine came up. With the number it names a process for good: numbers come again.
    pub started: Duration,
}

/// The process `pid`.
///
/// # Errors
/// ESRCH when there is none, ENOENT when `/proc` is not mounted.
pub fn of(pid: i32) -> Result<Process, Error> {
    let folder = format!("/proc/{pid}");
    look(&folder).map_err(|error| match error.errno() {
        // It may end at any moment, also between two files of its folder. Without /proc nobody knows.
        Errno::ENOENT | Errno::ESRCH if Path::new("/proc/self").exists() => {
            Error::System { doing: "find the process", source: Errno::ESRCH }
        }
        _ => error,
    })
}

/// This one.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn current() -> Result<Process, Error> {
    look("/proc/self")
}

/// When the process `pid` was started, since the machine came up; `None` where nobody can tell.
pub fn started(pid: i32) -> Option<Duration> {
    // The first thread's: an emulator makes up what the process itself finds under its own number.
    let stat = text(&format!("/proc/{pid}/task/{pid}/stat")).ok()?;
    Some(parse(&stat)?.started)
}

/// The numbers of all processes we may see, rising, as the kernel lists them.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn all() -> Result<impl Iterator<Item = i32>, Error> {
    let entries = fs::read_dir("/proc").map_err(|error| Error::file("read", "/proc", error))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// The numbers of the processes called `name`, rising: it is their short name, the file they were made from, or the
/// program their command line begins with. Those that have ended do not count.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn named(name: &str) -> Result<Vec<i32>, Error> {
    Ok(all()?.filter(|pid| is_called(*pid, name)).collect())
}

impl Process {
    /// Processor time in all.
    pub fn busy(&self) -> Duration {
        self.user + self.system
    }
}

fn look(folder: &str) -> Result<Process, Error> {
    let (stat, statm) = (format!("{folder}/stat"), format!("{folder}/statm"));
    let mut process = parse(&text(&stat)?).ok_or_else(|| odd(&stat))?;
    let pages = text(&statm)?;
    let mut pages = pages.split_ascii_whitespace().map(|number| number.parse::<u64>().ok());
    let mut bytes = || pages.next().flatten().map(|count| count.saturating_mul(page_size()));
    let sizes = bytes().zip(bytes()).zip(bytes()).ok_or_else(|| odd(&statm))?;
    ((process.addresses, process.resident), process.shared) = sizes;
    let open = fs::read_dir(format!("{folder}/fd")).map(|entries| entries.flatten().count());
    // Among our own is the one we are looking through.
    let ours = process.pid == std::process::id().cast_signed();
    process.descriptors = open.ok().map(|count| (count as u32).saturating_sub(u32::from(ours)));
    Ok(process)
}

fn is_called(pid: i32, name: &str) -> bool {
    let folder = format!("/proc/{pid}");
    let Some(process) = text(&format!("{folder}/stat")).ok().and_then(|stat| parse(&stat)) else { return false };
    if matches!(process.state, 'Z' | 'X') {
        return false;
    }
    // The short name is cut, a link of another user's is not for us, and a title may have replaced the command line.
    let last = |path: &Path| path.file_name().is_some_and(|of| of.as_bytes() == name.as_bytes());
    let begins =
        |line: Vec<u8>| last(Path::new(OsStr::from_bytes(line.split(|byte| *byte == 0).next().unwrap_or(&[]))));
    process.name == name
        || fs::read_link(format!("{folder}/exe")).is_ok_and(|file| last(&file))
        || fs::read(format!("{folder}/cmdline")).is_ok_and(begins)
}

/// The second field is in brackets and may hold spaces and brackets itself.
fn parse(stat: &str) -> Option<Process> {
    let (before, after) = stat.rsplit_once(')')?;
    let (pid, name) = before.split_once('(')?;
    let mut words = after.split_ascii_whitespace();
    let state = words.next()?.chars().next()?;
    // Counted as proc(5) does, from 1, and these begin with the fourth; some are below zero.
    let mut fields = [0i64; 23];
    let mut last = 3;
    for (field, word) in fields.iter_mut().skip(4).zip(words) {
        *field = word.parse().ok()?;
        last += 1;
    }
    if last < 22 {
        return None;
    }
    Some(Process {
        pid: pid.trim().parse().ok()?,
        parent: i32::try_from(fields[4]).ok()?,
        name: name.to_owned(),
        state,
        threads: u32::try_from(fields[20]).ok()?,
        descriptors: None,
        resident: 0,
        shared: 0,
        addresses: 0,
        user: ticks(fields[14].cast_unsigned()),
        system: ticks(fields[15].cast_unsigned()),
        started: ticks(fields[22].cast_unsigned()),
    })
}

pub(super) fn page_size() -> u64 {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_name_with_spaces_and_brackets_is_only_a_name() {
        let rest = (4..=24).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
        let found = parse(&format!("17 (a) (b c) Z {rest}\n")).unwrap();
        assert_eq!((found.pid, found.name.as_str(), found.state, found.parent), (17, "a) (b c", 'Z', 4));
        assert_eq!((found.threads, found.user, found.started), (20, Duration::from_millis(140), ticks(22)));
        assert!(parse("17 (x) S 1 2 3").is_none());
        assert!(parse("").is_none());
    }

    #[test]
    fn a_process_of_ours_is_seen_with_what_it_has() {
        let before = current().unwrap();
        let file = File::open("/dev/null").unwrap();
        let after = of(std::process::id().cast_signed()).unwrap();
        assert_eq!(after.pid, std::process::id().cast_signed());
        assert!(after.resident > 100_000 && after.addresses >= after.resident, "{after:?}");
        assert!(before.descriptors.is_some() && after.descriptors.is_some());
        assert_eq!(before.started, after.started);
        drop(file);
        assert!(all().unwrap().any(|pid| pid == after.pid));
    }

    #[test]
    fn a_process_is_found_by_the_name_of_its_file() {
        let own = std::env::current_exe().unwrap();
        // Longer than the kernel's short name.
        let name = own.file_name().unwrap().to_str().unwrap();
        assert!(name.len() > 15 && named(name).unwrap().contains(&std::process::id().cast_signed()));
        assert!(named("nobody is called so").unwrap().is_empty());
    }

    #[test]
    fn who_is_not_there_is_esrch() {
        assert_eq!(of(i32::MAX).unwrap_err().errno(), Errno::ESRCH);
        assert_eq!(of(-1).unwrap_err().errno(), Errno::ESRCH);
    }
}
