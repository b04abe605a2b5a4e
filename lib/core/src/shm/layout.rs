//! Where everything of a ring lies in its segment; the same for 32 and 64 bits. `doc/shared-memory.md` has the tables.
//!
//! A header is read once, into a [`Layout`] of our own: whatever is written into it later changes nothing for us.

use super::segment::Segment;
use crate::error::Error;
use crate::sys::Map;
use crate::sys::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use nix::errno::Errno;
use std::ptr::NonNull;

/// What a new ring is to be like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Bytes of the message area: rounded up to a power of two, 4 KiB at least, [`LONGEST_RING`] at most. A message may
    /// have half of it less 16 bytes.
    pub capacity: usize,
    /// How many blocks there are beside the ring, for large payloads; at most 65,536.
    pub blocks: u32,
    /// Bytes of each block: rounded up to a multiple of 64; at most 1 GiB.
    pub block_size: usize,
    /// Wake-up by a pair of eventfds ([`Bells`](super::Bells)), so that a ring can be watched by an event loop; else by futex.
    pub bells: bool,
}

impl Config {
    /// The bytes a segment needs for such a ring. EINVAL for what no ring can be.
    pub fn size(&self) -> Result<usize, Error> {
        self.layout().map(|layout| layout.size as usize).map_err(Error::system("lay out a ring"))
    }

    fn layout(&self) -> Result<Layout, Errno> {
        let capacity = self.capacity.max(LEAST).checked_next_power_of_two().ok_or(Errno::EINVAL)?;
        let block_size = self.block_size.checked_next_multiple_of(64).ok_or(Errno::EINVAL)?;
        let capacity = u32::try_from(capacity).map_err(|_| Errno::EINVAL)?;
        let block_size = u32::try_from(block_size).map_err(|_| Errno::EINVAL)?;
        Layout::new(capacity, self.blocks, block_size, self.bells)
    }
}

/// A ring's geometry, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub capacity: u32,
    pub blocks: u32,
    pub block_size: u32,
    pub bells: bool,
    /// Offsets of the owners' words and of the blocks, and of the end of all.
    owners: u64,
    first_block: u64,
    size: u64,
}

impl Layout {
    fn new(capacity: u32, blocks: u32, block_size: u32, bells: bool) -> Result<Layout, Errno> {
        let right = capacity.is_power_of_two()
            && (LEAST..=LONGEST_RING).contains(&(capacity as usize))
            && blocks <= MOST_BLOCKS
            && block_size.is_multiple_of(64)
            && block_size <= LARGEST_BLOCK
            && (blocks == 0) == (block_size == 0);
        if !right {
            return Err(Errno::EINVAL);
        }
        let owners = DATA + u64::from(capacity);
        let first_block = (owners + 8 * u64::from(blocks)).next_multiple_of(PAGE);
        let size = first_block + u64::from(blocks) * u64::from(block_size);
        match isize::try_from(size) {
            Ok(_) => Ok(Layout { capacity, blocks, block_size, bells, owners, first_block, size }),
            Err(_) => Err(Errno::EINVAL),
        }
    }

    /// The geometry of the ring in a mapping. EPROTO when there is none, or one that cannot be, or another version's.
    pub fn read(map: &Map) -> Result<Layout, Errno> {
        if map.len() < DATA as usize || long(map, MAGIC).load(Ordering::Acquire) != MAGIC_NUMBER {
            return Err(Errno::EPROTO);
        }
        let word = |offset| short(map, offset).load(Ordering::Relaxed);
        if word(VERSION) != VERSION_NUMBER || word(FLAGS) > BELLS {
            return Err(Errno::EPROTO);
        }
        let layout = Layout::new(word(CAPACITY), word(BLOCKS), word(BLOCK_SIZE), word(FLAGS) == BELLS);
        let layout = layout.map_err(|_| Errno::EPROTO)?;
        let offsets = [SIZE, OWNERS, FIRST_BLOCK].map(|offset| long(map, offset).load(Ordering::Relaxed));
        let right = offsets == [layout.size, layout.owners, layout.first_block] && layout.size <= map.len() as u64;
        if right { Ok(layout) } else { Err(Errno::EPROTO) }
    }

    fn write(&self, map: &Map) {
        let words = [
            (VERSION, VERSION_NUMBER),
            (FLAGS, if self.bells { BELLS } else { 0 }),
            (CAPACITY, self.capacity),
            (BLOCKS, self.blocks),
            (BLOCK_SIZE, self.block_size),
        ];
        words.iter().for_each(|&(offset, value)| short(map, offset).store(value, Ordering::Relaxed));
        let longs = [(SIZE, self.size), (OWNERS, self.owners), (FIRST_BLOCK, self.first_block)];
        longs.iter().for_each(|&(offset, value)| long(map, offset).store(value, Ordering::Relaxed));
        // Last: who finds it finds all the rest.
        long(map, MAGIC).store(MAGIC_NUMBER, Ordering::Release);
    }

