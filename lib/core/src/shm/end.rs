//! One end of a ring: the mapping, the claim to be this side, and waiting for the other.
//!
//! Who is a side holds a lock on a byte of the segment's file (an open-file-description lock on a description of his
//! own). The kernel drops it when he dies, whatever he dies of; it knows no process numbers, so neither namespaces nor
//! numbers that are used again matter, nor how wide the other's words are. A word beside it says whether the side was
//! closed properly and how often it was taken.
//!
//! One who sleeps is woken by the kernel when the other dies (see `keeper`), and only then asks after the lock: that hint
//! may come for nothing, or a moment before the lock goes. Where there is no such hint he asks every [`SLICE`].

use super::bell::{Bell, Bells};
use super::handoff::{Ask, UNWATCHED, arrive, get_up, leave, lie_down, must_ask, must_wake};
use super::keeper::{Watched, watch};
use super::layout::{
    CONSUMER_PRESENCE, CONSUMER_PROCESSOR, CONSUMER_SLEEPS, HEAD, LAST, Layout, PRODUCER_PRESENCE, PRODUCER_PROCESSOR,
    PRODUCER_SLEEPS, TAIL, long, short,
};
use super::patience::{Spin, Wait};
use super::refusal::Refusal;
use super::segment::Segment;
use crate::error::Error;
use crate::sys::Map;
use crate::sys::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sched::sched_getcpu;
use nix::sys::stat::Mode;
use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Who waits for a side that has died learns it within this time (and what the machine needs to run him): at once where the
/// kernel tells, else by asking so often.
pub const SLICE: Duration = Duration::from_millis(100);

/// What is known of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Nobody has been there yet.
    Never,
    /// Somebody is there.
    Here,
    /// It was closed.
    Left,
    /// It died.
    Died,
}

/// Which side: the byte that is locked, and the words that say "I sleep", who is there, and where he waited last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    lock: usize,
    sleeps: usize,
    presence: usize,
    processor: usize,
}

pub(super) const PRODUCER: Side =
    Side { lock: HEAD, sleeps: PRODUCER_SLEEPS, presence: PRODUCER_PRESENCE, processor: PRODUCER_PROCESSOR };
pub(super) const CONSUMER: Side =
    Side { lock: TAIL, sleeps: CONSUMER_SLEEPS, presence: CONSUMER_PRESENCE, processor: CONSUMER_PROCESSOR };

#[derive(Debug)]
pub(super) struct End {
    pub map: Map,
    pub layout: Layout,
    ours: Side,
    theirs: Side,
    /// Holds the lock as long as it is open.
    lock: OwnedFd,
    bell: Bell,
    spin: Spin,
    /// The other's presence word when its going was told last.
    told: Cell<u32>,
    /// Our end is told to the other.
    watched: Option<Watched>,
}

// SAFETY: the mapping is shared memory that no thread is special to; everything else is `Send` by itself.
unsafe impl Send for End {}

