//! Records as JSON, one object per line.

use super::entry::Entry;
use crate::sys::wall;
use std::io::Write;

/// Appends one line: `{"time":"2026-11-21T18:19:54.000123Z","level":"WARN","module":"AGENT",...}`.
pub(super) fn compose(out: &mut Vec<u8>, entry: &Entry<'_>, pid: i32) {
    let source = &entry.source;
    let mut text = entry.text;
    while let Some((b'\n' | b'\r', rest)) = text.split_last() {
        text = rest;
    }
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{{\"time\":\"{}\",\"level\":\"{}\"", wall::rfc3339(entry.stamp), entry.level.name());
    for (name, value) in [("module", source.module), ("func", source.func), ("file", source.file), ("text", text)] {
        let _ = write!(out, ",\"{name}\":\"");
        escape(out, value);
        out.push(b'"');
    }
    let _ = writeln!(out, ",\"line\":{},\"pid\":{pid},\"tid\":{}}}", source.line, entry.tid);
}

/// JSON is UTF-8: what is none becomes the replacement character.
fn escape(out: &mut Vec<u8>, text: &[u8]) {
    for letter in String::from_utf8_lossy(text).chars() {
        match letter {
            '"' | '\\' => out.extend_from_slice(&[b'\\', letter as u8]),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\0'..' ' | '\x7f' => {
                let _ = write!(out, "\\u{:04x}", letter as u32);
            }
            _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Level, Source};
    use super::*;

    #[test]
    fn a_record_is_one_object_in_one_line_whatever_is_in_it() {
        let source = Source { module: b"A\"B", func: b"f", file: b"c:\\x", line: 7 };
        let text = b"one\ntwo\t\x1b[0m \xff\n";
        let entry = Entry { level: Level::Warn, stamp: 1_795_303_194_000_678_000, tid: 8, source, text, line: None };
        let mut out = Vec::new();
        compose(&mut out, &entry, 9);
        let expected = "{\"time\":\"2026-11-21T23:19:54.000678Z\",\"level\":\"WARN\",\"module\":\"A\\\"B\",\"func\":\"f\",\
             \"file\":\"c:\\\\x\",\"text\":\"one\\ntwo\\t\\u001b[0m \u{fffd}\",\"line\":7,\"pid\":9,\"tid\":8}\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
