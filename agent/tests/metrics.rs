//! `/metrics` of a real agent: what a scraper gets, and what it cannot do to the calls.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
mod worker;

use common::{Agent, DLNA, PATIENCE, UPNP, call, frame};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;
use worker::{Nmid, address};

const LINES: &str = "metrics_enable=true\nmetrics_port=0";
const NMID: &str = "metrics_enable=true\nmetrics_port=0\nnmid_enable=true\nnmid_port=0";

fn connect(agent: &Agent) -> TcpStream {
    let stream = TcpStream::connect(address(agent, "metrics")).unwrap();
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
    wait_for(&agent, "msf_agent_requests_total{protocol=\"librpc\"}", 8.0);
    wait_for(&agent, "msf_agent_answers_total{protocol=\"librpc\"}", 8.0);
    wait_for(&agent, "msf_agent_request_duration_seconds_count{protocol=\"librpc\"}", 7.0);
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

/// The value of the one series of `name` whose labels hold all of `parts`.
fn found(page: &str, name: &str, parts: &[&str]) -> Option<f64> {
    let series = page.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    let mut series = series.filter(|line| parts.iter().all(|part| line.contains(part)));
    let value = series.next()?.rsplit_once(' ')?.1.parse().ok();
    assert_eq!(series.next(), None, "{name} {parts:?}");
    value
}

#[test]
fn nmids_counters_are_exact_and_its_gauges_fall() {
    let agent = Agent::start(&format!("{NMID}\ndeadline_ms=100"));
    let mut worker = Nmid::worker(&agent, "W1", &[b"ToUpper", b"Fails"]);
    let mut client = Nmid::connect(&agent);
    for _ in 0..9 {
        client.ask(b"ToUpper", b"{}");
        let job = worker.job();
        worker.answer(&job, 0, "ok", b"NMID");
        client.result();
    }
    client.ask(b"Fails", b"{}");
    let job = worker.job();
    worker.answer(&job, 3, "no", b"");
    client.result();
    // Nobody answers this one in time.
    client.ask(b"Fails", b"{}");
    worker.job();
    assert_eq!(client.next().0, msf_wire::nmid::pdt::ERROR);
    client.ask(b"Nobody", b"{}");
    assert_eq!(client.next().0, msf_wire::nmid::pdt::CANT_DO);
    let pair = r#"{worker_name="W1",func_name="ToUpper"}"#;
    let fails = r#"{worker_name="W1",func_name="Fails"}"#;
    wait_for(&agent, &format!("nmid_server_client_request_count{pair}"), 9.0);
    wait_for(&agent, "msf_agent_refused_requests_total{reason=\"no_worker\"}", 1.0);
    let page = scrape(&agent);
    let of = |series: String| value(&page, &series);
    assert_eq!(of(format!("nmid_server_client_request_duration_count{pair}")), Some(9.0));
    assert!(of(format!("nmid_server_client_request_during{pair}")).is_some_and(|millis| millis > 0.0));
    assert_eq!(of(format!("nmid_server_worker_func_success{pair}")), Some(9.0));
    assert_eq!(of(format!("nmid_server_worker_func_fail{pair}")), Some(0.0));
    assert_eq!(of(format!("nmid_server_client_request_count{fails}")), Some(2.0));
    assert_eq!(of(format!("nmid_server_worker_func_fail{fails}")), Some(2.0), "its own failure and the deadline");
    assert_eq!(of("nmid_server_func_func_success{func_name=\"ToUpper\"}".into()), Some(9.0));
    assert_eq!(of("nmid_server_func_func_count{func_name=\"ToUpper\"}".into()), Some(1.0));
    assert_eq!(of("msf_agent_function_jobs_total{function=\"ToUpper\"}".into()), Some(9.0));
    assert_eq!(of("msf_agent_function_refusals_total{function=\"Fails\",reason=\"deadline\"}".into()), Some(1.0));
    assert_eq!(of("msf_agent_requests_total{protocol=\"nmid\"}".into()), Some(12.0));
    assert_eq!(of("msf_agent_request_duration_seconds_count{protocol=\"nmid\"}".into()), Some(12.0));
    assert_eq!(of("msf_agent_connections{protocol=\"nmid\"}".into()), Some(2.0));
    assert!(of("msf_agent_received_bytes_total{protocol=\"nmid\"}".into()).is_some_and(|bytes| bytes > 500.0));
    assert!(of("msf_agent_sent_bytes_total{protocol=\"nmid\"}".into()).is_some_and(|bytes| bytes > 500.0));
    assert!(of("msf_agent_reactor_busy_seconds_total{reactor=\"0\"}".into()).is_some_and(|busy| busy > 0.0));
    let gauge = ["worker_name=\"W1\"", "worker_ip=\"127.0.0.1\"", "func_name=\"ToUpper\"", "create_time=\"20"];
    assert_eq!(found(&page, "nmid_server_worker_func_count", &gauge), Some(1.0));
    worker.withdraw(b"ToUpper");
    wait_for(&agent, "nmid_server_func_func_count{func_name=\"ToUpper\"}", 0.0);
    drop(worker);
    wait_for(&agent, "nmid_server_func_func_count{func_name=\"Fails\"}", 0.0);
    wait_for(&agent, "nmid_server_worker_close_count{worker_ip=\"127.0.0.1\"}", 1.0);
    wait_for(&agent, "msf_agent_connections{protocol=\"nmid\"}", 1.0);
    let page = scrape(&agent);
    assert!(!page.contains("nmid_server_worker_func_count{"), "{page}");
    assert_eq!(
        value(&page, &format!("nmid_server_client_request_count{pair}")),
        Some(9.0),
        "what was is not forgotten"
    );
}

#[test]
fn every_protocol_counts_its_own() {
    let agent = Agent::start(&format!("{NMID}\nhttp_enable=true\nhttp_port=0"));
    let mut worker = Nmid::worker(&agent, "W1", &[b"F"]);
    let serve = |worker: &mut Nmid| {
        let job = worker.job();
        worker.answer(&job, 0, "ok", b"1");
    };
    thread::scope(|scope| {
        scope.spawn(|| (0..2).for_each(|_| serve(&mut worker)));
        let mut http = TcpStream::connect(address(&agent, "HTTP")).unwrap();
        http.set_read_timeout(Some(PATIENCE)).unwrap();
        let (head, _) = ask(&mut http, "POST /call/F HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let called = common::command(&agent.folder.0).args(["call", "F", "{}"]).output().unwrap();
        assert!(called.status.success());
    });
    for protocol in ["http", "admin"] {
        let of = |name: &str| format!("msf_agent_{name}{{protocol=\"{protocol}\"}}");
        wait_for(&agent, &of("requests_total"), 1.0);
        wait_for(&agent, &of("answers_total"), 1.0);
        wait_for(&agent, &of("request_duration_seconds_count"), 1.0);
    }
    wait_for(&agent, "msf_agent_connections_opened_total{protocol=\"http\"}", 1.0);
    wait_for(&agent, "msf_agent_connections{protocol=\"http\"}", 0.0);
    wait_for(&agent, "msf_agent_requests_total{protocol=\"nmid\"}", 0.0);
    wait_for(&agent, "msf_agent_function_jobs_total{function=\"F\"}", 2.0);
}

#[test]
fn a_worker_that_comes_back_goes_on_counting() {
    let agent = Agent::start(&format!("{NMID}\nmetrics_create_time=false"));
    let mut client = Nmid::connect(&agent);
    for round in 1..=3 {
        let mut worker = Nmid::worker(&agent, "W1", &[b"F"]);
        client.ask(b"F", b"{}");
        let job = worker.job();
        worker.answer(&job, 0, "ok", b"");
        client.result();
        wait_for(&agent, r#"nmid_server_client_request_count{worker_name="W1",func_name="F"}"#, f64::from(round));
        let page = scrape(&agent);
        assert_eq!(found(&page, "nmid_server_worker_func_count", &["worker_name=\"W1\""]), Some(1.0));
        assert!(!page.contains("create_time"), "{page}");
        drop(worker);
        wait_for(&agent, "nmid_server_func_func_count{func_name=\"F\"}", 0.0);
    }
}

#[test]
fn hostile_names_break_no_line() {
    let agent = Agent::start(NMID);
    let names: [&[u8]; 3] = [b"a\"} 1\nevil 2", b"b\\", b"\xff\x00\xfe"];
    let _worker = Nmid::worker(&agent, "w\n\"", &names);
    wait_for(&agent, r#"nmid_server_func_func_count{func_name="a\"} 1\nevil 2"}"#, 1.0);
    let page = scrape(&agent);
    assert!(page.lines().all(|line| !line.starts_with("evil")), "{page}");
    assert_eq!(value(&page, r#"nmid_server_func_func_count{func_name="b\\"}"#), Some(1.0));
    assert_eq!(found(&page, "nmid_server_worker_func_count", &[r#"worker_name="w\n\"""#, "\u{fffd}"]), Some(1.0));
}

#[test]
fn what_is_no_frame_is_counted_by_protocol_and_reason() {
    let agent = Agent::start(NMID);
    for (bytes, reason) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "preamble"),
        (b"\0\0\0\x03\0\0\0\x10\xff\xff\xff\xff", "oversized"),
        (b"\0\0\0\x03\0\0\0\x10\0\0\0\x01x", "lengths"),
    ] {
        let mut peer = Nmid::connect(&agent);
        peer.stream.write_all(bytes).unwrap();
        let series = format!("msf_agent_malformed_total{{protocol=\"nmid\",reason=\"{reason}\"}}");
        wait_for(&agent, &series, 1.0);
    }
    let mut stranger = agent.connect();
    stranger.send(&[b'x'; 56]);
    wait_for(&agent, "msf_agent_malformed_total{protocol=\"librpc\",reason=\"preamble\"}", 1.0);
}
