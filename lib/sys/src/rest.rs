//! Whether anybody still runs a library's code, or is going to: asked before it is unmapped.
//!
//! A thread that runs code of a library, or was started with a function of it, has an address of that code on its stack
//! or in its program counter. So every thread is looked at: where the kernel says that its stack ends, up to where it
//! begins, no word may be an address of the library. A thread that has nothing to do with it may hold such a word
//! by accident, never the other way round: what is said to be at rest is. Threads that are too busy to be looked at are
//! taken for guilty unless they are older than the library.
//!
//! A thread that others run for it has no such address while it waits: libipc's, a loop's, a pool's. Those that began while the
//! library was called and still run are therefore said by the host ([`started`]), and keep it as well.
//!
//! Beside threads, signal handlers and 2019's timers (`msf_timer_add`) may point into it: handlers are put back to what
//! they were, timers keep the library where it is.

use std::ffi::c_void;
use std::fmt;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ffi::msf as c;
use crate::library::{Library, line_parts};

/// The proof that [`Before::look`] found nobody in a library.
#[derive(Debug)]
pub struct AtRest(*mut c_void);

impl AtRest {
    /// Whether it is about the library with this handle.
    pub(crate) fn is_of(&self, handle: *mut c_void) -> bool {
        self.0 == handle
    }
}

/// What keeps a library mapped, or was put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A thread runs its code.
    Thread {
        /// The kernel's number.
        tid: i32,
        /// Its short name.
        name: String,
    },
    /// A thread that began while it was called.
    Started {
        /// The kernel's number.
        tid: i32,
        /// Its short name.
        name: String,
    },
    /// A thread that was never seen asleep.
    Busy {
        /// The kernel's number.
        tid: i32,
        /// Its short name.
        name: String,
    },
    /// So many timers of `msf_timer_add` will call it.
    Timers(usize),
    /// It had left a handler for this signal; what was there before it is there again.
    Handler(i32),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Thread { tid, name } => write!(f, "thread '{name}' ({tid}) still runs"),
            Found::Started { tid, name } => write!(f, "thread '{name}' ({tid}), which it has started, still runs"),
            Found::Busy { tid, name } => write!(f, "thread '{name}' ({tid}) is too busy to tell whether it runs there"),
            Found::Timers(1) => write!(f, "a timer of msf_timer_add is still to call it"),
            Found::Timers(count) => write!(f, "{count} timers of msf_timer_add are still to call it"),
            Found::Handler(signal) => write!(f, "it had left a handler for signal {signal}, which was taken away"),
        }
    }
}

impl Found {
    /// Whether the library has to stay mapped for it.
    pub fn keeps(&self) -> bool {
        !matches!(self, Found::Handler(_))
    }
}

/// A thread of the host's that never enters code of a library, as long as this is kept: it need not be looked at, and the
/// addresses it handles on behalf of others make nobody suspicious.
#[derive(Debug)]
pub struct HostThread(i32);

impl HostThread {
    /// This one.
    pub fn this() -> HostThread {
        // SAFETY: the function takes nothing.
        let tid = unsafe { libc::gettid() };
        hosts().push(tid);
        HostThread(tid)
    }
}

impl Drop for HostThread {
    fn drop(&mut self) {
        hosts().retain(|tid| *tid != self.0);
    }
}

fn hosts() -> MutexGuard<'static, Vec<i32>> {
    static HOSTS: Mutex<Vec<i32>> = Mutex::new(Vec::new());
    HOSTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The process before a library was loaded.
pub struct Before {
    threads: Vec<Begun>,
    handlers: Vec<(i32, libc::sigaction)>,
}

impl Before {
    /// As it is now.
    pub fn now() -> Before {
        let handlers = (1..=LAST_SIGNAL).filter_map(|signal| Some((signal, handler(signal)?))).collect();
        Before { threads: begun(), handlers }
    }

