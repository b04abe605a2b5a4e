//! What the process's log consists of, and the one way into the file: everything here happens under one lock.
//!
//! Whoever holds the lock may write what is in the rings: the writer thread as a rule, but also a caller whose ring is
//! full, who flushes, or who closes the log. So nobody ever waits for a thread that may not be there.

use super::entry::Entry;
use super::output::Outputs;
use super::record::{self, Source, Tail};
use super::ring::Ring;
use super::rotate::Limit;
use super::session::{EPOCH, Session};
use super::sink::Sink;
use super::spool::{RINGS, Spool};
use super::writer;
use super::{Level, Mode, Stats};
use crate::error::Error;
use crate::sys::{stderr, wall, wall::Stamp};
use nix::errno::Errno;
use nix::unistd;
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Everything behind the lock.
#[derive(Debug)]
pub(super) struct Logger {
    pub sink: Option<Sink>,
    /// None until the first record that goes through a ring, and in direct mode.
    pub session: Option<Arc<Session>>,
    pub limit: Limit,
    /// What the process asked for whose records are being taken over, as long as they are: it is its log.
    pub inherited: Option<Limit>,
    pub mode: Mode,
    /// Bytes of each ring of the sessions to come.
    pub capacity: u32,
    pub outputs: Outputs,
    /// Records still to be written directly, whatever the mode: a child that logs one line and ends needs no thread.
    pub directly: u32,
    pub stats: Stats,
    stamp: Stamp,
    tail: Tail,
    lines: Vec<u8>,
    cursors: Vec<Cursor>,
    /// Records that could not be written since the last one that could.
    lost: u64,
    said: Option<Instant>,
}

/// How far a ring has been read in this pass.
#[derive(Debug)]
pub(super) struct Cursor {
    ring: Ring,
    at: u32,
    end: u32,
    stamp: u64,
}

impl Logger {
    pub const fn new() -> Logger {
        Logger {
            sink: None,
            session: None,
            limit: Limit::DEFAULT,
            inherited: None,
            mode: Mode::Ring,
            capacity: DEFAULT_CAPACITY,
            outputs: Outputs::NONE,
            directly: 0,
            stats: Stats::NONE,
            stamp: Stamp::new(),
            tail: Tail::new(),
            lines: Vec::new(),
            cursors: Vec::new(),
            lost: 0,
            said: None,
        }
    }

    /// Opens `path`; what was open is closed once this one is. Returns the session that has ended, if one has.
    pub fn open(&mut self, path: &Path) -> Result<Option<Arc<Session>>, Error> {
        let sink = Sink::open(path)?;
        let same = self.sink.as_ref().is_some_and(|open| open.path() == sink.path());
        self.stamp.forget();
        if same {
            self.sink = Some(sink);
            return Ok(None);
        }
        let ended = self.end_session();
        self.sink = Some(sink);
        (self.lost, self.directly) = (0, 0);
        self.recover();
        Ok(ended)
    }

    /// Opens the file under the log's name anew.
    pub fn reopen(&mut self) -> Result<(), Error> {
        self.stamp.forget();
        match self.sink.as_mut() {
            Some(sink) => sink.reopen(),
            None => Err(Error::System { doing: "reopen the log: none is open", source: Errno::ENOENT }),
        }
    }

    /// Writes everything and closes the log. Returns the session that has ended, if one has.
    pub fn close(&mut self) -> Option<Arc<Session>> {
        let ended = self.end_session();
        // A child that has ended with _exit may have left something.
        self.recover();
        self.sink = None;
        self.outputs.close();
        ended
    }

    /// From here on authors write themselves. What is in the rings is written, their file removed.
    pub fn end_session(&mut self) -> Option<Arc<Session>> {
        let session = self.session.take()?;
        EPOCH.fetch_add(1, Ordering::Relaxed);
        session.close();
        self.drain(&session.spool, u64::MAX);
        self.stats.dropped += session.dropped();
        session.spool.remove();
        Some(session)
    }

