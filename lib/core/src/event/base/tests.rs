//! The event base on real sockets and pipes, from several threads.

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
fn callback_may_free_its_own_event_and_others_of_the_same_pass() {
    let base = Base::new().unwrap();
    let pairs = [ready_pair(), ready_pair()];
    let slots: &'static Mutex<Vec<Event<Told>>> = Box::leak(Box::default());
    let (count, run) = counter();
    let run: &'static _ = Box::leak(Box::new(run));
    for (ours, _) in &pairs {
        let event = event(ours, READ, move |call| {
            let all = std::mem::take(&mut *slots.lock().unwrap());
            drop(all);
            run(call);
        });
        base.add(&event).unwrap();
        slots.lock().unwrap().push(event);
    }
    base.wait().unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    base.signal();
    base.wait().unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn del_waits_while_that_events_callback_runs_on_another_thread_and_only_then() {
    let base = Base::new().unwrap();
    let (slow, _peer) = ready_pair();
    let (idle, _other) = UnixStream::pair().unwrap();
    let (entered, enters) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (entered, released) = (Mutex::new(entered), Mutex::new(released));
    let done: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    let slow_event = event(&slow, READ, move |_| {
        entered.lock().unwrap().send(()).unwrap();
        released.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        done.store(true, Ordering::SeqCst);
    });
    let idle_event = event(&idle, READ, |_| {});
    base.add(&slow_event).unwrap();
    base.add(&idle_event).unwrap();
    let second = base.clone();
    let turner = thread::spawn(move || second.dispatch());
    enters.recv_timeout(PATIENCE).unwrap();
    base.del(&idle_event).unwrap();
    assert!(!done.load(Ordering::SeqCst));
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(30));
        release.send(()).unwrap();
    });
    base.del(&slow_event).unwrap();
    assert!(done.load(Ordering::SeqCst));
    base.loopexit();
    turner.join().unwrap().unwrap();
}

#[test]
fn event_removed_by_another_thread_and_by_its_own_callback_at_once_does_not_deadlock() {
    let base = Base::new().unwrap();
    let (ours, _peer) = ready_pair();
    let place: &'static Mutex<Option<usize>> = Box::leak(Box::default());
    let (entered, enters) = mpsc::channel();
    let (entered, remover) = (Mutex::new(entered), base.clone());
    let event: &'static Event<Told> = Box::leak(Box::new(event(&ours, READ, move |_| {
        entered.lock().unwrap().send(()).unwrap();
        thread::sleep(Duration::from_millis(20));
        let address = place.lock().unwrap().unwrap();
        // SAFETY: the address is that of the leaked event below.
        let event = unsafe { &*(address as *const Event<Told>) };
        assert_eq!(code(remover.del(event)), libc::ENOENT);
    })));
    *place.lock().unwrap() = Some(std::ptr::from_ref(event) as usize);
    base.add(event).unwrap();
    let second = base.clone();
    let turner = thread::spawn(move || second.dispatch());
    enters.recv_timeout(PATIENCE).unwrap();
    base.del(event).unwrap();
    base.loopexit();
    turner.join().unwrap().unwrap();
}

#[test]
fn event_being_dropped_cannot_be_armed_again_by_its_running_callback() {
    let base = Base::new().unwrap();
    let (ours, _peer) = ready_pair();
    let place: &'static Mutex<usize> = Box::leak(Box::default());
    let answer: &'static Mutex<Option<i32>> = Box::leak(Box::default());
    let (entered, enters) = mpsc::channel();
    let (entered, again) = (Mutex::new(entered), base.clone());
    let event = Box::into_raw(Box::new(event(&ours, READ, move |_| {
        entered.lock().unwrap().send(()).unwrap();
        let address = *place.lock().unwrap() as *const Event<Told>;
        // SAFETY: the event is boxed below, and whoever drops it waits for this callback.
        let event = unsafe { &*address };
        // Being dropped: until the other thread has come so far, arming again is an update.
        let code = loop {
            match again.add(event) {
                Ok(()) => thread::yield_now(),
                Err(e) => break e.raw_os_error(),
            }
        };
        *answer.lock().unwrap() = code;
    })));
    *place.lock().unwrap() = event as usize;
    // SAFETY: the box was made above and is taken back only below.
    base.add(unsafe { &*event }).unwrap();
    let second = base.clone();
    let turner = thread::spawn(move || second.dispatch());
    enters.recv_timeout(PATIENCE).unwrap();
    // SAFETY: the box is not taken back before the next line.
    unsafe { &*event }.retire();
    // SAFETY: it came from `Box::into_raw`, is taken back once, and its callback has ended.
    drop(unsafe { Box::from_raw(event) });
    assert_eq!(*answer.lock().unwrap(), Some(libc::EINVAL));
    base.loopexit();
    turner.join().unwrap().unwrap();
}

