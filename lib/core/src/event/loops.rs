//! Loops with a thread of their own, and groups of them: an event base each, jobs posted from anywhere.
//!
//! A loop ends when it is stopped: after the job or callback that runs, not after everything that waits. What waits then
//! is dropped on the loop's thread. Whoever wants everything run first posts a job that stops the loop.

use super::base::Base;
use super::call::{Call, Handler, NoTimers};
use super::post::{Refused, Task};
use crate::sys::{cpus, starting};
use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, ThreadId};

/// How a loop is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The thread's name; the kernel shows its first 15 bytes.
    pub name: String,
    /// How many jobs may wait.
    pub mailbox: usize,
    /// The processor to stay on, by the system's number.
    pub processor: Option<u32>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { name: "msf_loop".to_owned(), mailbox: Base::<TasksOnly>::MAILBOX, processor: None }
    }
}

/// For loops that are only posted to.
#[derive(Clone, Copy, Debug)]
pub enum TasksOnly {}

impl Handler for TasksOnly {
    type Job = Task;
    type Timer = NoTimers;

    fn wants(&self, _: Call) -> bool {
        match *self {}
    }

    fn call(self, _: Call) {
        match self {}
    }
}

/// An event base and the thread that turns it. Clones are handles of the same one; the loop goes on when the last of
/// them is dropped, so keep one to stop it.
///
/// ```
/// use msf_core::event::{Loop, LoopSettings};
/// use std::sync::mpsc;
///
/// let (told, answer) = mpsc::channel();
/// let worker: Loop = Loop::spawn(LoopSettings::default())?;
/// worker.post(Box::new(move || told.send(6 * 7).unwrap())).unwrap();
/// assert_eq!(answer.recv().unwrap(), 42);
/// worker.stop();
/// worker.join()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Loop<H: Handler = TasksOnly> {
    inner: Arc<Inner<H>>,
}

struct Inner<H: Handler> {
    base: Base<H>,
    /// The one that turns the base; set before anybody else has the loop.
    thread: OnceLock<ThreadId>,
    /// `None` when somebody else turns the base, or has joined it.
    handle: Mutex<Option<starting::Thread>>,
    /// How its dispatch ended.
    ended: Mutex<io::Result<()>>,
    adopted: bool,
}

impl<H: Handler> Inner<H> {
    fn new(base: Base<H>, adopted: bool) -> Inner<H> {
        Inner { base, thread: OnceLock::new(), handle: Mutex::new(None), ended: Mutex::new(Ok(())), adopted }
    }
}

