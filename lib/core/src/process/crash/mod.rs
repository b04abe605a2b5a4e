//! Tells whoever started us that this process is crashing, at the moment in which it begins to: a core of some hundred
//! megabytes keeps the kernel from telling of the end for as long as it is written.
//!
//! A handler for the signals of faults lets go of the name that the process has claimed, sends one datagram with the signal and the address, another one with a backtrace,
//! puts back what was there before it, and lets the fault happen again. Everything in it is async-signal-safe: it
//! allocates nothing, locks nothing, and calls the kernel only.

mod line;
mod locks;
mod stack;
mod trace;

use line::Line;
use locks::Locks;
use stack::Stack;
use std::cell::RefCell;
use std::io;
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::IntoRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

/// From now on whoever started this process (`MSF_CRASH_SOCKET`, else `NOTIFY_SOCKET`) is told when it crashes. Also gives
/// the calling thread a stack on which that works when its own has overflowed; for that it may be called in every thread.
///
/// # Errors
/// ENOENT when nobody wants to know, ENAMETOOLONG when his name is none of a socket.
pub fn notify() -> io::Result<()> {
    static BEGUN: Mutex<bool> = Mutex::new(false);
    let mut begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
    if !*begun {
        let place = ["MSF_CRASH_SOCKET", "NOTIFY_SOCKET"].iter().find_map(std::env::var_os);
        let place = place.filter(|place| !place.is_empty()).ok_or(io::Error::from_raw_os_error(libc::ENOENT))?;
        let whom = Box::new(Whom::named(place.as_bytes()).ok_or(io::Error::from_raw_os_error(libc::ENAMETOOLONG))?);
        let socket = UnixDatagram::unbound()?;
        // For the life of the process: the handler may need both at any time.
        SOCKET.store(socket.into_raw_fd(), Ordering::Release);
        WHOM.store(Box::into_raw(whom), Ordering::Release);
        for (signal, before) in SIGNALS.iter().zip(&BEFORE) {
            catch(*signal, before)?;
        }
        *begun = true;
    }
    drop(begun);
    OWN_STACK.with_borrow_mut(|stack| match stack {
        Some(_) => Ok(()),
        None => Stack::new().map(|own| *stack = own),
    })
}

fn catch(signal: i32, before: &AtomicPtr<libc::sigaction>) -> io::Result<()> {
    // SAFETY: numbers and a set of bits, for which all bits zero is a value.
    let mut ours: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    ours.sa_sigaction = crashed as *const () as usize;
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // For the life of the process: the handler may read it at any time.
    // SAFETY: as above.
    let kept: *mut libc::sigaction = Box::leak(Box::new(unsafe { MaybeUninit::zeroed().assume_init() }));
    // SAFETY: only asks; `kept` has room for the answer.
    let asked = unsafe { libc::sigaction(signal, ptr::null(), kept) };
    before.store(kept, Ordering::Release);
    // SAFETY: a handler that is async-signal-safe, for a signal that may be caught.
    if asked != 0 || unsafe { libc::sigaction(signal, &raw const ours, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The address of whoever wants to know, as the kernel takes it. Not a connection: whoever takes the hearer's place after
/// him is told as well.
#[derive(Debug)]
struct Whom {
    address: libc::sockaddr_un,
    length: libc::socklen_t,
}

impl Whom {
    /// A leading `@` stands for the zero byte of an abstract name.
    fn named(place: &[u8]) -> Option<Whom> {
        // SAFETY: numbers, for which all bits zero is a value.
        let mut address: libc::sockaddr_un = unsafe { MaybeUninit::zeroed().assume_init() };
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        if place.len() >= address.sun_path.len() {
            return None;
        }
        for (to, from) in address.sun_path.iter_mut().zip(place) {
            *to = *from as libc::c_char;
        }
        let is_abstract = place.first() == Some(&b'@');
        if is_abstract {
            address.sun_path[0] = 0;
        }
        let length = offset_of!(libc::sockaddr_un, sun_path) + place.len() + usize::from(!is_abstract);
        Some(Whom { address, length: length as libc::socklen_t })
    }
}

/// Whom a handler tells.
struct Hearer {
    socket: i32,
    whom: *const Whom,
}

impl Hearer {
    fn now() -> Hearer {
        Hearer { socket: SOCKET.load(Ordering::Acquire), whom: WHOM.load(Ordering::Acquire) }
    }

    /// Who does not listen is not waited for.
    fn tell(&self, line: &Line) {
        if self.whom.is_null() {
            return;
        }
        // SAFETY: not null, so `notify` has stored it, and nobody ever frees it.
        let whom = unsafe { &*self.whom };
        let (text, flags) = (line.text_so_far(), libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT);
        let address = (&raw const whom.address).cast();
        // SAFETY: both pointers come with the lengths of what they point at.
        unsafe { libc::sendto(self.socket, text.as_ptr().cast(), text.len(), flags, address, whom.length) };
    }
}

/// The handler.
extern "C" fn crashed(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands a handler with SA_SIGINFO a valid siginfo_t.
    let info = unsafe { &*info };
    // Threads that crash together tell once.
    if !TOLD.swap(true, Ordering::Relaxed) {
        // First: whoever hears of it may start a successor at once.
        LOCKS.let_go();
        let hearer = Hearer::now();
        let mut line = Line::new();
        line.text(b"MSF_CRASH=").number(signal as u64, 10).text(b"\nMSF_CRASH_ADDRESS=0x");
        // SAFETY: for these signals it holds an address, or whoever sent the signal, which is a number as well.
        let address = unsafe { info.si_addr() };
        line.number(address as u64, 16);
        hearer.tell(&line);
        trace::send(context.cast(), &hearer);
    }
    restore(signal);
    if info.si_code <= 0 {
        // Sent by somebody, abort among them: it does not happen again by itself.
        // SAFETY: takes a number. The signal is blocked until this handler returns.
        unsafe { libc::raise(signal) };
    }
}

/// What was there before us gets the fault when it happens again.
fn restore(signal: i32) {
    let before = SIGNALS.iter().zip(&BEFORE).find(|(own, _)| **own == signal);
    let before = before.map_or(ptr::null_mut(), |(_, before)| before.load(Ordering::Acquire));
    if before.is_null() || put_back(signal, before) != 0 {
        // SAFETY: takes two numbers.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

fn put_back(signal: i32, before: *const libc::sigaction) -> i32 {
    // SAFETY: written by sigaction in `catch`, and never freed.
    unsafe { libc::sigaction(signal, before, ptr::null_mut()) }
}

thread_local! {
    static OWN_STACK: RefCell<Option<Stack>> = const { RefCell::new(None) };
}
/// What is the successor's as soon as somebody has been told.
pub(super) static LOCKS: Locks = Locks::new();
static SOCKET: AtomicI32 = AtomicI32::new(-1);
static WHOM: AtomicPtr<Whom> = AtomicPtr::new(ptr::null_mut());
static TOLD: AtomicBool = AtomicBool::new(false);
const SIGNALS: [i32; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGSYS, libc::SIGTRAP];
static BEFORE: [AtomicPtr<libc::sigaction>; SIGNALS.len()] = [const { AtomicPtr::new(ptr::null_mut()) }; SIGNALS.len()];
