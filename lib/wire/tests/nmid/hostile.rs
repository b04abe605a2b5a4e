//! msgpack and JSON that want to hurt: everything that reads params or returns, fed with it.

use msf_wire::nmid::{
    Numbers, Params, RetStruct, Unsafe, as_map, for_first_generation, handle_type, json_to_msgpack, lookup,
    msgpack_to_json, params_type, service_params, to_first, to_second,
};

use crate::dice::Dice;

/// Everything that looks into bytes from a peer.
fn everybody_reads(bytes: &[u8]) {
    for kind in [params_type::MSGPACK, params_type::JSON, 0] {
        let params = Params { kind, handle: handle_type::ENCODE, bytes };
        if let Ok(array) = to_first(params) {
            assert!(survives(&array), "{bytes:x?} became {array:x?}");
        }
        let second = to_second(params);
        assert_eq!(to_second(Params { kind, handle: handle_type::ENCODE, bytes: &second }), second);
        let field = lookup(params, b"payload");
        assert!(
            field.is_some()
                || service_params(params).is_ok_and(|call| call.payload.is_none())
                || service_params(params).is_err()
        );
    }
    if let Some(ret) = for_first_generation(bytes) {
        assert!(RetStruct::parse(&ret).unwrap().code >= 0);
    }
    assert_eq!(RetStruct::parse(&as_map(bytes)), RetStruct::parse(bytes));
    if let Ok(text) = msgpack_to_json(bytes) {
        json_to_msgpack(text.as_bytes(), Numbers::Natural).unwrap();
    }
    for numbers in [Numbers::Float, Numbers::Natural] {
        if let Ok(packed) = json_to_msgpack(bytes, numbers) {
            msgpack_to_json(&packed).unwrap();
        }
    }
}

