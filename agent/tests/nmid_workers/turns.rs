//! One job at a time: queues and their limits, whose turn it is, deadlines.

use crate::common::Agent;
use crate::common::nmid::{Client, PARAMS, Reply, named, well};
use crate::{SOON, agents, reply_after};
use std::io::Write;
use std::time::{Duration, Instant};

#[test]
fn a_worker_has_one_job_at_a_time_unless_more_is_allowed() {
    let rules = [("", 1), ("function.F.in_flight=3", 3), ("function.F.in_flight=3\nworker.W.in_flight=2", 2)];
    for (lines, most) in rules {
        for agent in agents(lines) {
            let mut worker = agent.worker("W", &["F"]);
            let mut clients: Vec<Client> = (0..5).map(|_| agent.client()).collect();
            clients.iter_mut().for_each(|client| client.ask("F", PARAMS));
            let mut jobs: Vec<_> = (0..most).map(|_| worker.job()).collect();
            worker.line.expect_silence(SOON);
            for _ in 0..5 - most {
                worker.give(&jobs.remove(0), &well(b"x"));
                jobs.push(worker.job());
            }
            jobs.iter().for_each(|job| worker.give(job, &well(b"x")));
            clients.iter_mut().for_each(|client| assert_eq!(client.data(), b"x"));
        }
    }
}

#[test]
fn regress_a_worker_of_the_first_generation_has_one_job_whatever_is_allowed() {
    for agent in agents("function.F.in_flight=8") {
        let mut worker = agent.first_worker(&["F"]);
        let mut clients: Vec<Client> = (0..3).map(|_| agent.client()).collect();
        clients.iter_mut().for_each(|client| client.ask("F", PARAMS));
        for _ in 0..3 {
            let job = worker.job();
            worker.line.expect_silence(SOON);
            worker.give(&job, &well(b"x"));
        }
        clients.iter_mut().for_each(|client| assert_eq!(client.data(), b"x"));
    }
}

#[test]
fn more_than_the_queue_holds_is_turned_away() {
    let agent = Agent::with_nmid("function.F.queue_limit=2");
    let mut worker = agent.worker("W", &["F"]);
    let mut clients: Vec<Client> = (0..5).map(|_| agent.client()).collect();
    clients[0].ask("F", PARAMS);
    let first = worker.job();
    clients[1].ask("F", PARAMS);
    clients[2].ask("F", PARAMS);
    // The fourth and the fifth find one at work and two waiting; which ones these are, their sockets decide.
    worker.expect_nothing();
    for client in &mut clients[3..] {
        client.ask("F", PARAMS);
        assert_eq!(client.reply(), Reply::RateLimit);
    }
    worker.give(&first, &well(b"0"));
    for client in &mut clients[..3] {
        if client.line.next_within(SOON).is_none() {
            worker.serve(b"x");
            assert_eq!(client.data(), b"x");
        }
    }
}

#[test]
fn who_asks_a_lot_does_not_keep_who_asks_little_waiting() {
    for agent in agents("nmid_order=pipelined") {
        let mut worker = agent.worker("W", &["F"]);
        let mut greedy = agent.client();
        (0..100).for_each(|_| greedy.ask("F", &named("many")));
        let first = worker.job();
        // All hundred are in the agent: an answer to the hundred-and-first request says so.
        let mut modest: Vec<Client> = (0..3).map(|_| agent.client()).collect();
        greedy.ask("nobody", PARAMS);
        modest.iter_mut().for_each(|client| client.ask("F", &named("once")));
        worker.line.expect_silence(SOON);
        worker.give(&first, &well(b"x"));
        let mut turns = Vec::new();
        for _ in 0..7 {
            let job = worker.serve(b"x");
            turns.push(job.params == named("once"));
        }
        assert_eq!(turns.iter().filter(|is_modest| **is_modest).count(), 3, "{turns:?}");
        modest.iter_mut().for_each(|client| assert_eq!(client.data(), b"x"));
    }
}

