//! JSON values. The only file that names serde_json.

pub use serde_json::{Value, json};