    /// Looks whether nobody runs `library`'s code but, maybe, the calling thread. `its` are threads that it has started.
    pub fn look(&self, library: &Library, its: &[Begun]) -> (Option<AtRest>, Vec<Found>) {
        let code = library.code();
        let mut found: Vec<Found> = self.handlers.iter().filter_map(|left| put_back(left, &code)).collect();
        // Before the threads: a timer that fires meanwhile is seen on one of them.
        found.extend(Some(timers(&code)).filter(|count| *count > 0).map(Found::Timers));
        let mut seen = hosts().clone();
        // SAFETY: the function takes nothing.
        seen.push(unsafe { libc::gettid() });
        loop {
            // One that has ended while others were looked at may have started another before.
            let fresh: Vec<i32> = threads().into_iter().filter(|tid| !seen.contains(tid)).collect();
            if fresh.is_empty() {
                break;
            }
            found.extend(fresh.iter().filter_map(|tid| self.look_at(*tid, &code)));
            seen.extend(fresh);
        }
        for (tid, name) in started(its) {
            let known =
                |one: &Found| matches!(one, Found::Thread { tid: it, .. } | Found::Busy { tid: it, .. } if *it == tid);
            if !found.iter().any(known) {
                found.push(Found::Started { tid, name });
            }
        }
        let rest = !found.iter().any(Found::keeps);
        (rest.then_some(AtRest(library.handle())), found)
    }

    fn look_at(&self, tid: i32, code: &[Range<usize>]) -> Option<Found> {
        let is_older = || began(tid).is_some_and(|began| self.threads.contains(&(tid, began)));
        // The log's writer is older than any library, and handles nothing but bytes.
        if comm(tid) == LOG_WRITER && is_older() {
            return None;
        }
        match inside(tid, code) {
            Some(true) => Some(Found::Thread { tid, name: comm(tid) }),
            Some(false) => None,
            None if is_older() || !exists(tid) => None,
            None => Some(Found::Busy { tid, name: comm(tid) }),
        }
    }
}

impl fmt::Debug for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Before").field("threads", &self.threads).finish_non_exhaustive()
    }
}

fn timers(code: &[Range<usize>]) -> usize {
    let count = |range: &Range<usize>| {
        let (from, to) = (ptr::without_provenance(range.start), ptr::without_provenance(range.end));
        // SAFETY: addresses that are compared, and nothing else.
        usize::try_from(unsafe { c::msf_timer_count(from, to) }).unwrap_or(0)
    };
    code.iter().map(count).sum()
}

/// The threads that are in `code`, as far as can be told.
pub fn residents(code: &[Range<usize>]) -> Vec<i32> {
    let hosts = hosts().clone();
    threads().into_iter().filter(|tid| !hosts.contains(tid) && inside(*tid, code) == Some(true)).collect()
}

/// Threads that have the name of thread `tid` and are no older. A thread is called as whoever began it until somebody calls
/// it otherwise, so these are `tid`'s, and they are known while they run, too.
pub fn named_like(tid: i32) -> Vec<i32> {
    let (name, since) = (comm(tid), began(tid));
    let alike = |other: &i32| *other == tid || comm(*other) == name && began(*other) >= since;
    if since.is_some() { threads().into_iter().filter(alike).collect() } else { Vec::new() }
}

/// A thread, and when it began: numbers come again.
pub type Begun = (i32, u64);

/// The threads there are.
pub fn begun() -> Vec<Begun> {
    threads().into_iter().filter_map(|tid| Some((tid, began(tid)?))).collect()
}

/// Those of `its` that still run, with their names, but for the host's and those that a library shares with all.
pub fn started(its: &[Begun]) -> Vec<(i32, String)> {
    let hosts = hosts().clone();
    let alive = |(tid, since): &&Begun| !hosts.contains(tid) && began(*tid) == Some(*since);
    let named = its.iter().filter(alive).map(|(tid, _)| (*tid, comm(*tid)));
    named.filter(|(_, name)| ![LOG_WRITER, TIMERS].contains(&name.as_str())).collect()
}