    /// The longest message that fits into the ring itself, whatever it finds there.
    pub fn longest(&self) -> usize {
        self.capacity as usize / 2 - HEADER as usize
    }

    /// The word that says whose block `index` is.
    pub fn owner<'a>(&self, map: &'a Map, index: u32) -> &'a AtomicU64 {
        debug_assert!(index < self.blocks);
        long(map, self.owners as usize + 8 * index as usize)
    }

    /// Where block `index` begins.
    pub fn block(&self, map: &Map, index: u32) -> NonNull<u8> {
        debug_assert!(index < self.blocks);
        at(map, self.first_block as usize + index as usize * self.block_size as usize)
    }

    /// The block that begins at `address`.
    pub fn block_at(&self, map: &Map, address: *const u8) -> Option<u32> {
        let offset = address.addr().checked_sub(map.start().addr().get() + self.first_block as usize)?;
        let index = u32::try_from(offset.checked_div(self.block_size as usize)?).ok()?;
        let begins = offset.is_multiple_of(self.block_size as usize);
        (begins && index < self.blocks).then_some(index)
    }

    /// The byte of the message area at a position.
    #[inline]
    pub fn data(&self, map: &Map, position: u64) -> NonNull<u8> {
        at(map, DATA as usize + (position as usize & (self.capacity as usize - 1)))
    }

    /// How many bytes there are from a position to where the message area begins again.
    #[inline]
    pub fn before_end(&self, position: u64) -> u64 {
        u64::from(self.capacity) - (position & u64::from(self.capacity - 1))
    }
}

/// Lays out an empty ring in a segment. EEXIST when there is one in it, EINVAL when the segment is too small for it.
pub fn format(segment: &Segment, config: &Config) -> Result<(), Error> {
    let doing = || Error::system("lay out a ring");
    let layout = config.layout().map_err(doing())?;
    if (segment.size() as u64) < layout.size {
        return Err(doing()(Errno::EINVAL));
    }
    let map = Map::shared(segment, segment.size()).map_err(|error| Error::System {
        doing: "map the segment of a ring",
        source: Errno::from_raw(error.raw_os_error().unwrap_or(0)),
    })?;
    if long(&map, MAGIC).load(Ordering::Acquire) != 0 {
        return Err(doing()(Errno::EEXIST));
    }
    layout.write(&map);
    Ok(())
}

/// A sealed segment with an empty ring in it.
pub fn create(config: &Config) -> Result<Segment, Error> {
    let segment = Segment::sealed("msf-ring", config.size()?)?;
    format(&segment, config).map(|()| segment)
}

#[inline]
fn at(map: &Map, offset: usize) -> NonNull<u8> {
    debug_assert!(offset < map.len());
    // SAFETY: every offset here comes from a `Layout`, whose size is within the mapping, or is one of the header's, which
    // is part of every layout.
    unsafe { map.start().add(offset) }
}

/// A word of the segment. (With the feature `loom` these are not its bytes; nothing but models runs then.)
#[inline]
pub(super) fn short(map: &Map, offset: usize) -> &AtomicU32 {
    // SAFETY: the offset is inside the mapping (see `at`) and a multiple of 4, and all access to it is atomic.
    unsafe { at(map, offset).cast::<AtomicU32>().as_ref() }
}

/// As [`short`], 64 bits wide.
#[inline]
pub(super) fn long(map: &Map, offset: usize) -> &AtomicU64 {
    // SAFETY: the offset is inside the mapping (see `at`) and a multiple of 8, and all access to it is atomic.
    unsafe { at(map, offset).cast::<AtomicU64>().as_ref() }
}

/// "msf ring", as a number: a machine of the other byte order does not take it for one.
const MAGIC_NUMBER: u64 = 0x676e_6972_2066_736d;
/// Of the layout: 2 since the words of the sleepers bear the number of a thread.
const VERSION_NUMBER: u32 = 2;
const MAGIC: usize = 0;
const VERSION: usize = 8;
const FLAGS: usize = 12;
const CAPACITY: usize = 16;
const BLOCKS: usize = 20;
const BLOCK_SIZE: usize = 24;
const SIZE: usize = 32;
const OWNERS: usize = 40;
const FIRST_BLOCK: usize = 48;

