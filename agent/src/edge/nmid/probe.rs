//! Whether a worker's function has failed without a word.
//!
//! Go's workers return nothing for a function that fails. Those that work in order, frame by frame, can be asked: they
//! answer NO_JOB with GRAB_JOB, and what is sent behind a job is answered when the job is done. So a GRAB that comes
//! without a result says that none will come. Newer workers answer at once, in the middle of the job; one that has done
//! so is never asked again, and nothing is concluded before a worker has shown that its results come first. GRABs that
//! go with a PING or answer an OK say nothing, and are left out.

use crate::core::job::JobId;
use msf_wire::state;

/// What is known of one worker.
#[derive(Debug, Default)]
pub struct Probe {
    /// The job it was asked behind last, until it has answered, and when.
    asked: Option<(JobId, u64)>,
    /// That job's result has come.
    returned: bool,
    /// Its answer came, and no result before: a result after that shows that it does not work in order.
    early: Option<JobId>,
    /// How much shows that it works in order.
    orderly: u64,
    is_concurrent: bool,
    /// When it was told OK last, which it answers with GRABs too.
    greeted: u64,
    /// Its last frame was a PING.
    behind_ping: bool,
}

state! {
    struct Probe { asked, returned, early, orderly, is_concurrent, greeted, behind_ping }
}

impl Probe {
    /// Whether it may be asked about this job now.
    pub fn may_ask(&self, id: JobId, micros: u64) -> bool {
        let has_asked = self.asked.is_some() || self.early == Some(id);
        !self.is_concurrent && !has_asked && micros >= self.greeted + REST
    }

    /// It is asked about this one.
    pub fn ask(&mut self, id: JobId, micros: u64) {
        self.asked = Some((id, micros));
        self.returned = false;
    }

    /// It has been told OK.
    pub fn greeted(&mut self, micros: u64) {
        self.greeted = micros;
    }

    /// It has sent something; was it a PING?
    pub fn heard(&mut self, ping: bool) -> bool {
        std::mem::replace(&mut self.behind_ping, ping)
    }

    /// The result of a job has come.
    pub fn returned(&mut self, id: JobId, micros: u64) {
        if self.early.take_if(|early| *early == id).is_some() {
            self.is_concurrent = true;
        }
        if let Some((asked, since)) = self.asked
            && asked == id
        {
            self.returned = true;
            // A worker that answers at once has had the time to do so before a long job was done, and hardly ever
            // misses it before a short one.
            self.orderly += if micros.saturating_sub(since) >= LONG { ENOUGH } else { 1 };
        }
    }

    /// A GRAB has come that goes with no PING: the job that has failed, if that is what it says.
    pub fn grabbed(&mut self) -> Option<JobId> {
        let (id, _) = self.asked.take()?;
        if self.returned {
            return None;
        }
        self.early = Some(id);
        (self.orderly >= ENOUGH).then_some(id)
    }
}

/// How often a worker must have answered after its result before it is believed.
const ENOUGH: u64 = 8;
/// A job this long, in microseconds, shows as much.
const LONG: u64 = 20_000;
/// How long after an OK no question is asked, in microseconds.
const REST: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> JobId {
        JobId::decode(format!("{number:016x}").as_bytes()).unwrap()
    }

    fn trusted() -> Probe {
        let mut probe = Probe::default();
        probe.ask(id(0), REST);
        probe.returned(id(0), REST + LONG);
        assert_eq!(probe.grabbed(), None);
        probe
    }

    #[test]
    fn a_grab_without_a_result_is_a_failure_once_the_worker_is_known() {
        let mut probe = trusted();
        probe.ask(id(1), REST);
        assert!(!probe.may_ask(id(2), REST), "one question at a time");
        assert_eq!(probe.grabbed(), Some(id(1)));
        assert!(probe.may_ask(id(2), REST) && !probe.may_ask(id(1), REST), "one question about a job");
        let mut unknown = Probe::default();
        unknown.ask(id(1), REST);
        assert_eq!(unknown.grabbed(), None);
    }

    #[test]
    fn short_jobs_show_less_than_a_long_one() {
        let mut probe = Probe::default();
        for number in 0..ENOUGH as u8 {
            probe.ask(id(number), 0);
            probe.returned(id(number), LONG - 1);
            assert_eq!(probe.grabbed(), None);
        }
        probe.ask(id(99), 0);
        assert_eq!(probe.grabbed(), Some(id(99)));
    }

    #[test]
    fn a_result_behind_the_grab_ends_the_questions() {
        let mut probe = trusted();
        probe.ask(id(1), REST);
        probe.grabbed();
        probe.returned(id(1), REST);
        assert!(!probe.may_ask(id(2), u64::MAX));
    }

    #[test]
    fn the_grab_for_a_job_that_is_done_says_nothing_about_the_next() {
        let mut probe = trusted();
        probe.ask(id(1), REST);
        probe.returned(id(1), REST);
        assert_eq!((probe.grabbed(), probe.grabbed()), (None, None));
        assert!(probe.may_ask(id(2), REST));
    }

    #[test]
    fn behind_an_ok_no_question_is_asked_for_a_while() {
        let mut probe = Probe::default();
        probe.greeted(5);
        assert!(!probe.may_ask(id(0), REST) && probe.may_ask(id(0), REST + 5));
    }
}
