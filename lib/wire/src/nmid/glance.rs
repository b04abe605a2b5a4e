//! One value of flat params, found without building or converting anything: for programs that must stay small and whose
//! callers send maps of texts and numbers. [`lookup`](super::lookup) is the thorough one.

use super::msgpack::{Item, Reader};
use super::{Params, params_type};
use std::borrow::Cow;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A text, or bytes; a number of JSON as it is written, an integer of msgpack in decimal, `true`, `false`, `null`.
    Text(Cow<'a, [u8]>),
    /// A float of msgpack that is no whole number.
    Float(f64),
}

/// The value under `key` of a map (msgpack) or an object (JSON); the last one, if it is there twice. `None` as well for
/// what is nested.
#[must_use]
pub fn glance<'a>(params: Params<'a>, key: &[u8]) -> Option<Value<'a>> {
    match params.kind {
        params_type::JSON => Json { rest: params.bytes }.value_of(key),
        _ => packed(params.bytes, key),
    }
}

fn packed<'a>(map: &'a [u8], key: &[u8]) -> Option<Value<'a>> {
    let mut reader = Reader::new(map);
    let Item::Map(len) = reader.item()? else { return None };
    let mut found = None;
    for _ in 0..len {
        let (name, value) = (reader.value()?, reader.value()?);
        if matches!(Reader::new(name).item(), Some(Item::Text(name) | Item::Bytes(name)) if name == key) {
            found = Some(value);
        }
    }
    Some(match Reader::new(found?).item()? {
        Item::Text(text) | Item::Bytes(text) => Value::Text(Cow::Borrowed(text)),
        Item::Bool(value) => literal(if value { b"true" } else { b"false" }),
        Item::Nil => literal(b"null"),
        Item::Int(number) => whole(number)?,
        Item::Single(number) => float(f64::from(number))?,
        Item::Double(number) => float(number)?,
        Item::Array(_) | Item::Map(_) | Item::Extension => return None,
    })
}

fn literal(text: &'static [u8]) -> Value<'static> {
    Value::Text(Cow::Borrowed(text))
}

/// nmid's gateway makes a float of every number, so most floats are whole.
fn float(number: f64) -> Option<Value<'static>> {
    let exact = number.abs() <= 9_007_199_254_740_992.0 && number % 1.0 == 0.0;
    if exact { whole(number as i128) } else { Some(Value::Float(number)) }
}

fn whole(number: i128) -> Option<Value<'static>> {
    let text = match i64::try_from(number) {
        Ok(number) => number.to_string(),
        Err(_) => u64::try_from(number).ok()?.to_string(),
    };
    Some(Value::Text(Cow::Owned(text.into_bytes())))
}

/// JSON that is not read yet.
#[derive(Clone, Copy)]
struct Json<'a> {
    rest: &'a [u8],
}

