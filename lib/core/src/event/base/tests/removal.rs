//! Events that go: removed, dropped, their descriptor or their base closed, by whichever thread.

use super::*;

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
