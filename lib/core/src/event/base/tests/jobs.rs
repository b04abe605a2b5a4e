//! Jobs that are posted to a base.

use super::*;

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
