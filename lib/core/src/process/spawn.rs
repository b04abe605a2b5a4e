//! Starting a program from a plan prepared beforehand.
//!
//! std's `Command` forks, copying the page tables, as soon as more than the plainest things are asked of it. Here the
//! child borrows our memory (`CLONE_VM | CLONE_VFORK`) until it has become the new program; between the two it makes
//! system calls and nothing else: no allocation, no lock, no libc function that keeps state, for all of them would be
//! ours. Its failure is a number it leaves in that memory. Where that cannot be (an emulator turns vfork into fork, an
//! old one knows no `CLONE_PIDFD`), it is a fork, and the number comes through a pipe that exec closes.
//!
//! The program starts with default signal dispositions, nothing blocked, `/dev/null` for input, our output and error,
//! no other descriptor, and a process group of its own: a Ctrl-C meant for us does not reach it past our order of
//! stopping.

use super::child::Child;
use super::image::{Image, What, become_program, call, highest_fd, reported, say_hello};
use libc::{c_char, c_int, c_long, c_void};
use std::ffi::{CString, OsStr};
use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

/// Everything exec needs, in the form the kernel takes it.
#[derive(Debug)]
pub struct Plan {
    path: CString,
    argv: Vec<CString>,
    envp: Vec<CString>,
    folder: Option<CString>,
}

/// A program that could not be started.
#[derive(Debug)]
pub struct SpawnError {
    what: What,
    source: io::Error,
}

impl Plan {
    /// A plan to run `path` with `argv`, whose first word is the name it is told, and exactly the environment `envp`.
    pub fn new<A, K, V>(
        path: &Path,
        argv: impl IntoIterator<Item = A>,
        envp: impl IntoIterator<Item = (K, V)>,
    ) -> io::Result<Plan>
    where
        A: AsRef<OsStr>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let pair = |(key, value): (K, V)| {
            let mut word = key.as_ref().to_owned();
            word.push("=");
            word.push(value);
            CString::new(word.into_vec())
        };
        Ok(Plan {
            path: CString::new(path.as_os_str().as_bytes())?,
            argv: argv.into_iter().map(|word| CString::new(word.as_ref().as_bytes())).collect::<Result<_, _>>()?,
            envp: envp.into_iter().map(pair).collect::<Result<_, _>>()?,
            folder: None,
        })
    }

    /// The same, run in `folder`.
    pub fn in_folder(mut self, folder: &Path) -> io::Result<Plan> {
        self.folder = Some(CString::new(folder.as_os_str().as_bytes())?);
        Ok(self)
    }

    /// Runs it. When this returns a child, exec has succeeded.
    pub fn spawn(&self) -> Result<Child, SpawnError> {
        self.spawn_by(way())
    }

    fn spawn_by(&self, way: Way) -> Result<Child, SpawnError> {
        let argv = pointers(&self.argv);
        let envp = pointers(&self.envp);
        let image = self.image(&argv, &envp);
        match way {
            Way::Borrow => borrow(&image),
            Way::Fork => fork(image),
        }
    }

    fn image(&self, argv: &[*const c_char], envp: &[*const c_char]) -> Image {
        Image {
            path: self.path.as_ptr(),
            argv: argv.as_ptr(),
            envp: envp.as_ptr(),
            folder: self.folder.as_ref().map_or(ptr::null(), |folder| folder.as_ptr()),
            highest_fd: highest_fd(),
            report_to: -1,
            failed: AtomicI32::new(0),
            errno: AtomicI32::new(0),
        }
    }
}

/// How children are made on this kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Borrow,
    Fork,
}

/// Found out once, with a child that only says that its memory is ours.
fn way() -> Way {
    static WAY: OnceLock<Way> = OnceLock::new();
    if let Some(way) = WAY.get() {
        return *way;
    }
    let mark = AtomicI32::new(0);
    let way = match clone_borrowing(say_hello, ptr::from_ref(&mark).cast_mut().cast()) {
        Ok((pid, _pidfd)) => {
            bury(pid);
            if mark.load(Ordering::Acquire) == 1 { Way::Borrow } else { Way::Fork }
        }
        // No room for a process or a descriptor just now says nothing about the kernel: asked again the next time.
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE)) => {
            return Way::Fork;
        }
        Err(_) => Way::Fork,
    };
    *WAY.get_or_init(|| way)
}

