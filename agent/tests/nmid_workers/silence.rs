//! What a worker is not sent: silence behind large jobs; and what it is asked, where `nmid_probe` allows it.

use crate::common::Agent;
use crate::common::nmid::{PARAMS, Reply, Worker, named, well};
use crate::{SOON, agents, reply_after};
use msf_wire::nmid::pdt;
use std::time::{Duration, Instant};

#[test]
fn behind_a_large_job_nothing_is_sent_for_a_moment_and_then_nothing_is_missing() {
    for agent in agents("function.F.in_flight=4") {
        let mut worker = agent.worker("W", &["F"]);
        let large = [b"\x81\xa4name\xc5\x07\xd0".as_slice(), &[7; 2000]].concat();
        let (mut a, mut b) = (agent.client(), agent.client());
        for _ in 0..3 {
            a.ask("F", &large);
            let job = worker.job();
            let since = Instant::now();
            b.ask("F", PARAMS);
            worker.say(pdt::W_HEARTBEAT_PING, b"PING");
            let pong = worker.line.get();
            assert_eq!(pong.kind, pdt::S_HEARTBEAT_PONG);
            let after = since.elapsed().as_millis();
            assert!((40..150).contains(&after), "{after} ms");
            worker.serve(b"b");
            assert_eq!(b.data(), b"b");
            worker.give(&job, &well(b"a"));
            assert_eq!(a.data(), b"a");
        }
    }
}

#[test]
fn the_result_of_a_large_job_ends_the_silence_behind_it() {
    for agent in agents("") {
        let mut worker = agent.worker("W", &["F"]);
        let mut client = agent.client();
        let since = Instant::now();
        for _ in 0..20 {
            client.ask("F", &[1; 3000]);
            worker.serve(b"x");
            assert_eq!(client.data(), b"x");
        }
        assert!(since.elapsed() < Duration::from_millis(600), "{:?}", since.elapsed());
    }
}

#[test]
fn regress_the_silence_behind_a_second_large_job_is_as_long() {
    let agent = Agent::with_nmid("");
    let mut worker = agent.worker("W", &["F"]);
    let mut client = agent.client();
    client.ask("F", &[1; 3000]);
    let first = worker.job();
    std::thread::sleep(Duration::from_millis(30));
    worker.give(&first, &well(b"x"));
    assert_eq!(client.data(), b"x");
    client.ask("F", &[1; 3000]);
    worker.job();
    let since = Instant::now();
    worker.say(pdt::W_HEARTBEAT_PING, b"PING");
    worker.line.get();
    assert!(since.elapsed() >= Duration::from_millis(40), "{:?}", since.elapsed());
}

/// Carries the next job out as a serial worker of Go does: the NO_JOB behind it is answered when it is done.
fn serve_serially(worker: &mut Worker, result: Option<&[u8]>) {
    let job = worker.job();
    if let Some(data) = result {
        worker.give(&job, &well(data));
    }
    if let Some(Some(asked)) = worker.line.next_within(SOON) {
        assert_eq!(asked.kind, pdt::NO_JOB);
        worker.say(pdt::W_GRAB_JOB, b"");
    }
}

#[test]
fn regress_a_serial_workers_failure_shows_in_its_grab() {
    let agent = Agent::with_nmid("nmid_probe=true\nfunction.F.deadline_ms=5000");
    let mut worker = agent.worker("W", &["F"]);
    let mut client = agent.client();
    worker.line.expect_silence(Duration::from_millis(1100));
    for round in 0..12 {
        client.ask("F", PARAMS);
        serve_serially(&mut worker, Some(b"fine"));
        assert_eq!(client.data(), b"fine", "round {round}");
    }
    client.ask("F", PARAMS);
    serve_serially(&mut worker, None);
    let (reply, after) = reply_after(&mut client);
    assert_eq!(reply, Reply::Error);
    assert!(after < 1000, "{after} ms");
    client.ask("F", PARAMS);
    serve_serially(&mut worker, Some(b"fine"));
    assert_eq!(client.data(), b"fine");
}

#[test]
fn regress_a_grab_late_for_one_job_says_nothing_about_the_next() {
    let agent = Agent::with_nmid("nmid_probe=true\nfunction.F.deadline_ms=5000");
    let mut worker = agent.worker("W", &["F"]);
    let (mut a, mut b) = (agent.client(), agent.client());
    worker.line.expect_silence(Duration::from_millis(1100));
    for _ in 0..12 {
        a.ask("F", PARAMS);
        serve_serially(&mut worker, Some(b"fine"));
        assert_eq!(a.data(), b"fine");
    }
    a.ask("F", &named("AAAA"));
    let first = worker.job();
    assert_eq!(worker.line.get().kind, pdt::NO_JOB);
    b.ask("F", &named("BBBB"));
    worker.give(&first, &well(b"a"));
    let second = worker.job();
    assert_eq!(second.params, named("BBBB"));
    // The answer to the first NO_JOB, when the second job is here already; and one that goes with a PING.
    worker.say(pdt::W_GRAB_JOB, b"");
    worker.say(pdt::W_HEARTBEAT_PING, b"PING");
    worker.say(pdt::W_GRAB_JOB, b"");
    b.line.expect_silence(SOON);
    worker.give(&second, &well(b"b"));
    assert_eq!((a.data(), b.data()), (b"a".to_vec(), b"b".to_vec()));
}

#[test]
fn regress_a_worker_that_grabs_before_it_is_done_is_not_asked_any_more() {
    let agent = Agent::with_nmid("nmid_probe=true\nfunction.F.deadline_ms=5000");
    let mut worker = agent.worker("W", &["F"]);
    let mut client = agent.client();
    worker.line.expect_silence(Duration::from_millis(1100));
    client.ask("F", PARAMS);
    let job = worker.job();
    assert_eq!(worker.line.get().kind, pdt::NO_JOB);
    worker.say(pdt::W_GRAB_JOB, b"");
    client.line.expect_silence(SOON);
    worker.give(&job, &well(b"slow"));
    assert_eq!(client.data(), b"slow");
    for _ in 0..3 {
        client.ask("F", PARAMS);
        worker.serve(b"fine");
        worker.line.expect_silence(Duration::from_millis(5));
        assert_eq!(client.data(), b"fine");
    }
}
