//! msgpack item by item: nothing is built, texts are lent from the bytes they stand in.
//!
//! Every length is compared with the bytes that are there before anyone believes it, and what is nested is counted,
//! not descended into, so neither a promise of four gigabytes nor a million open arrays costs more than reading them.
//! Texts are bytes: msgpack says UTF-8, peers do not always. The only file that names rmp.

use rmp::{Marker, encode};

/// Whether `bytes` are one value and nothing else.
#[must_use]
pub fn is_msgpack(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    reader.value().is_some() && reader.is_at_end()
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Item<'a> {
    Nil,
    Bool(bool),
    /// Any of the ten integer forms; all of them fit.
    Int(i128),
    Single(f32),
    Double(f64),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    /// So many values follow.
    Array(usize),
    /// So many pairs of values follow.
    Map(usize),
    /// A type of somebody's own.
    Extension,
}

/// Reads items off the front of some bytes. `None` is the end of what can be read: bytes are missing, or are no msgpack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next item; of an array or a map only its size.
    pub(super) fn item(&mut self) -> Option<Item<'a>> {
        let [byte] = self.array()?;
        Some(match Marker::from_u8(byte) {
            Marker::Null => Item::Nil,
            Marker::False => Item::Bool(false),
            Marker::True => Item::Bool(true),
            Marker::FixPos(value) => Item::Int(value.into()),
            Marker::FixNeg(value) => Item::Int(value.into()),
            Marker::U8 => Item::Int(u8::from_be_bytes(self.array()?).into()),
            Marker::U16 => Item::Int(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => Item::Int(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => Item::Int(u64::from_be_bytes(self.array()?).into()),
            Marker::I8 => Item::Int(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => Item::Int(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => Item::Int(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => Item::Int(i64::from_be_bytes(self.array()?).into()),
            Marker::F32 => Item::Single(f32::from_be_bytes(self.array()?)),
            Marker::F64 => Item::Double(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(len) => Item::Text(self.take(len.into())?),
            Marker::Str8 => Item::Text(self.counted::<1>()?),
            Marker::Str16 => Item::Text(self.counted::<2>()?),
            Marker::Str32 => Item::Text(self.counted::<4>()?),
            Marker::Bin8 => Item::Bytes(self.counted::<1>()?),
            Marker::Bin16 => Item::Bytes(self.counted::<2>()?),
            Marker::Bin32 => Item::Bytes(self.counted::<4>()?),
            Marker::FixArray(len) => Item::Array(self.believable(len.into(), 1)?),
            Marker::Array16 => Item::Array(self.size::<2>(1)?),
            Marker::Array32 => Item::Array(self.size::<4>(1)?),
            Marker::FixMap(len) => Item::Map(self.believable(len.into(), 2)?),
            Marker::Map16 => Item::Map(self.size::<2>(2)?),
            Marker::Map32 => Item::Map(self.size::<4>(2)?),
            Marker::FixExt1 => self.extension(1)?,
            Marker::FixExt2 => self.extension(2)?,
            Marker::FixExt4 => self.extension(4)?,
            Marker::FixExt8 => self.extension(8)?,
            Marker::FixExt16 => self.extension(16)?,
            Marker::Ext8 => self.len::<1>().and_then(|len| self.extension(len))?,
            Marker::Ext16 => self.len::<2>().and_then(|len| self.extension(len))?,
            Marker::Ext32 => self.len::<4>().and_then(|len| self.extension(len))?,
            Marker::Reserved => return None,
        })
    }

    /// The next value with all that is in it, as it is written.
    pub(super) fn value(&mut self) -> Option<&'a [u8]> {
        let begin = self.rest;
        let mut owed = 1_usize;
        while owed > 0 {
            // No sum overflows: every size is at most the number of bytes left.
            owed += match self.item()? {
                Item::Array(len) => len,
                Item::Map(len) => 2 * len,
                _ => 0,
            };
            owed -= 1;
        }
        begin.get(..begin.len() - self.rest.len())
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }

    /// A length of `N` bytes. A usize holds a u32 on every machine we build for.
    fn len<const N: usize>(&mut self) -> Option<usize> {
        Some(self.array::<N>()?.into_iter().fold(0, |len, byte| len << 8 | usize::from(byte)))
    }

    fn counted<const N: usize>(&mut self) -> Option<&'a [u8]> {
        let len = self.len::<N>()?;
        self.take(len)
    }

    fn size<const N: usize>(&mut self, values: usize) -> Option<usize> {
        let len = self.len::<N>()?;
        self.believable(len, values)
    }

    /// `len` times `values` values take at least that many bytes.
    fn believable(&self, len: usize, values: usize) -> Option<usize> {
        (len <= self.rest.len() / values).then_some(len)
    }

    fn extension(&mut self, len: usize) -> Option<Item<'a>> {
        let [_kind] = self.array()?;
        self.take(len)?;
        Some(Item::Extension)
    }
}

// A Vec takes everything: none of the results below can be an error.

pub(super) fn append_nil(out: &mut Vec<u8>) {
    encode::write_nil(out).ok();
}

pub(super) fn append_bool(out: &mut Vec<u8>, value: bool) {
    encode::write_bool(out, value).ok();
}

/// The shortest form.
pub(super) fn append_int(out: &mut Vec<u8>, value: i64) {
    encode::write_sint(out, value).ok();
}

/// The shortest form.
pub(super) fn append_uint(out: &mut Vec<u8>, value: u64) {
    encode::write_uint(out, value).ok();
}

/// The nine bytes in which Go writes every integer.
pub(super) fn append_wide_int(out: &mut Vec<u8>, value: i64) {
    encode::write_i64(out, value).ok();
}

pub(super) fn append_double(out: &mut Vec<u8>, value: f64) {
    encode::write_f64(out, value).ok();
}

pub(super) fn append_text(out: &mut Vec<u8>, text: &[u8]) {
    // What is longer than a u32 can say has been refused long before it is encoded.
    encode::write_str_len(out, text.len() as u32).ok();
    out.extend_from_slice(text);
}

pub(super) fn append_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    encode::write_bin(out, bytes).ok();
}

