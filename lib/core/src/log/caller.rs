//! The caller's side: a record goes into the ring of its thread ([`sitting`](super::sitting)), and the call returns.
//!
//! Everything else (opening, settings, flushes, the first record of a thread in a session, larger ones, a session that
//! has just ended) takes the logger's lock. A fork takes it before and gives it back on both sides after, with empty
//! rings, so no child has a copy of what its parent still has to write.

use super::entry::Entry;
use super::logger::{Logger, complain};
use super::output::Output;
use super::record::Source;
use super::rotate::Limit;
use super::session::{EPOCH, Seat, Session};
use super::sitting::{self, Inside};
use super::spool::{LARGEST, SMALLEST};
use super::text::Text;
use super::{Level, Mode, Policy, Stats, copy, environment, modules};
use crate::error::Error;
use crate::sys::{fork, place, wall};
use nix::unistd;
use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread;

/// Opens `path` as the process's log, creating missing folders; a log that was open is closed once this one is open.
/// Records that a killed process has left for this log are written first.
///
/// Fails, and leaves things as they were, when the file cannot be opened for appending.
pub fn open(path: &Path) -> Result<(), Error> {
    environment::apply();
    let _inside = Inside::enter()?;
    let ended = lock().open(path)?;
    dismiss(ended);
    Ok(())
}

/// Opens `<log folder>/<name>.log`, unless a log is open already.
pub fn open_default(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err(Error::Argument {
            given: name.to_owned(),
            expected: "the name of a log (no '/', no dot in front)",
        });
    }
    environment::apply();
    let path = place::log_dir()?.join(format!("{name}.log"));
    let _inside = Inside::enter()?;
    let mut logger = lock();
    if logger.sink.is_none() {
        logger.open(&path)?;
    }
    Ok(())
}

/// Writes everything and closes the log with its outputs; later records reach stderr only. Does nothing when none is open.
pub fn close() {
    if let Ok(_inside) = Inside::enter() {
        let ended = lock().close();
        dismiss(ended);
    }
}

/// Opens the log's name again after somebody else has renamed the file. Fails with ENOENT when no log is open.
pub fn reopen() -> Result<(), Error> {
    let _inside = Inside::enter()?;
    lock().reopen()
}

/// Returns when every record written before is in the file, as far as the disk takes them.
pub fn flush() -> Result<(), Error> {
    let _inside = Inside::enter()?;
    drain_all(&mut lock());
    Ok(())
}

/// Writes to the log at `path` what processes that were killed have left for it, without opening it for this one.
/// Returns how many records. [`open`] does the same.
pub fn recover(path: &Path) -> Result<u64, Error> {
    let _inside = Inside::enter()?;
    let mut other = Logger::new();
    // No session of its own ever begins, so nothing is ended when it goes.
    other.limit = lock().limit;
    other.open(path)?;
    Ok(other.stats.recovered)
}

/// Begins a new file after `bytes` (at least 4096) and keeps `files` renamed ones (at most 99; with 0 a full file is
/// removed). Default: 10 MiB, 5 files.
pub fn limit(bytes: u64, files: u32) -> Result<(), Error> {
    let limit = Limit::checked(bytes, files)?;
    let _inside = Inside::enter()?;
    let mut logger = lock();
    logger.limit = limit;
    if let Some(session) = &logger.session {
        session.spool.set_limit(&limit);
    }
    Ok(())
}

/// Drops records above `level` from now on, on stderr as well. Default: [`Level::Info`], everything is written.
pub fn set_level(level: Level) {
    environment::apply();
    modules::set_level(level);
}

/// Gives the records of `module` a level of their own, whatever [`set_level`] says; None: no longer.
///
/// Fails with ENOSPC when 64 modules have had one.
pub fn set_module_level(module: &str, level: Option<Level>) -> Result<(), Error> {
    environment::apply();
    modules::set_module_level(module.as_bytes(), level)
}

/// Whether records of this level and module are written.
pub fn wants(level: Level, module: &str) -> bool {
    modules::wants(level, module.as_bytes())
}

/// How records reach the file from now on. Default: [`Mode::Ring`].
pub fn set_mode(mode: Mode) -> Result<(), Error> {
    environment::apply();
    let _inside = Inside::enter()?;
    let ended = {
        let mut logger = lock();
        logger.mode = mode;
        if mode == Mode::Direct { logger.end_session() } else { None }
    };
    dismiss(ended);
    Ok(())
}

/// What happens to a record for which there is no room in its thread's ring. Default: [`Policy::Block`].
pub fn set_policy(policy: Policy) {
    environment::apply();
    DROPS.store(policy == Policy::Drop, Ordering::Relaxed);
}

