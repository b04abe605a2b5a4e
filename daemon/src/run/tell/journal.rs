//! The events file: one line of JSON for every change of a process and every alarm.
//!
//! Each line is one write to a file opened for appending. What a disk does not take is counted, and told by the next line.

use crate::face::chronicle::MOST;
use crate::face::event::{Happening, older};
use crate::run::driver::MODULE;
use msf_conf::daemon::Events;
use msf_core::log;
use msf_core::log::Level;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    conf_folder: PathBuf,
    log_folder: PathBuf,
    max_bytes: u64,
    files: u32,
    file: Option<File>,
    size: u64,
    /// Lines that could not be written since the last one that could.
    lost: u64,
    /// The last line lacks its end.
    is_torn: bool,
}

impl Journal {
    /// For `events`, whose path is taken from `conf_folder`; without one it is [`FILE`] in `log_folder`.
    pub fn new(events: &Events, conf_folder: &Path, log_folder: &Path) -> Journal {
        let mut journal = Journal {
            path: path_of(events, conf_folder, log_folder),
            conf_folder: conf_folder.to_owned(),
            log_folder: log_folder.to_owned(),
            max_bytes: events.max_bytes,
            files: events.files,
            file: None,
            size: 0,
            lost: 0,
            is_torn: false,
        };
        if let Err(e) = journal.open() {
            journal.complain(&e);
        }
        log!(Level::Info, MODULE, "events go to {}", journal.path.display());
        journal
    }

    /// Another configuration.
    pub fn follow(&mut self, events: &Events) {
        let new = Journal::new(events, &self.conf_folder, &self.log_folder);
        *self = Journal { lost: self.lost, ..new };
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was written last, oldest first, with the older file's if there is little.
    pub fn last(&self) -> Vec<Happening> {
        let mut last = last_of(&self.path);
        if last.len() < MOST {
            last.splice(0..0, last_of(&older(&self.path, 1)));
        }
        last
    }

    /// Writes its line.
    pub fn write(&mut self, happening: &Happening) {
        match self.append(&happening.json(self.lost)) {
            Ok(()) if self.lost > 0 => {
                log!(Level::Warn, MODULE, "{}: {} events are lost", self.path.display(), self.lost);
                self.lost = 0;
            }
            Ok(()) => {}
            Err(e) => {
                if self.lost == 0 {
                    self.complain(&e);
                }
                self.lost += 1;
            }
        }
    }

    /// So many were not given to us.
    pub fn lose(&mut self, many: u64) {
        self.lost += many;
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        if self.size > 0 && self.size + line.len() as u64 > self.max_bytes {
            self.make_room()?;
        }
        if self.file.is_none() {
            self.open()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let whole = if self.is_torn { format!("\n{line}") } else { line.to_owned() };
        // Not write_all: how much of it was written decides how the next line begins.
        let written = file.write(whole.as_bytes())?;
        self.size += written as u64;
        self.is_torn = whole.as_bytes().get(..written).is_some_and(|part| !part.is_empty() && !part.ends_with(b"\n"));
        if written == whole.len() { Ok(()) } else { Err(io::Error::from(io::ErrorKind::StorageFull)) }
    }

    fn open(&mut self) -> io::Result<()> {
        // Neither somebody's link nor a pipe that nobody reads.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let mut options = File::options();
        let mut file = options.read(true).append(true).create(true).mode(0o640).custom_flags(flags).open(&self.path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::Error::other("is not a file"));
        }
        self.size = about.len();
        let mut last = [b'\n'];
        if self.size > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        self.is_torn = last != [b'\n'];
        self.file = Some(file);
        Ok(())
    }

    /// The file becomes the first of the older ones, those move up, and the oldest goes.
    fn make_room(&mut self) -> io::Result<()> {
        self.file = None;
        for number in (1..self.files).rev() {
            let from = if number == 1 { self.path.clone() } else { older(&self.path, number - 1) };
            match fs::rename(from, older(&self.path, number)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        if self.files == 1 {
            fs::remove_file(&self.path)?;
        }
        self.open()
    }

    fn complain(&self, error: &io::Error) {
        log!(Level::Error, MODULE, "{}: events are lost: {error}", self.path.display());
    }
}

/// Where the file of `events` is.
pub fn path_of(events: &Events, conf_folder: &Path, log_folder: &Path) -> PathBuf {
    events.path.as_ref().map_or_else(|| log_folder.join(FILE), |path| conf_folder.join(path))
}

/// The last that a file tells of; none of one that cannot be read.
fn last_of(path: &Path) -> Vec<Happening> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
        let about = file.metadata()?;
        let mut tail = Vec::new();
        if about.is_file() {
            file.seek(SeekFrom::Start(about.len().saturating_sub(TAIL)))?;
            file.take(TAIL).read_to_end(&mut tail)?;
        }
        Ok(tail)
    };
    let tail = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&tail);
    let mut last: Vec<Happening> = text.lines().rev().filter_map(Happening::read).take(MOST).collect();
    last.reverse();
    last
}

