//! How the daemon talks with people and programs: the control socket, the words on it, and what is shown.

pub mod ask;
pub mod control;
pub mod json;
pub mod letter;
pub mod report;
pub mod status;
