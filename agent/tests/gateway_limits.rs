//! Visitors that are slow, silent, malicious or confused: told why in a sentence, and gone.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
mod http;
mod worker;

use http::{Client, House};
use std::io::Write;
use std::time::{Duration, Instant};
use worker::address;

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let house = House::open("http_header_ms=300");
    let mut client = house.client();
    client.send("GET /healthz HTTP/1.1\r\nHo");
    let (status, why) = client.answer().refusal();
    assert!(status == 408 && why.contains("head"), "{why}");
    client.expect_end();
}

#[test]
fn a_head_that_trickles_is_cut_however_busy_it_looks() {
    let house = House::open("http_header_ms=300");
    let mut client = house.client();
    client.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (began, mut buffer) = (Instant::now(), [0; 1024]);
    client.send("GET / HTTP/1.1\r\nX: ");
    let answered = loop {
        // What is written behind the answer may meet a closed door.
        let _ = client.stream.write_all(b"x");
        if let Ok(count @ 1..) = std::io::Read::read(&mut client.stream, &mut buffer) {
            break String::from_utf8_lossy(&buffer[..count]).into_owned();
        }
        assert!(began.elapsed() < common::PATIENCE, "it is waited for");
    };
    assert!(answered.starts_with("HTTP/1.1 408 ") && began.elapsed() >= Duration::from_millis(300), "{answered}");
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let house = House::open("http_body_ms=300");
    let mut client = house.client();
    client.send("POST /call/F HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{");
    let (status, why) = client.answer().refusal();
    assert!(status == 408 && why.contains("body"), "{why}");
    client.expect_end();
}

#[test]
fn a_connection_without_requests_is_closed_without_a_word_but_not_one_that_waits_for_us() {
    let house = House::open("http_idle_ms=300");
    let mut worker = house.worker(&["F"]);
    let (mut silent, mut used, mut waiting) = (house.client(), house.client(), house.client());
    used.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(used.answer().status(), 200);
    waiting.call("F", "", "");
    let job = worker.job();
    silent.expect_end();
    used.expect_end();
    std::thread::sleep(Duration::from_millis(700));
    worker.answer(&job, 0, "ok", b"1");
    assert_eq!(waiting.answer().status(), 200);
    waiting.expect_end();
}

