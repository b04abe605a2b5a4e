//! The blocking driver: one connection, owned by one thread, on std's sockets alone.
//!
//! [`Client::call`] is all that most programs need. A load generator keeps several calls in flight with
//! [`Client::start`] and collects what happens with [`Client::next`]; a service loops in [`Client::serve`]. Whatever
//! arrives while a call waits for its answer is kept and comes out of `next` later, in order.
//! There is no reconnect here: after [`ClientError::Lost`] connect anew.

use crate::{Backoff, Call, ClientError, Event, Inbox, Place, Refusal, Session, Stream, reply};
use msf_wire::librpc::{Frame, Header, Publication, Step, cmd, errcode, id, timeout};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    session: Session<u64>,
    inbox: Inbox,
    outgoing: Vec<u8>,
    kept: VecDeque<Happening>,
    expired: Vec<u64>,
}

/// Something that happened on the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Happening {
    /// The answer to the call started with this token.
    Answer {
        /// The token given to [`Client::start`].
        token: u64,
        /// How it ended, see [`errcode`].
        errcode: u32,
        /// The bytes.
        body: Vec<u8>,
    },
    /// The call started with this token got no answer in time; if one comes later it is dropped.
    Expired(u64),
    /// Somebody calls us: answer with [`Client::answer`] or [`Client::refuse`].
    Request(Header, Vec<u8>),
    /// The answer to a call made by [`Client::post`].
    Posted(Header, Vec<u8>),
    /// An event subscribed to, see [`Event::Published`].
    Event(Header, Vec<u8>),
}

impl Client {
    /// Connects and logs in as service `id`, waiting for the agent for as long as `patience`.
    ///
    /// # Errors
    /// [`ClientError::NoAgent`] or [`ClientError::LoginRefused`].
    pub fn connect(place: &Place, id: u32, name: &str, patience: Duration) -> Result<Self, ClientError> {
        let (end, mut backoff) = (Instant::now() + patience, Backoff::new());
        let stream = loop {
            match Stream::connect(place, patience.max(Duration::from_millis(1))) {
                Ok(stream) => break stream,
                Err(_) if Instant::now() < end => thread::sleep(backoff.wait().min(end - Instant::now())),
                Err((tried, source)) => return Err(ClientError::NoAgent { tried, source }),
            }
        };
        let session = Session::new(id, name.as_bytes());
        let mut client = Self {
            stream,
            session,
            inbox: Inbox::default(),
            outgoing: Vec::new(),
            kept: VecDeque::new(),
            expired: Vec::new(),
        };
        client.login(end.max(Instant::now() + LEAST_LOGIN))?;
        Ok(client)
    }

    /// Calls and waits: `Ok` is the answer's payload, at most `restlen` bytes. Without a timeout it waits for as long
    /// as the connection lives.
    ///
    /// # Errors
    /// [`ClientError::Answered`] with the errcode of an answer that is not a success, [`ClientError::TimedOut`],
    /// [`ClientError::TooLong`], or whatever ended the connection.
    pub fn call(
        &mut self,
        dst: u32,
        cmd: u32,
        payload: &[u8],
        restlen: u32,
        timeout: Option<Duration>,
    ) -> Result<Vec<u8>, ClientError> {
        self.start(dst, cmd, payload, restlen, timeout, OWN_TOKEN)?;
        loop {
            match self.wait(None)? {
                Some(Happening::Answer { token: OWN_TOKEN, errcode: errcode::EXEC_SUCC, mut body }) => {
                    body.truncate(restlen as usize);
                    return Ok(body);
                }
                Some(Happening::Answer { token: OWN_TOKEN, errcode, .. }) => {
                    return Err(ClientError::Answered(errcode));
                }
                Some(Happening::Expired(OWN_TOKEN)) => return Err(ClientError::TimedOut),
                Some(other) => self.kept.push_back(other),
                None => {}
            }
        }
    }

    /// Calls without waiting; `token` (any number but [`u64::MAX`]) comes back with what became of it.
    ///
    /// # Errors
    /// [`ClientError::TooLong`] or whatever ended the connection.
    pub fn start(
        &mut self,
        dst: u32,
        cmd: u32,
        payload: &[u8],
        restlen: u32,
        timeout: Option<Duration>,
        token: u64,
    ) -> Result<(), ClientError> {
        // A timeout of 0 would mean that nobody waits, and a fraction of a millisecond is not nothing.
        let timeout = timeout.map_or(timeout::FOREVER, |longest| {
            u32::try_from(longest.as_micros().div_ceil(1000)).unwrap_or(timeout::FOREVER).max(1)
        });
        let call = Call { dstid: dst, cmd, datalen: length(payload), restlen, timeout };
        let head = self.session.call(&call, token, Instant::now()).map_err(refusal)?;
        self.send(head, payload)
    }