impl End {
    /// Takes a side of the ring in a segment. EBUSY while somebody else has it; EPROTO when there is no ring; EINVAL when
    /// bells are missing, or given to a ring without.
    pub fn attach(segment: &Segment, ours: Side, theirs: Side, bells: Option<Bells>) -> Result<End, Error> {
        let lock = reopened(segment).map_err(Error::system("open the segment of a ring again"))?;
        let map = Map::shared(&lock, segment.size()).map_err(|error| Error::System {
            doing: "map the segment of a ring",
            source: Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)),
        })?;
        let layout = Layout::read(&map).map_err(Error::system("use the segment as a ring"))?;
        if layout.bells != bells.is_some() {
            return Err(Error::system("use the ring's way of waking")(Errno::EINVAL));
        }
        // Before the claim: nothing that takes time is between that and the arrival.
        let watched = if layout.bells { None } else { watch(lock.as_fd(), theirs.sleeps) };
        claim(&lock, ours).map_err(Error::system("take a side of the ring"))?;
        let bell = if ours.lock == HEAD { Bell::of_producer(bells) } else { Bell::of_consumer(bells) };
        let end = End { map, layout, ours, theirs, lock, bell, spin: Spin::new(), told: Cell::new(0), watched };
        end.arrive();
        Ok(end)
    }

    #[inline]
    pub fn head(&self) -> &AtomicU64 {
        long(&self.map, HEAD)
    }

    #[inline]
    pub fn tail(&self) -> &AtomicU64 {
        long(&self.map, TAIL)
    }

    #[inline]
    pub fn last(&self) -> &AtomicU64 {
        long(&self.map, LAST)
    }

    /// Where both sides stand, if that can be.
    pub fn positions(&self) -> Result<(u64, u64), Refusal> {
        let (tail, head) = (self.tail().load(Ordering::Acquire), self.head().load(Ordering::Acquire));
        self.possible(tail, head).then_some((tail, head)).ok_or(Refusal::Corrupt)
    }

    /// Whether the two can be the ends of what is in the ring.
    #[inline]
    pub fn possible(&self, tail: u64, head: u64) -> bool {
        head.checked_sub(tail).is_some_and(|filled| filled <= u64::from(self.layout.capacity))
            && (tail | head) & 15 == 0
    }

    #[inline]
    pub fn other_sleeps(&self) -> &AtomicU32 {
        short(&self.map, self.theirs.sleeps)
    }

    /// After `publish` or `must_wake` said so.
    pub fn wake(&self) {
        self.bell.ring(self.other_sleeps());
    }

    pub fn fd(&self) -> Option<&OwnedFd> {
        match &self.bell {
            Bell::Futex => None,
            Bell::Event { ours, .. } => Some(ours),
        }
    }

    /// What is known of the other side now; asks the kernel.
    pub fn peer(&self) -> Peer {
        match self.presence() {
            0 => Peer::Never,
            word if word & HERE == 0 => Peer::Left,
            // One who was told of is dead, though a successor may have the lock already: he is here when he says so.
            word if word == self.told.get() || self.vacant() && self.presence() == word => Peer::Died,
            _ => Peer::Here,
        }
    }

    /// What `ready` finds, as soon as it finds something.
    #[inline]
    pub fn wait<T>(&self, wait: Wait, mut ready: impl Look<T>) -> Result<T, Refusal> {
        match ready(self)? {
            Some(found) => Ok(found),
            None if wait == Wait::Try => self.arm(&mut ready),
            None if self.shares_processor() => self.sleep(wait.end(), &mut ready),
            None => match self.spin.until(|| ready(self).transpose()) {
                Some(found) => found,
                None => self.sleep(wait.end(), &mut ready),
            },
        }
    }

    /// Whether the other side waited last on the processor that we run on: then it cannot run while we look.
    fn shares_processor(&self) -> bool {
        let here = sched_getcpu().map_or(0, |number| number as u32 + 1);
        let [ours, theirs] = [self.ours, self.theirs].map(|side| short(&self.map, side.processor));
        ours.store(here, Ordering::Relaxed);
        here != 0 && theirs.load(Ordering::Relaxed) == here
    }

    /// Until something is found, the time is over, or the other side is gone.
    fn sleep<T>(&self, end: Option<Instant>, ready: &mut impl Look<T>) -> Result<T, Refusal> {
        let ours = short(&self.map, self.ours.sleeps);
        let mut doubt = DOUBT;
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Refusal::TimedOut);
            }
            let word = match self.lie_down(ready) {
                Ok(word) => word,
                Err(found) => return found,
            };
            let ask = self.must_ask(word, &mut doubt);
            let most = ask.map_or(left, |ask| Some(left.map_or(ask, |left| left.min(ask))));
            let over = self.bell.sleep(ours, word, most).map_err(Refusal::System);
            get_up(ours);
            if let Some(found) = ready(self)? {
                return Ok(found);
            }
            if over?
                && ask.is_some()
                && let Some(gone) = self.gone(true, ready)
            {
                return gone;
            }
        }
    }

    /// How long to sleep before asking whether the other lives, when that has to be asked.
    fn must_ask(&self, word: u32, doubt: &mut Duration) -> Option<Duration> {
        let untold = || {
            let word = self.presence();
            word & HERE != 0 && word != self.told.get()
        };
        match must_ask(word, untold) {
            // An eventfd does not tell of an end.
            _ if !self.sleeps_on_futex() => Some(SLICE),
            Ask::Never => None,
            Ask::Always => Some(SLICE),
            Ask::Soon => {
                let now = *doubt;
                *doubt = SLICE.min(now * 2);
                Some(now)
            }
        }
    }

    fn sleeps_on_futex(&self) -> bool {
        matches!(self.bell, Bell::Futex)
    }

    /// Without waiting. A ring with bells is left in such a state that its descriptor tells of what comes.
    fn arm<T>(&self, ready: &mut impl Look<T>) -> Result<T, Refusal> {
        if self.sleeps_on_futex() {
            return self.gone(false, ready).unwrap_or(Err(Refusal::Later));
        }
        self.bell.silence();
        self.lie_down(ready).err().unwrap_or(Err(Refusal::Later))
    }

    /// Says that we sleep, unless there is something to be found or told.
    fn lie_down<T>(&self, ready: &mut impl Look<T>) -> Result<u32, Result<T, Refusal>> {
        lie_down(short(&self.map, self.ours.sleeps), || match ready(self).transpose() {
            None => self.gone(false, ready),
            found => found,
        })
    }

    /// That the other side has left, or (when the kernel is to be asked) died: told once. What it did before it went comes
    /// first.
    fn gone<T>(&self, ask: bool, ready: &mut impl Look<T>) -> Option<Result<T, Refusal>> {
        let word = self.presence();
        if word == 0 || word == self.told.get() {
            return None;
        }
        let refusal = match word & HERE {
            0 => Refusal::Left,
            _ if ask && self.vacant() && self.presence() == word => Refusal::Died,
            _ => return None,
        };
        let found = ready(self).transpose();
        if found.is_some() {
            return found;
        }
        self.told.set(word);
        Some(Err(refusal))
    }

    fn presence(&self) -> u32 {
        short(&self.map, self.theirs.presence).load(Ordering::Acquire)
    }

    /// Whether nobody holds the other side's lock.
    fn vacant(&self) -> bool {
        let mut lock = lock_of(self.theirs);
        let asked = fcntl(&self.lock, FcntlArg::F_OFD_GETLK(&mut lock));
        asked.is_ok() && i32::from(lock.l_type) == libc::F_UNLCK
    }

    /// The word says whose end is to be told before anybody can know that we are here.
    fn arrive(&self) {
        get_up(short(&self.map, self.ours.sleeps));
        if self.sleeps_on_futex() {
            arrive(self.other_sleeps(), self.watched.as_ref().map_or(UNWATCHED, Watched::number));
            self.wake();
        }
        let presence = short(&self.map, self.ours.presence);
        let count = presence.load(Ordering::Relaxed) & !HERE;
        presence.store(count.wrapping_add(2) | HERE, Ordering::Release);
        // An event loop looks once at what is there already, and is armed by that.
        self.bell.ring_ours();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let presence = short(&self.map, self.ours.presence);
        presence.store(presence.load(Ordering::Relaxed) & !HERE, Ordering::Release);
        if must_wake(self.other_sleeps()) {
            self.wake();
        }
        if self.sleeps_on_futex() {
            leave(self.other_sleeps());
        }
    }
}

/// Looks for what is waited for; an error ends the wait, too.
pub(super) trait Look<T>: FnMut(&End) -> Result<Option<T>, Refusal> {}

impl<T, F: FnMut(&End) -> Result<Option<T>, Refusal>> Look<T> for F {}

/// Locks belong to open file descriptions, and a descriptor that was passed on shares its description with the sender:
/// the side needs one of its own.
fn reopened(segment: &Segment) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", segment.as_fd().as_raw_fd());
    open(path.as_str(), OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
}

fn claim(lock: &OwnedFd, side: Side) -> Result<(), Errno> {
    match fcntl(lock, FcntlArg::F_OFD_SETLK(&lock_of(side))) {
        Err(Errno::EAGAIN | Errno::EACCES) => Err(Errno::EBUSY),
        other => other.map(drop),
    }
}

fn lock_of(side: Side) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as _,
        l_whence: libc::SEEK_SET as _,
        l_start: side.lock as _,
        l_len: 1,
        l_pid: 0,
    }
}

const HERE: u32 = 1;
/// One who was told of an end asks after so long, then after twice as long, and so on.
const DOUBT: Duration = Duration::from_millis(1);
