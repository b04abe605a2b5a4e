//! A process that somebody else has started and left behind: found again by its number and its time of birth, watched,
//! and asked how it ended, although it is not our child.
//!
//! A number alone may be a stranger's by now; with the time of birth it is one process, as long as the machine is not
//! started anew ([`boot`]). How one that is not our child ended is known to the kernel since Linux 6.15, once its parent
//! has collected it; before that, to whoever looks at the dead one before it is collected.

use super::child::{Exit, ended_of};
use super::spawn::open_pidfd;
use nix::errno::Errno;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A process with its time of birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Birth {
    /// Its number.
    pub pid: i32,
    /// When it was started, in the kernel's ticks since the machine was.
    pub ticks: u64,
}

/// A process that is not our child.
#[derive(Debug)]
pub struct Foster {
    birth: Birth,
    pidfd: Option<OwnedFd>,
    gone: bool,
}

/// How a process that is not our child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Like this.
    Exit(Exit),
    /// Like this, and it was our child after all: its pid is to be released, see [`reap`](super::reap).
    Child(Exit),
    /// Nobody can say any more.
    Unknown,
}

impl Birth {
    /// That of the process `pid`.
    ///
    /// # Errors
    /// ESRCH when there is none.
    pub fn of(pid: i32) -> io::Result<Birth> {
        Ok(Birth { pid, ticks: Stat::read(pid)?.birth })
    }
}

/// Identifies this run of the machine.
///
/// # Errors
/// Without /proc.
pub fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

impl Foster {
    /// Watches it. `None` when it is gone, and its number perhaps another's.
    ///
    /// # Errors
    /// When nothing can be found out: without /proc, or without a descriptor left.
    pub fn adopt(birth: Birth) -> io::Result<Option<Foster>> {
        if birth.pid <= 1 {
            return Ok(None);
        }
        // First the descriptor: whoever has the number now keeps it as long as we look.
        let pidfd = open_pidfd(birth.pid);
        match Birth::of(birth.pid) {
            Ok(found) if found == birth => Ok(Some(Foster { birth, pidfd, gone: false })),
            Ok(_) => Ok(None),
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.birth.pid
    }

    /// Its process id and its time of birth.
    pub fn birth(&self) -> Birth {
        self.birth
    }

    /// A descriptor that becomes readable when it ends; `None` where the kernel has no pidfds: then nothing tells, and
    /// one has to look.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// How it ended, if it has, once. What it left behind in its process group is killed.
    pub fn collect(&mut self) -> io::Result<Option<Fate>> {
        if self.gone {
            return Ok(None);
        }
        let fate = match ended_of(libc::P_PID, self.birth.pid, libc::WNOWAIT) {
            // We have become another program since, or are who waits for orphans.
            Ok(Some((_, exit))) => Some(Fate::Child(exit)),
            Ok(None) => None,
            Err(e) if e.raw_os_error() == Some(libc::ECHILD) => self.look(),
            Err(e) => return Err(e),
        };
        if fate.is_some() {
            self.gone = true;
            // A group's number is nobody else's as long as somebody is in it.
            let _ = kill(-self.birth.pid, libc::SIGKILL);
        }
        Ok(fate)
    }

    fn look(&self) -> Option<Fate> {
        match Stat::read(self.birth.pid) {
            Ok(stat) if stat.birth != self.birth.ticks => Some(self.remembered()),
            Ok(stat) if !stat.is_dead => None,
            // Who may not see it is told 0.
            Ok(stat) if stat.exit != 0 || may_see(self.birth.pid) => Some(Fate::Exit(in_words(stat.exit))),
            // Gone, or about to be: then the kernel says.
            Ok(_) | Err(_) => Some(self.remembered()),
        }
    }

    /// What the kernel still knows of one that is collected.
    fn remembered(&self) -> Fate {
        let Some(pidfd) = &self.pidfd else { return Fate::Unknown };
        let mut about = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
        // SAFETY: the request carries the struct's size, and the kernel writes no more than that; an old one refuses it.
        let status = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut about) };
        match status == 0 && about.mask & PIDFD_INFO_EXIT != 0 {
            true => Fate::Exit(in_words(about.exit)),
            false => Fate::Unknown,
        }
    }

    /// Sends `signal`; nothing happens when it is gone.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        match self.is_there() {
            true => kill(self.birth.pid, signal),
            false => Ok(()),
        }
    }

    /// Ends it, and every process of its group that is left.
    pub fn kill(&self) -> io::Result<()> {
        match self.is_there() {
            true => kill(self.birth.pid, libc::SIGKILL).and(kill(-self.birth.pid, libc::SIGKILL)),
            false => Ok(()),
        }
    }

    /// A number is given away again only when its last owner is collected, and that takes longer than what follows.
    fn is_there(&self) -> bool {
        !self.gone && Birth::of(self.birth.pid).is_ok_and(|birth| birth == self.birth)
    }
}

