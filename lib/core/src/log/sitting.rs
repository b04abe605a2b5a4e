//! A thread's seat at its ring, and what a caller does there.
//!
//! The invariant signal handlers rely on: once a thread has its seat, a record below FATAL that fits into half a ring is
//! delivered without asking for memory and without waiting for the logger's lock or any other, also when the ring is full.
//! Then the caller writes a batch itself if the lock is free and that needs no memory; otherwise it wakes the writer and
//! waits for a word that moves on with the room that is made, or with the session's end. (Threads beyond the last ring
//! share one under a lock that is held for a copy only.) For the same reason the writer asks for no memory to write a
//! batch: it would wait for an allocator that an interrupted thread holds while its handler waits for room.

use super::Level;
use super::bell::Duty;
use super::caller::{DROPS, LOGGER, lock};
use super::entry::Entry;
use super::record::Source;
use super::session::{EPOCH, Pushed, Seat, Session};
use crate::error::Error;
use crate::sys::{futex, wall};
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::TryLockError;
use std::sync::atomic::Ordering;
use std::thread;

/// What [`write_quickly`] has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quick {
    /// The record is on its way.
    Done,
    /// Nothing has happened: [`write_bytes`](super::write_bytes) is to be called.
    Refused,
    /// It is in the ring, but nobody looks there any more: [`look_after`] is to be called.
    Unattended,
}

/// Puts a record that is wanted into the ring of its thread, if that is all there is to do: for C, which has to prepare
/// for more. No panic, no point of cancellation. (Not inline: it is to be compiled as the rest of this crate is.)
pub fn write_quickly(level: Level, source: &Source<'_>, text: &[u8]) -> Quick {
    if level < Level::Info {
        return Quick::Refused;
    }
    HERE.with(|here| {
        if here.inside.replace(true) {
            return Quick::Refused;
        }
        let taken = here.sitting.try_borrow_mut().map(|mut sitting| sitting.put_quickly(level, source, text));
        here.inside.set(false);
        taken.unwrap_or(Quick::Refused)
    })
}

/// Writes what is in the rings of a session that has ended while the calling thread put a record there.
pub fn look_after() -> Result<(), Error> {
    let _inside = Inside::enter()?;
    HERE.with(|here| {
        if let Some(seat) = here.sitting.try_borrow().ok().as_ref().and_then(|sitting| sitting.seat.as_ref()) {
            lock().drain(&seat.session.spool, u64::MAX);
        }
    });
    Ok(())
}

/// Puts a record into the ring of its thread; None: the thread has no seat in the current session.
#[inline]
pub(super) fn put(entry: &mut Entry<'_>) -> Option<Result<(), Error>> {
    HERE.with(|here| here.sitting.try_borrow_mut().ok().and_then(|mut sitting| sitting.put(entry)))
}

/// As [`put`], in the seat that the thread has just been given.
pub(super) fn sit_down(epoch: u32, seat: Seat, entry: &mut Entry<'_>) -> Option<Result<(), Error>> {
    HERE.with(|here| {
        let mut sitting = here.sitting.try_borrow_mut().ok()?;
        drop(sitting.seat.take());
        *sitting = Sitting { epoch, tid: entry.tid, seat: ManuallyDrop::new(Some(seat)) };
        sitting.put(entry)
    })
}

/// Takes the thread's seat away.
pub(super) fn get_up() -> Option<Seat> {
    HERE.with(|here| here.sitting.try_borrow_mut().ok().and_then(|mut sitting| sitting.seat.take()))
}

/// Whether the thread's data is being destroyed, and nobody would give a seat back; has it given back then otherwise.
pub(super) fn is_leaving() -> bool {
    LEAVING.try_with(|_| ()).is_err()
}

/// What a thread knows. Nothing in it is dropped, so it is there as long as the thread is, and found at once.
struct Here {
    /// It is inside the logger: a signal handler must not wait for its own thread.
    inside: Cell<bool>,
    sitting: RefCell<Sitting>,
}

/// A thread's seat, and the number of the session it belongs to.
struct Sitting {
    epoch: u32,
    tid: i32,
    seat: ManuallyDrop<Option<Seat>>,
}

impl Sitting {
    const NOWHERE: Sitting = Sitting { epoch: 0, tid: 0, seat: ManuallyDrop::new(None) };

