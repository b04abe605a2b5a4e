//! One connection with one call in flight, speaking the protocol's bytes itself: what libipc does wrong must show.

use super::{Plan, SERVICES};
use crate::dice::Dice;
use msf_wire::librpc::{self, Frame, Header, Login, Step, cmd, errcode, id, opcode};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const FIRST_ID: u32 = 0x1_0000;
const TIMEOUT_MS: u32 = 5000;
/// Longer than the protocol's timeout: silence until here is a lost call.
const SILENCE: Duration = Duration::from_secs(10);
const LIMIT: u32 = 1 << 20;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The right bytes.
    Right,
    /// Bytes, ids or a sequence number that are not those of this call.
    Wrong,
    /// The broker said that the service is offline or busy.
    Refused,
    /// Nothing came.
    Lost,
}

/// One call, for the report.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Which service was called.
    pub service: u32,
    /// Before the request was written.
    pub begun: Instant,
    /// After the answer was read, or given up.
    pub ended: Instant,
    /// How it ended.
    pub outcome: Outcome,
}

impl Call {
    /// Whether the right answer came.
    pub fn answered(&self) -> bool {
        self.outcome == Outcome::Right
    }
}

/// A connected and logged in caller.
pub struct Caller {
    stream: UnixStream,
    own: u32,
    seq: u32,
    dice: Dice,
    payload: u32,
    inbox: Vec<u8>,
}

impl Caller {
    /// Connects and logs in under an id made from `index`.
    pub fn connect(socket: &Path, index: u32, plan: &Plan) -> Result<Caller, String> {
        let stream = UnixStream::connect(socket).map_err(|e| format!("cannot connect to {}: {e}", socket.display()))?;
        stream.set_read_timeout(Some(SILENCE)).map_err(|e| e.to_string())?;
        let own = FIRST_ID + index;
        let dice = Dice::new(plan.seed, u64::from(index));
        let mut caller = Caller { stream, own, seq: 0, dice, payload: plan.payload, inbox: Vec::new() };
        caller.login()?;
        Ok(caller)
    }

    fn login(&mut self) -> Result<(), String> {
        let login = Login::named(format!("CALLER{:x}", self.own).as_bytes()).encode();
        let head = Header { datalen: login.len() as u32, ..Header::request(self.own, id::MSG_SRV, cmd::LOGIN, 0) };
        self.send(&head, &login)?;
        match self.receive()? {
            Some((ack, _)) if ack.errcode == errcode::EXEC_SUCC => Ok(()),
            Some((ack, _)) => Err(format!("caller {:#x}: login refused with {}", self.own, ack.errcode)),
            None => Err(format!("caller {:#x}: no answer to the login", self.own)),
        }
    }

    /// Calls until `stop`; what went wrong with the connection itself is an error.
    pub fn run(mut self, stop: &AtomicBool) -> Result<Vec<Call>, String> {
        let mut calls = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let service = SERVICES[self.dice.roll() as usize % SERVICES.len()];
            let call = self.call_one(service)?;
            calls.push(call);
            match call.outcome {
                Outcome::Refused => thread::sleep(Duration::from_millis(5)),
                Outcome::Lost => return Ok(calls),
                Outcome::Right | Outcome::Wrong => {}
            }
        }
        Ok(calls)
    }

    /// One call with a payload of random size and bytes.
    pub fn call_one(&mut self, service: u32) -> Result<Call, String> {
        self.seq += 1;
        let command = self.dice.roll() as u32;
        let payload = self.random_payload();
        let expected = transformed(&payload, command);
        let length = payload.len() as u32;
        let request = Header::request(self.own, service, command, self.seq);
        let head = Header { datalen: length, restlen: length, timeout: TIMEOUT_MS, ..request };
        let begun = Instant::now();
        self.send(&head, &payload)?;
        let outcome = match self.receive()? {
            None => Outcome::Lost,
            Some((ack, body)) if matches_call(&ack, &head) => match ack.errcode {
                errcode::EXEC_SUCC if body == expected => Outcome::Right,
                errcode::PEER_OFFLINE | errcode::PEER_BUSY if body.is_empty() => Outcome::Refused,
                _ => Outcome::Wrong,
            },
            Some(_) => Outcome::Wrong,
        };
        Ok(Call { service, begun, ended: Instant::now(), outcome })
    }

    fn send(&mut self, head: &Header, body: &[u8]) -> Result<(), String> {
        let mut frame = Vec::new();
        Frame { head: *head, body }.append_to(&mut frame);
        self.stream.write_all(&frame).map_err(|e| format!("caller {:#x}: cannot send: {e}", self.own))
    }

    /// The next frame; `None` after a silence. A broken connection is an error.
    fn receive(&mut self) -> Result<Option<(Header, Vec<u8>)>, String> {
        let mut chunk = [0; 64 * 1024];
        loop {
            let step = librpc::decode(&self.inbox, LIMIT).map_err(|e| format!("caller {:#x}: {e}", self.own))?;
            if let Step::Frame(frame, used) = step {
                let received = (frame.head, frame.body.to_vec());
                self.inbox.drain(..used);
                return Ok(Some(received));
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(format!("caller {:#x}: the broker closed the connection", self.own)),
                Ok(n) => self.inbox.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Ok(None),
                Err(e) => return Err(format!("caller {:#x}: cannot read: {e}", self.own)),
            }
        }
    }

    fn random_payload(&mut self) -> Vec<u8> {
        let length = self.dice.roll() as usize % (self.payload as usize + 1);
        let mut payload = Vec::with_capacity(length + 8);
        while payload.len() < length {
            payload.extend_from_slice(&self.dice.roll().to_le_bytes());
        }
        payload.truncate(length);
        payload
    }
}

fn matches_call(ack: &Header, call: &Header) -> bool {
    ack.opcode == opcode::ACK
        && (ack.srcid, ack.dstid) == (call.dstid, call.srcid)
        && (ack.cmd, ack.seq, ack.timeout) == (call.cmd, call.seq, call.timeout)
}

/// What the service makes of a payload.
fn transformed(payload: &[u8], command: u32) -> Vec<u8> {
    payload.iter().enumerate().map(|(i, byte)| byte ^ command.wrapping_add(i as u32) as u8).collect()
}
