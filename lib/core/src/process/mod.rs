//! Processes: being the only one of a name, with a title, in the background; and starting others.

mod bequest;
mod child;
mod claim;
pub mod crash;
mod daemon;
mod ending;
mod foster;
mod identity;
mod image;
mod limits;
mod notice;
mod plan;
mod report;
mod spawn;
mod starter;
mod title;
mod usage;

pub use bequest::Bequest;
pub use child::{Child, Exit, ended, reap, wait};
pub use claim::{Claim, Held, claim, holder};
pub use daemon::{Ready, daemonize};
pub use ending::{Ended, Ending};
pub use foster::{Birth, Fate, Foster, boot};
pub use identity::Identity;
pub use limits::{NO_LIMIT, allow_core_dumps, limit, set_limit, set_soft_limit};
pub use notice::{Notice, Notices};
pub use plan::{Plan, Resource, Stdio, in_path};
pub use spawn::SpawnError;
pub use starter::Starter;
pub use title::title;
pub use usage::{Usage, usage};
