//! What can be tried to find out whether somebody serves. `ready` and `health` both know these.

use super::read::{path, words};
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Map, Value, json};
use std::net::SocketAddr;

/// One attempt to find out whether somebody serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A connection to an address.
    Tcp(SocketAddr),
    /// A connection to a socket file.
    Unix(String),
    /// A command that ends with 0.
    Exec(Vec<String>),
    /// A request by HTTP.
    Http {
        /// Who is asked.
        address: SocketAddr,
        /// `path`: for what.
        path: String,
        /// `status`: the answers that are good, the first and the last of them.
        status: (u16, u16),
    },
}

/// The kinds of them, as `by` names them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Tcp,
    Unix,
    Exec,
    Http,
}

impl Probe {
    /// The probe of an object, and the keys that say it.
    pub(super) fn read(object: &Object, kind: Kind) -> Result<(Probe, &'static [&'static str]), ConfError> {
        match kind {
            Kind::Tcp => Ok((Probe::Tcp(address(object)?), &["address"])),
            Kind::Unix => Ok((Probe::Unix(path(object, "path")?), &["path"])),
            Kind::Exec => {
                let command = words(object, "command")?;
                if command.first().is_none_or(String::is_empty) {
                    return Err(object.error("command", "missing or empty; expected the words of a command"));
                }
                Ok((Probe::Exec(command), &["command"]))
            }
            Kind::Http => {
                let path = object.string("path")?.unwrap_or("/");
                if !path.starts_with('/') || path.bytes().any(|byte| !(b'!'..=b'~').contains(&byte)) {
                    return Err(object.error("path", "expected a path such as \"/health\", without blanks"));
                }
                let (address, status) = (address(object)?, status(object)?);
                Ok((Probe::Http { address, path: path.to_owned(), status }, &["address", "path", "status"]))
            }
        }
    }

    /// The keys that say it.
    pub(super) fn shown(&self) -> Map<String, Value> {
        let shown = match self {
            Probe::Tcp(address) => json!({"by": "tcp", "address": address.to_string()}),
            Probe::Unix(path) => json!({"by": "unix", "path": path}),
            Probe::Exec(command) => json!({"by": "exec", "command": command}),
            Probe::Http { address, path, status: (first, last) } => {
                json!({"by": "http", "address": address.to_string(), "path": path, "status": [first, last]})
            }
        };
        if let Value::Object(shown) = shown { shown } else { Map::new() }
    }
}

fn address(object: &Object) -> Result<SocketAddr, ConfError> {
    let written = object.required("address")?;
    written
        .parse()
        .map_err(|_| object.error("address", format!("expected an address such as 127.0.0.1:80, found {written:?}")))
}

/// One number, or the first and the last of a range.
fn status(object: &Object) -> Result<(u16, u16), ConfError> {
    let number = |value: &Value| {
        let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
        number.filter(|number| (100..=599).contains(number))
    };
    let range = match object.value("status") {
        None => return Ok((200, 299)),
        Some(Value::Array(both)) if both.len() == 2 => number(&both[0]).zip(number(&both[1])),
        Some(value) => number(value).map(|one| (one, one)),
    };
    let wrong = || object.error("status", "expected a status from 100 to 599, or an array of the first and the last");
    range.filter(|(first, last)| first <= last).ok_or_else(wrong)
}
