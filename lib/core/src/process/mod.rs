//! What a program of ours is to the system: the only one of its name, with a title, in the background.

mod claim;
mod daemon;
mod title;

pub use claim::{Claim, Held, claim, holder};
pub use daemon::{Ready, daemonize};
pub use title::title;
