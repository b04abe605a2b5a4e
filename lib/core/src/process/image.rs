//! The child between clone and exec: what it is lent, and the system calls it makes.
//!
//! It may be running in its parent's memory. No allocation, no lock, no panic, no libc function that keeps state: all
//! of them would be the parent's.

mod rights;

use super::identity::Identity;
use super::report::{PID, REPORT_LEN, What, pack};
use libc::{c_char, c_int, c_long, c_void};
use std::io;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

/// What the child is lent. It outlives the child's use of it: the parent sleeps until exec or exit.
pub(super) struct Image<'a> {
    pub path: *const c_char,
    pub argv: *const *const c_char,
    pub envp: *const *const c_char,
    pub folder: *const c_char,
    pub place: Place,
    /// Whether the program is to be nobody's child: this process makes another one and ends.
    pub detached: bool,
    /// Which of input, output and error lead to `/dev/null`.
    pub null: [bool; 3],
    pub handed: &'a [Handed],
    pub limits: &'a [Limit],
    pub nice: Nice,
    /// Policy and priority, where they are not ours.
    pub class: Option<(c_int, c_int)>,
    /// A bit for each processor; empty for all that we may use.
    pub cpus: &'a [usize],
    /// A bit for the NUMA node that memory is to come from; empty for any.
    pub nodes: &'a [usize],
    pub umask: Option<u32>,
    /// Where the program's number is written to in its environment; empty for nowhere.
    pub own_pid: &'a [AtomicU8],
    /// -1, or where a process says that it belongs to the control group.
    pub cgroup: c_int,
    pub identity: Option<&'a Identity>,
    /// A bit for each capability that is kept; `None` for all.
    pub capabilities: Option<u64>,
    /// -1 where `close_range` closes; else descriptors are closed one by one up to this.
    pub highest_fd: c_int,
    /// -1, or where a failure is written to.
    pub report_to: AtomicI32,
    /// 0, or a code of [`What`].
    pub failed: AtomicI32,
    pub errno: AtomicI32,
}

/// Whom the program belongs to, as far as the terminal's signals go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    OurGroup,
    OwnGroup,
    OwnSession,
}

/// How nice the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nice {
    /// That much more than we are.
    By(c_int),
    /// That much.
    To(c_int),
}

/// A descriptor of ours and the number it gets.
#[derive(Debug)]
pub(super) struct Handed {
    pub from: c_int,
    pub to: c_int,
    /// Where it waits until every number is free to be taken.
    pub aside: AtomicI32,
}

/// As prlimit takes it.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Limit {
    pub soft: u64,
    pub hard: u64,
    pub resource: c_int,
}

