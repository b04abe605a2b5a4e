//! A disk without room: said once on stderr, the calls fail, and it goes on when there is room again.
//!
//! A limit on the size of files stands for the full disk: it stops writes half way, as the disk does.

#![allow(clippy::unwrap_used)]

use msf_core::log::{self, Level, Mode, Source};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{dup, dup2_stderr, pipe};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

#[test]
fn a_full_disk_is_told_once_and_the_log_goes_on_when_there_is_room() {
    let folder = std::env::temp_dir().join(format!("msf-log-full-{}", std::process::id()));
    let path = folder.join("x.log");
    // SAFETY: ignoring a signal runs no code.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.unwrap();
    log::open(&path).unwrap();
    log::set_mode(Mode::Direct).unwrap();
    let (soft, hard) = nix::sys::resource::getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 8192, hard).unwrap();
    let (results, told) = with_stderr(|| (0..200).map(write).collect::<Vec<_>>());
    setrlimit(Resource::RLIMIT_FSIZE, soft, hard).unwrap();
    let lost = results.iter().filter(|written| !**written).count();
    assert!(lost > 50 && lost < 200, "{lost}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("cannot write to the log") && told.contains("x.log"), "{told}");

    assert!((200..210).all(write));
    let text = fs::read_to_string(&path).unwrap();
    let whole = |number: usize| text.lines().filter(|line| line.contains(&format!("] number {number}["))).count();
    assert!((0..200).all(|number| whole(number) == usize::from(results[number])));
    assert!((200..210).all(|number| whole(number) == 1));
    assert!(text.contains(&format!("{lost} records before this one could not be written")), "{text}");
    let broken = text.lines().filter(|line| !line.ends_with(']')).count();
    assert!(broken <= 1, "{text}");

    // Through the rings the calls succeed, for they are over before the disk is asked; what is missing is told, too.
    log::set_mode(Mode::Ring).unwrap();
    assert!(write(299));
    log::flush().unwrap();
    let size = fs::metadata(&path).unwrap().len();
    setrlimit(Resource::RLIMIT_FSIZE, size, hard).unwrap();
    assert!((300..310).all(write));
    log::flush().unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, soft, hard).unwrap();
    assert!(write(310));
    log::flush().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("10 records before this one could not be written") && text.contains("] number 310["),
        "{text}"
    );
    assert_eq!(log::stats().unwrap().lost, lost as u64 + 10);
    log::set_mode(Mode::Direct).unwrap();

    // And the device that is always full.
    log::open(Path::new("/dev/full")).unwrap();
    let (written, told) = with_stderr(|| (0..10).map(write).filter(|written| *written).count());
    assert_eq!((written, told.as_str()), (0, ""), "told again within a minute");
    log::close();
    fs::remove_dir_all(folder).unwrap();
}

fn write(number: usize) -> bool {
    let source = Source { module: b"TEST", func: b"write", file: b"log_full.rs", line: 1 };
    log::write_bytes(Level::Info, &source, format!("number {number}").as_bytes()).is_ok()
}

fn with_stderr<T>(run: impl FnOnce() -> T) -> (T, String) {
    let kept = dup(std::io::stderr()).unwrap();
    let (read, write) = pipe().unwrap();
    dup2_stderr(&write).unwrap();
    drop(write);
    let result = run();
    dup2_stderr(&kept).unwrap();
    let mut text = String::new();
    File::from(read).read_to_string(&mut text).unwrap();
    (result, text)
}
