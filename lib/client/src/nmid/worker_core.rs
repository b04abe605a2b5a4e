//! The mind of a worker's connection: registration, heartbeats, jobs in flight, and leaving without losing one.
//!
//! Every result is labelled by its own job: the core keeps no "current job" that a second one could overwrite.
//!
//! Leaving: the functions are taken back, and a last PING follows them. A broker answers in order, so when that PONG
//! comes no job can be behind it; when the jobs that came before it are done as well, the connection may be closed.
//! A broker that answers no PING is waited for a moment only.

use msf_wire::nmid::{Dialect, Frame, Job, NmidError, Return, ToWorker, append_name, conn, empty, pdt};
use std::time::{Duration, Instant};

/// See the module. One core lives as long as one connection.
#[derive(Debug)]
pub struct WorkerCore {
    /// OKs that are still to come; 0 once the broker knows everything.
    unconfirmed: usize,
    in_flight: usize,
    /// PINGs without PONG.
    pings: u32,
    next_ping: Instant,
    heard: Instant,
    /// A broker asked for a pause, which ends then.
    wakeup: Option<Instant>,
    left: Option<Instant>,
}

/// What a frame of the broker means to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A job; end it with [`WorkerCore::finish`].
    Job(Job<'a>),
    /// The broker knows the name and every function now. Jobs may have come before.
    Registered,
    /// A job that cannot be read. It is lost, the connection is not.
    Malformed(NmidError),
    /// Nothing to do but to send what was appended.
    Nothing,
}

impl WorkerCore {
    /// Registers on a connection made `now`: a name (perhaps empty) and functions.
    pub fn register<'f>(
        name: &[u8],
        functions: impl Iterator<Item = &'f [u8]>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Self {
        append_name(out, conn::WORKER, pdt::W_SET_NAME, name);
        let mut unconfirmed = 1;
        for function in functions {
            append_name(out, conn::WORKER, pdt::W_ADD_FUNC, function);
            unconfirmed += 1;
        }
        Self { unconfirmed, in_flight: 0, pings: 0, next_ping: now + PERIOD, heard: now, wakeup: None, left: None }
    }

    /// Takes a frame of the broker.
    pub fn receive<'a>(&mut self, frame: &Frame<'a>, now: Instant, out: &mut Vec<u8>) -> Event<'a> {
        self.heard = now;
        if frame.conn != conn::SERVER {
            return Event::Nothing;
        }
        match ToWorker::parse(frame, Dialect::G2) {
            Ok(ToWorker::Job(job)) => {
                self.in_flight += 1;
                return Event::Job(job);
            }
            Ok(ToWorker::Ok) if self.unconfirmed > 0 => {
                self.unconfirmed -= 1;
                if self.unconfirmed == 0 {
                    return Event::Registered;
                }
            }
            Ok(ToWorker::Pong) => self.pings = self.pings.saturating_sub(1),
            // A broker that probes waits for this before it sends the next job.
            Ok(ToWorker::NoJob) => out.extend_from_slice(&empty(conn::WORKER, pdt::W_GRAB_JOB)),
            Ok(ToWorker::ToSleep) => self.wakeup = Some(now + PAUSE),
            Ok(ToWorker::Ok | ToWorker::Other(_)) => {}
            Err(error) => return Event::Malformed(error),
        }
        Event::Nothing
    }

    /// Ends a job: appends the result, under the job's own name, params and id.
    pub fn finish(&mut self, job: &Job<'_>, ret: &[u8], out: &mut Vec<u8>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        Return { function: job.function, params: job.params.bytes, ret, id: Some(job.id) }.append_to(out);
    }

    /// Does what is due; false: the broker has been silent for so long that the connection is dead.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if self.next_ping <= now {
            self.ping(now, out);
        }
        if self.wakeup.is_some_and(|end| end <= now) {
            self.wakeup = None;
            out.extend_from_slice(&empty(conn::WORKER, pdt::WAKEUP));
        }
        now < self.heard + SILENCE
    }

    /// When [`tick`](Self::tick) has something to do, or [`is_done`](Self::is_done) may change by itself.
    #[must_use]
    pub fn next_tick(&self) -> Instant {
        let others = [self.wakeup, self.left.map(|left| left + FAREWELL).filter(|_| self.in_flight == 0)];
        others.into_iter().flatten().fold(self.next_ping.min(self.heard + SILENCE), Instant::min)
    }

    /// Takes the functions back; jobs in flight go on.
    pub fn leave<'f>(&mut self, functions: impl Iterator<Item = &'f [u8]>, now: Instant, out: &mut Vec<u8>) {
        if self.left.is_some() {
            return;
        }
        for function in functions {
            append_name(out, conn::WORKER, pdt::W_DEL_FUNC, function);
        }
        self.ping(now, out);
        self.left = Some(now);
    }

    /// Whether it has left, no job is in flight and none can come: close the connection.
    #[must_use]
    pub fn is_done(&self, now: Instant) -> bool {
        self.in_flight == 0 && self.left.is_some_and(|left| self.pings == 0 || left + FAREWELL <= now)
    }

    /// Jobs that came and are not finished.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether the broker knows everything.
    #[must_use]
    pub const fn is_registered(&self) -> bool {
        self.unconfirmed == 0
    }

    fn ping(&mut self, now: Instant, out: &mut Vec<u8>) {
        append_name(out, conn::WORKER, pdt::W_HEARTBEAT_PING, b"PING");
        self.pings = self.pings.saturating_add(1);
        self.next_ping = now + PERIOD;
    }
}

