//! The side that sends.

use super::bell::Bells;
use super::end::{CONSUMER, End, PRODUCER, Peer};
use super::handoff::publish;
use super::layout::{BLOCK, HEADER, INLINE, PADDING, room};
use super::patience::Wait;
use super::pool::{Block, Pool};
use super::refusal::Refusal;
use super::segment::Segment;
use crate::error::Error;
use crate::sys::sync::atomic::{AtomicU64, Ordering};
use nix::errno::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::{self, NonNull};

/// The sending side of a ring; closed when dropped. One per ring, for one thread at a time; a child made by `fork` must
/// not use its parent's.
///
/// ```
/// use msf_core::shm::{Config, Consumer, Producer, Wait, create};
///
/// let ring = create(&Config { capacity: 64 * 1024, ..Config::default() })?;
/// // Each end attaches in its own process; the segment's descriptor is what they share.
/// let mut producer = Producer::attach(&ring, None)?;
/// let mut consumer = Consumer::attach(&ring, None)?;
/// producer.send(b"hello", Wait::Forever)?;
/// assert_eq!(consumer.recv(Wait::Forever)?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Producer {
    end: End,
    head: u64,
    /// Where the consumer was when we looked last; he may have come further.
    tail: u64,
    /// The number of the next message.
    number: u64,
    staged: Option<Staged>,
    pool: Pool,
}

/// Room that was found for a message: from `start`, after a padding perhaps.
#[derive(Clone, Copy, Debug)]
struct Staged {
    start: u64,
    length: usize,
}

/// Room in the ring for a message that is being written. Dropped, it is not sent.
#[derive(Debug)]
pub struct Reservation<'a> {
    producer: &'a mut Producer,
    body: NonNull<u8>,
    length: usize,
}

impl Producer {
    /// Takes the sending side of the ring in `segment`, and goes on where a predecessor stopped: what he had committed
    /// was sent, what he was writing was not. `bells` are given to a ring that was made with them, and only to such.
    ///
    /// Fails with EBUSY while somebody else is the producer, EPROTO when the segment holds no ring.
    pub fn attach(segment: &Segment, bells: Option<Bells>) -> Result<Producer, Error> {
        let end = End::attach(segment, PRODUCER, CONSUMER, bells)?;
        let broken = || Error::system("go on in the ring")(Errno::EPROTO);
        let (tail, head) = end.positions().map_err(|_| broken())?;
        let number = sent(&end, head).ok_or_else(broken)?;
        let pool = Pool::recovered(&end, head);
        Ok(Producer { end, head, tail, number, staged: None, pool })
    }

    /// Sends a copy of `message`. When it returns `Ok`, the message will be received, by whoever is the consumer then,
    /// even if this process dies at once.
    #[inline]
    pub fn send(&mut self, message: &[u8], wait: Wait) -> Result<(), Refusal> {
        let mut reservation = self.reserve(message.len(), wait)?;
        // SAFETY: the reservation is as long as the message, and memory of ours is no memory of a ring's segment.
        unsafe { ptr::copy_nonoverlapping(message.as_ptr(), reservation.as_mut_ptr(), message.len()) };
        reservation.commit(message.len())
    }

