//! Records on their way through the rings: when they are in the file, in which order, and what happens when there is no
//! room. One process has one log, so this is one test.

#![allow(clippy::unwrap_used)]

use msf_core::log::{self, Level, Mode, Output, Policy, Source};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn records_reach_the_file_in_order_soon_and_as_the_settings_say() {
    let folder = std::env::temp_dir().join(format!("msf-log-ring-{}", std::process::id()));
    let path = folder.join("x.log");
    log::open(&path).unwrap();
    it_is_there_without_being_asked_for(&path);
    nothing_is_left_of_a_ring(&folder);
    a_fatal_record_is_there_when_the_call_returns(&path);
    causes_come_before_their_effects(&path);
    a_module_has_a_level_of_its_own(&path);
    what_has_no_room_is_dropped_and_counted(&path);
    a_large_record_keeps_its_place(&path);
    more_threads_than_rings(&path);
    outputs_get_the_same_records(&folder);
    a_change_of_mode_loses_nothing(&path);
    a_sleeping_writer_is_called(&path);
    log::close();
    assert_eq!(rings(&folder), 0);
    fs::remove_dir_all(folder).unwrap();
}

fn it_is_there_without_being_asked_for(path: &Path) {
    msf_core::log!(Level::Info, "TEST", "soon {}", 1);
    within(|| read(path).contains("] soon 1["));
}

fn nothing_is_left_of_a_ring(folder: &Path) {
    assert_eq!(rings(folder), 1);
    log::set_mode(Mode::Direct).unwrap();
    assert_eq!(rings(folder), 0);
    log::set_mode(Mode::Ring).unwrap();
}

fn a_fatal_record_is_there_when_the_call_returns(path: &Path) {
    msf_core::log!(Level::Info, "TEST", "before the end");
    msf_core::log!(Level::Fatal, "TEST", "the end");
    let text = read(path);
    assert!(text.find("] before the end[").unwrap() < text.find("] the end[").unwrap());
}

/// Two threads take turns: what one writes, the other has seen happen.
fn causes_come_before_their_effects(path: &Path) {
    const TURNS: usize = 4000;
    let turn = AtomicUsize::new(0);
    thread::scope(|scope| {
        for me in 0..2 {
            let turn = &turn;
            scope.spawn(move || {
                for mine in (me..TURNS).step_by(2) {
                    while turn.load(Ordering::Acquire) != mine {
                        thread::yield_now();
                    }
                    msf_core::log!(Level::Info, "TURN", "{mine}");
                    turn.store(mine + 1, Ordering::Release);
                }
            });
        }
    });
    log::flush().unwrap();
    assert_eq!(numbers(path, "[TURN]"), (0..TURNS).collect::<Vec<_>>());
}

fn a_module_has_a_level_of_its_own(path: &Path) {
    log::set_module_level("QUIET", Some(Level::Error)).unwrap();
    msf_core::log!(Level::Info, "QUIET", "1");
    msf_core::log!(Level::Fatal, "QUIET", "2");
    log::set_module_level("QUIET", None).unwrap();
    msf_core::log!(Level::Info, "QUIET", "3");
    log::flush().unwrap();
    assert_eq!(numbers(path, "[QUIET]"), [2, 3]);
}

fn what_has_no_room_is_dropped_and_counted(path: &Path) {
    const RECORDS: usize = 60_000;
    log::set_ring(16 * 1024).unwrap();
    log::set_policy(Policy::Drop);
    let source = Source { module: b"FLOOD", func: b"f", file: b"f", line: 1 };
    let accepted = (0..RECORDS).filter(|n| log::write_bytes(Level::Info, &source, n.to_string().as_bytes()).is_ok());
    let accepted: Vec<usize> = accepted.collect();
    log::flush().unwrap();
    let dropped = RECORDS - accepted.len();
    assert!(dropped > 0 && !accepted.is_empty(), "{dropped}");
    assert_eq!(log::stats().unwrap().dropped, dropped as u64);
    assert_eq!(numbers(path, "[FLOOD]"), accepted);
    let told: usize = read(path)
        .lines()
        .filter_map(|line| {
            line.split_once(" records before this one were dropped")?.0.rsplit_once(' ')?.1.parse::<usize>().ok()
        })
        .sum::<usize>();
    assert_eq!(told, dropped);
    log::set_policy(Policy::Block);
    log::set_ring(256 * 1024).unwrap();
}

