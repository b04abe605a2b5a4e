//! HTTP/1.0 and 1.1 as a server sees it: requests out of a stream of bytes, responses into one.
//!
//! A [`Decoder`] holds what must survive from one read to the next, nothing else: a request that lies whole in the
//! buffer is lent from there. It accepts what RFC 9112 demands and refuses what two readers could understand
//! differently (two lengths, a length beside a coding, folded lines, lone line feeds), because whoever disagrees about
//! where a request ends hands one caller's request to another. A [`Refusal`] is answered and ends the connection.
//!
//! ```
//! use msf_wire::http::{Decoder, Limits, Response, Step};
//! let bytes = b"POST /call/ToUpper HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\n";
//! let mut decoder = Decoder::default();
//! let Ok(Step::Request(request, used)) = decoder.step(bytes, &Limits::default()) else { panic!() };
//! assert_eq!((request.head.path(), &request.body[..]), ("/call/ToUpper", &b"{}"[..]));
//! assert_eq!(&bytes[used..], b"GET / HTTP/1.1\r\n");
//! let mut out = Vec::new();
//! Response::new(&mut out, 404, request.head.persistence()).body(b"");
//! assert_eq!(out, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
//! ```

mod chunks;
mod decoder;
mod head;
mod refusal;
mod response;
mod target;

pub use decoder::{Decoder, Limits, Request, Stage, Step};
pub use head::{Head, Persistence};
pub use refusal::Refusal;
pub use response::{Response, reason};
pub use target::percent_decoded;