    /// Calls without wanting to know what becomes of it; an answer with payload comes as [`Happening::Posted`].
    ///
    /// # Errors
    /// [`ClientError::TooLong`] or whatever ended the connection.
    pub fn post(&mut self, dst: u32, cmd: u32, payload: &[u8], restlen: u32) -> Result<(), ClientError> {
        let call = Call { dstid: dst, cmd, datalen: length(payload), restlen, timeout: timeout::NO_WAIT };
        let head = self.session.post(&call).map_err(refusal)?;
        self.send(head, payload)
    }

    /// From here on events of this name come out of [`Client::next`]; `*` is every name.
    ///
    /// # Errors
    /// [`ClientError::Answered`]: that is no name, or there are too many; or whatever ended the connection.
    pub fn subscribe(&mut self, name: &[u8], timeout: Duration) -> Result<(), ClientError> {
        self.call(id::EVENT_SRV, cmd::SUBSCRIBE, name, 0, Some(timeout)).map(drop)
    }

    /// Publishes an event; comes back when the agent has it.
    ///
    /// # Errors
    /// [`ClientError::Answered`]: that is no name; [`ClientError::TooLong`], or whatever ended the connection.
    pub fn publish(&mut self, name: &[u8], data: &[u8], timeout: Duration) -> Result<(), ClientError> {
        let payload = Publication { name, data }.encode();
        self.call(id::EVENT_SRV, cmd::PUBLISH, &payload, 0, Some(timeout)).map(drop)
    }

    /// The next thing that happens, or `None` when nothing does within `patience`.
    ///
    /// # Errors
    /// Whatever ended the connection.
    pub fn next(&mut self, patience: Duration) -> Result<Option<Happening>, ClientError> {
        match self.kept.pop_front() {
            Some(happening) => Ok(Some(happening)),
            None => self.wait(Some(Instant::now() + patience)),
        }
    }

    /// Serves requests until `stop` says so; it is asked after each request and every 50 ms. The handler returns the
    /// bytes of the answer, or an errcode.
    ///
    /// # Errors
    /// Whatever ended the connection.
    pub fn serve(
        &mut self,
        mut handler: impl FnMut(&Header, &[u8]) -> Result<Vec<u8>, u32>,
        mut stop: impl FnMut() -> bool,
    ) -> Result<(), ClientError> {
        while !stop() {
            if let Some(Happening::Request(head, body)) = self.next(STOP_INTERVAL)? {
                match handler(&head, &body) {
                    Ok(answer) => self.answer(&head, &answer)?,
                    Err(errcode) => self.refuse(&head, errcode)?,
                }
            }
        }
        Ok(())
    }

    /// Answers a request, if its caller wants an answer.
    ///
    /// # Errors
    /// Whatever ended the connection.
    pub fn answer(&mut self, request: &Header, body: &[u8]) -> Result<(), ClientError> {
        reply::served(request, length(body)).map_or(Ok(()), |head| self.send(head, body))
    }

    /// Tells the caller, if he waits, that his request was not served.
    ///
    /// # Errors
    /// Whatever ended the connection.
    pub fn refuse(&mut self, request: &Header, errcode: u32) -> Result<(), ClientError> {
        reply::refused(request, errcode).map_or(Ok(()), |head| self.send(head, b""))
    }

    /// Leaves; returns when the agent has closed the connection, so that the id is free.
    ///
    /// # Errors
    /// Whatever else ended the connection.
    pub fn logout(mut self) -> Result<(), ClientError> {
        let head = self.session.logout();
        self.send(head, b"")?;
        self.stream.set_read_timeout(Some(FAREWELL)).map_err(ClientError::Lost)?;
        let mut ignored = [0; 4096];
        while self.stream.read(&mut ignored).map_err(ClientError::Lost)? > 0 {}
        Ok(())
    }

