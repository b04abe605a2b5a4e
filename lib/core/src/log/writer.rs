//! The thread that takes records from the rings to the file.

use super::bell::Rest;
use super::caller;
use super::session::Session;
use super::stray;
use crate::error::Error;
use crate::sys::{futex, starting, wall};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Begins to write what is in the session's rings, until its bell is closed. Signals are other threads' business.
pub(super) fn start(session: &Arc<Session>) -> Result<(), Error> {
    let failed = |source| Error::System { doing: "start the log's writer", source };
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).map_err(failed)?;
    let ours = session.clone();
    let started = starting::start("msf-log", Some(STACK), None, Box::new(move || run(&ours)));
    // Restoring a mask that was valid a moment ago cannot fail.
    let _ = before.thread_set_mask();
    let writer = started.map_err(|error| failed(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EAGAIN))))?;
    session.hire(writer);
    Ok(())
}

fn run(session: &Session) {
    let _leaving = Leaving(session);
    let mut busy = Instant::now();
    loop {
        if caller::write_for(session, wall::moment()) > 0 {
            busy = Instant::now();
        }
        let how = if busy.elapsed() < GOES_TO_SLEEP { Rest::Nap } else { Rest::Sleep };
        if !session.bell.rest(how) {
            return;
        }
        match how {
            // Who waits for room has looked for the writer's rest before it was said, or calls.
            Rest::Nap if session.spool.room.is_wanted() => {}
            Rest::Nap => nap(session),
            Rest::Sleep => {
                stray::clear_once();
                // The last look, behind having said that calls are needed from now on.
                while !session.has_records() && wait(session, None) {}
            }
        }
        if !session.bell.rise() {
            return;
        }
    }
}

/// A few milliseconds, or until a ring fills up.
fn nap(session: &Session) {
    let end = Instant::now() + NAP;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || !wait(session, Some(left)) {
            return;
        }
    }
}

/// Until called, at most `limit`. False: called.
fn wait(session: &Session, limit: Option<Duration>) -> bool {
    let Some(resting) = session.bell.resting() else { return false };
    // Where the kernel cannot wait, the writer looks as often as it can.
    let _ = futex::wait(session.bell.word(), resting, limit);
    true
}

/// However the writer ends, nobody waits for it any more.
struct Leaving<'a>(&'a Session);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// How long a record may be on its way to the file.
const NAP: Duration = Duration::from_millis(3);
/// After as long without a record the writer waits to be called.
const GOES_TO_SLEEP: Duration = Duration::from_millis(50);
/// Formatting and writing need little.
const STACK: usize = 128 * 1024;