/// The size of each thread's ring in bytes, 16 KiB to 4 MiB, rounded up to a power of two. Default: 64 KiB. Takes effect
/// at once: the rings there are are written out and given up.
pub fn set_ring(bytes: u32) -> Result<(), Error> {
    if !(SMALLEST..=LARGEST).contains(&bytes) {
        let expected = "a size of log rings in bytes, 16 KiB to 4 MiB";
        return Err(Error::Argument { given: bytes.to_string(), expected });
    }
    environment::apply();
    let _inside = Inside::enter()?;
    let ended = {
        let mut logger = lock();
        logger.capacity = bytes.next_power_of_two();
        logger.end_session()
    };
    dismiss(ended);
    Ok(())
}

/// Gives every later record to `output` as well; another one of its kind is replaced.
///
/// Fails when the file cannot be opened, or nobody listens at the socket.
pub fn add_output(output: &Output) -> Result<(), Error> {
    let _inside = Inside::enter()?;
    let mut logger = lock();
    let stem = logger.sink.as_ref().and_then(|sink| sink.path().file_stem());
    let name = stem.map_or_else(program, |stem| stem.to_string_lossy().into_owned());
    // What is in the rings was written before it was there.
    drain_all(&mut logger);
    logger.outputs.open(output, &name)
}

/// Closes the output of the same kind as `output`. False: there was none.
pub fn remove_output(output: &Output) -> bool {
    let Ok(_inside) = Inside::enter() else { return false };
    let mut logger = lock();
    drain_all(&mut logger);
    logger.outputs.remove(output)
}

/// What the log has done so far, in this process.
pub fn stats() -> Result<Stats, Error> {
    let _inside = Inside::enter()?;
    let logger = lock();
    let mut stats = logger.stats;
    stats.refused = logger.outputs.refused;
    if let Some(session) = &logger.session {
        stats.dropped += session.dropped();
        stats.rings = session.spool.rings().count() as u32;
    }
    Ok(stats)
}

/// [`wants`] for a module whose name may be any bytes: to be asked before a text is formatted.
#[inline]
pub fn wants_bytes(level: Level, module: &[u8]) -> bool {
    modules::wants(level, module)
}

/// Whether records of this level are written, whatever their module is; None: that depends on it.
#[inline]
pub fn wants_all(level: Level) -> Option<bool> {
    modules::wants_all(level)
}

/// Writes one record. What becomes of it is not told: a program does not stop because its disk is full.
pub fn write(level: Level, module: &str, func: &str, file: &str, line: u32, text: fmt::Arguments<'_>) {
    if !modules::wants(level, module.as_bytes()) {
        return;
    }
    let source =
        Source { module: module.as_bytes(), func: func.as_bytes(), file: file.as_bytes(), line: i64::from(line) };
    let written = match text.as_str() {
        Some(text) => write_bytes(level, &source, text.as_bytes()),
        None => write_bytes(level, &source, Text::new(text).bytes()),
    };
    // The disk being full has been said on stderr once.
    drop(written);
}

/// Writes one record whose parts may be any bytes, and tells whether it will be in the file: it is in the ring, or (in
/// direct mode) in the file. Also fine: it is not wanted, or no log is open.
pub fn write_bytes(level: Level, source: &Source<'_>, text: &[u8]) -> Result<(), Error> {
    if !modules::wants(level, source.module) {
        return Ok(());
    }
    let mut entry = Entry { level, stamp: wall::moment(), tid: 0, source: *source, text, line: None };
    let Ok(inside) = Inside::enter() else {
        // A signal handler interrupted this very thread inside the logger: waiting for the lock would never end.
        copy::reentered(&entry);
        return Err(Error::Reentered);
    };
    let written = sitting::put(&mut entry).unwrap_or_else(|| first(&mut entry));
    // Outside the lock: a reader of stderr who does not read must not stop the other threads.
    drop(inside);
    if level < Level::Info {
        copy::dated(&entry);
    }
    written
}

/// Writes the message of every later panic of this process's Rust code as a [`Level::Fatal`] record.
pub fn record_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let (file, line) = panic.location().map_or(("?", 0), |at| (at.file(), at.line()));
            let thread = thread::current();
            let name = thread.name().unwrap_or("?");
            let text = panic.payload_as_str().unwrap_or("a value that is no text");
            write(Level::Fatal, "PANIC", name, file, line, format_args!("{text}"));
        }));
    });
}

/// What the writer does when it looks at its session's rings. Returns how many records there were.
pub(super) fn write_for(session: &Session, until: u64) -> u64 {
    // It is no thread of a program's own that could be interrupted by a handler: its signals are blocked.
    if session.has_records() { lock().drain(&session.spool, until) } else { 0 }
}

