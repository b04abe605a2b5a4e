//! A ring of bytes: what was written first is read first, and the room of what was read is used again.

/// Bytes on their way from one part of a program to another; one thread at a time. It never grows.
///
/// ```
/// use msf_core::mem::Ring;
///
/// let mut ring = Ring::new(8);
/// assert!(ring.write(b"abcdef"));
/// let mut four = [0; 4];
/// assert_eq!(ring.read(&mut four), 4);
/// assert!(ring.write(b"ghij"), "it goes on at the beginning");
/// assert!(!ring.write(b"klm"), "all or nothing");
/// assert_eq!(ring.to_vec(), b"efghij");
/// ```
#[derive(Clone, Debug)]
pub struct Ring {
    /// One byte more than fits: full and empty look different.
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Ring {
    /// A ring with room for `capacity` bytes.
    pub fn new(capacity: usize) -> Ring {
        Ring { bytes: vec![0; capacity + 1].into_boxed_slice(), start: 0, end: 0 }
    }

    /// As [`Ring::new`]; `None` when there is no memory for it.
    pub fn try_new(capacity: usize) -> Option<Ring> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(capacity.checked_add(1)?).ok()?;
        bytes.resize(capacity + 1, 0);
        Some(Ring { bytes: bytes.into_boxed_slice(), start: 0, end: 0 })
    }

    /// Writes all of `bytes`, or nothing (false) when there is less room.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.room() {
            return false;
        }
        let (first, second) = bytes.split_at(bytes.len().min(self.bytes.len() - self.end));
        put(&mut self.bytes, self.end, first);
        put(&mut self.bytes, 0, second);
        self.end = self.beyond(self.end, bytes.len());
        true
    }

    /// Reads as many bytes as there are and `out` has room for, and tells how many.
    pub fn read(&mut self, out: &mut [u8]) -> usize {
        let count = self.peek(out);
        self.skip(count);
        count
    }

    /// As [`Ring::read`], but the bytes stay.
    pub fn peek(&self, out: &mut [u8]) -> usize {
        let count = out.len().min(self.len());
        let (first, second) = self.slices();
        let split = count.min(first.len());
        put(out, 0, first.get(..split).unwrap_or_default());
        put(out, split, second.get(..count - split).unwrap_or_default());
        count
    }

    /// The bytes that are waiting: first the first part, then the second.
    pub fn slices(&self) -> (&[u8], &[u8]) {
        if self.start <= self.end {
            (self.bytes.get(self.start..self.end).unwrap_or_default(), &[])
        } else {
            (self.bytes.get(self.start..).unwrap_or_default(), self.bytes.get(..self.end).unwrap_or_default())
        }
    }

    /// A copy of the bytes that are waiting.
    pub fn to_vec(&self) -> Vec<u8> {
        let (first, second) = self.slices();
        [first, second].concat()
    }

    /// Forgets the first `count` bytes, or all when there are fewer.
    pub fn skip(&mut self, count: usize) {
        self.start = self.beyond(self.start, count.min(self.len()));
    }

    /// Forgets all bytes.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// How many bytes are waiting.
    pub fn len(&self) -> usize {
        if self.start <= self.end { self.end - self.start } else { self.bytes.len() - self.start + self.end }
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many more fit.
    pub fn room(&self) -> usize {
        self.capacity() - self.len()
    }

    /// How many fit in all.
    pub fn capacity(&self) -> usize {
        self.bytes.len() - 1
    }

    /// Where in [`Ring::storage`] the first byte that is waiting lies, and where the next one will.
    pub fn positions(&self) -> (usize, usize) {
        (self.start, self.end)
    }

    /// All bytes the ring has, in use or not: one more than its capacity.
    pub fn storage(&self) -> &[u8] {
        &self.bytes
    }

    /// `count` (at most the length) behind `at`, round the end.
    fn beyond(&self, at: usize, count: usize) -> usize {
        let beyond = at + count;
        if beyond < self.bytes.len() { beyond } else { beyond - self.bytes.len() }
    }
}

/// Copies `bytes` to `at`; the callers have made sure that they fit.
fn put(into: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = into.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn regress_the_room_of_what_was_read_is_used_again() {
        let mut ring = Ring::new(8);
        assert!(ring.write(b"123456"));
        assert_eq!(ring.read(&mut [0; 4]), 4);
        assert!(ring.write(b"789a"));
        assert_eq!((ring.to_vec(), ring.len(), ring.room()), (b"56789a".to_vec(), 6, 2));
    }

    #[test]
    fn it_does_what_a_queue_does_at_every_position() {
        for capacity in [0, 1, 2, 7, 8] {
            let (mut ring, mut queue) = (Ring::new(capacity), VecDeque::new());
            let mut next = 0u8;
            for turn in 0..2000usize {
                let length = turn * 7 % (capacity + 3);
                let bytes: Vec<u8> = (0..length).map(|offset| next.wrapping_add(offset as u8)).collect();
                assert_eq!(ring.write(&bytes), queue.len() + length <= capacity);
                if queue.len() + length <= capacity {
                    queue.extend(&bytes);
                    next = next.wrapping_add(length as u8);
                }
                let mut out = vec![0; turn * 5 % (capacity + 2)];
                let count = ring.read(&mut out);
                assert_eq!(out[..count], queue.drain(..out.len().min(queue.len())).collect::<Vec<_>>());
                assert_eq!((ring.len(), ring.to_vec()), (queue.len(), Vec::from(queue.clone())));
            }
        }
    }

    #[test]
    fn bytes_can_be_passed_over() {
        let mut ring = Ring::new(4);
        assert!(ring.write(b"abcd") && !ring.write(b"e") && ring.write(b""));
        ring.skip(3);
        assert_eq!(ring.to_vec(), b"d");
        ring.skip(9);
        assert!(ring.is_empty());
        assert!(ring.write(b"xyz"));
        ring.clear();
        assert_eq!((ring.len(), ring.room()), (0, 4));
    }
}
