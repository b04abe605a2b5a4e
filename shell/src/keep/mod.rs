//! What there is: services go up and down, change, are offered to the broker, watched and shown. One thread does all of it.

pub mod change;
pub mod follow;
pub mod keeper;
pub mod orders;
pub mod show;
pub mod stats;
pub mod upgrade;
pub mod ward;
pub mod watch;
pub mod worker;
pub mod workers;
