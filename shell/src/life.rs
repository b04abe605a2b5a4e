//! The life of the services of one process: init in order, start in order, and on the way down stop and deinit in
//! reverse, of exactly those that got that far.
//!
//! Knows no library: the services are whatever [`Table`] calls. Who fails is named; taking down what is up then is the
//! caller's next step.

use msf_sys::service::{Answer, Slot};
use std::{fmt, io};

/// The services, by their place in the configuration.
pub trait Table {
    /// How many there are.
    fn count(&self) -> usize;
    /// What complaints call service number `at`.
    fn name(&self, at: usize) -> &str;
    /// Runs one slot of service number `at`.
    fn call(&mut self, at: usize, slot: Slot) -> Answer;
}

/// A slot returned a number below zero.
#[derive(Debug)]
pub struct Failure {
    service: String,
    slot: Slot,
    code: i32,
    errno: io::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service {}: {} failed, it returned {}", self.service, word(self.slot), self.code)?;
        match self.errno.raw_os_error() {
            None | Some(0) => Ok(()),
            Some(_) => write!(f, " ({})", self.errno),
        }
    }
}

/// The slot as configuration and log name it.
pub fn word(slot: Slot) -> &'static str {
    match slot {
        Slot::Init => "init",
        Slot::Start => "start",
        Slot::Stop => "stop",
        Slot::Deinit => "deinit",
    }
}

/// How going up ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Up {
    /// Every service is initialised and started.
    All,
    /// The caller wanted no more; some services may be up.
    Abandoned,
}

/// How far the services of a table got.
pub struct Life<T> {
    table: T,
    initialised: usize,
    started: usize,
}

impl<T: Table> Life<T> {
    /// Services that are loaded and nothing else.
    pub fn new(table: T) -> Life<T> {
        Life { table, initialised: 0, started: 0 }
    }

    /// Takes all services up. Before each slot `give_up` is asked whether to stop there.
    pub fn up(&mut self, mut give_up: impl FnMut() -> bool) -> Result<Up, Failure> {
        while self.initialised < self.table.count() {
            if give_up() {
                return Ok(Up::Abandoned);
            }
            self.run(self.initialised, Slot::Init)?;
            self.initialised += 1;
        }
        while self.started < self.table.count() {
            if give_up() {
                return Ok(Up::Abandoned);
            }
            self.run(self.started, Slot::Start)?;
            self.started += 1;
        }
        Ok(Up::All)
    }

    /// Takes down what is up, in reverse. A slot that fails keeps nobody from going on; all failures are handed back.
    pub fn down(&mut self) -> Vec<Failure> {
        let mut failures = Vec::new();
        for at in (0..std::mem::take(&mut self.started)).rev() {
            failures.extend(self.run(at, Slot::Stop).err());
        }
        for at in (0..std::mem::take(&mut self.initialised)).rev() {
            failures.extend(self.run(at, Slot::Deinit).err());
        }
        failures
    }

    /// An empty slot counts as done.
    fn run(&mut self, at: usize, slot: Slot) -> Result<(), Failure> {
        match self.table.call(at, slot) {
            Answer::Absent | Answer::Done(_) => Ok(()),
            Answer::Failed(code, errno) => Err(Failure { service: self.table.name(at).to_owned(), slot, code, errno }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    type Diary = Rc<RefCell<Vec<String>>>;

    /// Three services; the one in the middle has its moods.
    struct Trio {
        fails: Option<Slot>,
        empty: Option<Slot>,
        diary: Diary,
    }

    impl Table for Trio {
        fn count(&self) -> usize {
            3
        }

        fn name(&self, at: usize) -> &str {
            ["a", "b", "c"][at]
        }

        fn call(&mut self, at: usize, slot: Slot) -> Answer {
            if at == 1 && self.empty == Some(slot) {
                return Answer::Absent;
            }
            self.diary.borrow_mut().push(format!("{}.{}", self.name(at), word(slot)));
            match at == 1 && self.fails == Some(slot) {
                true => Answer::Failed(-3, io::Error::from_raw_os_error(2)),
                false => Answer::Done(0),
            }
        }
    }

    fn trio(fails: Option<Slot>, empty: Option<Slot>) -> (Life<Trio>, Diary) {
        let diary = Diary::default();
        (Life::new(Trio { fails, empty, diary: diary.clone() }), diary)
    }

    #[test]
    fn up_is_init_in_order_then_start_in_order_and_down_is_the_reverse() {
        let (mut life, diary) = trio(None, None);
        assert_eq!(life.up(|| false).unwrap(), Up::All);
        assert!(life.down().is_empty());
        let all = diary.borrow().join(" ");
        assert_eq!(all, "a.init b.init c.init a.start b.start c.start c.stop b.stop a.stop c.deinit b.deinit a.deinit");
    }

    #[test]
    fn an_empty_slot_counts_as_done() {
        let (mut life, diary) = trio(None, Some(Slot::Start));
        assert_eq!(life.up(|| false).unwrap(), Up::All);
        life.down();
        assert!(!diary.borrow().contains(&"b.start".to_owned()));
        assert!(diary.borrow().contains(&"b.stop".to_owned()), "it serves since its init, so it is stopped");
    }

    #[test]
    fn a_failing_init_takes_down_only_what_was_initialised() {
        let (mut life, diary) = trio(Some(Slot::Init), None);
        let failure = life.up(|| false).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "service b: init failed, it returned -3 (No such file or directory (os error 2))"
        );
        life.down();
        assert_eq!(diary.borrow().join(" "), "a.init b.init a.deinit");
    }

    #[test]
    fn a_failing_start_stops_the_started_and_deinits_all() {
        let (mut life, diary) = trio(Some(Slot::Start), None);
        assert!(life.up(|| false).is_err());
        life.down();
        assert_eq!(diary.borrow().join(" "), "a.init b.init c.init a.start b.start a.stop c.deinit b.deinit a.deinit");
    }

    #[test]
    fn a_failing_stop_keeps_nobody_from_going_down() {
        let (mut life, diary) = trio(Some(Slot::Stop), None);
        assert_eq!(life.up(|| false).unwrap(), Up::All);
        assert_eq!(life.down().len(), 1);
        assert!(diary.borrow().ends_with(&["a.stop", "c.deinit", "b.deinit", "a.deinit"].map(str::to_owned)));
    }

    #[test]
    fn giving_up_in_the_middle_takes_down_the_part_that_is_up() {
        let (mut life, diary) = trio(None, None);
        let mut asked = 0;
        let give_up = || {
            asked += 1;
            asked > 4
        };
        assert_eq!(life.up(give_up).unwrap(), Up::Abandoned);
        life.down();
        assert_eq!(diary.borrow().join(" "), "a.init b.init c.init a.start a.stop c.deinit b.deinit a.deinit");
    }

    #[test]
    fn going_down_twice_does_nothing_the_second_time() {
        let (mut life, diary) = trio(None, None);
        assert_eq!(life.up(|| false).unwrap(), Up::All);
        life.down();
        let told = diary.borrow().len();
        assert!(life.down().is_empty());
        assert_eq!(diary.borrow().len(), told);
    }
}
