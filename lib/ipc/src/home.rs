//! The one client of this process, and what fork does to it.
//!
//! A child process inherits the memory of its parent but not its threads, and a connection that two processes hold is
//! closed only when both have let go. So in the child, before `fork` returns there, a handler puts the inherited client
//! away, never to be touched again, and closes the child's copies of its socket. The child's calls fail with ECHILD
//! until it calls init itself.
//!
//! The handler runs in a copy of a process with many threads: it may take no lock and no memory. That is why what it
//! works on are atomics, and the lock below is a word that it can simply set free. The word is held for the two
//! instructions in which a caller takes his count of the client, never longer.

use crate::client::Client;
use crate::errno::Errno;
use crate::params::Settings;
use crate::{callbacks, face, handover, nmid, signals, socket};
use msf_sys::log;
use msf_sys::log::Level;
use std::env;
use std::ffi::c_int;
use std::hint;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// One count of the present client, or null.
static CURRENT: AtomicPtr<Client> = AtomicPtr::new(ptr::null_mut());
/// Guards the moment between reading CURRENT and taking a count of what it points at.
static HELD: AtomicBool = AtomicBool::new(false);
/// An init or deinit is under way.
static BUSY: AtomicBool = AtomicBool::new(false);
/// In a child: the parent's client, kept reachable but never used.
static INHERITED: AtomicPtr<Client> = AtomicPtr::new(ptr::null_mut());
/// In a child that has not called init: whether its calls are told so, and whether the log was.
static ORPHANED: AtomicBool = AtomicBool::new(false);
static ORPHAN_TOLD: AtomicBool = AtomicBool::new(false);
/// The descriptors of the connection, for the child to close; -1 when there is none.
static READER: AtomicI32 = AtomicI32::new(-1);
static WRITER: AtomicI32 = AtomicI32::new(-1);
/// What `rpc->evt_conn.fd` shows: made once, never closed, since programs keep it in loops of their own.
static EVENTFD: AtomicI32 = AtomicI32::new(-1);
static WATCHING_FORK: AtomicBool = AtomicBool::new(false);

/// Init: makes the client of this process.
pub(crate) fn open(settings: Settings) -> Result<(), Errno> {
    let _busy = Busy::claim()?;
    if !CURRENT.load(Ordering::Acquire).is_null() {
        return Err(Errno::ALREADY);
    }
    signals::ignore_sigpipe();
    prepare()?;
    face::introduce(settings.id, &settings.raw_name, eventfd()?);
    let client = Client::new(settings)?;
    // Before it is logged in: requests that come with the agent's yes may make calls.
    publish(Some(&client));
    ORPHANED.store(false, Ordering::Release);
    let started = client.start();
    if started.is_err() {
        publish(None);
        client.end();
    }
    started
}

/// Hands the client's connection to another process over `channel`; after that there is no client.
pub(crate) fn hand_over(channel: BorrowedFd<'_>, patience: Duration) -> Result<(), Errno> {
    let client = current()?;
    if callbacks::depth(&client) > 0 {
        return Err(Errno::DEADLK);
    }
    let _busy = Busy::claim()?;
    client.hand_over(channel, Instant::now() + patience)?;
    face::stopping();
    publish(None);
    client.end();
    Ok(())
}

/// Instead of [`open`]: a client that goes on with the connection that comes over `channel`.
pub(crate) fn take_over(settings: Settings, channel: BorrowedFd<'_>, patience: Duration) -> Result<(), Errno> {
    let _busy = Busy::claim()?;
    if !CURRENT.load(Ordering::Acquire).is_null() {
        return Err(Errno::ALREADY);
    }
    signals::ignore_sigpipe();
    prepare()?;
    face::introduce(settings.id, &settings.raw_name, eventfd()?);
    let client = Client::new(settings)?;
    let (socket, passed) = handover::take_over(channel, client.settings.id, Instant::now() + patience)?;
    publish(Some(&client));
    ORPHANED.store(false, Ordering::Release);
    let resumed = client.resume(socket, &passed);
    if resumed.is_err() {
        publish(None);
        client.end();
    }
    resumed
}

/// What everything of libipc needs: a log, without which it works as well, and to know of a fork.
pub(crate) fn prepare() -> Result<(), Errno> {
    watch_fork()?;
    let _ = log::init_default(&executable());
    Ok(())
}

/// Deinit: ends it.
pub(crate) fn close() -> Result<(), Errno> {
    let client = current()?;
    if callbacks::depth(&client) > 0 {
        return Err(Errno::DEADLK);
    }
    let _busy = Busy::claim()?;
    if !ptr::eq(CURRENT.load(Ordering::Acquire), Arc::as_ptr(&client)) {
        return Err(Errno::NOTCONN);
    }
    face::stopping();
    publish(None);
    client.end();
    Ok(())
}

