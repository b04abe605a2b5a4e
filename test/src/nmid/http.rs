//! An HTTP caller with a connection that stays: the headers of nmid's gateway, answers judged by their content.

use super::caller::{Caller, Source};
use super::tally::{Asked, Tally, Told};
use super::task::{Form, Outcome};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// One connection, one request at a time.
pub struct HttpCaller {
    source: Source,
    stream: TcpStream,
    inbox: Vec<u8>,
}

/// A response: its status line and headers, and its body.
struct Response {
    head: String,
    body: Vec<u8>,
}

impl HttpCaller {
    /// Connects.
    pub fn connect(source: Source) -> io::Result<HttpCaller> {
        let gateway = source.plan().http.ok_or_else(|| io::Error::other("no gateway is known"))?;
        let stream = TcpStream::connect(gateway)?;
        stream.set_nodelay(true)?;
        Ok(HttpCaller { source, stream, inbox: Vec::new() })
    }

    /// The next response; `None` when there is none until `end`.
    fn receive(&mut self, end: Instant) -> io::Result<Option<Response>> {
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some(response) = self.take()? {
                return Ok(Some(response));
            }
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the gateway closed the connection")),
                Ok(n) => self.inbox.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<Response>> {
        let Some(end) = self.inbox.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let head = String::from_utf8_lossy(&self.inbox[..end]).into_owned();
        let response = Response { head, body: Vec::new() };
        let length = response.header("content-length").and_then(|length| length.parse::<usize>().ok());
        let length = length.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, response.head.clone()))?;
        let Some(body) = self.inbox.get(end + 4..end + 4 + length) else { return Ok(None) };
        let body = body.to_vec();
        self.inbox.drain(..end + 4 + length);
        Ok(Some(Response { body, ..response }))
    }
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// What it says in the terms of nmid's gateway.
    fn told(self) -> Told {
        let text = |name: &str| self.header(name).unwrap_or_default().as_bytes().to_vec();
        let status = self.head.split_whitespace().nth(1).unwrap_or_default();
        let (kind, message) = (text("N-NMID-MessageStatusType"), text("N-NMID-ErrorMessage"));
        match (status, kind.as_slice(), message.as_slice()) {
            ("200", b"", _) => Told::Outcome(Outcome { code: 0, msg: b"ok".to_vec(), data: self.body }),
            // The old face does not say which code: the task knows of one.
            ("200", b"RET CODE ERROR", _) => Told::Outcome(Outcome { code: 7, msg: message, data: self.body }),
            ("408", b"REQUST TIME OUT", _) | ("500", _, b"request error") => Told::Failed,
            ("500", _, b"have no job do") => Told::Nobody,
            ("500", _, b"have ratelimit") => Told::Limited,
            _ => Told::Nonsense(self.head),
        }
    }
}

impl Caller for HttpCaller {
    fn round(&mut self, tally: &mut Tally) -> io::Result<()> {
        let (task, function) = (self.source.task(), self.source.function());
        let params = task.params(Form::Json);
        let kind = if self.source.dice.once_in(2) { 5 } else { 6 };
        let mut request = format!(
            "POST / HTTP/1.1\r\nHost: soak\r\nN-NMID-RequestType: HTTP_DO_WORK\r\nN-NMID-FunctionName: {function}\r\n\
             N-NMID-ParamsType: {kind}\r\nContent-Length: {}\r\n\r\n",
            params.len()
        )
        .into_bytes();
        request.extend_from_slice(&params);
        let asked = Asked { task, function, params, at: Instant::now() };
        self.stream.write_all(&request)?;
        tally.sent += 1;
        match self.receive(self.source.end())? {
            Some(response) => tally.count(&asked, response.told(), self.source.deadline()),
            None => tally.count_silence(&asked),
        }
        Ok(())
    }

    fn listen(&mut self, end: Instant, tally: &mut Tally) -> io::Result<()> {
        while let Some(response) = self.receive(end)? {
            tally.count_unasked(format!("unasked: {}", response.head));
        }
        Ok(())
    }
}
