//! The last lines of files, and what comes behind them, as `tail` shows them.
//!
//! The files are read here, by the command, and not by the daemon: however slowly somebody reads, he holds nobody up.

use msf_core::sys::Watcher;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// One of the files.
struct Source {
    path: PathBuf,
    file: Option<File>,
    /// Up to where it was shown.
    at: u64,
    /// The end of what was shown last: what stays when the head of the file is taken away is found by it.
    shown: Vec<u8>,
}

/// Shows the last `lines` of these files, each under its name if there are several; with `on` also what comes, for ever.
pub fn tail(paths: &[PathBuf], lines: usize, on: bool, to: &mut dyn Write) -> io::Result<()> {
    let watcher = Watcher::new()?;
    let mut sources = Vec::new();
    for path in paths {
        let mut source = Source { path: path.clone(), file: None, at: 0, shown: Vec::new() };
        source.open(&watcher)?;
        source.at = source.file.as_ref().map_or(Ok(0), |file| start_of_last(file, lines))?;
        sources.push(source);
    }
    let mut last = usize::MAX;
    loop {
        for (index, source) in sources.iter_mut().enumerate() {
            let mut heading =
                (paths.len() > 1 && last != index).then(|| format!("==> {} <==\n", source.path.display()));
            while let Some(piece) = source.more()? {
                to.write_all(heading.take().unwrap_or_default().as_bytes())?;
                to.write_all(&piece)?;
                last = index;
            }
        }
        to.flush()?;
        if !on {
            return Ok(());
        }
        // A file that has taken another's place tells nobody: it is looked for now and then.
        let _ = poll(&mut [PollFd::new(watcher.as_fd(), PollFlags::POLLIN)], PollTimeout::from(LOOK_AGAIN));
        while watcher.take()?.is_some() {}
        for source in &mut sources {
            source.look(&watcher)?;
        }
    }
}

impl Source {
    /// A file that is not there yet may come.
    fn open(&mut self, watcher: &Watcher) -> io::Result<()> {
        self.file = match open_file(&self.path) {
            Ok(file) => Some(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(io::Error::new(e.kind(), format!("{}: {e}", self.path.display()))),
        };
        self.at = 0;
        if self.file.is_some() {
            watcher.watch(&self.path, libc::IN_MODIFY | libc::IN_MOVE_SELF)?;
        }
        Ok(())
    }

    /// Whether the file is still the one of that name, and how much of it is left.
    fn look(&mut self, watcher: &Watcher) -> io::Result<()> {
        let identity = |about: Metadata| (about.dev(), about.ino());
        let Some(file) = &self.file else { return self.open(watcher) };
        let about = file.metadata()?;
        if about.len() < self.at {
            self.at = behind(file, &self.shown)?;
        }
        let there = std::fs::metadata(&self.path).ok().map(identity);
        if there.is_some() && there != Some(identity(about)) && self.at >= file.metadata()?.len() {
            self.open(watcher)?;
        }
        Ok(())
    }

    fn more(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = &self.file else { return Ok(None) };
        let mut piece = vec![0; PIECE];
        let length = file.read_at(&mut piece, self.at)?;
        piece.truncate(length);
        self.at += length as u64;
        self.shown.extend_from_slice(&piece);
        self.shown.drain(..self.shown.len().saturating_sub(REMEMBERED));
        Ok((length > 0).then_some(piece))
    }
}

/// What is a file: a device has no end, and a pipe would be waited for.
pub fn open_file(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("is not a file")),
    }
}

/// Where the last `lines` begin. A line without an end is one, too.
fn start_of_last(mut file: &File, lines: usize) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    let (mut at, mut found) = (end, 0);
    let mut piece = vec![0; PIECE];
    while at > 0 {
        let length = at.min(PIECE as u64);
        at -= length;
        let piece = &mut piece[..length as usize];
        file.read_exact_at(piece, at)?;
        for (place, _) in piece.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let behind = at + place as u64 + 1;
            // The newline at the very end ends the last line, and begins none.
            if behind != end {
                found += 1;
            }
            if found == lines && behind != end || lines == 0 {
                return Ok(if lines == 0 { end } else { behind });
            }
        }
    }
    Ok(if lines == 0 { end } else { 0 })
}

