//! What functions return, as every library writes it.

use std::borrow::Cow;

use msf_wire::nmid::{RetStruct, as_map, for_first_generation};

use crate::vectors::{Vector, frames, rets};

fn told<'a>(vector: &'a Vector, data: &'a [u8]) -> RetStruct<'a> {
    RetStruct { code: vector.part("code").parse().unwrap(), msg: vector.text("msg"), data }
}

#[test]
fn every_librarys_return_is_read() {
    for vector in rets() {
        let data = vector.hex("data");
        assert_eq!(RetStruct::parse(&vector.bytes), Some(told(&vector, &data)), "{}", vector.name);
    }
}

#[test]
fn maps_are_written_as_go_writes_them_and_arrays_as_c_does() {
    let mut written = 0;
    for vector in rets() {
        let data = vector.hex("data");
        let mut out = Vec::new();
        match (vector.part("form"), vector.part("width"), vector.part("as")) {
            ("map", "wide", "bytes") => told(&vector, &data).append_map_to(&mut out),
            ("array", "short", "text") => told(&vector, &data).append_array_to(&mut out),
            _ => continue,
        }
        assert_eq!(out, vector.bytes, "{}", vector.name);
        written += 1;
    }
    assert_eq!(written, 5);
}

#[test]
fn a_c_client_gets_untouched_what_it_can_read_and_a_positive_code_and_data_instead_of_the_rest() {
    for vector in rets() {
        let (data, name) = (vector.hex("data"), &vector.name);
        let ret = for_first_generation(&vector.bytes).unwrap();
        let read = RetStruct::parse(&ret).unwrap();
        let is_readable = vector.part("as") != "nil" && !vector.part("code").starts_with('-');
        assert_eq!(matches!(ret, Cow::Borrowed(_)), is_readable, "{name}");
        let code = if vector.part("code") == "-1" { 255 } else { told(&vector, &data).code };
        assert_eq!(read, RetStruct { code, ..told(&vector, &data) }, "{name}");
        assert_eq!(for_first_generation(&ret).as_deref(), Some(&*ret), "{name}: once is enough");
    }
}

#[test]
fn as_a_map_every_return_says_the_same() {
    for vector in rets() {
        let map = as_map(&vector.bytes);
        assert_eq!(map[0], 0x83, "{}", vector.name);
        assert_eq!(RetStruct::parse(&map), RetStruct::parse(&vector.bytes), "{}", vector.name);
    }
}

#[test]
fn the_returns_inside_the_frames_are_ret_structs() {
    let mut seen = 0;
    for vector in frames().iter().filter(|vector| matches!(vector.what.as_str(), "return" | "answer")) {
        let ret = vector.hex("ret");
        assert_eq!(RetStruct::parse(&ret).is_some(), !ret.is_empty(), "{}", vector.name);
        seen += 1;
    }
    assert!(seen > 8);
}
