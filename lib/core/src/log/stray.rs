//! Ring files of programs that were killed and are never started again: nobody opens their logs, so nobody asks for them.
//!
//! Whoever logs looks through the shared folder once, when its writer has nothing to do for the first time. What is empty is
//! removed. What holds records is written to its log, where that is still there and ours, without rotating it: how large
//! it may become is not known here. All else stays: locked files, those of other users, those whose log is gone or on a
//! volume that is not mounted now.

use super::berth::{self, PREFIX};
use super::logger::Logger;
use super::rotate::Limit;
use super::sink::Sink;
use super::spool::Spool;
use nix::unistd::geteuid;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Clears the shared folder up, the first time it is called.
pub(super) fn clear_once() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::Relaxed) {
        clear(&berth::shared_folder());
    }
}

fn clear(folder: &Path) {
    let paths = berth::rings_in(folder, OsStr::new(PREFIX)).into_iter();
    let strays = paths.take(LOOKED_AT).filter_map(|path| Spool::stray(&path));
    strays.take(TAKEN).for_each(settle);
}

/// Removes the file, once what is in it is in its log.
fn settle(stray: Spool) {
    if stray.is_empty() {
        return stray.remove();
    }
    let Some(log) = stray.log().filter(|log| is_ours(log)) else { return };
    // Where it cannot be opened, whoever opens it himself is told why.
    let Ok(sink) = Sink::open(&log) else { return };
    let mut other = Logger::new();
    (other.sink, other.limit) = (Some(sink), Limit { bytes: u64::MAX, files: 1 });
    other.take_over(&stray);
}

/// Whether it is a plain file of this user's: a link may lead anywhere by now.
fn is_ours(log: &Path) -> bool {
    fs::symlink_metadata(log).is_ok_and(|found| found.is_file() && found.uid() == geteuid().as_raw())
}

/// How many names are looked at, and how many files are settled at most: it is work for the idle, not a duty.
const LOOKED_AT: usize = 1024;
const TAKEN: usize = 64;

#[cfg(test)]
#[cfg(not(feature = "loom"))]
mod tests {
    use super::super::berth::places;
    use super::super::entry::{Draft, Entry};
    use super::super::spool::SMALLEST;
    use super::super::{Level, Source};
    use super::*;
    use std::path::PathBuf;
    use std::process;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("msf-stray-{}-{name}", process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("rings")).unwrap();
        folder.canonicalize().unwrap()
    }

    /// Rings for `log`, with one record unless they are to be empty.
    fn rings(folder: &Path, log: &Path, text: Option<&str>) -> Spool {
        let prefix = places(log)[0].1.clone();
        let spool = Spool::create_in(&folder.join("rings"), prefix, log, SMALLEST).unwrap();
        let ring = spool.add().unwrap().unwrap();
        if let Some(text) = text {
            let source = Source { module: b"STRAY", func: b"f", file: b"f.rs", line: 7 };
            let entry = Entry { level: Level::Info, stamp: 1 << 60, tid: 1, source, text: text.as_bytes(), line: None };
            let draft = Draft::new(&entry);
            // SAFETY: one test, one thread, one ring.
            unsafe { ring.push(&mut ring.positions().producer(), draft.size(), |place| draft.put(place)) }.unwrap();
        }
        spool
    }

    fn left(folder: &Path) -> usize {
        fs::read_dir(folder.join("rings")).unwrap().count()
    }

    #[test]
    fn what_a_killed_program_has_left_is_written_and_removed() {
        let folder = folder("written");
        let log = folder.join("x.log");
        fs::write(&log, "before\n").unwrap();
        drop(rings(&folder, &log, None));
        drop(rings(&folder, &log, Some("last words")));
        drop(rings(&folder, &log, Some("more of them")));
        clear(&folder.join("rings"));
        let text = fs::read_to_string(&log).unwrap();
        assert!(text.starts_with("before\n[") && text.lines().count() == 3, "{text}");
        assert!(text.contains("] last words[pid:") && text.contains("] more of them[pid:"));
        assert_eq!(left(&folder), 0);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_lives_what_is_strange_and_what_has_no_log_any_more_stays() {
        let folder = folder("stays");
        let log = folder.join("x.log");
        let alive = rings(&folder, &log, None);
        drop(rings(&folder, &folder.join("gone.log"), Some("nobody's")));
        let linked = folder.join("link.log");
        std::os::unix::fs::symlink(&log, &linked).unwrap();
        drop(rings(&folder, &linked, Some("through a link")));
        fs::write(folder.join("rings/msf-log-0123456789abcdef.1-0.ring"), vec![0; 8192]).unwrap();
        fs::write(folder.join("rings/msf-log-other"), "").unwrap();
        clear(&folder.join("rings"));
        assert_eq!(left(&folder), 5);
        assert!(!folder.join("gone.log").exists() && !log.exists());
        drop(alive);
        clear(&folder.join("rings"));
        assert_eq!(left(&folder), 4);
        fs::remove_dir_all(folder).unwrap();
    }
}