/// What /proc/PID/stat says.
struct Stat {
    birth: u64,
    exit: i32,
    is_dead: bool,
}

impl Stat {
    fn read(pid: i32) -> io::Result<Stat> {
        let gone = || io::Error::from_raw_os_error(libc::ESRCH);
        // In one piece: the kernel makes it anew for every read.
        let mut text = [0; 2048];
        let length = match File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut text)) {
            // Without /proc nobody is to be taken for dead.
            Err(e) if e.kind() == io::ErrorKind::NotFound && Path::new("/proc/self/stat").exists() => {
                return Err(gone());
            }
            read => read?,
        };
        Stat::parse(&text[..length]).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is not as expected")))
    }

    /// The name, in brackets, may have anything in it.
    fn parse(text: &[u8]) -> Option<Stat> {
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let text = std::str::from_utf8(text.get(end + 1..)?).ok()?;
        let mut words = text.split_ascii_whitespace();
        let state = words.next()?;
        // The 22nd and the 52nd of all; the third has just been taken.
        let birth = words.nth(18)?.parse().ok()?;
        let exit = words.nth(29)?.parse().ok()?;
        Some(Stat { birth, exit, is_dead: matches!(state, "Z" | "X" | "x") })
    }
}

/// Whether the exit code in /proc/PID/stat is told to us: to root, and to its own user.
fn may_see(pid: i32) -> bool {
    let own = nix::unistd::geteuid();
    own.is_root() || fs::metadata(format!("/proc/{pid}")).is_ok_and(|about| about.uid() == own.as_raw())
}

/// A status as wait has it.
fn in_words(status: i32) -> Exit {
    if libc::WIFSIGNALED(status) {
        Exit::Signal { number: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) }
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    }
}