/// Between PINGs, as every worker of nmid has it.
const PERIOD: Duration = Duration::from_secs(10);
/// So long may a broker be silent, though it should have answered five PINGs: it may hold PONGs back behind a large job.
const SILENCE: Duration = Duration::from_secs(60);
/// What TOSLEEP means.
const PAUSE: Duration = Duration::from_secs(2);
/// So long the last PONG is waited for.
const FAREWELL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use msf_wire::nmid::{FromWorker, Params, Step, decode};

    fn registered(now: Instant) -> WorkerCore {
        let mut core = WorkerCore::register(b"w", [b"F".as_slice()].into_iter(), now, &mut Vec::new());
        assert_eq!(core.receive(&bare(pdt::OK), now, &mut Vec::new()), Event::Nothing);
        assert_eq!(core.receive(&bare(pdt::OK), now, &mut Vec::new()), Event::Registered);
        core
    }

    fn bare(kind: u32) -> Frame<'static> {
        Frame { conn: conn::SERVER, kind, body: b"" }
    }

    fn job<'a>(id: &'a [u8], params: &'a [u8]) -> Job<'a> {
        Job { function: b"F", params: Params::untyped(params), id }
    }

    fn give<'a>(core: &mut WorkerCore, job: &Job<'a>, now: Instant) {
        let mut bytes = Vec::new();
        job.append_to(Dialect::G2, &mut bytes);
        let Ok(Step::Frame(frame, _)) = decode(&bytes, 1024) else { panic!("not a frame") };
        assert_eq!(core.receive(&frame, now, &mut Vec::new()), Event::Job(*job));
    }

    /// The types of the frames in `bytes`.
    fn kinds(mut bytes: &[u8]) -> Vec<u32> {
        let mut kinds = Vec::new();
        while let Ok(Step::Frame(frame, used)) = decode(bytes, 1024) {
            kinds.push(frame.kind);
            bytes = &bytes[used..];
        }
        assert!(bytes.is_empty());
        kinds
    }

    #[test]
    fn it_registers_its_name_then_its_functions() {
        let mut out = Vec::new();
        let names = [b"F".as_slice(), b"G"];
        let core = WorkerCore::register(b"w", names.into_iter(), Instant::now(), &mut out);
        assert_eq!(kinds(&out), [pdt::W_SET_NAME, pdt::W_ADD_FUNC, pdt::W_ADD_FUNC]);
        assert!(!core.is_registered());
    }

    #[test]
    fn a_job_may_come_before_the_last_ok() {
        let now = Instant::now();
        let mut core = WorkerCore::register(b"w", [b"F".as_slice()].into_iter(), now, &mut Vec::new());
        give(&mut core, &job(b"1", b"x"), now);
        assert_eq!(core.in_flight(), 1);
    }

    #[test]
    fn each_result_bears_its_own_job_whatever_the_order() {
        let now = Instant::now();
        let mut core = registered(now);
        let jobs = [job(b"1", b"one"), job(b"2", b"two"), job(b"3", b"three")];
        for job in &jobs {
            give(&mut core, job, now);
        }
        for index in [2, 0, 1] {
            let (job, mut out) = (jobs[index], Vec::new());
            core.finish(&job, b"ret", &mut out);
            let Ok(Step::Frame(frame, _)) = decode(&out, 1024) else { panic!("not a frame") };
            let expected = Return { function: b"F", params: job.params.bytes, ret: b"ret", id: Some(job.id) };
            assert_eq!(FromWorker::parse(&frame), Ok(FromWorker::Return(expected)));
        }
        assert_eq!(core.in_flight(), 0);
    }

    #[test]
    fn it_pings_every_ten_seconds_and_gives_a_silent_broker_up_after_sixty() {
        let start = Instant::now();
        let mut core = registered(start);
        for pinged in 1..=5 {
            let (due, mut out) = (core.next_tick(), Vec::new());
            assert_eq!(due, start + PERIOD * pinged);
            assert!(core.tick(due, &mut out));
            assert_eq!(kinds(&out), [pdt::W_HEARTBEAT_PING]);
        }
        assert!(!core.tick(core.next_tick(), &mut Vec::new()));
    }

    #[test]
    fn any_frame_is_a_sign_of_life() {
        let start = Instant::now();
        let mut core = registered(start);
        core.receive(&bare(99), start + Duration::from_secs(59), &mut Vec::new());
        assert!(core.tick(start + Duration::from_secs(118), &mut Vec::new()));
    }

    #[test]
    fn a_grab_answers_no_job_and_a_wakeup_ends_a_pause() {
        let (now, mut out) = (Instant::now(), Vec::new());
        let mut core = registered(now);
        core.receive(&bare(pdt::NO_JOB), now, &mut out);
        core.receive(&bare(pdt::TO_SLEEP), now, &mut out);
        assert_eq!(core.next_tick(), now + PAUSE);
        assert!(core.tick(now + PAUSE, &mut out));
        assert_eq!(kinds(&out), [pdt::W_GRAB_JOB, pdt::WAKEUP]);
    }

    #[test]
    fn leaving_waits_for_the_pong_and_for_jobs_that_came_before_it() {
        let (now, mut out) = (Instant::now(), Vec::new());
        let mut core = registered(now);
        core.leave([b"F".as_slice()].into_iter(), now, &mut out);
        assert_eq!(kinds(&out), [pdt::W_DEL_FUNC, pdt::W_HEARTBEAT_PING]);
        let late = job(b"1", b"x");
        give(&mut core, &late, now);
        core.receive(&bare(pdt::S_HEARTBEAT_PONG), now, &mut out);
        assert!(!core.is_done(now + FAREWELL), "a job is in flight");
        core.finish(&late, b"", &mut out);
        assert!(core.is_done(now));
    }

    #[test]
    fn a_broker_without_pongs_is_left_after_a_moment() {
        let now = Instant::now();
        let mut core = registered(now);
        core.leave([].into_iter(), now, &mut Vec::new());
        assert!(!core.is_done(now));
        assert_eq!(core.next_tick(), now + FAREWELL);
        assert!(core.is_done(now + FAREWELL));
    }

    #[test]
    fn a_job_whose_lengths_are_wrong_is_lost_alone() {
        let now = Instant::now();
        let mut core = registered(now);
        let frame = Frame { body: &[0xff; 24], ..bare(pdt::S_GET_DATA) };
        assert!(matches!(core.receive(&frame, now, &mut Vec::new()), Event::Malformed(_)));
        assert_eq!(core.in_flight(), 0);
        give(&mut core, &job(b"1", b"x"), now);
    }
}