    /// The session, which begins with the first record. Without a thread to write there is none.
    pub fn session(&mut self) -> Result<Arc<Session>, Error> {
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        let sink = self.sink.as_ref();
        let kept = sink.filter(|sink| sink.is_a_file()).map(|sink| Spool::create(sink.path(), self.capacity));
        let spool = match kept {
            Some(Ok(spool)) => spool,
            Some(Err(error)) => {
                let text = format!("{error}; what is not written yet would be lost with the process");
                self.tell(Level::Warn, &text);
                in_memory(self.capacity)?
            }
            None => in_memory(self.capacity)?,
        };
        spool.set_limit(&self.limit);
        // The writer must not wait for memory: a handler that waits for room may have interrupted its thread in malloc.
        self.cursors.reserve(RINGS as usize);
        self.lines.reserve(BATCH as usize + 2 * self.capacity as usize);
        let session = Arc::new(Session::new(spool));
        writer::start(&session)?;
        self.session = Some(session.clone());
        Ok(session)
    }

    /// Writes what is in the rings of `spool` and not younger than `until`, oldest first. Returns how many records.
    ///
    /// A record that was written after another one's call had returned (on whichever thread) has a later stamp, so with
    /// `until` taken before the rings are looked at, none can overtake its cause.
    pub fn drain(&mut self, spool: &Spool, until: u64) -> u64 {
        let mut cursors = mem::take(&mut self.cursors);
        cursors.clear();
        cursors.extend(cursors_of(spool, |ring| ring.positions().waiting()));
        let mut total = 0;
        loop {
            let count = self.compose(spool, &mut cursors, until, self.batch_size(), true);
            if count == 0 {
                break;
            }
            self.write_batch(spool, &cursors, count);
            total += count;
        }
        self.cursors = cursors;
        self.tell_dropped(spool);
        total
    }

    /// As [`Logger::drain`], but one batch only, and only where that asks for no memory: whoever calls may be a signal
    /// handler. False: nothing was written.
    pub fn help(&mut self, spool: &Spool, until: u64) -> bool {
        let most = self.batch_size() + 2 * self.capacity as usize;
        let takes = |sink: &Sink| sink.takes(most as u64, &self.limit);
        if self.lost > 0
            || self.lines.capacity() < most
            || !self.outputs.is_empty()
            || !self.sink.as_ref().is_some_and(takes)
        {
            return false;
        }
        let mut cursors = mem::take(&mut self.cursors);
        cursors.clear();
        cursors.extend(cursors_of(spool, |ring| ring.positions().waiting()));
        let count = self.compose(spool, &mut cursors, until, self.batch_size(), true);
        if count > 0 {
            self.write_batch(spool, &cursors, count);
        }
        self.cursors = cursors;
        count > 0
    }

    /// Puts up to `size` bytes of lines, oldest records first, into `lines`. Returns how many.
    pub fn compose(&mut self, spool: &Spool, cursors: &mut [Cursor], until: u64, size: usize, fresh: bool) -> u64 {
        self.lines.clear();
        let (pid, mut count) = (spool.pid(), 0);
        let plain = !fresh || self.outputs.is_empty();
        while self.lines.len() < size {
            let Some((next, others)) = oldest(cursors) else { break };
            // As long as the same ring has the oldest.
            while next.at != next.end && next.stamp <= others && self.lines.len() < size {
                if next.stamp > until && next.stamp - until < CLOCK_WAS_SET {
                    next.end = next.at;
                    break;
                }
                let Some(behind) = self.compose_one(next, pid, plain) else {
                    // Somebody has written into the ring who is not its author: what is in it makes no sense any more.
                    (next.at, count) = (next.end, count + 1);
                    self.lines.extend_from_slice(b"[?][LOG][WARN][drain ring] a damaged ring was given up\n");
                    break;
                };
                next.advance(behind);
                count += 1;
            }
        }
        count
    }

