//! Bytes as they come, until they are a frame: the buffer behind [`Inbox`](crate::Inbox) and its nmid sister.
//!
//! What a frame announces is believed bit by bit: the buffer doubles as its bytes come, and gives the memory of one
//! large frame back when it is empty.

use std::collections::TryReserveError;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Gather {
    /// Room for the next read, when `missing` bytes are known to be missing; at least `least` bytes.
    pub(crate) fn space(&mut self, missing: usize, least: usize) -> Result<&mut [u8], TryReserveError> {
        self.tidy();
        let wanted = (self.end + missing.max(least)).max(USUAL);
        if self.buffer.len() < self.end + least {
            let length = wanted.min((2 * self.buffer.len()).max(USUAL));
            self.buffer.try_reserve_exact(length - self.buffer.len())?;
            self.buffer.resize(length, 0);
        }
        Ok(self.buffer.get_mut(self.end..).unwrap_or_default())
    }

    /// The first `count` bytes of the space have been written.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// What has come and is not consumed.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// The first `used` bytes are done with.
    pub(crate) fn consume(&mut self, used: usize) {
        self.start = (self.start + used).min(self.end);
    }

    /// Forgets everything: the connection is a new one.
    pub(crate) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
        self.tidy();
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.buffer.capacity()
    }

    /// Moves what is left to the front, and gives memory back that one large frame needed.
    fn tidy(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == 0 && self.buffer.len() > GENEROUS {
            self.buffer.truncate(USUAL);
            self.buffer.shrink_to_fit();
        }
    }
}

/// Enough for a few hundred small frames per read.
pub(crate) const USUAL: usize = 32 << 10;
/// More than this is given back as soon as it is empty.
pub(crate) const GENEROUS: usize = 256 << 10;
