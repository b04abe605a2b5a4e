//! The process's one logger: its lock, its settings, and what it does about fork and a full disk.
//!
//! The time stamp is made and the line is written under one lock, so the lines of a file are in the order of their
//! stamps, and a fork (which takes the lock before and gives it back on both sides after) never copies it held.

use super::Level;
use super::record::{self, Source};
use super::rotate::Limit;
use super::sink::Sink;
use crate::error::Error;
use crate::sys::{fork, place, stderr, wall::Stamp};
use nix::errno::Errno;
use nix::unistd;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

/// Opens `path` as the process's log, creating missing folders; a log that was open is closed once this one is open.
///
/// Fails, and leaves things as they were, when the file cannot be opened for appending.
pub fn open(path: &Path) -> Result<(), Error> {
    let _inside = Inside::enter()?;
    let mut logger = lock();
    logger.stamp.forget();
    logger.sink = Some(Sink::open(path)?);
    logger.lost = 0;
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
    let path = place::log_dir()?.join(format!("{name}.log"));
    let _inside = Inside::enter()?;
    let mut logger = lock();
    if logger.sink.is_none() {
        logger.stamp.forget();
        logger.sink = Some(Sink::open(&path)?);
        logger.lost = 0;
    }
    Ok(())
}

/// Closes the log; later records reach stderr only. Does nothing when none is open.
pub fn close() {
    if let Ok(_inside) = Inside::enter() {
        lock().sink = None;
    }
}

/// Opens the log's name again after somebody else has renamed the file. Fails with ENOENT when no log is open.
pub fn reopen() -> Result<(), Error> {
    let _inside = Inside::enter()?;
    let mut logger = lock();
    logger.stamp.forget();
    match logger.sink.as_mut() {
        Some(sink) => sink.reopen(),
        None => Err(Error::System { doing: "reopen the log: none is open", source: Errno::ENOENT }),
    }
}

/// Begins a new file after `bytes` (at least 4096) and keeps `files` renamed ones (at most 99; with 0 a full file is
/// removed). Default: 10 MiB, 5 files.
pub fn limit(bytes: u64, files: u32) -> Result<(), Error> {
    let limit = Limit::checked(bytes, files)?;
    let _inside = Inside::enter()?;
    lock().limit = limit;
    Ok(())
}

/// Drops records above `level` from now on, on stderr as well. Default: [`Level::Info`], everything is written.
pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// Writes one record. What becomes of it is not told: a program does not stop because its disk is full.
pub fn write(level: Level, module: &str, func: &str, file: &str, line: u32, text: fmt::Arguments<'_>) {
    if level as u8 > LEVEL.load(Ordering::Relaxed) {
        return;
    }
    let source =
        Source { module: module.as_bytes(), func: func.as_bytes(), file: file.as_bytes(), line: i64::from(line) };
    let written = match text.as_str() {
        Some(text) => write_bytes(level, &source, text.as_bytes()),
        None => write_bytes(level, &source, text.to_string().as_bytes()),
    };
    // The disk being full has been said on stderr once.
    drop(written);
}

/// Writes one record whose parts may be any bytes, and tells whether it is in the file (or the log is not open).
pub fn write_bytes(level: Level, source: &Source<'_>, text: &[u8]) -> Result<(), Error> {
    if level as u8 > LEVEL.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut tail = Vec::with_capacity(text.len() + 160);
    // Both are asked for each time: a cached number would be the parent's after a fork.
    let (pid, tid) = (unistd::getpid().as_raw(), unistd::gettid().as_raw());
    record::compose(&mut tail, level, source, text, pid, tid);
    let Ok(inside) = Inside::enter() else {
        // A signal handler interrupted this very thread inside the logger: waiting for the lock would never end.
        stderr::write(&[b"[?".as_slice(), &tail].concat());
        return Err(Error::Reentered);
    };
    let mut line = Vec::with_capacity(tail.len() + 24);
    let written = lock().write(&mut line, &tail);
    // Outside the lock: a reader of stderr who does not read must not stop the other threads.
    drop(inside);
    if level < Level::Info {
        stderr::write(&line);
    }
    written
}

