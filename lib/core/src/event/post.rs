//! Jobs that any thread hands to an event base, run by the thread that turns it: oldest first, between two polls.
//!
//! Every job that was accepted is used up exactly once: run, or, when the base is closed first, dropped. The mailbox
//! behind it is made with the first job, so a base that nobody posts to pays nothing. After a pass that brought jobs the
//! loop watches for the next one a moment before it sleeps ([`Vigil`]): threads that answer each other do not go through
//! the kernel then.

use super::mailbox::{self, Full, Receiver, Sender};
use super::waker::Waker;
use crate::sys::cpus;
use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What is handed to a loop: run there, or dropped when the loop is closed first.
pub trait Job: Send + 'static {
    /// Called on the thread that turns the loop, with no lock held.
    fn run(self);
}

/// The job of a Rust program.
pub type Task = Box<dyn FnOnce() + Send>;

impl Job for Task {
    fn run(self) {
        self();
    }
}

/// A job that was not accepted, given back.
pub enum Refused<J> {
    /// As many as may wait are waiting.
    Full(J),
    /// The base is closed.
    Closed(J),
}

impl<J> Refused<J> {
    /// The job.
    pub fn into_job(self) -> J {
        match self {
            Refused::Full(job) | Refused::Closed(job) => job,
        }
    }
}

impl<J> fmt::Debug for Refused<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Full(_) => "the mailbox is full",
            Refused::Closed(_) => "the loop is closed",
        })
    }
}

/// The jobs that wait for one base.
pub(super) struct Posts<J> {
    /// At most so many wait.
    limit: usize,
    /// `None` when the base was closed before anybody posted.
    lane: OnceLock<Option<Lane<J>>>,
}

struct Lane<J> {
    into: Sender<J>,
    from: Receiver<J>,
}

impl<J: Job> Posts<J> {
    pub fn new(limit: usize) -> Posts<J> {
        Posts { limit, lane: OnceLock::new() }
    }

    /// Hands `job` to the loop that `waker` wakes.
    #[inline(always)]
    pub fn post(&self, job: J, waker: &Waker) -> Result<(), Refused<J>> {
        match self.lane.get_or_init(|| Some(Lane::new(self.limit, waker.clone()))) {
            None => Err(Refused::Closed(job)),
            Some(lane) => lane.into.try_send(job).map_err(|Full(job)| match lane.into.is_closed() {
                true => Refused::Closed(job),
                false => Refused::Full(job),
            }),
        }
    }

    /// Runs what waits now, and says whether that was anything; what these jobs post waits for the next time, so that
    /// nothing else starves. Ends early when `leave` says so; the rest stays, and keeps the loop awake.
    pub fn run(&self, leave: impl Fn() -> bool) -> bool {
        let Some(lane) = self.lane() else { return false };
        let waiting = lane.from.len();
        for job in lane.from.drain(waiting) {
            job.run();
            if leave() {
                break;
            }
        }
        waiting > 0
    }

    /// Accepts nothing any more; what waits is dropped: now, or by another thread that runs jobs, when it is done.
    pub fn close(&self) {
        if let Some(lane) = self.lane.get_or_init(|| None) {
            lane.from.close();
        }
    }

    /// Whether no job waits; the next one will wake the loop then. Inside a job nobody else would see to that.
    pub fn are_idle(&self) -> bool {
        self.lane().is_none_or(|lane| lane.from.is_idle())
    }

    fn lane(&self) -> Option<&Lane<J>> {
        self.lane.get()?.as_ref()
    }
}

impl<J> Lane<J> {
    fn new(limit: usize, waker: Waker) -> Lane<J> {
        let (into, from) = mailbox::bounded(limit, waker);
        Lane { into, from }
    }
}

impl<J> fmt::Debug for Posts<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posts").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Whether to watch for the next job before going to sleep: for [`Vigil::LONGEST`], and ever more seldom while that is
/// in vain, so that a loop whose jobs are far apart spends nothing on it.
#[derive(Debug, Default)]
pub(super) struct Vigil {
    /// Vigils in vain since the last good one.
    vain: u32,
    /// Occasions still to be passed over.
    skip: u32,
}