    /// The line of the record that is next there, and where the one behind it is. None: it makes no sense.
    #[inline]
    fn compose_one(&mut self, next: &Cursor, pid: i32, plain: bool) -> Option<u32> {
        let (place, behind) = next.ring.entry(next.at, next.end)?;
        if let Some((tid, line)) = Entry::line_at(place).filter(|_| plain) {
            self.lines.push(b'[');
            self.lines.extend_from_slice(self.stamp.at(next.stamp));
            self.lines.extend_from_slice(line);
            self.lines.extend_from_slice(self.tail.of(pid, tid));
            return Some(behind);
        }
        let entry = Entry::at(place)?;
        self.lines.push(b'[');
        self.lines.extend_from_slice(self.stamp.at(next.stamp));
        match entry.line {
            Some(line) => self.lines.extend_from_slice(line),
            None => record::begin(&mut self.lines, entry.level, &entry.source, entry.text),
        }
        self.lines.extend_from_slice(self.tail.of(pid, entry.tid));
        if !plain {
            self.outputs.give(&entry, pid);
        }
        Some(behind)
    }

    /// The lines that [`Logger::compose`] made last.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Writes what was composed, between the two marks that make it appear exactly once, whenever the process is killed.
    fn write_batch(&mut self, spool: &Spool, cursors: &[Cursor], count: u64) {
        for ring in spool.rings() {
            let positions = ring.positions();
            positions.intend(positions.waiting().0);
        }
        for cursor in cursors {
            cursor.ring.positions().intend(cursor.at);
        }
        let written = match self.sink.take() {
            Some(mut sink) => {
                let written = self.write_between(&mut sink, spool);
                self.sink = Some(sink);
                self.account(count, written)
            }
            None => Ok(()),
        };
        // Who is told of it is stderr; the callers have returned long ago.
        drop(written);
        spool.finish();
        self.outputs.flush(&self.limit);
    }

    fn write_between(&mut self, sink: &mut Sink, spool: &Spool) -> Result<(), Error> {
        self.tell_lost(sink);
        let spot = sink.prepare(self.lines.len() as u64, self.log_limit(), complain)?;
        spool.begin(spot);
        sink.write(&self.lines)
    }

    /// Writes one record at once, behind everything that is in the rings.
    pub fn write(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        if let Some(session) = self.session.clone() {
            self.drain(&session.spool, u64::MAX);
        }
        let Some(mut sink) = self.sink.take() else { return Ok(()) };
        let mut line = vec![b'['];
        line.extend_from_slice(self.stamp.at(entry.stamp));
        let pid = unistd::getpid().as_raw();
        record::compose(&mut line, entry.level, &entry.source, entry.text, pid, entry.tid);
        self.tell_lost(&mut sink);
        let written = sink.append(&line, &self.limit, complain);
        self.sink = Some(sink);
        self.outputs.give(entry, pid);
        self.outputs.flush(&self.limit);
        self.account(1, written)
    }

    /// Counts what was written or lost, and says the first loss on stderr.
    fn account(&mut self, count: u64, written: Result<(), Error>) -> Result<(), Error> {
        match &written {
            Ok(()) => self.stats.written += count,
            Err(error) => {
                let first = self.lost == 0;
                self.lost += count;
                self.stats.lost += count;
                if first && self.said.is_none_or(|said| said.elapsed() > BETWEEN_COMPLAINTS) {
                    self.said = Some(Instant::now());
                    let path = self.sink.as_ref().map(|sink| sink.path().display().to_string()).unwrap_or_default();
                    complain(&format!("{error}; records for {path} are lost until it works again"));
                }
            }
        }
        written
    }

    /// The record that stands where lost ones should, as soon as it can be written.
    fn tell_lost(&mut self, sink: &mut Sink) {
        if self.lost > 0 {
            let text = format!("{} records before this one could not be written", self.lost);
            let notice = self.notice(Level::Warn, &text);
            if sink.append(&notice, self.log_limit(), complain).is_ok() {
                self.lost = 0;
            }
        }
    }