/// The child's whole life before exec. System calls only; see the top of this file.
pub(super) extern "C" fn become_program(image: *mut c_void) -> c_int {
    // SAFETY: both callers pass an Image that lives until this process has become another or exited.
    let image = unsafe { &*image.cast::<Image<'_>>() };
    let (what, errno) = image.enter();
    image.errno.store(errno, Ordering::Release);
    image.failed.store(what as c_int, Ordering::Release);
    image.report(what as c_int, errno);
    leave()
}

impl Image<'_> {
    /// Returns only when something failed: what, and with which errno.
    fn enter(&self) -> (What, c_int) {
        match self.prepare() {
            Err(failed) => failed,
            Ok(()) => {
                let exec = [address(self.path), address(self.argv), address(self.envp), 0];
                // SAFETY: a C string and two null-terminated arrays of C strings, all of the plan.
                match unsafe { call(libc::SYS_execve, exec) } {
                    Ok(_) => (What::Execute, 0),
                    Err(errno) => (What::Execute, errno),
                }
            }
        }
    }

    /// Limits come after the descriptors, which may be more than the new limit; what needs rights comes before they
    /// are given up, and the folder after: it is to be one that the program's user may enter.
    fn prepare(&self) -> Result<(), (What, c_int)> {
        reset_dispositions();
        self.clear_report().map_err(|errno| (What::Descriptor, errno))?;
        self.take_place().map_err(|errno| (What::Session, errno))?;
        if self.detached {
            self.detach().map_err(|errno| (What::Create, errno))?;
        }
        self.join_cgroup().map_err(|errno| (What::Cgroup, errno))?;
        self.close_descriptors();
        self.null_descriptors();
        self.hand_over().map_err(|errno| (What::Descriptor, errno))?;
        self.limit().map_err(|errno| (What::Limit, errno))?;
        self.be_nice().map_err(|errno| (What::Nice, errno))?;
        self.choose_class().map_err(|errno| (What::Class, errno))?;
        self.choose_processors().map_err(|errno| (What::Processors, errno))?;
        self.prefer_memory();
        self.bound_capabilities().map_err(|errno| (What::Capabilities, errno))?;
        self.identify().map_err(|errno| (What::Identity, errno))?;
        self.take_capabilities().map_err(|errno| (What::Capabilities, errno))?;
        if let Some(umask) = self.umask {
            // SAFETY: a number; it cannot fail.
            let _ = unsafe { call(libc::SYS_umask, [c_long::from(umask.cast_signed())]) };
        }
        if !self.folder.is_null() {
            // SAFETY: `folder` is a C string of the plan.
            unsafe { call(libc::SYS_chdir, [address(self.folder), 0, 0, 0]) }.map_err(|errno| (What::Folder, errno))?;
        }
        self.tell_pid();
        unblock_all();
        Ok(())
    }

    /// As decimal digits; what is left of the room stays zero.
    fn tell_pid(&self) {
        if self.own_pid.is_empty() {
            return;
        }
        // SAFETY: getpid takes nothing and cannot fail.
        let pid = unsafe { call(libc::SYS_getpid, [0; 4]) }.unwrap_or(0);
        let (mut rest, mut digits) = (pid, 1);
        while rest >= 10 {
            (rest, digits) = (rest / 10, digits + 1);
        }
        rest = pid;
        for byte in self.own_pid.iter().take(digits).rev() {
            byte.store(b'0' + (rest % 10) as u8, Ordering::Relaxed);
            rest /= 10;
        }
        self.own_pid.iter().skip(digits).for_each(|byte| byte.store(0, Ordering::Relaxed));
    }

    fn take_place(&self) -> Result<(), c_int> {
        let way = match self.place {
            Place::OurGroup => return Ok(()),
            Place::OwnGroup => libc::SYS_setpgid,
            Place::OwnSession => libc::SYS_setsid,
        };
        // SAFETY: both take numbers only.
        unsafe { call(way, [0; 4]) }.map(drop)
    }

    /// The grandchild goes on; its parent says who it is and ends. Whoever waits for orphans gets it.
    fn detach(&self) -> Result<(), c_int> {
        // SAFETY: without CLONE_VM it is a fork; the copy goes on here, and keeps to system calls, too.
        let pid = unsafe { call(libc::SYS_clone, [c_long::from(libc::SIGCHLD), 0, 0, 0]) }?;
        if pid > 0 {
            self.report(PID, pid as c_int);
            leave();
        }
        Ok(())
    }

    /// The pipe may have a number that the program is to get: a failure after that would be written to whatever is there.
    fn clear_report(&self) -> Result<(), c_int> {
        let report_to = self.report_to.load(Ordering::Relaxed);
        if report_to >= 0 {
            self.report_to.store(self.copy_aside(report_to)?, Ordering::Relaxed);
        }
        Ok(())
    }

    fn report(&self, code: c_int, value: c_int) {
        let report_to = self.report_to.load(Ordering::Relaxed);
        if report_to >= 0 {
            let report = pack(code, value);
            let write = [c_long::from(report_to), address(report.as_ptr()), REPORT_LEN as c_long, 0];
            // SAFETY: write reads the bytes of `report`, which are ours.
            let _ = unsafe { call(libc::SYS_write, write) };
        }
    }

    /// Any of ours may have the number another one is to get, so all are copied to high numbers first. The copies are
    /// closed by exec.
    fn hand_over(&self) -> Result<(), c_int> {
        for handed in self.handed {
            handed.aside.store(self.copy_aside(handed.from)?, Ordering::Relaxed);
        }
        for handed in self.handed {
            let place = [c_long::from(handed.aside.load(Ordering::Relaxed)), c_long::from(handed.to), 0, 0];
            // SAFETY: dup3 takes numbers only.
            unsafe { call(libc::SYS_dup3, place) }?;
        }
        Ok(())
    }

    /// A copy above every number that the program gets.
    fn copy_aside(&self, fd: c_int) -> Result<c_int, c_int> {
        let above = self.handed.iter().fold(3, |above, handed| above.max(handed.to.wrapping_add(1)));
        let copy = [c_long::from(fd), c_long::from(libc::F_DUPFD_CLOEXEC), c_long::from(above), 0];
        // SAFETY: F_DUPFD_CLOEXEC takes numbers only.
        unsafe { call(libc::SYS_fcntl, copy) }.map(|copy| copy as c_int)
    }

    fn limit(&self) -> Result<(), c_int> {
        for limit in self.limits {
            let set = [0, c_long::from(limit.resource), address(limit), 0];
            // SAFETY: the kernel reads two numbers of 64 bits, which `Limit` begins with.
            unsafe { call(libc::SYS_prlimit64, set) }?;
        }
        Ok(())
    }

    fn be_nice(&self) -> Result<(), c_int> {
        let wanted = match self.nice {
            Nice::By(0) => return Ok(()),
            Nice::To(value) => c_long::from(value),
            Nice::By(more) => {
                // SAFETY: numbers only. The call itself answers 20 less what the C library's function would.
                let now = 20 - unsafe { call(libc::SYS_getpriority, [0; 4]) }?;
                now.saturating_add(c_long::from(more))
            }
        };
        // SAFETY: numbers only; 0 is this process.
        unsafe { call(libc::SYS_setpriority, [0, 0, wanted, 0]) }.map(drop)
    }

    fn choose_class(&self) -> Result<(), c_int> {
        let Some((policy, priority)) = self.class else { return Ok(()) };
        // SAFETY: the kernel reads one int, which is the whole of a sched_param; 0 is this process.
        unsafe { call(libc::SYS_sched_setscheduler, [0, c_long::from(policy), address(&raw const priority)]) }.map(drop)
    }

    /// A wish: where there are no nodes, or not this one, memory comes from wherever it does.
    fn prefer_memory(&self) {
        if !self.nodes.is_empty() {
            // One more than there are: the kernel takes one off.
            let bits = (self.nodes.len() * usize::BITS as usize) as c_long + 1;
            // SAFETY: the kernel reads as many bits as the slice has.
            let _ = unsafe { call(libc::SYS_set_mempolicy, [MPOL_PREFERRED, address(self.nodes.as_ptr()), bits]) };
        }
    }

    fn join_cgroup(&self) -> Result<(), c_int> {
        if self.cgroup < 0 {
            return Ok(());
        }
        // SAFETY: write reads one byte of the constant; 0 is whoever writes it.
        unsafe { call(libc::SYS_write, [c_long::from(self.cgroup), address(c"0".as_ptr()), 1]) }.map(drop)
    }

    fn choose_processors(&self) -> Result<(), c_int> {
        if self.cpus.is_empty() {
            return Ok(());
        }
        let mask = [0, size_of_val(self.cpus) as c_long, address(self.cpus.as_ptr()), 0];
        // SAFETY: the kernel reads as many bytes as the slice has.
        unsafe { call(libc::SYS_sched_setaffinity, mask) }.map(drop)
    }

    /// Reading from a terminal in the background would stop the program. Where there is no `/dev/null`, all stays ours.
    fn null_descriptors(&self) {
        let open = [
            c_long::from(libc::AT_FDCWD),
            address(c"/dev/null".as_ptr()),
            c_long::from(libc::O_RDWR | libc::O_CLOEXEC),
            0,
        ];
        // SAFETY: the path is a C string constant.
        let Ok(fd) = (unsafe { call(libc::SYS_openat, open) }) else { return };
        for (to, wanted) in (0..).zip(self.null) {
            if wanted && fd == to {
                // It was closed, and /dev/null was opened right there.
                // SAFETY: F_SETFD takes numbers only.
                let _ = unsafe { call(libc::SYS_fcntl, [fd, c_long::from(libc::F_SETFD), 0, 0]) };
            } else if wanted {
                // SAFETY: dup3 takes numbers only; the original is close-on-exec.
                let _ = unsafe { call(libc::SYS_dup3, [fd, to, 0, 0]) };
            }
        }
    }

    /// Marks everything but input, output and error to be closed by exec.
    fn close_descriptors(&self) {
        if self.highest_fd < 0 {
            let range = [3, c_long::from(u32::MAX as i32), CLOSE_RANGE_CLOEXEC, 0];
            // SAFETY: close_range takes numbers only.
            let _ = unsafe { call(libc::SYS_close_range, range) };
            return;
        }
        let mut fd = 3;
        while fd <= self.highest_fd {
            let mark = [c_long::from(fd), c_long::from(libc::F_SETFD), c_long::from(libc::FD_CLOEXEC), 0];
            // SAFETY: F_SETFD takes numbers only; a number that is not open is refused.
            let _ = unsafe { call(libc::SYS_fcntl, mark) };
            fd += 1;
        }
    }
}

