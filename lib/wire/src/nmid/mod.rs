//! nmid's frame: a 12-byte big-endian header followed by its payload, in two generations.
//!
//! The layouts are those of nmid: the current one (G2, since July 2022) and the first one (G0, which the C and PHP
//! libraries still speak). The header is the same; what is inside the four frames of a call differs. A client's
//! generation shows in every request, a worker's only in how it behaves, see [`Dialect`].
//!
//! A number may mean one thing in one direction and another in the other, so frames are decoded by direction:
//! [`FromClient`], [`FromWorker`], [`ToClient`], [`ToWorker`].
//!
//! ```
//! use msf_wire::nmid::{DoJob, FromClient, Params, Step, decode};
//! let params = Params { kind: 5, handle: 10, bytes: b"\x80" };
//! let mut bytes = Vec::new();
//! DoJob { function: b"ToUpper", params }.append_to(&mut bytes);
//! let Ok(Step::Frame(frame, 36)) = decode(&bytes, 1024) else { panic!() };
//! assert!(matches!(FromClient::parse(&frame), Ok(FromClient::DoJob(_, job)) if job.params == params));
//! ```

mod bridge;
mod error;
mod fields;
mod frame;
mod glance;
mod job;
mod json;
mod msgpack;
mod numbers;
mod peer;
mod ret;
mod table;

pub use bridge::{Unsafe, to_first, to_second};
pub use error::NmidError;
pub use fields::{ServiceCall, lookup, service_params};
pub use frame::{Frame, HEADER_LEN, Head, Step, append_name, decode, empty};
pub use glance::{Value, glance};
pub use job::{Answer, Dialect, DoJob, Job, Params, Return};
pub use json::{Numbers, json_to_msgpack, msgpack_to_json};
pub use msgpack::is_msgpack;
pub use numbers::{conn, handle_type, params_type, pdt};
pub use peer::{FromClient, FromWorker, ToClient, ToWorker};
pub use ret::{RetStruct, as_map, for_first_generation};
pub use table::Table;

/// The payload limit of a broker that was not told another one: 16 MiB.
pub const DEFAULT_PAYLOAD_LIMIT: u32 = 16 << 20;
