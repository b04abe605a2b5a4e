//! Why bytes are no request we answer, and with which status we say so.

use std::fmt;

/// What a client sent instead. Where its next request would begin is not known, so each of these ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No request line or no header line.
    NotHttp(&'static str),
    /// A request whose end two readers could see in different places.
    Framing(&'static str),
    /// The request line and the headers are longer than this many bytes.
    HeadTooLong(usize),
    /// More header lines than this.
    TooManyHeaders(usize),
    /// The body is longer than this many bytes.
    BodyTooLong(usize),
    /// A version other than 1.0 and 1.1.
    Version,
    /// A transfer coding other than chunked.
    Coding,
    /// An expectation other than `100-continue`.
    Expectation,
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NotHttp(_) | Self::Framing(_) => 400,
            Self::BodyTooLong(_) => 413,
            Self::Expectation => 417,
            Self::HeadTooLong(_) | Self::TooManyHeaders(_) => 431,
            Self::Coding => 501,
            Self::Version => 505,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp(what) => write!(f, "this is not HTTP/1: {what}"),
            Self::Framing(what) => write!(f, "where this request ends is not certain: {what}"),
            Self::HeadTooLong(limit) => {
                write!(f, "the request line and the headers are longer than the {limit} bytes accepted")
            }
            Self::TooManyHeaders(limit) => write!(f, "the request has more than the {limit} headers accepted"),
            Self::BodyTooLong(limit) => write!(f, "the body is longer than the {limit} bytes accepted"),
            Self::Version => write!(f, "only HTTP/1.0 and HTTP/1.1 are spoken here"),
            Self::Coding => write!(f, "the only transfer coding understood is chunked"),
            Self::Expectation => write!(f, "the only expectation understood is 100-continue"),
        }
    }
}

impl std::error::Error for Refusal {}
