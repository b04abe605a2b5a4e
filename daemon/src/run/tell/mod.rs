//! Who hears of what happens: files, the broker, servers, commands, those who listen or wait.

pub mod audience;
pub mod courier;
pub mod herald;
pub mod journal;
pub mod metrics;
pub mod outbox;
pub mod publication;
pub mod teller;