impl Vigil {
    /// Well above what it takes two threads to answer each other, and about what a sleep and a wake-up cost.
    const LONGEST: Duration = Duration::from_micros(20);

    /// Called when the last pass brought nothing but jobs. Returns early when a note lies there.
    pub fn keep(&mut self, waker: &Waker) {
        if self.skip > 0 {
            self.skip -= 1;
        } else if watch(waker) {
            self.vain = 0;
        } else {
            self.vain = (self.vain + 1).min(8);
            self.skip = (1 << self.vain) - 1;
        }
    }
}

fn watch(waker: &Waker) -> bool {
    if !several_processors() {
        return false;
    }
    let began = Instant::now();
    loop {
        // The clock costs about as much as these looks.
        for _ in 0..32 {
            if waker.is_noted() {
                return true;
            }
            std::hint::spin_loop();
        }
        if began.elapsed() >= Vigil::LONGEST {
            return false;
        }
    }
}

/// On a single processor nobody can post while we watch.
fn several_processors() -> bool {
    static SEVERAL: OnceLock<bool> = OnceLock::new();
    *SEVERAL.get_or_init(cpus::several)
}

#[cfg(test)]
mod tests {
    use super::super::poller::KernelWaker;
    use super::*;
    use std::sync::{Arc, mpsc};

    fn waker() -> Waker {
        Waker::new(KernelWaker::new().unwrap())
    }

    fn tells(to: &mpsc::Sender<u32>, number: u32) -> Task {
        let to = to.clone();
        Box::new(move || to.send(number).unwrap())
    }

    #[test]
    fn jobs_run_in_the_order_of_posting_and_what_they_post_waits() {
        let (posts, waker) = (Arc::new(Posts::<Task>::new(8)), waker());
        let (told, seen) = mpsc::channel();
        let (again, bell, later) = (Arc::clone(&posts), waker.clone(), tells(&told, 3));
        posts.post(tells(&told, 1), &waker).unwrap();
        posts.post(Box::new(move || again.post(later, &bell).unwrap()), &waker).unwrap();
        posts.post(tells(&told, 2), &waker).unwrap();
        assert!(posts.run(|| false));
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [1, 2]);
        assert!(posts.run(|| false));
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [3]);
        assert!(!posts.run(|| false));
    }

    #[test]
    fn full_is_told_and_leaving_early_keeps_the_rest_and_a_note() {
        let (posts, waker) = (Posts::<Task>::new(2), waker());
        let (told, seen) = mpsc::channel();
        posts.post(tells(&told, 1), &waker).unwrap();
        posts.post(tells(&told, 2), &waker).unwrap();
        assert!(matches!(posts.post(tells(&told, 3), &waker), Err(Refused::Full(_))));
        assert!(waker.rouse());
        posts.run(|| true);
        assert!(!waker.doze(), "a job waits");
        posts.run(|| false);
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn closing_drops_what_waits_and_refuses_what_comes() {
        let (posts, waker) = (Posts::<Task>::new(2), waker());
        let (told, seen) = mpsc::channel();
        posts.post(tells(&told, 1), &waker).unwrap();
        posts.close();
        assert!(matches!(posts.post(tells(&told, 2), &waker), Err(Refused::Closed(_))));
        drop(told);
        assert!(seen.recv().is_err(), "the job was dropped, not run, and not kept");
        let never_used = Posts::<Task>::new(2);
        never_used.close();
        assert!(matches!(never_used.post(Box::new(|| {}), &waker), Err(Refused::Closed(_))));
    }

    #[test]
    fn vigils_in_vain_become_rare() {
        let (mut vigil, waker) = (Vigil::default(), waker());
        let began = Instant::now();
        (0..10_000).for_each(|_| vigil.keep(&waker));
        assert!(vigil.vain == 8 && began.elapsed() < Duration::from_secs(1), "{vigil:?} {:?}", began.elapsed());
        waker.wake();
        vigil.skip = 0;
        vigil.keep(&waker);
        assert_eq!(vigil.vain, u32::from(!several_processors()) * 8);
    }
}
