//! Workers that die, go, come back in the middle of a job, or return what is not theirs.

use crate::common::nmid::{Client, PARAMS, Reply, Worker, named, well};
use crate::{SOON, agents, reply_after};
use msf_wire::nmid::pdt;
use std::time::{Duration, Instant};

#[test]
fn when_a_worker_dies_its_caller_knows_at_once() {
    for agent in agents("") {
        let mut worker = agent.worker("W", &["F"]);
        let mut client = agent.client();
        client.ask("F", PARAMS);
        worker.job();
        drop(worker);
        let (reply, after) = reply_after(&mut client);
        assert_eq!(reply, Reply::Error);
        assert!(after < 1000, "{after} ms");
    }
}

#[test]
fn what_waits_for_a_dead_worker_goes_to_another_one() {
    for agent in agents("") {
        let mut dying = agent.worker("A", &["F"]);
        let mut clients: Vec<Client> = (0..4).map(|_| agent.client()).collect();
        clients.iter_mut().for_each(|client| client.ask("F", PARAMS));
        dying.job();
        let mut heir = agent.worker("B", &["F"]);
        drop(dying);
        let (mut errors, mut done) = (0, 0);
        for _ in 0..3 {
            heir.serve(b"x");
        }
        for client in &mut clients {
            match client.reply() {
                Reply::Error => errors += 1,
                _ => done += 1,
            }
        }
        assert_eq!((errors, done), (1, 3));
    }
}

#[test]
fn an_idempotent_call_survives_as_many_deaths_as_retries_allow() {
    for retries in [1, 2] {
        for agent in agents(&format!("function.F.idempotent=true\nfunction.F.retries={retries}")) {
            let mut workers: Vec<Worker> = (0..4).map(|_| agent.worker("W", &["F"])).collect();
            let mut client = agent.client();
            client.ask("F", PARAMS);
            let mut deaths = 0;
            // Whoever gets the job dies of it.
            let reply = loop {
                if let Some(heard) = client.line.next_within(Duration::from_millis(5)) {
                    break heard.unwrap().kind;
                }
                let before = workers.len();
                workers.retain_mut(|worker| worker.job_within(Duration::from_millis(1)).is_none());
                deaths += before - workers.len();
            };
            assert_eq!((reply, deaths), (pdt::ERROR, retries + 1));
        }
    }
}

#[test]
fn regress_a_call_whose_worker_died_is_repeated_where_a_worker_is_free() {
    for agent in agents("function.F.idempotent=true") {
        let mut workers: Vec<Worker> = (0..6).map(|_| agent.worker("W", &["F"])).collect();
        let mut busy: Vec<Client> = (0..5).map(|_| agent.client()).collect();
        busy.iter_mut().for_each(|client| client.ask("F", &named("busy")));
        let mut client = agent.client();
        // Five are busy; the sixth gets it and dies, and one of the five is free by then.
        for _ in 0..5 {
            client.line.expect_silence(Duration::from_millis(1));
        }
        let mut idle = Vec::new();
        let mut at = Vec::new();
        for mut worker in workers.drain(..) {
            match worker.job_within(SOON) {
                Some(job) => at.push((worker, job)),
                None => idle.push(worker),
            }
        }
        assert_eq!((at.len(), idle.len()), (5, 1));
        client.ask("F", &named("fate"));
        let mut doomed = idle.remove(0);
        assert_eq!(doomed.job().params, named("fate"));
        let (mut free, job) = at.pop().unwrap();
        free.give(&job, &well(b"x"));
        free.expect_nothing();
        drop(doomed);
        assert_eq!(free.serve(b"repeated").params, named("fate"));
        assert_eq!(client.data(), b"repeated");
    }
}

#[test]
fn a_worker_that_connects_anew_in_the_middle_of_a_job_may_return_it() {
    for agent in agents("") {
        for lands in 0..4 {
            let mut worker = agent.worker("Same", &["F"]);
            let mut client = agent.client();
            client.ask("F", PARAMS);
            let job = worker.job();
            worker.close(&["F"]);
            // Lands on another reactor each time.
            let _others: Vec<_> = (0..lands).map(|_| agent.nmid()).collect();
            let mut again = agent.worker("Same", &["F"]);
            again.give(&job, &well(b"after all"));
            assert_eq!(client.data(), b"after all");
            client.ask("F", PARAMS);
            again.serve(b"next");
            assert_eq!(client.data(), b"next");
            again.close(&["F"]);
        }
    }
}

#[test]
fn regress_a_result_that_overtakes_the_end_of_the_old_connection_counts() {
    for agent in agents("") {
        for _ in 0..4 {
            let mut worker = agent.worker("Same", &["F"]);
            let mut client = agent.client();
            client.ask("F", PARAMS);
            let job = worker.job();
            worker.say(pdt::W_DEL_FUNC, b"F");
            worker.expect_nothing();
            let mut again = agent.worker("Same", &["F"]);
            again.give(&job, &well(b"after all"));
            assert_eq!(client.data(), b"after all");
            drop(worker);
            again.close(&["F"]);
        }
    }
}

#[test]
fn a_stranger_cannot_return_what_another_worker_was_given() {
    for agent in agents("") {
        let mut worker = agent.worker("One", &["F"]);
        let mut client = agent.client();
        client.ask("F", PARAMS);
        let job = worker.job();
        let mut stranger = agent.worker("Two", &["G"]);
        stranger.give(&job, &well(b"false"));
        stranger.expect_nothing();
        worker.give(&job, &well(b"true"));
        assert_eq!(client.data(), b"true");
    }
}

#[test]
fn who_says_goodbye_and_does_not_come_back_is_not_waited_for_for_long() {
    for agent in agents("function.F.deadline_ms=20000") {
        let mut worker = agent.worker("Gone", &["F"]);
        let mut client = agent.client();
        client.ask("F", PARAMS);
        worker.job();
        worker.close(&["F"]);
        let (reply, after) = reply_after(&mut client);
        assert_eq!(reply, Reply::Error);
        assert!((5000..8000).contains(&after), "{after} ms");
    }
}

#[test]
fn who_comes_back_has_until_the_deadline() {
    for agent in agents("function.F.deadline_ms=9000") {
        let mut worker = agent.worker("Back", &["F"]);
        let mut client = agent.client();
        let asked = Instant::now();
        client.ask("F", PARAMS);
        let job = worker.job();
        worker.close(&["F"]);
        let mut again = agent.worker("Back", &["F"]);
        client.line.expect_silence(Duration::from_millis(7500).saturating_sub(asked.elapsed()));
        again.give(&job, &well(b"at last"));
        assert_eq!(client.data(), b"at last");
    }
}

#[test]
fn regress_a_worker_that_mixes_jobs_up_loses_all_it_has() {
    for agent in agents("function.F.in_flight=2") {
        let mut worker = agent.worker("W", &["F"]);
        let (mut a, mut b) = (agent.client(), agent.client());
        a.ask("F", &named("AAAA"));
        let first = worker.job();
        b.ask("F", &named("BBBB"));
        worker.job();
        worker.give(&first, &well(b"a"));
        assert_eq!(a.data(), b"a");
        // The same once more: which one it was nobody can tell.
        worker.give(&first, &well(b"a"));
        let (reply, after) = reply_after(&mut b);
        assert_eq!(reply, Reply::Error);
        assert!(after < 1000, "{after} ms");
        a.ask("F", &named("CCCC"));
        worker.serve(b"c");
        assert_eq!(a.data(), b"c");
        assert_eq!(agent.end().of("corrupt"), 1);
    }
}
