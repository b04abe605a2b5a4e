//! nmid's peers, frame by frame: a worker and a client that do exactly what a test tells them, and the vectors of the
//! specification.

use super::{Agent, PATIENCE};
use msf_wire::nmid::{Answer, Dialect, DoJob, Head, Job, Params, RetStruct, Return, Step, append_name, decode, empty};
use msf_wire::nmid::{conn, pdt};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// msgpack `{"name":"nmid"}`.
pub const PARAMS: &[u8] = b"\x81\xa4name\xa4nmid";

impl Agent {
    /// One that serves nmid on a port of the kernel's choice, with these lines.
    pub fn with_nmid(lines: &str) -> Agent {
        Agent::start(&format!("nmid_enable=true\nnmid_port=0\n{lines}"))
    }

    /// A connection to its nmid port.
    pub fn nmid(&self) -> Line {
        let listens = self.wait_for_log("nmid 127.0.0.1:");
        let port = listens.split("nmid 127.0.0.1:").nth(1).unwrap();
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        Line::over(TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap())
    }

    /// A worker of today that has been told OK for all of this.
    pub fn worker(&self, name: &str, functions: &[&str]) -> Worker {
        let mut worker = Worker::over(self.nmid(), Dialect::G2);
        worker.say(pdt::W_SET_NAME, name.as_bytes());
        worker.offer(functions);
        worker.expect_oks(1 + functions.len());
        worker
    }

    /// A worker of the first generation, as C's library is one.
    pub fn first_worker(&self, functions: &[&str]) -> Worker {
        let mut worker = Worker::over(self.nmid(), Dialect::G0);
        worker.offer(functions);
        worker.say(pdt::W_GRAB_JOB, b"1");
        worker.expect_oks(functions.len());
        worker
    }

    pub fn client(&self) -> Client {
        Client { line: self.nmid() }
    }
}

/// One end of a connection to the nmid port.
pub struct Line {
    pub stream: TcpStream,
    bytes: Vec<u8>,
}

/// A frame received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub kind: u32,
    pub body: Vec<u8>,
}

impl Line {
    pub fn over(stream: TcpStream) -> Line {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Line { stream, bytes: Vec::new() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next frame; panics when the agent closes instead.
    pub fn get(&mut self) -> Heard {
        self.next().expect("a frame, not the end of the connection")
    }

    /// The next frame, or `None` at the end.
    pub fn next(&mut self) -> Option<Heard> {
        let heard = self.next_within(PATIENCE);
        assert!(heard.is_some(), "neither a frame nor the end");
        heard.flatten()
    }

    /// The next frame or the end of the connection, if it comes within `time`.
    pub fn next_within(&mut self, time: Duration) -> Option<Option<Heard>> {
        let until = Instant::now() + time;
        loop {
            if let Step::Frame(frame, used) = decode(&self.bytes, u32::MAX).unwrap() {
                assert_eq!(frame.conn, conn::SERVER);
                let heard = Heard { kind: frame.kind, body: frame.body.to_vec() };
                self.bytes.drain(..used);
                return Some(Some(heard));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Some(None),
                Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Some(None),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => panic!("no frame: {error}"),
            }
        }
    }

    /// Exactly this frame comes next.
    pub fn expect(&mut self, frame: &[u8]) {
        let Heard { kind, body } = self.get();
        let head = Head { conn: conn::SERVER, kind, len: body.len() as u32 }.encode();
        let got = [head.as_slice(), &body].concat();
        assert_eq!(hex(&got), hex(frame));
    }

    /// Nothing comes for so long.
    pub fn expect_silence(&mut self, time: Duration) {
        assert_eq!(self.next_within(time), None);
    }

    pub fn expect_end(&mut self) {
        assert_eq!(self.next(), None);
    }
}

/// A job that a worker was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    pub function: Vec<u8>,
    pub params: Vec<u8>,
    pub kind: u32,
    pub id: Vec<u8>,
}

pub struct Worker {
    pub line: Line,
    pub dialect: Dialect,
    /// Jobs that came before it was told OK.
    early: VecDeque<Given>,
}

impl Worker {
    pub fn over(line: Line, dialect: Dialect) -> Worker {
        Worker { line, dialect, early: VecDeque::new() }
    }

    pub fn say(&mut self, kind: u32, text: &[u8]) {
        let mut frame = Vec::new();
        append_name(&mut frame, conn::WORKER, kind, text);
        self.line.send(&frame);
    }

    pub fn offer(&mut self, functions: &[&str]) {
        functions.iter().for_each(|function| self.say(pdt::W_ADD_FUNC, function.as_bytes()));
    }

    /// So many OKs come; jobs that come before them are kept.
    pub fn expect_oks(&mut self, count: usize) {
        let mut oks = 0;
        while oks < count {
            let heard = self.line.get();
            if heard.kind == pdt::OK {
                oks += 1;
            } else {
                self.early.push_back(self.read(&heard));
            }
        }
    }

    /// Nothing has come before the answer to a PING sent now.
    pub fn expect_nothing(&mut self) {
        self.say(pdt::W_HEARTBEAT_PING, b"PING");
        self.line.expect(&empty(conn::SERVER, pdt::S_HEARTBEAT_PONG));
    }

