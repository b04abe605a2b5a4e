//! Puts the safe faces to use against a real libmsf.so; `tests/faces.rs` runs it. A failed expectation panics.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use msf_sys::Unusable;
use msf_sys::event::{Base, Callbacks, Event};
use msf_sys::library::Library;
use msf_sys::log::{self, Level};
use msf_sys::process::{self, About, Refused};
use msf_sys::roster::Roster;
use msf_sys::service::{self, Service};
use msf_sys::thread;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

fn main() {
    the_version_is_told();
    records_carry_the_function_they_come_from();
    a_closure_runs_while_there_is_something_to_read();
    a_closure_may_drop_its_own_event();
    a_pass_nested_in_a_closure_runs_the_others_only();
    another_thread_ends_the_loop();
    a_name_is_claimed_once();
    services_that_are_not_there_are_refused();
    println!("faces: all well");
}

fn the_version_is_told() {
    assert_eq!(msf_sys::version(), env!("CARGO_PKG_VERSION"));
}

fn records_carry_the_function_they_come_from() {
    let path = process::log_dir().unwrap().join("faces.log");
    log::init(&path).unwrap();
    msf_sys::log!(Level::Info, "FACES", "100% {}\0!", 7);
    let closure = || msf_sys::log!(Level::Info, "FACES", "inside");
    closure();
    log::set_level(Level::Error).unwrap();
    msf_sys::log!(Level::Info, "FACES", "dropped");
    log::set_level(Level::Info).unwrap();
    assert!(log::limit(1, 1).is_err());
    log::set_module_level("FACES", Some(Level::Error)).unwrap();
    log::set_module_level("FACES", None).unwrap();
    log::flush().unwrap();
    log::close();
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written.lines().count(), 2, "{written}");
    assert!(written.contains("[FACES][INFO][records_carry_the_function_they_come_from "), "{written}");
    assert!(written.contains("] 100% 7\u{fffd}![pid:"), "{written}");
}

fn a_closure_runs_while_there_is_something_to_read() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let base = Base::new().unwrap();
    let seen = Arc::new(AtomicU32::new(0));
    let (count, end) = (Arc::clone(&seen), base.clone());
    let event = base
        .on_read(theirs.into(), move |fd| {
            let mut byte = [0];
            UnixStream::from(fd.try_clone_to_owned().unwrap()).read_exact(&mut byte).unwrap();
            if count.fetch_add(1, Ordering::Relaxed) == 2 {
                end.exit();
            }
        })
        .unwrap();
    ours.write_all(b"abc").unwrap();
    base.dispatch().unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 3);
    drop(event);
    assert_eq!(ours.write(b"d").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
}

fn a_closure_may_drop_its_own_event() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let base = Base::new().unwrap();
    let kept: Arc<Mutex<Option<Event>>> = Arc::default();
    let (own, end) = (Arc::clone(&kept), base.clone());
    let callbacks = Callbacks::default().read(|_| ()).error(move |_| {
        own.lock().unwrap().take();
        end.exit();
    });
    *kept.lock().unwrap() = Some(base.add(theirs.into(), callbacks).unwrap());
    drop(ours);
    base.dispatch().unwrap();
    assert!(kept.lock().unwrap().is_none());
}

fn a_pass_nested_in_a_closure_runs_the_others_only() {
    let pairs: Vec<_> = (0..2).map(|_| UnixStream::pair().unwrap()).collect();
    let base = Base::new().unwrap();
    let (outer, inner) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut events = Vec::new();
    for (mut ours, theirs) in pairs {
        ours.write_all(b"x").unwrap();
        let (outer, inner, end) = (Arc::clone(&outer), Arc::clone(&inner), base.clone());
        // Whichever comes first nests and leaves its byte unread meanwhile.
        let event = base.on_read(theirs.into(), move |fd| {
            let _open = &ours;
            if outer.fetch_add(1, Ordering::Relaxed) == 0 {
                while inner.load(Ordering::Relaxed) == 0 {
                    end.wait().unwrap();
                }
                end.exit();
            } else {
                inner.fetch_add(1, Ordering::Relaxed);
            }
            UnixStream::from(fd.try_clone_to_owned().unwrap()).read_exact(&mut [0]).unwrap();
        });
        events.push(event.unwrap());
    }
    base.dispatch().unwrap();
    assert_eq!((outer.load(Ordering::Relaxed), inner.load(Ordering::Relaxed)), (2, 1));
}

fn another_thread_ends_the_loop() {
    let base = Base::new().unwrap();
    let end = base.clone();
    let thread = thread::spawn("a-name-that-is-too-long", move || {
        let name = fs::read_to_string("/proc/thread-self/comm").unwrap();
        assert_eq!(name.trim(), "a-name-that-is-");
        end.exit();
    })
    .unwrap();
    base.dispatch().unwrap();
    thread.join().unwrap();
}

fn a_name_is_claimed_once() {
    let claim = process::claim("faces").unwrap();
    let own = std::process::id().cast_signed();
    assert_eq!(process::holder("faces").unwrap(), Some(own));
    assert!(process::run_dir().unwrap().join("faces.pid").exists());
    drop(claim);
    assert_eq!(process::holder("faces").unwrap(), None);
    assert!(matches!(process::claim("a/b"), Err(Refused::Failed(_))));
    process::title("faces: a title").unwrap();
}

fn services_that_are_not_there_are_refused() {
    assert_eq!(
        Library::open(Path::new("/nowhere/libone.so"), Path::new("/nowhere/libone.so")).unwrap_err().raw_os_error(),
        Some(libc::ENOENT)
    );
    let library = Library::open(Path::new("libc.so.6"), Path::new("libc.so.6")).unwrap();
    let about = service::About { name: "two".to_owned(), config: "{}".to_owned(), generation: 1, table: None };
    assert!(matches!(Service::find(&library, &about), Err(Unusable::NoSymbol)));
    let roster = Roster::publish(About { name: "faces", ..About::default() }, 2).unwrap();
    assert!(Roster::publish(About::default(), 2).is_err());
    drop(roster);
}
