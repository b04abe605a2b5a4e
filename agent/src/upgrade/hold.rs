//! The control thread's hand on a reactor that stands still.
//!
//! A reactor that is held looks at no socket and no timer; it does what it is told, step by step, and says when it has
//! done it. When the hand lets go, be it by its thread's death, it goes on where it stood.

use std::os::fd::{OwnedFd, RawFd};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// What a held reactor is told.
#[derive(Debug)]
pub enum Step {
    /// Carry out the orders that wait and what follows from them; write what can be written.
    Settle,
    /// Take the orders that wait in, and show nobody that you have.
    Orders,
    /// Save your state.
    Save,
    /// This is your state, with its descriptors.
    Load(Vec<u8>, Vec<OwnedFd>),
}

/// What it says.
#[derive(Debug)]
pub enum Said {
    /// It stands still.
    Still,
    /// So many orders have been carried out, and so many reports wait for room.
    Settled(usize, usize),
    /// Its state, and the descriptors, which stay open while it stands still.
    Saved(Vec<u8>, Vec<RawFd>),
    /// It has its state, or why not.
    Loaded(Result<(), String>),
}

/// The reactor's end.
#[derive(Debug)]
pub struct Hold {
    told: Receiver<Step>,
    said: Sender<Said>,
}

/// The control thread's end.
#[derive(Debug)]
pub struct Grip {
    told: Sender<Step>,
    said: Receiver<Said>,
}

/// Both ends.
pub fn pair() -> (Grip, Hold) {
    let (told, told_to) = mpsc::channel();
    let (said, said_to) = mpsc::channel();
    (Grip { told, said: said_to }, Hold { told: told_to, said })
}

impl Hold {
    /// What is to be done next; `None` once the hand has let go.
    pub fn next(&self) -> Option<Step> {
        self.told.recv().ok()
    }

    /// Says something; whoever no longer listens has let go.
    pub fn say(&self, said: Said) {
        let _ = self.said.send(said);
    }
}

impl Grip {
    /// Tells it to do something.
    pub fn tell(&self, step: Step) {
        // One that has ended is noticed by its silence.
        let _ = self.told.send(step);
    }

    /// What it says, until then.
    ///
    /// # Errors
    /// It has said nothing.
    pub fn hear(&self, until: Instant) -> Result<Said, String> {
        let patience = until.saturating_duration_since(Instant::now()).max(LEAST);
        self.said.recv_timeout(patience).map_err(|error| match error {
            RecvTimeoutError::Timeout => "a reactor does not stand still in time".to_owned(),
            RecvTimeoutError::Disconnected => "a reactor has ended".to_owned(),
        })
    }
}

/// So much patience there always is: what has been said already is heard.
const LEAST: Duration = Duration::from_millis(1);
