//! Waking a sleeping loop from any thread, for at most one system call per sleep.
//!
//! The loop says when it is about to sleep and when it is up again; who wakes it in between writes the eventfd, and
//! everybody else only leaves a note. Nothing here locks or allocates, so a signal handler may wake a loop too.

use super::doze::Doze;
use super::poller::KernelWaker;
use std::sync::Arc;

/// Wakes a loop from any thread; wakes that find it awake, or woken already, cost no system call.
#[derive(Clone, Debug)]
pub struct Waker {
    inner: Arc<Wake>,
}

#[derive(Debug)]
struct Wake {
    doze: Doze,
    kernel: KernelWaker,
}

impl Waker {
    pub(super) fn new(kernel: KernelWaker) -> Waker {
        Waker { inner: Arc::new(Wake { doze: Doze::new(), kernel }) }
    }

    /// Wakes the loop, or keeps it from falling asleep; never blocks.
    pub fn wake(&self) {
        if self.inner.doze.wake() {
            self.inner.kernel.wake();
        }
    }

    /// Whether both wake the same loop.
    pub fn same(&self, other: &Waker) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// The loop is about to sleep; false when a note lies there, and then it must not.
    pub(super) fn doze(&self) -> bool {
        self.inner.doze.doze()
    }

    /// The loop is up again; true when somebody left a note since it last asked. To be called before the mailboxes
    /// are read: whoever posts afterwards leaves a new note.
    pub(super) fn rouse(&self) -> bool {
        self.inner.doze.rouse()
    }

    /// Whether a note lies there, for a loop that watches for one before it sleeps.
    #[inline]
    pub(super) fn is_noted(&self) -> bool {
        self.inner.doze.is_noted()
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