/// Where what comes behind `shown` is in a file that has become shorter; its start if it is nowhere near that.
fn behind(file: &File, shown: &[u8]) -> io::Result<u64> {
    let mut head = Vec::new();
    let mut from_start = file;
    from_start.seek(SeekFrom::Start(0))?;
    from_start.take(PIECE as u64).read_to_end(&mut head)?;
    let found = head.windows(shown.len().max(1)).position(|window| window == shown);
    Ok(found.map_or(0, |at| (at + shown.len()) as u64))
}

/// Of a status as one document: the files one process writes to.
pub fn files_of(status: &str, name: &str) -> Vec<PathBuf> {
    let document = super::json::parse(status).unwrap_or_default();
    let processes = document["processes"].as_array();
    let process = processes.and_then(|processes| processes.iter().find(|process| process["name"] == name));
    let Some(process) = process else { return Vec::new() };
    let mut files: Vec<PathBuf> = Vec::new();
    for file in ["output", "error_output"].iter().filter_map(|key| process[*key].as_str()) {
        if !files.iter().any(|known| known == Path::new(file)) {
            files.push(PathBuf::from(file));
        }
    }
    files
}

/// The lines of somebody who does not say how many.
pub const FEW: usize = 10;
const PIECE: usize = 64 << 10;
const REMEMBERED: usize = 1024;
const LOOK_AGAIN: u16 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("msf-follow-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    fn shown(text: &[u8], lines: usize) -> String {
        let path = file(&format!("{lines}-{}", text.len()), text);
        let mut said = Vec::new();
        tail(std::slice::from_ref(&path), lines, false, &mut said).unwrap();
        std::fs::remove_file(path).unwrap();
        String::from_utf8(said).unwrap()
    }

    #[test]
    fn the_last_lines_are_shown_whatever_the_file_ends_with() {
        assert_eq!(shown(b"a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(shown(b"a\nb\nc", 2), "b\nc");
        assert_eq!(
            (shown(b"a\n", 5), shown(b"", 5), shown(b"a\nb\n", 0)),
            ("a\n".into(), String::new(), String::new())
        );
        assert_eq!((shown(b"\n\n\n", 2), shown(b"x", 1)), ("\n\n".into(), "x".into()));
        let long = [b"first\n".to_vec(), vec![b'x'; 3 * PIECE], b"\nlast\n".to_vec()].concat();
        assert_eq!(shown(&long, 2).len(), 3 * PIECE + 6);
    }

    #[test]
    fn regress_what_is_no_file_is_not_read_without_end() {
        for path in ["/dev/zero", "/tmp"] {
            let said = tail(&[PathBuf::from(path)], 2, false, &mut Vec::new()).unwrap_err().to_string();
            assert_eq!(said, format!("{path}: is not a file"));
        }
    }

    #[test]
    fn what_stays_of_a_shortened_file_is_not_shown_twice() {
        let watcher = Watcher::new().unwrap();
        let path = file("short", b"one\ntwo\nthree\n");
        let mut source = Source { path: path.clone(), file: None, at: 0, shown: Vec::new() };
        source.open(&watcher).unwrap();
        assert_eq!(source.more().unwrap().unwrap(), b"one\ntwo\nthree\n");
        source.shown = b"three\n".to_vec();
        std::fs::write(&path, b"three\nfour\n").unwrap();
        source.look(&watcher).unwrap();
        assert_eq!(source.more().unwrap().unwrap(), b"four\n");
        std::fs::write(&path, b"new\n").unwrap();
        source.look(&watcher).unwrap();
        assert_eq!(source.more().unwrap().unwrap(), b"new\n");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn files_are_named_by_the_status_each_once() {
        let status =
            r#"{"processes": [{"name": "a", "output": "/x", "error_output": "/x"}, {"name": "b", "output": null}]}"#;
        assert_eq!(files_of(status, "a"), [PathBuf::from("/x")]);
        assert!(files_of(status, "b").is_empty() && files_of(status, "c").is_empty() && files_of("", "a").is_empty());
    }
}