fn a_large_record_keeps_its_place(path: &Path) {
    msf_core::log!(Level::Info, "LARGE", "1");
    msf_core::log!(Level::Info, "LARGE", "2{}", "x".repeat(1 << 20));
    msf_core::log!(Level::Info, "LARGE", "3{}", "x".repeat(100_000));
    msf_core::log!(Level::Info, "LARGE", "4");
    log::flush().unwrap();
    assert_eq!(numbers(path, "[LARGE]"), [1, 2, 3, 4]);
    assert!(read(path).contains(&"x".repeat(1 << 20)));
}

fn more_threads_than_rings(path: &Path) {
    const THREADS: usize = 100;
    log::set_ring(16 * 1024).unwrap();
    let barrier = std::sync::Barrier::new(THREADS);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let barrier = &barrier;
            scope.spawn(move || {
                for record in 0..200 {
                    msf_core::log!(Level::Info, "CROWD", "{}", thread * 200 + record);
                    if record == 0 {
                        // Everybody has a seat before anybody leaves his.
                        barrier.wait();
                    }
                }
            });
        }
    });
    log::flush().unwrap();
    let mut all = numbers(path, "[CROWD]");
    all.sort_unstable();
    assert_eq!(all, (0..THREADS * 200).collect::<Vec<_>>());
    assert_eq!(log::stats().unwrap().rings, 64);
    log::set_ring(256 * 1024).unwrap();
}

fn outputs_get_the_same_records(folder: &Path) {
    let (json, socket) = (Output::JsonLines(folder.join("x.jsonl")), folder.join("dev-log"));
    let listener = UnixDatagram::bind(&socket).unwrap();
    let syslog = Output::Syslog(Some(socket));
    assert!(log::add_output(&Output::Journal(Some(folder.join("nobody")))).is_err());
    log::add_output(&json).unwrap();
    log::add_output(&syslog).unwrap();
    msf_core::log!(Level::Info, "OUT", "to \"all\"");
    log::flush().unwrap();
    let mut datagram = [0; 4096];
    let length = listener.recv(&mut datagram).unwrap();
    let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
    assert!(text.starts_with("<30>") && text.contains(" x[") && text.ends_with("] to \"all\""), "{text}");
    let text = read(&folder.join("x.jsonl"));
    assert!(text.starts_with("{\"time\":\"20") && text.contains("\"text\":\"to \\\"all\\\"\""), "{text}");
    assert_eq!(text.lines().count(), 1);
    assert!(log::remove_output(&json) && log::remove_output(&syslog) && !log::remove_output(&syslog));
}

fn a_change_of_mode_loses_nothing(path: &Path) {
    const RECORDS: usize = 20_000;
    thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|me| {
                scope.spawn(move || (me..RECORDS).step_by(2).for_each(|n| msf_core::log!(Level::Info, "MODE", "{n}")))
            })
            .collect();
        let mut mode = Mode::Direct;
        while !writers.iter().all(|writer| writer.is_finished()) {
            log::set_mode(mode).unwrap();
            mode = if mode == Mode::Direct { Mode::Ring } else { Mode::Direct };
            thread::sleep(Duration::from_millis(1));
        }
    });
    log::set_mode(Mode::Ring).unwrap();
    log::flush().unwrap();
    let mut all = numbers(path, "[MODE]");
    all.sort_unstable();
    assert_eq!(all, (0..RECORDS).collect::<Vec<_>>());
}

fn a_sleeping_writer_is_called(path: &Path) {
    for round in 0..3 {
        thread::sleep(Duration::from_millis(120));
        msf_core::log!(Level::Info, "WAKE", "{round}");
        within(|| numbers(path, "[WAKE]").last() == Some(&round));
    }
}

/// The numbers with which the texts of the lines with `module` begin.
fn numbers(path: &Path, module: &str) -> Vec<usize> {
    let mut files: Vec<PathBuf> = (1..10).rev().map(|number| path.with_extension(format!("log.{number}"))).collect();
    files.push(path.to_owned());
    let text: String = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    let digits = |line: &str| {
        let text = line.split_once("] ").unwrap().1;
        text.split(|letter: char| !letter.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    text.lines().filter(|line| line.contains(module)).map(digits).collect()
}

fn within(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(1));
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// The files of this process with rings, wherever they are.
fn rings(folder: &Path) -> usize {
    let ours = format!(".{}-", std::process::id());
    let both = [folder, Path::new("/dev/shm")].into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let names = both.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(&ours) && name.ends_with(".ring")).count()
}
