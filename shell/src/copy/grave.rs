//! The end of a loaded library: unmapped, or left where it is because somebody is still in it.
//!
//! What keeps a library may go later, so those that were left are looked at again from time to time.

use crate::MODULE;
use crate::place::runner::{Left, Runner};
use crate::place::work::{self, Limit};
use msf_sys::library::Library;
use msf_sys::log::Level;
use msf_sys::rest::{Before, Begun, Found};
use msf_sys::thread;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// What became of a library whose services are gone.
pub enum Verdict {
    /// Nothing of it is left.
    Unmapped,
    /// It is still mapped.
    Left(Box<Grave>),
    /// It was in a process of its own, which has; in a sentence without its subject.
    Ended(String),
}

/// A library nobody wants any more, and what keeps it.
pub struct Grave {
    /// Its services, once.
    pub services: Vec<String>,
    /// The original.
    pub file: PathBuf,
    /// Which generation it was.
    pub number: u32,
    /// Why it is still mapped.
    pub why: Vec<String>,
    runner: Arc<Runner>,
    before: Arc<Before>,
    library: Option<Library>,
    begun: Arc<[Begun]>,
    _held: Option<File>,
}

impl Grave {
    /// For a library whose thread has been told to leave.
    pub fn new(
        services: Vec<String>,
        file: PathBuf,
        number: u32,
        runner: Arc<Runner>,
        before: Before,
        held: Option<File>,
    ) -> Grave {
        let before = Arc::new(before);
        let begun = Arc::default();
        Grave { services, file, number, why: Vec::new(), runner, before, library: None, begun, _held: held }
    }

    /// Waits for the thread, unless it is known to be `stuck`, and lets the library go.
    pub fn close(mut self, stuck: Option<String>, limit: Limit<'_>) -> Verdict {
        if stuck.is_none() {
            let left = self.runner.left(|left| work::wait(left, limit).ok());
            self.take(left);
        }
        if self.library.is_none() {
            let what = stuck.unwrap_or_else(|| "its last call".to_owned());
            self.why = vec![format!("its thread has not come back from {what}")];
        }
        for _ in 0..LOOKS {
            match self.look_once() {
                Some(true) => {
                    msf_sys::log!(Level::Info, MODULE, "{} is unmapped", self.title());
                    return Verdict::Unmapped;
                }
                // A thread that was told to end may need a moment.
                Some(false) => std::thread::sleep(MOMENT),
                None => break,
            }
        }
        msf_sys::log!(Level::Warn, MODULE, "{} is left mapped: {}", self.title(), self.why.join("; "));
        Verdict::Left(Box::new(self))
    }

    /// Looks again; true when it could be let go now.
    pub fn revisit(&mut self) -> bool {
        if self.library.is_none() {
            let left = self.runner.left(|left| left.try_recv().ok());
            self.take(left);
        }
        let gone = self.look_once() == Some(true);
        if gone {
            msf_sys::log!(Level::Info, MODULE, "{} is unmapped now", self.title());
        }
        gone
    }

    fn take(&mut self, left: Option<Left>) {
        let Some(Left { library, told, begun }) = left else { return };
        for told in told {
            msf_sys::log!(Level::Warn, MODULE, "{}: {told}", self.title());
        }
        (self.library, self.begun) = (Some(library), begun.into());
    }

    /// What it is called in messages.
    pub fn title(&self) -> String {
        format!("service {}: generation {} of {}", self.services.join(", "), self.number, self.file.display())
    }

    /// True when it is unmapped, false when somebody is in it still, `None` when looking again is of no use.
    fn look_once(&mut self) -> Option<bool> {
        let library = self.library.take()?;
        let (before, begun) = (Arc::clone(&self.before), Arc::clone(&self.begun));
        let (tell, hear) = mpsc::channel();
        // On a thread of its own: closing runs the library's destructors, and what those leave in a thread has to end.
        let thread = thread::spawn("msf_shell:close", move || drop(tell.send(closed(library, &before, &begun))));
        if let Err(e) = thread.and_then(thread::Thread::join) {
            self.why = vec![format!("there is no thread to let it go: {e}")];
            return None;
        }
        match hear.recv().ok()? {
            Closed::Gone(found) => {
                found.iter().for_each(|one| msf_sys::log!(Level::Warn, MODULE, "{}: {one}", self.title()));
                Some(true)
            }
            Closed::Stays => {
                self.why =
                    vec!["a thread-local variable is still to be destroyed, or it asks not to be unmapped".into()];
                None
            }
            Closed::Kept(library, found) => {
                self.library = Some(library);
                self.why = found.iter().map(Found::to_string).collect();
                Some(false)
            }
        }
    }
}

enum Closed {
    Gone(Vec<Found>),
    Stays,
    Kept(Library, Vec<Found>),
}

fn closed(library: Library, before: &Before, begun: &[Begun]) -> Closed {
    match before.look(&library, begun) {
        (Some(rest), found) => {
            if library.close(rest) {
                Closed::Gone(found)
            } else {
                Closed::Stays
            }
        }
        (None, found) => Closed::Kept(library, found),
    }
}

const LOOKS: u32 = 10;
const MOMENT: Duration = Duration::from_millis(20);