#[test]
fn callbacks_of_two_bases_may_remove_each_others_events() {
    let bases = [Base::new().unwrap(), Base::new().unwrap()];
    let pairs = [ready_pair(), ready_pair()];
    let events: &'static Mutex<Vec<&'static Event<Told>>> = Box::leak(Box::default());
    let barrier: &'static std::sync::Barrier = Box::leak(Box::new(std::sync::Barrier::new(2)));
    for (at, pair) in pairs.iter().enumerate() {
        let (own, other) = (bases[at].clone(), bases[1 - at].clone());
        let event = event(&pair.0, READ, move |_| {
            barrier.wait();
            let victim = events.lock().unwrap()[1 - at];
            other.del(victim).unwrap();
            own.loopexit();
        });
        events.lock().unwrap().push(Box::leak(Box::new(event)));
    }
    for (base, event) in bases.iter().zip(events.lock().unwrap().iter()) {
        base.add(event).unwrap();
    }
    let turners = bases.clone().map(|base| thread::spawn(move || base.dispatch()));
    turners.into_iter().for_each(|turner| turner.join().unwrap().unwrap());
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

#[test]
fn descriptor_closed_before_its_event_is_removed_wedges_nothing() {
    let base = Base::new().unwrap();
    let (ours, theirs) = ready_pair();
    let mut ours = OwnedFd::from(ours);
    let (stale_count, run) = counter();
    let stale = event(&ours, READ, run);
    base.add(&stale).unwrap();
    drop(theirs);
    // The old file is closed and the same number taken by another one, while the old event is still armed.
    let (new, _theirs) = ready_pair();
    nix::unistd::dup2(&new, &mut ours).unwrap();
    drop(new);
    let (count, run) = counter();
    let fresh = event(&ours, READ, run);
    base.add(&fresh).unwrap();
    base.wait().unwrap();
    assert_eq!((stale_count.load(Ordering::SeqCst), count.load(Ordering::SeqCst)), (0, 1));
    base.del(&stale).unwrap();
    base.wait().unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn registration_that_a_duplicate_keeps_alive_does_not_spin_the_loop() {
    let base = Base::new().unwrap();
    let (ours, _theirs) = ready_pair();
    let _duplicate = ours.try_clone().unwrap();
    let event_of_closed = event(&ours, READ, |_| {});
    let (live, mut peer) = UnixStream::pair().unwrap();
    let (count, run) = counter();
    let live_event = event(&live, READ, run);
    base.add(&event_of_closed).unwrap();
    base.add(&live_event).unwrap();
    drop(ours);
    base.del(&event_of_closed).unwrap();
    // The orphan is reported once; from then on the kernel's set is clean, and nothing is ready.
    base.wait().unwrap();
    let mut batch = ReportBatch::new();
    let quiet = Some(Duration::from_millis(1));
    base.shared.poller.lock().unwrap().wait_level(quiet, &mut batch).unwrap();
    assert_eq!(batch, []);
    peer.write_all(b"x").unwrap();
    while count.load(Ordering::SeqCst) == 0 {
        base.wait().unwrap();
    }
    // The waker is in the new set, too.
    let second = base.clone();
    (&live).read_exact(&mut [0]).unwrap();
    let turner = thread::spawn(move || second.dispatch());
    while base.shared.table().turner().is_none() {
        thread::yield_now();
    }
    base.loopexit();
    turner.join().unwrap().unwrap();
}

#[test]
fn closing_a_base_ends_its_dispatch_and_frees_its_events_for_another() {
    let (base, other) = (Base::new().unwrap(), Base::new().unwrap());
    let (ours, _peer) = ready_pair();
    let (count, run) = counter();
    let (entered, enters) = mpsc::channel();
    let entered = Mutex::new(entered);
    let event = event(&ours, READ, move |call| {
        run(call);
        let _ = entered.lock().unwrap().send(());
    });
    base.add(&event).unwrap();
    let second = base.clone();
    let turner = thread::spawn(move || second.dispatch());
    enters.recv_timeout(PATIENCE).unwrap();
    base.close();
    let calls = count.load(Ordering::SeqCst);
    turner.join().unwrap().unwrap();
    assert_eq!(code(base.add(&event)), libc::EINVAL);
    drop(base);
    other.add(&event).unwrap();
    other.wait().unwrap();
    assert_eq!(count.load(Ordering::SeqCst), calls + 1);
}

#[test]
fn events_come_and_go_from_many_threads_while_the_loop_runs() {
    let base = Base::new().unwrap();
    let second = base.clone();
    let turner = thread::spawn(move || second.dispatch());
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let base = base.clone();
            thread::spawn(move || {
                for _ in 0..300 {
                    let (ours, _theirs) = ready_pair();
                    let (count, run) = counter();
                    let event = event(&ours, READ, run);
                    base.add(&event).unwrap();
                    while count.load(Ordering::SeqCst) == 0 {
                        thread::yield_now();
                    }
                    base.del(&event).unwrap();
                    let calls = count.load(Ordering::SeqCst);
                    thread::yield_now();
                    assert_eq!(count.load(Ordering::SeqCst), calls);
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    base.loopexit();
    turner.join().unwrap().unwrap();
}

#[test]
fn posted_jobs_run_on_the_turning_thread_in_order_and_wake_it() {
    let base = Base::<Told>::new().unwrap();
    let (told, seen) = mpsc::channel();
    let poster = {
        let base = base.clone();
        thread::spawn(move || {
            let me = thread::current().id();
            for number in 0..1000 {
                let told = told.clone();
                let mut job: Task = Box::new(move || told.send((number, thread::current().id() != me)).unwrap());
                while let Err(refused) = base.post(job) {
                    job = refused.into_job();
                    thread::yield_now();
                }
            }
            let last = base.clone();
            base.post(Box::new(move || last.loopexit())).unwrap();
        })
    };
    base.dispatch().unwrap();
    poster.join().unwrap();
    assert!(seen.iter().eq((0..1000).map(|number| (number, true))));
}

#[test]
fn loopexit_inside_a_job_leaves_the_rest_for_the_next_dispatch() {
    let base = Base::<Told>::new().unwrap();
    let (told, seen) = mpsc::channel();
    for number in [1, 2] {
        let (told, base) = (told.clone(), base.clone());
        base.clone()
            .post(Box::new(move || {
                told.send(number).unwrap();
                base.loopexit();
            }))
            .unwrap();
    }
    base.dispatch().unwrap();
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [1]);
    base.dispatch().unwrap();
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [2]);
}

#[test]
fn job_may_turn_the_base_again_and_close_it() {
    let base = Base::<Told>::new().unwrap();
    let (told, seen) = mpsc::channel();
    let post = |job: Task| base.post(job).unwrap();
    let (inner, first) = (base.clone(), told.clone());
    post(Box::new(move || {
        inner.wait().unwrap();
        first.send("outer").unwrap();
    }));
    let (closed, second) = (base.clone(), told.clone());
    post(Box::new(move || {
        second.send("inner").unwrap();
        closed.close();
    }));
    post(Box::new(move || told.send("never").unwrap()));
    base.dispatch().unwrap();
    assert_eq!(seen.iter().collect::<Vec<_>>(), ["inner", "outer"]);
}

#[test]
fn job_that_turns_the_base_again_is_woken_by_the_next_job() {
    let base = Base::<Told>::new().unwrap();
    let (told, seen) = mpsc::channel();
    let inner = base.clone();
    base.post(Box::new(move || {
        let (asked, asking) = mpsc::channel();
        let poster = {
            let inner = inner.clone();
            thread::spawn(move || {
                asking.recv().unwrap();
                inner.post(Box::new(move || told.send(()).unwrap())).unwrap();
            })
        };
        // A note from before, then one pass that finds nothing to do; the job comes when the second one may sleep already.
        inner.signal();
        inner.wait().unwrap();
        asked.send(()).unwrap();
        inner.wait().unwrap();
        poster.join().unwrap();
    }))
    .unwrap();
    base.wait().unwrap();
    assert_eq!(seen.try_iter().count(), 1);
}