impl Image<'_> {
    /// What failed and its errno, once the child has exited; `None` when it has become the program.
    pub fn failure(&self) -> Option<(What, c_int)> {
        let what = What::from_code(self.failed.load(Ordering::Acquire))?;
        Some((what, self.errno.load(Ordering::Acquire)))
    }
}

/// Every signal to its default: also those the Rust runtime ignores (SIGPIPE), which exec would keep ignored.
fn reset_dispositions() {
    // The kernel's sigaction (not libc's) is at most this long on every target; all zero is SIG_DFL, no flags.
    let default = [0u64; 4];
    let mut signal = 1;
    while signal <= LAST_SIGNAL {
        let action = [signal, address(default.as_ptr()), 0, SIGSET_LEN];
        // SAFETY: the kernel reads one kernel sigaction from `default`; it refuses SIGKILL and SIGSTOP.
        let _ = unsafe { call(libc::SYS_rt_sigaction, action) };
        signal += 1;
    }
}

fn unblock_all() {
    let none = 0u64;
    let mask = [c_long::from(libc::SIG_SETMASK), address(&raw const none), 0, SIGSET_LEN];
    // SAFETY: the kernel reads a set of 64 signals from `none`.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, mask) };
}

fn leave() -> ! {
    loop {
        // SAFETY: exit_group takes a number and ends this process only: the memory is shared, the thread group is not.
        let _ = unsafe { call(libc::SYS_exit_group, [127, 0, 0, 0]) };
    }
}

