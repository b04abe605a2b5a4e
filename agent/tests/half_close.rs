//! A peer that closes its sending side and goes on reading gets what it has asked for; for the others it has gone.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Agent, DLNA, PATIENCE, Peer, UPNP, call, frame, login, reply};
use msf_wire::librpc::{HEADER_LEN, Header, errcode, timeout};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

impl Peer {
    /// Says that it sends no more; returns once the agent knows.
    fn half_close(&self, agent: &Agent) {
        self.stream.shutdown(Shutdown::Write).unwrap();
        agent.wait_for_log("sends no more, and waits for answers");
    }
}

#[test]
fn regress_an_answer_reaches_a_caller_that_sends_no_more() {
    for wait in [20_000, timeout::FOREVER] {
        for reactors in [1, 2] {
            let agent = Agent::start(&format!("max_threads={reactors}"));
            let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
            dlna.send(&call(DLNA, UPNP, 1, wait).encode());
            dlna.send(&call(DLNA, UPNP, 2, wait).encode());
            dlna.half_close(&agent);
            // The sweep has been meanwhile, and has taken nothing away.
            std::thread::sleep(Duration::from_millis(1100));
            for seq in [1, 2] {
                upnp.answer(b"late");
                let got = dlna.get();
                assert_eq!((got.head.seq, got.head.errcode, got.body.as_slice()), (seq, 0, &b"late"[..]));
            }
            dlna.expect_end();
        }
    }
}

#[test]
fn over_tcp_as_well() {
    let agent = Agent::start("max_threads=2\nnet_enable=true\ntcp_port=0");
    let line = agent.wait_for_log("TCP 127.0.0.1:");
    let port: String = line.split("TCP 127.0.0.1:").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
    let mut upnp = agent.member(UPNP);
    let mut dlna = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    dlna.set_read_timeout(Some(PATIENCE)).unwrap();
    dlna.write_all(&login(DLNA)).unwrap();
    dlna.read_exact(&mut [0; HEADER_LEN]).unwrap();
    dlna.write_all(&call(DLNA, UPNP, 1, 20_000).encode()).unwrap();
    dlna.shutdown(Shutdown::Write).unwrap();
    agent.wait_for_log("sends no more");
    let asked = upnp.answer(b"late");
    let mut got = Vec::new();
    dlna.read_to_end(&mut got).unwrap();
    assert_eq!(got, reply(&asked, b"late"));
}

#[test]
fn whoever_waits_for_it_is_told_at_once_and_its_id_is_free() {
    let agent = Agent::start("max_threads=2");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    dlna.send(&call(DLNA, UPNP, 1, 20_000).encode());
    upnp.send(&call(UPNP, DLNA, 7, 20_000).encode());
    dlna.get();
    dlna.half_close(&agent);
    let asked = upnp.get();
    let told = upnp.get();
    let answers = [asked, told].map(|got| (got.head.seq, got.head.errcode));
    assert_eq!(answers, [(1, errcode::EXEC_SUCC), (7, errcode::PEER_OFFLINE)]);
    // The second life has the id and its own answers; the first gets the one it still waits for.
    let mut reborn = agent.member(DLNA);
    reborn.send(&call(DLNA, UPNP, 1, 20_000).encode());
    upnp.get();
    let request = call(DLNA, UPNP, 1, 20_000);
    upnp.send(&frame(request.ack(errcode::EXEC_SUCC, 0), b"first"));
    assert_eq!(dlna.get().body, b"first");
    dlna.expect_end();
    upnp.send(&frame(request.ack(errcode::EXEC_SUCC, 0), b"second"));
    assert_eq!(reborn.get().body, b"second");
    upnp.send(&call(UPNP, DLNA, 8, 20_000).encode());
    assert_eq!(reborn.get().head.seq, 8);
}

#[test]
fn bytes_that_wait_for_a_slow_reader_are_written_after_its_last_word() {
    const COUNT: u32 = 8;
    let agent = Agent::start("max_threads=2");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    let body = vec![7; 1 << 20];
    for seq in 0..COUNT {
        dlna.send(&Header { restlen: 1 << 20, ..call(DLNA, UPNP, seq, 20_000) }.encode());
        upnp.answer(&body);
    }
    // The service's last answer has been read, so all of them are in the caller's outbox.
    upnp.expect_nothing(UPNP);
    dlna.half_close(&agent);
    for seq in 0..COUNT {
        let got = dlna.get();
        assert_eq!((got.head.seq, got.body.len()), (seq, body.len()));
    }
    dlna.expect_end();
}

#[test]
fn it_is_not_kept_longer_than_its_last_deadline() {
    let agent = Agent::start("max_threads=2");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    let begun = Instant::now();
    dlna.send(&call(DLNA, UPNP, 1, 300).encode());
    upnp.get();
    dlna.half_close(&agent);
    dlna.expect_end();
    assert!((300..5000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

#[test]
fn a_peer_that_closes_both_sides_is_gone_at_once_whatever_it_waits_for() {
    let agent = Agent::start("max_threads=2");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    dlna.send(&call(DLNA, UPNP, 1, 20_000).encode());
    upnp.get();
    let begun = Instant::now();
    drop(dlna);
    agent.wait_for_log("(0x11, ");
    agent.wait_for_log("has gone");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());

    // The same in two steps.
    let mut third = agent.member(0x20);
    third.send(&call(0x20, UPNP, 1, timeout::FOREVER).encode());
    upnp.get();
    third.half_close(&agent);
    let begun = Instant::now();
    drop(third);
    let until = begun + PATIENCE;
    while agent.log().matches("has gone").count() < 2 {
        assert!(Instant::now() < until, "{}", agent.log());
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn one_that_waits_for_nothing_is_closed_at_once() {
    let agent = Agent::start("max_threads=1");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    // Nobody waits for the answer to this one.
    dlna.send(&call(DLNA, UPNP, 1, 0).encode());
    upnp.get();
    let begun = Instant::now();
    dlna.stream.shutdown(Shutdown::Write).unwrap();
    dlna.expect_end();
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
}
