//! `broker`: the agent on which every event is published.

use super::read::path;
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Value, json};

/// Where it is, and who the daemon is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its place.
    pub place: BrokerPlace,
    /// `id`: the service id to log in with.
    pub id: u32,
}

/// Where an agent may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerPlace {
    /// On this machine, where every client looks for it.
    Local,
    /// `unix`: at this socket file.
    Unix(String),
    /// `tcp`: host and port.
    Tcp(String, u16),
}

impl Broker {
    pub(super) fn read(top: &Object, strangers: &mut Vec<ConfError>) -> Result<Option<Broker>, ConfError> {
        let Some(object) = top.object("broker")? else { return Ok(None) };
        strangers.extend(object.unknown(&["unix", "tcp", "id"]));
        let place = match (object.has("unix"), object.string("tcp")?) {
            (false, None) => BrokerPlace::Local,
            (true, None) => BrokerPlace::Unix(path(&object, "unix")?),
            (false, Some(written)) => tcp(written).ok_or_else(|| {
                object.error("tcp", format!("expected host and port such as 10.0.0.1:9999, found {written:?}"))
            })?,
            (true, Some(_)) => return Err(top.error("broker", "expected either \"unix\" or \"tcp\", or none of them")),
        };
        // Above are the agent's own.
        let id = object.integer("id", 1..=0xffff_fff0)?.map_or(USUAL_ID, |id| id.unsigned_abs() as u32);
        Ok(Some(Broker { place, id }))
    }

    pub(super) fn shown(&self) -> Value {
        match &self.place {
            BrokerPlace::Local => json!({"id": self.id}),
            BrokerPlace::Unix(path) => json!({"unix": path, "id": self.id}),
            BrokerPlace::Tcp(host, port) => json!({"tcp": format!("{host}:{port}"), "id": self.id}),
        }
    }
}

/// An IPv6 address stands in brackets, which stay.
fn tcp(written: &str) -> Option<BrokerPlace> {
    let (host, port) = written.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let is_bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    (!host.is_empty() && !is_bare_v6).then(|| BrokerPlace::Tcp(host.to_owned(), port))
}

/// Reserved for msf_daemon.
const USUAL_ID: u32 = 0x10;
