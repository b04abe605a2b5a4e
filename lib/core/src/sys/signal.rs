//! Hearing of a signal without taking it away from anybody.
//!
//! A [`Catch`] is a descriptor that becomes readable when its signal arrives. The first one of a signal installs our
//! handler, the last one puts back what was there; in between a handler of the program is called as before, with its own
//! mask and flags. A handler, not a signalfd: that needs the signal blocked in every thread of the program and of
//! whatever it starts, and a mask is inherited through exec.
//!
//! What was there is also what a child gets that was forked meanwhile: the first signal it gets puts it back and is sent
//! again. Who installs a handler over ours keeps the signal; if he calls what he found, we go on hearing.
//!
//! The handler walks a list whose nodes are never freed, and counts itself in and out: whoever takes a node off the
//! list waits until no handler is at work, and only then closes the descriptor, whose number may be another file's next.

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// Arrivals of one signal, through a descriptor.
#[derive(Debug)]
pub struct Catch {
    signal: usize,
    node: &'static Node,
    /// Counts what has arrived and was not taken.
    count: EventFd,
}

impl Catch {
    /// Listens for `signal`. EINVAL for what is no signal, cannot be caught (SIGKILL, SIGSTOP), or reports a fault of
    /// the very thread (SIGSEGV, SIGBUS, SIGFPE, SIGILL): returning from those repeats them for ever.
    pub fn new(signal: i32) -> io::Result<Catch> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_SEMAPHORE;
        if !(1..SIGNALS as i32).contains(&signal) || NEVER.contains(&signal) {
            return Err(Errno::EINVAL.into());
        }
        let (signal, count) = (signal as usize, EventFd::from_value_and_flags(0, flags)?);
        let mut installed = installed();
        install(signal, &mut installed)?;
        let node = enlist(signal, count.as_fd().as_raw_fd());
        Ok(Catch { signal, node, count })
    }

    /// Takes one arrival, if there is one. Standard signals that come while one of their kind is pending are one.
    pub fn take(&self) -> bool {
        self.count.read().is_ok()
    }

    /// As if the signal had arrived.
    pub(crate) fn pretend(&self) {
        // Refused only when 2^64 - 2 are waiting already.
        let _ = self.count.write(1);
    }
}

impl AsFd for Catch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.count.as_fd()
    }
}

impl Drop for Catch {
    fn drop(&mut self) {
        let mut installed = installed();
        // In a forked child the node may be another's by now.
        let ours = self.count.as_fd().as_raw_fd();
        let _ = self.node.fd.compare_exchange(ours, NOBODY, Ordering::SeqCst, Ordering::SeqCst);
        if nodes(self.signal).all(|node| node.fd.load(Ordering::SeqCst) == NOBODY) {
            restore(self.signal, &mut installed);
        }
        while AT_WORK.load(Ordering::SeqCst) > 0 {
            thread::yield_now();
        }
    }
}

/// One listener's place in the list of its signal; reused, never freed.
#[derive(Debug)]
struct Node {
    fd: AtomicI32,
    next: *const Node,
}

// SAFETY: `next` is written before the node is shared and points to a node that is never freed.
unsafe impl Sync for Node {}

const NOBODY: i32 = -1;
const SIGNALS: usize = 65;
const NEVER: [i32; 6] = [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL];

static HEADS: [AtomicPtr<Node>; SIGNALS] = [const { AtomicPtr::new(ptr::null_mut()) }; SIGNALS];
/// What was there before our handler; never freed, because the handler reads it.
static PREVIOUS: [AtomicPtr<libc::sigaction>; SIGNALS] = [const { AtomicPtr::new(ptr::null_mut()) }; SIGNALS];
/// Handlers that look at the list.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);
/// The process whose descriptors are in the lists.
static OWNER: AtomicI32 = AtomicI32::new(0);
/// Bit n: our handler was installed for signal n and not taken out again.
static INSTALLED: Mutex<u128> = Mutex::new(0);

fn installed() -> MutexGuard<'static, u128> {
    INSTALLED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nodes(signal: usize) -> impl Iterator<Item = &'static Node> {
    let mut at = HEADS[signal].load(Ordering::Acquire).cast_const();
    std::iter::from_fn(move || {
        // SAFETY: null or a node, which is never freed.
        let node: &'static Node = unsafe { at.as_ref() }?;
        at = node.next;
        Some(node)
    })
}

/// Puts a descriptor into the list. Called under the lock.
fn enlist(signal: usize, fd: i32) -> &'static Node {
    if let Some(free) = nodes(signal).find(|node| node.fd.load(Ordering::Relaxed) == NOBODY) {
        free.fd.store(fd, Ordering::SeqCst);
        return free;
    }
    let next = HEADS[signal].load(Ordering::Relaxed);
    let node = Box::leak(Box::new(Node { fd: AtomicI32::new(fd), next }));
    HEADS[signal].store(ptr::from_mut(node), Ordering::Release);
    node
}

fn install(signal: usize, installed: &mut u128) -> io::Result<()> {
    let me = std::process::id() as i32;
    if OWNER.load(Ordering::SeqCst) != me {
        // A forked child: the descriptors in the lists are its parent's, and no handler of its own is at work.
        (0..SIGNALS).flat_map(nodes).for_each(|node| node.fd.store(NOBODY, Ordering::SeqCst));
        AT_WORK.store(0, Ordering::SeqCst);
        OWNER.store(me, Ordering::SeqCst);
        *installed = (0..SIGNALS).filter(|&n| *installed >> n & 1 == 1 && is_ours(n)).fold(0, |set, n| set | 1 << n);
    }
    if *installed >> signal & 1 == 1 {
        return Ok(());
    }
    let before = action(signal, ptr::null())?;
    let place = match PREVIOUS[signal].load(Ordering::Acquire) {
        place if place.is_null() => Box::into_raw(Box::new(before)),
        place => place,
    };
    // SAFETY: it came from a box that is never freed, and our handler, which reads it, is not installed.
    unsafe { place.write(before) };
    PREVIOUS[signal].store(place, Ordering::Release);
    action(signal, &ours(signal, &before))?;
    *installed |= 1 << signal;
    Ok(())
}

