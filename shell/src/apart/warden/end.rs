//! The end of a process: its callers are told, and whether there is to be another one.

use super::{Asked, HELD, Held, Reach, Warden};
use crate::apart::child;
use crate::place::work::Outcome;
use crate::tell;
use msf_sys::log::Level;
use std::io::ErrorKind;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

impl Warden {
    /// It has ended, or will in a moment. `why`, if it was us.
    pub(super) fn died(&mut self, why: Option<String>) {
        let Some(mut child) = self.child.take() else { return };
        let (pid, up, noticed) = (child.pid(), child.began.elapsed(), Instant::now());
        self.desk.up.store(false, Ordering::Release);
        self.desk.pid.store(0, Ordering::Release);
        let mut status = child.ends_within(AFTERMATH);
        if status.is_none() && !child.is_dumping() {
            // It has hung up and does not end.
            child.kill();
            status = child.ends_within(LAST);
        }
        let how = match (&why, status) {
            (Some(why), _) => format!("its process {pid} was ended: {why}"),
            (None, Some(status)) => format!("its process {pid} {}", child::told(status)),
            (None, None) => format!("its process {pid} crashes, and its core is being written"),
        };
        // One that is not certain to be dead may still take something.
        let taken = if status.is_some() && why.is_none() { child.taken() } else { u64::MAX };
        if status.is_none() {
            self.dying.push(child);
        }
        if self.leaving.is_some() {
            let by_itself = why.is_none() && status.is_some_and(|status| status.success());
            self.last = match (by_itself, self.last.is_empty()) {
                (true, true) => format!("has ended with its process {pid}"),
                (true, false) => format!("has ended with its process {pid}, which had to end for it: {}", self.last),
                (false, _) => format!("has ended; {how}"),
            };
            return self.gone();
        }
        self.last = how.clone();
        self.desk.last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&how);
        let replaces = self.climb.as_ref().is_none_or(|climb| climb.done.is_none());
        let in_order = why.is_none() && status.is_some_and(|status| status.success());
        if self.reach == Reach::Started && replaces && self.backoff.comes_back(in_order) {
            self.hold_untaken(taken, noticed + HELD);
        }
        self.fail_asked(&how);
        self.fell(&how, false);
        if self.reach == Reach::Started && replaces && !self.backoff.comes_back(in_order) {
            self.reach = Reach::Initialised;
            self.let_go(None);
            tell(Level::Error, &self.plan.service.name, &format!("{how}; it is not started again"));
        } else if self.reach == Reach::Started && replaces {
            if self.again.is_none() {
                let delay = self.backoff.death(Instant::now(), up);
                self.come_back_in(delay, &how);
            }
        } else if why.is_none() {
            tell(Level::Error, &self.plan.service.name, &how);
        }
    }

    /// What came after question `taken` nobody has seen: it waits for the next process, as what comes from now on does.
    fn hold_untaken(&mut self, taken: u64, until: Instant) {
        let mut untaken: Vec<u64> = self.asked.keys().copied().filter(|id| *id > taken).collect();
        untaken.sort_unstable();
        for id in untaken {
            match self.asked.remove(&id) {
                Some(Asked::Somebody { then, bytes, again: Some(frame) }) => {
                    self.held.push_back(Held { until, frame, then, bytes });
                }
                Some(other) => drop(self.asked.insert(id, other)),
                None => {}
            }
        }
    }

    pub(super) fn fail_asked(&mut self, how: &str) {
        let lost = || Outcome::lost(ErrorKind::ConnectionReset, how);
        for (_, asked) in std::mem::take(&mut self.asked) {
            match asked {
                Asked::Somebody { then, bytes, .. } => {
                    self.settle(bytes);
                    then(lost());
                }
                Asked::Slot { then, .. } => {
                    self.settle(0);
                    then(lost());
                }
                Asked::Usage(_) | Asked::Step | Asked::Leave => {}
            }
        }
    }

    /// The last process has gone, and none is to come.
    pub(super) fn gone(&mut self) {
        self.fail_asked("it is unloaded");
        self.let_go(None);
        self.over = true;
        if let Some(done) = self.leaving.take() {
            let _ = done.send(std::mem::take(&mut self.last));
        }
    }
}

/// How long an end may take to be told, once its callers could have it.
const AFTERMATH: Duration = Duration::from_millis(30);
/// How long one that was killed may take.
const LAST: Duration = Duration::from_millis(40);