#[test]
fn what_is_no_request_is_answered_with_a_sentence_and_ends_the_connection() {
    let house = House::open("");
    for (bytes, status) in [
        ("\u{16}\u{3}\u{1}", 400),
        ("GET / HTTP/1.1\n\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417),
    ] {
        let mut client = house.client();
        client.send(bytes);
        assert_eq!(client.answer().refusal().0, status, "{bytes:?}");
        client.expect_end();
    }
    // What was asked before is answered before.
    let mut client = house.client();
    client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nrubbish\r\n\r\n");
    assert_eq!(client.answer().status(), 200);
    assert_eq!(client.answer().refusal().0, 400);
    client.expect_end();
}

#[test]
fn a_refusal_is_read_even_by_a_client_that_keeps_sending() {
    let house = House::open("http_body_limit=2000");
    let mut client = house.client();
    let mut writer = client.stream.try_clone().unwrap();
    client.send("POST /call/F HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
    // All of it, as a client does that looks for the answer only then.
    writer.write_all(&vec![b'x'; 3_000_000]).unwrap();
    assert_eq!(client.answer().refusal().0, 413);
    drop(writer);
    client.expect_end();
}

#[test]
fn a_length_of_four_gigabytes_costs_no_memory() {
    let house = House::open("http_body_limit=1G\noutbox_hard=1G\nmemory_limit=1G");
    let pid = house.agent.pid();
    let resident = move || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().to_owned();
        line.trim().split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let before = resident();
    let mut clients: Vec<_> = (0..50).map(|_| house.client()).collect();
    for client in &mut clients {
        client.send("POST /call/F HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n{");
    }
    let mut client = house.client();
    client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().status(), 200);
    assert!(resident() < before + 20_000, "{before} KiB became {} KiB", resident());
    client.send("POST /call/F HTTP/1.1\r\nHost: a\r\nContent-Length: 4294967296\r\n\r\n");
    assert_eq!(client.answer().refusal().0, 413);
}

#[test]
fn above_the_memory_ceiling_calls_are_refused_and_the_pages_still_answer() {
    let house = House::open("memory_limit=1M\noutbox_hard=1M\noutbox_soft=1M\npayload_limit=64K");
    let mut clients = [house.client(), house.client()];
    for client in &mut clients {
        client.send("POST /call/F HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n");
        let _ = client.stream.write_all(&[b' '; 800_000]);
    }
    // Which of them is the one too many is not said.
    let answer = loop {
        let answered = clients.iter_mut().find(|client| is_answered(client));
        if let Some(client) = answered {
            break client.answer();
        }
        std::thread::yield_now();
    };
    assert_eq!(answer.refusal().0, 503);
    let mut other = house.client();
    other.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(other.answer().status(), 200);
}

#[test]
fn above_the_memory_ceiling_no_message_of_a_websocket_goes_on_growing() {
    let house = House::open("memory_limit=1M\noutbox_hard=1M\noutbox_soft=1M\npayload_limit=64K");
    let mut clients = [house.client(), house.client()];
    for client in &mut clients {
        client.send(UPGRADE);
        assert_eq!(client.answer().status(), 101);
    }
    // Two messages of 900000 bytes of which the last ones do not come.
    for client in &mut clients {
        client.send(b"\x81\xff\0\0\0\0\0\x0d\xbb\xa0\0\0\0\0");
        let _ = client.stream.write_all(&[b' '; 800_000]);
    }
    let closed = loop {
        if let Some(client) = clients.iter_mut().find(|client| is_answered(client)) {
            break client;
        }
        std::thread::yield_now();
    };
    closed.fill(4);
    assert_eq!(closed.bytes[0], 0x88);
    assert_eq!(closed.bytes[2..4], 1013_u16.to_be_bytes());
}

#[test]
fn what_is_answered_and_what_is_refused_is_counted() {
    let house = House::open("http_header_ms=300\nmetrics_enable=true\nmetrics_port=0");
    let mut worker = house.worker(&["F"]);
    let mut client = house.client();
    client.call("F", "", "");
    worker.serve(b"1");
    assert_eq!(client.answer().status(), 200);
    client.call("Nobody", "", "");
    assert_eq!(client.answer().status(), 404);
    client.call("F", "Deadline: 1\r\n", "");
    assert_eq!(client.answer().status(), 504);
    client.send("rubbish\r\n\r\n");
    assert_eq!(client.answer().status(), 400);
    let mut slow = house.client();
    slow.send("GET");
    assert_eq!(slow.answer().status(), 408);
    let mut socket = house.client();
    socket.send(UPGRADE);
    assert_eq!(socket.answer().status(), 101);
    socket.send(b"\x81\x80\0\0\0\0");
    socket.fill(2);

    let mut scraper = Client::to(address(&house.agent, "metrics"));
    for series in [
        "http_answers_total{status=\"1xx\"} 1",
        "http_answers_total{status=\"2xx\"} 1",
        "http_answers_total{status=\"4xx\"} 3",
        "http_answers_total{status=\"5xx\"} 1",
        "malformed_total{protocol=\"http\",reason=\"preamble\"} 1",
        "malformed_total{protocol=\"http\",reason=\"slow\"} 1",
        "requests_total{protocol=\"http\"} 4",
        "requests_total{protocol=\"ws\"} 1",
        "answers_total{protocol=\"ws\"} 1",
        "connections_opened_total{protocol=\"ws\"} 1",
        "connections{protocol=\"ws\"} 1",
    ] {
        scraper.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        let page = scraper.answer().text();
        assert!(page.lines().any(|line| line.strip_prefix("msf_agent_") == Some(series)), "{series} in\n{page}");
    }
}

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Whether something has come for a client.
fn is_answered(client: &Client) -> bool {
    client.stream.set_nonblocking(true).unwrap();
    let peeked = client.stream.peek(&mut [0]).is_ok();
    client.stream.set_nonblocking(false).unwrap();
    peeked
}
