//! Who answers the calls of a service now. Calls are held while it is exchanged, and none is lost: those its old code
//! has been given it answers before it stops, the others wait for the new code.
//!
//! The one thing that threads of this program share under a lock: whoever calls (the admin socket's threads) must not
//! wait for whoever loads and upgrades.

use crate::place::work::{Place, Then, Work};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The routes of all services.
#[derive(Default)]
pub struct Routes {
    desks: Mutex<HashMap<String, Desk>>,
}

struct Desk {
    calls: Arc<AtomicU64>,
    state: State,
}

enum State {
    Open(Arc<dyn Place>, usize),
    Held(Vec<(Work, Then)>),
}

/// Why a call goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// No service of this name is up.
    NotUp,
    /// It is being exchanged, and too many calls wait already.
    Full,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unanswered::NotUp => write!(f, "no service of this name is up"),
            Unanswered::Full => write!(f, "it is being upgraded, and {MOST_HELD} calls wait already"),
        }
    }
}

impl Routes {
    /// Hands a call to whoever answers it now, or will.
    pub fn give(&self, service: &str, work: Work, then: Then) -> Result<(), Unanswered> {
        let mut desks = self.lock();
        let desk = desks.get_mut(service).ok_or(Unanswered::NotUp)?;
        match &mut desk.state {
            State::Open(place, at) => place.give(*at, work, then),
            State::Held(held) if held.len() < MOST_HELD => held.push((work, then)),
            State::Held(_) => return Err(Unanswered::Full),
        }
        desk.calls.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// From now on `place` answers as its service number `at`; first what was held.
    pub fn open(&self, service: &str, place: Arc<dyn Place>, at: usize) {
        let mut desks = self.lock();
        let desk = desks.entry(service.to_owned()).or_insert_with(|| Desk::new(State::Held(Vec::new())));
        if let State::Held(held) = std::mem::replace(&mut desk.state, State::Open(Arc::clone(&place), at)) {
            // Under the lock, so that none that comes later is first.
            held.into_iter().for_each(|(work, then)| place.give(at, work, then));
        }
    }

    /// Holds the calls of a service from now on.
    pub fn hold(&self, service: &str) {
        if let Some(desk) = self.lock().get_mut(service)
            && let State::Open(..) = desk.state
        {
            desk.state = State::Held(Vec::new());
        }
    }

    /// Nobody answers any longer; what was held gets no answer.
    pub fn close(&self, service: &str) {
        let closed = self.lock().remove(service);
        // Whoever waits is told by the drop, and not under the lock.
        drop(closed);
    }

    /// How many calls a service has got.
    pub fn calls(&self, service: &str) -> u64 {
        self.lock().get(service).map_or(0, |desk| desk.calls.load(Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Desk>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    fn new(state: State) -> Desk {
        Desk { calls: Arc::default(), state }
    }
}

/// Calls that may wait for one service.
const MOST_HELD: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::work::Outcome;
    use msf_sys::service::Answer;
    use std::sync::mpsc;

    /// Answers at once, with its number.
    struct Echo(i32);

    impl Place for Echo {
        fn give(&self, at: usize, _work: Work, then: Then) {
            then(Outcome::bare(Answer::Done(self.0 + at as i32)));
        }
    }

    fn call(routes: &Routes, tell: &mpsc::Sender<i32>) -> Result<(), Unanswered> {
        let tell = tell.clone();
        let then = move |outcome: Outcome| {
            if let Answer::Done(code) = outcome.answer {
                tell.send(code).unwrap();
            }
        };
        routes.give("a", Work::Health, Box::new(then))
    }

    #[test]
    fn calls_wait_while_a_service_is_exchanged_and_all_are_answered() {
        let routes = Routes::default();
        let (tell, hear) = mpsc::channel();
        assert_eq!(call(&routes, &tell), Err(Unanswered::NotUp));
        routes.open("a", Arc::new(Echo(10)), 1);
        call(&routes, &tell).unwrap();
        routes.hold("a");
        routes.hold("a");
        call(&routes, &tell).unwrap();
        call(&routes, &tell).unwrap();
        assert_eq!(hear.try_iter().collect::<Vec<_>>(), [11]);
        routes.open("a", Arc::new(Echo(20)), 0);
        call(&routes, &tell).unwrap();
        assert_eq!(hear.try_iter().collect::<Vec<_>>(), [20, 20, 20]);
        assert_eq!(routes.calls("a"), 4);
    }

    #[test]
    fn what_was_held_for_a_service_that_goes_is_let_go() {
        let routes = Routes::default();
        routes.open("a", Arc::new(Echo(0)), 0);
        routes.hold("a");
        let (tell, hear) = mpsc::channel();
        call(&routes, &tell).unwrap();
        drop(tell);
        routes.close("a");
        assert!(hear.recv().is_err());
        assert_eq!(routes.calls("a"), 0);
    }
}