/// Writes the message of every later panic of this process's Rust code as a [`Level::Fatal`] record.
pub fn record_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let (file, line) = panic.location().map_or(("?", 0), |at| (at.file(), at.line()));
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("?");
            let text = panic.payload_as_str().unwrap_or("a value that is no text");
            write(Level::Fatal, "PANIC", name, file, line, format_args!("{text}"));
        }));
    });
}

/// Everything behind the lock.
struct Logger {
    sink: Option<Sink>,
    limit: Limit,
    stamp: Stamp,
    /// Records that could not be written since the last one that could.
    lost: u64,
    said: Option<Instant>,
}

impl Logger {
    /// Completes the line in `line` and appends it to the file, if one is open.
    fn write(&mut self, line: &mut Vec<u8>, tail: &[u8]) -> Result<(), Error> {
        line.push(b'[');
        line.extend_from_slice(self.stamp.now().as_bytes());
        let stamped = line.len();
        line.extend_from_slice(tail);
        let Some(sink) = self.sink.as_mut() else { return Ok(()) };
        if self.lost > 0 {
            let mut notice = line[..stamped].to_vec();
            gap(&mut notice, self.lost);
            if sink.append(&notice, &self.limit, complain).is_ok() {
                self.lost = 0;
            }
        }
        let written = sink.append(line, &self.limit, complain);
        if let Err(error) = &written {
            self.lost += 1;
            if self.said.is_none_or(|said| self.lost == 1 && said.elapsed() > BETWEEN_COMPLAINTS) {
                self.said = Some(Instant::now());
                complain(&format!("{error}; records for {} are lost until it works again", sink.path().display()));
            }
        }
        written
    }
}

/// The record that stands where `lost` others should.
fn gap(line: &mut Vec<u8>, lost: u64) {
    let source = Source { module: b"LOG", func: b"write", file: file!().as_bytes(), line: i64::from(line!()) };
    let text = format!("{lost} records before this one could not be written");
    let (pid, tid) = (unistd::getpid().as_raw(), unistd::gettid().as_raw());
    record::compose(line, Level::Warn, &source, text.as_bytes(), pid, tid);
}

fn complain(text: &str) {
    stderr::write(format!("msf log: {text}\n").as_bytes());
}

fn lock() -> MutexGuard<'static, Logger> {
    static HOOKS: Once = Once::new();
    // Without the hooks a child forked in the middle of a record would wait for the lock for ever; registering fails
    // only without memory, and then a process has other worries.
    HOOKS.call_once(|| {
        let _ = fork::around(before_fork, after_fork, after_fork);
    });
    LOGGER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Marks this thread as being inside the logger, so that a signal handler does not wait for its own thread.
struct Inside;

impl Inside {
    fn enter() -> Result<Inside, Error> {
        // During the destruction of a thread the mark is gone; then there is no nesting to fear.
        match INSIDE.try_with(|inside| inside.replace(true)) {
            Ok(true) => Err(Error::Reentered),
            Ok(false) | Err(_) => Ok(Inside),
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = INSIDE.try_with(|inside| inside.set(false));
    }
}

extern "C" fn before_fork() {
    let inside = INSIDE.try_with(Cell::get).unwrap_or(false);
    if !inside {
        let guard = lock();
        // Where a thread that is being destroyed forks, the lock is given back at once: better than never.
        let _ = FORKING.try_with(|held| held.replace(Some(guard)));
    }
}

extern "C" fn after_fork() {
    let _ = FORKING.try_with(|held| held.replace(None));
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static FORKING: RefCell<Option<MutexGuard<'static, Logger>>> = const { RefCell::new(None) };
}

static LOGGER: Mutex<Logger> =
    Mutex::new(Logger { sink: None, limit: Limit::DEFAULT, stamp: Stamp::new(), lost: 0, said: None });
static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// A full disk is told once, and once more when it fills up again later, but not at every record in between.
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(60);
