//! One record as it lies in a ring: everything the writer needs, copied, for the strings may be gone when it is written
//! (a plugin that was unmapped), and another process reads it when this one was killed.
//!
//! A head of 48 bytes (size, level, time stamp, line, thread, four lengths), then module, function, file and text.

use super::Level;
use super::record::Source;

/// A record between its author and the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub level: Level,
    /// Nanoseconds since 1970.
    pub stamp: u64,
    pub tid: i32,
    pub source: Source<'a>,
    pub text: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The bytes it takes in a ring.
    #[inline]
    pub fn size(&self) -> usize {
        let strings = self.strings();
        let [module, func, file, text] = strings.map(<[u8]>::len);
        (HEAD + module + func + file + text).next_multiple_of(8)
    }

    /// Writes the record to `place`, which has [`Entry::size`] bytes.
    #[inline]
    pub fn put(&self, place: &mut [u8]) {
        let Some((head, rest)) = place.split_first_chunk_mut::<HEAD>() else { return };
        let Source { module, func, file, line } = self.source;
        let length = |string: &[u8]| (string.len() as u32).to_ne_bytes();
        // One by one, with places known when this is compiled: a loop over them costs as much as all the rest.
        head[0..4].copy_from_slice(&((HEAD + rest.len()) as u32).to_ne_bytes());
        head[4..8].copy_from_slice(&(self.level as u32).to_ne_bytes());
        head[STAMP..STAMP + 8].copy_from_slice(&self.stamp.to_ne_bytes());
        head[16..24].copy_from_slice(&line.to_ne_bytes());
        head[24..28].copy_from_slice(&self.tid.to_ne_bytes());
        head[28..32].copy_from_slice(&length(module));
        head[32..36].copy_from_slice(&length(func));
        head[36..40].copy_from_slice(&length(file));
        head[40..44].copy_from_slice(&length(self.text));
        head[44..48].copy_from_slice(&[0; 4]);
        append(append(append(append(rest, module), func), file), self.text);
    }

    /// When the record at the start of `place` was made.
    #[inline]
    pub fn stamp_at(place: &[u8]) -> Option<u64> {
        place.get(STAMP..STAMP + 8)?.try_into().ok().map(u64::from_ne_bytes)
    }

    /// The record at the start of `place`; None when it is none.
    pub fn at(place: &'a [u8]) -> Option<Entry<'a>> {
        let (head, mut rest) = place.split_at_checked(HEAD)?;
        let word = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
        let long = |at: usize| head.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes);
        let mut take = |at: usize| {
            let (string, behind) = rest.split_at_checked(word(at)? as usize)?;
            rest = behind;
            Some(string)
        };
        let (module, func, file, text) = (take(28)?, take(32)?, take(36)?, take(40)?);
        let source = Source { module, func, file, line: long(16)? as i64 };
        let level = Level::from_number(word(4)? as i32)?;
        Some(Entry { level, stamp: long(8)?, tid: word(24)? as i32, source, text })
    }

    #[inline]
    fn strings(&self) -> [&'a [u8]; 4] {
        [self.source.module, self.source.func, self.source.file, self.text]
    }
}

#[inline]
fn append<'a>(free: &'a mut [u8], bytes: &[u8]) -> &'a mut [u8] {
    let (place, rest) = free.split_at_mut(bytes.len());
    place.copy_from_slice(bytes);
    rest
}

const HEAD: usize = 48;
const STAMP: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry<'static> {
        let source = Source { module: b"AGENT", func: b"", file: b"a.c", line: -7 };
        Entry { level: Level::Warn, stamp: 1 << 60, tid: 4711, source, text: b"some text" }
    }

    #[test]
    fn a_record_comes_out_of_the_ring_as_it_went_in() {
        let entry = entry();
        let mut place = vec![0xff; entry.size()];
        assert_eq!(place.len(), 72);
        entry.put(&mut place);
        assert_eq!(place[..4], 72u32.to_ne_bytes());
        let read = Entry::at(&place).unwrap();
        assert_eq!((read.level, read.stamp, read.tid, read.text), (Level::Warn, 1 << 60, 4711, entry.text));
        assert_eq!((read.source.module, read.source.func, read.source.line), (&b"AGENT"[..], &b""[..], -7));
    }

    #[test]
    fn lengths_that_lead_outside_and_unknown_levels_are_refused() {
        let mut place = vec![0; entry().size()];
        entry().put(&mut place);
        for at in [28, 32, 36, 40, 4] {
            let mut broken = place.clone();
            broken[at..at + 4].copy_from_slice(&200u32.to_ne_bytes());
            assert!(Entry::at(&broken).is_none(), "{at}");
        }
        assert!((0..60).all(|length| Entry::at(&place[..length]).is_none()));
    }
}