fn borrow(image: &Image) -> Result<Child, SpawnError> {
    let (pid, pidfd) = clone_borrowing(become_program, ptr::from_ref(image).cast_mut().cast()).map_err(create)?;
    match image.failure() {
        None => Ok(Child::new(pid, pidfd.or_else(|| open_pidfd(pid)))),
        Some(failure) => {
            bury(pid);
            Err(failed(failure))
        }
    }
}

fn fork(mut image: Image) -> Result<Child, SpawnError> {
    let (mut read, write) = io::pipe().map_err(create)?;
    image.report_to = write.as_raw_fd();
    let mask = block_signals();
    // SAFETY: the child calls `become_program` only, which keeps to system calls.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        become_program(ptr::from_ref(&image).cast_mut().cast());
    }
    let forked = if pid < 0 { Err(create(io::Error::last_os_error())) } else { Ok(pid) };
    restore_signals(&mask);
    let pid = forked?;
    drop(write);
    let mut report = Vec::new();
    // Ends when exec or exit closes the child's end.
    read.read_to_end(&mut report).map_err(create)?;
    match reported(&report) {
        None => Ok(Child::new(pid, open_pidfd(pid))),
        Some(failure) => {
            bury(pid);
            Err(failed(failure))
        }
    }
}

/// Waits for a child that is exiting and that nobody else knows of.
fn bury(pid: libc::pid_t) {
    loop {
        // SAFETY: waitpid may be given a null status.
        let buried = unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
        if buried >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

/// Runs `entry` in a child that shares our memory, and sleeps until it has called exec or exit. Signals are blocked
/// meanwhile: their handlers would run in the child, on our data.
fn clone_borrowing(
    entry: extern "C" fn(*mut c_void) -> c_int,
    arg: *mut c_void,
) -> io::Result<(c_int, Option<OwnedFd>)> {
    let mut stack = vec![0u128; STACK_LEN];
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    // Kernels without CLONE_PIDFD ignore the flag and leave this alone.
    let mut pidfd: c_int = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mask = block_signals();
    // SAFETY: `top` ends a stack that, like `arg`, lives until the call returns, and with CLONE_VFORK it returns when
    // the child no longer uses them; CLONE_PIDFD writes one int to the last argument.
    let pid = unsafe { libc::clone(entry, top, flags, arg, &raw mut pidfd) };
    let error = io::Error::last_os_error();
    restore_signals(&mask);
    if pid < 0 {
        return Err(error);
    }
    // SAFETY: a descriptor the kernel has just made for us, close-on-exec, that nobody else knows of.
    let pidfd = (pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
    Ok((pid, pidfd))
}

/// The words' addresses, ended by a null. They hold as long as `words`.
fn pointers(words: &[CString]) -> Vec<*const c_char> {
    words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect()
}

fn open_pidfd(pid: libc::pid_t) -> Option<OwnedFd> {
    // SAFETY: pidfd_open takes numbers only.
    let fd = unsafe { call(libc::SYS_pidfd_open, [c_long::from(pid), 0, 0, 0]) }.ok()?;
    // SAFETY: a descriptor the kernel has just made for us, close-on-exec, that nobody else knows of.
    Some(unsafe { OwnedFd::from_raw_fd(c_int::try_from(fd).ok()?) })
}

fn block_signals() -> libc::sigset_t {
    // SAFETY: a sigset_t is an array of numbers, for which all bits zero is a value.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    let mut before = all;
    // SAFETY: `all` is ours and writable.
    unsafe { libc::sigfillset(&mut all) };
    // SAFETY: both sets are ours; the call reads one and writes the other.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before) };
    before
}

fn restore_signals(mask: &libc::sigset_t) {
    // SAFETY: `mask` came from `block_signals`; a null for the old set is allowed.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut()) };
}

fn failed((what, errno): (What, c_int)) -> SpawnError {
    SpawnError { what, source: io::Error::from_raw_os_error(errno) }
}

fn create(source: io::Error) -> SpawnError {
    SpawnError { what: What::Create, source }
}

impl SpawnError {
    /// The reason the kernel gave.
    pub fn source(&self) -> &io::Error {
        &self.source
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Create => "cannot create a process",
            What::Folder => "cannot enter the working directory",
            What::Execute => "cannot execute",
        };
        write!(f, "{what}: {}", self.source)
    }
}

impl std::error::Error for SpawnError {}

/// In 16-byte units, which is also the alignment a stack needs: 32 KiB.
const STACK_LEN: usize = 2048;
#[cfg(test)]
mod tests {
    use super::super::child::Exit;
    use super::*;

    const WAYS: [Way; 2] = [Way::Borrow, Way::Fork];

    fn shell(script: &str) -> Plan {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Plan::new(Path::new("/bin/sh"), ["sh", "-c", script], [("PATH", path)]).unwrap()
    }

    fn exit(plan: &Plan, way: Way) -> Exit {
        end_of(&mut plan.spawn_by(way).unwrap())
    }

    fn end_of(child: &mut Child) -> Exit {
        loop {
            if let Some(exit) = child.collect().unwrap() {
                return exit;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_program_runs_and_its_code_comes_back() {
        for way in WAYS {
            assert_eq!(exit(&shell("exit 7"), way), Exit::Code(7), "{way:?}");
        }
    }

    #[test]
    fn what_cannot_be_executed_is_an_error_with_its_reason_and_leaves_no_child() {
        let plan = Plan::new(Path::new("/nowhere/at/all"), ["x"], [("A", "b")]).unwrap();
        let folder = shell("exit 0").in_folder(Path::new("/nowhere/at/all")).unwrap();
        for way in WAYS {
            let error = plan.spawn_by(way).unwrap_err();
            assert_eq!(error.source().raw_os_error(), Some(libc::ENOENT), "{way:?}");
            assert!(error.to_string().starts_with("cannot execute: No such file"), "{error}");
            let error = folder.spawn_by(way).unwrap_err();
            assert!(error.to_string().starts_with("cannot enter the working directory: "), "{error}");
        }
    }

    #[test]
    fn only_input_output_and_error_are_inherited_and_input_is_empty() {
        let file = std::fs::File::open("/dev/zero").unwrap();
        // SAFETY: the descriptor is open; F_SETFD takes numbers only.
        assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) }, 0);
        for way in WAYS {
            let script =
                format!("[ ! -e /proc/$$/fd/{} ] && [ -e /proc/$$/fd/2 ] && [ -z \"$(cat)\" ]", file.as_raw_fd());
            assert_eq!(exit(&shell(&script), way), Exit::Code(0), "{way:?}");
        }
    }

    #[test]
    fn descriptors_are_closed_one_by_one_where_ranges_are_unknown() {
        let file = std::fs::File::open("/dev/zero").unwrap();
        // SAFETY: the descriptor is open; F_SETFD takes numbers only.
        assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) }, 0);
        let plan = shell(&format!("[ ! -e /proc/$$/fd/{} ]", file.as_raw_fd()));
        let (argv, envp) = (pointers(&plan.argv), pointers(&plan.envp));
        let image = Image { highest_fd: file.as_raw_fd(), ..plan.image(&argv, &envp) };
        let mut child = borrow(&image).unwrap();
        assert_eq!(end_of(&mut child), Exit::Code(0));
    }

    #[test]
    fn signals_have_their_default_effect_whatever_we_ignore() {
        for way in WAYS {
            let ended = exit(&shell("kill -PIPE $$; exit 3"), way);
            assert_eq!(ended, Exit::Signal { number: libc::SIGPIPE, core: false }, "{way:?}");
            let unblocked = shell("exec grep -q '^SigBlk:.0*$' /proc/self/status");
            assert_eq!(exit(&unblocked, way), Exit::Code(0), "{way:?}");
        }
    }

    #[test]
    fn it_leads_a_process_group_and_what_it_leaves_there_is_killed() {
        let (mut read, write) = io::pipe().unwrap();
        for way in WAYS {
            assert_eq!(exit(&shell("[ $(cut -d' ' -f5 /proc/$$/stat) = $$ ]"), way), Exit::Code(0), "{way:?}");
            let left_behind =
                format!("exec 3>/proc/{}/fd/{}; sleep 1000 & exit 5", std::process::id(), write.as_raw_fd());
            assert_eq!(exit(&shell(&left_behind), way), Exit::Code(5), "{way:?}");
        }
        drop(write);
        // Ends only when no sleeper holds the pipe's other end.
        assert_eq!(read.read_to_end(&mut Vec::new()).unwrap(), 0);
    }

    #[test]
    fn signals_reach_the_child_and_no_one_after_it_was_collected() {
        let mut child = shell("exec sleep 1000").spawn().unwrap();
        assert_eq!(child.collect().unwrap(), None);
        child.signal(libc::SIGTERM).unwrap();
        assert_eq!(end_of(&mut child), Exit::Signal { number: libc::SIGTERM, core: false });
        child.signal(libc::SIGTERM).unwrap();
        assert_eq!(child.collect().unwrap(), None);
    }
}
