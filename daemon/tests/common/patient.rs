//! A program that is ill on demand: the test's own executable, started anew by the daemon. What it does is what the file
//! in `PATIENT` says at the moment, several words: `rss:64` (MiB), `leak:20` (MiB a second, for as long as it says so),
//! `fds:100`, `threads:20`, `spin`, `beat`, `saw:30` (MiB, up and down all the time).

use serde_json::{Value, json};
use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The entry of one, whose test file has a test called `patient` that calls [`live`].
pub fn patient(index: i32, name: &str, file: &Path) -> Value {
    json!({
        "proc_idx": index, "proc_name": name, "proc_path": std::env::current_exe().unwrap(),
        "args": ["--exact", "patient", "--nocapture"], "env": {"PATIENT": file},
    })
}

/// Says what it is to do from now on. Renamed over the old words: half of them would be something else.
pub fn tell(file: &Path, words: &str) {
    let new = file.with_extension("new");
    fs::write(&new, words).unwrap();
    fs::rename(new, file).unwrap();
}

/// Lives as such a program, if this process is one.
pub fn live() {
    let Some(file) = std::env::var_os("PATIENT").map(PathBuf::from) else { return };
    let starter = std::env::var_os("NOTIFY_SOCKET");
    let (mut memory, mut files, mut threads) = (Vec::new(), Vec::new(), Vec::new());
    let (begun, mut leaking_since) = (Instant::now(), None);
    loop {
        let words = fs::read_to_string(&file).unwrap_or_default();
        let number = |word: &str| -> usize {
            let of = |other: &str| other.strip_prefix(word)?.strip_prefix(':')?.parse().ok();
            words.split_whitespace().find_map(of).unwrap_or(0)
        };
        let says = |word: &str| words.split_whitespace().any(|other| other == word);
        let leaked = match number("leak") {
            0 => {
                leaking_since = None;
                0
            }
            rate => leaking_since.get_or_insert_with(Instant::now).elapsed().as_millis() as usize * rate / 1000,
        };
        let swing = match number("saw") {
            0 => 0,
            most => begun.elapsed().as_millis() as usize / 10 % most,
        };
        memory.resize_with(number("rss") + leaked + swing, || vec![1u8; 1 << 20]);
        files.resize_with(number("fds"), || File::open("/dev/null").unwrap());
        resize(&mut threads, number("threads"));
        if says("beat")
            && let Some(place) = &starter
        {
            let _ = UnixDatagram::unbound().unwrap().send_to(b"WATCHDOG=1", place);
        }
        let nap = Instant::now();
        while says("spin") && nap.elapsed() < NAP {}
        if !says("spin") {
            thread::sleep(NAP);
        }
    }
}

fn resize(threads: &mut Vec<Arc<AtomicBool>>, wanted: usize) {
    threads.drain(wanted.min(threads.len())..).for_each(|goes_on| goes_on.store(false, Ordering::Relaxed));
    while threads.len() < wanted {
        let goes_on = Arc::new(AtomicBool::new(true));
        threads.push(Arc::clone(&goes_on));
        thread::spawn(move || {
            while goes_on.load(Ordering::Relaxed) {
                thread::sleep(NAP);
            }
        });
    }
}

const NAP: Duration = Duration::from_millis(20);
