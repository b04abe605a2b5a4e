//! When a service dies, whoever waits for it knows at once.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Agent, DLNA, UPNP, call, frame};
use msf_wire::librpc::{Header, errcode, timeout};
use std::time::{Duration, Instant};

#[test]
fn every_caller_of_a_dead_service_is_told_within_100_ms() {
    for reactors in [1, 3] {
        let agent = Agent::start(&format!("max_threads={reactors}"));
        let mut upnp = agent.member(UPNP);
        let mut callers: Vec<_> = (0..10).map(|n| (0x100 + n, agent.member(0x100 + n))).collect();
        for (id, caller) in &mut callers {
            for seq in 0..10 {
                let wait = if seq % 2 == 0 { 20_000 } else { timeout::FOREVER };
                caller.send(&frame(call(*id, UPNP, seq, wait), b"payload"));
            }
        }
        (0..100).for_each(|_| drop(upnp.get()));
        let died = Instant::now();
        drop(upnp);
        for (id, caller) in &mut callers {
            let mut seqs: Vec<u32> = Vec::new();
            for _ in 0..10 {
                let got = caller.get();
                let asked = Header { timeout: got.head.timeout, ..call(*id, UPNP, got.head.seq, 0) };
                assert_eq!(got.head, asked.ack(errcode::PEER_OFFLINE, 0));
                seqs.push(got.head.seq);
            }
            seqs.sort_unstable();
            assert_eq!(seqs, (0..10).collect::<Vec<_>>(), "each request once");
        }
        assert!(died.elapsed() < Duration::from_millis(100), "{:?}", died.elapsed());
        for (id, caller) in &mut callers {
            caller.expect_nothing(*id);
        }
        assert_eq!(agent.end().of("offline"), 100);
    }
}

#[test]
fn a_service_that_dies_with_answers_on_the_way_has_answered() {
    let agent = Agent::start("max_threads=2");
    let mut dlna = agent.member(DLNA);
    for round in 0..50 {
        let mut upnp = agent.member(UPNP);
        dlna.send(&call(DLNA, UPNP, round, 20_000).encode());
        dlna.send(&call(DLNA, UPNP, round + 1000, 20_000).encode());
        upnp.answer(b"last words");
        drop(upnp);
        let got = dlna.get();
        assert_eq!((got.head.seq, got.body.as_slice()), (round, &b"last words"[..]));
        let got = dlna.get();
        assert_eq!((got.head.seq, got.head.errcode), (round + 1000, errcode::PEER_OFFLINE));
    }
}

#[test]
fn nobody_is_told_twice_or_after_his_deadline() {
    let agent = Agent::start("max_threads=1");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    dlna.send(&call(DLNA, UPNP, 1, 20).encode());
    dlna.send(&call(DLNA, UPNP, 2, 0).encode());
    upnp.get();
    upnp.get();
    std::thread::sleep(Duration::from_millis(50));
    drop(upnp);
    // By then the agent has seen the end of the service.
    agent.wait_for_log("has gone");
    dlna.expect_nothing(DLNA);
}
