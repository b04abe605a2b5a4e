//! What one record looks like. Texts are bytes: C programs log what they have, UTF-8 or not.

use super::Level;

/// Where in a program a record was written.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The part of the program: "AGENT", a service's name.
    pub module: &'a [u8],
    /// The function.
    pub func: &'a [u8],
    /// The file.
    pub file: &'a [u8],
    /// The line in it.
    pub line: i64,
}

/// What a line is put into, piece by piece.
pub(super) trait Out {
    fn put(&mut self, bytes: &[u8]);
}

impl Out for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Appends everything behind the time stamp, newline included:
/// `][AGENT][DEBUG][func file:81] text[pid:13962,tid:13970]`.
///
/// A record is one line whatever the text holds: a newline at its end is dropped, one inside becomes `\n` in two
/// characters (a carriage return `\r`). Other bytes, colours included, stay as they are.
pub(super) fn compose(out: &mut dyn Out, level: Level, source: &Source<'_>, text: &[u8], pid: i32, tid: i32) {
    begin(out, level, source, text);
    out.put(Tail::new().of(pid, tid));
}

/// As [`compose`], without the [`Tail`].
pub(super) fn begin(out: &mut dyn Out, level: Level, source: &Source<'_>, text: &[u8]) {
    out.put(OPEN);
    flat(out, source.module);
    out.put(between(level));
    flat(out, source.func);
    out.put(b" ");
    flat(out, source.file);
    out.put(b":");
    out.put(Digits::of(source.line).bytes());
    out.put(CLOSE);
    flat(out, without_line_end(text));
}

/// How lines end, kept from one record to the next: most of them are one thread's.
#[derive(Debug)]
pub(super) struct Tail {
    pid: i32,
    tid: i32,
    text: [u8; 40],
    length: usize,
}

impl Tail {
    pub const fn new() -> Tail {
        Tail { pid: 0, tid: 0, text: [0; 40], length: 0 }
    }

    /// `[pid:13962,tid:13970]` and the newline.
    #[inline]
    pub fn of(&mut self, pid: i32, tid: i32) -> &[u8] {
        if (self.pid, self.tid) != (pid, tid) || self.length == 0 {
            (self.pid, self.tid, self.length) = (pid, tid, 0);
            self.put(b"[pid:");
            self.put(Digits::of(i64::from(pid)).bytes());
            self.put(b",tid:");
            self.put(Digits::of(i64::from(tid)).bytes());
            self.put(b"]\n");
        }
        self.text.get(..self.length).unwrap_or_default()
    }
}

impl Out for Tail {
    fn put(&mut self, bytes: &[u8]) {
        // Two numbers of 32 bits and twelve letters always fit.
        if let Some(place) = self.text.get_mut(self.length..self.length + bytes.len()) {
            place.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }
}

/// What stands between a record's module and its function.
#[inline]
pub(super) fn between(level: Level) -> &'static [u8] {
    match level {
        Level::Fatal => b"][FATAL][",
        Level::Error => b"][ERROR][",
        Level::Warn => b"][WARN][",
        Level::Debug => b"][DEBUG][",
        Level::Info => b"][INFO][",
    }
}

#[inline]
pub(super) fn without_line_end(mut text: &[u8]) -> &[u8] {
    while let Some((b'\n' | b'\r', rest)) = text.split_last() {
        text = rest;
    }
    text
}

/// Appends `text` without anything that would end the line.
fn flat(out: &mut dyn Out, text: &[u8]) {
    if has_no_controls(text) {
        return out.put(text);
    }
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        let (before, after) = rest.split_at(at);
        out.put(before);
        out.put(if after.first() == Some(&b'\n') { b"\\n" } else { b"\\r" });
        rest = after.get(1..).unwrap_or_default();
    }
    out.put(rest);
}

/// Whether no byte is below 0x0e, as line ends are: eight bytes at a time, for every record is asked.
#[inline]
pub(super) fn has_no_controls(text: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    let below = |word: u64| word.wrapping_sub(ONES * 0x0e) & !word & (ONES * 0x80);
    let (words, rest) = text.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| found | below(u64::from_ne_bytes(*word)));
    // What is left of a longer text is looked at with what is before it, in one go.
    match text.last_chunk::<8>() {
        Some(last) => found | below(u64::from_ne_bytes(*last)) == 0,
        None => rest.iter().all(|byte| *byte >= 0x0e),
    }
}

/// A number in decimal.
pub(super) struct Digits {
    text: [u8; 20],
    from: usize,
}

impl Digits {
    /// Two digits at a time: a division is the dearest of it.
    #[inline]
    pub fn of(value: i64) -> Digits {
        let mut text = [b'0'; 20];
        let (pairs, _) = text.as_chunks_mut::<2>();
        let mut rest = value.unsigned_abs();
        let mut from = 20;
        for pair in pairs.iter_mut().rev() {
            let two = (rest % 100) as u8;
            rest /= 100;
            *pair = [b'0' + two / 10, b'0' + two % 10];
            from -= 2;
            if rest == 0 {
                from += usize::from(two < 10);
                break;
            }
        }
        if value < 0 {
            // No i64 has more than nineteen digits.
            from -= 1;
            if let Some(sign) = text.get_mut(from) {
                *sign = b'-';
            }
        }
        Digits { text, from }
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.text.get(self.from..).unwrap_or_default()
    }
}

/// What stands in front of the module, behind the time.
pub(super) const OPEN: &[u8] = b"][";
/// What stands in front of the text.
pub(super) const CLOSE: &[u8] = b"] ";

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(module: &str, text: &str) -> String {
        let mut out = Vec::new();
        let source = Source { module: module.as_bytes(), func: b"main", file: b"path/thread.c", line: 813 };
        compose(&mut out, Level::Debug, &source, text.as_bytes(), 13962, 13970);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_looks_as_it_did_in_2019_and_ends_with_a_newline() {
        let expected = "][AGENT][DEBUG][main path/thread.c:813] text[pid:13962,tid:13970]\n";
        assert_eq!(composed("AGENT", "text"), expected);
    }

    #[test]
    fn a_newline_inside_the_text_does_not_start_a_second_line() {
        let line = composed("A\nB", "one\r\ntwo\nthree\n\n");
        assert_eq!(line, "][A\\nB][DEBUG][main path/thread.c:813] one\\r\\ntwo\\nthree[pid:13962,tid:13970]\n");
    }

    #[test]
    fn a_line_end_is_found_wherever_it_is() {
        for length in 0..40 {
            let mut text = vec![b' '; length];
            text.push(b'\xff');
            assert!(has_no_controls(&text));
            for at in 0..length {
                for end in [b'\n', b'\r'] {
                    let mut text = text.clone();
                    text[at] = end;
                    assert!(!has_no_controls(&text));
                    let mut out = Vec::new();
                    flat(&mut out, &text);
                    assert_eq!(out.len(), text.len() + 1);
                }
            }
        }
    }

    #[test]
    fn numbers_of_all_sizes_are_written_whole() {
        for value in [0, 7, 10, -1, -10, 65536, i64::MAX, i64::MIN] {
            assert_eq!(Digits::of(value).bytes(), value.to_string().as_bytes());
        }
    }

    #[test]
    fn percent_signs_mean_nothing() {
        assert!(composed("100%s%n", "%d").contains("][100%s%n][DEBUG]["));
    }
}
