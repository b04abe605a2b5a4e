//! Threads with a name, a stack, a place and a class, ready before they begin.

use super::Pin;
use crate::sys::sched::{self, Class};
use crate::sys::starting::{self, Thread};
use std::io;

/// How a thread is to be. Whatever is not said is as in the thread that starts it.
///
/// ```
/// use msf_core::sys::sched::Class;
/// use msf_core::thread::{Builder, Pin};
///
/// let (tell, told) = std::sync::mpsc::channel();
/// let worker = Builder::new().name("worker").stack(256 * 1024).pin(Pin::Cpu(0)).class(Class::Batch(10)).start(move || {
///     // on processor 0, and nobody's hurry
///     let _ = tell.send(6 * 7);
/// })?;
/// assert!(worker.join().is_ok());
/// assert_eq!(told.recv(), Ok(42));
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

    /// Its name, of which the kernel (`ps`, `top`) shows the first 15 bytes.
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
    pub fn start(&self, main: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
        let settings = self.settings.clone();
        let name = self.name.as_deref().unwrap_or_default();
        starting::start(name, self.stack, Some(Box::new(move || settings.apply())), Box::new(main))
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
    use std::sync::{Arc, mpsc};

    #[test]
    fn a_thread_begins_as_it_was_to_be() {
        let cpu = cpus::affinity(0).unwrap().iter().last().unwrap();
        let builder =
            Builder::new().name("a rather long name").stack(1 << 20).pin(Pin::Cpu(cpu)).class(Class::Batch(15));
        let (tell, told) = mpsc::channel();
        let thread = builder.start(move || {
            let name = fs::read_to_string("/proc/thread-self/comm").unwrap();
            tell.send((name, cpus::affinity(0).unwrap(), sched::class(0).unwrap())).unwrap();
        });
        thread.unwrap().join().unwrap();
        let (name, cpus, class) = told.recv().unwrap();
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
