//! Where the daemon shows its numbers.

use super::read::path;
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Value, json};
use std::fmt;
use std::net::SocketAddr;

/// Where Prometheus finds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metrics {
    /// `listen`: at an address.
    Tcp(SocketAddr),
    /// `unix`: at a socket file.
    Unix(String),
}

impl Metrics {
    pub(super) fn read(top: &Object, strangers: &mut Vec<ConfError>) -> Result<Option<Metrics>, ConfError> {
        let Some(object) = top.object("metrics")? else { return Ok(None) };
        strangers.extend(object.unknown(&["listen", "unix"]));
        match (object.string("listen")?, object.has("unix")) {
            (Some(written), false) => {
                match written.parse() {
                    Ok(address) => Ok(Some(Metrics::Tcp(address))),
                    Err(_) => Err(object
                        .error("listen", format!("expected an address such as 127.0.0.1:9083, found {written:?}"))),
                }
            }
            (None, true) => Ok(Some(Metrics::Unix(path(&object, "unix")?))),
            _ => Err(top.error("metrics", "expected either \"listen\" or \"unix\"")),
        }
    }

    pub(super) fn shown(&self) -> Value {
        match self {
            Metrics::Tcp(address) => json!({"listen": address.to_string()}),
            Metrics::Unix(path) => json!({"unix": path}),
        }
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Metrics::Tcp(address) => address.fmt(f),
            Metrics::Unix(path) => f.write_str(path),
        }
    }
}
