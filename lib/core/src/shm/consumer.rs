//! The side that receives.

use super::bell::Bells;
use super::end::{CONSUMER, End, PRODUCER, Peer};
use super::handoff::{must_wake, publish};
use super::layout::{BLOCK, HEADER, INLINE, PADDING, room};
use super::patience::Wait;
use super::pool::{Block, Kept};
use super::refusal::Refusal;
use super::segment::Segment;
use crate::error::Error;
use crate::sys::sync::atomic::{AtomicU64, Ordering};
use nix::errno::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::{self, NonNull};

/// The receiving side of a ring; closed when dropped. One per ring, for one thread at a time; a child made by `fork` must
/// not use its parent's.
///
/// A consumer that dies between looking at a message and releasing it has not received it: his successor will.
///
/// ```
/// use msf_core::shm::{Config, Consumer, Producer, Wait, create};
///
/// // Frames of a megabyte change hands without being copied.
/// let ring = create(&Config { blocks: 4, block_size: 1 << 20, ..Config::default() })?;
/// let mut producer = Producer::attach(&ring, None)?;
/// let mut consumer = Consumer::attach(&ring, None)?;
/// let frame = producer.block(Wait::Forever)?;
/// producer.write(&frame, 0, b"pixels")?;
/// producer.send_block(frame, 1 << 20, Wait::Forever).map_err(|(refusal, _)| refusal)?;
///
/// let message = consumer.peek(Wait::Forever)?;
/// let mut first = [0; 6];
/// message.copy_to(0, &mut first)?;
/// assert_eq!((message.len(), &first), (1 << 20, b"pixels"));
/// message.release();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Consumer {
    end: End,
    tail: u64,
    /// Where the producer was when we looked last.
    head: u64,
    /// The number the next message has to have, once one was seen.
    expected: Option<u64>,
    seen: Option<Seen>,
    kept: Kept,
}

/// The next message, as it was when it was checked.
#[derive(Clone, Copy, Debug)]
struct Seen {
    body: NonNull<u8>,
    length: usize,
    block: Option<u32>,
    number: u64,
    /// Where the one behind it begins.
    next: u64,
}

// SAFETY: the pointer in a `Seen` points into the mapping, which belongs to the same consumer.
unsafe impl Send for Consumer {}

/// The next message, in place. Dropped without being released it stays the next one.
///
/// The bytes lie in memory that the producer can write to, too. One that keeps to the rules does not touch them before
/// they are released; of one that is not trusted, look at a copy.
#[derive(Debug)]
pub struct Message<'a> {
    consumer: &'a mut Consumer,
    seen: Seen,
}

impl Consumer {
    /// Takes the receiving side of the ring in `segment`, and goes on where a predecessor stopped: with the first message
    /// he had not released. `bells` are given to a ring that was made with them, and only to such.
    ///
    /// Fails with EBUSY while somebody else is the consumer, EPROTO when the segment holds no ring.
    pub fn attach(segment: &Segment, bells: Option<Bells>) -> Result<Consumer, Error> {
        let end = End::attach(segment, CONSUMER, PRODUCER, bells)?;
        let (tail, head) = end.positions().map_err(|_| Error::system("go on in the ring")(Errno::EPROTO))?;
        let kept = Kept::recovered(&end, tail);
        Ok(Consumer { end, tail, head, expected: None, seen: None, kept })
    }

    /// A copy of the next message.
    pub fn recv(&mut self, wait: Wait) -> Result<Vec<u8>, Refusal> {
        let message = self.peek(wait)?;
        let mut bytes = vec![0; message.len()];
        message.copy_to(0, &mut bytes)?;
        message.release();
        Ok(bytes)
    }

    /// Copies the next message into `buffer`; how long it is. One that is longer is refused and stays.
    #[inline]
    pub fn recv_into(&mut self, buffer: &mut [u8], wait: Wait) -> Result<usize, Refusal> {
        let message = self.peek(wait)?;
        let length = message.len();
        let room = buffer.get_mut(..length).ok_or(Refusal::TooLong)?;
        message.copy_to(0, room)?;
        message.release();
        Ok(length)
    }

