//! Single fields out of a call's params, whichever way these are written: msgpack map, JSON object, or the
//! `"key:value"` strings of a G0 client.

use std::borrow::Cow;

use super::Params;
use super::bridge::{append_as_text, packed, to_second};
use super::msgpack::{Item, Reader};
use crate::base64;

/// A call of a service's command under a name, as its params say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceCall {
    /// What to send; without it the command is a GET.
    pub payload: Option<Vec<u8>>,
    /// Bytes of answer wanted.
    pub restlen: u32,
}

/// Reads `payload` (bytes, or a text in base64) and `restlen`. Other fields are ignored: tracing adds its own. No params
/// at all are none of the two.
///
/// # Errors
/// A sentence that says which field is wrong.
pub fn service_params(params: Params<'_>) -> Result<ServiceCall, String> {
    if params.bytes.is_empty() {
        return Ok(ServiceCall::default());
    }
    let table = table(params)?;
    if !matches!(Reader::new(&table).item(), Some(Item::Map(_))) {
        return Err("params that are no map".to_owned());
    }
    let payload = match field(&table, b"payload").map(|value| Reader::new(value).item()) {
        None | Some(Some(Item::Nil)) => None,
        Some(Some(Item::Bytes(bytes))) => Some(bytes.to_vec()),
        Some(Some(Item::Text(text))) => Some(base64::decode(text).ok_or("payload: a text that is not base64")?),
        Some(_) => return Err("payload: neither bytes nor a text in base64".to_owned()),
    };
    let restlen = match field(&table, b"restlen") {
        None => 0,
        Some(value) => length(value).ok_or("restlen: not a number of bytes")?,
    };
    Ok(ServiceCall { payload, restlen })
}

/// The value under `key` as a text, the same for the same value however the params are written; for what is decided by
/// one of them.
#[must_use]
pub fn lookup(params: Params<'_>, key: &[u8]) -> Option<Vec<u8>> {
    let table = table(params).ok()?;
    let mut text = Vec::new();
    append_as_text(field(&table, key)?, &mut text)?;
    Some(text)
}

/// `params` as a msgpack map, if they are something like that.
fn table(params: Params<'_>) -> Result<Cow<'_, [u8]>, String> {
    Ok(match packed(params)? {
        Cow::Borrowed(bytes) => to_second(Params::untyped(bytes)),
        Cow::Owned(bytes) => Cow::Owned(to_second(Params::untyped(&bytes)).into_owned()),
    })
}

/// The value under `key` of a map; the last one, if it is there twice.
fn field<'a>(map: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut reader = Reader::new(map);
    let Item::Map(len) = reader.item()? else { return None };
    let mut found = None;
    for _ in 0..len {
        let (name, value) = (reader.value()?, reader.value()?);
        if matches!(Reader::new(name).item(), Some(Item::Text(name) | Item::Bytes(name)) if name == key) {
            found = Some(value);
        }
    }
    found
}

