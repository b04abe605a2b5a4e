//! Another process takes the agent's place: what was under way goes on in it, to the byte.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
mod http;
mod worker;

use common::{Agent, Counted, DLNA, PATIENCE, Peer, UPNP, call, frame, login, reply};
use http::House;
use msf_wire::librpc::{HEADER_LEN, errcode};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use worker::Nmid;

#[test]
fn calls_under_way_are_answered_once_and_to_who_asked() {
    let agent = Agent::start("max_threads=2");
    let (mut service, mut caller) = (agent.member(UPNP), agent.member(DLNA));
    for seq in 0..50 {
        caller.send(&frame(call(DLNA, UPNP, seq, 60_000), b"before"));
    }
    let asked: Vec<_> = (0..20).map(|_| service.get()).collect();
    agent.upgrade();
    for got in asked.iter().rev() {
        service.send(&reply(got, b"late"));
    }
    for _ in 20..50 {
        service.answer(b"later");
    }
    let mut seen: Vec<(u32, Vec<u8>)> = (0..50).map(|_| caller.get()).map(|got| (got.head.seq, got.body)).collect();
    seen.sort();
    for (seq, (got, body)) in seen.into_iter().enumerate() {
        assert_eq!((seq, body.as_slice()), (got as usize, if seq < 20 { &b"late"[..] } else { b"later" }));
    }
    caller.expect_nothing(DLNA);
    service.expect_nothing(UPNP);
    let counted = agent.end_upgraded();
    assert_eq!((counted.of("calls"), counted.of("replies")), (50, 50), "what was counted goes on");
}

#[test]
fn a_frame_of_which_half_has_come_goes_on_where_it_stopped_at_every_byte() {
    let agent = Agent::start("");
    let (mut service, mut caller) = (agent.member(UPNP), agent.member(DLNA));
    let whole = frame(call(DLNA, UPNP, 7, 60_000), b"0123456789");
    for cut in (1..whole.len()).step_by(9) {
        caller.send(&whole[..cut]);
        caller.expect_nothing_yet();
        agent.upgrade();
        caller.send(&whole[cut..]);
        service.expect_bytes(&whole);
        service.send(&frame(call(DLNA, UPNP, 7, 60_000).ack(errcode::EXEC_SUCC, 0), b""));
        assert_eq!(caller.get().head.seq, 7, "cut at {cut}");
    }
}

#[test]
fn a_login_of_which_half_has_come_is_one_afterwards() {
    let agent = Agent::start("");
    let mut peer = agent.connect();
    let whole = login(UPNP);
    peer.send(&whole[..HEADER_LEN + 3]);
    peer.expect_nothing_yet();
    agent.upgrade();
    peer.send(&whole[HEADER_LEN + 3..]);
    assert_eq!(peer.get().head.errcode, errcode::EXEC_SUCC);
}

#[test]
fn nmid_and_http_go_on_in_the_middle_of_frames_jobs_and_requests() {
    let house = House::open("max_threads=2");
    let mut worker = house.worker(&["F", "G"]);
    let (mut nmid, mut half) = (Nmid::connect(&house.agent), house.client());
    let (mut waiting, mut idle) = (house.client(), house.client());
    // One request that keeps its connection alive, and another one behind it later.
    idle.call("F", "", "{\"a\":1}");
    worker.serve(b"1");
    assert_eq!(idle.answer().status(), 200);
    // One whose job is under way, one of nmid's that waits behind it, and one of which the half has come.
    waiting.call("F", "", "{\"a\":2}");
    let job = worker.job();
    nmid.ask(b"F", b"{\"a\":3}");
    half.send("POST /call/G HTTP/1.1\r\nHost: a\r\nContent-Le");
    house.agent.upgrade();
    half.send("ngth: 7\r\n\r\n{\"a\"");
    std::thread::sleep(Duration::from_millis(20));
    house.agent.upgrade();
    half.send(":4}");
    worker.answer(&job, 0, "ok", b"2");
    assert!(waiting.answer().text().contains("\"data\":2"));
    assert_eq!(worker.serve(b"3").function, b"F");
    nmid.result();
    assert_eq!(worker.serve(b"4").function, b"G");
    assert!(half.answer().text().contains("\"data\":4"));
    idle.call("F", "", "{\"a\":5}");
    worker.serve(b"5");
    assert!(idle.answer().text().contains("\"data\":5"));
}