fn drain_all(logger: &mut Logger) {
    if let Some(session) = logger.session.clone() {
        logger.drain(&session.spool, u64::MAX);
    }
}

/// Waits for the end of a session's writer, without the lock that it takes.
fn dismiss(session: Option<Arc<Session>>) {
    if let Some(writer) = session.and_then(|session| session.dismiss()) {
        // It does not panic; if it did, the panic has been recorded.
        let _ = writer.join();
    }
}

/// The first record of a thread in a session; in direct mode and without a log, every one.
#[cold]
fn first(entry: &mut Entry<'_>) -> Result<(), Error> {
    entry.tid = unistd::gettid().as_raw();
    wall::ask_for_zone(entry.stamp);
    let mut logger = lock();
    if logger.sink.is_none() {
        return Ok(());
    }
    if logger.mode == Mode::Direct || logger.directly > 0 {
        logger.directly = logger.directly.saturating_sub(1);
        return logger.write(entry);
    }
    if sitting::is_leaving() {
        return logger.write(entry);
    }
    let seat = match take_seat(&mut logger).or_else(|_| {
        // A program that has become another user may not enlarge the file it made before: its next one is his.
        logger.end_session();
        take_seat(&mut logger)
    }) {
        Ok(seat) => seat,
        Err(error) => {
            // It is slower, but nothing is lost.
            logger.tell(Level::Warn, &format!("{error}; records are written directly from now on"));
            logger.mode = Mode::Direct;
            return logger.write(entry);
        }
    };
    let epoch = EPOCH.load(Ordering::Relaxed);
    drop(logger);
    static AT_EXIT: Once = Once::new();
    AT_EXIT.call_once(|| fork::at_exit(at_exit));
    // Where it is none any more, the session has ended since; the next record finds out.
    sitting::sit_down(epoch, seat, entry).unwrap_or_else(|| lock().write(entry))
}

fn take_seat(logger: &mut Logger) -> Result<Seat, Error> {
    logger.session()?.seat().map_err(|error| Error::file("add a ring for", "the log", error))
}

/// The name of the program, for the outputs of a process that has no log open yet.
fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_name().map_or_else(|| "msf".to_owned(), |name| name.to_string_lossy().into_owned())
}

pub(super) fn lock() -> MutexGuard<'static, Logger> {
    static HOOKS: Once = Once::new();
    // Without the hooks a child forked in the middle of a record would wait for the lock for ever; registering fails
    // only without memory, and then a process has other worries.
    HOOKS.call_once(|| {
        let _ = fork::around(before_fork, after_fork, in_the_child);
    });
    LOGGER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes the rest when the program ends; what other threads log from here on is written directly.
extern "C" fn at_exit() {
    let Ok(_inside) = Inside::enter() else { return };
    let ended = {
        let mut logger = lock();
        logger.mode = Mode::Direct;
        logger.end_session()
    };
    dismiss(ended);
}

extern "C" fn before_fork() {
    if Inside::is_here() {
        return;
    }
    let mut guard = lock();
    // The child has no copy of what its parent has not written yet, and its first record comes behind them.
    drain_all(&mut guard);
    // Where a thread that is being destroyed forks, the lock is given back at once: better than never.
    let _ = FORKING.try_with(|held| held.replace(Some(guard)));
}

extern "C" fn after_fork() {
    let _ = FORKING.try_with(|held| held.replace(None));
}

/// The child has neither the writer nor the memory of the rings. What belongs to them is forgotten, not dropped: their
/// locks may be held by threads that do not exist here, and the addresses are no longer a mapping of ours.
extern "C" fn in_the_child() {
    mem::forget(sitting::get_up());
    let guard = FORKING.try_with(RefCell::take).ok().flatten();
    if let Some(mut logger) = guard {
        mem::forget(logger.session.take());
        logger.directly = IN_A_CHILD;
    }
    EPOCH.fetch_add(1, Ordering::Relaxed);
}

/// Says on stderr that a setting in the environment makes no sense.
pub(super) fn say(text: &str) {
    complain(text);
}

thread_local! {
    static FORKING: RefCell<Option<MutexGuard<'static, Logger>>> = const { RefCell::new(None) };
}

pub(super) static LOGGER: Mutex<Logger> = Mutex::new(Logger::new());
/// What happens to a record without room: it is dropped.
pub(super) static DROPS: AtomicBool = AtomicBool::new(false);
/// A forked child writes as many records directly before it gets rings and a writer of its own: most end sooner.
const IN_A_CHILD: u32 = 256;