thread_local! {
    /// The loop of this thread; of any handler's type, hence `Any`.
    static CURRENT: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

impl<H: Handler> Loop<H> {
    /// Starts a thread that turns a new base. EINVAL when there is no such processor, otherwise what the system says.
    pub fn spawn(settings: Settings) -> io::Result<Loop<H>> {
        let base = Base::with_mailbox(settings.mailbox)?;
        let new = Loop { inner: Arc::new(Inner::new(base, false)) };
        let (its, lives, processor) = (new.clone(), new.clone(), settings.processor);
        let ready = Box::new(move || {
            let _ = its.inner.thread.set(thread::current().id());
            processor.map_or(Ok(()), |number| cpus::set_affinity(0, &[number].into_iter().collect()))
        });
        let handle = starting::start(&settings.name, None, Some(ready), Box::new(move || lives.live()))?;
        *new.inner.handle.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        Ok(new)
    }

    /// A loop for a base that the calling thread turns itself; it is that thread's loop until [`Loop::release`]. EBUSY
    /// when the thread has one.
    pub fn adopt(base: Base<H>) -> io::Result<Loop<H>> {
        if CURRENT.with_borrow(Option::is_some) {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        let new = Loop { inner: Arc::new(Inner::new(base, true)) };
        let _ = new.inner.thread.set(thread::current().id());
        CURRENT.set(Some(Box::new(new.clone())));
        Ok(new)
    }

    /// The loop of the calling thread, if it has one of this type.
    pub fn current() -> Option<Loop<H>> {
        CURRENT.with_borrow(|current| current.as_ref()?.downcast_ref::<Loop<H>>().cloned())
    }

    /// Undoes [`Loop::adopt`] on the thread that called it; the base stays as it is.
    pub fn release(&self) {
        if self.inner.adopted && Self::current().is_some_and(|current| current.same(self)) {
            CURRENT.set(None);
        }
    }

    /// Its base: for descriptors, timers, and all that a base has.
    pub fn base(&self) -> &Base<H> {
        &self.inner.base
    }

    /// Has `job` run on the loop's thread, as [`Base::post`] says.
    #[inline(always)]
    pub fn post(&self, job: H::Job) -> Result<(), Refused<H::Job>> {
        self.inner.base.post(job)
    }

    /// Ends the loop after the job or callback that runs; what waits is dropped on its thread. For an adopted base it
    /// is [`Base::loopexit`].
    pub fn stop(&self) {
        self.inner.base.loopexit();
    }

    /// Waits for the end of its thread. EDEADLK on that very thread, EINVAL for an adopted base or when somebody waits
    /// or has waited already; otherwise why the loop ended, if not by [`Loop::stop`].
    pub fn join(&self) -> io::Result<()> {
        if self.is_current() {
            return Err(io::Error::from_raw_os_error(libc::EDEADLK));
        }
        let handle = self.inner.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let handle = handle.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        handle.join().map_err(|_| io::Error::from_raw_os_error(libc::ENOTRECOVERABLE))?;
        std::mem::replace(&mut *self.inner.ended.lock().unwrap_or_else(PoisonError::into_inner), Ok(()))
    }

    /// Whether the calling thread is the loop's.
    pub fn is_current(&self) -> bool {
        self.inner.thread.get() == Some(&thread::current().id())
    }

    /// Whether both are handles of one loop.
    pub fn same(&self, other: &Loop<H>) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// What the thread does.
    fn live(self) {
        CURRENT.set(Some(Box::new(self.clone())));
        let ended = self.inner.base.dispatch();
        self.inner.base.close();
        CURRENT.set(None);
        *self.inner.ended.lock().unwrap_or_else(PoisonError::into_inner) = ended;
    }
}

impl<H: Handler> Clone for Loop<H> {
    fn clone(&self) -> Self {
        Loop { inner: Arc::clone(&self.inner) }
    }
}

impl<H: Handler> std::fmt::Debug for Loop<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loop").field("thread", &self.inner.thread).finish_non_exhaustive()
    }
}

/// Several loops, each with a thread of its own. Dropped, it stops them and waits for them.
#[derive(Debug)]
pub struct Group<H: Handler = TasksOnly> {
    loops: Vec<Loop<H>>,
    next: AtomicUsize,
}

impl<H: Handler> Group<H> {
    /// Starts `count` loops (0: as many as there are processors for us) called `name/0`, `name/1` and so on; when a
    /// processor is given, each is pinned to one that this process may use: the first to that one or the next above it, and
    /// so on, around. EINVAL when there is none, and for more than [`Group::MOST`].
    pub fn spawn(count: usize, settings: &Settings) -> io::Result<Group<H>> {
        let processors: Vec<u32> = cpus::affinity(0)?.iter().collect();
        let count = if count == 0 { processors.len() } else { count };
        let first = processors.iter().position(|&number| settings.processor.is_none_or(|from| from <= number));
        let Some(first) = first.filter(|_| count <= Self::MOST) else {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        };
        let mut around = processors.into_iter().cycle().skip(first);
        let mut group = Group { loops: Vec::with_capacity(count), next: AtomicUsize::new(0) };
        for number in 0..count {
            let name = format!("{}/{number}", settings.name);
            let processor = settings.processor.and_then(|_| around.next());
            group.loops.push(Loop::spawn(Settings { name, mailbox: settings.mailbox, processor })?);
        }
        Ok(group)
    }

    /// More loops than this are a mistake.
    pub const MOST: usize = 1024;

    /// All of them.
    pub fn loops(&self) -> &[Loop<H>] {
        &self.loops
    }

    /// The place of the next one in turn.
    pub fn pick(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.loops.len()
    }

    /// Always the same place for the same key; keys that follow each other are spread evenly.
    pub fn pick_for(&self, key: u64) -> usize {
        // Fibonacci hashing: the high half of the product, scaled to the number of loops.
        let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        ((mixed * self.loops.len() as u64) >> 32) as usize
    }
}

