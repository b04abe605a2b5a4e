//! `/metrics` of a real agent: what a scraper gets, and what it cannot do to the calls.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Agent, DLNA, PATIENCE, UPNP, call, frame};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

const LINES: &str = "metrics_enable=true\nmetrics_port=0";

/// Where the agent says that its metrics are.
fn address(agent: &Agent) -> SocketAddr {
    let line = agent.wait_for_log("is ready");
    let (_, place) = line.split_once(", metrics ").expect("a place in the log");
    let end = place.find(|letter: char| !letter.is_ascii_digit() && !".:".contains(letter)).unwrap_or(place.len());
    place[..end].parse().unwrap()
}

fn connect(agent: &Agent) -> TcpStream {
    let stream = TcpStream::connect(address(agent)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends `request` and reads one answer; its head and its body.
fn ask(stream: &mut TcpStream, request: &str) -> (String, String) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&bytes));
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn scrape(agent: &Agent) -> String {
    let (head, body) = ask(&mut connect(agent), "GET /metrics HTTP/1.1\r\nHost: agent\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    body
}

fn value(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// Waits until a series has this value: a page may be some milliseconds old, and gauges are set once per turn.
fn wait_for(agent: &Agent, series: &str, expected: f64) {
    let until = Instant::now() + PATIENCE;
    loop {
        let page = scrape(agent);
        let found = value(&page, series);
        if found == Some(expected) {
            return;
        }
        assert!(Instant::now() < until, "{series} is {found:?}, not {expected}");
    }
}

/// One call from UPNP's connection to DLNA's and back.
fn call_once(caller: &mut common::Peer, service: &mut common::Peer, seq: u32) {
    caller.send(&frame(call(UPNP, DLNA, seq, 10_000), b"ping"));
    service.answer(b"pong");
    assert_eq!(caller.get().body, b"pong");
}

#[test]
fn known_traffic_is_counted_exactly_and_gauges_fall() {
    let agent = Agent::start(LINES);
    let mut service = agent.member(DLNA);
    let mut caller = agent.member(UPNP);
    for seq in 0..7 {
        call_once(&mut caller, &mut service, seq);
    }
    caller.send(&frame(call(UPNP, 0x7777, 99, 10_000), b""));
    caller.get();
    wait_for(&agent, "msf_agent_service_calls_total", 7.0);
    wait_for(&agent, "msf_agent_service_replies_total", 7.0);
    wait_for(&agent, "msf_agent_refused_requests_total{reason=\"offline\"}", 1.0);
    wait_for(&agent, "msf_agent_logins_total{result=\"accepted\"}", 2.0);
    wait_for(&agent, "msf_agent_sessions", 2.0);
    drop(caller);
    wait_for(&agent, "msf_agent_sessions", 1.0);
    wait_for(&agent, "msf_agent_service_calls_total", 7.0);
}

#[test]
fn the_process_shows_itself() {
    let agent = Agent::start(LINES);
    let page = scrape(&agent);
    assert!(value(&page, "process_resident_memory_bytes").unwrap() > 100_000.0);
    assert!(value(&page, "process_open_fds").unwrap() > 3.0);
    assert!(value(&page, "process_start_time_seconds").unwrap() > 1.7e9);
    assert_eq!(value(&page, &format!("msf_agent_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), Some(1.0));
}

#[test]
fn a_connection_serves_many_requests_even_in_one_piece() {
    let agent = Agent::start("metrics_enable=true\nmetrics_port=0\nmetrics_path=/numbers");
    let mut stream = connect(&agent);
    let request = "GET /numbers HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(request.repeat(2).as_bytes()).unwrap();
    let (_, third) = ask(&mut stream, "");
    assert!(third.contains("msf_agent_build_info"));
    let (head, _) = ask(&mut stream, "");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let (head, _) = ask(&mut stream, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    let (head, _) = ask(&mut stream, "POST /numbers HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("Allow: GET, HEAD"), "{head}");
    let (head, _) = ask(&mut stream, "GET /numbers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(head.contains("Connection: close"), "{head}");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "and closed it is");
}

#[test]
fn what_is_no_request_is_refused_and_ends() {
    let agent = Agent::start(LINES);
    for (sent, status) in [
        ("\x16\x03\x01 this is TLS", "400"),
        ("GET /metrics HTTP/3.0\r\n\r\n", "505"),
        ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", "413"),
    ] {
        let mut stream = connect(&agent);
        stream.write_all(sent.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{sent}: {answer}");
    }
    let mut stream = connect(&agent);
    let _ = stream.write_all(format!("GET /{} HTTP/1.1\r\n", "x".repeat(100_000)).as_bytes());
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => assert!(answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer)),
        // We close with bytes of theirs unread, so the kernel may take the answer back.
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    assert!(scrape(&agent).contains("msf_agent_build_info"));
}

#[test]
fn scrapers_that_do_not_read_or_never_end_a_request_disturb_neither_calls_nor_scrapes() {
    let agent = Agent::start(LINES);
    let mut service = agent.member(DLNA);
    let mut caller = agent.member(UPNP);
    let mut hostile = Vec::new();
    for number in 0..100 {
        let mut stream = connect(&agent);
        stream.set_nonblocking(true).unwrap();
        if number % 2 == 0 {
            let _ = stream.write(b"GET /metr");
        } else {
            // As many requests as it takes, and no answer is ever read.
            let flood = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
            while stream.write(flood.as_bytes()).is_ok() {}
        }
        hostile.push(stream);
        call_once(&mut caller, &mut service, number);
    }
    let began = Instant::now();
    (100..1100).for_each(|seq| call_once(&mut caller, &mut service, seq));
    assert!(began.elapsed() < PATIENCE);
    wait_for(&agent, "msf_agent_service_calls_total", 1100.0);
}

#[test]
fn without_them_nothing_listens() {
    let agent = Agent::start("metrics_enable=false");
    assert!(!agent.wait_for_log("is ready").contains("metrics"));
}