#[test]
fn regress_a_deadline_is_kept_and_the_worker_gets_its_next_job() {
    for agent in agents("function.F.deadline_ms=300") {
        let mut worker = agent.worker("W", &["F"]);
        for _ in 0..2 {
            let mut client = agent.client();
            let since = Instant::now();
            client.ask("F", &named("late"));
            let late = worker.job();
            let (reply, _) = reply_after(&mut client);
            let after = since.elapsed().as_millis();
            assert_eq!(reply, Reply::Error);
            assert!((290..400).contains(&after), "{after} ms");
            client.ask("F", &named("next"));
            let next = worker.job();
            assert_eq!(next.params, named("next"));
            worker.give(&late, &well(b"late"));
            worker.give(&next, &well(b"next"));
            assert_eq!(client.data(), b"next");
        }
        let counted = agent.end();
        assert_eq!((counted.of("deadline"), counted.of("dropped_late")), (2, 2));
    }
}

#[test]
fn what_waits_in_the_queue_has_its_deadline_too() {
    for agent in agents("function.F.deadline_ms=200") {
        let worker = agent.worker("W", &["F"]);
        let mut clients: Vec<Client> = (0..3).map(|_| agent.client()).collect();
        let since = Instant::now();
        clients.iter_mut().for_each(|client| client.ask("F", PARAMS));
        for client in &mut clients {
            assert_eq!(client.reply(), Reply::Error);
            assert!((190..350).contains(&since.elapsed().as_millis()), "{:?}", since.elapsed());
        }
        drop(worker);
    }
}

#[test]
fn nobody_waits_behind_a_slow_worker_while_another_one_is_idle() {
    let agent = Agent::with_nmid("max_threads=4");
    let mut slow = agent.worker("Slow", &["F"]);
    let mut quick = agent.worker("Quick", &["F"]);
    let mut clients: Vec<Client> = (0..40).map(|_| agent.client()).collect();
    clients.iter_mut().for_each(|client| client.ask("F", PARAMS));
    let held = slow.job();
    let since = Instant::now();
    for _ in 0..39 {
        quick.serve(b"quick");
    }
    assert!(since.elapsed() < Duration::from_secs(2));
    slow.give(&held, &well(b"slow"));
    let mut slows = 0;
    for client in &mut clients {
        slows += usize::from(client.data() == b"slow");
    }
    assert_eq!(slows, 1);
}

#[test]
fn regress_callers_take_turns_when_another_reactor_takes_their_calls() {
    let agent = Agent::with_nmid("max_threads=2\nnmid_order=pipelined");
    // Connections are handed out in turn: the callers and the first worker on one reactor, the other worker elsewhere.
    let mut near = agent.worker("Near", &["F"]);
    let _skip = agent.nmid();
    let mut greedy = agent.client();
    let _skip = agent.nmid();
    let mut modest = agent.client();
    (0..60).for_each(|_| greedy.ask("F", &named("many")));
    let mine = near.job();
    modest.ask("F", &named("once"));
    near.line.expect_silence(SOON);
    let mut far = agent.worker("Far", &["F"]);
    let mut before = 0;
    let mut job = far.job();
    while job.params != named("once") {
        far.give(&job, &well(b"x"));
        job = far.job();
        before += 1;
        assert!(before < 5, "the modest one waits behind {before}");
    }
    far.give(&job, &well(b"x"));
    assert_eq!(modest.data(), b"x");
    near.give(&mine, &well(b"x"));
}

#[test]
fn at_the_end_who_waits_is_answered_or_told() {
    for agent in agents("drain_ms=300\nnmid_order=auto") {
        let mut agent = agent;
        let mut worker = agent.worker("W", &["F"]);
        let mut never = agent.worker("N", &["Never"]);
        let mut clients: Vec<Client> = (0..3).map(|_| agent.client()).collect();
        clients[0].ask("F", PARAMS);
        let job = worker.job();
        clients[1].ask("Never", PARAMS);
        never.job();
        // Many answers that may not follow each other at once.
        for _ in 0..40 {
            clients[2].ask("F", PARAMS);
        }
        worker.line.expect_silence(SOON);
        agent.signal(nix::sys::signal::Signal::SIGTERM);
        worker.give(&job, &well(b"done"));
        for _ in 0..40 {
            worker.serve(b"many");
        }
        assert_eq!(clients[0].data(), b"done");
        for number in 0..40 {
            assert_eq!(clients[2].data(), b"many", "{number}");
        }
        assert_eq!(clients[1].reply(), Reply::Error);
        assert!(agent.wait().success());
        clients.iter_mut().for_each(|client| client.line.expect_end());
        let _ = worker.line.stream.flush();
    }
}
