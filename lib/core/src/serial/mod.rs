//! Serial lines: opened for this process alone, set as asked, put back as they were.

mod port;
mod settings;

pub use port::{Port, make_raw, set_baud};
pub use settings::{DataBits, Flow, Lines, Parity, Settings, StopBits};
