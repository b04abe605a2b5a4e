//! One process, many threads: every record is in the files once, and every line is a record.

#![allow(clippy::unwrap_used)]

use msf_core::log::{self, Level};
use std::fs;
use std::thread;

const THREADS: usize = 8;
const RECORDS: usize = 10_000;

#[test]
fn eight_threads_lose_no_record_while_the_file_rotates() {
    let folder = std::env::temp_dir().join(format!("msf-log-threads-{}", std::process::id()));
    let path = folder.join("missing/folders/x.log");
    log::open(&path).unwrap();
    log::limit(256 * 1024, 99).unwrap();
    thread::scope(|scope| {
        for number in 0..THREADS {
            scope.spawn(move || {
                for record in 0..RECORDS {
                    msf_core::log!(Level::Info, "TEST%s", "record {number}/{record}/ %d\nsecond");
                }
            });
        }
    });
    log::close();
    msf_core::log!(Level::Info, "TEST", "after the log was closed");
    let mut seen = vec![0u32; THREADS * RECORDS];
    let mut files = 0;
    for entry in fs::read_dir(path.parent().unwrap()).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(text.len() <= 256 * 1024 && text.ends_with('\n'));
        files += 1;
        for line in text.lines() {
            assert!(line.starts_with("[20") && line.contains("][TEST%s][INFO][") && line.ends_with(']'), "{line}");
            let mut parts = line.split_once("] record ").unwrap().1.split('/');
            let mut number = || parts.next().unwrap().parse::<usize>().unwrap();
            seen[number() * RECORDS + number()] += 1;
            assert!(line.contains(" %d\\nsecond[pid:"), "{line}");
        }
    }
    assert!(files > 10, "{files} files");
    assert!(seen.iter().all(|count| *count == 1));
    fs::remove_dir_all(folder).unwrap();
}
