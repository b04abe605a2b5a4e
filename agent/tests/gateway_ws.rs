//! The WebSocket, through a real agent and real workers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
mod http;
mod worker;

use http::{Client, House};
use msf_wire::ws::{Frame, code, opcode};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A client whose handshake is done.
struct Talk(Client);

impl Talk {
    fn begin(house: &House) -> Talk {
        let mut client = house.client();
        client.send(UPGRADE);
        let answer = client.answer();
        assert_eq!(answer.status(), 101);
        assert_eq!(answer.header("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        Talk(client)
    }

    fn frame(&mut self, end: bool, opcode: u8, payload: &[u8]) {
        let mut bytes = Vec::new();
        Frame { end, opcode, mask: Some([1, 2, 3, 4]), payload }.append_to(&mut bytes);
        self.0.send(bytes);
    }

    fn say(&mut self, text: &str) {
        self.frame(true, opcode::TEXT, text.as_bytes());
    }

    /// The next frame from the agent: its opcode and payload. All of them are whole, and short enough for this.
    fn hear(&mut self) -> (u8, Vec<u8>) {
        self.0.fill(2);
        let (mut header, mut length) = (2, usize::from(self.0.bytes[1]));
        if length == 126 {
            self.0.fill(4);
            (header, length) = (4, usize::from(u16::from_be_bytes([self.0.bytes[2], self.0.bytes[3]])));
        }
        self.0.fill(header + length);
        assert_eq!(self.0.bytes[0] & 0xf0, 0x80);
        let opcode = self.0.bytes[0] & 0x0f;
        let payload = self.0.bytes[header..header + length].to_vec();
        self.0.bytes.drain(..header + length);
        (opcode, payload)
    }

    fn hear_text(&mut self) -> String {
        let (opcode, payload) = self.hear();
        assert_eq!(opcode, opcode::TEXT);
        String::from_utf8(payload).unwrap()
    }

    fn expect_close(&mut self, code: u16) {
        let (opcode, payload) = self.hear();
        assert_eq!((opcode, &payload[..2]), (opcode::CLOSE, &code.to_be_bytes()[..]));
    }
}

#[test]
fn calls_are_answered_as_they_end() {
    let house = House::open("");
    let (mut slow, mut fast) = (house.worker(&["Slow"]), house.worker(&["Fast"]));
    let mut talk = Talk::begin(&house);
    talk.say(r#"{"id":1,"function":"Slow","params":{"n":1}}"#);
    talk.say(r#"{"id":"two","function":"Fast","params":[2]}"#);
    talk.say(r#"{"id":[3],"function":"Fast"}"#);
    let job = slow.job();
    assert_eq!(job.params, b"\x81\xa1n\x01");
    assert_eq!(fast.serve(b"{\"b\":2}").params, b"\x91\x02");
    assert_eq!(talk.hear_text(), r#"{"id":"two","code":0,"msg":"ok","data":{"b":2}}"#);
    fast.serve(b"text");
    assert_eq!(talk.hear_text(), r#"{"id":[3],"code":0,"msg":"ok","data":"text"}"#);
    slow.answer(&job, -7, "tired", b"\xff");
    assert_eq!(talk.hear_text(), r#"{"id":1,"code":-7,"msg":"tired","data":"/w==","encoding":"base64"}"#);
}

#[test]
fn what_fails_is_said_under_its_id() {
    let house = House::open("");
    let _worker = house.worker(&["Slow"]);
    let mut talk = Talk::begin(&house);
    for (text, id, code) in [
        (r#"{"id":1,"function":"Nobody"}"#, "1", "-404"),
        (r#"{"id":2,"function":"Slow","deadline":50}"#, "2", "-504"),
        (r#"{"id":3}"#, "3", "-400"),
        (r#"{"id":4,"function":"Slow","deadline":0}"#, "4", "-400"),
        ("nonsense", "null", "-400"),
    ] {
        talk.say(text);
        let answer = talk.hear_text();
        let members = msf_wire::json::members(&answer).unwrap();
        assert_eq!((members["id"], members["code"]), (id, code), "{text}");
        assert!(members["msg"].len() > 10 && !members.contains_key("data"), "{answer}");
    }
}

#[test]
fn pings_are_answered_between_the_fragments_of_a_message() {
    let house = House::open("");
    let mut worker = house.worker(&["F"]);
    let mut talk = Talk::begin(&house);
    talk.frame(false, opcode::TEXT, br#"{"id":1,"#);
    talk.frame(true, opcode::PING, b"there?");
    assert_eq!(talk.hear(), (opcode::PONG, b"there?".to_vec()));
    talk.frame(true, opcode::CONTINUATION, br#""function":"F"}"#);
    worker.serve(b"1");
    assert_eq!(talk.hear_text(), r#"{"id":1,"code":0,"msg":"ok","data":1}"#);
}

#[test]
fn a_close_is_answered_with_its_code_and_its_calls_are_given_up() {
    let house = House::open("");
    let mut worker = house.worker(&["F"]);
    let mut talk = Talk::begin(&house);
    talk.say(r#"{"id":1,"function":"F"}"#);
    let job = worker.job();
    talk.frame(true, opcode::CLOSE, b"\x03\xe9bye");
    talk.expect_close(1001);
    talk.0.expect_end();
    worker.answer(&job, 0, "ok", b"nobody wants this");
    let mut talk = Talk::begin(&house);
    talk.say(r#"{"id":2,"function":"F"}"#);
    worker.serve(b"2");
    assert_eq!(talk.hear_text(), r#"{"id":2,"code":0,"msg":"ok","data":2}"#);
}

#[test]
fn what_is_not_taken_here_closes_with_its_code() {
    let house = House::open("http_body_limit=2000");
    let ended = |opcode: u8, payload: &[u8], code: u16| {
        let mut talk = Talk::begin(&house);
        talk.frame(true, opcode, payload);
        talk.expect_close(code);
        talk.0.stream.shutdown(std::net::Shutdown::Write).unwrap();
        talk.0.expect_end();
    };
    ended(opcode::BINARY, b"{}", code::UNSUPPORTED);
    ended(opcode::TEXT, b"\xff", code::NOT_UTF8);
    ended(opcode::TEXT, &[b' '; 2001], code::TOO_LONG);
    ended(opcode::CONTINUATION, b"", code::PROTOCOL);
    let mut talk = Talk::begin(&house);
    talk.0.send(b"\x81\x01a");
    talk.expect_close(code::PROTOCOL);
}

#[test]
fn a_silent_client_is_asked_and_then_let_go() {
    let house = House::open("http_idle_ms=300");
    let mut talk = Talk::begin(&house);
    assert_eq!(talk.hear(), (opcode::PING, vec![]));
    talk.frame(true, opcode::PONG, b"");
    assert_eq!(talk.hear(), (opcode::PING, vec![]), "who answers stays");
    talk.expect_close(code::GOING_AWAY);
}

#[test]
fn a_hundred_calls_in_flight_are_told_apart() {
    let house = House::open("in_flight=1000");
    let mut worker = house.worker(&["F"]);
    let mut talk = Talk::begin(&house);
    for number in 0..100 {
        talk.say(&format!(r#"{{"id":{number},"function":"F","params":{number}}}"#));
    }
    let mut jobs: Vec<_> = (0..100).map(|_| worker.job()).collect();
    jobs.sort_by_key(|job| std::cmp::Reverse(job.params[0]));
    for job in &jobs {
        let number = job.params.last().unwrap();
        worker.answer(job, 0, "ok", number.to_string().as_bytes());
    }
    for job in &jobs {
        let number = job.params.last().unwrap();
        assert_eq!(talk.hear_text(), format!(r#"{{"id":{number},"code":0,"msg":"ok","data":{number}}}"#));
    }
}

#[test]
fn thousands_of_calls_at_once_are_taken_in_their_time() {
    let house = House::open("function.F.in_flight=16");
    let mut worker = house.worker(&["F"]);
    let mut talk = Talk::begin(&house);
    let mut writer = Talk(Client { stream: talk.0.stream.try_clone().unwrap(), bytes: Vec::new() });
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while let Some(job) = worker.job_if_any() {
                worker.answer(&job, 0, "ok", b"1");
            }
        });
        scope.spawn(move || (0..5000).for_each(|id| writer.say(&format!(r#"{{"id":{id},"function":"F"}}"#))));
        for id in 0..5000 {
            // One worker, one queue: they end in their order.
            assert_eq!(talk.hear_text(), format!(r#"{{"id":{id},"code":0,"msg":"ok","data":1}}"#));
        }
        house.agent.signal(nix::sys::signal::Signal::SIGTERM);
    });
}
