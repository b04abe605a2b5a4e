//! JSON to msgpack and back, without a tree in between: a body of many megabytes costs what it weighs, not ten times
//! that. Order is kept, because C workers take their arguments by it; of two equal keys in an object the last one wins,
//! as in Go. Nothing nests deeper than 128, here and in serde_json.
//!
//! serde_json itself is named in [`json`](crate::json); lib/conf has its own, which refuses equal keys.

use std::fmt::{self, Display, LowerExp};
use std::io::Write;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::msgpack::{self, Item, Reader};
use crate::base64;

/// How JSON's numbers are written in msgpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// As floats of eight bytes, as nmid's own gateway does, `4` like `4.0`. The top must then be an object.
    Float,
    /// Integers as integers, others as floats.
    Natural,
}

/// Deepest nesting accepted, as serde_json has it.
const DEEPEST: u32 = 128;

/// The JSON `text` in msgpack. What is not UTF-8 in it is replaced, as in Go.
///
/// # Errors
/// A sentence that says what is wrong and where.
pub fn json_to_msgpack(text: &[u8], numbers: Numbers) -> Result<Vec<u8>, String> {
    let text = String::from_utf8_lossy(text);
    let mut out = Vec::with_capacity(text.len());
    crate::json::read(&text, Packer { out: &mut out, numbers }).map_err(|error| format!("not JSON: {error}"))?;
    match numbers == Numbers::Float && !matches!(Reader::new(&out).item(), Some(Item::Map(_))) {
        true => Err("not an object at the top of the JSON text".to_owned()),
        false => Ok(out),
    }
}

/// The msgpack `bytes` as JSON text: bytes as base64 text, keys that are no text as the text of what they are, numbers
/// that JSON lacks as null.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn msgpack_to_json(bytes: &[u8]) -> Result<String, String> {
    let mut reader = Reader::new(bytes);
    let mut out = Vec::with_capacity(bytes.len());
    append_value(&mut reader, &mut out, DEEPEST)?;
    if !reader.is_at_end() {
        return Err("bytes behind the msgpack value".to_owned());
    }
    String::from_utf8(out).map_err(|error| error.to_string())
}

const CUT_SHORT: &str = "not msgpack, or cut short";

fn append_value(reader: &mut Reader<'_>, out: &mut Vec<u8>, deeper: u32) -> Result<(), &'static str> {
    match reader.item().ok_or(CUT_SHORT)? {
        Item::Array(len) => {
            let deeper = deeper.checked_sub(1).ok_or("nested too deeply")?;
            out.push(b'[');
            for place in 0..len {
                append_comma(out, place);
                append_value(reader, out, deeper)?;
            }
            out.push(b']');
        }
        Item::Map(len) => {
            let deeper = deeper.checked_sub(1).ok_or("nested too deeply")?;
            out.push(b'{');
            for place in 0..len {
                append_comma(out, place);
                append_key(reader, out)?;
                out.push(b':');
                append_value(reader, out, deeper)?;
            }
            out.push(b'}');
        }
        Item::Text(text) => append_string(out, text),
        Item::Bytes(bytes) => append_string(out, base64::encode(bytes).as_bytes()),
        Item::Extension => return Err("an extension type, which JSON cannot express"),
        other => append_plain(out, &other),
    }
    Ok(())
}

fn append_comma(out: &mut Vec<u8>, place: usize) {
    if place > 0 {
        out.push(b',');
    }
}

fn append_key(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), &'static str> {
    match reader.item().ok_or(CUT_SHORT)? {
        Item::Text(text) => append_string(out, text),
        Item::Bytes(bytes) => append_string(out, base64::encode(bytes).as_bytes()),
        Item::Array(_) | Item::Map(_) | Item::Extension => return Err("a key that is neither text nor number"),
        other => {
            out.push(b'"');
            append_plain(out, &other);
            out.push(b'"');
        }
    }
    Ok(())
}

fn append_string(out: &mut Vec<u8>, text: &[u8]) {
    crate::json::append_quoted(out, &String::from_utf8_lossy(text));
}

/// What is neither text nor nested, as JSON has it.
pub(super) fn append_plain(out: &mut Vec<u8>, item: &Item<'_>) {
    match *item {
        Item::Bool(true) => out.extend_from_slice(b"true"),
        Item::Bool(false) => out.extend_from_slice(b"false"),
        // A Vec takes everything, here and below.
        Item::Int(value) => write!(out, "{value}").unwrap_or_default(),
        Item::Single(value) if value.is_finite() => append_shortest(out, value, value.abs().into()),
        Item::Double(value) if value.is_finite() => append_shortest(out, value, value.abs()),
        _ => out.extend_from_slice(b"null"),
    }
}

/// The fewest digits that mean the same number; with an exponent only where JavaScript writes one too.
fn append_shortest(out: &mut Vec<u8>, value: impl Display + LowerExp, magnitude: f64) {
    let written = match magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        true => write!(out, "{value}"),
        false => write!(out, "{value:e}"),
    };
    written.unwrap_or_default();
}

