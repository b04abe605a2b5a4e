//! JSON that is passed on rather than read: whether a text is some, the members of an object as they were written, and
//! texts quoted. What goes between JSON and msgpack is in [`nmid`](crate::nmid). The only file of this crate that names
//! serde_json.

use serde::de::{DeserializeSeed, IgnoredAny};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// `bytes` as text, if they are one JSON value.
#[must_use]
pub fn text_of(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    serde_json::from_str::<IgnoredAny>(text).ok().map(|_| text)
}

/// The members of the object that `text` is, each value as it was written. Of two equal keys the last one counts.
///
/// # Errors
/// A sentence that says what is wrong and where.
pub fn members(text: &str) -> Result<BTreeMap<String, &str>, String> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(members.into_iter().map(|(key, value)| (key, value.get())).collect())
}

/// What `seed` makes of the one value that `text` is.
pub(crate) fn read<'de, S: DeserializeSeed<'de>>(text: &'de str, seed: S) -> Result<S::Value, String> {
    let mut source = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut source).map_err(|error| error.to_string())?;
    source.end().map(|()| value).map_err(|error| error.to_string())
}

/// The text that a quoted value stands for; `None` when the value is something else.
#[must_use]
pub fn unquoted(value: &str) -> Option<String> {
    serde_json::from_str(value).ok()
}

/// Appends `text` as a quoted value.
pub fn append_quoted(out: &mut Vec<u8>, text: &str) {
    // Into a Vec, and of a text: neither can fail.
    serde_json::to_writer(out, text).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_json_or_not() {
        for yes in ["{}", " [1, 2.5e3, null]\n", "\"\\u00e4\"", "0", "true"] {
            assert_eq!(text_of(yes.as_bytes()), Some(yes));
        }
        for no in ["", "NMID", "{", "01", "{} {}", "{\"a\":}", "\"\n\"", "nul", "'a'"] {
            assert_eq!(text_of(no.as_bytes()), None, "{no:?}");
        }
        assert_eq!(text_of(b"\"\xff\""), None);
        assert_eq!(text_of("[".repeat(1_000_000).as_bytes()), None, "no depth breaks the stack");
    }

    #[test]
    fn members_come_as_they_were_written() {
        let members = members(r#" {"id" : 1.50, "params":{"a": [ ]},"f":"\u0046", "id": "x"} "#).unwrap();
        let written: Vec<(&str, &str)> = members.iter().map(|(key, value)| (&key[..], *value)).collect();
        assert_eq!(written, [("f", r#""\u0046""#), ("id", r#""x""#), ("params", r#"{"a": [ ]}"#)]);
        assert_eq!(unquoted(members["f"]).as_deref(), Some("F"));
        assert_eq!(unquoted("1"), None);
    }

    #[test]
    fn what_is_no_object_is_said_with_its_place() {
        for text in ["[]", "1", "", "{\"a\"}", "{\"a\":1} x"] {
            assert!(members(text).unwrap_err().contains("line 1"), "{text}");
        }
    }

    #[test]
    fn a_text_is_quoted_and_unquoted_again() {
        let text = "a\"\\\n\u{1}ä/\u{1f600}";
        let mut out = Vec::new();
        append_quoted(&mut out, text);
        assert_eq!(unquoted(std::str::from_utf8(&out).unwrap()).as_deref(), Some(text));
    }
}
