//! What a caller or a service of the broker is, in its native protocol and in [`nmid`]'s.
//!
//! [`Session`] is the mind: it knows who is logged in, which answer belongs to which call and what is too late, and
//! does no I/O and reads no clock. [`Inbox`], [`Backoff`] and [`Place`] are what else every client needs, and
//! [`reply`] says which requests want an answer. `libipc.so` puts them behind the C ABI; [`Client`] is the blocking
//! driver for Rust programs:
//!
//! ```no_run
//! use msf_client::{Client, Place};
//! use std::time::Duration;
//! # fn main() -> Result<(), msf_client::ClientError> {
//! let mut client = Client::connect(&Place::local(std::env::var_os), 0x11, "DLNA", Duration::from_secs(5))?;
//! let settings = client.call(0x12, 0x26, b"", 36, Some(Duration::from_secs(1)))?;
//! println!("UPNP says {settings:?}");
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod backoff;
mod client;
mod error;
mod gather;
mod inbox;
pub mod nmid;
mod place;
pub mod reply;
mod session;
mod stream;

pub use backoff::Backoff;
pub use client::{Client, Happening};
pub use error::ClientError;
pub use inbox::Inbox;
pub use place::{Place, trusted};
pub use session::{Call, Event, Refusal, Session};
pub use stream::Stream;

/// The frames, for who drives a [`Session`] himself.
pub use msf_wire::librpc as wire;
