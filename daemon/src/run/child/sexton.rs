//! Buries processes that have ended: a thread of its own, there from the first of them on.
//!
//! The kernel keeps whoever releases a pid until all that it knew of the process in `/proc` is gone, and that waits for a
//! processor for others that end with it: for tens of milliseconds on a busy machine, and for seconds where that comes
//! badly. The loop, which knows already how the process has ended, does not wait for that.

use msf_core::process::reap;
use msf_core::thread::{Builder, Thread};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

/// Releases the pid of a child of ours that has ended, soon.
pub fn bury(pid: i32) {
    let mut sexton = SEXTON.lock().unwrap_or_else(PoisonError::into_inner);
    if sexton.is_none() {
        *sexton = Sexton::new();
    }
    if sexton.as_ref().is_some_and(|sexton| sexton.dead.try_send(pid).is_ok()) {
        return;
    }
    // There may be no more threads, or he has too much to do. That it is gone already is fine.
    let _ = reap(pid);
}

/// Returns when all are buried.
pub fn finish() {
    let sexton = SEXTON.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(Sexton { dead, thread }) = sexton {
        drop(dead);
        let _ = thread.join();
    }
}

struct Sexton {
    dead: SyncSender<i32>,
    thread: Thread,
}

impl Sexton {
    fn new() -> Option<Sexton> {
        let (dead, pids) = sync_channel::<i32>(QUEUE);
        let run = move || pids.into_iter().for_each(|pid| drop(reap(pid)));
        let thread = Builder::new().name("msf-sexton").stack(STACK).start(run).ok()?;
        Some(Sexton { dead, thread })
    }
}

static SEXTON: Mutex<Option<Sexton>> = Mutex::new(None);
const QUEUE: usize = 1024;
const STACK: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use msf_core::process::Plan;
    use std::path::Path;
    use std::time::Duration;

    #[test]
    fn who_has_ended_is_gone_when_all_are_buried() {
        for _ in 0..3 {
            let plan = Plan::new(Path::new("/bin/true"), ["true"], [("A", "b")]).unwrap();
            let mut child = plan.spawn().unwrap();
            let exit = loop {
                match child.leave().unwrap() {
                    Some(exit) => break exit,
                    None => std::thread::sleep(Duration::from_millis(1)),
                }
            };
            assert_eq!(exit, msf_core::process::Exit::Code(0));
            // Known once, and not yet gone.
            assert!(child.leave().unwrap().is_none() && Path::new(&format!("/proc/{}", child.pid())).exists());
            bury(child.pid());
            finish();
            assert!(reap(child.pid()).is_err());
        }
    }
}