/// The numbers of this process' threads.
pub fn threads() -> Vec<i32> {
    let entries = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The short name of a thread.
pub fn comm(tid: i32) -> String {
    fs::read_to_string(format!("/proc/self/task/{tid}/comm"))
        .map_or_else(|_| "?".to_owned(), |name| name.trim_end().into())
}

/// When a thread began, in the kernel's ticks since it came up itself.
fn began(tid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/self/task/{tid}/stat")).ok()?;
    // The name in brackets may hold anything; what is meant is the twentieth word behind it.
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn exists(tid: i32) -> bool {
    fs::exists(format!("/proc/self/task/{tid}")).unwrap_or(true)
}

/// Whether a thread is inside `code`; `None` when it cannot be told.
fn inside(tid: i32, code: &[Range<usize>]) -> Option<bool> {
    for attempt in 0..ATTEMPTS {
        let before = place(tid)?;
        if let Place::At { stack, code: here } = before {
            let guilty = code.iter().any(|range| range.contains(&here)) || mentions(stack, code)?;
            // What was read while it went on is of no single moment.
            if guilty || place(tid)? == before {
                return Some(guilty);
            }
        }
        std::thread::sleep(Duration::from_micros(100 << attempt.min(4)));
    }
    None
}

/// Where a thread is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On a processor, or about to be.
    Running,
    /// It sleeps.
    At {
        /// Its stack pointer.
        stack: usize,
        /// Its program counter.
        code: usize,
    },
}

/// `None` when it is gone, or the kernel does not say.
fn place(tid: i32) -> Option<Place> {
    let text = fs::read_to_string(format!("/proc/self/task/{tid}/syscall")).ok()?;
    let mut words = text.split_ascii_whitespace().rev();
    let mut address = || usize::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    match address().zip(address()) {
        Some((code, stack)) => Some(Place::At { stack, code }),
        None => Some(Place::Running),
    }
}

/// Whether a word from `stack` to where that stack begins is an address in `code`. Read through a file, so that a
/// stack that goes away meanwhile is an error and no fault.
fn mentions(stack: usize, code: &[Range<usize>]) -> Option<bool> {
    let maps = fs::read("/proc/self/maps").ok()?;
    let ranges = maps.split(|byte| *byte == b'\n').filter_map(line_parts);
    let end = ranges.map(|(range, _)| range).find(|range| range.contains(&stack))?.end.min(stack + LONGEST_STACK);
    let memory = fs::File::open("/proc/self/mem").ok()?;
    let mut room = vec![0; CHUNK];
    let mut at = stack & !(size_of::<usize>() - 1);
    while at < end {
        let piece = room.get_mut(..CHUNK.min(end - at))?;
        let read = memory.read_at(piece, at as u64).ok().filter(|read| *read > 0)?;
        let words = piece.get(..read)?.chunks_exact(size_of::<usize>());
        let mut words = words.filter_map(|word| Some(usize::from_ne_bytes(word.try_into().ok()?)));
        if words.any(|word| code.iter().any(|range| range.contains(&word))) {
            return Some(true);
        }
        at += read & !(size_of::<usize>() - 1);
    }
    Some(false)
}

fn handler(signal: i32) -> Option<libc::sigaction> {
    let mut there = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is set, and there is room for what is read.
    if unsafe { libc::sigaction(signal, ptr::null(), there.as_mut_ptr()) } != 0 {
        return None; // the two that libc keeps for itself
    }
    // SAFETY: filled in by the call above; zeroes would do as well.
    Some(unsafe { there.assume_init() })
}

/// Puts back what `signal` had before, if its handler is in `code` now; the default, if that is gone, too.
fn put_back((signal, before): &(i32, libc::sigaction), code: &[Range<usize>]) -> Option<Found> {
    if !code.iter().any(|range| handler(*signal).is_some_and(|now| range.contains(&now.sa_sigaction))) {
        return None;
    }
    let mut action = *before;
    if !matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN) && !is_mapped(action.sa_sigaction) {
        action.sa_sigaction = libc::SIG_DFL;
    }
    // SAFETY: what the kernel gave us before, and what it points to is still there.
    let status = unsafe { libc::sigaction(*signal, &raw const action, ptr::null_mut()) };
    if status == 0 { Some(Found::Handler(*signal)) } else { log_failure(*signal) }
}

fn is_mapped(address: usize) -> bool {
    let maps = fs::read("/proc/self/maps").unwrap_or_default();
    maps.split(|byte| *byte == b'\n').filter_map(line_parts).any(|(range, _)| range.contains(&address))
}

fn log_failure(signal: i32) -> Option<Found> {
    let error = io::Error::last_os_error();
    crate::log!(crate::log::Level::Error, "SHELL", "cannot take away a handler for signal {signal}: {error}");
    None
}

const LOG_WRITER: &str = "msf-log";
/// Of `msf_timer_add`: whom it will call is known, see [`timers`].
const TIMERS: &str = "msf_timer";
const LAST_SIGNAL: i32 = 64;
const ATTEMPTS: u32 = 12;
const CHUNK: usize = 64 << 10;
/// A thread that has more on it is taken not to need all of it: frames lie at this end.
const LONGEST_STACK: usize = 64 << 20;
