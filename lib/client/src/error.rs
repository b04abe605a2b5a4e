//! Why a call or a connection failed.

use msf_wire::librpc::{WireError, errcode};
use std::{fmt, io};

/// What a blocking [`Client`](crate::Client) reports.
#[derive(Debug)]
pub enum ClientError {
    /// No agent answered within the time; the last attempt says why.
    NoAgent {
        /// The place tried last.
        tried: String,
        /// What came of it.
        source: io::Error,
    },
    /// The agent refused the login with this errcode.
    LoginRefused(u32),
    /// The service, or the agent in its stead, answered with this errcode.
    Answered(u32),
    /// No answer came in time.
    TimedOut,
    /// Payload or wanted answer are longer than this many bytes, the most the agent takes.
    TooLong(u32),
    /// The connection was lost.
    Lost(io::Error),
    /// The agent sent something that is not librpc.
    Wire(WireError),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAgent { tried, source } => write!(f, "no agent answers at {tried}: {source}"),
            Self::LoginRefused(errcode::LOGIN_FAIL) => write!(f, "the agent refused the login: the id is taken"),
            Self::LoginRefused(code) => write!(f, "the agent refused the login with errcode {code}"),
            Self::Answered(errcode::PEER_OFFLINE) => write!(f, "nobody serves the id that was called"),
            Self::Answered(code) => write!(f, "the call was answered with errcode {code}"),
            Self::TimedOut => write!(f, "no answer came in time"),
            Self::TooLong(limit) => write!(f, "the agent takes payloads of at most {limit} bytes"),
            Self::Lost(source) => write!(f, "the connection to the agent was lost: {source}"),
            Self::Wire(source) => write!(f, "the agent sent what is not a frame: {source}"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoAgent { source, .. } | Self::Lost(source) => Some(source),
            Self::Wire(source) => Some(source),
            Self::LoginRefused(_) | Self::Answered(_) | Self::TimedOut | Self::TooLong(_) => None,
        }
    }
}

impl From<WireError> for ClientError {
    fn from(source: WireError) -> Self {
        Self::Wire(source)
    }
}
