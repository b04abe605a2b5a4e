//! Processes: being the only one of a name, with a title, in the background; and starting others.

mod child;
mod claim;
mod daemon;
mod image;
mod spawn;
mod starter;
mod title;

pub use child::{Child, Exit, ended, reap};
pub use claim::{Claim, Held, claim, holder};
pub use daemon::{Ready, daemonize};
pub use spawn::{Plan, SpawnError};
pub use starter::Starter;
pub use title::title;
