//! What is kept of the services outside of this process, so that a daemon after us finds them again: the file
//! `msf_daemon.state` in the run directory.
//!
//! One line for each thing that happens, appended in one write: a checksum, and a JSON object that says all there is to
//! know of one service. The last line of a service counts. A line that is broken is passed over; a file of another run of
//! the machine is nobody's. When much of the file is history it is written anew, aside, and takes the old one's place.
//! Room for that history is taken beforehand: a disk that becomes full makes nobody unknown for a while.

use crate::face::json::{Value, json, parse};
use crate::run::driver::MODULE;
use msf_core::crypto::crc32;
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::{Birth, boot};
use nix::fcntl::{FallocateFlags, fallocate};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    boot: String,
    file: Option<File>,
    /// Bytes in it.
    length: usize,
    /// Bytes in it when it was last written anew.
    fresh: usize,
    /// Something could not be written, and the log knows.
    lacks: bool,
}

/// Everything about one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The number of the last event when it was written.
    pub seq: u64,
    /// Its name.
    pub name: String,
    /// Its phase, as [`crate::law::life::Phase::word`] has it.
    pub phase: String,
    /// What comes after its end, while it is told to end.
    pub again: bool,
    /// Somebody has stopped it by hand.
    pub by_hand: bool,
    /// Its process.
    pub process: Option<Birth>,
    /// Marks the environment of the process that was about to be made.
    pub mark: String,
    /// Since when it is up, in milliseconds of the monotonic clock.
    pub up_since: Option<u64>,
    /// How often it was started again by itself.
    pub restarts: u64,
    /// Its deaths: taken from the bucket, since when that refills (monotonic milliseconds), delays.
    pub tally: (u32, Option<u64>, u32),
    /// Stands for what it is run with.
    pub launch: u32,
    /// How it is told to end.
    pub stop: (String, u64),
    /// How it ended the last time: words, code, signal, when (monotonic milliseconds).
    pub last: Option<(String, Option<i32>, Option<i32>, u64)>,
    /// Where a successor finds it.
    pub from: Option<String>,
    /// Who is to take its place, or is about to be made for that.
    pub heir: Option<HeirRecord>,
    /// Those that were replaced, and have not ended.
    pub left: Vec<Birth>,
    /// Its alarms that are open: kinds and severities.
    pub alarms: Vec<(String, String)>,
    /// What is kept for it: names, and numbers of the open files.
    pub kept: Vec<(String, u64)>,
}

/// About one who is to take another's place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeirRecord {
    /// The process; `None` as long as it is being made.
    pub process: Option<Birth>,
    /// Marks its environment.
    pub mark: String,
    /// The number of the pipe on which it says that it is ready.
    pub pipe: u64,
    /// Where its own successor finds it.
    pub from: Option<String>,
}

impl Store {
    /// The one in `run_dir`. Nothing is written yet.
    pub fn new(run_dir: &Path) -> Store {
        let boot = boot().unwrap_or_default();
        Store { path: run_dir.join(FILE), boot, file: None, length: 0, fresh: 0, lacks: false }
    }

    /// What a daemon before us has left, by name. The file is written anew with just that.
    pub fn take_over(&mut self) -> HashMap<String, Record> {
        let bytes = self.read();
        let mut before = HashMap::new();
        let found = records(&bytes, &self.boot);
        self.replace(found.into_iter().map(|(record, line)| {
            before.insert(record.name.clone(), record);
            [line, b"\n"].concat()
        }));
        before
    }

    fn read(&self) -> Vec<u8> {
        match bytes_of(&self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => {
                log!(Level::Error, MODULE, "{}: what ran before is not known: {e}", self.path.display());
                Vec::new()
            }
        }
    }

    /// Adds what is to be known of one service now. Whether the file should be written anew: it has become long, or lacks
    /// something.
    pub fn append(&mut self, record: &Record) -> bool {
        let mut line = line(&record.document());
        if self.lacks {
            // Half of a line may be there.
            line.insert(0, b'\n');
        }
        let written = match &mut self.file {
            Some(file) => file.write_all(&line),
            None => Ok(()),
        };
        self.length += line.len();
        if let Err(e) = written {
            self.complain(&e);
        }
        self.lacks || self.length > self.most()
    }

    /// Bytes of a file that has become long.
    fn most(&self) -> usize {
        4 * self.fresh + ROOM
    }

    /// Writes all of it anew.
    pub fn renew(&mut self, records: impl Iterator<Item = Record>) {
        self.replace(records.map(|record| line(&record.document())));
    }

    /// With these lines.
    fn replace(&mut self, lines: impl Iterator<Item = Vec<u8>>) {
        let mut bytes = line(&json!({"format": 1, "boot": self.boot}));
        lines.for_each(|line| bytes.extend(line));
        let aside = self.aside();
        // Whatever lies there, a daemon before us may have died over it.
        let _ = fs::remove_file(&aside);
        let mut options = File::options();
        options.create_new(true).write(true).mode(0o600);
        let written = options.open(&aside).and_then(|mut file| {
            file.write_all(&bytes)?;
            fs::rename(&aside, &self.path)?;
            Ok(file)
        });
        match written {
            Ok(file) => {
                self.file = Some(file);
                (self.length, self.fresh) = (bytes.len(), bytes.len());
                self.lacks = false;
                self.reserve();
            }
            Err(e) => {
                // It would take the room that the one in use needs, which is long, but lacks nothing more than before.
                let _ = fs::remove_file(&aside);
                self.fresh = self.length;
                if self.file.is_none() {
                    self.complain(&e);
                }
            }
        }
    }