impl<'a> Json<'a> {
    fn value_of(mut self, key: &[u8]) -> Option<Value<'a>> {
        let mut found = None;
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return None;
        }
        loop {
            let name = self.text()?;
            self.take(b':')?;
            let value = self.value()?;
            if name == key {
                found = Some(value);
            }
            if self.take(b'}').is_some() {
                break;
            }
            self.take(b',')?;
        }
        found?
    }

    /// Reads a value; `Some(None)` is one that is nested.
    fn value(&mut self) -> Option<Option<Value<'a>>> {
        self.skip_space();
        match self.rest.first()? {
            b'"' => self.text().map(|text| Some(Value::Text(text))),
            b'{' | b'[' => self.skip_nested().map(|()| None),
            _ => {
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
                let end = self.rest.iter().position(ends)?;
                let (word, rest) = self.rest.split_at_checked(end)?;
                self.rest = rest;
                (!word.is_empty()).then_some(Some(Value::Text(Cow::Borrowed(word))))
            }
        }
    }

    /// Brackets are counted, texts passed over: nothing is descended into.
    fn skip_nested(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.rest.first()? {
                b'"' => {
                    self.text()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.rest = self.rest.get(1..)?;
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn text(&mut self) -> Option<Cow<'a, [u8]>> {
        self.take(b'"')?;
        let end = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let (plain, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        if self.rest.first() == Some(&b'"') {
            self.rest = self.rest.get(1..)?;
            return Some(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(Cow::Owned(text)),
                b'\\' => self.escaped(&mut text)?,
                byte => text.push(byte),
            }
        }
    }

    fn escaped(&mut self, text: &mut Vec<u8>) -> Option<()> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        text.push(match byte {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'"' | b'\\' | b'/' => byte,
            b'u' => {
                let letter = self.letter()?;
                text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                return Some(());
            }
            _ => return None,
        });
        Some(())
    }

    /// Behind `\u`: one unit, or the two of a letter beyond the first 65536.
    fn letter(&mut self) -> Option<char> {
        let unit = self.unit()?;
        if !(0xd800..0xdc00).contains(&unit) {
            return char::from_u32(unit);
        }
        self.rest = self.rest.strip_prefix(b"\\u")?;
        let low = self.unit()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        char::from_u32(0x10000 + ((unit - 0xd800) << 10) + low)
    }

    fn unit(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
    }

    /// Takes `byte`, if it is the next one that is not space.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmid::handle_type;

    fn in_json(text: &str, key: &str) -> Option<String> {
        let params = Params { kind: params_type::JSON, handle: handle_type::ENCODE, bytes: text.as_bytes() };
        text_of(glance(params, key.as_bytes()))
    }

    fn in_msgpack(bytes: &[u8], key: &str) -> Option<String> {
        text_of(glance(Params::untyped(bytes), key.as_bytes()))
    }

    fn text_of(value: Option<Value<'_>>) -> Option<String> {
        match value? {
            Value::Text(text) => Some(String::from_utf8(text.into_owned()).unwrap()),
            Value::Float(number) => Some(format!("float {number}")),
        }
    }

    #[test]
    fn an_objects_values_are_found_as_texts() {
        let text =
            r#" { "name" : "nmid" , "n":4, "f":-1.5e3,"yes":true, "no":null, "deep":{"name":"\"}"}, "l":[1,"]"] } "#;
        let expected = [("name", "nmid"), ("n", "4"), ("f", "-1.5e3"), ("yes", "true"), ("no", "null")];
        for (key, value) in expected {
            assert_eq!(in_json(text, key).as_deref(), Some(value), "{key}");
        }
        for key in ["deep", "l", "other", ""] {
            assert_eq!(in_json(text, key), None, "{key}");
        }
    }

    #[test]
    fn escapes_are_read_in_keys_and_values() {
        assert_eq!(in_json(r#"{"a\u0062":"x\n\"\\\/\u00e9\ud83d\ude00"}"#, "ab").as_deref(), Some("x\n\"\\/é😀"));
        for broken in [r#"{"a":"\ud83d"}"#, r#"{"a":"\udc00"}"#, r#"{"a":"\x"}"#, r#"{"a":"\u12"}"#] {
            assert_eq!(in_json(broken, "a"), None, "{broken}");
        }
    }

    #[test]
    fn the_last_of_two_wins_and_half_an_object_is_none() {
        assert_eq!(in_json(r#"{"a":"1","a":"2"}"#, "a").as_deref(), Some("2"));
        let whole = r#"{"a":"1","b":[{}],"c":"2"}"#;
        for end in 0..whole.len() {
            assert_eq!(in_json(&whole[..end], "a"), None, "{}", &whole[..end]);
        }
        for broken in ["", "[]", "{}", "nonsense", r#"{"a"}"#, r#"{"a":}"#, r#"{a:1}"#, r#"{"a":]"#] {
            assert_eq!(in_json(broken, "a"), None, "{broken}");
        }
    }

    #[test]
    fn a_maps_values_are_found_as_texts() {
        let map = b"\x88\xa1t\xa2ok\xa1b\xc4\x01x\xa1i\xff\xa1u\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1d\xcb\x40\x10\0\0\0\0\0\0\xa1f\xca\x3f\0\0\0\xa1y\xc3\xa1m\x80";
        let expected = [
            ("t", "ok"),
            ("b", "x"),
            ("i", "-1"),
            ("u", "18446744073709551615"),
            ("d", "4"),
            ("f", "float 0.5"),
            ("y", "true"),
        ];
        for (key, value) in expected {
            assert_eq!(in_msgpack(map, key).as_deref(), Some(value), "{key}");
        }
        for key in ["m", "x"] {
            assert_eq!(in_msgpack(map, key), None, "{key}");
        }
        for end in 0..map.len() {
            assert_eq!(in_msgpack(&map[..end], "t"), None);
        }
    }
}
