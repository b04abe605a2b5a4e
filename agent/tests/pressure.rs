//! Too many, too much, too slow, and rubbish: the agent refuses clearly, stays small, and serves the others.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Agent, DLNA, PATIENCE, Peer, UPNP, call, frame};
use msf_wire::librpc::{Header, cmd, errcode, id};
use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Logs in, connecting anew as often as the agent turns us away.
fn insist(agent: &Agent, id: u32) -> Peer {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let mut peer = agent.connect();
        if peer.stream.write_all(&common::login(id)).is_ok()
            && let Some(got) = peer.next()
            && got.head.errcode == errcode::EXEC_SUCC
        {
            return peer;
        }
    }
    panic!("the agent takes nobody any more");
}

#[test]
fn running_out_of_descriptors_is_survived() {
    let agent = Agent::start_after("ulimit -n 32", "max_threads=1");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    let crowd: Vec<_> = (0..100).map(|_| agent.connect()).collect();
    agent.wait_for_log("Too many open files");
    dlna.send(&call(DLNA, UPNP, 1, 20_000).encode());
    upnp.answer(b"still here");
    assert_eq!(dlna.get().body, b"still here");
    drop(crowd);
    insist(&agent, 0x77);
    agent.end();
}

#[test]
fn more_connections_than_max_conns_are_turned_away_with_a_line() {
    let agent = Agent::start("max_conns=3\nmax_threads=2");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    let third = agent.connect();
    agent.connect().expect_end();
    agent.wait_for_log("max_conns=3 connections are open");
    dlna.send(&call(DLNA, UPNP, 1, 20_000).encode());
    upnp.answer(b"yes");
    assert_eq!(dlna.get().body, b"yes");
    drop(third);
    insist(&agent, 0x77);
}

#[test]
fn strangers_who_never_log_in_make_room() {
    let agent = Agent::start("max_conns=4\nlogin_ms=50\nmax_threads=2");
    let mut member = agent.member(UPNP);
    let mut strangers: Vec<_> = (0..3).map(|_| agent.connect()).collect();
    strangers.iter_mut().for_each(Peer::expect_end);
    agent.wait_for_log("no login within 50 ms");
    insist(&agent, DLNA);
    member.expect_nothing(UPNP);
}

#[test]
fn rubbish_on_many_connections_does_not_disturb_the_others() {
    let agent = Agent::start("max_threads=2");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0u32;
            while !over.load(Ordering::Relaxed) {
                turn += 1;
                let Ok(mut stream) = UnixStream::connect(agent.socket()) else { continue };
                let _ = match turn % 4 {
                    0 => stream.write_all(&[turn as u8; 300]),
                    1 => stream.write_all(b"\0\x01\0\0\x78\x56\x34"),
                    2 => stream.write_all(&frame(call(turn, UPNP, turn, 9), &[0; 3000])[..1000]),
                    _ => Ok(()),
                };
            }
        });
        for seq in 0..2000 {
            dlna.send(&frame(call(DLNA, UPNP, seq, 20_000), &seq.to_le_bytes()));
            let asked = upnp.get();
            upnp.send(&frame(asked.head.ack(0, 0), &asked.body));
            let got = dlna.get();
            assert_eq!((got.head.seq, got.body), (seq, seq.to_le_bytes().to_vec()));
        }
        over.store(true, Ordering::Relaxed);
    });
    agent.end();
}

#[test]
fn a_service_that_does_not_read_makes_its_callers_busy_not_the_agent_big() {
    for reactors in [1, 2] {
        let agent = Agent::start(&format!(
            "max_threads={reactors}\npayload_limit=64K\noutbox_soft=256K\noutbox_hard=1M\nmemory_limit=8M"
        ));
        let (upnp, mut dlna, mut http) = (agent.member(UPNP), agent.member(DLNA), agent.member(id::HTTP));
        let body = vec![7; 60_000];
        let mut busy = None;
        for seq in 0..200 {
            dlna.send(&frame(call(DLNA, UPNP, seq, 20_000), &body));
            dlna.stream.set_nonblocking(true).unwrap();
            let mut one = [0; 56];
            match std::io::Read::read_exact(&mut &dlna.stream, &mut one) {
                Ok(()) => busy = Some((seq, Header::parse(&one).unwrap())),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            dlna.stream.set_nonblocking(false).unwrap();
            if busy.is_some() {
                break;
            }
        }
        let (_, head) = busy.expect("a refusal, long before 12 MB are queued");
        assert_eq!((head.errcode, head.srcid), (errcode::PEER_BUSY, UPNP));
        // The others are served.
        http.send(&call(id::HTTP, id::HTTP, 1, 20_000).encode());
        http.answer(b"self");
        assert_eq!(http.get().body, b"self");
        drop(upnp);
        agent.end();
    }
}

#[test]
fn a_caller_that_does_not_read_its_answers_is_cut_at_the_hard_cap() {
    let agent = Agent::start("max_threads=2\npayload_limit=64K\noutbox_soft=128K\noutbox_hard=256K\nmemory_limit=8M");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    (0..40).for_each(|seq| dlna.send(&call(DLNA, UPNP, seq, 60_000).encode()));
    for _ in 0..40 {
        upnp.answer(&vec![1; 60_000]);
    }
    let line = agent.wait_for_log("it does not read");
    assert!(line.contains("0x11") && line.contains("262144"), "{line}");
    upnp.expect_nothing(UPNP);
}

#[test]
fn above_the_memory_ceiling_large_requests_are_refused_and_the_connection_goes_on() {
    let agent = Agent::start("max_threads=1\npayload_limit=512K\noutbox_soft=1M\noutbox_hard=1M\nmemory_limit=1M");
    let mut upnp = agent.member(UPNP);
    // Strangers whose frames never end fill the agent's memory.
    let half: Vec<_> = (0..4)
        .map(|n| {
            let mut peer = agent.member(0x200 + n);
            peer.send(&frame(call(0x200 + n, UPNP, 1, 0), &vec![0; 500_000])[..250_000]);
            peer.expect_nothing_yet();
            peer
        })
        .collect();
    let mut dlna = agent.member(DLNA);
    let asked = call(DLNA, UPNP, 5, 20_000);
    let large = frame(asked, &vec![3; 400_000]);
    dlna.send(&large);
    dlna.expect_bytes(&asked.ack(errcode::PEER_BUSY, 0).encode());
    drop(half);
    // The refused payload was thrown away: the stream is in step.
    let until = Instant::now() + PATIENCE;
    loop {
        dlna.send(&large);
        dlna.send(&Header::request(DLNA, id::MSG_SRV, cmd::LOGIN, 1).encode());
        let got = dlna.get();
        assert!(Instant::now() < until);
        if got.head.cmd == cmd::LOGIN {
            break;
        }
        assert_eq!(got.head.errcode, errcode::PEER_BUSY);
        dlna.get();
    }
    assert_eq!(upnp.get().body.len(), 400_000);
}
