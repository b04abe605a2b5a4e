//! A process that logs from four threads is killed at any moment: after the next start each of its records is in the log
//! once, whole. MSF_LOG_KILLS sets how often (the soak test takes hundreds).

#![allow(clippy::unwrap_used)]

use msf_core::log::{self, Level, Source};
use msf_core::sys::Map;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const THREADS: usize = 4;

#[test]
fn what_a_killed_process_has_logged_is_in_the_log_once_after_the_next_start() {
    let kills = std::env::var("MSF_LOG_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(25);
    let file = File::from(memfd_create("done", MFdFlags::MFD_CLOEXEC).unwrap());
    file.set_len(4096).unwrap();
    let shared = Map::shared(&file, 4096).unwrap();
    let mut seed = u64::from(std::process::id());
    let (mut recovered, mut all) = (0, 0);
    for round in 0..kills {
        let folder = std::env::temp_dir().join(format!("msf-log-killed-{}-{round}", std::process::id()));
        let path = folder.join("x.log");
        let done: Vec<&AtomicU64> = (0..THREADS).map(|thread| counter(&shared, thread)).collect();
        done.iter().for_each(|done| done.store(0, Ordering::Relaxed));
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // SAFETY: the child only logs, from threads of its own, until it is killed.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => log_for_ever(&path, &done, round),
            ForkResult::Parent { child } => {
                while done.iter().any(|done| done.load(Ordering::Relaxed) == 0) {
                    thread::sleep(Duration::from_millis(1));
                }
                thread::sleep(Duration::from_micros(seed >> 33 & 0x3fff));
                kill(child, Signal::SIGKILL).unwrap();
                waitpid(child, None).unwrap();
            }
        }
        // Somebody who starts to recover may be killed, too: the next one finds what is left.
        for _ in 0..round % 3 {
            killed_while_recovering(&path, seed);
        }
        recovered += log::recover(&path).unwrap();
        all += check(&folder, &done, round);
        fs::remove_dir_all(folder).unwrap();
    }
    eprintln!("{all} records, {recovered} of them from the rings");
    assert!(recovered > 0);
}

fn log_for_ever(path: &Path, done: &[&AtomicU64], round: u32) -> ! {
    // Small files rotate while batches are written: those are looked for under the other names.
    let bytes = if round.is_multiple_of(2) { 1 << 30 } else { 64 * 1024 };
    log::limit(bytes, 99).unwrap();
    log::open(path).unwrap();
    thread::scope(|scope| {
        for (thread, done) in done.iter().enumerate() {
            scope.spawn(move || {
                let source = Source { module: b"KILL", func: b"f", file: b"f", line: 1 };
                for record in 0u64.. {
                    // Not faster than a file of 99 parts can hold.
                    if bytes < 1 << 30 && record > 5000 {
                        thread::sleep(Duration::from_millis(1));
                    }
                    log::write_bytes(Level::Info, &source, format!("{thread}/{record}/end").as_bytes()).unwrap();
                    done.store(record + 1, Ordering::Release);
                }
            });
        }
    });
    unreachable!()
}

fn killed_while_recovering(path: &Path, seed: u64) {
    // SAFETY: the child only recovers, until it is killed or done.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let _ = log::recover(path);
            // SAFETY: ends the process without the test harness's exit handlers.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            thread::sleep(Duration::from_micros(seed >> 40 & 0x7ff));
            kill(child, Signal::SIGKILL).unwrap();
            waitpid(child, None).unwrap();
        }
    }
}

/// Each record whose call had returned is there once; one more per thread may be.
fn check(folder: &Path, done: &[&AtomicU64], round: u32) -> u64 {
    let mut seen: HashMap<(usize, u64), u32> = HashMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert!(!path.to_string_lossy().ends_with(".ring"), "{}", path.display());
        for line in fs::read_to_string(&path).unwrap().lines() {
            assert!(line.starts_with('[') && line.ends_with(']'), "torn in round {round}: {line}");
            let mut parts = line.split_once("] ").unwrap().1.split('/');
            let thread = parts.next().unwrap().parse().unwrap();
            let record = parts.next().unwrap().parse().unwrap();
            assert!(parts.next().unwrap().starts_with("end[pid:"), "torn in round {round}: {line}");
            *seen.entry((thread, record)).or_default() += 1;
        }
    }
    let mut expected = 0;
    for (thread, done) in done.iter().enumerate() {
        let mut there = done.load(Ordering::Acquire);
        let missing: Vec<u64> = (0..there).filter(|record| !seen.contains_key(&(thread, *record))).collect();
        assert!(missing.is_empty(), "round {round}, thread {thread} of {there}: {missing:?} are missing");
        there += u64::from(seen.contains_key(&(thread, there)));
        expected += there;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "round {round}: {twice:?}");
    assert_eq!(seen.len() as u64, expected, "round {round}");
    expected
}

fn counter(shared: &Map, thread: usize) -> &AtomicU64 {
    // SAFETY: the mapping is a page long, so the address is inside it.
    let place = unsafe { shared.start().add(thread * 64) };
    // SAFETY: aligned, mapped as long as `shared` is, and only used as an atomic.
    unsafe { place.cast::<AtomicU64>().as_ref() }
}
