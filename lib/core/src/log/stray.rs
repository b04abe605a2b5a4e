//! Ring files of programs that were killed and are never started again: nobody opens their logs, so nobody asks for them.
//!
//! Whoever logs looks through the shared folder once, when its writer has nothing to do for the first time. What is empty is
//! removed. What holds records is written to its log, where that is still there and ours, rotated as the dead asked for;
//! where his rings do not tell, not at all. All else stays: locked files, those of other users, those whose log is gone or
//! on a volume that is not mounted now.

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
    // For rings that do not tell how large the log may become.
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
    use super::super::rotate::numbered;
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

    /// Rings for `log`, with a record for each text.
    fn rings(folder: &Path, log: &Path, texts: &[&str]) -> Spool {
        let prefix = places(log)[0].1.clone();
        let spool = Spool::create_in(&folder.join("rings"), prefix, log, SMALLEST).unwrap();
        let ring = spool.add().unwrap().unwrap();
        let mut producer = ring.positions().producer();
        for text in texts {
            let source = Source { module: b"STRAY", func: b"f", file: b"f.rs", line: 7 };
            let entry = Entry { level: Level::Info, stamp: 1 << 60, tid: 1, source, text: text.as_bytes(), line: None };
            let draft = Draft::new(&entry);
            // SAFETY: one test, one thread, one ring.
            unsafe { ring.push(&mut producer, draft.size(), |place| draft.put(place)) }.unwrap();
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
        drop(rings(&folder, &log, &[]));
        drop(rings(&folder, &log, &["last words"]));
        drop(rings(&folder, &log, &["more of them"]));
        clear(&folder.join("rings"));
        let text = fs::read_to_string(&log).unwrap();
        assert!(text.starts_with("before\n[") && text.lines().count() == 3, "{text}");
        assert!(text.contains("] last words[pid:") && text.contains("] more of them[pid:"));
        assert_eq!(left(&folder), 0);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn regress_a_strays_log_is_rotated_by_its_own_limit_and_keeps_its_own_number_of_files() {
        let folder = folder("limit");
        let (log, kept) = (folder.join("x.log"), 9);
        fs::write(&log, "").unwrap();
        for number in 1..7 {
            fs::write(numbered(&log, number), format!("old {number}\n")).unwrap();
        }
        let spool = rings(&folder, &log, &["one of a hundred, and together they are too many"; 100]);
        spool.set_limit(&Limit { bytes: 4096, files: kept });
        drop(spool);
        clear(&folder.join("rings"));
        let names = (1..=kept).map(|number| numbered(&log, number)).chain([log.clone()]);
        let files: Vec<String> = names.filter_map(|name| fs::read_to_string(name).ok()).collect();
        assert_eq!(files.iter().filter(|text| text.starts_with("old ")).count(), 6);
        assert!(files.len() > 8 && files.iter().all(|text| text.len() <= 4096), "{files:?}");
        assert_eq!(files.iter().map(|text| text.matches("] one of").count()).sum::<usize>(), 100);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn whoever_opens_the_log_of_the_dead_recovers_it_by_their_limit_and_goes_on_with_his_own() {
        let folder = folder("inherit");
        let log = folder.join("x.log");
        for (limit, rotated) in [(Limit { bytes: 4096, files: 3 }, true), (Limit { bytes: 1, files: 3 }, false)] {
            let spool = rings(&folder, &log, &["one of a hundred, and together they are too many"; 100]);
            spool.set_limit(&limit);
            drop(spool);
            let stray = berth::rings_in(&folder.join("rings"), OsStr::new(PREFIX)).pop();
            let mut logger = Logger::new();
            logger.sink = Some(Sink::open(&log).unwrap());
            assert_eq!(logger.take_over(&Spool::stray(&stray.unwrap()).unwrap()), 100);
            assert_eq!((numbered(&log, 2).exists(), numbered(&log, 4).exists()), (rotated, false));
            assert_eq!(logger.log_limit().bytes, Limit::DEFAULT.bytes);
            (1..4).for_each(|number| drop(fs::remove_file(numbered(&log, number))));
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_lives_what_is_strange_and_what_has_no_log_any_more_stays() {
        let folder = folder("stays");
        let log = folder.join("x.log");
        let alive = rings(&folder, &log, &[]);
        drop(rings(&folder, &folder.join("gone.log"), &["nobody's"]));
        let linked = folder.join("link.log");
        std::os::unix::fs::symlink(&log, &linked).unwrap();
        drop(rings(&folder, &linked, &["through a link"]));
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