    /// Room for a message of up to `length` bytes, to be written in place. An earlier reservation that was not
    /// committed is given up.
    #[inline]
    pub fn reserve(&mut self, length: usize, wait: Wait) -> Result<Reservation<'_>, Refusal> {
        let start = self.find_room(length, wait)?;
        let body = self.end.layout.data(&self.end.map, start + HEADER);
        self.staged = Some(Staged { start, length });
        Ok(Reservation { producer: self, body, length })
    }

    /// Sends what was reserved last, `length` bytes of it.
    #[inline]
    pub fn commit(&mut self, length: usize) -> Result<(), Refusal> {
        let staged = self.staged.ok_or(Refusal::NotHeld)?;
        if length > staged.length {
            return Err(Refusal::TooLong);
        }
        self.staged = None;
        self.publish(staged.start, INLINE, length, room(length));
        Ok(())
    }

    /// The longest message that can be sent without a block.
    pub fn longest(&self) -> usize {
        self.end.layout.longest()
    }

    /// How many bytes a block has; 0 in a ring without blocks.
    pub fn block_size(&self) -> usize {
        self.end.layout.block_size as usize
    }

    /// A block to be filled and sent, or put back.
    pub fn block(&mut self, wait: Wait) -> Result<Block, Refusal> {
        if self.end.layout.blocks == 0 {
            return Err(Refusal::NotHeld);
        }
        let pool = &mut self.pool;
        self.end.wait(wait, |end: &End| Ok(pool.take(end)))
    }

    /// Sends `length` bytes of a block without copying them; the block is the consumer's now. When that fails it comes
    /// back with the reason.
    pub fn send_block(&mut self, block: Block, length: usize, wait: Wait) -> Result<(), (Refusal, Block)> {
        if !self.pool.holds(block.0) {
            return Err((Refusal::NotHeld, block));
        }
        if length > self.block_size() {
            return Err((Refusal::TooLong, block));
        }
        let start = match self.find_room(HEADER as usize, wait) {
            Ok(start) => start,
            Err(refusal) => return Err((refusal, block)),
        };
        self.staged = None;
        word(&self.end, start + HEADER).store(u64::from(block.0), Ordering::Relaxed);
        self.end.layout.owner(&self.end.map, block.0).store(start + 1, Ordering::Relaxed);
        self.pool.lend(block);
        self.publish(start, BLOCK, length, 2 * HEADER);
        Ok(())
    }

    /// Gives up a block that is not to be sent.
    pub fn put_back(&mut self, block: Block) -> Result<(), Refusal> {
        self.pool.put_back(block)
    }

    /// Copies `bytes` into a block that is held, from byte `offset` on.
    pub fn write(&mut self, block: &Block, offset: usize, bytes: &[u8]) -> Result<(), Refusal> {
        let start = self.block_start(block).ok_or(Refusal::NotHeld)?;
        if offset > self.block_size() || bytes.len() > self.block_size() - offset {
            return Err(Refusal::TooLong);
        }
        // SAFETY: the offset is within the block.
        let to = unsafe { start.add(offset) };
        // SAFETY: so is what follows it, as was checked; memory of ours is no memory of a ring's segment.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// Where a block that is held begins. It may be written until it is sent or put back.
    pub fn block_start(&self, block: &Block) -> Option<NonNull<u8>> {
        self.pool.holds(block.0).then(|| self.end.layout.block(&self.end.map, block.0))
    }

    /// The held block that begins at `address`, for those who keep addresses (C).
    pub fn block_at(&self, address: *const u8) -> Option<Block> {
        let index = self.end.layout.block_at(&self.end.map, address)?;
        self.pool.holds(index).then_some(Block(index))
    }

    /// How many messages were ever sent through this ring, by predecessors, too.
    pub fn sent(&self) -> u64 {
        self.number
    }

    /// What is known of the consumer now.
    pub fn peer(&self) -> Peer {
        self.end.peer()
    }

    /// With bells: readable when it is worth trying again, after a try that found no room.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.end.fd().map(AsFd::as_fd)
    }

    /// Where a message of `length` bytes can begin; a padding is written before it if it does not fit before the end.
    #[inline]
    fn find_room(&mut self, length: usize, wait: Wait) -> Result<u64, Refusal> {
        if length > self.longest() {
            return Err(Refusal::TooLong);
        }
        let (head, capacity) = (self.head, u64::from(self.end.layout.capacity));
        let to_end = self.end.layout.before_end(head);
        let padding = if room(length) > to_end { to_end } else { 0 };
        let needed = padding + room(length);
        if head + needed - self.tail > capacity {
            let known = &mut self.tail;
            self.end.wait(wait, |end: &End| {
                let tail = end.tail().load(Ordering::Acquire);
                // A tail that goes back, or past what was sent, is nobody's progress.
                if tail < *known || !end.possible(tail, head) {
                    return Err(Refusal::Corrupt);
                }
                *known = tail;
                Ok((head + needed - tail <= capacity).then_some(()))
            })?;
        }
        if padding > 0 {
            word(&self.end, head).store(header(PADDING, (padding - HEADER) as usize), Ordering::Relaxed);
        }
        Ok(head + padding)
    }

    #[inline]
    fn publish(&mut self, start: u64, kind: u32, length: usize, takes: u64) {
        word(&self.end, start + 8).store(self.number, Ordering::Relaxed);
        word(&self.end, start).store(header(kind, length), Ordering::Relaxed);
        // A successor reads the number of the next message there; so it must not be seen before the number.
        self.end.last().store(start, Ordering::Release);
        self.head = start + takes;
        self.number += 1;
        if publish(self.end.head(), self.head, self.end.other_sleeps()) {
            self.end.wake();
        }
    }
}

impl Reservation<'_> {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Where they begin: at a multiple of 16. They may be written until the reservation is committed or given up.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.body.as_ptr()
    }

    /// Copies `bytes` into it, from byte `offset` on.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), Refusal> {
        if offset > self.length || bytes.len() > self.length - offset {
            return Err(Refusal::TooLong);
        }
        // SAFETY: the offset is within the reservation.
        let to = unsafe { self.body.add(offset) };
        // SAFETY: so is what follows it, as was checked; memory of ours is no memory of a ring's segment.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// The bytes, to be written in place.
    ///
    /// # Safety
    /// The consumer does not touch what was not sent yet: he is trusted, or the same program.
    pub unsafe fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the room is mapped as long as the producer lives, initialised (a segment begins as zeros), and nobody
        // else's, as our caller vouches.
        unsafe { std::slice::from_raw_parts_mut(self.body.as_ptr(), self.length) }
    }

    /// Sends the first `length` bytes of it.
    #[inline]
    pub fn commit(self, length: usize) -> Result<(), Refusal> {
        self.producer.commit(length)
    }
}

/// The first 8 bytes of a message: length, then kind.
#[inline]
fn header(kind: u32, length: usize) -> u64 {
    length as u64 | u64::from(kind) << 32
}

/// A word of the message area. Positions are multiples of 8, so it never reaches over the end.
#[inline]
fn word(end: &End, position: u64) -> &AtomicU64 {
    // SAFETY: `data` is inside the mapping and a multiple of 8; both sides access headers by atomics only.
    unsafe { end.layout.data(&end.map, position).cast::<AtomicU64>().as_ref() }
}

/// How many messages were sent up to `head`: the last one's number tells, be it published or not.
fn sent(end: &End, head: u64) -> Option<u64> {
    let last = end.last().load(Ordering::Acquire);
    let reach = u64::from(end.layout.capacity);
    // Who counts as far as that has not counted: it leaves room for all that will ever be sent.
    if head >= FARTHEST
        || last >= FARTHEST
        || !last.is_multiple_of(HEADER)
        || last + reach < head
        || last > head + reach
    {
        return None;
    }
    let number = word(end, last + 8).load(Ordering::Relaxed);
    let sent = if last < head { number.checked_add(1)? } else { number };
    (sent < FARTHEST).then_some(sent)
}

/// No ring comes so far, be it in bytes or in messages.
const FARTHEST: u64 = 1 << 63;
