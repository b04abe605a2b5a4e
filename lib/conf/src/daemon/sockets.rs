//! Listening sockets that the daemon opens and keeps for a process, whatever becomes of it.

use super::read::{octal, path};
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Value, json};
use std::fmt;
use std::net::SocketAddr;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// `name`: what it is called in `LISTEN_FDNAMES`.
    pub name: String,
    /// Where it listens.
    pub at: Place,
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `listen`: at an address.
    Tcp(SocketAddr),
    /// `unix`: at a socket file.
    Unix {
        /// The file.
        path: String,
        /// `mode`: its rights.
        mode: u32,
    },
    /// Neither: where a socket unit of that name does.
    Given,
}

impl Socket {
    /// `sockets` of a process; not of `defaults`, for none of them can be two processes'.
    pub(super) fn read_all(entry: &Object, strangers: &mut Vec<ConfError>) -> Result<Vec<Socket>, ConfError> {
        let objects = entry.objects("sockets")?.unwrap_or_default();
        let mut sockets: Vec<Socket> = Vec::with_capacity(objects.len());
        for object in &objects {
            strangers.extend(object.unknown(&["name", "listen", "unix", "mode"]));
            let socket = Socket::read(object)?;
            if sockets.iter().any(|other| other.at == socket.at || other.name == socket.name) {
                let what = "its name or its place is used twice; both are unique";
                return Err(object.error("name", what));
            }
            sockets.push(socket);
        }
        Ok(sockets)
    }

    fn read(object: &Object) -> Result<Socket, ConfError> {
        let name = object.string("name")?.unwrap_or("socket");
        let is_name = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b':';
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_name) {
            let what = format!("expected up to {LONGEST_NAME} visible ASCII characters without a colon");
            return Err(object.error("name", what));
        }
        let at = match (object.string("listen")?, object.has("unix")) {
            (Some(written), false) => {
                let address = written.parse();
                Place::Tcp(address.map_err(|_| {
                    object.error("listen", format!("expected an address such as 127.0.0.1:80, found {written:?}"))
                })?)
            }
            (None, true) => Place::Unix { path: path(object, "unix")?, mode: octal(object, "mode")?.unwrap_or(0o600) },
            (None, false) if object.has("name") => Place::Given,
            _ => return Err(object.error("listen", "expected either \"listen\" or \"unix\"")),
        };
        Ok(Socket { name: name.to_owned(), at })
    }

    pub(super) fn shown(&self) -> Value {
        match &self.at {
            Place::Tcp(address) => json!({"name": self.name, "listen": address.to_string()}),
            Place::Unix { path, mode } => json!({"name": self.name, "unix": path, "mode": format!("{mode:04o}")}),
            Place::Given => json!({"name": self.name}),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => address.fmt(f),
            Place::Unix { path, .. } => f.write_str(path),
            Place::Given => f.write_str("a socket unit's place"),
        }
    }
}

/// Behind the name of a process it still fits into what systemd takes for one.
const LONGEST_NAME: usize = 100;
