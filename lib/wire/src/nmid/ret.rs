//! RetStruct: what a function returned, by the convention that every nmid library follows and no frame knows about.
//!
//! Always msgpack. Go, Python and Rust write a map of `Code`, `Msg` and `Data`; C and PHP write an array of the three,
//! with `Data` as text. Not every library reads what the others write: the C and PHP clients lose a text in a map, take
//! a negative code for success and crash on a nil, the Python client reads maps with bytes only. What goes to whom is
//! rewritten here, and left alone where it is fit already.

use std::borrow::Cow;

use super::msgpack::{self, Item, Reader};

/// What a function returned, lent from the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RetStruct<'a> {
    /// 0 is success.
    pub code: i64,
    /// For people.
    pub msg: &'a [u8],
    /// The result.
    pub data: &'a [u8],
}

/// What a C client is told instead of a negative code, which it would take for 0.
const FAILED: i64 = 255;

impl<'a> RetStruct<'a> {
    /// Reads either form. As Go's library does: keys are matched to the letter, the last of two equal ones wins, others
    /// are ignored, what is missing or nil is 0 or empty, and so is whatever follows.
    #[must_use]
    pub fn parse(ret: &'a [u8]) -> Option<RetStruct<'a>> {
        Reading::of(ret).map(|reading| reading.ret)
    }

    /// Appends the map, with `Data` as bytes and the code in nine bytes, as Go's workers write it: every library reads it.
    pub fn append_map_to(&self, out: &mut Vec<u8>) {
        msgpack::append_map(out, 3);
        msgpack::append_text(out, b"Code");
        msgpack::append_wide_int(out, self.code);
        msgpack::append_text(out, b"Msg");
        msgpack::append_text(out, self.msg);
        msgpack::append_text(out, b"Data");
        msgpack::append_bytes(out, self.data);
    }

    /// Appends the array, with `Data` as text and the code in its shortest form, as the C library writes it.
    pub fn append_array_to(&self, out: &mut Vec<u8>) {
        msgpack::append_array(out, 3);
        msgpack::append_int(out, self.code);
        msgpack::append_text(out, self.msg);
        msgpack::append_text(out, self.data);
    }
}

/// `ret` as a C or PHP client can read it: untouched where it can already, else with an empty `Data` for a nil, as an
/// array where a map holds a text, and with 255 for a negative code. `None` where it is no RetStruct; such a client
/// must be sent an ERROR instead.
#[must_use]
pub fn for_first_generation(ret: &[u8]) -> Option<Cow<'_, [u8]>> {
    let reading = Reading::of(ret)?;
    let fits = match reading.data_is {
        Data::Text => reading.is_array,
        Data::Bytes => !reading.is_array,
        Data::Nil => false,
    };
    if fits && reading.is_regular && reading.ret.code >= 0 {
        return Some(Cow::Borrowed(ret));
    }
    let code = if reading.ret.code < 0 { FAILED } else { reading.ret.code };
    let clamped = RetStruct { code, ..reading.ret };
    let mut out = Vec::new();
    match reading.is_array || reading.data_is == Data::Text {
        true => clamped.append_array_to(&mut out),
        false => clamped.append_map_to(&mut out),
    }
    Some(Cow::Owned(out))
}

/// `ret` as a map with `Data` as bytes, which every library reads; untouched where it is that, or no RetStruct at all.
#[must_use]
pub fn as_map(ret: &[u8]) -> Cow<'_, [u8]> {
    match Reading::of(ret) {
        Some(reading) if reading.is_array || reading.data_is != Data::Bytes || !reading.is_regular => {
            let mut out = Vec::new();
            reading.ret.append_map_to(&mut out);
            Cow::Owned(out)
        }
        _ => Cow::Borrowed(ret),
    }
}

/// A RetStruct, and how it was written.
struct Reading<'a> {
    ret: RetStruct<'a>,
    is_array: bool,
    data_is: Data,
    /// The three fields, each once and in order, `Msg` a text, and nothing else.
    is_regular: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Data {
    Text,
    Bytes,
    Nil,
}

const FIELDS: [&[u8]; 3] = [b"Code", b"Msg", b"Data"];

