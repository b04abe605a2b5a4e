//! The face of nmid's own gateway, through a real agent and a real worker: each row of its table, to the byte.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
mod http;
mod worker;

use http::{Client, House};

const WORK: &str = "N-NMID-RequestType: HTTP_DO_WORK\r\nN-NMID-FunctionName: ToUpper\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\n";

/// The head of a failure.
fn row(status: &str, kind: &str, message: &str) -> String {
    let name = "N-Nmid-Functionname: ToUpper\r\n";
    let (front, end) = (format!("HTTP/1.1 {status}\r\n"), "Content-Length: 0");
    format!("{front}N-Nmid-Errormessage: {message}\r\n{name}N-Nmid-Messagestatustype: {kind}\r\n{end}")
}

fn expect(client: &mut Client, head: &str, body: &[u8]) {
    let answer = client.answer();
    assert_eq!((&answer.head[..], &answer.body[..]), (head, body));
}

#[test]
fn a_body_of_json_reaches_the_worker_as_a_map_and_its_data_comes_back() {
    let house = House::open("");
    let (mut worker, mut client) = (house.worker(&["ToUpper"]), house.client());
    client.request("POST /anything", WORK, r#"{"n":4}"#);
    let job = worker.serve(b"{\"data\":\"NMID\"}");
    assert_eq!((job.kind, &job.params[..]), (5, &b"\x81\xa1n\xcb\x40\x10\0\0\0\0\0\0"[..]));
    let head = "N-Nmid-Functionname: ToUpper\r\nN-Nmid-Pdtdatatype: PDT_S_RETURN_DATA\r\n";
    let text = "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 15";
    expect(&mut client, &format!("{OK}{head}{text}"), b"{\"data\":\"NMID\"}");

    client.request("PUT /", &format!("{WORK}N-NMID-ParamsType: 6\r\n"), "as it is");
    let job = worker.serve(b"\0\x01");
    assert_eq!((job.kind, &job.params[..]), (6, &b"as it is"[..]));
    expect(&mut client, &format!("{OK}{head}Content-Type: application/octet-stream\r\nContent-Length: 2"), b"\0\x01");

    let chunked =
        format!("GET / HTTP/1.1\r\nHost: a\r\n{WORK}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n1\r\n}}\r\n0\r\n\r\n");
    client.send(chunked);
    assert_eq!(worker.serve(b"").params, b"\x80");
    expect(&mut client, &format!("{OK}{head}Content-Length: 0"), b"");
}

#[test]
fn what_the_worker_returns_is_told_as_the_original_tells_it() {
    let house = House::open("");
    let (mut worker, mut client) = (house.worker(&["ToUpper"]), house.client());
    let mut returned = |bytes: &[u8], head: &str| {
        client.request("POST /", WORK, "{}");
        let job = worker.job();
        worker.give(&job, bytes);
        expect(&mut client, head, b"");
    };
    returned(b"\x93\x64\xa9bad\r\nX: y\xa4data", &row("200 OK", "RET CODE ERROR", "bad  X: y"));
    returned(b"\x93\xff\xa3bad\xa4data", &row("200 OK", "RET CODE ERROR", "bad"));
    returned(b"NMID", &row("200 OK", "RET MSGPACK UNMARSHAL ERROR", "no RetStruct"));
    returned(b"", &format!("{OK}N-Nmid-Functionname: ToUpper\r\nContent-Length: 0"));
}

#[test]
fn calls_that_fail_are_told_as_the_original_tells_them() {
    let house = House::open("function.ToUpper.deadline_ms=200\nfunction.Full.queue_limit=0");
    let mut client = house.client();
    let server = "500 Internal Server Error";
    client.request("POST /", WORK, "{}");
    expect(&mut client, &row(server, "REQUST ERROR", "have no job do"), b"");

    let mut worker = house.worker(&["ToUpper", "Full"]);
    client.request("POST /", WORK, "{}");
    let late = worker.job();
    expect(&mut client, &row("408 Request Timeout", "REQUST TIME OUT", "RESTIMEOUT"), b"");
    worker.answer(&late, 0, "", b"too late");

    client.request("POST /", WORK, "{}");
    worker.job();
    let full = WORK.replace("ToUpper", "Full");
    let mut other = house.client();
    other.request("POST /", &full, "{}");
    let ratelimit = row(server, "REQUST ERROR", "have ratelimit").replace("ToUpper", "Full");
    expect(&mut other, &ratelimit, b"");
    drop(worker);
    expect(&mut client, &row(server, "REQUST ERROR", "request error"), b"");
}

#[test]
fn requests_that_ask_for_nothing_are_told_as_the_original_tells_them() {
    let house = House::open("");
    let _worker = house.worker(&["ToUpper"]);
    let mut client = house.client();
    let mut asked = |line: &str, headers: &str, body: &str, head: &str| {
        client.request(line, headers, body);
        expect(&mut client, head, b"");
    };
    asked("POST /", WORK, "", &row("200 OK", "PARAMS LENGTH ZERO", "params length zero"));
    asked("POST /", WORK, "[1]", &row("200 OK", "JSON UNMARSHAL ERROR", "json unmarshal error"));
    let seven = format!("{WORK}N-NMID-ParamsType: 7\r\n");
    asked("POST /", &seven, "{}", &row("500 Internal Server Error", "REQUST ERROR", "request error"));
    asked("POST /", "N-NMID-RequestType: HTTP_ADD_SERVICE\r\n", "{}", &format!("{OK}Content-Length: 0"));
    let allow = "Allow: GET, OPTIONS, POST, PUT\r\nContent-Length: 0";
    asked("OPTIONS /", WORK, "", &format!("{OK}{allow}"));
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{WORK}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
    expect(&mut client, &row("200 OK", "READ PARAMS EMPTY", "read params empty"), b"");
    client.request("DELETE /", WORK, "");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.header("Allow")), (405, Some("GET, OPTIONS, POST, PUT")));
}

#[test]
fn the_path_names_the_function_without_its_slash_unless_somebody_is_called_so() {
    let house = House::open("");
    let (mut worker, mut client) = (house.worker(&["Echo", "/Slash", "a b"]), house.client());
    let work = "N-NMID-RequestType: HTTP_DO_WORK\r\n";
    for (path, function) in [("/Echo", "Echo"), ("/Slash?x=1", "/Slash"), ("/a%20b", "a b")] {
        client.request(&format!("POST {path}"), work, "{}");
        assert_eq!(worker.serve(b"x").function, function.as_bytes());
        let answer = client.answer();
        assert_eq!((answer.status(), answer.header("N-Nmid-Functionname")), (200, Some("")));
    }
}
