//! What nmid's workers are promised: registration, one job at a time, deadlines, death, coming back in the middle of a
//! job, and silence behind large jobs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../common/mod.rs"]
mod common;
mod deaths;
mod offers;
mod silence;
mod turns;

use common::Agent;
use common::nmid::{Client, Reply};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(60);

/// One and four reactors.
fn agents(lines: &str) -> impl Iterator<Item = Agent> {
    [1, 4].into_iter().map(move |reactors| Agent::with_nmid(&format!("max_threads={reactors}\n{lines}")))
}

/// Milliseconds until the reply comes.
fn reply_after(client: &mut Client) -> (Reply, u128) {
    let since = Instant::now();
    let reply = client.reply();
    (reply, since.elapsed().as_millis())
}
