//! Threads with a name, a stack, a place and a class, ready before they begin.

use super::Pin;
use crate::sys::sched::{self, Class};
use crate::sys::starting::{self, Answer};
use std::io;
use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};

/// How a thread is to be. Whatever is not said is as in the thread that starts it.
///
/// ```
/// use msf_core::sys::sched::Class;
/// use msf_core::thread::{Builder, Pin};
///
/// let worker = Builder::new().name("worker").stack(256 * 1024).pin(Pin::Cpu(0)).class(Class::Batch(10)).start(|| {
///     // on processor 0, and nobody's hurry
///     6 * 7
/// })?;
/// assert_eq!(worker.join().unwrap(), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    name: Option<String>,
    stack: Option<usize>,
    settings: Settings,
}

impl Builder {
    /// A thread like the one that starts it.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Its name. The kernel (`ps`, `top`) shows the first 15 bytes, panics all of it.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// Bytes of its stack; what the system wants at least is added silently.
    pub fn stack(mut self, bytes: usize) -> Builder {
        self.stack = Some(bytes);
        self
    }

    /// Where it runs.
    pub fn pin(mut self, pin: Pin) -> Builder {
        self.settings.pin = Some(pin);
        self
    }

    /// How urgent it is.
    pub fn class(mut self, class: Class) -> Builder {
        self.settings.class = Some(class);
        self
    }

    /// Starts the thread and waits until it is as it should be; only then `main` begins.
    ///
    /// Fails, and `main` is dropped without having run, with EAGAIN when there may be no more threads, EINVAL for a place
    /// or a priority that does not exist, EPERM or EACCES when the user may not have the class.
    pub fn start<T: Send + 'static>(&self, main: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
        let answer = Answer::new();
        let (settings, teller) = (self.settings.clone(), answer.clone());
        let thread = self.named()?.spawn(move || {
            let applied = settings.apply();
            let refused = applied.is_err();
            teller.give(applied);
            if refused {
                // The starter joins us and tells the error; no message of a panic is printed.
                resume_unwind(Box::new("the thread could not be as it was to be"));
            }
            main()
        })?;
        if let Err(error) = answer.wait() {
            let _ = thread.join();
            return Err(error);
        }
        Ok(thread)
    }

    /// The same for a thread that has nothing to return.
    pub(super) fn begin(&self, main: starting::Main) -> io::Result<starting::Thread> {
        let settings = self.settings.clone();
        let name = self.name.as_deref().unwrap_or_default();
        starting::start(name, self.stack, Some(Box::new(move || settings.apply())), main)
    }

    fn named(&self) -> io::Result<thread::Builder> {
        let mut builder = thread::Builder::new();
        if let Some(name) = &self.name {
            if name.contains('\0') {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            }
            builder = builder.name(name.clone());
        }
        if let Some(stack) = self.stack {
            builder = builder.stack_size(stack);
        }
        Ok(builder)
    }
}

/// What a thread does to itself before it begins.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub pin: Option<Pin>,
    pub class: Option<Class>,
}

impl Settings {
    pub fn apply(&self) -> io::Result<()> {
        if let Some(pin) = &self.pin {
            pin.this_thread()?;
        }
        match self.class {
            Some(class) => sched::set_class(0, class),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::cpus;
    use std::fs;
    use std::sync::Arc;

    #[test]
    fn a_thread_begins_as_it_was_to_be() {
        let cpu = cpus::affinity(0).unwrap().iter().last().unwrap();
        let builder =
            Builder::new().name("a rather long name").stack(1 << 20).pin(Pin::Cpu(cpu)).class(Class::Batch(15));
        let thread = builder.start(|| {
            let name = fs::read_to_string("/proc/thread-self/comm").unwrap();
            (name, cpus::affinity(0).unwrap(), sched::class(0).unwrap())
        });
        let (name, cpus, class) = thread.unwrap().join().unwrap();
        assert_eq!((name.as_str(), cpus.to_string(), class), ("a rather long n\n", cpu.to_string(), Class::Batch(15)));
    }

    #[test]
    fn a_thread_that_cannot_be_so_does_not_begin() {
        let wrong = [
            Builder::new().pin(Pin::Cpu(60_000)),
            Builder::new().class(Class::Fifo(100)),
            Builder::new().name("with\0nothing"),
        ];
        for builder in wrong {
            let held = Arc::new(());
            let weak = Arc::downgrade(&held);
            let failed = builder.start(move || drop(held));
            assert_eq!(failed.unwrap_err().raw_os_error(), Some(libc::EINVAL), "{builder:?}");
            assert!(weak.upgrade().is_none(), "main was not dropped");
        }
    }
}
