//! The way up of a process: it is started, loads the service, and takes it as far as the one before was.

use super::{Asked, Held, Reach, Warden};
use crate::apart::annex::Opened;
use crate::apart::child::Child;
use crate::apart::frame::{Frame, Kind};
use crate::apart::letter;
use crate::place::work::{Outcome, failure};
use crate::tell;
use msf_sys::log::Level;
use msf_sys::service::Answer;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Gets to know how a way up has ended.
pub(super) type Done = Box<dyn FnOnce(Result<Opened, String>) + Send>;

/// A process on its way up, and whom it takes the way for; nobody, when it replaces one.
pub(super) struct Climb {
    pub at: Reach,
    pub to: Reach,
    /// For the step that is made now.
    pub until: Option<Instant>,
    pub opened: Option<Opened>,
    pub done: Option<Done>,
}

impl Warden {
    pub(super) fn climb_to(&mut self, to: Reach, done: Option<Done>) {
        self.climb = Some(Climb { at: Reach::Nothing, to, until: None, opened: None, done });
        match Child::start(self.plan.library.as_ref(), self.plan.quiet) {
            Ok(child) => {
                self.desk.pid.store(child.pid(), Ordering::Release);
                self.child = Some(child);
                self.step();
            }
            Err(e) => self.fell(&format!("cannot start a process: {e}"), true),
        }
    }

    /// The next step up, or the end of the climb.
    fn step(&mut self) {
        let Some(climb) = &mut self.climb else { return };
        let kind = match climb.at {
            at if at >= climb.to => return self.arrived(),
            Reach::Nothing => Kind::Open,
            Reach::Loaded => Kind::Init,
            Reach::Initialised | Reach::Started => Kind::Start,
        };
        // Who has been told to climb is given up by whoever told it; one that replaces has nobody to do that.
        let limit = self.plan.service.patience.start.filter(|_| climb.done.is_none());
        climb.until = limit.map(|limit| Instant::now() + limit);
        match kind {
            Kind::Open => {
                self.next += 1;
                let letter = letter::open(&self.plan);
                let frame = Frame { text: self.plan.text.to_string(), bytes: letter, ..Frame::bare(self.next, kind) };
                self.asked.insert(self.next, Asked::Step);
                self.say(&frame);
            }
            kind => self.ask(kind, Asked::Step),
        }
    }

    pub(super) fn stepped(&mut self, outcome: Outcome) {
        let Some(climb) = &mut self.climb else { return };
        let (what, next) = match climb.at {
            Reach::Nothing => ("loading", Reach::Loaded),
            Reach::Loaded => ("init", Reach::Initialised),
            Reach::Initialised | Reach::Started => ("start", Reach::Started),
        };
        let refusal = match (&outcome.answer, climb.at) {
            // A sentence of its own, as it would be said here.
            (Answer::Failed(_, why), Reach::Nothing) => Err(why.to_string()),
            (answer, _) => failure(what, answer),
        };
        let fine = refusal.and_then(|()| match climb.at {
            Reach::Nothing => letter::read_opened(&outcome.bytes).map(|opened| {
                self.desk.sandbox.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&opened.sandbox);
                climb.opened = Some(opened);
            }),
            _ => Ok(()),
        });
        match fine {
            Ok(()) => {
                climb.at = next;
                self.step();
            }
            Err(why) => {
                if let Some(child) = &mut self.child {
                    child.kill();
                }
                self.fell(&why, true);
                self.died(Some(why));
            }
        }
    }

    fn arrived(&mut self) {
        let Some(Climb { to, opened, done, .. }) = self.climb.take() else { return };
        self.reach = to;
        self.desk.up.store(true, Ordering::Release);
        match (done, opened) {
            (Some(done), Some(opened)) => done(Ok(opened)),
            (Some(done), None) => done(Err("its process has told nothing of it".to_owned())),
            (None, _) => {
                self.desk.respawns.fetch_add(1, Ordering::Relaxed);
                let pid = self.desk.pid.load(Ordering::Relaxed);
                tell(Level::Warn, &self.plan.service.name, &format!("is up again, in process {pid}"));
            }
        }
        for Held { frame, then, bytes, .. } in std::mem::take(&mut self.held) {
            self.ask_work(frame, then, bytes);
        }
    }

    /// The climb has come to nothing. A process that could not be taken up is tried again later than one that died.
    pub(super) fn fell(&mut self, why: &str, slowly: bool) {
        let Some(climb) = self.climb.take() else { return };
        self.last = why.to_owned();
        match climb.done {
            Some(done) => done(Err(why.to_owned())),
            None if slowly => {
                let delay = self.backoff.failure();
                self.come_back_in(delay, why);
            }
            None => {}
        }
    }

    pub(super) fn come_back_in(&mut self, delay: Duration, why: &str) {
        self.again = Some(Instant::now() + delay);
        let when = if delay.is_zero() {
            "it is started again".to_owned()
        } else {
            format!("it is started again in {delay:?}")
        };
        tell(Level::Error, &self.plan.service.name, &format!("{why}; {when}"));
    }
}