    /// The next frame, which is a job.
    pub fn job(&mut self) -> Given {
        if let Some(job) = self.early.pop_front() {
            return job;
        }
        let heard = self.line.get();
        self.read(&heard)
    }

    /// A job, if one comes within `time`.
    pub fn job_within(&mut self, time: Duration) -> Option<Given> {
        if let Some(job) = self.early.pop_front() {
            return Some(job);
        }
        let heard = self.line.next_within(time)?.expect("the agent has closed");
        Some(self.read(&heard))
    }

    pub fn read(&self, heard: &Heard) -> Given {
        assert_eq!(heard.kind, pdt::S_GET_DATA, "{heard:?}");
        let job = Job::parse(&heard.body, self.dialect).unwrap();
        Given {
            function: job.function.to_vec(),
            params: job.params.bytes.to_vec(),
            kind: job.params.kind,
            id: job.id.to_vec(),
        }
    }

    /// Returns these bytes for a job.
    pub fn give(&mut self, job: &Given, ret: &[u8]) {
        let id = (self.dialect == Dialect::G2).then_some(job.id.as_slice());
        let mut frame = Vec::new();
        Return { function: &job.function, params: &job.params, ret, id }.append_to(&mut frame);
        self.line.send(&frame);
    }

    /// Carries the next job out: all is well, and this is the data.
    pub fn serve(&mut self, data: &[u8]) -> Given {
        let job = self.job();
        self.give(&job, &well(data));
        job
    }

    /// As Go's library closes: every function withdrawn, then the end.
    pub fn close(mut self, functions: &[&str]) {
        functions.iter().for_each(|function| self.say(pdt::W_DEL_FUNC, function.as_bytes()));
    }
}

/// What a client got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Function, params, ret.
    Answer(Vec<u8>, Vec<u8>, Vec<u8>),
    Error,
    CantDo,
    RateLimit,
}

pub struct Client {
    pub line: Line,
}

impl Client {
    pub fn ask(&mut self, function: &str, params: &[u8]) {
        self.line.send(&do_job(function, params));
    }

    pub fn ask_first(&mut self, function: &str, params: &[u8]) {
        let mut frame = Vec::new();
        DoJob { function: function.as_bytes(), params: Params::untyped(params) }.append_first_to(&mut frame);
        self.line.send(&frame);
    }

    pub fn reply(&mut self) -> Reply {
        let heard = self.line.get();
        match heard.kind {
            pdt::ERROR => Reply::Error,
            pdt::CANT_DO => Reply::CantDo,
            pdt::RATE_LIMIT => Reply::RateLimit,
            pdt::S_RETURN_DATA => {
                let answer = Answer::parse(&heard.body).unwrap();
                Reply::Answer(answer.function.to_vec(), answer.params.to_vec(), answer.ret.to_vec())
            }
            other => panic!("a client understands no {other}"),
        }
    }

    /// The data of the answer that comes next.
    pub fn data(&mut self) -> Vec<u8> {
        let Reply::Answer(_, _, ret) = self.reply() else { panic!("no answer") };
        RetStruct::parse(&ret).unwrap().data.to_vec()
    }
}

/// A request of today with params in msgpack.
pub fn do_job(function: &str, params: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let params = Params { kind: 5, handle: 10, bytes: params };
    DoJob { function: function.as_bytes(), params }.append_to(&mut frame);
    frame
}

/// msgpack `{"name": text}` with a text of four characters.
pub fn named(text: &str) -> Vec<u8> {
    assert_eq!(text.len(), 4);
    [b"\x81\xa4name\xa4".as_slice(), text.as_bytes()].concat()
}

/// A function's success as its bytes.
pub fn well(data: &[u8]) -> Vec<u8> {
    let mut ret = Vec::new();
    RetStruct { code: 0, msg: b"ok", data }.append_map_to(&mut ret);
    ret
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The frame of this name in `test/vectors/nmid.txt`.
pub fn vector(name: &str) -> Vec<u8> {
    let lines = VECTORS.lines().skip_while(|line| line.split(' ').next() != Some(name));
    let of_it = lines.skip(1).take_while(|line| !line.is_empty());
    let mut frame = Vec::new();
    for line in of_it {
        if let Some(text) = line.strip_prefix("header ").or_else(|| line.strip_prefix("payload ")) {
            text.split(' ').for_each(|group| append_hex(&mut frame, group));
        }
    }
    assert!(!frame.is_empty(), "no vector {name}");
    frame
}

/// Digits, or `NxXX` for N times the byte XX.
fn append_hex(out: &mut Vec<u8>, group: &str) {
    let byte = |digits: &str| u8::from_str_radix(digits, 16).unwrap();
    match group.split_once('x') {
        Some((count, digits)) => out.resize(out.len() + count.parse::<usize>().unwrap(), byte(digits)),
        None => out.extend((0..group.len() / 2).map(|place| byte(&group[2 * place..2 * place + 2]))),
    }
}

const VECTORS: &str = include_str!("../../../test/vectors/nmid.txt");
