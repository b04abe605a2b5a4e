//! A call's params on their way between the two generations.
//!
//! A G2 worker takes a map, a G0 worker an array of `"key:value"` strings and gives its function the values in their
//! order. A G0 worker dies of nearly everything else: of a map, of JSON, of an element without a colon. So nothing is
//! handed to one that has not passed [`to_first`], wherever it comes from.

use std::borrow::Cow;
use std::fmt;

use super::json::{self, Numbers, json_to_msgpack, msgpack_to_json};
use super::msgpack::{self, Item, Reader};
use super::{Params, params_type};

/// Why params cannot be handed to a G0 worker. Their client gets an ERROR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsafe {
    /// Neither msgpack nor JSON as the request says, or with a type that has no text.
    Unreadable,
    /// Neither a map nor an array of strings, or an empty one, or with bytes behind it.
    NoPairs,
    /// An element that is not a key, one colon, and a value without comma and NUL.
    Element,
}

impl fmt::Display for Unsafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "params that cannot be read",
            Self::NoPairs => "params that are neither a map nor an array of strings, or empty",
            Self::Element => "a param that is not a key, one colon, and a value without comma and NUL",
        })
    }
}

impl std::error::Error for Unsafe {}

/// `params` as a G0 worker survives them: a map or an object as an array of `"key:value"` strings, an
/// array of such strings as it is.
///
/// Texts and bytes stay as they are, integers are decimal, floats as short as they can be, booleans `true` and `false`,
/// nil is `null`, and what is nested is JSON text, which is rarely safe.
///
/// A G0 worker takes a body of twelve bytes or less for a header. No job that carries these params has one: two lengths
/// and the shortest array that passes are thirteen.
///
/// # Errors
/// [`Unsafe`], and then there is no way to hand them over.
pub fn to_first(params: Params<'_>) -> Result<Cow<'_, [u8]>, Unsafe> {
    let packed = packed(params).map_err(|_| Unsafe::Unreadable)?;
    let pairs = match Reader::new(&packed).item().ok_or(Unsafe::Unreadable)? {
        Item::Map(_) => Cow::Owned(joined(&packed).ok_or(Unsafe::Unreadable)??),
        _ => packed,
    };
    check(&pairs).map(|()| pairs)
}

/// `params` as a G2 worker expects them: an array of strings that all have a colon as a map, split at the first one;
/// anything else as it is.
#[must_use]
pub fn to_second(params: Params<'_>) -> Cow<'_, [u8]> {
    match params.kind {
        params_type::JSON => Cow::Borrowed(params.bytes),
        _ => split(params.bytes).map_or(Cow::Borrowed(params.bytes), Cow::Owned),
    }
}

/// `params` in msgpack.
pub(super) fn packed(params: Params<'_>) -> Result<Cow<'_, [u8]>, String> {
    match params.kind {
        params_type::JSON => json_to_msgpack(params.bytes, Numbers::Natural).map(Cow::Owned),
        _ => Ok(Cow::Borrowed(params.bytes)),
    }
}

/// Appends the text of one msgpack value.
pub(super) fn append_as_text(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match Reader::new(value).item()? {
        Item::Text(text) | Item::Bytes(text) => out.extend_from_slice(text),
        Item::Array(_) | Item::Map(_) => out.extend_from_slice(msgpack_to_json(value).ok()?.as_bytes()),
        Item::Extension => return None,
        plain => json::append_plain(out, &plain),
    }
    Some(())
}

/// A map as an array of `"key:value"` strings; `None` where it cannot be read.
fn joined(map: &[u8]) -> Option<Result<Vec<u8>, Unsafe>> {
    let mut reader = Reader::new(map);
    let Item::Map(len) = reader.item()? else { return None };
    let (mut out, mut pair) = (Vec::with_capacity(map.len() + len), Vec::new());
    msgpack::append_array(&mut out, len);
    for _ in 0..len {
        pair.clear();
        append_as_text(reader.value()?, &mut pair)?;
        pair.push(b':');
        append_as_text(reader.value()?, &mut pair)?;
        msgpack::append_text(&mut out, &pair);
    }
    Some(if reader.is_at_end() { Ok(out) } else { Err(Unsafe::NoPairs) })
}

/// An array of `"key:value"` strings as a map; `None` where it is none.
fn split(array: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(array);
    let Item::Array(len) = reader.item()? else { return None };
    let mut out = Vec::with_capacity(array.len() + len);
    msgpack::append_map(&mut out, len);
    for _ in 0..len {
        let Item::Text(pair) = reader.item()? else { return None };
        let colon = pair.iter().position(|byte| *byte == b':')?;
        let (key, value) = pair.split_at_checked(colon)?;
        msgpack::append_text(&mut out, key);
        msgpack::append_text(&mut out, value.get(1..)?);
    }
    reader.is_at_end().then_some(out)
}

/// Whether a G0 worker survives this array.
fn check(array: &[u8]) -> Result<(), Unsafe> {
    let mut reader = Reader::new(array);
    let Some(Item::Array(len @ 1..)) = reader.item() else { return Err(Unsafe::NoPairs) };
    for _ in 0..len {
        match reader.item() {
            Some(Item::Text(pair)) if is_harmless(pair) => {}
            Some(_) => return Err(Unsafe::Element),
            None => return Err(Unsafe::Unreadable),
        }
    }
    if reader.is_at_end() { Ok(()) } else { Err(Unsafe::NoPairs) }
}

/// The worker splits texts at colons and commas and measures them to the first NUL; an empty part is no part to it.
fn is_harmless(pair: &[u8]) -> bool {
    let mut parts = pair.split(|byte| *byte == b':');
    let is_part = |part: Option<&[u8]>| part.is_some_and(|part| !part.is_empty());
    let is_one_pair = is_part(parts.next()) && is_part(parts.next()) && parts.next().is_none();
    is_one_pair && !pair.contains(&b',') && !pair.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmid::{Dialect, HEADER_LEN, Job, handle_type};

    const MAP: &[u8] = b"\x81\xa4name\xa4nmid";
    const PAIRS: &[u8] = b"\x91\xa9name:nmid";

    fn json(text: &str) -> Params<'_> {
        Params { kind: params_type::JSON, handle: handle_type::ENCODE, bytes: text.as_bytes() }
    }

    fn first(bytes: &[u8]) -> Result<Vec<u8>, Unsafe> {
        to_first(Params::untyped(bytes)).map(Cow::into_owned)
    }

    fn array(pairs: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        msgpack::append_array(&mut out, pairs.len());
        pairs.iter().for_each(|pair| msgpack::append_text(&mut out, pair.as_bytes()));
        out
    }

    #[test]
    fn a_map_and_an_object_become_an_array_of_pairs() {
        assert_eq!(first(MAP).as_deref(), Ok(PAIRS));
        assert_eq!(to_first(json(r#"{"name":"nmid"}"#)).as_deref(), Ok(PAIRS));
    }

    #[test]
    fn every_kind_of_value_has_its_text_and_the_order_stays() {
        let object = r#"{"z":"text","n":-7,"big":18446744073709551615,"f":0.5,"whole":4.0,"t":true,"no":false,"nil":null,"l":[1],"e":{}}"#;
        let pairs = [
            "z:text",
            "n:-7",
            "big:18446744073709551615",
            "f:0.5",
            "whole:4",
            "t:true",
            "no:false",
            "nil:null",
            "l:[1]",
            "e:{}",
        ];
        assert_eq!(to_first(json(object)).as_deref(), Ok(&array(&pairs)[..]));
    }

    #[test]
    fn bytes_and_keys_that_are_no_text_have_their_text_too() {
        assert_eq!(first(b"\x82\x07\xc4\x02ab\xc4\x01k\xca\x3d\xcc\xcc\xcd"), Ok(array(&["7:ab", "k:0.1"])));
    }

    #[test]
    fn safe_pairs_pass_untouched_whoever_sends_them() {
        assert!(matches!(to_first(Params::untyped(PAIRS)), Ok(Cow::Borrowed(PAIRS))));
    }

    #[test]
    fn a_g0_worker_gets_nothing_it_dies_of() {
        for pair in ["name", "name:", ":nmid", "a:b:c", "a::b", "a:1,2", "a,b:1", "a:\0", "\0:a", "", ":"] {
            assert_eq!(first(&array(&["name:nmid", pair])), Err(Unsafe::Element), "{pair:?}");
            assert_eq!(first(&array(&[pair, "name:nmid"])), Err(Unsafe::Element), "{pair:?}");
        }
        for object in
            [r#"{"a":""}"#, r#"{"":"a"}"#, r#"{"a":"b:c"}"#, r#"{"a":[1,2]}"#, r#"{"a":{"b":1}}"#, r#"{"a":"\u0000"}"#]
        {
            assert_eq!(to_first(json(object)), Err(Unsafe::Element), "{object}");
        }
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for bytes in [&b"\x90"[..], b"\x80", b"\xa3a:b", b"\xc0", b"\x07", b"\x91\xa3a:b\xc0", b"\x81\xa1a\xa1b\xc0"] {
            assert_eq!(first(bytes), Err(Unsafe::NoPairs), "{bytes:x?}");
        }
        for element in [&b"\x91\xc4\x03a:b"[..], b"\x91\x07", b"\x91\xc0", b"\x91\x91\xa3a:b", b"\x91\xd4\x01x"] {
            assert_eq!(first(element), Err(Unsafe::Element), "{element:x?}");
        }
        for text in ["[]", "4", "\"a:b\"", "null", "{}"] {
            assert_eq!(to_first(json(text)), Err(Unsafe::NoPairs), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for bytes in
            [&b""[..], b"\xc1", b"\x91", b"\x92\xa3a:b", b"\xdd\xff\xff\xff\xff", b"\x81\xa1a", b"\x81\xa1a\xd4\x01x"]
        {
            assert_eq!(first(bytes), Err(Unsafe::Unreadable), "{bytes:x?}");
        }
        assert_eq!(to_first(json("{")), Err(Unsafe::Unreadable));
        let bomb = [&b"\x81\xa1a"[..], &[0x91; 100_000], b"\xc0"].concat();
        assert_eq!(first(&bomb), Err(Unsafe::Unreadable));
    }

    #[test]
    fn a_json_array_of_pairs_becomes_a_msgpack_one() {
        assert_eq!(to_first(json(r#"["a:1","b:2"]"#)).as_deref(), Ok(&array(&["a:1", "b:2"])[..]));
    }

    #[test]
    fn no_job_with_params_that_pass_is_as_short_as_a_header() {
        // The shortest pair in each form of a text and of an array, in a job whose function has no name.
        for params in [&b"\x91\xa3a:b"[..], b"\x91\xd9\x03a:b", b"\xdc\0\x01\xa3a:b", b"\x81\xa1a\xa1b", b"\x81\0\0"] {
            let params = to_first(Params::untyped(params)).unwrap();
            let mut frame = Vec::new();
            Job { function: b"", params: Params::untyped(&params), id: b"" }.append_to(Dialect::G0, &mut frame);
            assert!(frame.len() > 2 * HEADER_LEN, "{params:x?}");
        }
    }

    #[test]
    fn pairs_become_a_map_split_at_their_first_colon() {
        let second = |bytes| to_second(Params::untyped(bytes)).into_owned();
        assert_eq!(second(PAIRS), MAP);
        assert_eq!(second(b"\x92\xa5a:b:c\xa2d:"), b"\x82\xa1a\xa3b:c\xa1d\xa0");
    }

    #[test]
    fn what_is_not_all_pairs_goes_to_a_g2_worker_as_it_is() {
        for bytes in [MAP, b"\x92\xa3a:b\xa1c", b"\x92\xa3a:b\x07", b"\x91\xa3a:b\xc0", b"\x92\xa3a:b", b"garbage", b""]
        {
            assert!(matches!(to_second(Params::untyped(bytes)), Cow::Borrowed(same) if same == bytes), "{bytes:x?}");
        }
        assert_eq!(to_second(json(r#"["a:b"]"#)), &br#"["a:b"]"#[..]);
    }

    #[test]
    fn equal_keys_of_an_object_are_one_pair() {
        assert_eq!(to_first(json(r#"{"a":1,"a":2}"#)).as_deref(), Ok(&array(&["a:2"])[..]));
    }
}
