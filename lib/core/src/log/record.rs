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

/// Appends everything behind the time stamp, newline included:
/// `][AGENT][DEBUG][func file:81] text[pid:13962,tid:13970]`.
///
/// A record is one line whatever the text holds: a newline at its end is dropped, one inside becomes `\n` in two
/// characters (a carriage return `\r`). Other bytes, colours included, stay as they are.
pub(super) fn compose(out: &mut Vec<u8>, level: Level, source: &Source<'_>, text: &[u8], pid: i32, tid: i32) {
    out.extend_from_slice(b"][");
    flat(out, source.module);
    out.extend_from_slice(b"][");
    out.extend_from_slice(level.name().as_bytes());
    out.extend_from_slice(b"][");
    flat(out, source.func);
    out.push(b' ');
    flat(out, source.file);
    out.push(b':');
    number(out, source.line);
    out.extend_from_slice(b"] ");
    flat(out, without_line_end(text));
    out.extend_from_slice(b"[pid:");
    number(out, i64::from(pid));
    out.extend_from_slice(b",tid:");
    number(out, i64::from(tid));
    out.extend_from_slice(b"]\n");
}

fn without_line_end(mut text: &[u8]) -> &[u8] {
    while let Some((b'\n' | b'\r', rest)) = text.split_last() {
        text = rest;
    }
    text
}

/// Appends `text` without anything that would end the line.
fn flat(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before);
        out.extend_from_slice(if after.first() == Some(&b'\n') { b"\\n" } else { b"\\r" });
        rest = after.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

fn number(out: &mut Vec<u8>, value: i64) {
    use std::io::Write;
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{value}");
}

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
    fn percent_signs_mean_nothing() {
        assert!(composed("100%s%n", "%d").contains("][100%s%n][DEBUG]["));
    }
}