    /// Where that cannot be, there is as much room as there is.
    fn reserve(&self) {
        let most = libc::off_t::try_from(self.most()).unwrap_or(libc::off_t::MAX);
        if let Some(file) = &self.file {
            let _ = fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, most);
        }
    }

    /// Everything is stopped: there is nothing to be found again.
    pub fn remove(&mut self) {
        self.file = None;
        let _ = fs::remove_file(&self.path);
        // A daemon before us may have died before this took its place.
        let _ = fs::remove_file(self.aside());
    }

    fn aside(&self) -> PathBuf {
        self.path.with_extension("state.new")
    }

    fn complain(&mut self, error: &io::Error) {
        if !self.lacks {
            let path = self.path.display();
            log!(Level::Error, MODULE, "{path}: a daemon after this one will not know what runs: {error}");
        }
        self.lacks = true;
    }
}

/// All of the file, which is a file: a pipe would be waited for.
fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("is not a file"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The last record of each service, with its line; none of a file of another run of the machine.
fn records<'a>(bytes: &'a [u8], boot: &str) -> Vec<(Record, &'a [u8])> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let head = lines.find_map(document);
    if !head.is_some_and(|head| head["format"] == 1 && head["boot"] == boot && !boot.is_empty()) {
        return Vec::new();
    }
    let (mut known, mut found) = (HashSet::new(), Vec::new());
    // From the end: most lines are history, and that is not even parsed.
    for line in lines.rev() {
        let Some(name) = name_in(line).filter(|name| !known.contains(name)) else { continue };
        if let Some(record) = document(line).and_then(|document| Record::of(&document)) {
            known.insert(name);
            found.push((record, line));
        }
    }
    found
}

/// The name in a line, as it is written there: quotation marks in texts have a backslash in front, so nothing else looks
/// like its key.
fn name_in(line: &[u8]) -> Option<&str> {
    let (_, behind) = std::str::from_utf8(line).ok()?.split_once(NAME)?;
    Some(behind.split_once("\",\"")?.0)
}

fn line(document: &Value) -> Vec<u8> {
    let text = document.to_string();
    format!("{:08x} {text}\n", crc32(text.as_bytes())).into_bytes()
}

fn document(line: &[u8]) -> Option<Value> {
    let (sum, text) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    (crc32(text.as_bytes()) == sum).then(|| parse(text))?
}

impl Record {
    fn document(&self) -> Value {
        let birth = |birth: &Birth| json!([birth.pid, birth.ticks]);
        let heir = |heir: &HeirRecord| json!([heir.process.as_ref().map(birth), heir.mark, heir.pipe, heir.from]);
        json!({
            "seq": self.seq,
            "name": self.name,
            "phase": self.phase,
            "again": self.again,
            "by_hand": self.by_hand,
            "process": self.process.as_ref().map(birth),
            "mark": self.mark,
            "up_since": self.up_since,
            "restarts": self.restarts,
            "tally": [self.tally.0, self.tally.1, self.tally.2],
            "launch": self.launch,
            "stop": [self.stop.0, self.stop.1],
            "last": self.last.as_ref().map(|(reason, code, signal, at)| json!([reason, code, signal, at])),
            "from": self.from,
            "heir": self.heir.as_ref().map(heir),
            "left": self.left.iter().map(birth).collect::<Vec<_>>(),
            "alarms": self.alarms,
            "kept": self.kept,
        })
    }

    fn of(document: &Value) -> Option<Record> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let int = |value: &Value| i32::try_from(value.as_i64()?).ok();
        let count = |value: &Value| u32::try_from(value.as_u64()?).ok();
        let birth = |value: &Value| Some(Birth { pid: int(&value[0])?, ticks: value[1].as_u64()? });
        let alarm = |value: &Value| Some((text(&value[0])?, text(&value[1])?));
        let kept = |value: &Value| Some((text(&value[0])?, value[1].as_u64()?));
        let (process, heir) = (&document["process"], &document["heir"]);
        let (tally, stop, last) = (&document["tally"], &document["stop"], &document["last"]);
        Some(Record {
            seq: document["seq"].as_u64().unwrap_or(0),
            name: text(&document["name"])?,
            phase: text(&document["phase"])?,
            again: document["again"].as_bool()?,
            by_hand: document["by_hand"].as_bool().unwrap_or(false),
            process: match process.is_null() {
                true => None,
                false => Some(birth(process)?),
            },
            mark: text(&document["mark"])?,
            up_since: document["up_since"].as_u64(),
            restarts: document["restarts"].as_u64()?,
            tally: (count(&tally[0])?, tally[1].as_u64(), count(&tally[2])?),
            launch: count(&document["launch"])?,
            stop: (text(&stop[0])?, stop[1].as_u64()?),
            last: match last.is_null() {
                true => None,
                false => Some((text(&last[0])?, int(&last[1]), int(&last[2]), last[3].as_u64()?)),
            },
            from: text(&document["from"]),
            heir: match heir.is_null() {
                true => None,
                false => Some(HeirRecord {
                    process: birth(&heir[0]),
                    mark: text(&heir[1])?,
                    pipe: heir[2].as_u64()?,
                    from: text(&heir[3]),
                }),
            },
            left: document["left"].as_array().into_iter().flatten().filter_map(birth).collect(),
            alarms: document["alarms"].as_array().into_iter().flatten().filter_map(alarm).collect(),
            kept: document["kept"].as_array().into_iter().flatten().filter_map(kept).collect(),
        })
    }
}

/// Milliseconds of the clock that goes on from one process to the next.
pub fn monotonic() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map(Duration::from);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

const FILE: &str = "msf_daemon.state";
/// In front of a service's name.
const NAME: &str = ",\"name\":\"";
/// So much history is no reason to write the file anew.
const ROOM: usize = 1 << 16;

#[cfg(test)]
mod tests;
