//! Why a call has no result.

use msf_wire::nmid::NmidError;
use std::{fmt, io};

/// What [`Client::call`](super::Client::call) reports.
#[derive(Debug)]
pub enum CallError {
    /// The broker could not understand the request, or the function failed without a result, or nobody answered within
    /// the broker's own time.
    Error,
    /// Nobody offers the function.
    NoWorker,
    /// Too much is asked of the broker, or of the function, at the moment.
    RateLimited,
    /// No answer came within the caller's time. The request may have been carried out.
    Timeout,
    /// The connection ended while the answer was awaited. The request may have been carried out.
    Lost(io::Error),
    /// The request is longer than this many bytes.
    TooLarge(u32),
    /// No connection could be made; the last attempt says why.
    NoBroker {
        /// The address tried last.
        tried: String,
        /// What came of it.
        source: io::Error,
    },
    /// The [`Canceller`](super::Canceller) was used.
    Cancelled,
}

/// What makes a connection useless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not a frame, or one whose lengths are wrong.
    Frame(NmidError),
    /// The result of another function than the one asked for: with one request under way, somebody is confused.
    Stray(Vec<u8>),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error => write!(f, "the broker answered with an error"),
            Self::NoWorker => write!(f, "no worker offers the function"),
            Self::RateLimited => write!(f, "the broker asks for fewer calls"),
            Self::Timeout => write!(f, "no answer came in time"),
            Self::Lost(source) => write!(f, "the connection to the broker was lost: {source}"),
            Self::TooLarge(limit) => write!(f, "a request may have at most {limit} bytes"),
            Self::NoBroker { tried, source } => write!(f, "no broker answers at {tried}: {source}"),
            Self::Cancelled => write!(f, "the call was cancelled"),
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Lost(source) | Self::NoBroker { source, .. } => Some(source),
            Self::Error | Self::NoWorker | Self::RateLimited | Self::Timeout | Self::TooLarge(_) | Self::Cancelled => {
                None
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(source) => write!(f, "the broker sent what is not a frame: {source}"),
            Self::Stray(function) => {
                write!(f, "the broker sent a result of \"{}\", which was not asked for", function.escape_ascii())
            }
        }
    }
}

impl std::error::Error for Fault {}

impl From<NmidError> for Fault {
    fn from(source: NmidError) -> Self {
        Self::Frame(source)
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::new(io::ErrorKind::InvalidData, fault)
    }
}
