//! A counting semaphore between the threads of one process.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A number of things to be had: who posts adds one, who waits takes one, or sleeps until there is one.
///
/// ```
/// use msf_core::thread::Semaphore;
/// use std::time::Duration;
///
/// static READY: Semaphore = Semaphore::new(0);
/// let worker = std::thread::spawn(|| READY.post());
/// assert!(READY.wait_for(Duration::from_secs(10)));
/// assert!(!READY.try_wait());
/// # worker.join().unwrap();
/// ```
#[derive(Debug)]
pub struct Semaphore {
    value: Mutex<u32>,
    posted: Condvar,
}

impl Semaphore {
    /// With `value` things to be had already.
    pub const fn new(value: u32) -> Semaphore {
        Semaphore { value: Mutex::new(value), posted: Condvar::new() }
    }

    /// Adds one, and wakes one who waits.
    pub fn post(&self) {
        let mut value = self.lock();
        *value = value.saturating_add(1);
        self.posted.notify_one();
    }

    /// Takes one if there is one.
    pub fn try_wait(&self) -> bool {
        taken(&mut self.lock())
    }

    /// Takes one, however long it takes.
    pub fn wait(&self) {
        let mut value = self.lock();
        while !taken(&mut value) {
            value = self.posted.wait(value).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes one, and gives up after `limit` by the monotonic clock: then it is `false`.
    pub fn wait_for(&self, limit: Duration) -> bool {
        let Some(end) = Instant::now().checked_add(limit) else {
            self.wait();
            return true;
        };
        let mut value = self.lock();
        while !taken(&mut value) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            value = self.posted.wait_timeout(value, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// How many there are to be had now.
    pub fn value(&self) -> u32 {
        *self.lock()
    }

    /// Nobody can panic while holding it.
    fn lock(&self) -> MutexGuard<'_, u32> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn taken(value: &mut u32) -> bool {
    let less = value.checked_sub(1);
    *value = less.unwrap_or(0);
    less.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_posted_can_be_taken_once() {
        let semaphore = Semaphore::new(2);
        semaphore.post();
        assert_eq!(semaphore.value(), 3);
        assert!((0..3).all(|_| semaphore.try_wait()) && !semaphore.try_wait());
    }

    #[test]
    fn a_wait_ends_at_its_time_and_not_before() {
        let (semaphore, limit) = (Semaphore::new(0), Duration::from_millis(30));
        let begun = Instant::now();
        assert!(!semaphore.wait_for(limit));
        assert!(begun.elapsed() >= limit);
    }

    #[test]
    fn every_waiter_gets_one() {
        let semaphore = Semaphore::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| semaphore.wait());
            }
            scope.spawn(|| assert!(semaphore.wait_for(Duration::MAX)));
            (0..5).for_each(|_| semaphore.post());
        });
        assert_eq!(semaphore.value(), 0);
    }
}
