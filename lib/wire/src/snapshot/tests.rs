use super::{Damage, Reader, State, What, Writer};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

#[derive(Debug, Default, PartialEq)]
struct All {
    numbers: (u8, u16, u32),
    longer: (u64, i32, i64),
    size: usize,
    flags: Vec<bool>,
    text: String,
    name: Box<str>,
    bytes: Arc<[u8]>,
    line: VecDeque<u16>,
    map: HashMap<u8, String>,
    tree: BTreeMap<u16, Option<u32>>,
    kinds: Vec<Kind>,
    hosts: Vec<IpAddr>,
    places: Vec<SocketAddr>,
    scratch: u32,
}

#[derive(Debug, PartialEq)]
enum Kind {
    None,
    Pair(u8, Box<u16>),
    Named { code: u32, why: Option<Box<[u8]>> },
}

crate::state! { struct All { numbers, longer, size, flags, text, name, bytes, line, map, tree, kinds, hosts, places; scratch: 9 } }
crate::state! { enum Kind { 0 None, 1 Pair(a: u8, b: Box<u16>), 7 Named { code: u32, why: Option<Box<[u8]>> } } }

fn all() -> All {
    All {
        numbers: (1, 2, 3),
        longer: (u64::MAX, i32::MIN, -2),
        size: 77,
        flags: vec![true, false],
        text: "ä".to_owned(),
        name: "n".into(),
        bytes: b"xyz".as_slice().into(),
        line: [5, 6].into(),
        map: [(1, "one".to_owned())].into(),
        tree: [(1, None), (2, Some(3))].into(),
        kinds: vec![Kind::None, Kind::Pair(4, Box::new(5)), Kind::Named { code: 6, why: Some(b"w".as_slice().into()) }],
        hosts: vec!["1.2.3.4".parse().unwrap(), "::5".parse().unwrap()],
        places: vec!["1.2.3.4:5".parse().unwrap(), "[fe80::1%7]:8".parse().unwrap()],
        scratch: 9,
    }
}

fn saved(state: &impl State) -> Vec<u8> {
    let mut out = Writer::default();
    state.save(&mut out);
    out.into_parts().0
}

#[test]
fn what_was_saved_is_loaded_and_nothing_is_left_over() {
    let bytes = saved(&all());
    let mut from = Reader::new(&bytes, Vec::new());
    assert_eq!(All::load(&mut from), Ok(all()));
    assert_eq!(from.end(), Ok(()));
}

#[test]
fn every_truncation_is_refused() {
    let bytes = saved(&all());
    for length in 0..bytes.len() {
        let mut from = Reader::new(&bytes[..length], Vec::new());
        assert!(All::load(&mut from).is_err(), "{length} of {} bytes", bytes.len());
    }
}

#[test]
fn every_changed_byte_is_another_state_or_an_error_and_never_a_panic() {
    let bytes = saved(&all());
    for place in 0..bytes.len() {
        for change in 1..=255u8 {
            let mut other = bytes.clone();
            other[place] ^= change;
            let _ = All::load(&mut Reader::new(&other, Vec::new()));
        }
    }
}

#[test]
fn a_length_beyond_what_there_is_claims_no_memory() {
    let mut bytes = u64::MAX.to_le_bytes().to_vec();
    let refused = Vec::<u64>::load(&mut Reader::new(&bytes, Vec::new()));
    assert_eq!(refused, Err(Damage { at: 8, what: What::Range(u64::MAX) }));
    bytes = 1000u64.to_le_bytes().to_vec();
    bytes.resize(900, 0);
    assert!(String::load(&mut Reader::new(&bytes, Vec::new())).is_err());
}

#[test]
fn descriptors_go_beside_the_bytes_in_their_order() {
    let open = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let mut out = Writer::default();
    vec![(1u8, open()), (2, open())].save(&mut out);
    let (bytes, descriptors) = out.into_parts();
    assert_eq!(descriptors.len(), 2);
    let mut from = Reader::new(&bytes, vec![open(), open()]);
    assert_eq!(Vec::<(u8, OwnedFd)>::load(&mut from).unwrap().len(), 2);
    assert_eq!(from.end(), Ok(()));
    let missing = Vec::<(u8, OwnedFd)>::load(&mut Reader::new(&bytes, vec![open()])).unwrap_err();
    assert_eq!(missing.what, What::NoDescriptor);
    let left = Reader::new(&[], vec![open()]).end().unwrap_err();
    assert_eq!(left.to_string(), "the snapshot is damaged at byte 0: 1 descriptors are left over");
}

#[test]
fn a_variant_nobody_knows_is_named() {
    let error = Kind::load(&mut Reader::new(&[3], Vec::new())).unwrap_err();
    assert_eq!(error.to_string(), "the snapshot is damaged at byte 1: 3 is no variant of Kind");
}

/// What two builds agree on: changing any of these bytes means another version of every snapshot.
#[test]
fn golden_the_bytes_of_a_state() {
    let mut golden = Vec::new();
    golden.extend_from_slice(&[1, 2, 0, 3, 0, 0, 0]);
    golden.extend_from_slice(&[7, 6, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, b'w']);
    golden.extend_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0xa4]);
    golden.extend_from_slice(&[4, 1, 2, 3, 4]);
    let mut out = Writer::default();
    (1u8, 2u16, 3u32).save(&mut out);
    Kind::Named { code: 6, why: Some(b"w".as_slice().into()) }.save(&mut out);
    "ä".to_owned().save(&mut out);
    IpAddr::from([1, 2, 3, 4]).save(&mut out);
    assert_eq!(out.bytes(), golden);
}

#[test]
fn the_shape_says_what_is_where() {
    let mut shape = String::new();
    Kind::shape(&mut shape);
    assert_eq!(shape, "Kind( 0=None 1=Pair,u8,u16 7=Named,code:u32,why:[u8]? )");
    shape.clear();
    All::shape(&mut shape);
    assert!(
        shape.starts_with("All{ numbers:(u8 u16 u32) longer:(u64 i32 i64) size:u64 flags:[bool] text:[u8]"),
        "{shape}"
    );
    assert!(!shape.contains("scratch"));
}