fn kill(pid: libc::pid_t, signal: i32) -> io::Result<()> {
    // SAFETY: kill takes two numbers and touches no memory of ours.
    match Errno::result(unsafe { libc::kill(pid, signal) }) {
        Ok(_) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The kernel's struct pidfd_info in its first size.
#[derive(Default)]
#[repr(C)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    /// Real, effective, saved and file system's user and group.
    owners: [u32; 8],
    exit: i32,
}

/// `_IOWR(0xFF, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: libc::Ioctl = 0xC000_FF0B_u32 as libc::Ioctl | ((size_of::<PidfdInfo>() as libc::Ioctl) << 16);
const PIDFD_INFO_EXIT: u64 = 1 << 3;
const _: () = assert!(size_of::<PidfdInfo>() == 64);

#[cfg(test)]
mod tests {
    use super::super::plan::Plan;
    use super::*;
    use std::time::{Duration, Instant};

    /// A process that is nobody's child, and lives until the pipe ends.
    fn left_behind(script: &str) -> (Birth, io::PipeWriter) {
        let (theirs, ours) = io::pipe().unwrap();
        let plan = Plan::new(Path::new("/bin/sh"), ["sh", "-c", &format!("cat; {script}")], [("A", "b")]).unwrap();
        let pid = plan.input(super::super::Stdio::Fd(theirs.into())).spawn_detached().unwrap();
        (Birth::of(pid).unwrap(), ours)
    }

    fn fate(foster: &mut Foster) -> Fate {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(fate) = foster.collect().unwrap() {
                return fate;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn the_end_of_somebody_elses_process_is_learned_with_its_code() {
        for (script, expected) in [
            ("exit 42", Exit::Code(42)),
            ("exit 0", Exit::Code(0)),
            ("kill -KILL $$", Exit::Signal { number: libc::SIGKILL, core: false }),
        ] {
            let (birth, hold) = left_behind(script);
            let mut foster = Foster::adopt(birth).unwrap().unwrap();
            assert_eq!(foster.collect().unwrap(), None);
            drop(hold);
            // Whoever waits for orphans may be quicker than we are, and then an old kernel knows nothing.
            let found = fate(&mut foster);
            assert!(found == Fate::Exit(expected) || found == Fate::Unknown, "{script}: {found:?}");
            assert_eq!(foster.collect().unwrap(), None);
        }
    }

    #[test]
    fn a_stranger_with_the_same_number_is_refused_and_so_is_nobody() {
        let own = Birth::of(std::process::id() as i32).unwrap();
        assert!(Foster::adopt(Birth { ticks: own.ticks + 1, ..own }).unwrap().is_none());
        assert!(Foster::adopt(Birth { pid: i32::MAX, ticks: 1 }).unwrap().is_none());
        assert!(Foster::adopt(Birth { pid: 1, ticks: Birth::of(1).unwrap().ticks }).unwrap().is_none());
        assert!(Foster::adopt(Birth { pid: -1, ticks: 1 }).unwrap().is_none());
        assert_eq!(Birth::of(i32::MAX).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn it_is_killed_with_its_group_and_nobody_after_it() {
        let (mut here, there) = io::pipe().unwrap();
        let plan =
            Plan::new(Path::new("/bin/sh"), ["sh", "-c", "sleep 1000 & sleep 1000"], [("PATH", "/bin:/usr/bin")]);
        let plan = plan.unwrap().output(super::super::Stdio::Fd(there.into()));
        let child = plan.spawn().unwrap();
        drop(plan);
        let mut foster = Foster::adopt(Birth::of(child.pid()).unwrap()).unwrap().unwrap();
        foster.kill().unwrap();
        assert_eq!(fate(&mut foster), Fate::Child(Exit::Signal { number: libc::SIGKILL, core: false }));
        // Ends when no sleeper holds the other end.
        assert_eq!(here.read_to_end(&mut Vec::new()).unwrap(), 0);
        foster.signal(libc::SIGTERM).unwrap();
        foster.kill().unwrap();
    }

    #[test]
    fn a_child_of_our_own_is_collected_as_one() {
        let plan = Plan::new(Path::new("/bin/sh"), ["sh", "-c", "exit 5"], [("A", "b")]).unwrap();
        let child = plan.spawn().unwrap();
        let mut foster = Foster::adopt(Birth::of(child.pid()).unwrap()).unwrap().unwrap();
        assert_eq!(fate(&mut foster), Fate::Child(Exit::Code(5)));
        assert_eq!(super::super::reap(child.pid()).unwrap(), Some(Exit::Code(5)));
    }

    #[test]
    fn a_name_with_spaces_and_brackets_is_only_a_name() {
        let mut words: Vec<String> = (4..=52).map(|word| word.to_string()).collect();
        words[18] = "777".to_owned();
        words[48] = "256".to_owned();
        let text = format!("12 (a) Z (b) S {}\n", words.join(" "));
        let stat = Stat::parse(text.as_bytes()).unwrap();
        assert_eq!((stat.birth, stat.exit, stat.is_dead), (777, 256, false));
        assert!(Stat::parse(b"12 (a) S 1 2").is_none() && Stat::parse(b"").is_none());
    }
}
