//! How the daemon talks with people and programs: the control socket, the words on it, and what is shown.

pub mod ask;
pub mod chronicle;
pub mod control;
pub mod conversation;
pub mod event;
pub mod follow;
pub mod history;
pub mod json;
pub mod letter;
pub mod metrics;
pub mod report;
pub mod request;
pub mod scrape;
pub mod status;
