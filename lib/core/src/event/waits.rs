//! Which thread waits for a callback that runs on which other thread: so that two callbacks on two bases, each
//! removing the other's event, do not wait for each other for ever.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

static WAITS: Mutex<Vec<(ThreadId, ThreadId)>> = Mutex::new(Vec::new());

/// One thread waits for another, as long as this lives.
pub(super) struct Wait {
    waiter: ThreadId,
}

impl Wait {
    /// Notes that `waiter` waits for `turner`; `None` when `turner` waits, perhaps through others, for `waiter`.
    pub fn begin(waiter: ThreadId, turner: ThreadId) -> Option<Wait> {
        let mut waits = lock();
        let mut at = turner;
        while let Some(&(_, next)) = waits.iter().find(|(waiting, _)| *waiting == at) {
            if next == waiter {
                return None;
            }
            at = next;
        }
        waits.push((waiter, turner));
        Some(Wait { waiter })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        // A thread waits for one thing at a time, so there is one entry of its own.
        lock().retain(|(waiting, _)| *waiting != self.waiter);
    }
}

fn lock() -> MutexGuard<'static, Vec<(ThreadId, ThreadId)>> {
    WAITS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn ring_of_waiting_threads_is_refused_by_whoever_would_close_it() {
        let [a, b, c] = [(); 3].map(|()| thread::spawn(|| thread::current().id()).join().unwrap());
        let first = Wait::begin(a, b).unwrap();
        let _second = Wait::begin(b, c).unwrap();
        assert!(Wait::begin(c, a).is_none());
        drop(first);
        assert!(Wait::begin(c, a).is_some());
    }
}
