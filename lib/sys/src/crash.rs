//! The last words of a process that one of its plugins ends: which service it was.
//!
//! A handler for the signals that end a process writes one line to the log's file and to stderr, and lets the signal do what it does (with
//! its core). In there only system calls may be made and only memory be touched that is known to be there: the names
//! and addresses of the services lie in a table of numbers, and stacks are read through a file.

use std::ffi::{CString, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicUsize, Ordering};

use crate::outcome::c_string;

/// Has the end of this process told in `log` from now on.
pub fn watch(log: &Path) -> io::Result<()> {
    if LOG.set(c_string(log)?).is_err() {
        return Err(io::Error::from_raw_os_error(libc::EALREADY));
    }
    for (signal, _) in SIGNALS {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        let flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND;
        // SAFETY: there is room for it, and all bits zero is an action without flags, mask and handler.
        let action = unsafe { action.assume_init_mut() };
        (action.sa_sigaction, action.sa_flags) = (on_end as *const () as usize, flags);
        // SAFETY: the handler has the type that SA_SIGINFO asks for, and keeps to what handlers may do.
        if unsafe { libc::sigaction(*signal, action, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Whoever holds the other end of `socket`, which stays open, is told by a hang-up when this process begins to end: while the kernel
/// writes a core, nothing else would.
pub fn hang_up(socket: OwnedFd) {
    SOCKET.store(socket.into_raw_fd(), Ordering::Release);
}

/// Says whose code lies where, as long as it is kept.
#[derive(Debug)]
pub struct Owned(Vec<usize>);

/// The code at `ranges` is that of `name`, of which as much is kept as fits.
pub fn own(name: &str, ranges: &[Range<usize>]) -> Owned {
    Owned(ranges.iter().filter_map(|range| Place::take(name, range)).collect())
}

impl Drop for Owned {
    fn drop(&mut self) {
        for at in &self.0 {
            PLACES[*at].end.store(0, Ordering::Release);
            PLACES[*at].start.store(FREE, Ordering::Release);
        }
    }
}

/// A stack for handlers, for the thread that makes it: with none, a stack that overflows ends the process without a word.
#[derive(Debug)]
pub struct HandlerStack(*mut c_void);

impl HandlerStack {
    /// For this thread, which has to drop it.
    pub fn new() -> io::Result<HandlerStack> {
        let (rights, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: new memory, wherever there is room.
        let memory = unsafe { libc::mmap(ptr::null_mut(), HANDLER_STACK, rights, flags, -1, 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        set_stack(memory, 0)?;
        Ok(HandlerStack(memory))
    }
}

impl Drop for HandlerStack {
    fn drop(&mut self) {
        if set_stack(ptr::null_mut(), libc::SS_DISABLE).is_ok() {
            // SAFETY: mapped by `new`, and no handler runs on it any more.
            unsafe { libc::munmap(self.0, HANDLER_STACK) };
        }
    }
}

fn set_stack(memory: *mut c_void, flags: c_int) -> io::Result<()> {
    let stack = libc::stack_t { ss_sp: memory, ss_flags: flags, ss_size: HANDLER_STACK };
    // SAFETY: memory of that size that stays until it is taken away again, or none.
    let status = unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A range of addresses and whose it is.
struct Place {
    /// `FREE`, `TAKEN`, or the first address.
    start: AtomicUsize,
    end: AtomicUsize,
    name: [AtomicU8; NAME],
}

impl Place {
    /// The number of a free place, which is this now; none when there are too many.
    fn take(name: &str, range: &Range<usize>) -> Option<usize> {
        let free =
            |place: &Place| place.start.compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let at = PLACES.iter().position(free)?;
        let place = &PLACES[at];
        for (to, from) in place.name.iter().zip(name.bytes().chain(std::iter::repeat(0))) {
            to.store(from, Ordering::Relaxed);
        }
        place.end.store(range.end, Ordering::Release);
        place.start.store(range.start, Ordering::Release);
        Some(at)
    }

    fn holding(address: usize) -> Option<(&'static Place, usize)> {
        let holds = |place: &&Place| {
            let start = place.start.load(Ordering::Acquire);
            start > TAKEN && (start..place.end.load(Ordering::Acquire)).contains(&address)
        };
        PLACES.iter().find(holds).map(|place| (place, address - place.start.load(Ordering::Relaxed)))
    }
}

/// Says whose fault it was.
extern "C" fn on_end(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands both over, with SA_SIGINFO.
    let (code, stack) = unsafe { registers(context.cast()) };
    let mut line = Line::new();
    line.text("msf_shell: ");
    line.text(SIGNALS.iter().find(|(number, _)| *number == signal).map_or("a signal", |(_, name)| name));
    line.text(" in ");
    let (mut name, mut kept) = ([0u8; 16], false);
    // SAFETY: there is room for the 16 bytes that a name has at most.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    if let Some((place, offset)) = Place::holding(code).or_else(|| on_stack(stack)) {
        kept = true;
        line.text("service ");
        place
            .name
            .iter()
            .map(|byte| byte.load(Ordering::Relaxed))
            .take_while(|byte| *byte != 0)
            .for_each(|b| line.byte(b));
        line.text(", at its code + ");
        line.hex(offset);
    }
    if !kept {
        line.text("no service's code");
    }
    line.text(", thread '");
    name.iter().take_while(|byte| **byte != 0).for_each(|byte| line.byte(*byte));
    line.text("', program counter ");
    line.hex(code);
    line.text("\n");
    line.write();
    // Only the one direction: this process would end when it hears a hang-up itself.
    // SAFETY: two numbers; where there is no socket, it fails.
    unsafe { libc::shutdown(SOCKET.load(Ordering::Acquire), libc::SHUT_WR) };
    // SAFETY: the kernel's description of the signal.
    if unsafe { (*info).si_code } <= 0 {
        // Nobody's instruction that would do it again: it was sent.
        // SAFETY: a number; it is delivered when this handler has returned, and does then what it does by default.
        unsafe { libc::raise(signal) };
    }
}

/// The first address of a service's code on a stack.
fn on_stack(stack: usize) -> Option<(&'static Place, usize)> {
    // SAFETY: a terminated name.
    let memory = unsafe { libc::open(c"/proc/self/mem".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    let mut words = [0usize; 64];
    for piece in 0..PIECES {
        let from = stack + piece * size_of_val(&words);
        // SAFETY: there is room for as many bytes; what cannot be read is an error.
        let read = unsafe { libc::pread64(memory, words.as_mut_ptr().cast(), size_of_val(&words), from as i64) };
        let read = usize::try_from(read).unwrap_or(0) / size_of::<usize>();
        if let Some(found) = words.iter().take(read).find_map(|word| Place::holding(*word)) {
            return Some(found);
        }
        if read < words.len() {
            break;
        }
    }
    None
}

/// The program counter and the stack pointer.
///
/// # Safety
/// `context` is what the kernel gave the handler.
unsafe fn registers(context: *const libc::ucontext_t) -> (usize, usize) {
    // SAFETY: our caller's promise.
    let registers = unsafe { &(*context).uc_mcontext };
    #[cfg(target_arch = "x86_64")]
    let both = (registers.gregs[libc::REG_RIP as usize], registers.gregs[libc::REG_RSP as usize]);
    #[cfg(target_arch = "aarch64")]
    let both = (registers.pc, registers.sp);
    #[cfg(target_arch = "arm")]
    let both = (registers.arm_pc, registers.arm_sp);
    (both.0 as usize, both.1 as usize)
}

/// A line put together without memory from anywhere else.
struct Line {
    bytes: [u8; 300],
    length: usize,
}

impl Line {
    fn new() -> Line {
        Line { bytes: [0; 300], length: 0 }
    }

    fn byte(&mut self, byte: u8) {
        if let Some(room) = self.bytes.get_mut(self.length) {
            *room = byte;
            self.length += 1;
        }
    }

    fn text(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.byte(byte));
    }

    fn hex(&mut self, number: usize) {
        self.text("0x");
        let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            self.byte(b"0123456789abcdef"[number >> (digit * 4) & 15]);
        }
    }

    /// To the log's file and to stderr; what fails has nowhere to be told.
    fn write(&self) {
        let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CLOEXEC;
        // SAFETY: a terminated name.
        let log = LOG.get().map_or(-1, |path| unsafe { libc::open(path.as_ptr(), flags) });
        for fd in [log, 2] {
            // SAFETY: as many bytes are there.
            unsafe { libc::write(fd, self.bytes.as_ptr().cast(), self.length) };
        }
    }
}

const SIGNALS: &[(c_int, &str)] = &[
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGABRT, "SIGABRT"),
    (libc::SIGSYS, "SIGSYS"),
    (libc::SIGTRAP, "SIGTRAP"),
];
const FREE: usize = 0;
const TAKEN: usize = 1;
/// Bytes of a name that are kept.
const NAME: usize = 64;
/// A stack this deep is looked through, 64 words at a time.
const PIECES: usize = 128;
const HANDLER_STACK: usize = 64 << 10;

static LOG: OnceLock<CString> = OnceLock::new();
static SOCKET: AtomicI32 = AtomicI32::new(-1);
static PLACES: [Place; 1024] = [const {
    Place { start: AtomicUsize::new(FREE), end: AtomicUsize::new(0), name: [const { AtomicU8::new(0) }; NAME] }
}; 1024];