/// The head of an array; its values follow.
pub(super) fn append_array(out: &mut Vec<u8>, len: usize) {
    encode::write_array_len(out, len as u32).ok();
}

/// The head of a map; its pairs follow.
pub(super) fn append_map(out: &mut Vec<u8>, len: usize) {
    encode::write_map_len(out, len as u32).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(bytes: &[u8]) -> Option<Item<'_>> {
        let mut reader = Reader::new(bytes);
        let item = reader.item();
        assert!(item.is_none() || reader.is_at_end());
        item
    }

    #[test]
    fn every_form_of_an_integer_is_an_integer() {
        assert_eq!(only(b"\x7f"), Some(Item::Int(127)));
        assert_eq!(only(b"\xe0"), Some(Item::Int(-32)));
        assert_eq!(only(b"\xcc\xff"), Some(Item::Int(255)));
        assert_eq!(only(b"\xcd\x01\x00"), Some(Item::Int(256)));
        assert_eq!(only(b"\xce\xff\xff\xff\xff"), Some(Item::Int(u32::MAX.into())));
        assert_eq!(only(b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), Some(Item::Int(u64::MAX.into())));
        assert_eq!(only(b"\xd0\x80"), Some(Item::Int(-128)));
        assert_eq!(only(b"\xd1\x80\x00"), Some(Item::Int(i16::MIN.into())));
        assert_eq!(only(b"\xd2\xff\xff\xff\xff"), Some(Item::Int(-1)));
        assert_eq!(only(b"\xd3\x80\0\0\0\0\0\0\0"), Some(Item::Int(i64::MIN.into())));
    }

    #[test]
    fn every_form_of_a_text_and_of_bytes_is_lent() {
        for text in [&b"\xa2ok"[..], b"\xd9\x02ok", b"\xda\0\x02ok", b"\xdb\0\0\0\x02ok"] {
            assert_eq!(only(text), Some(Item::Text(b"ok")));
        }
        for bytes in [&b"\xc4\x02ok"[..], b"\xc5\0\x02ok", b"\xc6\0\0\0\x02ok"] {
            assert_eq!(only(bytes), Some(Item::Bytes(b"ok")));
        }
    }

    #[test]
    fn what_is_neither_number_nor_text_is_told_apart() {
        assert_eq!(only(b"\xc0"), Some(Item::Nil));
        assert_eq!([only(b"\xc2"), only(b"\xc3")], [Some(Item::Bool(false)), Some(Item::Bool(true))]);
        assert_eq!(only(b"\xca\x3f\x00\x00\x00"), Some(Item::Single(0.5)));
        assert_eq!(only(b"\xcb\x40\x10\0\0\0\0\0\0"), Some(Item::Double(4.0)));
        assert_eq!([only(b"\x90"), only(b"\x80")], [Some(Item::Array(0)), Some(Item::Map(0))]);
        let extensions = [&b"\xd4\x01x"[..], b"\xd5\x01xx", b"\xd6\x01xxxx", b"\xc7\x01\x09x", b"\xc8\0\x01\x09x"];
        assert!(extensions.iter().all(|bytes| only(bytes) == Some(Item::Extension)));
        assert_eq!(only(b"\xc9\0\0\0\x01\x09x"), Some(Item::Extension));
        assert_eq!(only(b"\xc1"), None);
    }

    #[test]
    fn a_promise_of_four_gigabytes_is_not_believed() {
        for head in [0xc6, 0xc9, 0xdb, 0xdd, 0xdf_u8] {
            for following in [0, 1, 100] {
                let bytes = [&[head, 0xff, 0xff, 0xff, 0xff][..], &vec![0; following]].concat();
                assert_eq!(Reader::new(&bytes).item(), None, "{head:#x}");
                assert_eq!(Reader::new(&bytes).value(), None, "{head:#x}");
            }
        }
    }

    #[test]
    fn a_map_needs_two_bytes_for_each_of_its_pairs() {
        assert_eq!(Reader::new(b"\x82\xc0\xc0\xc0").item(), None);
        assert_eq!(Reader::new(b"\x82\xc0\xc0\xc0\xc0").item(), Some(Item::Map(2)));
    }

    #[test]
    fn a_million_open_arrays_are_read_without_descending() {
        let mut bytes = vec![0x91; 1_000_000];
        assert_eq!(Reader::new(&bytes).value(), None);
        bytes.push(0xc0);
        assert_eq!(Reader::new(&bytes).value(), Some(&bytes[..]));
    }

    #[test]
    fn a_value_ends_where_the_next_begins() {
        let mut reader = Reader::new(b"\x82\xa1a\x93\x01\x02\x03\xa1b\x80\xc3");
        assert_eq!(reader.value(), Some(&b"\x82\xa1a\x93\x01\x02\x03\xa1b\x80"[..]));
        assert_eq!((reader.item(), reader.is_at_end(), reader.item()), (Some(Item::Bool(true)), true, None));
    }

    #[test]
    fn bytes_are_one_value_or_not() {
        for yes in [&b"\xc0"[..], b"\x81\xa1a\x91\x01", b"\xc4\x00"] {
            assert!(is_msgpack(yes), "{yes:x?}");
        }
        for no in [&b""[..], b"\xc1", b"\xc0\xc0", b"\x81\xa1a", b"\xdd\xff\xff\xff\xff"] {
            assert!(!is_msgpack(no), "{no:x?}");
        }
    }

    #[test]
    fn what_is_appended_is_read_again() {
        let mut out = Vec::new();
        append_nil(&mut out);
        append_bool(&mut out, true);
        append_int(&mut out, -7);
        append_uint(&mut out, u64::MAX);
        append_wide_int(&mut out, 7);
        append_double(&mut out, 1.5);
        append_text(&mut out, b"text");
        append_bytes(&mut out, b"bytes");
        append_array(&mut out, 1);
        append_map(&mut out, 0);
        let mut reader = Reader::new(&out);
        let expected = [
            Item::Nil,
            Item::Bool(true),
            Item::Int(-7),
            Item::Int(u64::MAX.into()),
            Item::Int(7),
            Item::Double(1.5),
            Item::Text(b"text"),
            Item::Bytes(b"bytes"),
            Item::Array(1),
            Item::Map(0),
        ];
        for item in expected {
            assert_eq!(reader.item(), Some(item));
        }
        assert!(reader.is_at_end());
    }
}