    /// None: the seat is none of the current session's.
    #[inline]
    fn put(&mut self, entry: &mut Entry<'_>) -> Option<Result<(), Error>> {
        if self.epoch != EPOCH.load(Ordering::Relaxed) {
            return None;
        }
        let seat = self.seat.as_mut()?;
        entry.tid = self.tid;
        match seat.push_calmly(entry) {
            Pushed::In(filling) => {
                let duty = seat.session.bell.published(filling);
                if duty != Duty::Nothing || entry.level == Level::Fatal {
                    attend(duty, entry.level, &seat.session);
                }
                Some(Ok(()))
            }
            Pushed::Full | Pushed::TooLarge => Some(overflow(seat, entry)),
        }
    }

    #[inline]
    fn put_quickly(&mut self, level: Level, source: &Source<'_>, text: &[u8]) -> Quick {
        if self.epoch != EPOCH.load(Ordering::Relaxed) {
            return Quick::Refused;
        }
        let Some(seat) = self.seat.as_mut() else { return Quick::Refused };
        let entry = Entry { level, stamp: wall::moment(), tid: self.tid, source: *source, text, line: None };
        let Pushed::In(filling) = seat.push(&entry) else { return Quick::Refused };
        match seat.session.bell.published(filling) {
            Duty::Nothing => {}
            Duty::Wake => seat.session.wake(),
            Duty::Write => return Quick::Unattended,
        }
        Quick::Done
    }
}

/// Gives the seat of a thread back that ends. What it logs from then on, in other destructors, is written directly.
struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        drop(get_up());
    }
}

/// What has to be done for a record that is in the ring.
#[cold]
fn attend(duty: Duty, level: Level, session: &Session) {
    if duty == Duty::Wake {
        session.wake();
    }
    // A program that writes a fatal record may have no time for anything else.
    if duty == Duty::Write || level == Level::Fatal {
        lock().drain(&session.spool, u64::MAX);
    }
}

/// A record for which the ring has no room, now or ever. The writer is woken and makes some; whether it is there at all is
/// what the bell says.
#[cold]
fn overflow(seat: &mut Seat, entry: &Entry<'_>) -> Result<(), Error> {
    let session = seat.session.clone();
    let mut yields = 0;
    let pushed = session.spool.room.wait(
        || match seat.push_calmly(entry) {
            Pushed::Full if DROPS.load(Ordering::Relaxed) || session.bell.is_closed() => Some(Pushed::Full),
            Pushed::Full => {
                if help(&session, entry.stamp) {
                    return Some(seat.push_calmly(entry)).filter(|pushed| *pushed != Pushed::Full);
                }
                if session.bell.published(true) == Duty::Wake {
                    session.wake();
                }
                None
            }
            other => Some(other),
        },
        |word, turn| {
            // The writer makes room batch by batch, as a rule before a sleep would have begun.
            yields += 1;
            if yields < YIELDS {
                thread::yield_now();
            } else {
                // It is tried again whatever the kernel says.
                let _ = futex::wait(word, turn, None);
            }
        },
    );
    match pushed {
        Pushed::In(filling) => attend(session.bell.published(filling), entry.level, &session),
        Pushed::Full if !session.bell.is_closed() => {
            seat.drop_one();
            return Err(Error::Dropped);
        }
        Pushed::Full | Pushed::TooLarge => {
            let mut logger = lock();
            logger.drain(&session.spool, u64::MAX);
            return logger.write(entry);
        }
    }
    Ok(())
}

/// Writes a batch in the writer's place, which on a busy machine may have to wait for a processor, if nobody else does and
/// no memory is needed for it. The lock is not waited for.
fn help(session: &Session, until: u64) -> bool {
    let logger = match LOGGER.try_lock() {
        Ok(logger) => Some(logger),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    };
    logger.is_some_and(|mut logger| logger.help(&session.spool, until))
}

/// Marks this thread as being inside the logger, so that a signal handler does not wait for its own thread.
pub(super) struct Inside;

impl Inside {
    #[inline]
    pub fn enter() -> Result<Inside, Error> {
        if HERE.with(|here| here.inside.replace(true)) { Err(Error::Reentered) } else { Ok(Inside) }
    }

    pub fn is_here() -> bool {
        HERE.with(|here| here.inside.get())
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        HERE.with(|here| here.inside.set(false));
    }
}

thread_local! {
    static HERE: Here = const { Here { inside: Cell::new(false), sitting: RefCell::new(Sitting::NOWHERE) } };
    static LEAVING: Leaving = const { Leaving };
}

/// How often a caller without room looks whether there is some, before it goes to sleep.
const YIELDS: u32 = 100;
