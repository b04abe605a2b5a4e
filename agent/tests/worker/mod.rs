//! A worker and a client of nmid's protocol, by hand, against a real agent.
#![allow(dead_code, reason = "each test program uses its own part")]

use crate::common::{Agent, PATIENCE};
use msf_wire::nmid::{
    Answer, Dialect, DoJob, Job, Params, RetStruct, Return, Step, append_name, conn, decode, empty, params_type, pdt,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Where the agent says that it listens for `what`.
pub fn address(agent: &Agent, what: &str) -> SocketAddr {
    let line = agent.wait_for_log("is ready");
    let (_, place) = line.split_once(&format!(", {what} ")).expect("a place in the log");
    let end = place.find(|letter: char| !letter.is_ascii_digit() && !".:".contains(letter)).unwrap_or(place.len());
    place[..end].parse().unwrap()
}

/// One connection to the nmid port.
pub struct Nmid {
    pub stream: TcpStream,
    bytes: Vec<u8>,
}

/// A job as it came.
pub struct Got {
    pub function: Vec<u8>,
    pub kind: u32,
    pub params: Vec<u8>,
    pub id: Vec<u8>,
}

impl Nmid {
    pub fn connect(agent: &Agent) -> Nmid {
        let stream = TcpStream::connect(address(agent, "nmid")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Nmid { stream, bytes: Vec::new() }
    }

    /// A worker of the second generation with these functions, which the agent has confirmed.
    pub fn worker(agent: &Agent, name: &str, functions: &[&[u8]]) -> Nmid {
        let mut worker = Nmid::connect(agent);
        let mut bytes = Vec::new();
        append_name(&mut bytes, conn::WORKER, pdt::W_SET_NAME, name.as_bytes());
        functions.iter().for_each(|function| append_name(&mut bytes, conn::WORKER, pdt::W_ADD_FUNC, function));
        worker.stream.write_all(&bytes).unwrap();
        for _ in 0..=functions.len() {
            assert_eq!(worker.next(), (pdt::OK, Vec::new()));
        }
        worker
    }

    /// The next frame: its type and its payload.
    pub fn next(&mut self) -> (u32, Vec<u8>) {
        self.next_if_any().expect("a frame, not the end of the connection")
    }

    /// The next frame, or `None` at the end.
    fn next_if_any(&mut self) -> Option<(u32, Vec<u8>)> {
        loop {
            if let Step::Frame(frame, used) = decode(&self.bytes, u32::MAX).unwrap() {
                let got = (frame.kind, frame.body.to_vec());
                self.bytes.drain(..used);
                return Some(got);
            }
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no frame: {error}"),
            }
        }
    }

    /// The next job.
    pub fn job(&mut self) -> Got {
        self.job_if_any().expect("a job, not the end of the connection")
    }

    /// The next job, or `None` when the agent closes the connection.
    pub fn job_if_any(&mut self) -> Option<Got> {
        let (kind, body) = self.next_if_any()?;
        assert_eq!(kind, pdt::S_GET_DATA);
        let Job { function, params, id } = Job::parse(&body, Dialect::G2).unwrap();
        Some(Got { function: function.to_vec(), kind: params.kind, params: params.bytes.to_vec(), id: id.to_vec() })
    }

    /// Answers a job.
    pub fn answer(&mut self, job: &Got, code: i64, msg: &str, data: &[u8]) {
        let mut ret = Vec::new();
        RetStruct { code, msg: msg.as_bytes(), data }.append_map_to(&mut ret);
        self.give(job, &ret);
    }

    /// Answers a job with these bytes, whatever they are.
    pub fn give(&mut self, job: &Got, ret: &[u8]) {
        let mut out = Vec::new();
        Return { function: &job.function, params: &job.params, ret, id: Some(&job.id) }.append_to(&mut out);
        self.stream.write_all(&out).unwrap();
    }

    /// Does the next job: this is what its function returns.
    pub fn serve(&mut self, data: &[u8]) -> Got {
        let job = self.job();
        self.answer(&job, 0, "ok", data);
        job
    }

    /// Asks for a function.
    pub fn ask(&mut self, function: &[u8], params: &[u8]) {
        let mut out = Vec::new();
        let params = Params { kind: params_type::JSON, ..Params::untyped(params) };
        DoJob { function, params }.append_to(&mut out);
        self.stream.write_all(&out).unwrap();
    }

    /// The result that comes next.
    pub fn result(&mut self) -> Vec<u8> {
        let (kind, body) = self.next();
        assert_eq!(kind, pdt::S_RETURN_DATA);
        Answer::parse(&body).unwrap().ret.to_vec()
    }

    /// Takes a function back, and waits until the agent has done so.
    pub fn withdraw(&mut self, function: &[u8]) {
        let mut out = Vec::new();
        append_name(&mut out, conn::WORKER, pdt::W_DEL_FUNC, function);
        out.extend_from_slice(&empty(conn::WORKER, pdt::W_HEARTBEAT_PING));
        self.stream.write_all(&out).unwrap();
        assert_eq!(self.next().0, pdt::S_HEARTBEAT_PONG);
    }
}
