//! Buries processes that have ended: a thread of its own, there from the first of them on.
//!
//! The kernel keeps whoever releases a pid until all that it knew of the process in `/proc` is gone, and that waits for a
//! processor for others that end with it: for tens of milliseconds on a busy machine, and for seconds where that comes
//! badly. The loop, which knows already how the process has ended, does not wait for that. Until it is released the
//! kernel names the dead one to whoever asks who has ended, and nobody who ended after it.

use msf_core::process::{Child, Exit, reap};
use msf_core::thread::{Builder, Thread};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How a child has ended, if it has. Its pid is released soon.
pub fn collect(child: &mut Child) -> io::Result<Option<Exit>> {
    Ok(child.leave()?.inspect(|_| bury(child.pid())))
}

/// Releases the pid of a child of ours that has ended, soon.
pub fn bury(pid: i32) {
    let mut yard = yard();
    if yard.thread.is_none() {
        yard.thread = Builder::new().name("msf-sexton").stack(STACK).start(work).ok();
    }
    if yard.thread.is_some() {
        yard.dead.push_back(pid);
        BROUGHT.notify_one();
    } else {
        drop(yard);
        // There may be no more threads.
        let _ = reap(pid);
    }
}

/// Whether it has still to be released. If so, a SIGCHLD tells when it is.
pub fn is_at(pid: i32) -> bool {
    let mut yard = yard();
    let is_at = yard.dead.contains(&pid);
    yard.awaited |= is_at;
    is_at
}

/// Returns when all are buried.
pub fn finish() {
    let thread = {
        let mut yard = yard();
        yard.closes = true;
        BROUGHT.notify_one();
        yard.thread.take()
    };
    thread.map(Thread::join);
    yard().closes = false;
}

#[derive(Default)]
struct Yard {
    /// Whoever is in front is being buried.
    dead: VecDeque<i32>,
    awaited: bool,
    closes: bool,
    thread: Option<Thread>,
}

fn work() {
    let mut yard = yard();
    loop {
        let Some(&pid) = yard.dead.front() else {
            if yard.closes {
                return;
            }
            yard = BROUGHT.wait(yard).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(yard);
        // That it is gone already is fine.
        let _ = reap(pid);
        yard = self::yard();
        yard.dead.pop_front();
        if std::mem::take(&mut yard.awaited) {
            let _ = kill(Pid::this(), Signal::SIGCHLD);
        }
    }
}

fn yard() -> MutexGuard<'static, Yard> {
    YARD.lock().unwrap_or_else(PoisonError::into_inner)
}

static YARD: Mutex<Yard> = Mutex::new(Yard { dead: VecDeque::new(), awaited: false, closes: false, thread: None });
static BROUGHT: Condvar = Condvar::new();
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
            assert_eq!(exit, Exit::Code(0));
            // Known once, and not yet gone.
            assert!(child.leave().unwrap().is_none() && Path::new(&format!("/proc/{}", child.pid())).exists());
            bury(child.pid());
            finish();
            assert!(reap(child.pid()).is_err() && !is_at(child.pid()));
        }
    }
}
