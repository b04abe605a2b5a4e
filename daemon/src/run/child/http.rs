//! The smallest request by HTTP that asks a server whether it is well, on a socket that does not wait.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A request, on its way out or waiting for its answer.
#[derive(Debug)]
pub struct Question {
    request: Vec<u8>,
    sent: usize,
    answer: Vec<u8>,
    good: (u16, u16),
}

impl Question {
    /// For `path`, answered well by a status from the first to the last of `good`.
    pub fn new(address: SocketAddr, path: &str, good: (u16, u16)) -> Question {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: msf_daemon\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        Question { request: request.into_bytes(), sent: 0, answer: Vec::new(), good }
    }

    /// Writes and reads what can be without waiting; the answer, once it is there. It is its first line: whatever comes
    /// behind that is not waited for.
    pub fn go_on(&mut self, socket: &mut TcpStream) -> Option<Result<(), String>> {
        while let Some(rest) = self.request.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match socket.write(rest) {
                Ok(len) => self.sent += len,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return None,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Some(Err(format!("cannot ask: {e}"))),
            }
        }
        let mut bytes = [0; 256];
        loop {
            let read = match socket.read(&mut bytes) {
                Ok(len) => len,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return None,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Some(Err(format!("no answer: {e}"))),
            };
            self.answer.extend_from_slice(bytes.get(..read)?);
            if let Some(end) = self.answer.iter().position(|byte| *byte == b'\n') {
                return Some(judge(self.answer.get(..end)?, self.good));
            }
            if read == 0 || self.answer.len() > LONGEST_LINE {
                return Some(Err(format!("no answer by HTTP, but {} bytes", self.answer.len())));
            }
        }
    }
}

/// `HTTP/1.1 200 OK`, and what is thought of it.
fn judge(line: &[u8], (first, last): (u16, u16)) -> Result<(), String> {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    match words.next().and_then(|status| status.parse::<u16>().ok()).filter(|_| is_http) {
        Some(status) if (first..=last).contains(&status) => Ok(()),
        Some(status) => Err(format!("status {status}")),
        None => Err(format!("no answer by HTTP: {:?}", line.chars().take(40).collect::<String>())),
    }
}

const LONGEST_LINE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    /// What is found out from somebody who answers with these pieces, and then closes.
    fn asked(pieces: &[&[u8]]) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let mut question = Question::new(address, "/health?x=1", (200, 299));
        assert_eq!(question.go_on(&mut socket), None);
        let mut request = vec![0; 4096];
        let len = server.read(&mut request).unwrap();
        let expected = format!("GET /health?x=1 HTTP/1.1\r\nHost: {address}\r\n");
        assert!(request[..len].starts_with(expected.as_bytes()) && request[..len].ends_with(b"\r\n\r\n"));
        for piece in pieces {
            assert_eq!(question.go_on(&mut socket), None);
            server.write_all(piece).unwrap();
        }
        drop(server);
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(answer) = question.go_on(&mut socket) {
                return answer;
            }
            assert!(Instant::now() < deadline);
        }
    }

    #[test]
    fn the_status_decides() {
        assert_eq!(asked(&[b"HTTP/1.1 204 No Content\r\n\r\n"]), Ok(()));
        assert_eq!(asked(&[b"HTTP/1.0 ", b"200 fine\r", b"\nContent-Length: 9\r\n"]), Ok(()));
        assert_eq!(asked(&[b"HTTP/1.1 503 Service Unavailable\r\n"]), Err("status 503".to_owned()));
    }

    #[test]
    fn what_is_no_answer_is_said() {
        assert_eq!(asked(&[]), Err("no answer by HTTP, but 0 bytes".to_owned()));
        assert_eq!(asked(&[b"SSH-2.0-x\r\n"]), Err("no answer by HTTP: \"SSH-2.0-x\\r\"".to_owned()));
        assert!(asked(&[&[b'x'; 5000]]).unwrap_err().contains("no answer by HTTP, but"));
        assert!(asked(&[b"HTTP/1.1 2000 y\n"]).unwrap_err().contains("status 2000"));
    }
}
