//! An HTTP caller with a connection that stays: by the headers of nmid's gateway or by `POST /call/<function>`, in turn
//! as chance decides; answers judged by their content.

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

    fn status(&self) -> &str {
        self.head.split_whitespace().nth(1).unwrap_or_default()
    }

    /// What it says in the terms of nmid's gateway.
    fn told_as_ever(self) -> Told {
        let text = |name: &str| self.header(name).unwrap_or_default().as_bytes().to_vec();
        let (kind, message) = (text("N-NMID-MessageStatusType"), text("N-NMID-ErrorMessage"));
        match (self.status(), kind.as_slice(), message.as_slice()) {
            ("200", b"", _) => Told::Outcome(Outcome { code: 0, msg: b"ok".to_vec(), data: self.body }),
            // The old face does not say which code: the task knows of one.
            ("200", b"RET CODE ERROR", _) => Told::Outcome(Outcome { code: 7, msg: message, data: self.body }),
            ("408", b"REQUST TIME OUT", _) | ("500", _, b"request error") => Told::Failed,
            ("500", _, b"have no job do") => Told::Nobody,
            ("500", _, b"have ratelimit") => Told::Limited,
            _ => Told::Nonsense(self.head),
        }
    }

    /// What it says as an answer to `POST /call/`, which names the request it is the answer to.
    fn told(self, id: &str) -> Told {
        if self.header("X-Request-Id") != Some(id) {
            return Told::Nonsense(format!("{}, for {id}", self.head));
        }
        match self.status() {
            "200" => self.outcome().map_or(Told::Nonsense(self.head), Told::Outcome),
            "404" => Told::Nobody,
            "429" => Told::Limited,
            "502" | "504" => Told::Failed,
            _ => Told::Nonsense(self.head),
        }
    }

    /// Its JSON; the texts of tasks have nothing in them that JSON writes differently.
    fn outcome(&self) -> Option<Outcome> {
        let body = std::str::from_utf8(&self.body).ok()?;
        let member = |name: &str| {
            let (_, rest) = body.split_once(&format!("\"{name}\":"))?;
            rest.split([',', '}']).next()
        };
        let text = |name: &str| Some(member(name)?.strip_prefix('"')?.strip_suffix('"')?.as_bytes().to_vec());
        Some(Outcome { code: member("code")?.parse().ok()?, msg: text("msg")?, data: text("data")? })
    }
}

impl Caller for HttpCaller {
    fn round(&mut self, tally: &mut Tally) -> io::Result<()> {
        let (task, function) = (self.source.task(), self.source.function());
        let params = task.params(Form::Json);
        let id = format!("{}-{}", task.client, task.seq);
        let is_modern = self.source.dice.once_in(2);
        let (line, headers) = if is_modern {
            (format!("POST /call/{function}"), format!("Content-Type: application/json\r\nX-Request-Id: {id}"))
        } else {
            let kind = if self.source.dice.once_in(2) { 5 } else { 6 };
            let named = format!("N-NMID-RequestType: HTTP_DO_WORK\r\nN-NMID-FunctionName: {function}");
            ("POST /".to_owned(), format!("{named}\r\nN-NMID-ParamsType: {kind}"))
        };
        let length = params.len();
        let head = format!("{line} HTTP/1.1\r\nHost: soak\r\n{headers}\r\nContent-Length: {length}\r\n\r\n");
        let request = [head.as_bytes(), &params].concat();
        let asked = Asked { task, function, params, at: Instant::now() };
        self.stream.write_all(&request)?;
        tally.sent += 1;
        match self.receive(self.source.end())? {
            Some(response) => {
                let told = if is_modern { response.told(&id) } else { response.told_as_ever() };
                tally.count(&asked, told, self.source.deadline());
            }
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
