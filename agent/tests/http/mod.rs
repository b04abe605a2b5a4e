//! An agent with its HTTP and nmid doors open, and a client that speaks raw HTTP: tests say what is sent and see every
//! byte of the answer.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::common::{Agent, PATIENCE};
use crate::worker::{Nmid, address};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// An agent whose doors are where the kernel put them.
pub struct House {
    pub agent: Agent,
    http: SocketAddr,
}

impl House {
    pub fn open(lines: &str) -> House {
        let doors = "http_enable=true\nhttp_port=0\nnmid_enable=true\nnmid_port=0";
        let agent = Agent::start(&format!("{doors}\n{lines}"));
        House { http: address(&agent, "HTTP"), agent }
    }

    pub fn client(&self) -> Client {
        Client::to(self.http)
    }

    /// A worker that offers these functions, and knows that everybody knows.
    pub fn worker(&self, functions: &[&str]) -> Nmid {
        let functions: Vec<&[u8]> = functions.iter().map(|name| name.as_bytes()).collect();
        Nmid::worker(&self.agent, "w", &functions)
    }
}

/// Reads more into `bytes`; false at the end.
fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 65_536];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => {
                bytes.extend_from_slice(&buffer[..count]);
                return true;
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("nothing comes: {error}"),
        }
    }
}

/// One connection to the gateway.
pub struct Client {
    pub stream: TcpStream,
    pub bytes: Vec<u8>,
}

/// An answer: its head to the byte, without the empty line, and its body.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub head: String,
    pub body: Vec<u8>,
}

impl Client {
    pub fn to(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, bytes: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request with a body.
    pub fn request(&mut self, line: &str, headers: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let head = format!("{line} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        self.send([head.as_bytes(), body].concat());
    }

    /// Calls a function of the modern face.
    pub fn call(&mut self, function: &str, headers: &str, body: impl AsRef<[u8]>) {
        self.request(&format!("POST /call/{function}"), headers, body);
    }

    /// The next answer; panics when the connection ends instead.
    pub fn answer(&mut self) -> Answer {
        self.next(true).expect("an answer, not the end of the connection")
    }

    /// The answer to a HEAD request: it has a length, but no body.
    pub fn headers_only(&mut self) -> Answer {
        self.next(false).expect("an answer, not the end of the connection")
    }

    pub fn expect_end(&mut self) {
        assert_eq!(self.next(true), None);
    }

    fn next(&mut self, has_body: bool) -> Option<Answer> {
        let head = loop {
            if let Some(at) = find(&self.bytes, b"\r\n\r\n") {
                let rest = self.bytes.split_off(at + 4);
                let head = std::mem::replace(&mut self.bytes, rest);
                break String::from_utf8_lossy(&head[..at]).into_owned();
            }
            if !more(&mut self.stream, &mut self.bytes) {
                assert!(self.bytes.is_empty(), "half an answer: {:?}", String::from_utf8_lossy(&self.bytes));
                return None;
            }
        };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap_or("0");
        let length = if has_body { length.parse().unwrap() } else { 0 };
        self.fill(length);
        let rest = self.bytes.split_off(length);
        Some(Answer { head, body: std::mem::replace(&mut self.bytes, rest) })
    }

    /// Waits until so many bytes are there.
    pub fn fill(&mut self, length: usize) {
        while self.bytes.len() < length {
            assert!(more(&mut self.stream, &mut self.bytes), "the connection ends within an answer");
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The sentence of a refusal, whose code is the status with a minus.
    pub fn refusal(&self) -> (u16, String) {
        let text = self.text();
        let members = msf_wire::json::members(&text).unwrap();
        assert_eq!(members["code"], format!("-{}", self.status()), "{text}");
        (self.status(), msf_wire::json::unquoted(members["msg"]).unwrap())
    }
}
