//! Waking a sleeping loop from any thread, for at most one system call per sleep.
//!
//! The loop says when it is about to sleep and when it is up again; who wakes it in between writes the eventfd, and
//! everybody else only leaves a note. Nothing here locks or allocates, so a signal handler may wake a loop too.

use super::poller::KernelWaker;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The loop runs and will look for a note before it sleeps.
const AWAKE: u8 = 0;
/// The loop is in the kernel, or on its way there.
const ASLEEP: u8 = 1;
/// A note lies there that the loop has not read yet.
const NOTIFIED: u8 = 2;

/// Wakes a loop from any thread; wakes that find it awake, or woken already, cost no system call.
#[derive(Clone, Debug)]
pub struct Waker {
    inner: Arc<Wake>,
}

#[derive(Debug)]
struct Wake {
    state: AtomicU8,
    kernel: KernelWaker,
}

impl Waker {
    pub(super) fn new(kernel: KernelWaker) -> Waker {
        Waker { inner: Arc::new(Wake { state: AtomicU8::new(AWAKE), kernel }) }
    }

    /// Wakes the loop, or keeps it from falling asleep; never blocks.
    pub fn wake(&self) {
        if self.inner.state.swap(NOTIFIED, Ordering::AcqRel) == ASLEEP {
            self.inner.kernel.wake();
        }
    }

    /// Whether both wake the same loop.
    pub fn same(&self, other: &Waker) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// The loop is about to sleep; false when a note lies there, and then it must not.
    pub(super) fn doze(&self) -> bool {
        self.inner.state.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The loop is up again; true when somebody left a note since it last asked. To be called before the mailboxes
    /// are read: whoever posts afterwards leaves a new note.
    pub(super) fn rouse(&self) -> bool {
        self.inner.state.swap(AWAKE, Ordering::AcqRel) == NOTIFIED
    }

    /// The eventfd behind it, to be put into a set of descriptors.
    pub(super) fn kernel(&self) -> &KernelWaker {
        &self.inner.kernel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_wake_of_a_sleep_is_a_system_call() {
        let waker = Waker::new(KernelWaker::new().unwrap());
        (0..9).for_each(|_| waker.wake());
        assert_eq!(waker.kernel().writes(), 0);
        // The note keeps the loop from sleeping.
        assert!(!waker.doze());
        assert!(waker.rouse());
        assert!(waker.doze());
        (0..9).for_each(|_| waker.wake());
        assert_eq!(waker.kernel().writes(), 1);
        assert!(waker.rouse());
        assert!(!waker.rouse());
    }
}