impl<H: Handler> Drop for Group<H> {
    fn drop(&mut self) {
        self.loops.iter().for_each(Loop::stop);
        for one in &self.loops {
            // From one of its own threads it cannot wait for that one, which ends all the same.
            let _ = one.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::prctl;
    use std::sync::mpsc;

    fn ask<T: Send + 'static>(of: &Loop, question: impl FnOnce() -> T + Send + 'static) -> T {
        let (told, answer) = mpsc::channel();
        of.post(Box::new(move || told.send(question()).unwrap())).unwrap();
        answer.recv().unwrap()
    }

    #[test]
    fn jobs_run_on_a_thread_of_its_own_that_knows_its_loop_and_its_name() {
        let last = cpus::affinity(0).unwrap().iter().last().unwrap();
        let settings = Settings { name: "seven".to_owned(), processor: Some(last), ..Settings::default() };
        let worker: Loop = Loop::spawn(settings).unwrap();
        let name = ask(&worker, || prctl::get_name().unwrap().into_string().ok());
        assert_eq!(name.as_deref(), Some("seven"));
        assert!(ask(&worker, Loop::<TasksOnly>::current).is_some_and(|current| current.same(&worker)));
        assert_eq!(ask(&worker, || cpus::affinity(0).unwrap()), [last].into_iter().collect());
        assert!(Loop::<TasksOnly>::current().is_none());
        worker.stop();
        worker.join().unwrap();
        assert!(matches!(worker.post(Box::new(|| {})), Err(Refused::Closed(_))));
        assert_eq!(worker.join().unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn what_waits_when_the_loop_ends_is_dropped_and_its_own_thread_cannot_join_it() {
        let worker: Loop = Loop::spawn(Settings::default()).unwrap();
        let (told, seen) = mpsc::channel::<i32>();
        let this = worker.clone();
        worker
            .post(Box::new(move || {
                assert_eq!(this.join().unwrap_err().raw_os_error(), Some(libc::EDEADLK));
                this.post(Box::new(move || told.send(1).unwrap())).unwrap();
                this.stop();
            }))
            .unwrap();
        worker.join().unwrap();
        assert!(seen.recv().is_err());
    }

    #[test]
    fn group_is_picked_from_in_turn_and_by_key() {
        let group = Group::<TasksOnly>::spawn(3, &Settings { processor: Some(0), ..Settings::default() }).unwrap();
        assert_eq!((0..4).map(|_| group.pick()).collect::<Vec<_>>(), [0, 1, 2, 0]);
        let mut counts = [0; 3];
        (0..3000).for_each(|key| counts[group.pick_for(key)] += 1);
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
        assert_eq!(group.pick_for(7), group.pick_for(7));
        let Err(error) = Loop::<TasksOnly>::spawn(Settings { processor: Some(100_000), ..Settings::default() }) else {
            panic!("there is no such processor");
        };
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn regress_loops_of_a_group_stay_on_processors_by_number_that_we_may_use() {
        thread::spawn(|| {
            let allowed: Vec<u32> = cpus::affinity(0).unwrap().iter().collect();
            let last = *allowed.last().unwrap();
            // As in a container that does not have the first processor.
            cpus::set_affinity(0, &[last].into_iter().collect()).unwrap();
            for from in [0, last] {
                let settings = Settings { name: "g".to_owned(), processor: Some(from), ..Settings::default() };
                let group = Group::<TasksOnly>::spawn(2, &settings).unwrap();
                for (number, one) in group.loops().iter().enumerate() {
                    let name = ask(one, || prctl::get_name().unwrap().into_string().ok());
                    assert_eq!(name, Some(format!("g/{number}")));
                    assert_eq!(ask(one, || cpus::affinity(0).unwrap().iter().collect::<Vec<_>>()), [last]);
                }
            }
            let beyond = Settings { processor: Some(last + 1), ..Settings::default() };
            let error = Group::<TasksOnly>::spawn(1, &beyond).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn base_that_somebody_turns_himself_is_his_threads_loop() {
        let base = Base::<TasksOnly>::new().unwrap();
        let mine = Loop::adopt(base.clone()).unwrap();
        assert_eq!(Loop::adopt(base.clone()).unwrap_err().raw_os_error(), Some(libc::EBUSY));
        let poster = {
            let mine = mine.clone();
            thread::spawn(move || mine.clone().post(Box::new(move || mine.stop())).unwrap())
        };
        base.dispatch().unwrap();
        poster.join().unwrap();
        assert!(Loop::<TasksOnly>::current().unwrap().same(&mine));
        mine.release();
        assert!(Loop::<TasksOnly>::current().is_none());
    }
}
