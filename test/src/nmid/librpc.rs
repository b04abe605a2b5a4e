//! A librpc caller of nmid's functions: the call by name, half of the time with the RetStruct left as the worker wrote it.

use super::caller::{Caller, Source};
use super::tally::{Asked, Tally, Told};
use super::task::{Form, Outcome};
use msf_wire::librpc::{CallFunction, Frame, Header, Login, Step, cmd, decode, errcode, id, opcode};
use msf_wire::nmid::params_type;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Callers' ids follow it.
const FIRST_ID: u32 = 0x2_0000;
const LIMIT: u32 = 1 << 20;

/// A logged in connection with one call in flight.
pub struct LibrpcCaller {
    source: Source,
    stream: UnixStream,
    inbox: Vec<u8>,
    own: u32,
    seq: u32,
}

impl LibrpcCaller {
    /// Connects and logs in.
    pub fn connect(source: Source) -> io::Result<LibrpcCaller> {
        let path = source.plan().librpc.clone().ok_or_else(|| other("no unix socket is known"))?;
        let own = FIRST_ID + source.client();
        let mut caller = LibrpcCaller { source, stream: UnixStream::connect(path)?, inbox: Vec::new(), own, seq: 0 };
        let login = Login::named(format!("SOAK{own:x}").as_bytes()).encode();
        let head = Header { datalen: login.len() as u32, ..Header::request(own, id::MSG_SRV, cmd::LOGIN, 0) };
        caller.send(&head, &login)?;
        match caller.receive(caller.source.end())? {
            Some((ack, _)) if ack.errcode == errcode::EXEC_SUCC => Ok(caller),
            answer => Err(other(&format!("the login was answered with {answer:?}"))),
        }
    }

    fn send(&mut self, head: &Header, body: &[u8]) -> io::Result<()> {
        let mut frame = Vec::new();
        Frame { head: *head, body }.append_to(&mut frame);
        self.stream.write_all(&frame)
    }

    /// The next frame; `None` when there is none until `end`.
    fn receive(&mut self, end: Instant) -> io::Result<Option<(Header, Vec<u8>)>> {
        let mut chunk = [0; 16 * 1024];
        loop {
            let step = decode(&self.inbox, LIMIT).map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
            if let Step::Frame(frame, used) = step {
                let received = (frame.head, frame.body.to_vec());
                self.inbox.drain(..used);
                return Ok(Some(received));
            }
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the broker closed the connection")),
                Ok(n) => self.inbox.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }
}

impl Caller for LibrpcCaller {
    fn round(&mut self, tally: &mut Tally) -> io::Result<()> {
        let (task, function) = (self.source.task(), self.source.function());
        let json = self.source.dice.once_in(2);
        let (form, params_type) =
            if json { (Form::Json, params_type::JSON) } else { (Form::Map, params_type::MSGPACK) };
        let params = task.params(form);
        let raw = self.source.dice.once_in(2);
        let mut body = Vec::new();
        CallFunction { raw, params_type, name: function.as_bytes(), params: &params }.append_to(&mut body);
        self.seq += 1;
        // The function's deadline ends the call, not this one.
        let patience = 2 * (self.source.deadline() + self.source.plan().margin);
        let request = Header::request(self.own, id::FUNCTION_SRV, cmd::CALL_FUNCTION, self.seq);
        let timeout = patience.as_millis() as u32;
        let head = Header { datalen: body.len() as u32, restlen: LIMIT, timeout, ..request };
        let asked = Asked { task, function, params, at: Instant::now() };
        self.send(&head, &body)?;
        tally.sent += 1;
        match self.receive(self.source.end())? {
            Some((ack, answer)) => tally.count(&asked, told(&head, &ack, &answer, raw), self.source.deadline()),
            None => tally.count_silence(&asked),
        }
        Ok(())
    }

    fn listen(&mut self, end: Instant, tally: &mut Tally) -> io::Result<()> {
        while let Some((head, _)) = self.receive(end)? {
            tally.count_unasked(format!("unasked: {head:?}"));
        }
        Ok(())
    }
}

/// What an ACK says about the call `head`.
fn told(head: &Header, ack: &Header, answer: &[u8], raw: bool) -> Told {
    let is_of = ack.opcode == opcode::ACK && (ack.dstid, ack.cmd, ack.seq) == (head.srcid, head.cmd, head.seq);
    match ack.errcode {
        _ if !is_of => Told::Nonsense(format!("{ack:?}")),
        errcode::EXEC_SUCC if raw => Told::of_ret(answer),
        errcode::EXEC_SUCC if ack.code() == 0 => {
            Told::Outcome(Outcome { code: 0, msg: b"ok".to_vec(), data: answer.to_vec() })
        }
        errcode::EXEC_FAIL if ack.code() != 0 => {
            Told::Outcome(Outcome { code: i64::from(ack.code()), msg: answer.to_vec(), data: Vec::new() })
        }
        errcode::DEADLINE => Told::Failed,
        errcode::PEER_OFFLINE => Told::Nobody,
        errcode::PEER_BUSY => Told::Limited,
        other => Told::Nonsense(format!("errcode {other}, code {}", ack.code())),
    }
}

fn other(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}