/// A second opinion on what a G0 worker survives: only arrays of short and middle-sized strings, taken apart by hand.
fn survives(array: &[u8]) -> bool {
    let (count, mut rest) = match array {
        [head @ 0x91..=0x9f, rest @ ..] => (usize::from(head & 15), rest),
        [0xdc, high, low, rest @ ..] => (usize::from(*high) << 8 | usize::from(*low), rest),
        [0xdd, a, b, c, d, rest @ ..] => (u32::from_be_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return false,
    };
    for _ in 0..count {
        let (len, after) = match rest {
            [head @ 0xa0..=0xbf, after @ ..] => (usize::from(head & 31), after),
            [0xd9, len, after @ ..] => (usize::from(*len), after),
            [0xda, high, low, after @ ..] => (usize::from(*high) << 8 | usize::from(*low), after),
            [0xdb, a, b, c, d, after @ ..] => (u32::from_be_bytes([*a, *b, *c, *d]) as usize, after),
            _ => return false,
        };
        let Some((pair, after)) = after.split_at_checked(len) else { return false };
        let colons = pair.iter().filter(|byte| **byte == b':').count();
        if colons != 1
            || pair.ends_with(b":")
            || pair.starts_with(b":")
            || pair.iter().any(|byte| b",\0".contains(byte))
        {
            return false;
        }
        rest = after;
    }
    count > 0 && rest.is_empty()
}

#[test]
fn a_depth_bomb_is_refused_wherever_it_lies() {
    for head in [&b""[..], b"\x81\xa1a", b"\x83\xa4Code\0\xa3Msg\xa0\xa4Data", b"\x93\0\xa0", b"\x81\xa7payload"] {
        for nest in [&b"\x91"[..], b"\x81\xa1a", b"\x81", b"\xdc\0\x01", b"\xdd\0\0\0\x01"] {
            let bomb = [head, &nest.repeat(40_000), b"\xc0"].concat();
            everybody_reads(&bomb);
            assert!(to_first(Params::untyped(&bomb)).is_err());
            assert!(msgpack_to_json(&bomb).is_err());
        }
    }
    for nest in ["[", "{\"a\":", "[{\"a\":", "[[],"] {
        let bomb = nest.repeat(40_000);
        everybody_reads(bomb.as_bytes());
        assert!(json_to_msgpack(bomb.as_bytes(), Numbers::Natural).is_err());
    }
}

#[test]
fn a_depth_bomb_beside_the_field_asked_for_does_not_hide_it() {
    let bomb = [&b"\x82\xa1b"[..], &[0x91; 40_000], b"\xc0\xa1a\x07"].concat();
    assert_eq!(lookup(Params::untyped(&bomb), b"a"), Some(b"7".to_vec()));
    assert_eq!(lookup(Params::untyped(&bomb), b"b"), None);
}

#[test]
fn four_gigabytes_promised_anywhere_are_refused() {
    let heads = [0xc6_u8, 0xc9, 0xdb, 0xdd, 0xdf];
    let places: [&[u8]; 6] = [b"", b"\x91", b"\x81\xa1a", b"\x81", b"\x83\xa4Code", b"\x93\0\xa0"];
    for (head, place) in heads.iter().flat_map(|head| places.map(|place| (head, place))) {
        for len in [u32::MAX, u32::MAX / 2 + 1, 1 << 31, 1 << 28, 1 << 20] {
            let bytes = [place, &[*head], &len.to_be_bytes(), &[0xc0; 64]].concat();
            everybody_reads(&bytes);
            assert!(to_first(Params::untyped(&bytes)).is_err());
            assert_eq!(RetStruct::parse(&bytes), None);
        }
    }
}

#[test]
fn a_wide_map_of_equal_keys_costs_what_it_weighs() {
    let map = [&b"\xdf\0\0\x75\x30"[..], &b"\xa1a\xa1b".repeat(30_000)].concat();
    everybody_reads(&map);
    assert_eq!(lookup(Params::untyped(&map), b"a"), Some(b"b".to_vec()));
    let fields = [&b"\xdf\0\0\x75\x30"[..], &b"\xa4Code\x01".repeat(30_000)].concat();
    assert_eq!(RetStruct::parse(&fields).map(|ret| ret.code), Some(1));
    assert_eq!(for_first_generation(&fields).map(|ret| ret.len() < 40), Some(true));
}

#[test]
fn keys_that_are_tables_are_errors_or_passed_over() {
    for map in [&b"\x82\x91\x01\x02\xa1a\x03"[..], b"\x82\x81\x01\x02\x02\xa1a\x03", b"\x82\xd4\x01x\x02\xa1a\x03"] {
        everybody_reads(map);
        assert_eq!(lookup(Params::untyped(map), b"a"), Some(b"3".to_vec()));
        assert!(msgpack_to_json(map).is_err());
    }
    assert_eq!(to_first(Params::untyped(b"\x81\x91\x01\x02")).as_deref(), Ok(&b"\x91\xa5[1]:2"[..]));
}

#[test]
fn what_would_be_a_second_pair_cannot_be_smuggled_into_a_text() {
    for value in ["x,b:2", "x:b", "x\0", "", ",", "\0"] {
        let object = format!("{{\"a\":{value:?}}}").replace("\\0", "\\u0000");
        let params = Params { kind: params_type::JSON, handle: handle_type::ENCODE, bytes: object.as_bytes() };
        assert_eq!(to_first(params), Err(Unsafe::Element), "{object}");
    }
}

/// Every one-byte change and every truncation of what real peers send.
#[test]
fn no_change_of_a_byte_makes_anybody_panic() {
    let samples: [&[u8]; 6] = [
        b"\x83\xa4Code\xd3\0\0\0\0\0\0\0\0\xa3Msg\xa2ok\xa4Data\xc4\x04NMID",
        b"\x93\0\xa2OK\xa6add ok",
        b"\x82\xa1a\x07\xa1b\x92\xc3\xcb\x40\x10\0\0\0\0\0\0",
        b"\x92\xa3a:b\xa5c:d:e",
        br#"{"a":[1,-2.5e3,null],"b":{"c":"\u00e9"},"a":true}"#,
        b"\x82\xa7payload\xa4AP8=\xa7restlen\x24",
    ];
    for sample in samples {
        for cut in 0..=sample.len() {
            everybody_reads(&sample[..cut]);
        }
        for at in 0..sample.len() {
            let mut changed = sample.to_vec();
            for byte in 0..=255 {
                changed[at] = byte;
                everybody_reads(&changed);
            }
        }
    }
}

/// Tokens of both languages in any order: far more of these are nearly right than of random bytes.
#[test]
fn twenty_thousand_texts_of_random_tokens_make_nobody_panic() {
    let tokens: [&[u8]; 32] = [
        b"\x80",
        b"\x81",
        b"\x82",
        b"\x90",
        b"\x91",
        b"\x92",
        b"\xa0",
        b"\xa1a",
        b"\xa3a:b",
        b"\xa4Code",
        b"\xa3Msg",
        b"\xa4Data",
        b"\xc0",
        b"\xc3",
        b"\xc4\x01x",
        b"\xd3\0\0\0\0\0\0\0\x07",
        b"\xcb\x40\x10\0\0\0\0\0\0",
        b"\xd4\x01x",
        b"\xff",
        b"\x07",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"\"a\"",
        b"\"a:b\"",
        b"7",
        b"1.5",
        b"null",
        b"true",
    ];
    let mut dice = Dice(0xb0b);
    let mut safe = 0;
    for _ in 0..20_000 {
        let text: Vec<u8> = (0..=dice.below(9)).flat_map(|_| dice.pick(&tokens).to_vec()).collect();
        everybody_reads(&text);
        safe += u32::from(to_first(Params::untyped(&text)).is_ok());
    }
    assert!(safe > 50, "a lopsided test: {safe}");
}
