//! Responses, written straight into the buffer they leave from.

use super::Persistence;

/// A response being written: a status line first, then headers, then one of the endings.
#[derive(Debug)]
#[must_use = "a response without an ending is none"]
pub struct Response<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Response<'a> {
    /// Writes the status line, and the Connection header where one is needed.
    pub fn new(out: &'a mut Vec<u8>, status: u16, persistence: Persistence) -> Response<'a> {
        let response = Response::line(out, status);
        match persistence {
            Persistence::Stays => response,
            Persistence::Granted => response.header("Connection", b"keep-alive"),
            Persistence::Ends => response.header("Connection", b"close"),
        }
    }

    /// The response that changes the protocol of the connection.
    pub fn switching(out: &'a mut Vec<u8>, protocol: &str) -> Response<'a> {
        Response::line(out, 101).header("Upgrade", protocol.as_bytes()).header("Connection", b"Upgrade")
    }

    fn line(out: &'a mut Vec<u8>, status: u16) -> Response<'a> {
        out.extend_from_slice(b"HTTP/1.1 ");
        append_number(out, usize::from(status));
        out.push(b' ');
        out.extend_from_slice(reason(status).as_bytes());
        out.extend_from_slice(b"\r\n");
        Response { out }
    }

    /// Adds a header. Control characters in the value become blanks: a value may come from a worker or another client,
    /// and neither may begin a new line in our answer.
    pub fn header(self, name: &str, value: &[u8]) -> Response<'a> {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        self.out.extend(value.iter().map(|byte| if byte.is_ascii_control() { b' ' } else { *byte }));
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Ends with a body.
    pub fn body(self, body: &[u8]) {
        self.body_of(body.len()).extend_from_slice(body);
    }

    /// Ends without the body of this length: what a HEAD request gets, and what a caller begins who appends the body
    /// himself.
    pub fn body_of(self, length: usize) -> &'a mut Vec<u8> {
        self.out.extend_from_slice(b"Content-Length: ");
        append_number(self.out, length);
        self.out.extend_from_slice(b"\r\n\r\n");
        self.out
    }

    /// Ends a response that has no body by its status.
    pub fn end(self) {
        self.out.extend_from_slice(b"\r\n");
    }

    /// `100 Continue`, whole.
    pub fn go_on(out: &mut Vec<u8>) {
        Response::line(out, 100).end();
    }
}

/// The words beside a status.
#[must_use]
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

/// A number in decimal, without going through `format!`: every answer has two.
fn append_number(out: &mut Vec<u8>, number: usize) {
    let mut digits = [0; 20];
    let mut left = number;
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (left % 10) as u8;
        left /= 10;
        used += 1;
        if left == 0 {
            break;
        }
    }
    out.extend(digits.iter().skip(digits.len() - used));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_written_to_the_byte() {
        let mut out = Vec::new();
        Response::new(&mut out, 200, Persistence::Stays).header("X-Request-Id", b"7").body(b"hello");
        assert_eq!(out, b"HTTP/1.1 200 OK\r\nX-Request-Id: 7\r\nContent-Length: 5\r\n\r\nhello");
        out.clear();
        Response::new(&mut out, 503, Persistence::Ends).body(b"");
        assert_eq!(out, b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        out.clear();
        Response::new(&mut out, 404, Persistence::Granted).body_of(1234567890);
        assert_eq!(out, b"HTTP/1.1 404 Not Found\r\nConnection: keep-alive\r\nContent-Length: 1234567890\r\n\r\n");
        out.clear();
        Response::switching(&mut out, "websocket").end();
        assert_eq!(out, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        out.clear();
        Response::go_on(&mut out);
        assert_eq!(out, b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    #[test]
    fn a_value_begins_no_header_of_its_own() {
        let mut out = Vec::new();
        Response::new(&mut out, 200, Persistence::Stays).header("E", b"a\r\nSet-Cookie: b\0\xff").end();
        assert_eq!(out, b"HTTP/1.1 200 OK\r\nE: a  Set-Cookie: b \xff\r\n\r\n");
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 101, 65_535, usize::MAX] {
            let mut out = Vec::new();
            append_number(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