    /// The next message, in place.
    #[inline]
    pub fn peek(&mut self, wait: Wait) -> Result<Message<'_>, Refusal> {
        let seen = match self.seen {
            Some(seen) => seen,
            None => self.look(wait)?,
        };
        self.seen = Some(seen);
        Ok(Message { consumer: self, seen })
    }

    /// Releases what was looked at last: it is received, its room and its block are the producer's again.
    #[inline]
    pub fn release(&mut self) -> Result<(), Refusal> {
        let seen = self.seen.take().ok_or(Refusal::NotHeld)?;
        if let Some(index) = seen.block {
            self.end.layout.owner(&self.end.map, index).store(0, Ordering::Release);
        }
        self.pass(&seen);
        Ok(())
    }

    /// Releases what was looked at last, but keeps its block, until [`Consumer::free`]. None when it was not in a block.
    pub fn take(&mut self) -> Result<Option<Block>, Refusal> {
        let seen = self.seen.ok_or(Refusal::NotHeld)?;
        let Some(index) = seen.block else { return Ok(None) };
        self.seen = None;
        self.pass(&seen);
        Ok(Some(self.kept.keep(index)))
    }

    /// Gives a kept block back to the producer.
    pub fn free(&mut self, block: Block) -> Result<(), Refusal> {
        self.kept.drop(&block)?;
        self.end.layout.owner(&self.end.map, block.0).store(0, Ordering::Release);
        if must_wake(self.end.other_sleeps()) {
            self.end.wake();
        }
        Ok(())
    }

    /// Copies bytes out of a kept block, from byte `offset` on.
    pub fn read(&self, block: &Block, offset: usize, bytes: &mut [u8]) -> Result<(), Refusal> {
        let start = self.block_start(block).ok_or(Refusal::NotHeld)?;
        copy_out(start, self.block_size(), offset, bytes)
    }

    /// How many bytes a block has; 0 in a ring without blocks.
    pub fn block_size(&self) -> usize {
        self.end.layout.block_size as usize
    }

    /// Where a kept block begins. It may be read until it is freed.
    pub fn block_start(&self, block: &Block) -> Option<NonNull<u8>> {
        self.kept.holds(block.0).then(|| self.end.layout.block(&self.end.map, block.0))
    }

    /// The kept block that begins at `address`, for those who keep addresses (C).
    pub fn block_at(&self, address: *const u8) -> Option<Block> {
        let index = self.end.layout.block_at(&self.end.map, address)?;
        self.kept.holds(index).then_some(Block(index))
    }

    /// The number (the first message of a ring has 0) behind the last message this consumer looked at; none before the
    /// first.
    pub fn next(&self) -> Option<u64> {
        self.expected
    }

    /// What is known of the producer now.
    pub fn peer(&self) -> Peer {
        self.end.peer()
    }

    /// With bells: readable when there are messages, after a try that found none.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.end.fd().map(AsFd::as_fd)
    }

    #[inline]
    fn look(&mut self, wait: Wait) -> Result<Seen, Refusal> {
        let Consumer { end, tail, head, kept, .. } = self;
        let seen = end.wait(wait, |end: &End| {
            if *head == *tail {
                *head = advanced(end, *head, *tail)?;
            }
            found(end, tail, *head, kept)
        })?;
        if self.expected.is_some_and(|number| number != seen.number) {
            return Err(Refusal::Corrupt);
        }
        self.expected = Some(seen.number.wrapping_add(1));
        Ok(seen)
    }

    #[inline]
    fn pass(&mut self, seen: &Seen) {
        self.tail = seen.next;
        if publish(self.end.tail(), self.tail, self.end.other_sleeps()) {
            self.end.wake();
        }
    }
}