impl<'a> Reading<'a> {
    fn of(bytes: &'a [u8]) -> Option<Reading<'a>> {
        let mut reader = Reader::new(bytes);
        let mut reading = Reading { ret: RetStruct::default(), is_array: false, data_is: Data::Nil, is_regular: false };
        let mut seen = 0;
        match reader.item()? {
            Item::Array(3) => {
                reading.is_array = true;
                reading.is_regular = FIELDS.into_iter().try_fold(true, |all, key| {
                    let is_usual = reading.field(key, &mut reader)?;
                    Some(all && is_usual)
                })?;
            }
            Item::Map(len) => {
                reading.is_regular = len == FIELDS.len();
                for place in 0..len {
                    let Some(key) = key(&mut reader)? else {
                        reader.value()?;
                        reading.is_regular = false;
                        continue;
                    };
                    let is_usual = reading.field(key, &mut reader)? && FIELDS.get(place) == Some(&key);
                    reading.is_regular &= is_usual;
                    seen += 1;
                }
                reading.is_regular &= seen == FIELDS.len();
            }
            _ => return None,
        }
        reading.is_regular &= reader.is_at_end();
        Some(reading)
    }

    /// Reads the value of one of the three; whether it has its usual type.
    fn field(&mut self, key: &[u8], reader: &mut Reader<'a>) -> Option<bool> {
        let item = reader.item()?;
        match (key, item) {
            (b"Code", Item::Int(code)) => self.ret.code = i64::try_from(code).ok()?,
            (b"Code", Item::Nil) => self.ret.code = 0,
            (b"Msg", Item::Text(text) | Item::Bytes(text)) => self.ret.msg = text,
            (b"Msg", Item::Nil) => self.ret.msg = b"",
            (b"Data", Item::Text(text)) => (self.ret.data, self.data_is) = (text, Data::Text),
            (b"Data", Item::Bytes(bytes)) => (self.ret.data, self.data_is) = (bytes, Data::Bytes),
            (b"Data", Item::Nil) => (self.ret.data, self.data_is) = (b"", Data::Nil),
            _ => return None,
        }
        Some(match key {
            b"Code" => matches!(item, Item::Int(_)),
            b"Msg" => matches!(item, Item::Text(_)),
            _ => true,
        })
    }
}

/// The next key, if it is one of the three.
fn key<'a>(reader: &mut Reader<'a>) -> Option<Option<&'a [u8]>> {
    let mut ahead = *reader;
    reader.value()?;
    Some(match ahead.item()? {
        Item::Text(key) | Item::Bytes(key) if FIELDS.contains(&key) => Some(key),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GO: &[u8] = b"\x83\xa4Code\xd3\0\0\0\0\0\0\0\0\xa3Msg\xa2ok\xa4Data\xc4\x04NMID";
    const PYTHON: &[u8] = b"\x83\xa4Code\0\xa3Msg\xa2ok\xa4Data\xc4\x04NMID";
    const C: &[u8] = b"\x93\0\xa2OK\xa6add ok";

    fn map(ret: &RetStruct<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        ret.append_map_to(&mut out);
        out
    }

    fn array(ret: &RetStruct<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        ret.append_array_to(&mut out);
        out
    }

    #[test]
    fn every_librarys_form_is_read() {
        let ok = RetStruct { code: 0, msg: b"ok", data: b"NMID" };
        assert_eq!([RetStruct::parse(GO), RetStruct::parse(PYTHON)], [Some(ok); 2]);
        assert_eq!(RetStruct::parse(C), Some(RetStruct { code: 0, msg: b"OK", data: b"add ok" }));
    }

    #[test]
    fn keys_are_matched_to_the_letter_others_are_ignored_and_the_missing_is_zero() {
        let odd = b"\x84\xa4code\x07\xa3Msg\xa1m\x05\x92\x01\x02\xa4Code\xd0\xff";
        assert_eq!(RetStruct::parse(odd), Some(RetStruct { code: -1, msg: b"m", data: b"" }));
        assert_eq!(RetStruct::parse(b"\x80"), Some(RetStruct::default()));
    }

    #[test]
    fn the_last_of_two_equal_keys_wins() {
        let twice = b"\x82\xa4Code\x01\xa4Code\x02";
        assert_eq!(RetStruct::parse(twice).map(|ret| ret.code), Some(2));
    }

    #[test]
    fn nil_is_zero_or_empty() {
        let nil = b"\x83\xa4Code\xc0\xa3Msg\xc0\xa4Data\xc0";
        assert_eq!(RetStruct::parse(nil), Some(RetStruct::default()));
    }

    #[test]
    fn what_is_no_ret_struct_is_none() {
        let strangers: [&[u8]; 9] = [
            b"",
            b"hello",
            b"\xc0",
            b"\x92\0\xa0",
            b"\x94\0\xa0\xa0\xa0",
            b"\x93\xa1x\xa0\xa0",
            b"\x81\xa4Code\xcb\0\0\0\0\0\0\0\0",
            b"\x81\xa4Code\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x81\xa4Data\x90",
        ];
        for bytes in strangers {
            assert_eq!(RetStruct::parse(bytes), None, "{bytes:x?}");
            assert_eq!(for_first_generation(bytes), None, "{bytes:x?}");
            assert_eq!(as_map(bytes), bytes);
        }
    }

    #[test]
    fn every_truncation_is_none() {
        for whole in [GO, PYTHON, C] {
            for cut in 0..whole.len() {
                assert_eq!(RetStruct::parse(&whole[..cut]), None, "{cut}");
            }
        }
    }

    #[test]
    fn what_a_c_client_reads_is_left_alone() {
        for ret in [GO, PYTHON, C] {
            assert!(matches!(for_first_generation(ret), Some(Cow::Borrowed(bytes)) if bytes == ret));
        }
    }

    #[test]
    fn a_nil_becomes_empty_for_a_c_client() {
        let nil = b"\x83\xa4Code\x07\xa3Msg\xa2ok\xa4Data\xc0";
        let expected = map(&RetStruct { code: 7, msg: b"ok", data: b"" });
        assert_eq!(for_first_generation(nil).as_deref(), Some(&expected[..]));
        assert_eq!(for_first_generation(b"\x93\0\xc0\xc0").as_deref(), Some(&b"\x93\0\xa0\xa0"[..]));
    }

    #[test]
    fn a_text_in_a_map_becomes_an_array_for_a_c_client() {
        let text = b"\x83\xa4Code\0\xa3Msg\xa2ok\xa4Data\xa4NMID";
        assert_eq!(for_first_generation(text).as_deref(), Some(&b"\x93\0\xa2ok\xa4NMID"[..]));
    }

    #[test]
    fn bytes_in_an_array_become_a_text_for_a_c_client() {
        assert_eq!(for_first_generation(b"\x93\0\xa2ok\xc4\x01x").as_deref(), Some(&b"\x93\0\xa2ok\xa1x"[..]));
    }

    #[test]
    fn a_negative_code_does_not_look_like_success_to_a_c_client() {
        let minus = RetStruct { code: -1, msg: b"bad", data: b"" };
        let told = RetStruct { code: 255, ..minus };
        assert_eq!(for_first_generation(&map(&minus)).as_deref(), Some(&map(&told)[..]));
        assert_eq!(for_first_generation(&array(&minus)).as_deref(), Some(&array(&told)[..]));
    }

    #[test]
    fn a_map_out_of_order_or_with_more_in_it_is_straightened_for_a_c_client() {
        let irregular: [&[u8]; 5] = [
            b"\x83\xa3Msg\xa2ok\xa4Code\x07\xa4Data\xc4\x01x",
            b"\x84\xa4Code\x07\xa3Msg\xa2ok\xa4Data\xc4\x01x\xa1a\x01",
            b"\x83\xa4Code\x07\xa3Msg\xc4\x02ok\xa4Data\xc4\x01x",
            b"\x84\xa4Code\x01\xa4Code\x07\xa3Msg\xa2ok\xa4Data\xc4\x01x",
            b"\x83\xa4Code\x07\xa3Msg\xa2ok\xa4Data\xc4\x01x\xff",
        ];
        let expected = map(&RetStruct { code: 7, msg: b"ok", data: b"x" });
        for ret in irregular {
            assert_eq!(for_first_generation(ret).as_deref(), Some(&expected[..]), "{ret:x?}");
            assert_eq!(as_map(ret), expected);
        }
    }

    #[test]
    fn for_everybody_an_array_a_text_and_a_nil_become_a_map_with_bytes() {
        assert_eq!(as_map(C), map(&RetStruct { code: 0, msg: b"OK", data: b"add ok" }));
        assert_eq!(
            as_map(b"\x83\xa4Code\0\xa3Msg\xa0\xa4Data\xa1x"),
            map(&RetStruct { data: b"x", ..RetStruct::default() })
        );
        assert_eq!(as_map(b"\x83\xa4Code\0\xa3Msg\xa0\xa4Data\xc0"), map(&RetStruct::default()));
        assert!(matches!(as_map(GO), Cow::Borrowed(_)));
    }
}