    fn tell_dropped(&mut self, spool: &Spool) {
        let dropped: u64 = spool.rings().map(|ring| u64::from(ring.positions().untold())).sum();
        if dropped > 0 {
            for ring in spool.rings() {
                ring.positions().tell(ring.positions().untold());
            }
            self.tell(Level::Warn, &format!("{dropped} records before this one were dropped: the rings were full"));
        }
    }

    /// Writes a record of the logger's own.
    pub fn tell(&mut self, level: Level, text: &str) {
        if let Some(mut sink) = self.sink.take() {
            let notice = self.notice(level, text);
            let written = sink.append(&notice, self.log_limit(), complain);
            self.sink = Some(sink);
            // It was not asked for, so it does not count as lost.
            drop(written);
        }
    }

    fn notice(&mut self, level: Level, text: &str) -> Vec<u8> {
        let mut line = vec![b'['];
        line.extend_from_slice(self.stamp.at(wall::moment()));
        let source = Source { module: b"LOG", func: b"write", file: file!().as_bytes(), line: i64::from(line!()) };
        let (pid, tid) = (unistd::getpid().as_raw(), unistd::gettid().as_raw());
        record::compose(&mut line, level, &source, text.as_bytes(), pid, tid);
        line
    }

    /// The log's own limit; what is beside it, and this process's, goes by `limit`.
    pub fn log_limit(&self) -> &Limit {
        self.inherited.as_ref().unwrap_or(&self.limit)
    }

    /// How much is written at once: little of a small file, so that several processes do not overfill it.
    fn batch_size(&self) -> usize {
        (self.log_limit().bytes / 8).clamp(1, BATCH) as usize
    }
}

impl Cursor {
    fn advance(&mut self, to: u32) {
        self.at = to;
        let next = if to == self.end { None } else { self.ring.entry(to, self.end) };
        self.stamp = next.and_then(|(bytes, _)| Entry::stamp_at(bytes)).unwrap_or(0);
    }
}

/// The cursor with the oldest record, and the stamp of the oldest one of all others.
fn oldest(cursors: &mut [Cursor]) -> Option<(&mut Cursor, u64)> {
    let (mut first, mut found, mut others) = (u64::MAX, None, u64::MAX);
    for cursor in cursors.iter_mut().filter(|cursor| cursor.at != cursor.end) {
        if found.is_none() || cursor.stamp < first {
            (others, first, found) = (first, cursor.stamp, Some(cursor));
        } else {
            others = others.min(cursor.stamp);
        }
    }
    Some((found?, others))
}

/// The rings of `spool` that hold anything between the positions that `range` tells of each.
pub(super) fn cursors_of(spool: &Spool, range: impl Fn(Ring) -> (u32, u32)) -> impl Iterator<Item = Cursor> {
    spool.rings().filter_map(move |ring| {
        let (at, end) = range(ring);
        let end = if ring.is_sound(at, end) { end } else { at };
        let mut cursor = Cursor { ring, at, end, stamp: 0 };
        cursor.advance(at);
        (at != end).then_some(cursor)
    })
}

fn in_memory(capacity: u32) -> Result<Spool, Error> {
    Spool::in_memory(capacity).map_err(|error| Error::file("create the rings", "memory", error))
}

pub(super) fn complain(text: &str) {
    stderr::write(format!("msf log: {text}\n").as_bytes());
}

/// A full disk is told once, and once more when it fills up again later, but not at every record in between.
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(60);
/// Bytes that are written with one call, as a rule.
const BATCH: u64 = 32 * 1024;
/// A record from further in the future was written before the clock was set back: waiting for its time makes no sense.
const CLOCK_WAS_SET: u64 = 1_000_000_000;
/// Larger ones were slower: what the caller writes next should still be in a cache.
pub(super) const DEFAULT_CAPACITY: u32 = 64 * 1024;
