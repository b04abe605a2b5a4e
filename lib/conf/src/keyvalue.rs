//! librpc's `key=value` format: `#` comments, blank lines skipped, white space around key and value trimmed.

use crate::ConfError;
use std::path::Path;

/// One line's worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Left of the first `=`.
    pub key: &'a str,
    /// Right of it; may be empty, which means "as if not written".
    pub value: &'a str,
    /// Counted from 1.
    pub line: usize,
}

/// The entries of `text`, in order. A line without `=` is an error naming it.
pub fn parse<'a>(file: &Path, text: &'a str) -> Result<Vec<Entry<'a>>, ConfError> {
    let mut entries = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let line = raw.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = line.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
        let Some((key, value)) = entry.filter(|(key, _)| !key.is_empty() && !key.contains(char::is_control)) else {
            let what = format!("line {}: expected key=value, found {line:?}", index + 1);
            return Err(ConfError::Syntax { file: file.to_owned(), what });
        };
        entries.push(Entry { key, value, line: index + 1 });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blanks_and_white_space_are_skipped() {
        let text = "# agent\n\n  tcp_port =  9999 \r\npid_file=\n";
        let entries = parse(Path::new("a.conf"), text).unwrap();
        assert_eq!(entries[0], Entry { key: "tcp_port", value: "9999", line: 3 });
        assert_eq!(entries[1], Entry { key: "pid_file", value: "", line: 4 });
    }

    #[test]
    fn a_line_without_equals_is_named() {
        let error = parse(Path::new("a.conf"), "backlog=8\nnonsense\n").unwrap_err().to_string();
        assert_eq!(error, "a.conf: line 2: expected key=value, found \"nonsense\"");
    }

    #[test]
    fn regress_a_key_that_cannot_be_seen_is_no_key() {
        for (text, shown) in [("=5", "=5"), ("a\0b=5", "a\\0b=5"), ("  = ", "=")] {
            let error = parse(Path::new("a.conf"), text).unwrap_err().to_string();
            assert_eq!(error, format!("a.conf: line 1: expected key=value, found \"{shown}\""));
        }
    }
}