/// The client, for one call.
pub(crate) fn current() -> Result<Arc<Client>, Errno> {
    let held = Held::take();
    let client = CURRENT.load(Ordering::Acquire);
    if client.is_null() {
        drop(held);
        return Err(nobody());
    }
    // SAFETY: CURRENT owns a count, which nobody can drop while HELD is ours.
    unsafe { Arc::increment_strong_count(client) };
    drop(held);
    // SAFETY: the count taken on the lines above is the one handed out here.
    Ok(unsafe { Arc::from_raw(client) })
}

/// The connection's descriptors, as they come and go.
pub(crate) fn note_reader(fd: RawFd) {
    READER.store(fd, Ordering::Release);
}

/// See [`note_reader`].
pub(crate) fn note_writer(fd: RawFd) {
    WRITER.store(fd, Ordering::Release);
}

/// Before it is closed: its number may soon be somebody else's.
pub(crate) fn forget_writer() {
    note_writer(-1);
}

/// See [`forget_writer`].
pub(crate) fn forget_sockets() {
    note_reader(-1);
    note_writer(-1);
}

fn nobody() -> Errno {
    if !ORPHANED.load(Ordering::Acquire) {
        return Errno::NOTCONN;
    }
    if !ORPHAN_TOLD.swap(true, Ordering::AcqRel) {
        log!(
            Level::Error,
            "IPC",
            "this process was forked from a client of the agent: it must call client_agent_init itself"
        );
    }
    Errno::CHILD
}

fn publish(client: Option<&Arc<Client>>) {
    let new = client.map_or(ptr::null_mut(), |client| Arc::into_raw(Arc::clone(client)).cast_mut());
    let held = Held::take();
    let old = CURRENT.swap(new, Ordering::AcqRel);
    drop(held);
    if !old.is_null() {
        // SAFETY: the count that CURRENT owned, taken out of it on the lines above.
        drop(unsafe { Arc::from_raw(old) });
    }
}

fn eventfd() -> Result<c_int, Errno> {
    let present = EVENTFD.load(Ordering::Acquire);
    if present >= 0 {
        return Ok(present);
    }
    let fd = socket::eventfd()?.into_raw_fd();
    EVENTFD.store(fd, Ordering::Release);
    Ok(fd.as_raw_fd())
}

/// The log is called after the program.
fn executable() -> String {
    let path = env::current_exe().unwrap_or_default();
    path.file_name().map_or_else(|| "client".into(), |name| name.to_string_lossy().into_owned())
}

fn watch_fork() -> Result<(), Errno> {
    if WATCHING_FORK.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    // SAFETY: the handler is a function of a library that is never unmapped.
    match unsafe { pthread_atfork(None, None, Some(in_the_child)) } {
        0 => Ok(()),
        code => {
            WATCHING_FORK.store(false, Ordering::Release);
            Err(Errno(code))
        }
    }
}

/// On the only thread of the child, before `fork` returns.
extern "C" fn in_the_child() {
    HELD.store(false, Ordering::Release);
    BUSY.store(false, Ordering::Release);
    nmid::in_the_child();
    let inherited = CURRENT.swap(ptr::null_mut(), Ordering::AcqRel);
    if inherited.is_null() {
        return;
    }
    INHERITED.store(inherited, Ordering::Release);
    ORPHANED.store(true, Ordering::Release);
    ORPHAN_TOLD.store(false, Ordering::Release);
    // The parent shares it, and reads it.
    EVENTFD.store(-1, Ordering::Release);
    for fd in [&READER, &WRITER] {
        let fd = fd.swap(-1, Ordering::AcqRel);
        if fd >= 0 {
            // SAFETY: the child's copy of a descriptor of the client that was just put away for ever.
            unsafe { libc::close(fd) };
        }
    }
    face::offline();
}

/// The word HELD, held.
struct Held;

impl Held {
    fn take() -> Self {
        let mut tries = 0_u32;
        while HELD.swap(true, Ordering::Acquire) {
            tries += 1;
            // The holder has two instructions to go; if he does not, he is not running.
            if tries.is_multiple_of(64) { thread::yield_now() } else { hint::spin_loop() }
        }
        Self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.store(false, Ordering::Release);
    }
}

/// The right to init or deinit.
struct Busy;

impl Busy {
    fn claim() -> Result<Self, Errno> {
        if BUSY.swap(true, Ordering::AcqRel) { Err(Errno::ALREADY) } else { Ok(Self) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::Release);
    }
}

unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
}
