//! Where the caches of one block size meet: magazines with blocks in them, and empty ones.
//!
//! A magazine is an array of free blocks' addresses that changes hands whole: what a cache takes from another thread's frees
//! costs two atomic operations for all of them. The blocks themselves are not touched. Magazines are numbered and live
//! as long as the depot.

use super::stack::Stack;
use crate::sys::sync::atomic::{AtomicU32, Ordering};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

#[derive(Debug)]
pub(super) struct Depot {
    magazines: Magazines,
    filled: Stack,
    empty: Stack,
    resting: AtomicUsize,
}

/// Room for a number of blocks, `count` of them there; while a cache has it, the cache counts.
#[derive(Debug)]
pub(super) struct Magazine {
    link: AtomicU32,
    count: AtomicU32,
    pub slots: Box<[AtomicPtr<u8>]>,
}

impl Depot {
    /// Magazines will have room for `room` blocks each.
    pub fn new(room: usize) -> Depot {
        let magazines = Magazines { room, chunks: std::array::from_fn(|_| OnceLock::new()), there: Mutex::new(0) };
        Depot { magazines, filled: Stack::new(), empty: Stack::new(), resting: AtomicUsize::new(0) }
    }

    /// The magazine with this number.
    pub fn magazine(&self, number: u32) -> Option<&Magazine> {
        self.magazines.at(number)
    }

    /// Takes in a magazine with `count` blocks; from now on it is anybody's.
    pub fn store(&self, number: u32, count: u32) {
        let Some(magazine) = self.magazine(number) else { return };
        if count == 0 {
            return self.empty.push(number, &magazine.link);
        }
        magazine.count.store(count, Ordering::Relaxed);
        self.resting.fetch_add(count as usize, Relaxed);
        self.filled.push(number, &magazine.link);
    }

    /// A magazine with blocks, and how many.
    pub fn filled(&self) -> Option<(u32, u32)> {
        let number = self.filled.pop(|number| Some(&self.magazine(number)?.link))?;
        let count = self.magazine(number)?.count.load(Ordering::Relaxed);
        self.resting.fetch_sub(count as usize, Relaxed);
        Some((number, count))
    }

    /// A magazine without blocks.
    pub fn empty(&self) -> Option<u32> {
        self.empty.pop(|number| Some(&self.magazine(number)?.link)).or_else(|| self.magazines.add())
    }

    /// How many blocks are here.
    pub fn resting(&self) -> usize {
        self.resting.load(Relaxed)
    }
}

/// All magazines there are: chunk after chunk, each twice as long, so that none ever moves.
#[derive(Debug)]
struct Magazines {
    room: usize,
    chunks: [OnceLock<Box<[OnceLock<Magazine>]>>; CHUNKS],
    there: Mutex<u32>,
}

impl Magazines {
    fn at(&self, number: u32) -> Option<&Magazine> {
        let (chunk, place) = home(number);
        self.chunks.get(chunk)?.get()?.get(place)?.get()
    }

    fn add(&self) -> Option<u32> {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        let number = *there;
        let (chunk, place) = home(number);
        let chunk_of_it = self.chunks.get(chunk)?;
        let chunk = chunk_of_it.get_or_init(|| (0..FIRST << chunk).map(|_| OnceLock::new()).collect());
        let slots = (0..self.room).map(|_| AtomicPtr::new(ptr::null_mut())).collect();
        chunk.get(place)?.set(Magazine { link: AtomicU32::new(0), count: AtomicU32::new(0), slots }).ok()?;
        *there += 1;
        Some(number)
    }
}

/// Chunk 0 has the first [`FIRST`] numbers, each further one twice as many as the one before.
fn home(number: u32) -> (usize, usize) {
    let chunk = (number / FIRST + 1).ilog2();
    let place = number - FIRST * ((1 << chunk) - 1);
    (chunk as usize, place as usize)
}

const FIRST: u32 = 16;
/// Room for 2²⁴ magazines: more than there are blocks to fill half of.
const CHUNKS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_home_of_its_own() {
        let mut expected =
            (0..CHUNKS).flat_map(|chunk| (0..(FIRST as usize) << chunk).map(move |place| (chunk, place)));
        for number in 0..100_000 {
            assert_eq!(Some(home(number)), expected.next());
        }
    }

    #[test]
    fn a_magazine_comes_back_with_what_was_in_it() {
        let depot = Depot::new(4);
        assert_eq!(depot.filled(), None);
        let (first, second) = (depot.empty().unwrap(), depot.empty().unwrap());
        assert_ne!(first, second);
        assert_eq!(depot.magazine(first).unwrap().slots.len(), 4);
        depot.store(first, 3);
        depot.store(second, 0);
        assert_eq!(depot.resting(), 3);
        assert_eq!((depot.filled(), depot.filled()), (Some((first, 3)), None));
        assert_eq!((depot.empty(), depot.resting()), (Some(second), 0));
    }

    /// One cache fills magazines and another empties them: every block comes out once.
    #[cfg(feature = "loom")]
    #[test]
    fn loom_blocks_pass_from_thread_to_thread() {
        use std::sync::atomic::Ordering::Relaxed;
        loom::model(|| {
            let depot = loom::sync::Arc::new(Depot::new(1));
            let number = depot.empty().unwrap();
            let other = loom::sync::Arc::clone(&depot);
            let thread = loom::thread::spawn(move || {
                // The consumer of a producer: gives a block back in an empty magazine, if the other left one.
                let mine = other.empty().unwrap();
                other.magazine(mine).unwrap().slots[0].store(ptr::without_provenance_mut(64), Relaxed);
                other.store(mine, 1);
            });
            depot.magazine(number).unwrap().slots[0].store(ptr::without_provenance_mut(32), Relaxed);
            depot.store(number, 1);
            let taken = depot.filled();
            thread.join().unwrap();
            let all: Vec<(u32, u32)> = taken.into_iter().chain(std::iter::from_fn(|| depot.filled())).collect();
            let mut blocks: Vec<usize> =
                all.iter().map(|(number, _)| depot.magazine(*number).unwrap().slots[0].load(Relaxed).addr()).collect();
            blocks.sort_unstable();
            assert_eq!((blocks, depot.resting()), (vec![32, 64], 0));
        });
    }
}
