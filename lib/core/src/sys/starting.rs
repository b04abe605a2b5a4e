//! Starting a thread. One function for all rooms: what std makes of each closure that is spawned weighs 5 KB.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

/// What a thread does to itself before it begins.
pub(crate) type Ready = Box<dyn FnOnce() -> io::Result<()> + Send>;
/// What it does then.
pub(crate) type Main = Box<dyn FnOnce() + Send>;

/// Starts a thread and, where something is to be made ready, waits for that. If it cannot be, `main` is dropped without
/// having run, the thread has ended, and the reason is returned.
pub(crate) fn start(builder: Builder, ready: Option<Ready>, main: Main) -> io::Result<JoinHandle<()>> {
    let answer = ready.is_some().then(Answer::new);
    let teller = answer.clone();
    let thread = builder.spawn(move || {
        if let (Some(ready), Some(teller)) = (ready, teller) {
            let outcome = ready();
            let refused = outcome.is_err();
            teller.give(outcome);
            if refused {
                return;
            }
        }
        main();
    })?;
    match answer.map_or(Ok(()), Answer::wait) {
        Ok(()) => Ok(thread),
        Err(error) => {
            // It ends now, and its panic, if any, has been told by the panic hook.
            let _ = thread.join();
            Err(error)
        }
    }
}

/// How a new thread tells its starter whether it is as it should be.
#[derive(Clone)]
pub(crate) struct Answer(Arc<(Mutex<Option<io::Result<()>>>, Condvar)>);

impl Answer {
    pub fn new() -> Answer {
        Answer(Arc::new((Mutex::new(None), Condvar::new())))
    }

    pub fn give(self, result: io::Result<()>) {
        let (slot, told) = &*self.0;
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        told.notify_one();
    }

    pub fn wait(self) -> io::Result<()> {
        let (slot, told) = &*self.0;
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match slot.take() {
                Some(result) => return result,
                None => slot = told.wait(slot).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}