/// Our action, in the manner of the one that was there.
fn ours(signal: usize, before: &libc::sigaction) -> libc::sigaction {
    let mut ours = *before;
    ours.sa_sigaction = caught as *const () as usize;
    ours.sa_flags = match before.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => libc::SA_RESTART | before.sa_flags & (libc::SA_NOCLDWAIT | libc::SA_NOCLDSTOP),
        _ => before.sa_flags & !libc::SA_RESETHAND,
    };
    ours.sa_flags |= libc::SA_SIGINFO | libc::SA_ONSTACK;
    if signal as i32 == libc::SIGCHLD && before.sa_sigaction == libc::SIG_IGN {
        // Children of a program that ignores them go without being waited for; so they do with a handler, then.
        ours.sa_flags |= libc::SA_NOCLDWAIT;
    }
    ours
}

/// Puts back what was there, unless somebody has installed another handler over ours.
fn restore(signal: usize, installed: &mut u128) {
    if *installed >> signal & 1 == 1
        && is_ours(signal)
        && action(signal, PREVIOUS[signal].load(Ordering::Acquire)).is_ok()
    {
        *installed &= !(1 << signal);
    }
}

fn is_ours(signal: usize) -> bool {
    action(signal, ptr::null()).is_ok_and(|now| now.sa_sigaction == caught as *const () as usize)
}

/// Installs `new` (null: nothing) and says what was there.
fn action(signal: usize, new: *const libc::sigaction) -> io::Result<libc::sigaction> {
    // SAFETY: numbers and addresses only, for which all bits zero is a value.
    let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: `new` is null or an action that the kernel gave or that `ours` made; `before` is a local.
    match unsafe { libc::sigaction(signal as i32, new, &raw mut before) } {
        0 => Ok(before),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Async-signal-safe: atomics, write, getpid, sigaction and kill.
extern "C" fn caught(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let errno = Errno::last_raw();
    let place = PREVIOUS[signal as usize].load(Ordering::Acquire);
    // SAFETY: it was written before the handler was installed, and is never freed.
    let previous = unsafe { place.read() };
    // SAFETY: takes nothing.
    let me = unsafe { libc::getpid() };
    if OWNER.load(Ordering::SeqCst) != me {
        let _ = action(signal as usize, place);
        // SAFETY: numbers only. It arrives when this handler, which blocks it, has returned.
        unsafe { libc::kill(me, signal) };
        Errno::set_raw(errno);
        return;
    }
    AT_WORK.fetch_add(1, Ordering::SeqCst);
    for node in nodes(signal as usize) {
        let fd = node.fd.load(Ordering::SeqCst);
        if fd != NOBODY {
            // SAFETY: eight bytes of a local; the descriptor stays open while we are counted in.
            unsafe { libc::write(fd, ptr::from_ref(&1u64).cast(), 8) };
        }
    }
    // Before the call: it may never return.
    AT_WORK.fetch_sub(1, Ordering::SeqCst);
    Errno::set_raw(errno);
    pass_on(&previous, signal, info, context);
}

/// Calls the handler that was there, if one was.
fn pass_on(to: &libc::sigaction, signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    match to.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {}
        address if to.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: an action with this flag holds a function of this type.
            let handler = unsafe { std::mem::transmute::<usize, Detailed>(address) };
            // SAFETY: what the kernel would have called, with what it would have called it.
            unsafe { handler(signal, info, context) }
        }
        address => {
            // SAFETY: an action without that flag holds a function of this type.
            let handler = unsafe { std::mem::transmute::<usize, Plain>(address) };
            // SAFETY: as above.
            unsafe { handler(signal) }
        }
    }
}

type Plain = unsafe extern "C" fn(libc::c_int);
type Detailed = unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, raise};
    use std::sync::atomic::AtomicU32;

    static TOLD: AtomicU32 = AtomicU32::new(0);

    extern "C" fn tell(_: libc::c_int) {
        TOLD.fetch_add(1, Ordering::SeqCst);
    }

    #[test]
    fn every_listener_hears_and_so_does_who_was_there_before() {
        let signal = libc::SIGUSR2 as usize;
        let original = action(signal, ptr::null()).unwrap();
        let mut theirs = original;
        theirs.sa_sigaction = tell as *const () as usize;
        action(signal, &theirs).unwrap();
        {
            let (one, two) = (Catch::new(libc::SIGUSR2).unwrap(), Catch::new(libc::SIGUSR2).unwrap());
            raise(Signal::SIGUSR2).unwrap();
            assert!(one.take() && two.take() && !one.take());
            drop(one);
            raise(Signal::SIGUSR2).unwrap();
            assert!(two.take());
            assert_eq!(TOLD.load(Ordering::SeqCst), 2);
        }
        raise(Signal::SIGUSR2).unwrap();
        assert_eq!(TOLD.load(Ordering::SeqCst), 3);
        assert_eq!(action(signal, &original).unwrap().sa_sigaction, tell as *const () as usize);
    }

    #[test]
    fn what_cannot_be_caught_is_refused() {
        for signal in [0, -1, 65, 1000, libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, 32] {
            assert_eq!(Catch::new(signal).unwrap_err().raw_os_error(), Some(libc::EINVAL), "{signal}");
        }
    }
}
