//! The state of a running program as bytes, for the process that takes its place.
//!
//! A [`State`] is saved into a [`Writer`] and loaded from a [`Reader`]; open descriptors travel beside the bytes, in the
//! order in which they were met. [`state!`](crate::state) writes both directions from one list of the fields, so that a
//! field which is added cannot be forgotten in either. What is loaded comes from another build of the same program, so
//! nothing is taken on trust: lengths are bounded by what is there, numbers by their types, and whatever is wrong is a
//! [`Damage`] that says what and where. Behind the bytes stands a [`Seal`]: version, length and checksum.
//!
//! ```
//! use msf_wire::snapshot::{Reader, State, Writer};
//! #[derive(Debug, PartialEq)]
//! struct Account { name: String, sums: Vec<u32>, busy: bool }
//! msf_wire::state! { struct Account { name, sums; busy: false } }
//!
//! let mut out = Writer::default();
//! Account { name: "a".to_owned(), sums: vec![1, 2], busy: true }.save(&mut out);
//! let mut from = Reader::new(out.bytes(), Vec::new());
//! assert_eq!(Account::load(&mut from), Ok(Account { name: "a".to_owned(), sums: vec![1, 2], busy: false }));
//! assert_eq!(from.end(), Ok(()));
//! ```

mod damage;
mod reader;
mod seal;
mod state;
mod writer;

pub use damage::{Damage, What};
pub use reader::Reader;
pub use seal::{SEAL_LEN, Seal};
pub use state::{State, shape_of};
pub use writer::Writer;

#[cfg(test)]
mod tests;
