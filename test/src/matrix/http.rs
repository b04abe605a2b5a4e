//! A caller by HTTP, who keeps his connection as long as it lasts.

use super::call::{Call, Outcome, now};
use crate::dice::Dice;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Nobody has to wait for so long, whatever dies: who does hangs.
const HUNG: Duration = Duration::from_secs(5);

/// One caller.
pub struct HttpCaller {
    gateway: SocketAddr,
    number: u32,
    calls: u64,
    dice: Dice,
    stream: Option<TcpStream>,
}

impl HttpCaller {
    /// Connects with the first call.
    pub fn new(gateway: SocketAddr, number: u32) -> HttpCaller {
        HttpCaller { gateway, number, calls: 0, dice: Dice::new(now(), u64::from(number)), stream: None }
    }

    /// Calls a function whose answer is its param `name` in capitals.
    pub fn call(&mut self, function: &str, target: u16) -> Call {
        self.calls += 1;
        let text = format!("http caller {}, call {}, {:x}", self.number, self.calls, self.dice.roll());
        let begun = now();
        let answer = self.ask(function, &format!("{{\"name\":\"{text}\"}}"));
        let ended = now();
        let (outcome, why) = match answer {
            Ok((200, body)) if body.contains(&format!("\"{}\"", text.to_ascii_uppercase())) => (Outcome::Right, 200),
            // A service of msf_shell is down, or went down before it had answered.
            Ok((200, body)) if body.starts_with("{\"code\":503,") => (Outcome::Failed, 503),
            // Nobody offers it, its worker died, the agent is about to end.
            Ok((status @ (404 | 429 | 502 | 503), _)) => (Outcome::Failed, status),
            Ok((504, _)) => (Outcome::Hung, 504),
            Ok((status, _)) => (Outcome::Wrong, status),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => (Outcome::Hung, -1),
            Err(e) if e.kind() == ErrorKind::InvalidData => (Outcome::Wrong, -2),
            Err(e) => (Outcome::Failed, -e.raw_os_error().unwrap_or_default()),
        };
        if why < 0 || outcome == Outcome::Hung {
            self.stream = None;
        }
        Call { target, begun, ended, outcome, why }
    }

    /// How long to wait before the next call.
    pub fn pause(&mut self, mean: Duration) -> Duration {
        Duration::from_micros(self.dice.below(2 * mean.as_micros() as u64 + 1))
    }

    fn ask(&mut self, function: &str, body: &str) -> io::Result<(i32, String)> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            empty => {
                let stream = TcpStream::connect_timeout(&self.gateway, HUNG)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(HUNG))?;
                empty.insert(stream)
            }
        };
        let length = body.len();
        let head = format!("POST /call/{function} HTTP/1.1\r\nHost: soak\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes())?;
        receive(stream)
    }
}

/// Status and body.
fn receive(stream: &mut TcpStream) -> io::Result<(i32, String)> {
    let (mut inbox, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(answer) = whole(&inbox)? {
            return Ok(answer);
        }
        match stream.read(&mut chunk) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => inbox.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// The answer, once all of it has come; what comes behind it is an error.
fn whole(inbox: &[u8]) -> io::Result<Option<(i32, String)>> {
    let Some(end) = inbox.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&inbox[..end]).to_ascii_lowercase();
    let rubbish = || io::Error::new(ErrorKind::InvalidData, head.clone());
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).ok_or_else(rubbish)?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|length| length.trim().parse().ok()).ok_or_else(rubbish)?;
    let body = &inbox[end + 4..];
    match body.len() {
        n if n > length => Err(rubbish()),
        n if n < length => Ok(None),
        _ => Ok(Some((status, String::from_utf8_lossy(body).into_owned()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_when_it_is_whole_and_nothing_but_it() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        for end in 0..text.len() {
            assert_eq!(whole(&text[..end]).unwrap(), None, "{end}");
        }
        assert_eq!(whole(text).unwrap(), Some((200, "abc".to_owned())));
        assert!(whole(&[text.as_slice(), b"d"].concat()).is_err());
        assert!(whole(b"HTTP/1.1 what\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(whole(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
