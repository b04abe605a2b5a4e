//! The pool's promises, one by one.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

const LONG: Duration = Duration::from_secs(20);

fn pool(threads: u32, queue: u32) -> Arc<Pool> {
    Arc::new(Pool::builder().threads(threads).queue(queue).start().unwrap())
}

/// A pool of one thread, which is busy until the sender is used.
fn busy(queue: u32) -> (Arc<Pool>, mpsc::Sender<()>) {
    let (pool, (release, held), (begun, is_busy)) = (pool(1, queue), mpsc::channel(), mpsc::channel());
    pool.run(move || {
        begun.send(()).unwrap();
        let _ = held.recv();
    })
    .unwrap();
    is_busy.recv().unwrap();
    (pool, release)
}

#[test]
fn ten_thousand_jobs_are_each_done_once() {
    let (pool, count) = (pool(4, 16), Arc::new(AtomicU32::new(0)));
    for _ in 0..10_000 {
        let count = Arc::clone(&count);
        let job = move || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        assert!(pool.add_within(Box::new(job), LONG).is_ok());
    }
    assert!(pool.wait_idle(LONG).unwrap());
    assert_eq!(count.load(Ordering::Relaxed), 10_000);
    let expected = Statistics { threads: 4, done: 10_000, ..Statistics::default() };
    assert_eq!(pool.statistics(), expected);
}

#[test]
fn what_does_not_fit_is_given_back() {
    let (pool, release) = busy(1);
    pool.run(|| {}).unwrap();
    assert!(matches!(pool.run(|| {}), Err(Refused::Full(_))));
    let begun = Instant::now();
    assert!(matches!(pool.add_within(Box::new(|| {}), Duration::from_millis(20)), Err(Refused::Full(_))));
    assert!(begun.elapsed() >= Duration::from_millis(20));
    assert!(!pool.wait_idle(Duration::from_millis(1)).unwrap());
    assert_eq!((pool.statistics().refused, pool.statistics().queued, pool.statistics().running), (2, 1, 1));
    release.send(()).unwrap();
    assert!(pool.add_within(Box::new(|| {}), LONG).is_ok());
}

#[test]
fn finishing_runs_or_drops_what_is_queued() {
    for (queued, expected) in [(Queued::Run, 3), (Queued::Drop, 0)] {
        let ((pool, release), count) = (busy(8), Arc::new(AtomicU32::new(0)));
        for _ in 0..3 {
            let count = Arc::clone(&count);
            pool.run(move || {
                count.fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
        }
        let ender = {
            let pool = Arc::clone(&pool);
            std::thread::spawn(move || pool.finish(queued))
        };
        while !matches!(pool.run(|| {}), Err(Refused::Finishing(_))) {}
        let before = pool.statistics().done;
        release.send(()).unwrap();
        assert!(ender.join().unwrap() && !pool.finish(queued));
        assert!(before == 0 && count.load(Ordering::Relaxed) >= expected, "{queued:?}");
        assert_eq!(Arc::strong_count(&count), 1, "a job was kept");
        assert!(queued == Queued::Run || count.load(Ordering::Relaxed) == 0);
    }
}

#[test]
fn a_job_may_add_and_may_end_its_own_pool() {
    let (pool, (tell, told)) = (pool(2, 8), mpsc::channel());
    let (inner, outer) = (Arc::clone(&pool), tell.clone());
    pool.run(move || {
        assert_eq!(inner.wait_idle(LONG).unwrap_err().raw_os_error(), Some(libc::EDEADLK));
        inner.run(move || tell.send("inner").unwrap()).unwrap();
        assert!(inner.finish(Queued::Run));
        outer.send("outer").unwrap();
    })
    .unwrap();
    let mut heard = [told.recv_timeout(LONG).unwrap(), told.recv_timeout(LONG).unwrap()];
    heard.sort_unstable();
    assert_eq!(heard, ["inner", "outer"]);
    assert!(matches!(pool.run(|| {}), Err(Refused::Finishing(_))));
}

#[test]
fn a_panic_ends_the_job_and_not_the_thread() {
    let pool = pool(1, 8);
    pool.run(|| std::panic::resume_unwind(Box::new(()))).unwrap();
    pool.run(|| {}).unwrap();
    assert!(pool.wait_idle(LONG).unwrap());
    assert_eq!((pool.statistics().done, pool.statistics().panicked), (2, 1));
}

#[test]
fn numbers_out_of_range_start_nothing() {
    for builder in [
        Pool::builder().threads(65),
        Pool::builder().queue(0),
        Pool::builder().queue(65_537),
        Pool::builder().threads(3).pin(Pin::Cpu(60_000)),
    ] {
        let failed = builder.start::<fn()>().err().unwrap();
        assert_eq!(failed.raw_os_error(), Some(libc::EINVAL), "{builder:?}");
    }
}

#[test]
fn threads_have_their_names_and_processors() {
    let usable = cpus::affinity(0).unwrap();
    let pool = Pool::builder().threads(1).name("stokers").pin_each().class(Class::Batch(15)).start().unwrap();
    let (tell, told) = mpsc::channel();
    pool.run(move || {
        let name = nix::sys::prctl::get_name().unwrap().into_string().ok();
        tell.send((name, cpus::affinity(0).unwrap())).unwrap();
    })
    .unwrap();
    let (name, cpus) = told.recv_timeout(LONG).unwrap();
    assert_eq!((name.as_deref(), cpus.iter().next()), (Some("stokers/0"), usable.iter().next()));
    assert_eq!(cpus.len(), 1);
}
