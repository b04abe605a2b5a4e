//! nmid's protocol from the other side of the broker: who calls functions, and who serves them.
//!
//! [`ClientCore`] and [`WorkerCore`] are the minds: frames in, frames out, time an argument; no socket, no thread, no
//! clock. Any loop can drive them with an [`Inbox`] in front. [`Client`] and [`Worker`] are the drivers for programs
//! that block and use threads, on std's sockets alone:
//!
//! ```no_run
//! use msf_client::nmid::{self, Client, Worker};
//! use std::time::Duration;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = nmid::place("127.0.0.1:6808").ok_or("no such address")?;
//! let worker = Worker::new("shouter")
//!     .function("ToUpper", |job| Ok(job.params().to_ascii_uppercase()))
//!     .server(broker.clone())
//!     .start()?;
//! let mut client = Client::new(broker);
//! let ret = client.call(b"ToUpper", nmid::json(br#"{"name":"nmid"}"#), Some(Duration::from_secs(1)))?;
//! println!("{}", String::from_utf8_lossy(&ret));
//! worker.close(Duration::from_secs(5));
//! # Ok(())
//! # }
//! ```

mod client;
mod client_core;
mod connection;
mod error;
mod inbox;
mod job;
mod line;
mod link;
mod place;
mod pool;
mod worker;
mod worker_core;

pub use client::{Canceller, Client};
pub use client_core::{ClientCore, Outcome, Refusal};
pub use error::{CallError, Fault};
pub use inbox::Inbox;
pub use job::{Failure, Job, ret};
pub use line::take_open_sockets;
pub use link::Notice;
pub use place::{DEFAULT_PORT, place};
pub use worker::{Join, Life, Running, Spawn, StillBusy, Worker};
pub use worker_core::{Event, WorkerCore};

/// The frames, for who drives a core himself.
pub use msf_wire::nmid as wire;

use msf_wire::nmid::{Params, handle_type, params_type};

/// Params written in msgpack, by custom a map.
#[must_use]
pub const fn msgpack(bytes: &[u8]) -> Params<'_> {
    Params::untyped(bytes)
}

/// Params written in JSON, by custom an object.
#[must_use]
pub const fn json(bytes: &[u8]) -> Params<'_> {
    Params { kind: params_type::JSON, handle: handle_type::ENCODE, bytes }
}