/// A number of bytes: an integer, a float that is one (nmid's gateway makes every number a float), or digits.
fn length(value: &[u8]) -> Option<u32> {
    match Reader::new(value).item()? {
        Item::Nil => Some(0),
        Item::Int(number) => u32::try_from(number).ok(),
        Item::Double(number) if (0.0..=f64::from(u32::MAX)).contains(&number) && number.fract() == 0.0 => {
            Some(number as u32)
        }
        Item::Text(digits) if digits.iter().all(u8::is_ascii_digit) => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmid::{handle_type, params_type};

    fn json(text: &str) -> Params<'_> {
        Params { kind: params_type::JSON, handle: handle_type::ENCODE, bytes: text.as_bytes() }
    }

    fn set(payload: &[u8], restlen: u32) -> Result<ServiceCall, String> {
        Ok(ServiceCall { payload: Some(payload.to_vec()), restlen })
    }

    fn get(restlen: u32) -> Result<ServiceCall, String> {
        Ok(ServiceCall { payload: None, restlen })
    }

    #[test]
    fn a_payload_is_bytes_or_a_text_in_base64() {
        assert_eq!(service_params(Params::untyped(b"\x81\xa7payload\xc4\x02\0\xff")), set(b"\0\xff", 0));
        assert_eq!(service_params(Params::untyped(b"\x81\xa7payload\xa4AP8=")), set(b"\0\xff", 0));
        assert_eq!(service_params(json(r#"{"payload":"AP8=","restlen":36,"sw8":"1-x"}"#)), set(b"\0\xff", 36));
        assert_eq!(service_params(Params::untyped(b"\x91\xaepayload:AP8=\xc0")).ok(), None);
        assert_eq!(service_params(Params::untyped(b"\x92\xacpayload:AP8=\xaarestlen:36")), set(b"\0\xff", 36));
    }

    #[test]
    fn without_a_payload_it_is_a_get() {
        assert_eq!(service_params(json("{}")), get(0));
        assert_eq!(service_params(json(r#"{"payload":null,"restlen":null}"#)), get(0));
        assert_eq!(service_params(Params::untyped(b"")), get(0));
        assert_eq!(service_params(json(r#"{"payload":""}"#)), set(b"", 0));
    }

    #[test]
    fn a_length_may_be_an_integer_a_float_or_digits() {
        for written in ["36", "36.0", "\"36\""] {
            assert_eq!(service_params(json(&format!("{{\"restlen\":{written}}}"))), get(36), "{written}");
        }
        assert_eq!(service_params(json(r#"{"restlen":4294967295}"#)), get(u32::MAX));
    }

    #[test]
    fn a_field_of_the_wrong_kind_is_named() {
        for (text, field) in [
            (r#"{"payload":7}"#, "payload"),
            (r#"{"payload":"no base64!"}"#, "payload"),
            (r#"{"payload":[1]}"#, "payload"),
            (r#"{"restlen":-1}"#, "restlen"),
            (r#"{"restlen":4294967296}"#, "restlen"),
            (r#"{"restlen":0.5}"#, "restlen"),
            (r#"{"restlen":"+1"}"#, "restlen"),
            (r#"{"restlen":""}"#, "restlen"),
            (r#"{"restlen":true}"#, "restlen"),
        ] {
            assert!(service_params(json(text)).unwrap_err().starts_with(field), "{text}");
        }
    }

    #[test]
    fn params_that_are_no_table_are_an_error() {
        for params in [json("[]x"), json("7"), json("null"), Params::untyped(b"\xc1"), Params::untyped(b"\x91\x07")] {
            assert!(service_params(params).is_err(), "{params:?}");
        }
    }

    #[test]
    fn the_same_value_is_the_same_text_however_it_is_written() {
        let written = [
            json(r#"{"a":[1],"user":7}"#),
            json(r#"{"user":"7"}"#),
            json(r#"{"user":7.0}"#),
            Params::untyped(b"\x82\xa1a\x91\xc0\xa4user\x07"),
            Params::untyped(b"\x81\xa4user\xd3\0\0\0\0\0\0\0\x07"),
            Params::untyped(b"\x92\xa3a:b\xa6user:7"),
        ];
        for params in written {
            assert_eq!(lookup(params, b"user"), Some(b"7".to_vec()), "{params:?}");
        }
    }

    #[test]
    fn of_two_equal_keys_the_last_one_counts() {
        assert_eq!(lookup(Params::untyped(b"\x82\xa1a\x01\xa1a\x02"), b"a"), Some(b"2".to_vec()));
        assert_eq!(lookup(json(r#"{"a":1,"a":2}"#), b"a"), Some(b"2".to_vec()));
    }

    #[test]
    fn what_is_not_there_or_has_no_text_is_none() {
        for params in [json("{}"), json("[]"), json("{"), Params::untyped(b""), Params::untyped(b"\x81\xa1a\xd4\x01x")]
        {
            assert_eq!(lookup(params, b"a"), None, "{params:?}");
        }
        assert_eq!(lookup(json(r#"{"o":{"a":1}}"#), b"a"), None);
        assert_eq!(lookup(json(r#"{"o":{"a":1}}"#), b"o"), Some(br#"{"a":1}"#.to_vec()));
    }
}