impl Message<'_> {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.seen.length
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.seen.length == 0
    }

    /// Its number: the first message of a ring has 0. One that was delivered before its consumer died comes again with
    /// the same number.
    pub fn number(&self) -> u64 {
        self.seen.number
    }

    /// Where its bytes begin: at a multiple of 16, in a block of 64.
    pub fn as_ptr(&self) -> *const u8 {
        self.seen.body.as_ptr()
    }

    /// Copies bytes out of it, from byte `offset` on, as many as `bytes` has.
    #[inline]
    pub fn copy_to(&self, offset: usize, bytes: &mut [u8]) -> Result<(), Refusal> {
        copy_out(self.seen.body, self.seen.length, offset, bytes)
    }

    /// Its bytes, in place.
    ///
    /// # Safety
    /// The producer does not touch what he has sent: he is trusted, or the same program.
    pub unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: the bytes are mapped as long as the consumer lives, initialised (a segment begins as zeros), and not
        // written to, as our caller vouches.
        unsafe { std::slice::from_raw_parts(self.seen.body.as_ptr(), self.seen.length) }
    }

    /// It is received; the next `peek` finds the one behind it.
    #[inline]
    pub fn release(self) {
        // It was seen, so there is something to release.
        let _ = self.consumer.release();
    }

    /// It is received, but its block is kept; none when it was not in a block (and is not released then).
    pub fn take(self) -> Option<Block> {
        self.consumer.take().ok().flatten()
    }
}

/// How far the producer is, if that can be.
#[inline]
fn advanced(end: &End, before: u64, tail: u64) -> Result<u64, Refusal> {
    let head = end.head().load(Ordering::Acquire);
    if head < before || !end.possible(tail, head) { Err(Refusal::Corrupt) } else { Ok(head) }
}

/// The message at `tail`, behind a padding perhaps. Its header is read once; every number in it is checked before use.
#[inline]
fn found(end: &End, tail: &mut u64, head: u64, kept: &Kept) -> Result<Option<Seen>, Refusal> {
    while *tail != head {
        let (start, to_end) = (*tail, end.layout.before_end(*tail));
        let there = to_end.min(head - start);
        let first = word(end, start);
        let (length, kind) = (first as u32 as usize, (first >> 32) as u32);
        if kind == PADDING {
            // It goes to the end, where the next message begins.
            if to_end != there || room(length) != to_end {
                return Err(Refusal::Corrupt);
            }
            *tail += to_end;
            continue;
        }
        let number = word(end, start + 8);
        let takes = if kind == BLOCK { 2 * HEADER } else { room(length) };
        let block = match kind {
            INLINE if takes <= there => None,
            BLOCK if takes <= there => Some(checked_block(end, start, length, kept).ok_or(Refusal::Corrupt)?),
            _ => return Err(Refusal::Corrupt),
        };
        let body = match block {
            Some(index) => end.layout.block(&end.map, index),
            None => end.layout.data(&end.map, start + HEADER),
        };
        return Ok(Some(Seen { body, length, block, number, next: start + takes }));
    }
    Ok(None)
}

/// The block that the message at `start` brings: one there is, long enough, not kept already, and marked as this message's.
fn checked_block(end: &End, start: u64, length: usize, kept: &Kept) -> Option<u32> {
    let index = u32::try_from(word(end, start + HEADER)).ok().filter(|&index| index < end.layout.blocks)?;
    let marked = end.layout.owner(&end.map, index).load(Ordering::Relaxed) == start + 1;
    (marked && !kept.holds(index) && length <= end.layout.block_size as usize).then_some(index)
}

/// A word of the message area, read once. Positions are multiples of 8, so it never reaches over the end.
#[inline]
fn word(end: &End, position: u64) -> u64 {
    // SAFETY: `data` is inside the mapping and a multiple of 8; both sides access headers by atomics only.
    let word: &AtomicU64 = unsafe { end.layout.data(&end.map, position).cast().as_ref() };
    word.load(Ordering::Relaxed)
}

#[inline]
fn copy_out(from: NonNull<u8>, length: usize, offset: usize, bytes: &mut [u8]) -> Result<(), Refusal> {
    if offset > length || bytes.len() > length - offset {
        return Err(Refusal::TooLong);
    }
    // SAFETY: the offset is within the message.
    let from = unsafe { from.add(offset) };
    // SAFETY: so is what follows it, as was checked; memory of ours is no memory of a ring's segment.
    unsafe { ptr::copy_nonoverlapping(from.as_ptr(), bytes.as_mut_ptr(), bytes.len()) };
    Ok(())
}
