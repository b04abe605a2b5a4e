//! Does what disks make one wait for, one thing after the other: a thread of its own, there from the first of them on.
//!
//! A disk that takes in a core makes whoever makes, cuts or renames a file on it wait, often for as long as it is busy.
//! The loop never waits for it; the daemon's end does.

use msf_core::thread::{Builder, Thread};
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};

/// See the module.
#[derive(Debug, Default)]
pub struct Clerk {
    desk: Option<SyncSender<Errand>>,
    thread: Option<Thread>,
}

type Errand = Box<dyn FnOnce() + Send>;

impl Clerk {
    /// It will be done.
    ///
    /// # Errors
    /// When too much waits already, or there may be no more threads.
    pub fn take(&mut self, errand: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let desk = match &self.desk {
            Some(desk) => desk,
            None => {
                let (desk, errands) = sync_channel::<Errand>(QUEUE);
                let run = move || errands.into_iter().for_each(|errand| errand());
                self.thread = Some(Builder::new().name("msf-clerk").stack(STACK).start(run)?);
                self.desk.insert(desk)
            }
        };
        desk.try_send(Box::new(errand)).map_err(|_| io::Error::other("too much waits for the disk already"))
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.desk = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const QUEUE: usize = 256;
const STACK: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn all_is_done_in_order_before_it_is_gone_and_nobody_waits_for_it() {
        let (mut clerk, (tell, told), (go, goes)) = (Clerk::default(), channel(), channel::<()>());
        clerk.take(move || while goes.recv().is_ok() {}).unwrap();
        for number in 0..10 {
            let tell = tell.clone();
            clerk.take(move || tell.send(number).unwrap()).unwrap();
        }
        assert!(told.try_recv().is_err());
        drop(go);
        drop(clerk);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn too_much_is_refused() {
        let (mut clerk, (go, goes)) = (Clerk::default(), channel::<()>());
        clerk.take(move || while goes.recv().is_ok() {}).unwrap();
        let refused = (0..2 * QUEUE).find_map(|_| clerk.take(|| {}).err()).unwrap();
        assert_eq!(refused.to_string(), "too much waits for the disk already");
        drop(go);
    }
}
