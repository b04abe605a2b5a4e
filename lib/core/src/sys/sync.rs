//! Atomics, as the lock-free parts name them: std's, or (feature `loom`) those of the model checker.
//!
//! Whoever uses these has a model: a test called `loom_…` that CI runs with the feature on. What is built so runs nowhere
//! but inside `loom::model`, so nothing else may use them, and no static may be made of them.

#[cfg(feature = "loom")]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(feature = "loom")]
pub(crate) use loom::{hint, sync::atomic, thread};
#[cfg(not(feature = "loom"))]
pub(crate) use std::sync::{Mutex, MutexGuard};
#[cfg(not(feature = "loom"))]
pub(crate) use std::{hint, sync::atomic, thread};
