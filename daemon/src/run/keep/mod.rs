//! What outlives the daemon: what is known of the processes, and the sockets they share.

pub mod adopt;
pub mod deposit;
pub mod inherit;
pub mod safe;
pub mod state;