#[test]
fn a_websocket_goes_on_in_the_middle_of_a_message() {
    let house = House::open("");
    let mut worker = house.worker(&["F"]);
    let mut client = house.client();
    client.send(
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    );
    assert!(client.answer().head.starts_with("HTTP/1.1 101"));
    let mut message = Vec::new();
    let payload = br#"{"id":7,"function":"F","params":{"a":1}}"#;
    let opcode = msf_wire::ws::opcode::TEXT;
    msf_wire::ws::Frame { end: true, opcode, mask: Some([9, 8, 7, 6]), payload }.append_to(&mut message);
    client.send(&message[..21]);
    std::thread::sleep(Duration::from_millis(20));
    house.agent.upgrade();
    client.send(&message[21..]);
    let job = worker.job();
    house.agent.upgrade();
    worker.answer(&job, 0, "ok", b"\"x\"");
    client.fill(2);
    let length = usize::from(client.bytes[1] & 0x7f);
    client.fill(2 + length);
    assert_eq!(String::from_utf8_lossy(&client.bytes[2..]), r#"{"id":7,"code":0,"msg":"ok","data":"x"}"#);
}

#[test]
fn what_a_peer_has_not_read_yet_comes_whole() {
    let agent = Agent::start("");
    let (mut service, mut caller) = (agent.member(UPNP), agent.member(DLNA));
    let body: Vec<u8> = (0..400_000u32).map(|number| number as u8).collect();
    for seq in 0..4 {
        caller.send(&frame(call(DLNA, UPNP, seq, 60_000), b"much"));
        service.answer(&body);
    }
    // Most of it lies in the agent: the kernel keeps less.
    agent.upgrade();
    agent.upgrade();
    for seq in 0..4 {
        let got = caller.get();
        assert_eq!((got.head.seq, got.body == body), (seq, true));
    }
}

#[test]
fn a_deadline_comes_when_it_was_to_come() {
    let agent = Agent::with_doors("deadline_ms=1500");
    let _worker = Nmid::worker(&agent, "w", &[b"F"]);
    let mut client = Nmid::connect(&agent);
    let asked = Instant::now();
    client.ask(b"F", b"{}");
    std::thread::sleep(Duration::from_millis(300));
    for _ in 0..3 {
        agent.upgrade();
    }
    let (kind, _) = client.next();
    let took = asked.elapsed();
    assert_eq!(kind, msf_wire::nmid::pdt::ERROR);
    assert!((Duration::from_millis(1495)..Duration::from_millis(2500)).contains(&took), "{took:?}");
}

#[test]
fn a_thousand_idle_connections_stay() {
    let agent = Agent::start("max_threads=2\nmax_conns=2000");
    let mut peers: Vec<Peer> = (0..1000).map(|_| agent.connect()).collect();
    // All are in once the last one is.
    assert_eq!(peers[999].login(DLNA), errcode::EXEC_SUCC);
    let told = agent.upgrade();
    assert!(told.contains("1000 connections"), "{told}");
    for (peer, id) in peers.iter_mut().zip(0x1000..).take(999) {
        assert_eq!(peer.login(id), errcode::EXEC_SUCC);
    }
    peers[999].expect_nothing(DLNA);
}

#[test]
fn a_tap_goes_on_and_so_does_the_page_of_a_scraper() {
    let agent = Agent::with_doors("metrics_enable=true\nmetrics_port=0");
    let mut worker = Nmid::worker(&agent, "w", &[b"F"]);
    let mut tap = UnixStream::connect(agent.folder.0.join("msf_agent_admin.sock")).unwrap();
    tap.set_read_timeout(Some(PATIENCE)).unwrap();
    tap.write_all(b"{\"verb\":\"tap\",\"function\":\"F\"}\n").unwrap();
    let line = |tap: &mut UnixStream| {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while byte != *b"\n" {
            tap.read_exact(&mut byte).unwrap();
            line.extend(byte);
        }
        String::from_utf8(line).unwrap()
    };
    assert!(line(&mut tap).contains("\"tap\":\"F\""));
    let mut client = Nmid::connect(&agent);
    client.ask(b"F", b"{\"a\":1}");
    let job = worker.job();
    assert!(line(&mut tap).contains("\"event\":\"request\""));
    let mut scraper = http::Client::to(worker::address(&agent, "metrics"));
    scraper.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(scraper.answer().status(), 200);
    agent.upgrade();
    worker.answer(&job, 0, "ok", b"x");
    client.result();
    assert!(!line(&mut tap).contains("request"), "the end of a call of before");
    scraper.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    let page = scraper.answer().text();
    assert!(page.lines().any(|line| line.contains("msf_agent") && line.ends_with(" 1")), "{page}");
}

#[test]
fn the_lock_the_pid_file_and_the_sockets_are_the_successors() {
    let agent = Agent::start("pid_file=another.pid");
    let before = agent.holder();
    agent.upgrade();
    let now = agent.holder();
    assert_ne!(before, now);
    assert_eq!(std::fs::read_to_string(agent.folder.0.join("another.pid")).unwrap().trim(), now.to_string());
    let second = common::command(&agent.folder.0).args(["-c", "agent.conf"]).output().unwrap();
    assert!(common::text(&second.stderr).contains(&format!("running already, as process {now}")), "{second:?}");
    let folder = agent.folder.0.clone();
    let _: Counted = agent.end_upgraded_in(|| {
        let mut left: Vec<String> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["agent.conf", "log"]);
    });
}
