//! The gateway's own face, through a real agent and real workers: every status, both encodings, the order of answers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
mod http;
mod worker;

use common::UPNP;
use http::House;
use msf_wire::nmid::{Dialect, Job, Return, append_name, conn, pdt};
use nix::sys::signal::Signal;
use std::io::Write;
use worker::Nmid;

#[test]
fn a_function_is_called_in_json() {
    let house = House::open("");
    let (mut worker, mut client) = (house.worker(&["ToUpper"]), house.client());
    client.call("ToUpper", "Content-Type: application/json\r\nX-Request-Id: r-1\r\n", r#"{"name":"nmid","n":4}"#);
    let job = worker.serve(b"NMID");
    assert_eq!((job.kind, &job.params[..]), (5, &b"\x82\xa4name\xa4nmid\xa1n\x04"[..]));
    let answer = client.answer();
    let head = "HTTP/1.1 200 OK\r\nX-Request-Id: r-1\r\nContent-Type: application/json\r\nContent-Length: 35";
    assert_eq!((&answer.head[..], &answer.text()[..]), (head, r#"{"code":0,"msg":"ok","data":"NMID"}"#));
    for (data, shown) in [(&b"{\"a\":[1]}"[..], r#"{"a":[1]}"#), (b"\xff", r#""/w==","encoding":"base64""#)] {
        client.call("ToUpper", "", "");
        assert_eq!(worker.serve(data).params, b"\x80");
        let answer = client.answer();
        assert_eq!(answer.text(), format!(r#"{{"code":0,"msg":"ok","data":{shown}}}"#));
        assert_eq!(answer.header("X-Request-Id").map(str::len), Some(16));
    }
    client.call("ToUpper", "", "null");
    let job = worker.job();
    worker.answer(&job, 7, "no such user", b"");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.text()), (200, r#"{"code":7,"msg":"no such user","data":""}"#.to_owned()));
}

#[test]
fn a_function_is_called_in_msgpack() {
    let house = House::open("");
    let (mut worker, mut client) = (house.worker(&["F"]), house.client());
    client.call("F", "Content-Type: application/msgpack\r\n", b"\x93\x01\x02\x03");
    assert_eq!(worker.serve(b"x").params, b"\x93\x01\x02\x03");
    let answer = client.answer();
    assert_eq!(answer.header("Content-Type"), Some("application/msgpack"));
    let body = b"\x83\xa4code\xd3\0\0\0\0\0\0\0\0\xa3msg\xdb\0\0\0\x02ok\xa4data\xc6\0\0\0\x01x";
    assert_eq!(answer.body, body);
    client.call("F", "Content-Type: application/x-msgpack\r\nAccept: application/json\r\n", b"\xc0");
    worker.serve(b"x");
    assert_eq!(client.answer().text(), r#"{"code":0,"msg":"ok","data":"x"}"#);
}

#[test]
fn every_way_to_fail_has_its_status() {
    let house = House::open("function.Full.queue_limit=0\nhttp_body_limit=2000\nhttp_header_limit=1500");
    let mut worker = house.worker(&["F", "Full"]);
    let mut client = house.client();
    let mut refused = |line: &str, headers: &str, body: &str| {
        client.request(line, headers, body);
        client.answer().refusal().0
    };
    assert_eq!(refused("POST /call/Nobody", "", ""), 404);
    assert_eq!(refused("POST /call/", "", ""), 404);
    assert_eq!(refused("GET /nothing", "", ""), 404);
    assert_eq!(refused("GET /call/F", "", ""), 405);
    assert_eq!(refused("POST /call/F", "", "{\"a\":1,}"), 400);
    assert_eq!(refused("POST /call/F", "Deadline: soon\r\n", ""), 400);
    assert_eq!(refused("POST /call/F", "Content-Type: text/xml\r\n", "<a/>"), 415);
    assert_eq!(refused("POST /call/F", "Origin: https://elsewhere.example\r\n", ""), 403);
    assert_eq!(refused("GET /ws", "", ""), 426);
    assert_eq!(refused("POST /call/F", "Deadline: 100\r\n", ""), 504);
    worker.job();

    client.call("F", "", "");
    let job = worker.job();
    worker.give(&job, b"no RetStruct");
    assert_eq!(client.answer().refusal().0, 502);

    client.call("F", "", "");
    worker.job();
    let mut other = house.client();
    other.call("Full", "", "");
    let busy = other.answer();
    assert_eq!((busy.refusal().0, busy.header("Retry-After")), (429, Some("1")));
    drop(worker);
    assert_eq!(client.answer().refusal().0, 502);

    client.request("POST /call/F", "", "x".repeat(2001));
    assert_eq!(client.answer().refusal().0, 413);
    client.expect_end();
    let mut client = house.client();
    client.request("POST /call/F", &format!("X: {}\r\n", "x".repeat(1500)), "");
    assert_eq!(client.answer().refusal().0, 431);
    client.expect_end();
}

#[test]
fn a_service_of_the_native_protocol_is_called_by_its_name_and_command() {
    let house = House::open("");
    let (mut upnp, mut client) = (house.agent.member(UPNP), house.client());
    client.call("svc12/0x26", "", r#"{"payload":"aGVsbG8=","restlen":36}"#);
    let asked = upnp.answer(b"world");
    assert_eq!((asked.head.cmd, &asked.body[..]), (0x26, &b"hello"[..]));
    assert_eq!(client.answer().text(), r#"{"code":0,"msg":"ok","data":"world"}"#);
}

#[test]
fn pipelined_requests_are_answered_in_their_order_whenever_their_calls_end() {
    let house = House::open("");
    let (mut slow, mut fast) = (house.worker(&["Slow"]), house.worker(&["Fast"]));
    let mut client = house.client();
    let request = |line: &str| format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    let lines = ["POST /call/Slow", "POST /call/Fast", "GET /healthz", "POST /call/Nobody", "POST /call/Fast"];
    client.send(lines.map(request).concat());
    let job = slow.job();
    fast.serve(b"1");
    fast.serve(b"2");
    slow.answer(&job, 0, "ok", b"0");
    let data = |number: u8| format!(r#"{{"code":0,"msg":"ok","data":{number}}}"#);
    assert_eq!(client.answer().text(), data(0));
    assert_eq!(client.answer().text(), data(1));
    assert_eq!(client.answer().text(), "{\"status\":\"ok\"}\n");
    assert_eq!(client.answer().refusal().0, 404);
    assert_eq!(client.answer().text(), data(2));
}

#[test]
fn a_request_in_pieces_is_one_and_a_large_one_too() {
    let house = House::open("");
    let (mut worker, mut client) = (house.worker(&["F"]), house.client());
    for byte in b"POST /call/F HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n[1, 2]" {
        client.send([*byte]);
    }
    assert_eq!(worker.serve(b"1").params, b"\x92\x01\x02");
    assert_eq!(client.answer().status(), 200);
    let text = "x".repeat(5_000_000);
    client.call("F", "Expect: 100-continue\r\n", format!("{text:?}"));
    let job = worker.job();
    assert_eq!(job.params.len(), text.len() + 5);
    worker.answer(&job, 0, "ok", text.as_bytes());
    let answer = client.answer();
    let answer = if answer.status() == 100 { client.answer() } else { answer };
    assert_eq!((answer.status(), answer.body.len()), (200, text.len() + 31));
}

#[test]
fn a_client_that_waits_to_continue_is_told_to() {
    let house = House::open("http_body_limit=2000");
    let (mut worker, mut client) = (house.worker(&["F"]), house.client());
    let head = "POST /call/F HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n";
    client.send(format!("{head}Content-Length: 2\r\n\r\n"));
    assert_eq!(client.answer().head, "HTTP/1.1 100 Continue");
    client.send("{}");
    worker.serve(b"1");
    assert_eq!(client.answer().status(), 200);
    client.send(format!("{head}Content-Length: 2001\r\n\r\n"));
    assert_eq!(client.answer().refusal().0, 413);
    client.expect_end();
}

#[test]
fn a_connection_ends_when_its_client_says_so_and_not_before() {
    let house = House::open("");
    let mut client = house.client();
    let read = |line: &str, more: &str| format!("GET /healthz {line}\r\nHost: a\r\n{more}\r\n");
    client.send(read("HTTP/1.0", "Connection: keep-alive\r\n"));
    assert_eq!(client.answer().header("Connection"), Some("keep-alive"));
    client.send(read("HTTP/1.1", ""));
    assert_eq!(client.answer().header("Connection"), None);
    client.send("HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.headers_only().header("Content-Length"), Some("16"));
    client.send(read("HTTP/1.1", "Connection: close\r\n"));
    assert_eq!(client.answer().header("Connection"), Some("close"));
    client.expect_end();
    let mut client = house.client();
    client.send(read("HTTP/1.0", ""));
    assert_eq!(client.answer().header("Connection"), Some("close"));
    client.expect_end();
}

#[test]
fn a_client_that_has_closed_its_side_still_gets_its_answers() {
    let house = House::open("");
    let (mut worker, mut client) = (house.worker(&["F"]), house.client());
    client.call("F", "", "1");
    client.call("F", "", "2");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    worker.serve(b"1");
    worker.serve(b"2");
    assert_eq!((client.answer().status(), client.answer().status()), (200, 200));
    client.expect_end();
}

#[test]
fn a_client_that_goes_away_costs_nobody_anything() {
    let house = House::open("");
    let mut worker = house.worker(&["F"]);
    let mut client = house.client();
    client.call("F", "", "1");
    let job = worker.job();
    drop(client);
    worker.answer(&job, 0, "ok", b"nobody wants this");
    let mut client = house.client();
    client.call("F", "", "2");
    assert_eq!(worker.serve(b"2").params, b"\x02");
    assert_eq!(client.answer().text(), r#"{"code":0,"msg":"ok","data":2}"#);
}

#[test]
fn an_agent_that_ends_answers_what_it_has_taken_and_takes_nothing_more() {
    let mut house = House::open("");
    let (mut worker, mut client, mut other) = (house.worker(&["F"]), house.client(), house.client());
    other.send("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(other.answer().text(), "{\"status\":\"ready\"}\n");
    client.call("F", "", "1");
    let job = worker.job();
    house.agent.signal(Signal::SIGTERM);
    let answer = loop {
        other.send("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = other.answer();
        if answer.status() != 200 {
            break answer;
        }
    };
    assert_eq!((answer.status(), answer.header("Connection")), (503, Some("close")));
    let mut late = client.stream.try_clone().unwrap();
    late.write_all(b"POST /call/F HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    worker.answer(&job, 0, "ok", b"1");
    assert_eq!(client.answer().status(), 200);
    assert_eq!(client.answer().refusal().0, 503);
    assert!(house.agent.wait().success());
}

#[test]
fn callers_and_workers_on_different_reactors_find_each_other() {
    let house = House::open("max_threads=3\nfunction.Echo.in_flight=8");
    let workers: Vec<_> = (0..3).map(|_| house.worker(&["Echo"])).collect();
    std::thread::scope(|scope| {
        for mut worker in workers {
            scope.spawn(move || {
                while let Some(job) = worker.job_if_any() {
                    // What came, as JSON: the number of the call in a list.
                    let text = msf_wire::nmid::msgpack_to_json(&job.params).unwrap();
                    worker.answer(&job, 0, "ok", text.as_bytes());
                }
            });
        }
        let callers: Vec<_> = (0..6).map(|caller| (caller, house.client())).collect();
        let calling = callers.into_iter().map(|(caller, mut client)| {
            scope.spawn(move || {
                for round in 0..40 {
                    let calls: Vec<_> = (0..5).map(|call| format!("[{caller},{round},{call}]")).collect();
                    for call in &calls {
                        client.call("Echo", "", call);
                    }
                    for call in &calls {
                        assert_eq!(client.answer().text(), format!(r#"{{"code":0,"msg":"ok","data":{call}}}"#));
                    }
                }
            })
        });
        let calling: Vec<_> = calling.collect();
        let done: Vec<_> = calling.into_iter().map(|caller| caller.join()).collect();
        // Its end is the workers'.
        house.agent.signal(Signal::SIGTERM);
        assert!(done.iter().all(Result::is_ok));
    });
}

#[test]
fn a_worker_of_the_first_generation_gets_what_it_can_read_and_nothing_else() {
    let house = House::open("");
    let (mut worker, mut client) = (Nmid::connect(&house.agent), house.client());
    let mut hello = Vec::new();
    append_name(&mut hello, conn::WORKER, pdt::W_ADD_FUNC, b"ToUpper");
    append_name(&mut hello, conn::WORKER, pdt::W_GRAB_JOB, b"1");
    worker.stream.write_all(&hello).unwrap();
    assert_eq!(worker.next().0, pdt::OK);
    client.call("ToUpper", "", r#"{"name":"nmid"}"#);
    let (kind, body) = worker.next();
    let job = Job::parse(&body, Dialect::G0).unwrap();
    assert_eq!((kind, job.params.bytes), (pdt::S_GET_DATA, &b"\x91\xa9name:nmid"[..]));
    let mut bytes = Vec::new();
    let ret = b"\x93\x00\xa2OK\xa4NMID";
    Return { function: job.function, params: job.params.bytes, ret, id: None }.append_to(&mut bytes);
    worker.stream.write_all(&bytes).unwrap();
    assert_eq!(client.answer().text(), r#"{"code":0,"msg":"OK","data":"NMID"}"#);
    // A comma would make it read beyond its arguments.
    client.call("ToUpper", "", r#"{"name":"a,b"}"#);
    let (status, why) = client.answer().refusal();
    assert!(status == 502 && why.contains("parameters"), "{why}");
}

#[test]
fn thousands_of_pipelined_requests_are_taken_in_their_time() {
    let house = House::open("function.Echo.in_flight=16");
    let (mut worker, mut client) = (house.worker(&["Echo"]), house.client());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while let Some(job) = worker.job_if_any() {
                let text = msf_wire::nmid::msgpack_to_json(&job.params).unwrap();
                worker.answer(&job, 0, "ok", text.as_bytes());
            }
        });
        let mut writer = http::Client { stream: client.stream.try_clone().unwrap(), bytes: Vec::new() };
        scope.spawn(move || (0..5000).for_each(|number| writer.call("Echo", "", number.to_string())));
        for number in 0..5000 {
            assert_eq!(client.answer().text(), format!(r#"{{"code":0,"msg":"ok","data":{number}}}"#));
        }
        house.agent.signal(Signal::SIGTERM);
    });
}
