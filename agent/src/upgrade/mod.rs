//! What passes from a running agent to its successor, and over which ways.
//!
//! The old one stands still reactor by reactor ([`hold`]), everybody who owns state saves it beside that state, and the
//! parts go over a unix socket in one [`passage`]: bytes under a seal, descriptors beside them. The new one loads
//! them, says that it is ready, is told to go on, and the old one ends without closing anything. Before that word
//! nothing the new one does can be seen from outside, so until then the old one can go on as if nothing had happened.
//!
//! The order of things is decided by the two who talk: `control::handover` for the old one, `app::successor` for the
//! new one. The room knows neither; it lies below the core, because orders carry a [`hold::Hold`].

pub mod clock;
pub mod hold;
pub mod passage;
pub mod table;

/// The layout of a snapshot. Another number for every change of what is saved: the shape is kept beside this file in
/// `layout.txt`, and a test compares them.
pub const VERSION: u32 = 2;

/// The layout of what passes where the others differ: the listening sockets and the lock. It never changes.
pub const SOCKETS: u32 = 0;