const FILE: &str = "msf_daemon.events.jsonl";
/// Some hundred lines, and more than the longest.
const TAIL: u64 = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::json::Value;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let folder = std::env::temp_dir().join(format!("msf-journal-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            Folder(folder)
        }

        fn journal(&self, max_bytes: u64, files: u32) -> Journal {
            Journal::new(&Events { path: None, max_bytes, files }, Path::new("/nowhere"), &self.0)
        }

        fn lines(&self, name: &str) -> Vec<Value> {
            let text = fs::read_to_string(self.0.join(name)).unwrap_or_default();
            text.lines().filter_map(|line| line.parse().ok()).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn happening(seq: u64) -> Happening {
        Happening { seq, name: "\"a\"\n".to_owned(), ..Happening::default() }
    }

    #[test]
    fn what_was_written_is_found_again_over_restarts_and_rotations_and_old_files_go() {
        let folder = Folder::new("rotates");
        for round in 0..10 {
            let mut journal = folder.journal(4096, 3);
            assert_eq!(journal.last().last().map_or(0, |last| last.seq), 30 * round);
            for seq in 1..=30 {
                journal.write(&happening(30 * round + seq));
            }
        }
        let mut all = folder.lines(&format!("{FILE}.2"));
        all.extend(folder.lines(&format!("{FILE}.1")));
        all.extend(folder.lines(FILE));
        let numbers: Vec<u64> = all.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
        assert_eq!(numbers.last(), Some(&300));
        assert!(numbers.len() > 60 && numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 3);
        assert_eq!(all[0]["name"], "\"a\"\n");
        let last = folder.journal(4096, 3).last();
        assert_eq!((last.last(), last.len() > 30), (Some(&happening(300)), true));
        assert!(last.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
    }

    #[test]
    fn a_line_that_was_cut_short_spoils_no_other() {
        let folder = Folder::new("torn");
        folder.journal(4096, 1).write(&happening(1));
        let mut file = File::options().append(true).open(folder.0.join(FILE)).unwrap();
        file.write_all(b"{\"seq\":7,\"na").unwrap();
        folder.journal(4096, 1).write(&happening(2));
        assert_eq!(folder.journal(4096, 1).last(), [happening(1), happening(2)]);
        assert_eq!(folder.lines(FILE).len(), 2);
    }

    #[test]
    fn what_is_lost_is_counted_and_told_by_the_next_line() {
        let folder = Folder::new("lost");
        let full = Events { path: Some("/dev/full".to_owned()), ..Events::default() };
        let mut journal = Journal::new(&full, Path::new("/"), &folder.0);
        journal.write(&happening(1));
        journal.write(&happening(2));
        assert_eq!(journal.lost, 2);
        journal.path = folder.0.join(FILE);
        journal.write(&happening(3));
        assert_eq!((&folder.lines(FILE)[0]["lost"], &folder.lines(FILE)[0]["seq"]), (&Value::from(2), &Value::from(3)));
        assert_eq!(journal.lost, 0);
    }
}
