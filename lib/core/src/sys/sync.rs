//! Atomics, as the lock-free parts name them: std's, or (feature `loom`) those of the model checker.
//!
//! Whoever uses these has a model: a test called `loom_…` that CI runs with the feature on. What is built so runs nowhere
//! but inside `loom::model`, so nothing else may use them, and no static may be made of them.

#[cfg(feature = "loom")]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(feature = "loom")]
pub(crate) use loom::{cell, hint, sync::atomic, thread};
#[cfg(not(feature = "loom"))]
pub(crate) use std::sync::{Mutex, MutexGuard};
#[cfg(not(feature = "loom"))]
pub(crate) use std::{hint, sync::atomic, thread};

/// A number that no other thread has while this one lives; never 0.
pub(crate) fn thread_key() -> usize {
    #[cfg(not(feature = "loom"))]
    std::thread_local! { static HERE: u8 = const { 0 } }
    // A model's threads share one of the system's.
    #[cfg(feature = "loom")]
    loom::thread_local! { static HERE: Box<u8> = Box::new(0) }
    HERE.with(|here| std::ptr::from_ref::<u8>(here).addr())
}

#[cfg(not(feature = "loom"))]
pub(crate) mod cell {
    /// With loom's face, which sees to it that no two threads are inside at once.
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> UnsafeCell<T> {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        #[inline]
        pub(crate) fn with_mut<R>(&self, call: impl FnOnce(*mut T) -> R) -> R {
            call(self.0.get())
        }
    }
}
