//! One record as it lies in a ring: everything that is needed of it, copied, for the strings may be gone when it is written
//! (a plugin that was unmapped), and another process reads it when this one was killed.
//!
//! A head of 48 bytes (size, level, time stamp, line, thread, four lengths, where the text begins), and behind it as a rule
//! the record's line as the log will have it, without the time in front and the thread behind: the writer, for whom all
//! callers wait, only puts lines in order. A record with line ends in it is put there as it is: module, function, file
//! and text, one behind the other. Then the text begins at 0, and the writer composes the line.

use super::Level;
use super::record::{self, Digits, Source};

/// A record between its author and the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub level: Level,
    /// Nanoseconds since 1970.
    pub stamp: u64,
    pub tid: i32,
    pub source: Source<'a>,
    pub text: &'a [u8],
    /// What stands between the time and the thread, where that has been composed.
    pub line: Option<&'a [u8]>,
}

/// A record that is about to be put into a ring.
pub(super) struct Draft<'e, 'a> {
    entry: &'e Entry<'a>,
    text: &'a [u8],
    digits: Digits,
    /// Bytes of the line before the text.
    begin: usize,
}

impl<'e, 'a> Draft<'e, 'a> {
    #[inline]
    pub fn new(entry: &'e Entry<'a>) -> Draft<'e, 'a> {
        let Source { module, func, file, line } = entry.source;
        let digits = Digits::of(line);
        let fixed = OPEN.len() + record::between(entry.level).len() + 1 + 1 + CLOSE.len();
        let begin = fixed + module.len() + func.len() + file.len() + digits.bytes().len();
        Draft { entry, text: record::without_line_end(entry.text), digits, begin }
    }

    /// The bytes it takes in a ring.
    #[inline]
    pub fn size(&self) -> usize {
        (HEAD + self.begin + self.text.len()).next_multiple_of(8)
    }

    /// Writes the record to `place`, which has [`Draft::size`] bytes.
    #[inline]
    pub fn put(&self, place: &mut [u8]) {
        let size = place.len() as u32;
        let Some((head, body)) = place.split_first_chunk_mut::<HEAD>() else { return };
        let Source { module, func, file, line } = self.entry.source;
        let length = |string: &[u8]| (string.len() as u32).to_ne_bytes();
        // One by one, with places known when this is compiled: a loop over them costs as much as all the rest.
        head[0..4].copy_from_slice(&size.to_ne_bytes());
        head[4..8].copy_from_slice(&(self.entry.level as u32).to_ne_bytes());
        head[STAMP..STAMP + 8].copy_from_slice(&self.entry.stamp.to_ne_bytes());
        head[16..24].copy_from_slice(&line.to_ne_bytes());
        head[24..28].copy_from_slice(&self.entry.tid.to_ne_bytes());
        head[28..32].copy_from_slice(&length(module));
        head[32..36].copy_from_slice(&length(func));
        head[36..40].copy_from_slice(&length(file));
        head[40..44].copy_from_slice(&length(self.text));
        head[BEGIN..HEAD].copy_from_slice(&(self.begin as u32).to_ne_bytes());
        let rest = append(append(append(body, OPEN), module), record::between(self.entry.level));
        let rest = append(append(append(append(rest, func), b" "), file), b":");
        append(append(append(rest, self.digits.bytes()), CLOSE), self.text);
        let line = body.get(..self.begin + self.text.len()).unwrap_or_default();
        if !record::has_no_controls(line) {
            head[BEGIN..HEAD].copy_from_slice(&[0; 4]);
            append(append(append(append(body, module), func), file), self.text);
        }
    }
}

impl<'a> Entry<'a> {
    /// When the record at the start of `place` was made.
    #[inline]
    pub fn stamp_at(place: &[u8]) -> Option<u64> {
        place.get(STAMP..STAMP + 8)?.try_into().ok().map(u64::from_ne_bytes)
    }

