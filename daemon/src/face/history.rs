//! Every event behind a number, as `events --since` shows them: what the daemon has no longer in memory is in its files.
//!
//! The files are read here, by the command, as with `tail`. Whatever the daemon tells was written down before, so that
//! what lies between the number and the first line it tells is there, unless it was rotated away.

use super::event::Happening;
use super::event::older;
use super::follow::open_file;
use super::json::parse;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// Between the daemon's answer, whose lines are for programs, and whoever wants to read it.
pub struct History<'a> {
    file: PathBuf,
    json: bool,
    to: &'a mut dyn Write,
    /// The number of what was shown last.
    shown: u64,
    /// A line that has not come to its end.
    begun: Vec<u8>,
    is_filled: bool,
}

impl<'a> History<'a> {
    /// Of what comes behind number `since`; `status` is the daemon's document, which says where the files are.
    pub fn new(status: &str, since: u64, json: bool, to: &'a mut dyn Write) -> History<'a> {
        let status = parse(status).unwrap_or_default();
        let file = PathBuf::from(status["events"].as_str().unwrap_or_default());
        History { file, json, to, shown: since, begun: Vec::new(), is_filled: false }
    }

    fn show(&mut self, line: &str) -> io::Result<()> {
        let happening = Happening::read(line);
        let text = match &happening {
            Some(happening) => happening.shown(self.json),
            // Of a kind that a newer daemon knows.
            None => format!("{line}\n"),
        };
        self.shown = happening.map_or(self.shown, |happening| happening.seq);
        self.to.write_all(text.as_bytes())
    }

    /// What lies before number `end`.
    fn fill(&mut self, end: u64) -> io::Result<()> {
        let (first, is_known) = (self.shown + 1, self.shown > 0);
        for file in files(&self.file).into_iter().rev() {
            for line in BufReader::new(file).lines() {
                // A file may turn into its own predecessor while it is read.
                let Some(happening) = line.ok().as_deref().and_then(Happening::read) else { continue };
                if happening.seq <= self.shown || happening.seq >= end {
                    continue;
                }
                if is_known && self.shown < first && happening.seq > first {
                    missing(first, happening.seq);
                }
                self.show(&happening.json(0))?;
            }
        }
        if is_known && self.shown < first && first < end {
            missing(first, end);
        }
        Ok(())
    }
}

impl Write for History<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            if *byte != b'\n' {
                self.begun.push(*byte);
                continue;
            }
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.begun)).into_owned();
            if let Some(happening) = Happening::read(&line).filter(|_| !self.is_filled) {
                self.is_filled = true;
                self.fill(happening.seq)?;
            }
            self.show(&line)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Those there are, newest first.
fn files(newest: &Path) -> Vec<File> {
    let paths = std::iter::once(newest.to_owned()).chain((1..).map(|number| older(newest, number)));
    paths.map_while(|path| open_file(&path).ok()).collect()
}

fn missing(first: u64, end: u64) {
    eprintln!("msf_daemon: events {first} to {} are not there any more", end - 1);
}

#[cfg(test)]
mod tests {
    use super::super::json::json;
    use super::*;

    fn line(seq: u64) -> String {
        Happening { seq, name: "a".to_owned(), ..Happening::default() }.json(0)
    }

    fn numbers(since: u64, file: &Path, told: &[u64]) -> Vec<u64> {
        let mut shown = Vec::new();
        let status = json!({"events": file}).to_string();
        let mut history = History::new(&status, since, true, &mut shown);
        for seq in told {
            // As they come from a socket.
            let text = line(*seq);
            let (head, tail) = text.split_at(text.len() / 2);
            history.write_all(head.as_bytes()).unwrap();
            history.write_all(tail.as_bytes()).unwrap();
        }
        let text = String::from_utf8(shown).unwrap();
        text.lines().map(|line| Happening::read(line).unwrap().seq).collect()
    }

    #[test]
    fn what_the_daemon_has_no_longer_is_found_in_the_files() {
        let folder = std::env::temp_dir().join(format!("msf-history-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("events");
        let text = |numbers: &[u64]| numbers.iter().map(|seq| line(*seq)).collect::<String>();
        std::fs::write(older(&file, 2), text(&[1, 2, 3])).unwrap();
        // As if the file had become older meanwhile.
        std::fs::write(older(&file, 1), text(&[4, 5])).unwrap();
        std::fs::write(&file, text(&[4, 5]) + "{\"torn\n" + &text(&[6, 7, 8, 9])).unwrap();
        assert_eq!(numbers(0, &file, &[8, 9, 10]), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(numbers(4, &file, &[8, 9]), [5, 6, 7, 8, 9]);
        assert_eq!(numbers(7, &file, &[8, 9]), [8, 9]);
        assert!(numbers(9, &file, &[]).is_empty());
        assert_eq!(numbers(4, Path::new("/nowhere"), &[8]), [8]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
