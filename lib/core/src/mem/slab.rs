//! Large blocks of one size: as many as were asked for, mapped a number at a time and kept until the pool is destroyed.

use super::blocks::{Blocks, MOST_BLOCKS};
use super::huge::page_size;
use super::region::Region;
use super::source::Source;
use super::statistics::SlabStatistics;
use nix::errno::Errno;
use std::ptr::NonNull;

/// What a slab is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlabPlan {
    /// The bytes of a block.
    pub block: usize,
    /// Blocks that are there from the beginning.
    pub least: usize,
    /// Blocks there may be: at most 32768.
    pub most: usize,
    /// Blocks that are mapped at once; 0 is 128.
    pub quantum: usize,
    /// Blocks begin at a multiple of this power of two; 0 is a page for blocks of a page and more, 64 for smaller ones.
    pub align: usize,
}

#[derive(Debug)]
pub(super) struct Slab {
    pub block: usize,
    /// From one block to the next.
    stride: usize,
    align: usize,
    quantum: u32,
    blocks: Blocks,
    /// Each mapping with the number of its first block, in rising order, and where in it that begins.
    regions: Vec<Mapping>,
    growths: u64,
}

#[derive(Debug)]
struct Mapping {
    first: u32,
    count: u32,
    offset: usize,
    region: Region,
}

impl Slab {
    /// A slab without blocks: what it is to have at least, [`Slab::grow`] makes.
    ///
    /// Fails with EINVAL for a plan that makes no sense.
    pub fn new(plan: SlabPlan) -> Result<Slab, Errno> {
        let align = match plan.align {
            0 if plan.block >= page_size() => page_size(),
            0 => 64,
            align => align,
        };
        let sensible = align.is_power_of_two()
            && align.is_multiple_of(size_of::<usize>())
            && plan.block > 0
            && (1..=MOST_BLOCKS as usize).contains(&plan.most)
            && plan.least <= plan.most;
        let stride = plan.block.checked_next_multiple_of(align).filter(|_| sensible).ok_or(Errno::EINVAL)?;
        let quantum = if plan.quantum == 0 { AT_ONCE } else { plan.quantum.min(plan.most) as u32 };
        let (blocks, regions) = (Blocks::new(plan.most as u32), Vec::new());
        Ok(Slab { block: plan.block, stride, align, quantum, blocks, regions, growths: 0 })
    }

    /// Maps blocks until there are `least`.
    pub fn stock(&mut self, least: usize, source: &Source) -> Result<(), Errno> {
        while (self.blocks.there() as usize) < least {
            self.grow(source)?;
        }
        Ok(())
    }

    /// A free block: where it is, its number and its turn.
    pub fn take(&mut self, source: &Source) -> Option<(NonNull<u8>, u32, u16)> {
        let (number, turn) = match self.blocks.take() {
            Some(taken) => taken,
            None => {
                self.grow(source).ok()?;
                self.blocks.take()?
            }
        };
        Some((self.address(number)?, number, turn))
    }

    /// Gives a block back. False when it is not out, or out to somebody else by now.
    pub fn give_back(&mut self, number: u32, turn: u16) -> bool {
        self.blocks.give_back(number, turn)
    }

    /// Gives the block back that begins at `address`. `None` when that is none of ours, false inside when it is not out.
    pub fn give_back_at(&mut self, address: usize) -> Option<bool> {
        let number = self.regions.iter().find_map(|mapping| {
            let inside = address.checked_sub(mapping.region.at(mapping.offset).as_ptr().addr())?;
            let number = inside / self.stride;
            (inside.is_multiple_of(self.stride) && number < mapping.count as usize)
                .then(|| mapping.first + number as u32)
        })?;
        Some(self.blocks.give_back_number(number))
    }

    /// Unmaps everything; from now on there is nothing here.
    pub fn close(&mut self) {
        self.blocks = Blocks::new(0);
        self.regions.clear();
    }

