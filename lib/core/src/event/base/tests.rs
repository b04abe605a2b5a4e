//! The event base on real sockets and pipes, from several threads.

mod jobs;
mod removal;

use super::super::Task;
use super::*;
use crate::event::call::Expire;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A handler whose callbacks are closures, leaked because a handler must be `Copy`.
#[derive(Clone, Copy)]
struct Told {
    wants: &'static [Call],
    run: &'static (dyn Fn(Call) + Sync),
}

impl Handler for Told {
    type Job = Task;
    type Timer = Then;

    fn wants(&self, call: Call) -> bool {
        self.wants.contains(&call)
    }
    fn call(self, call: Call) {
        (self.run)(call);
    }
}

/// What a timer does.
#[derive(Clone, Copy)]
struct Then(&'static (dyn Fn() + Sync));

impl Expire for Then {
    fn expired(self) {
        (self.0)();
    }
}

const READ: &[Call] = &[Call::Read];
const PATIENCE: Duration = Duration::from_secs(10);

fn event(fd: &impl AsRawFd, wants: &'static [Call], run: impl Fn(Call) + Sync + 'static) -> Event<Told> {
    Event::new(fd.as_raw_fd(), Told { wants, run: Box::leak(Box::new(run)) }).unwrap()
}

/// A pair whose first end has something to read.
fn ready_pair() -> (UnixStream, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(b"x").unwrap();
    (ours, theirs)
}

fn code(result: io::Result<()>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

fn read_one(fd: RawFd) -> usize {
    let mut byte = [0u8; 1];
    // SAFETY: one byte is written at most, into a local of one byte.
    unsafe { libc::read(fd, byte.as_mut_ptr().cast(), 1) as usize }
}

/// Counts its calls.
fn counter() -> (&'static AtomicU64, impl Fn(Call) + Sync + 'static) {
    let count: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
    (count, move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    })
}

#[test]
fn readiness_is_told_until_it_is_read() {
    let base = Base::new().unwrap();
    let (ours, _theirs) = ready_pair();
    let (count, run) = counter();
    let event = event(&ours, READ, run);
    base.add(&event).unwrap();
    base.wait().unwrap();
    base.wait().unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 2);
    (&ours).read_exact(&mut [0]).unwrap();
    base.signal();
    base.wait().unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn bad_descriptors_are_refused_where_they_are_armed() {
    let base = Base::new().unwrap();
    // Above every limit on open files.
    let closed = Event::new(RawFd::MAX, Told { wants: READ, run: &|_| {} }).unwrap();
    assert_eq!(code(base.add(&closed)), libc::EBADF);
    let never_open = Event::new(-1, Told { wants: READ, run: &|_| {} }).unwrap();
    assert_eq!(code(base.add(&never_open)), libc::EBADF);
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    assert_eq!(code(base.add(&event(&file, READ, |_| {}))), libc::EPERM);
    assert_eq!(code(Event::new(0, Told { wants: &[], run: &|_| {} }).map(drop)), libc::EINVAL);
}

#[test]
fn arming_twice_is_an_update_and_another_event_or_base_is_refused() {
    let (base, other) = (Base::new().unwrap(), Base::new().unwrap());
    let (ours, _theirs) = ready_pair();
    let (first, second) = (event(&ours, READ, |_| {}), event(&ours, READ, |_| {}));
    base.add(&first).unwrap();
    base.add(&first).unwrap();
    assert_eq!(code(base.add(&second)), libc::EEXIST);
    assert_eq!(code(other.add(&first)), libc::EINVAL);
    assert_eq!(code(other.del(&first)), libc::ENOENT);
    base.del(&first).unwrap();
    assert_eq!(code(base.del(&first)), libc::ENOENT);
    other.add(&first).unwrap();
    base.add(&second).unwrap();
}

#[test]
fn loopexit_ends_the_next_dispatch_and_the_one_after_blocks_again() {
    let base = Base::<Told>::new().unwrap();
    base.loopexit();
    base.dispatch().unwrap();
    let (left, leaves) = mpsc::channel();
    let second = base.clone();
    let turner = thread::spawn(move || {
        second.dispatch().unwrap();
        left.send(()).unwrap();
    });
    assert!(leaves.recv_timeout(Duration::from_millis(50)).is_err());
    base.signal();
    assert!(leaves.recv_timeout(Duration::from_millis(50)).is_err());
    let asked = Instant::now();
    base.loopexit();
    leaves.recv_timeout(PATIENCE).unwrap();
    assert!(asked.elapsed() < Duration::from_millis(100));
    turner.join().unwrap();
}

#[test]
fn loopexit_inside_a_callback_leaves_the_rest_for_the_next_dispatch() {
    let base = Base::new().unwrap();
    let pairs = [ready_pair(), ready_pair(), ready_pair()];
    let (count, run) = counter();
    let run: &'static _ = Box::leak(Box::new(run));
    let events = pairs.each_ref().map(|(ours, _)| {
        let base = base.clone();
        event(ours, READ, move |call| {
            run(call);
            base.loopexit();
        })
    });
    events.iter().for_each(|event| base.add(event).unwrap());
    base.dispatch().unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    base.dispatch().unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn unread_data_comes_before_the_hang_up() {
    let base = Base::new().unwrap();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(b"abc").unwrap();
    drop(theirs);
    let (told, tells) = mpsc::channel();
    let (fd, leaver) = (ours.as_raw_fd(), base.clone());
    let told = Mutex::new(told);
    let event = event(&ours, &[Call::Read, Call::Write, Call::Error], move |call| {
        let got = if call == Call::Read { read_one(fd) } else { 0 };
        told.lock().unwrap().send((call, got)).unwrap();
        if call == Call::Error {
            leaver.loopexit();
        }
    });
    base.add(&event).unwrap();
    base.dispatch().unwrap();
    let calls: Vec<_> = tells.try_iter().collect();
    assert_eq!(calls, [(Call::Read, 1), (Call::Read, 1), (Call::Read, 1), (Call::Error, 0)]);
}

#[test]
fn reader_without_an_error_callback_sees_the_end_of_a_pipe() {
    let base = Base::new().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(writer);
    let (got, gets) = mpsc::channel();
    let (fd, got) = (reader.as_raw_fd(), Mutex::new(got));
    let event = event(&reader, READ, move |_| got.lock().unwrap().send(read_one(fd)).unwrap());
    base.add(&event).unwrap();
    base.wait().unwrap();
    assert_eq!(gets.try_iter().collect::<Vec<_>>(), [0]);
}

#[test]
fn writer_alone_learns_of_the_hang_up_by_its_write_callback() {
    let base = Base::new().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (count, run) = counter();
    let event = event(&writer, &[Call::Write], run);
    base.add(&event).unwrap();
    base.wait().unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn loop_may_be_turned_from_inside_a_callback_but_not_by_a_second_thread() {
    let base = Base::new().unwrap();
    let (ours, _peer) = ready_pair();
    let (depth, deepest) = (AtomicU64::new(0), &*Box::leak(Box::new(AtomicU64::new(0))));
    let again = base.clone();
    let event = event(&ours, READ, move |_| {
        depth.fetch_add(1, Ordering::SeqCst);
        if deepest.load(Ordering::SeqCst) == 0
            && let Err(e) = again.wait()
        {
            assert_eq!(e.raw_os_error(), Some(libc::EDEADLK));
            deepest.store(depth.load(Ordering::SeqCst), Ordering::SeqCst);
            let again = again.clone();
            assert_eq!(thread::spawn(move || code(again.wait())).join().unwrap(), libc::EBUSY);
        }
    });
    base.add(&event).unwrap();
    base.wait().unwrap();
    assert_eq!(deepest.load(Ordering::SeqCst), 8);
}
