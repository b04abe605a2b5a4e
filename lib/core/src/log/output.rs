//! Where records go beside the file: a file of JSON lines, syslog, systemd's journal. At most one of each.
//!
//! The log file is the one that promises something. A socket whose reader is gone, or does not keep up, is not waited
//! for: what it did not take is counted.

use super::datagram::{Datagrams, Style};
use super::entry::Entry;
use super::json;
use super::rotate::Limit;
use super::sink::Sink;
use crate::error::Error;
use std::path::{Path, PathBuf};

/// A kind of place for records beside the log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A file with one JSON object per line, which rotates like the log.
    JsonLines(PathBuf),
    /// Datagrams as RFC 3164 has them, which is what most listeners at `/dev/log` expect. None: `/dev/log`.
    Syslog(Option<PathBuf>),
    /// Datagrams as RFC 5424 has them. None: `/dev/log`.
    Syslog5424(Option<PathBuf>),
    /// The native protocol of systemd's journal. None: `/run/systemd/journal/socket`.
    Journal(Option<PathBuf>),
}

/// The outputs that are open.
#[derive(Debug)]
pub(super) struct Outputs {
    json: Option<Sink>,
    lines: Vec<u8>,
    datagrams: [Option<Datagrams>; 3],
    /// Records that one of them did not take.
    pub refused: u64,
}

impl Outputs {
    pub const NONE: Outputs = Outputs { json: None, lines: Vec::new(), datagrams: [None, None, None], refused: 0 };

    /// Opens one more; one of its kind that was open is closed.
    pub fn open(&mut self, output: &Output, name: &str) -> Result<(), Error> {
        let (slot, style, path, usual) = match output {
            Output::JsonLines(path) => {
                self.json = Some(Sink::open(path)?);
                return Ok(());
            }
            Output::Syslog(path) => (0, Style::Rfc3164, path, SYSLOG),
            Output::Syslog5424(path) => (1, Style::Rfc5424, path, SYSLOG),
            Output::Journal(path) => (2, Style::Journal, path, JOURNAL),
        };
        let path = path.as_deref().unwrap_or(Path::new(usual));
        let opened = Datagrams::open(path, style, name).map_err(|error| Error::file("reach", path, error))?;
        if let Some(place) = self.datagrams.get_mut(slot) {
            *place = Some(opened);
        }
        Ok(())
    }

    /// Closes the one of the same kind as `output`. False: there was none.
    pub fn remove(&mut self, output: &Output) -> bool {
        match output {
            Output::JsonLines(_) => self.json.take().is_some(),
            Output::Syslog(_) => self.datagrams[0].take().is_some(),
            Output::Syslog5424(_) => self.datagrams[1].take().is_some(),
            Output::Journal(_) => self.datagrams[2].take().is_some(),
        }
    }

    pub fn close(&mut self) {
        self.json = None;
        self.datagrams = [None, None, None];
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.json.is_none() && self.datagrams.iter().all(Option::is_none)
    }

    /// Hands a record to all of them.
    #[inline]
    pub fn give(&mut self, entry: &Entry<'_>, pid: i32) {
        if self.json.is_some() {
            json::compose(&mut self.lines, entry, pid);
        }
        for datagrams in self.datagrams.iter_mut().flatten() {
            self.refused += u64::from(datagrams.send(entry, pid).is_err());
        }
    }

    /// Writes what was only gathered so far.
    #[inline]
    pub fn flush(&mut self, limit: &Limit) {
        if let Some(sink) = self.json.as_mut().filter(|_| !self.lines.is_empty()) {
            let count = self.lines.iter().filter(|byte| **byte == b'\n').count() as u64;
            // The log itself tells of a disk that is full.
            self.refused += if sink.append(&self.lines, limit, |_| ()).is_err() { count } else { 0 };
            self.lines.clear();
        }
    }
}

const SYSLOG: &str = "/dev/log";
const JOURNAL: &str = "/run/systemd/journal/socket";
