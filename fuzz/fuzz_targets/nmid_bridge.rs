//! Whatever params and returns hold, nothing panics, what is translated can be read, what is translated twice is
//! translated once, and a G0 worker is never handed an array that it does not survive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use msf_wire::nmid::{
    Numbers, Params, RetStruct, as_map, for_first_generation, handle_type, json_to_msgpack, lookup, msgpack_to_json,
    params_type, service_params, to_first, to_second,
};

fuzz_target!(|bytes: &[u8]| {
    for kind in [params_type::MSGPACK, params_type::JSON] {
        params(Params { kind, handle: handle_type::ENCODE, bytes });
    }
    ret(bytes);
    json(bytes);
});

fn params(params: Params<'_>) {
    if let Ok(array) = to_first(params) {
        assert!(survives(&array), "{array:x?}");
        assert_eq!(to_first(Params::untyped(&array)).as_deref(), Ok(&*array));
    }
    let map = to_second(params);
    assert_eq!(to_second(Params { bytes: &map, ..params }), map);
    let _ = lookup(params, b"a");
    let _ = service_params(params);
}

fn ret(bytes: &[u8]) {
    let read = RetStruct::parse(bytes);
    assert_eq!(RetStruct::parse(&as_map(bytes)), read);
    let told = for_first_generation(bytes);
    assert_eq!(told.is_some(), read.is_some());
    if let (Some(told), Some(read)) = (told, read) {
        let again = RetStruct::parse(&told).expect("what a C client is told is a RetStruct");
        assert!(again.code >= 0 && (again.code == 0) == (read.code == 0));
        assert_eq!((again.msg, again.data), (read.msg, read.data));
        assert_eq!(for_first_generation(&told).as_deref(), Some(&*told));
    }
}

fn json(bytes: &[u8]) {
    if let Ok(packed) = json_to_msgpack(bytes, Numbers::Natural) {
        let text = msgpack_to_json(&packed).expect("what came from JSON goes back");
        let again = json_to_msgpack(text.as_bytes(), Numbers::Natural).expect("it is JSON");
        // Once a number has its shortest form, and a key its last value, nothing changes any more.
        assert_eq!(msgpack_to_json(&again).as_deref(), Ok(&*text));
    }
    if let Ok(text) = msgpack_to_json(bytes) {
        assert!(json_to_msgpack(text.as_bytes(), Numbers::Natural).is_ok(), "{text}");
    }
    let is_object = json_to_msgpack(bytes, Numbers::Float).is_ok();
    assert!(!is_object || json_to_msgpack(bytes, Numbers::Natural).is_ok());
}

/// A second opinion, by hand: an array of strings, each a key, one colon, and a value without comma and NUL.
fn survives(array: &[u8]) -> bool {
    let (count, mut rest) = match array {
        [head @ 0x91..=0x9f, rest @ ..] => (u32::from(head & 15), rest),
        [0xdc, a, b, rest @ ..] => (u32::from_be_bytes([0, 0, *a, *b]), rest),
        [0xdd, a, b, c, d, rest @ ..] => (u32::from_be_bytes([*a, *b, *c, *d]), rest),
        _ => return false,
    };
    for _ in 0..count {
        let (len, after) = match rest {
            [head @ 0xa0..=0xbf, after @ ..] => (u32::from(head & 31), after),
            [0xd9, a, after @ ..] => (u32::from(*a), after),
            [0xda, a, b, after @ ..] => (u32::from_be_bytes([0, 0, *a, *b]), after),
            [0xdb, a, b, c, d, after @ ..] => (u32::from_be_bytes([*a, *b, *c, *d]), after),
            _ => return false,
        };
        let Some((pair, after)) = after.split_at_checked(len as usize) else { return false };
        let colons = pair.iter().filter(|byte| **byte == b':').count();
        if colons != 1
            || pair.starts_with(b":")
            || pair.ends_with(b":")
            || pair.iter().any(|byte| b",\0".contains(byte))
        {
            return false;
        }
        rest = after;
    }
    count > 0 && rest.is_empty()
}
