//! Several processes, one file: a fork while others are writing does not hang, and nothing is lost when all rotate.

#![allow(clippy::unwrap_used)]

use msf_core::log::{self, Level};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, alarm, fork};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const CHILDREN: usize = 40;
const RECORDS: usize = 500;
/// Records of one of the parent's threads.
const MOST: usize = 60_000;

#[test]
fn forked_processes_share_the_file_and_lose_no_record() {
    let folder = std::env::temp_dir().join(format!("msf-log-processes-{}", std::process::id()));
    log::open(&folder.join("x.log")).unwrap();
    // Room for all that is written: what is rotated away is no loss.
    log::limit(256 * 1024, 99).unwrap();
    let done = AtomicBool::new(false);
    let mut pids = Vec::new();
    let mut own = [0usize; 3];
    thread::scope(|scope| {
        let done = &done;
        // While these are inside the logger all the time, the children are forked.
        let writers: Vec<_> = (0..3)
            .map(|number| {
                scope.spawn(move || {
                    let mut written = 0;
                    while !done.load(Ordering::Relaxed) && written < MOST {
                        msf_core::log!(Level::Info, "PARENT", "{}/{written}/", CHILDREN + number);
                        written += 1;
                        thread::yield_now();
                    }
                    written
                })
            })
            .collect();
        for child in 0..CHILDREN {
            // SAFETY: the child uses the logger only, which is what is tested, and ends with _exit.
            match unsafe { fork() }.unwrap() {
                ForkResult::Parent { child } => pids.push(child),
                ForkResult::Child => {
                    // A lock that was copied held would make the child hang: then this ends it.
                    alarm::set(60);
                    for record in 0..RECORDS {
                        msf_core::log!(Level::Info, "CHILD", "{child}/{record}/");
                    }
                    // SAFETY: ends the process without the test harness's exit handlers.
                    unsafe { libc::_exit(0) };
                }
            }
        }
        for pid in &pids {
            assert_eq!(waitpid(*pid, None).unwrap(), WaitStatus::Exited(*pid, 0));
        }
        done.store(true, Ordering::Relaxed);
        for (number, writer) in writers.into_iter().enumerate() {
            own[number] = writer.join().unwrap();
        }
    });
    log::close();
    let seen = records(&folder, &pids);
    let written = CHILDREN * RECORDS + own.iter().sum::<usize>();
    assert_eq!(seen.len(), written);
    assert!(seen.values().all(|count| *count == 1));
    fs::remove_dir_all(folder).unwrap();
}

/// How often each record is in the files, by its writer and number; each has the pid of its writer.
fn records(folder: &Path, pids: &[Pid]) -> HashMap<(usize, usize), u32> {
    let mut seen = HashMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        for line in fs::read_to_string(entry.unwrap().path()).unwrap().lines() {
            let mut parts = line.split_once("] ").unwrap().1.split('/');
            let mut number = || parts.next().unwrap().parse::<usize>().unwrap();
            let (who, record) = (number(), number());
            *seen.entry((who, record)).or_default() += 1;
            let pid = pids.get(who).map_or(std::process::id() as i32, |pid| pid.as_raw());
            assert!(line.contains(&format!("[pid:{pid},tid:")), "{line}");
        }
    }
    seen
}