    /// Whose the line of the record at the start of `place` is, and the line; None when it has yet to be composed.
    #[inline]
    pub fn line_at(place: &'a [u8]) -> Option<(i32, &'a [u8])> {
        let (head, body) = place.split_first_chunk::<HEAD>()?;
        let word = |at: usize| head.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_ne_bytes);
        let begin = word(BEGIN) as usize;
        let end = begin.checked_add(word(40) as usize).filter(|_| begin > 0)?;
        Some((word(24) as i32, body.get(..end)?))
    }

    /// The record at the start of `place`; None when it is none.
    #[inline]
    pub fn at(place: &'a [u8]) -> Option<Entry<'a>> {
        let (head, body) = place.split_first_chunk::<HEAD>()?;
        let word = |at: usize| head.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_ne_bytes);
        let long = |at: usize| head.get(at..at + 8).and_then(|long| long.try_into().ok()).map_or(0, u64::from_ne_bytes);
        let level = Level::from_number(word(4) as i32)?;
        let [module, func, file, text, begin] = [28, 32, 36, 40, BEGIN].map(|at| word(at) as usize);
        let piece = |from: usize, length: usize| body.get(from..from.checked_add(length)?);
        let composed = begin > 0;
        let from = if composed { OPEN.len() } else { 0 };
        let module = piece(from, module)?;
        let from = from + module.len() + if composed { record::between(level).len() } else { 0 };
        let func = piece(from, func)?;
        let from = from + func.len() + usize::from(composed);
        let file = piece(from, file)?;
        let text = piece(if composed { begin } else { from + file.len() }, text)?;
        let line = if composed { body.get(..begin + text.len()) } else { None };
        let source = Source { module, func, file, line: long(16) as i64 };
        Some(Entry { level, stamp: long(STAMP), tid: word(24) as i32, source, text, line })
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
const BEGIN: usize = 44;
const OPEN: &[u8] = record::OPEN;
const CLOSE: &[u8] = record::CLOSE;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &'static [u8]) -> Entry<'static> {
        let source = Source { module: b"AGENT", func: b"", file: b"a.c", line: -7 };
        Entry { level: Level::Warn, stamp: 1 << 60, tid: 4711, source, text, line: None }
    }

    fn put(entry: &Entry<'_>) -> Vec<u8> {
        let draft = Draft::new(entry);
        let mut place = vec![0xff; draft.size()];
        draft.put(&mut place);
        place
    }

    #[test]
    fn a_record_comes_out_of_the_ring_as_it_went_in() {
        for text in [&b"some text"[..], b"two\nlines", b"\t", b""] {
            let entry = entry(text);
            let place = put(&entry);
            assert_eq!(place[..4], (place.len() as u32).to_ne_bytes());
            let read = Entry::at(&place).unwrap();
            assert_eq!((read.level, read.stamp, read.tid, read.text), (Level::Warn, 1 << 60, 4711, entry.text));
            assert_eq!(
                (read.source.module, read.source.func, read.source.file),
                (&b"AGENT"[..], &b""[..], &b"a.c"[..])
            );
            assert_eq!(read.source.line, -7);
        }
        assert_eq!(Entry::at(&put(&entry(b"ends\r\n"))).unwrap().text, b"ends");
    }

    #[test]
    fn the_line_is_the_one_that_would_be_composed_later() {
        for text in [&b"some text\n"[..], b"", b"\x1b[0m\xff", b"two\nlines", b"a\rb"] {
            let entry = entry(text);
            let place = put(&entry);
            let mut expected = Vec::new();
            record::begin(&mut expected, entry.level, &entry.source, entry.text);
            let read = Entry::at(&place).unwrap();
            assert_eq!(Entry::line_at(&place), read.line.map(|line| (read.tid, line)));
            let mut line = Vec::new();
            match read.line {
                Some(composed) => line.extend_from_slice(composed),
                None => record::begin(&mut line, read.level, &read.source, read.text),
            }
            assert_eq!(line, expected);
            let has_line_ends = matches!(text, b"two\nlines" | b"a\rb");
            assert_eq!(read.line.is_none(), has_line_ends);
        }
    }

    #[test]
    fn what_the_version_before_has_left_is_read() {
        // Its records were all of the kind that is composed later.
        let mut place = vec![0; 72];
        for (at, word) in [(0, 72u32), (4, 2), (24, 4711), (28, 5), (36, 3), (40, 9)] {
            place[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        place[48..65].copy_from_slice(b"AGENTa.csome text");
        let read = Entry::at(&place).unwrap();
        assert_eq!((read.source.module, read.source.file, read.text), (&b"AGENT"[..], &b"a.c"[..], &b"some text"[..]));
        assert!(read.line.is_none());
    }

    #[test]
    fn lengths_that_lead_outside_and_unknown_levels_are_refused() {
        for text in [&b"some text"[..], b"two\nlines"] {
            let place = put(&entry(text));
            for at in [28, 32, 36, 40, 4] {
                for wrong in [200u32, u32::MAX] {
                    let mut broken = place.clone();
                    broken[at..at + 4].copy_from_slice(&wrong.to_ne_bytes());
                    assert!(Entry::at(&broken).is_none(), "{at}");
                }
            }
            for begin in [200u32, u32::MAX] {
                let mut broken = place.clone();
                broken[BEGIN..HEAD].copy_from_slice(&begin.to_ne_bytes());
                assert!(Entry::at(&broken).is_none());
            }
            assert!((0..48 + 17).all(|length| Entry::at(&place[..length]).is_none()));
        }
    }
}
