//! Configuration: bytes of a file in, checked settings or a sentence that says what is wrong out.
//!
//! Pure: reads the files it is given and nothing else, keeps no state, starts nothing. Formats are [`json`],
//! [`keyvalue`] and [`yaml`]; each program's settings have a file of their own.
#![forbid(unsafe_code)]

pub mod agent;
pub mod args;
pub mod daemon;
pub mod error;
pub mod json;
pub mod keyvalue;
pub mod nearest;
pub mod net;
pub mod shell;
pub mod text;
pub mod tree;
pub mod yaml;

pub use error::ConfError;