    pub fn statistics(&self) -> SlabStatistics {
        let (used, allocated) = (self.blocks.out() as usize, self.blocks.there() as usize);
        let most = allocated + self.blocks.room() as usize;
        let (block, growths) = (self.block, self.growths);
        SlabStatistics { small: false, block, used, cached: 0, allocated, most, refills: 0, growths }
    }

    /// Maps more blocks: a quantum, or as many as there is still address space for.
    ///
    /// Fails with ENOMEM when there is none, or no more blocks are allowed.
    fn grow(&mut self, source: &Source) -> Result<(), Errno> {
        let mut count = self.blocks.room().min(self.quantum);
        while count > 0 {
            let length = self.stride.checked_mul(count as usize);
            if let Some(Ok((region, offset, unfulfilled))) =
                length.map(|length| Region::map_at(length, self.align, source.wish()))
            {
                self.regions.push(Mapping { first: self.blocks.there(), count, offset, region });
                self.blocks.grow(count);
                self.growths += 1;
                source.tell(unfulfilled);
                return Ok(());
            }
            count /= 2;
        }
        Err(Errno::ENOMEM)
    }

    fn address(&self, number: u32) -> Option<NonNull<u8>> {
        let at = self.regions.partition_point(|mapping| mapping.first <= number).checked_sub(1)?;
        let mapping = self.regions.get(at)?;
        Some(mapping.region.at(mapping.offset + (number - mapping.first) as usize * self.stride))
    }
}

/// How many blocks are mapped at once, if nothing else is said.
const AT_ONCE: u32 = 128;
/// Most blocks of one size, if nothing else is said.
const MOST: usize = 24576;
/// The slabs of a new pool.
pub(super) const PLANS: [SlabPlan; 4] = [plan(16 << 10), plan(64 << 10), plan(256 << 10), plan(1 << 20)];

const fn plan(block: usize) -> SlabPlan {
    SlabPlan { block, least: 0, most: MOST, quantum: AT_ONCE as usize, align: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::region::Wish;

    #[test]
    fn blocks_begin_where_the_plan_says() {
        for (block, align, begins) in [(100, 8, 8), (100, 0, 64), (5000, 4096, 4096), (3 << 20, 1 << 21, 1 << 21)] {
            let source = Source::new(Wish::Plain);
            let mut slab = Slab::new(SlabPlan { block, least: 0, most: 5, quantum: 2, align }).unwrap();
            let mut taken: Vec<usize> =
                std::iter::from_fn(|| slab.take(&source)).map(|at| at.0.as_ptr().addr()).collect();
            assert_eq!(taken.len(), 5);
            assert!(taken.iter().all(|address| address % begins == 0));
            taken.sort_unstable();
            assert!(taken.windows(2).all(|pair| pair[1] - pair[0] >= block));
            assert_eq!(slab.give_back_at(taken[4]), Some(true));
            assert_eq!(slab.give_back_at(taken[4]), Some(false));
            assert_eq!(slab.give_back_at(taken[4] + 1), None);
            let figures = slab.statistics();
            assert_eq!((figures.used, figures.allocated, figures.most, figures.growths), (4, 5, 5, 3));
        }
    }

    #[test]
    fn a_plan_that_makes_no_sense_is_refused() {
        let good = SlabPlan { block: 100, least: 1, most: 10, quantum: 3, align: 64 };
        assert!(Slab::new(good).is_ok());
        let plans = [
            SlabPlan { block: 0, ..good },
            SlabPlan { block: usize::MAX, ..good },
            SlabPlan { least: 11, ..good },
            SlabPlan { most: 0, least: 0, ..good },
            SlabPlan { most: 32769, ..good },
            SlabPlan { align: 48, ..good },
            SlabPlan { align: 2, ..good },
        ];
        for plan in plans {
            assert_eq!(Slab::new(plan).unwrap_err(), Errno::EINVAL, "{plan:?}");
        }
        let vast = SlabPlan { block: usize::MAX / 2 + 1, ..good };
        assert_eq!(Slab::new(vast).unwrap().stock(1, &Source::new(Wish::Plain)).unwrap_err(), Errno::ENOMEM);
    }
}
