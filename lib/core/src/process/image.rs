//! The child between clone and exec: what it is lent, and the system calls it makes.
//!
//! It may be running in its parent's memory. No allocation, no lock, no panic, no libc function that keeps state: all
//! of them would be the parent's.

use libc::{c_char, c_int, c_long, c_void};
use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

/// What the child is lent. It outlives the child's use of it: the parent sleeps until exec or exit.
pub(super) struct Image {
    pub path: *const c_char,
    pub argv: *const *const c_char,
    pub envp: *const *const c_char,
    pub folder: *const c_char,
    /// -1 where `close_range` closes; else descriptors are closed one by one up to this.
    pub highest_fd: c_int,
    /// -1, or where a failure is written to.
    pub report_to: c_int,
    /// 0, or a code of [`What`].
    pub failed: AtomicI32,
    pub errno: AtomicI32,
}

/// What was attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Create = 1,
    Folder = 2,
    Execute = 3,
}

/// The child's whole life before exec. System calls only; see the top of this file.
pub(super) extern "C" fn become_program(image: *mut c_void) -> c_int {
    // SAFETY: both callers pass an Image that lives until this process has become another or exited.
    let image = unsafe { &*image.cast::<Image>() };
    let (what, errno) = image.enter();
    image.errno.store(errno, Ordering::Release);
    image.failed.store(what as c_int, Ordering::Release);
    if image.report_to >= 0 {
        let report = pack(what as c_int, errno);
        // SAFETY: write reads the bytes of `report`, which are ours.
        let _ = unsafe {
            call(libc::SYS_write, [image.report_to as c_long, address(report.as_ptr()), REPORT_LEN as c_long, 0])
        };
    }
    leave()
}

impl Image {
    /// Returns only when something failed: what, and with which errno.
    fn enter(&self) -> (What, c_int) {
        reset_dispositions();
        // SAFETY: setpgid takes numbers only.
        let _ = unsafe { call(libc::SYS_setpgid, [0; 4]) };
        self.close_descriptors();
        null_input();
        if !self.folder.is_null() {
            // SAFETY: `folder` is a C string of the plan.
            if let Err(errno) = unsafe { call(libc::SYS_chdir, [address(self.folder), 0, 0, 0]) } {
                return (What::Folder, errno);
            }
        }
        unblock_all();
        let exec = [address(self.path), address(self.argv), address(self.envp), 0];
        // SAFETY: a C string and two null-terminated arrays of C strings, all of the plan.
        match unsafe { call(libc::SYS_execve, exec) } {
            Ok(_) => (What::Execute, 0),
            Err(errno) => (What::Execute, errno),
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

impl Image {
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

/// Reading from a terminal in the background would stop the program. Where there is no `/dev/null`, input stays ours.
fn null_input() {
    let open = [
        c_long::from(libc::AT_FDCWD),
        address(c"/dev/null".as_ptr()),
        c_long::from(libc::O_RDONLY | libc::O_CLOEXEC),
        0,
    ];
    // SAFETY: the path is a C string constant.
    if let Ok(fd) = unsafe { call(libc::SYS_openat, open) } {
        // SAFETY: dup3 takes numbers only; the original is close-on-exec.
        let _ = unsafe { call(libc::SYS_dup3, [fd, 0, 0, 0]) };
    }
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
pub(super) unsafe fn call(number: c_long, args: [c_long; 4]) -> Result<c_long, c_int> {
    let [a, b, c, d] = args;
    // SAFETY: the caller vouches for the arguments (see above).
    let done = unsafe { libc::syscall(number, a, b, c, d) };
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

/// Reads what the child of a fork has written to `report_to`: nothing, or a failure.
pub(super) fn reported(report: &[u8]) -> Option<(What, c_int)> {
    let &[a, b, c, d, e, f, g, h] = report.first_chunk::<REPORT_LEN>()?;
    Some((What::from_code(c_int::from_ne_bytes([a, b, c, d]))?, c_int::from_ne_bytes([e, f, g, h])))
}

fn pack(what: c_int, errno: c_int) -> [u8; REPORT_LEN] {
    let [a, b, c, d] = what.to_ne_bytes();
    let [e, f, g, h] = errno.to_ne_bytes();
    [a, b, c, d, e, f, g, h]
}

impl What {
    fn from_code(code: c_int) -> Option<What> {
        [What::Create, What::Folder, What::Execute].into_iter().find(|what| *what as c_int == code)
    }
}

const LAST_SIGNAL: c_long = 64;
/// Bytes of the kernel's signal set.
const SIGSET_LEN: c_long = 8;
const CLOSE_RANGE_CLOEXEC: c_long = 4;
const REPORT_LEN: usize = 8;