/// Writes what serde_json reads.
struct Packer<'o> {
    out: &'o mut Vec<u8>,
    numbers: Numbers,
}

impl Packer<'_> {
    fn again(&mut self) -> Packer<'_> {
        Packer { out: self.out, numbers: self.numbers }
    }
}

impl<'de> DeserializeSeed<'de> for Packer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Packer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        msgpack::append_nil(self.out);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        msgpack::append_bool(self.out, value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        match self.numbers {
            Numbers::Float => msgpack::append_double(self.out, value as f64),
            Numbers::Natural => msgpack::append_int(self.out, value),
        }
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        match self.numbers {
            Numbers::Float => msgpack::append_double(self.out, value as f64),
            Numbers::Natural => msgpack::append_uint(self.out, value),
        }
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        msgpack::append_double(self.out, value);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        msgpack::append_text(self.out, value.as_bytes());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let head = open(self.out);
        let mut len = 0;
        while items.next_element_seed(self.again())?.is_some() {
            len += 1;
        }
        close(self.out, head, |head| msgpack::append_array(head, len));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let head = open(self.out);
        let mut pairs = Vec::new();
        loop {
            let begin = self.out.len();
            if entries.next_key_seed(self.again())?.is_none() {
                break;
            }
            let value = self.out.len();
            entries.next_value_seed(self.again())?;
            pairs.push(Pair { begin, value, end: self.out.len() });
        }
        let len = drop_repeated(self.out, pairs).ok_or_else(|| A::Error::custom("a pair lost its place"))?;
        close(self.out, head, |head| msgpack::append_map(head, len));
        Ok(())
    }
}

/// Leaves room for the head of an array or a map, whose size is known at its end: one byte, which does for most.
fn open(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len() - 1
}

fn close(out: &mut Vec<u8>, at: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let mut head = Vec::with_capacity(5);
    write(&mut head);
    out.splice(at..=at, head);
}

/// Where a pair stands: its key, and from `value` on its value.
struct Pair {
    begin: usize,
    value: usize,
    end: usize,
}