    fn login(&mut self, end: Instant) -> Result<(), ClientError> {
        let (head, body) = self.session.login(1);
        self.send(head, &body)?;
        while !self.session.online() {
            if let Some(happening) = self.wait(Some(end))? {
                self.kept.push_back(happening);
            } else if Instant::now() >= end {
                let source = io::Error::new(io::ErrorKind::TimedOut, "it does not answer the login");
                return Err(ClientError::NoAgent { tried: "the socket that accepted us".into(), source });
            }
        }
        Ok(())
    }

    fn send(&mut self, head: Header, body: &[u8]) -> Result<(), ClientError> {
        self.outgoing.clear();
        Frame { head, body }.append_to(&mut self.outgoing);
        self.stream.write_all(&self.outgoing).map_err(ClientError::Lost)
    }

    /// Waits for something to happen; `None` at `end`, or after frames that concern nobody.
    fn wait(&mut self, end: Option<Instant>) -> Result<Option<Happening>, ClientError> {
        loop {
            self.expired.extend(self.session.expire(Instant::now()));
            if let Some(token) = self.expired.pop() {
                return Ok(Some(Happening::Expired(token)));
            }
            match self.understand()? {
                Understood::Happened(happening) => return Ok(Some(happening)),
                Understood::Nothing => return Ok(None),
                Understood::NeedMore => {}
            }
            let until = [end, self.session.next_deadline()].into_iter().flatten().min();
            if !self.read(until)? && end.is_some_and(|end| end <= Instant::now()) {
                return Ok(None);
            }
        }
    }

    /// Looks at one frame of the inbox.
    fn understand(&mut self) -> Result<Understood, ClientError> {
        let Step::Frame(frame, used) = self.inbox.step(self.session.payload_limit())? else {
            return Ok(Understood::NeedMore);
        };
        let mut probe = None;
        let understood = match self.session.receive(frame) {
            Event::Answer { ticket, errcode, body } => {
                Understood::Happened(Happening::Answer { token: ticket, errcode, body: body.to_vec() })
            }
            Event::Request(frame) => Understood::Happened(Happening::Request(frame.head, frame.body.to_vec())),
            Event::Posted(frame) => Understood::Happened(Happening::Posted(frame.head, frame.body.to_vec())),
            Event::Published(frame) => Understood::Happened(Happening::Event(frame.head, frame.body.to_vec())),
            Event::LoginRefused(errcode) => return Err(ClientError::LoginRefused(errcode)),
            Event::Probe(head) => {
                probe = Some(head);
                Understood::Nothing
            }
            Event::LoggedIn | Event::Late(_) | Event::Unknown(_) => Understood::Nothing,
        };
        self.inbox.consume(used);
        probe.map_or(Ok(()), |head| self.send(head, b""))?;
        Ok(understood)
    }

    /// Reads once, until `until` at the latest; false when that moment came first.
    fn read(&mut self, until: Option<Instant>) -> Result<bool, ClientError> {
        let longest = match until.map(|until| until.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => return Ok(false),
            longest => longest,
        };
        self.stream.set_read_timeout(longest).map_err(ClientError::Lost)?;
        let limit = self.session.payload_limit();
        let space = self.inbox.space(limit).map_err(|_| ClientError::Lost(io::ErrorKind::OutOfMemory.into()))?;
        match self.stream.read(space) {
            Ok(0) => Err(ClientError::Lost(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                self.inbox.filled(count);
                Ok(true)
            }
            Err(error) if is_timeout(&error) => Ok(false),
            Err(error) => Err(ClientError::Lost(error)),
        }
    }
}

enum Understood {
    Happened(Happening),
    Nothing,
    NeedMore,
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn refusal(refusal: Refusal) -> ClientError {
    match refusal {
        Refusal::Offline => ClientError::Lost(io::ErrorKind::NotConnected.into()),
        Refusal::TooLong(limit) => ClientError::TooLong(limit),
    }
}

/// A payload longer than a u32 can say is longer than any agent takes, and refused as such.
fn length(payload: &[u8]) -> u32 {
    u32::try_from(payload.len()).unwrap_or(u32::MAX)
}

const OWN_TOKEN: u64 = u64::MAX;
/// A login that comes at the end of the patience shall be a real one, too.
const LEAST_LOGIN: Duration = Duration::from_millis(100);
const FAREWELL: Duration = Duration::from_secs(2);
const STOP_INTERVAL: Duration = Duration::from_millis(50);
