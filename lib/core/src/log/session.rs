//! The rings of this process while one log is open, and who sits at which.

use super::bell::Bell;
use super::entry::{Draft, Entry};
use super::ring::{Producer, Ring};
use super::spool::{RINGS, Spool};
use crate::sys::futex;
use crate::sys::starting::Thread;
use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One log's rings and its writer.
#[derive(Debug)]
pub(super) struct Session {
    pub spool: Spool,
    pub bell: Bell,
    /// Rings whose threads are gone.
    free: Mutex<Vec<Ring>>,
    /// The ring of the threads for which there is none.
    shared: Mutex<Option<(Ring, Producer)>>,
    writer: Mutex<Option<Thread>>,
}

/// A thread's place in a session.
#[derive(Debug)]
pub(super) struct Seat {
    pub session: Arc<Session>,
    /// None: at the shared ring.
    own: Option<(Ring, Producer)>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is in the ring, which is (true) more than half full.
    In(bool),
    /// There is no room for it now.
    Full,
    /// It is larger than a ring can take.
    TooLarge,
}

impl Session {
    pub fn new(spool: Spool) -> Session {
        let (free, shared, writer) = (Mutex::new(Vec::new()), Mutex::new(None), Mutex::new(None));
        Session { spool, bell: Bell::new(), free, shared, writer }
    }

    /// A seat for the calling thread. To be called under the logger's lock, for rings are added.
    pub fn seat(self: &Arc<Session>) -> io::Result<Seat> {
        let mut ring = locked(&self.free).pop();
        if ring.is_none() && self.spool.rings().count() < RINGS as usize - 1 {
            ring = self.spool.add()?;
        }
        let own = ring.map(|ring| (ring, ring.positions().producer()));
        let mut shared = locked(&self.shared);
        if own.is_none() && shared.is_none() {
            *shared = self.spool.add()?.map(|ring| (ring, ring.positions().producer()));
        }
        Ok(Seat { session: self.clone(), own })
    }

    /// Whether a ring holds anything.
    pub fn has_records(&self) -> bool {
        self.spool.rings().any(|ring| {
            let (tail, head) = ring.positions().waiting();
            tail != head
        })
    }

    /// Records that found no room.
    pub fn dropped(&self) -> u64 {
        self.spool.rings().map(|ring| u64::from(ring.positions().dropped())).sum()
    }

    pub fn hire(&self, writer: Thread) {
        *locked(&self.writer) = Some(writer);
    }

    /// The writer, to be waited for without a lock.
    pub fn dismiss(&self) -> Option<Thread> {
        locked(&self.writer).take()
    }

    /// Gets the writer out of its rest. No lock is taken: a signal handler does it, too.
    #[cold]
    pub fn wake(&self) {
        futex::wake(self.bell.word(), 1);
    }

    /// From here on authors write themselves, also those who wait for room.
    pub fn close(&self) {
        self.bell.close();
        self.wake();
        self.spool.room.made(|word| futex::wake(word, u32::MAX));
    }
}

impl Seat {
    /// Puts a record into the ring.
    #[inline]
    pub fn push(&mut self, entry: &Entry<'_>) -> Pushed {
        match &mut self.own {
            // SAFETY: a ring belongs to one seat, a seat to one thread.
            Some((ring, producer)) => unsafe { push(*ring, producer, entry) },
            None => match locked(&self.session.shared).as_mut() {
                // SAFETY: whoever writes to this ring holds the lock.
                Some((ring, producer)) => unsafe { push(*ring, producer, entry) },
                None => Pushed::TooLarge,
            },
        }
    }

    /// As [`Seat::push`], for whoever is in no hurry: once, for all of them.
    #[inline(never)]
    pub fn push_calmly(&mut self, entry: &Entry<'_>) -> Pushed {
        self.push(entry)
    }

    /// Counts a record that found no room.
    #[cold]
    pub fn drop_one(&self) {
        match &self.own {
            Some((ring, _)) => ring.positions().drop_one(),
            None => {
                if let Some((ring, _)) = locked(&self.session.shared).as_ref() {
                    ring.positions().drop_one();
                }
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some((ring, _)) = self.own {
            // What is in it is written as if its author were still there.
            locked(&self.session.free).push(ring);
        }
    }
}

/// # Safety
/// The caller is the ring's only writer, and `producer` is the ring's.
#[inline]
unsafe fn push(ring: Ring, producer: &mut Producer, entry: &Entry<'_>) -> Pushed {
    let draft = Draft::new(entry);
    let size = draft.size();
    if size > ring.largest() {
        return Pushed::TooLarge;
    }
    // SAFETY: the contract is our caller's.
    match unsafe { ring.push(producer, size, |place| draft.put(place)) } {
        Some(filling) => Pushed::In(filling),
        None => Pushed::Full,
    }
}

/// A panic while one of these was held has left it as it was.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of the current session: changes when one ends, and in a forked child.
pub(super) static EPOCH: AtomicU32 = AtomicU32::new(1);