/// Takes out of `out` all but the last of equal keys; how many pairs are left. Sorted, not hashed: nobody can choose
/// keys that make it slow.
fn drop_repeated(out: &mut Vec<u8>, mut pairs: Vec<Pair>) -> Option<usize> {
    let key = |pair: &Pair| out.get(pair.begin..pair.value);
    // Stable: equal keys stay in the order they were written in.
    pairs.sort_by(|one, other| key(one).cmp(&key(other)));
    let mut gone: Vec<Range<usize>> = Vec::new();
    for pair in pairs.windows(2) {
        if let [earlier, later] = pair
            && key(earlier) == key(later)
        {
            gone.push(earlier.begin..earlier.end);
        }
    }
    if gone.is_empty() {
        return Some(pairs.len());
    }
    gone.sort_unstable_by_key(|range| range.start);
    let first = gone.first()?.start;
    let mut kept = Vec::new();
    let mut from = first;
    for range in &gone {
        kept.extend_from_slice(out.get(from..range.start)?);
        from = range.end;
    }
    kept.extend_from_slice(out.get(from..)?);
    out.truncate(first);
    out.append(&mut kept);
    Some(pairs.len() - gone.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn natural(text: &str) -> Vec<u8> {
        json_to_msgpack(text.as_bytes(), Numbers::Natural).unwrap()
    }

    fn there_and_back(text: &str) {
        assert_eq!(msgpack_to_json(&natural(text)).as_deref(), Ok(text));
    }

    #[test]
    fn the_gateways_numbers_are_floats() {
        let packed = json_to_msgpack(br#"{"n":4}"#, Numbers::Float).unwrap();
        assert_eq!(packed, b"\x81\xa1n\xcb\x40\x10\0\0\0\0\0\0");
        let packed = json_to_msgpack(br#"{"n":[-1,0.5]}"#, Numbers::Float).unwrap();
        assert_eq!(packed, b"\x81\xa1n\x92\xcb\xbf\xf0\0\0\0\0\0\0\xcb\x3f\xe0\0\0\0\0\0\0");
    }

    #[test]
    fn the_gateway_takes_objects_only() {
        for text in ["[]", "null", "4", "\"a\"", "true"] {
            assert!(json_to_msgpack(text.as_bytes(), Numbers::Float).is_err(), "{text}");
            assert!(json_to_msgpack(text.as_bytes(), Numbers::Natural).is_ok(), "{text}");
        }
    }

    #[test]
    fn natural_numbers_take_their_shortest_form() {
        assert_eq!(natural("[4,-4,300,0.5]"), b"\x94\x04\xfc\xcd\x01\x2c\xcb\x3f\xe0\0\0\0\0\0\0");
        assert_eq!(natural("18446744073709551615"), b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
    }

    #[test]
    fn what_is_packed_unpacks_to_the_same_text() {
        there_and_back(r#"{"b":1,"a":[true,false,null,"x\"\n\u0001é"],"c":{"d":{}},"e":[]}"#);
        there_and_back("[0,-1,4294967296,-9223372036854775808,18446744073709551615,0.1,1e300,1.5e-9]");
    }

    #[test]
    fn long_arrays_and_objects_get_longer_heads() {
        for len in [15, 16, 17, 65_535, 65_536] {
            let array = format!("[{}]", vec!["0"; len].join(","));
            there_and_back(&array);
            let pairs: Vec<String> = (0..len).map(|n| format!("\"{n:05}\":{n}")).collect();
            there_and_back(&format!("{{{}}}", pairs.join(",")));
        }
    }

    #[test]
    fn the_last_of_equal_keys_wins_in_its_own_place() {
        let text = r#"{"a":1,"b":{"x":1,"x":2},"a":[2],"c":3,"b":4,"a":5}"#;
        assert_eq!(natural(text), natural(r#"{"c":3,"b":4,"a":5}"#));
        assert_eq!(natural(r#"{"o":{"x":1,"x":2}}"#), natural(r#"{"o":{"x":2}}"#));
    }

    #[test]
    fn a_hundred_thousand_equal_keys_are_one_pair() {
        let text = format!("{{{}\"a\":7}}", "\"a\":1,".repeat(100_000));
        assert_eq!(natural(&text), b"\x81\xa1a\x07");
    }

    #[test]
    fn nesting_is_followed_to_a_depth_of_127_and_no_further() {
        there_and_back(&format!("{}{}", "[".repeat(127), "]".repeat(127)));
        let bomb = "[".repeat(100_000);
        assert!(json_to_msgpack(bomb.as_bytes(), Numbers::Natural).unwrap_err().contains("recursion"));
        let packed = [vec![0x91; 100_000], vec![0xc0]].concat();
        assert_eq!(msgpack_to_json(&packed), Err("nested too deeply".to_owned()));
    }

    #[test]
    fn bytes_become_base64_and_keys_become_texts() {
        let packed = b"\x85\xc4\x01a\xc4\x03\0\x01\x02\x07\xc0\xff\xc3\xc2\xa1x\xcb\x3f\xe0\0\0\0\0\0\0\xc0";
        let text = r#"{"YQ==":"AAEC","7":null,"-1":true,"false":"x","0.5":null}"#;
        assert_eq!(msgpack_to_json(packed).as_deref(), Ok(text));
    }

    #[test]
    fn what_json_cannot_express_is_an_error_or_null() {
        for packed in
            [&b"\xd4\x01x"[..], b"\x81\x90\xc0", b"\x81\x80\xc0", b"\x81\xd4\x01x\xc0", b"\xc0\xc0", b"", b"\xc1"]
        {
            assert!(msgpack_to_json(packed).is_err(), "{packed:x?}");
        }
        assert_eq!(msgpack_to_json(b"\xcb\x7f\xf8\0\0\0\0\0\0").as_deref(), Ok("null"));
        assert_eq!(msgpack_to_json(b"\xa2\xff\xfe").as_deref(), Ok("\"\u{fffd}\u{fffd}\""));
    }

    #[test]
    fn floats_take_the_fewest_digits() {
        let cases: [(&[u8], &str); 4] = [
            (b"\xcb\x40\x10\0\0\0\0\0\0", "4"),
            (b"\xca\x3d\xcc\xcc\xcd", "0.1"),
            (b"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", "0.1"),
            (b"\xcb\x44\xb5\x2d\x02\xc7\xe1\x4a\xf6", "1e23"),
        ];
        for (packed, text) in cases {
            assert_eq!(msgpack_to_json(packed).as_deref(), Ok(text));
        }
    }

    #[test]
    fn regress_a_float_keeps_its_last_bit() {
        for text in ["-1e45", "-1.0000000000000001e45", "9007199254740993.5", "7.2057594037927933e16", "0.1e-300"] {
            let expected: f64 = text.parse().unwrap();
            assert_eq!(natural(text)[1..], expected.to_be_bytes(), "{text}");
        }
        let mut bits = 1_u64;
        for _ in 0..10_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(bits);
            if value.is_finite() && value.fract() != 0.0 {
                assert_eq!(natural(&value.to_string())[1..], value.to_be_bytes(), "{value:e}");
            }
        }
    }

    #[test]
    fn what_is_not_json_is_said_to_be_not_json() {
        for text in ["", "{", "{\"a\"}", "[1,]", "nul", "{} x", "{'a':1}", "1e999", "\"\\ud800\""] {
            assert!(
                json_to_msgpack(text.as_bytes(), Numbers::Natural).unwrap_err().starts_with("not JSON: "),
                "{text}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_are_replaced() {
        assert_eq!(json_to_msgpack(b"\"\xff\"", Numbers::Natural), Ok(b"\xa3\xef\xbf\xbd".to_vec()));
    }
}
