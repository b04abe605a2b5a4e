//! Ring files that were damaged, cut, or never were any: recovery always ends, takes what makes sense, tells of what does
//! not, and destroys nothing that is not its own.

#![allow(clippy::unwrap_used)]

use msf_core::log::{self, Level, Source};
use nix::sys::stat::Mode;
use nix::unistd::{Uid, chown, mkfifo};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

const RECORDS: u64 = 100;
const PAGE: usize = 4096;
const TAIL: usize = PAGE + 64;

#[test]
fn whatever_a_ring_file_holds_recovery_ends_and_the_file_is_gone_or_left_alone() {
    let whole = ring_file();
    let folder = folder("bytes");
    let mut dice = 0x9e37_79b9_7f4a_7c15;
    let began = Instant::now();
    for round in 0..400 {
        let log = folder.join(format!("{round}.log"));
        let mut bytes = whole.clone();
        for _ in 0..=roll(&mut dice) % 6 {
            damage(&mut bytes, &mut dice);
        }
        fs::write(ring_of(&log, 1), &bytes).unwrap();
        let count = log::recover(&log).unwrap();
        let text = fs::read(&log).unwrap();
        // A record has its head's 48 bytes at least, and 64 rings of 16 KiB are all there is.
        assert!(count <= 64 * 16384 / 8, "{round}: {count} records");
        assert!(text.len() < 64 << 20, "{round}: {} bytes", text.len());
    }
    assert!(began.elapsed() < Duration::from_secs(120));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_ring_file_that_is_whole_is_recovered_once_by_however_many_at_once() {
    let (whole, folder) = (ring_file(), folder("many"));
    let log = folder.join("x.log");
    const FILES: u32 = 200;
    for number in 0..FILES {
        fs::write(ring_of(&log, number), &whole).unwrap();
    }
    let all = Barrier::new(4);
    let recovered: u64 = thread::scope(|scope| {
        let recover = || {
            all.wait();
            log::recover(&log).unwrap()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(recover)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(recovered, u64::from(FILES) * RECORDS);
    let lines = fs::read(&log).unwrap().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    assert_eq!(lines as u64, recovered);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "only the log is left");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_only_has_the_name_of_a_ring_file_is_neither_waited_for_nor_touched() {
    let (whole, folder) = (ring_file(), folder("names"));
    let log = folder.join("x.log");
    let treasure = folder.join("treasure");
    fs::write(&treasure, &whole).unwrap();
    mkfifo(&ring_of(&log, 1), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    fs::create_dir(ring_of(&log, 2)).unwrap();
    symlink(&treasure, ring_of(&log, 3)).unwrap();
    symlink(folder.join("nowhere"), ring_of(&log, 4)).unwrap();
    // Two names: the other one may be somebody's who wants us to write into it.
    fs::hard_link(&treasure, ring_of(&log, 5)).unwrap();
    File::create(ring_of(&log, 6)).unwrap();
    fs::write(ring_of(&log, 7), &whole[..whole.len() - 1]).unwrap();
    fs::write(ring_of(&log, 8), &whole[..PAGE]).unwrap();
    fs::write(ring_of(&log, 9), b"msf").unwrap();
    let mut left = 9;
    if Uid::effective().is_root() {
        // What is not ours could be cut under us.
        fs::write(ring_of(&log, 10), &whole).unwrap();
        chown(&ring_of(&log, 10), Some(Uid::from_raw(65534)), None).unwrap();
        left += 1;
    }
    let began = Instant::now();
    assert_eq!(log::recover(&log).unwrap(), 0);
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), left + 2, "with the log and the treasure");
    assert!(fs::read(&treasure).unwrap() == whole);
    fs::remove_dir_all(folder).unwrap();
}

/// The file of a process that was killed before anything of its hundred records was in its log.
fn ring_file() -> Vec<u8> {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(made).clone()
}

fn made() -> Vec<u8> {
    let folder = folder("made");
    log::set_ring(16384).unwrap();
    log::open(&folder.join("x.log")).unwrap();
    let source = Source { module: b"DAMAGED", func: b"f", file: b"f", line: 1 };
    for record in 0..RECORDS {
        log::write_bytes(Level::Info, &source, format!("record {record}").as_bytes()).unwrap();
    }
    log::flush().unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mapped = maps.split_whitespace().find(|word| word.ends_with(".ring")).unwrap();
    let mut bytes = fs::read(mapped).unwrap();
    // Nothing was read yet.
    bytes[TAIL..TAIL + 4].fill(0);
    log::close();
    fs::remove_dir_all(folder).unwrap();
    bytes
}

fn damage(bytes: &mut Vec<u8>, dice: &mut u64) {
    let end = match roll(dice) % 4 {
        0 => 72,
        1 => PAGE + 80,
        2 => 2 * PAGE + 16384,
        _ => bytes.len(),
    };
    let at = roll(dice) as usize % end.min(bytes.len()).max(1);
    match roll(dice) % 8 {
        0 => bytes.truncate(at),
        1..4 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (at % 8)),
        4 => bytes.iter_mut().skip(at).take(8).for_each(|byte| *byte = 0xff),
        5 => bytes.iter_mut().skip(at).take(64).for_each(|byte| *byte = 0),
        _ => bytes.iter_mut().skip(at & !3).take(4).for_each(|byte| *byte = roll(dice) as u8),
    }
}

fn roll(dice: &mut u64) -> u64 {
    *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *dice >> 33
}

fn ring_of(log: &Path, number: u32) -> PathBuf {
    log.with_file_name(format!(".{}.{number}-0.ring", log.file_name().unwrap().to_str().unwrap()))
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("msf-log-damaged-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