/// The lines of the two sides: 128 bytes apart, because processors fetch pairs of lines.
pub(super) const HEAD: usize = 128;
pub(super) const LAST: usize = 136;
pub(super) const TAIL: usize = 256;
pub(super) const PRODUCER_SLEEPS: usize = 384;
pub(super) const PRODUCER_PRESENCE: usize = 388;
pub(super) const PRODUCER_PROCESSOR: usize = 392;
pub(super) const CONSUMER_SLEEPS: usize = 512;
pub(super) const CONSUMER_PRESENCE: usize = 516;
pub(super) const CONSUMER_PROCESSOR: usize = 520;

const DATA: u64 = 1024;
const PAGE: u64 = 4096;
const BELLS: u32 = 1;
const LEAST: usize = 4096;
/// A message area is no larger: 1 GiB.
pub const LONGEST_RING: usize = 1 << 30;
const MOST_BLOCKS: u32 = 65_536;
const LARGEST_BLOCK: u32 = 1 << 30;

/// Before each message: length, kind, number.
pub(super) const HEADER: u64 = 16;
pub(super) const INLINE: u32 = 1;
pub(super) const BLOCK: u32 = 2;
pub(super) const PADDING: u32 = 3;

/// The room a message of `length` bytes takes.
#[inline]
pub(super) fn room(length: usize) -> u64 {
    HEADER + (length as u64).next_multiple_of(HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(segment: &Segment) -> Map {
        Map::shared(segment, segment.size()).unwrap()
    }

    #[test]
    fn a_ring_is_laid_out_once_and_read_as_it_was_written() {
        let config = Config { capacity: 5000, blocks: 3, block_size: 100, bells: true };
        let segment = create(&config).unwrap();
        assert_eq!(format(&segment, &config).unwrap_err().errno(), Errno::EEXIST);
        let layout = Layout::read(&mapped(&segment)).unwrap();
        assert_eq!((layout.capacity, layout.blocks, layout.block_size, layout.bells), (8192, 3, 128, true));
        assert_eq!(layout.size, 12_288 + 3 * 128);
        assert_eq!(segment.size() as u64, layout.size);
    }

    #[test]
    fn what_no_ring_can_be_is_refused() {
        let wrong = [
            Config { capacity: LONGEST_RING + 1, ..Config::default() },
            Config { capacity: usize::MAX, ..Config::default() },
            Config { blocks: 1, ..Config::default() },
            Config { block_size: 64, ..Config::default() },
            Config { blocks: MOST_BLOCKS + 1, block_size: 64, ..Config::default() },
            Config { blocks: 1, block_size: LARGEST_BLOCK as usize + 1, ..Config::default() },
        ];
        for config in wrong {
            assert_eq!(config.size().unwrap_err().errno(), Errno::EINVAL, "{config:?}");
        }
        let small = Segment::sealed("small", 4096).unwrap();
        assert_eq!(format(&small, &Config::default()).unwrap_err().errno(), Errno::EINVAL);
    }

    #[test]
    fn a_header_with_one_number_wrong_is_no_ring() {
        let config = Config { blocks: 2, block_size: 4096, ..Config::default() };
        for (offset, value) in [
            (MAGIC, 1),
            (VERSION, 1),
            (FLAGS, 2),
            (CAPACITY, 3),
            (CAPACITY, 1 << 30),
            (BLOCKS, 7),
            (BLOCK_SIZE, 65),
            (SIZE, 0),
            (OWNERS, u32::MAX),
            (FIRST_BLOCK, 0),
        ] {
            let segment = create(&config).unwrap();
            let map = mapped(&segment);
            short(&map, offset).store(value, Ordering::Relaxed);
            assert_eq!(Layout::read(&map), Err(Errno::EPROTO), "{offset}");
        }
        assert_eq!(Layout::read(&mapped(&Segment::sealed("zeros", 8192).unwrap())), Err(Errno::EPROTO));
        assert_eq!(Layout::read(&mapped(&Segment::sealed("short", 64).unwrap())), Err(Errno::EPROTO));
    }

    #[test]
    fn an_address_is_a_block_only_where_one_begins() {
        let segment = create(&Config { blocks: 2, block_size: 4096, ..Config::default() }).unwrap();
        let map = mapped(&segment);
        let layout = Layout::read(&map).unwrap();
        let second = layout.block(&map, 1).as_ptr();
        assert_eq!(layout.block_at(&map, second), Some(1));
        assert_eq!(layout.block_at(&map, second.wrapping_add(1)), None);
        assert_eq!(layout.block_at(&map, second.wrapping_add(4096)), None);
        assert_eq!(layout.block_at(&map, std::ptr::null()), None);
    }
}
