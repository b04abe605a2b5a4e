//! One nmid connection as the tests need it: whole frames out in one write, whole frames in, silence told from an end.

use msf_wire::nmid::{Frame, Step, conn, decode};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Longer than anything the soak asks for.
const LIMIT: u32 = 1 << 24;

/// A frame that has come in; its sender has been looked at.
#[derive(Clone, Debug)]
pub struct Received {
    kind: u32,
    body: Vec<u8>,
}

impl Received {
    /// As the codec takes it.
    pub fn frame(&self) -> Frame<'_> {
        Frame { conn: conn::SERVER, kind: self.kind, body: &self.body }
    }
}

/// A connection to the broker.
pub struct Connection {
    stream: TcpStream,
    inbox: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn open(broker: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(broker)?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, inbox: Vec::new() })
    }

    /// Sends bytes, all of them.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next frame; `None` when there is none until `end`. A connection that the broker ended is an error, and so
    /// is a frame that a broker does not send.
    pub fn receive(&mut self, end: Instant) -> io::Result<Option<Received>> {
        loop {
            if let Some(received) = self.take()? {
                return Ok(Some(received));
            }
            if !self.is_readable(end)? {
                return Ok(None);
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the broker closed the connection")),
                Ok(n) => self.inbox.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// What has come although nobody asked: every frame of it, read at once.
    pub fn unasked(&mut self) -> io::Result<Vec<Received>> {
        let mut unasked = Vec::new();
        while let Some(received) = self.receive(Instant::now())? {
            unasked.push(received);
        }
        Ok(unasked)
    }

    fn take(&mut self) -> io::Result<Option<Received>> {
        let Step::Frame(frame, used) =
            decode(&self.inbox, LIMIT).map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?
        else {
            return Ok(None);
        };
        if frame.conn != conn::SERVER {
            let what = format!("a frame of connection type {}", frame.conn);
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        }
        let received = Received { kind: frame.kind, body: frame.body.to_vec() };
        self.inbox.drain(..used);
        Ok(Some(received))
    }

    /// Milliseconds are rounded up: who waits for a moment must not spin until it.
    fn is_readable(&self, end: Instant) -> io::Result<bool> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let millis = left.as_nanos().div_ceil(Duration::from_millis(1).as_nanos());
            let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(ready) => return Ok(ready > 0),
                Err(nix::errno::Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}
