//! An agent with its HTTP and nmid doors open, a client that speaks raw HTTP, and a worker that speaks raw nmid: tests
//! say what is sent and see every byte of the answer.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::common::{Agent, PATIENCE};
use msf_wire::nmid::{Dialect, HEADER_LEN, Return, Step, ToWorker, append_name, conn, decode, empty, pdt};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// An agent whose doors are where the kernel put them.
pub struct House {
    pub agent: Agent,
    http: SocketAddr,
    nmid: SocketAddr,
}

impl House {
    pub fn open(lines: &str) -> House {
        let doors = "http_enable=true\nhttp_port=0\nnmid_enable=true\nnmid_port=0";
        let agent = Agent::start(&format!("{doors}\n{lines}"));
        let line = agent.wait_for_log(" is ready: ");
        let door = |name: &str| {
            let (_, rest) = line.split_once(name).unwrap_or_else(|| panic!("no {name:?} in {line}"));
            rest.split([',', ';', ' ', '[']).next().unwrap().parse().unwrap()
        };
        House { http: door(" HTTP "), nmid: door(" nmid "), agent }
    }

    pub fn client(&self) -> Client {
        Client { stream: connected(self.http), bytes: Vec::new() }
    }

    /// A worker that offers these functions, and knows that everybody knows.
    pub fn worker(&self, functions: &[&str]) -> Worker {
        let mut worker = Worker { stream: connected(self.nmid), bytes: Vec::new() };
        let mut hello = Vec::new();
        append_name(&mut hello, conn::WORKER, pdt::W_SET_NAME, b"w");
        for function in functions {
            append_name(&mut hello, conn::WORKER, pdt::W_ADD_FUNC, function.as_bytes());
        }
        worker.stream.write_all(&hello).unwrap();
        for _ in 0..=functions.len() {
            assert_eq!(worker.frame(), empty(conn::SERVER, pdt::OK));
        }
        worker
    }
}

fn connected(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
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

/// A worker of today's generation.
pub struct Worker {
    pub stream: TcpStream,
    bytes: Vec<u8>,
}

/// A job as the worker got it.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub function: Vec<u8>,
    pub kind: u32,
    pub params: Vec<u8>,
    pub id: Vec<u8>,
}

impl Worker {
    /// The next job; panics when the agent closes instead.
    pub fn job(&mut self) -> Job {
        self.next_job().expect("a job, not the end of the connection")
    }

    /// The next job, or `None` at the end.
    pub fn next_job(&mut self) -> Option<Job> {
        loop {
            let bytes = self.next_frame()?;
            let Ok(Step::Frame(frame, _)) = decode(&bytes, u32::MAX) else { panic!() };
            if let Ok(ToWorker::Job(job)) = ToWorker::parse(&frame, Dialect::G2) {
                return Some(Job {
                    function: job.function.to_vec(),
                    kind: job.params.kind,
                    params: job.params.bytes.to_vec(),
                    id: job.id.to_vec(),
                });
            }
        }
    }

    /// Answers a job with these bytes.
    pub fn give(&mut self, job: &Job, ret: &[u8]) {
        let mut bytes = Vec::new();
        Return { function: &job.function, params: &job.params, ret, id: Some(&job.id) }.append_to(&mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    /// Does the next job: the data is what it returns, with code 0.
    pub fn serve(&mut self, data: &[u8]) -> Job {
        let job = self.job();
        self.give(&job, &ret(0, "ok", data));
        job
    }

    fn frame(&mut self) -> Vec<u8> {
        self.next_frame().expect("a frame, not the end of the connection")
    }

    fn next_frame(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Step::Frame(frame, used) = decode(&self.bytes, u32::MAX).unwrap() {
                assert_eq!(used, HEADER_LEN + frame.body.len());
                let rest = self.bytes.split_off(used);
                return Some(std::mem::replace(&mut self.bytes, rest));
            }
            if !more(&mut self.stream, &mut self.bytes) {
                return None;
            }
        }
    }
}

/// A RetStruct as Go's workers write it.
pub fn ret(code: i64, msg: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    msf_wire::nmid::RetStruct { code, msg: msg.as_bytes(), data }.append_map_to(&mut bytes);
    bytes
}