/// One system call; what it returns, or its errno.
///
/// # Safety
/// Addresses among `args` are what the call expects and live until it returns.
pub(super) unsafe fn call<const N: usize>(number: c_long, args: [c_long; N]) -> Result<c_long, c_int> {
    // Some calls refuse arguments they do not know unless they are 0.
    let at = |place: usize| args.get(place).copied().unwrap_or(0);
    // SAFETY: the caller vouches for the arguments (see above).
    let done = unsafe { libc::syscall(number, at(0), at(1), at(2), at(3), at(4), at(5)) };
    if done < 0 { Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)) } else { Ok(done) }
}

fn address<T>(pointer: *const T) -> c_long {
    pointer as c_long
}

/// Says, to the `AtomicI32` it is given, that it was here.
pub(super) extern "C" fn say_hello(mark: *mut c_void) -> c_int {
    // SAFETY: the caller passes an AtomicI32 that lives until this child has exited.
    let mark = unsafe { &*mark.cast::<AtomicI32>() };
    mark.store(1, Ordering::Release);
    leave()
}

/// -1 where the kernel marks descriptors by range (5.11); else the highest number that is open here.
pub(super) fn highest_fd() -> c_int {
    // SAFETY: close_range takes numbers only, and this range holds no descriptor.
    let probe = unsafe {
        call(libc::SYS_close_range, [c_long::from(i32::MAX), c_long::from(i32::MAX), CLOSE_RANGE_CLOEXEC, 0])
    };
    if probe.is_ok() {
        return -1;
    }
    let open = std::fs::read_dir("/proc/self/fd").map(|entries| {
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<c_int>().ok()).max().unwrap_or(2)
    });
    open.unwrap_or(1023)
}

const LAST_SIGNAL: c_long = 64;
/// Bytes of the kernel's signal set.
const SIGSET_LEN: c_long = 8;
const CLOSE_RANGE_CLOEXEC: c_long = 4;
const MPOL_PREFERRED: c_long = 1;
