//! What is set about the HTTP gateway: where it is, how much it reads, and how long it waits.

use super::endpoint::Endpoint;
use super::key::{Key, Kind};
use super::word::Word;
use crate::ConfError;
use std::fmt;
use std::time::Duration;

/// The HTTP side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// `http_enable`, `http_ip`, `http_port`.
    pub listen: Endpoint,
    /// `http_header_limit`: longest head of a request, in bytes.
    pub header_limit: usize,
    /// `http_body_limit`: longest body, in bytes.
    pub body_limit: usize,
    /// `http_header_ms`: how long a head may take from its first byte.
    pub header: Duration,
    /// `http_body_ms`: how long a body may take.
    pub body: Duration,
    /// `http_idle_ms`: how long a connection may stay without a request.
    pub idle: Duration,
}

impl Default for Http {
    fn default() -> Self {
        Http {
            listen: Endpoint::on(6809),
            header_limit: 16 << 10,
            body_limit: 16 << 20,
            header: Duration::from_millis(10_000),
            body: Duration::from_millis(30_000),
            idle: Duration::from_millis(75_000),
        }
    }
}

impl Http {
    /// Takes a key of [`KEYS`]; whether it is one.
    pub(super) fn set(&mut self, word: &Word) -> Result<bool, ConfError> {
        let Some(part) = word.key.strip_prefix("http_") else { return Ok(false) };
        match part {
            "header_limit" => self.header_limit = word.size(1024, 1 << 20)? as usize,
            "body_limit" => self.body_limit = word.size(1024, 1 << 30)? as usize,
            "header_ms" => self.header = word.millis(1, 3_600_000)?,
            "body_ms" => self.body = word.millis(1, 3_600_000)?,
            "idle_ms" => self.idle = word.millis(1, 3_600_000)?,
            _ => return self.listen.set(part, word),
        }
        Ok(true)
    }
}

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listen.show(f, "http")?;
        writeln!(f, "http_header_limit={}\nhttp_body_limit={}", self.header_limit, self.body_limit)?;
        writeln!(f, "http_header_ms={}\nhttp_body_ms={}", self.header.as_millis(), self.body.as_millis())?;
        writeln!(f, "http_idle_ms={}", self.idle.as_millis())
    }
}

pub(super) const KEYS: &[Key] = &[
    ("http_enable", Kind::Truth),
    ("http_ip", Kind::Text),
    ("http_port", Kind::Number),
    ("http_header_limit", Kind::Size),
    ("http_body_limit", Kind::Size),
    ("http_header_ms", Kind::Number),
    ("http_body_ms", Kind::Number),
    ("http_idle_ms", Kind::Number),
];
