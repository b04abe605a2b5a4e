//! The rule that tells a G2 request from a G0 one, held against every kind of frame a real peer can send.

use msf_wire::nmid::{Dialect, DoJob, HEADER_LEN, Params, handle_type, params_type};

use crate::dice::Dice;
use crate::vectors::frame;

/// Requests generated: 32 640 that add up both ways, the others as they come.
const AMBIGUOUS: usize = 64 * 255 * 2;
const ORDINARY: usize = 180_000;

#[test]
fn two_hundred_thousand_requests_are_each_read_in_their_own_generation() {
    let mut dice = Dice(0x60_62);
    let mut seen = [0_usize; 2];
    let mut out = Vec::new();
    for _ in 0..ORDINARY {
        let (name, bytes) = (dice.name(40), dice.bytes(80));
        let kind = 5 + dice.below(2) as u32;
        let handle = 10 + dice.below(2) as u32;
        let dialect = if dice.below(2) == 0 { Dialect::G0 } else { Dialect::G2 };
        let params = match dialect {
            Dialect::G0 => Params::untyped(&bytes),
            Dialect::G2 => Params { kind, handle, bytes: &bytes },
        };
        reads_back(dialect, DoJob { function: &name, params }, &mut out);
        seen[usize::from(dialect == Dialect::G0)] += 1;
    }
    seen[0] += every_request_that_adds_up_both_ways(&mut out);
    assert!(seen.iter().sum::<usize>() >= 200_000 && seen.iter().all(|count| *count > 80_000), "{seen:?}");
}

/// With params in msgpack the five bytes behind the first word, and the word behind them, read as a G0 request whenever
/// there are 255 * HL + H0 - 3 bytes of params: HL the length of the name, H0 its first byte.
fn every_request_that_adds_up_both_ways(out: &mut Vec<u8>) -> usize {
    let noise: Vec<u8> = (0..70_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut count = 0;
    for len in 1..=64_usize {
        for initial in 1..=255_u8 {
            let function = [&[initial][..], &b"o".repeat(len - 1)].concat();
            let bytes = &noise[..255 * len + usize::from(initial) - 3];
            for handle in [handle_type::ENCODE, handle_type::ORIGINAL] {
                let params = Params { kind: params_type::MSGPACK, handle, bytes };
                reads_back(Dialect::G2, DoJob { function: &function, params }, out);
                assert!(adds_up_as_first(&out[HEADER_LEN..]), "not in the family: {len} {initial}");
                count += 1;
            }
        }
    }
    assert_eq!(count, AMBIGUOUS);
    count
}

/// The same for params in JSON, where they are longer: 65535 * HL + 256 * H0 + H1 - 2 bytes.
#[test]
fn a_json_request_that_adds_up_both_ways_is_g2() {
    let (mut out, noise) = (Vec::new(), vec![b'7'; 600_000]);
    for name in ["To", "ToUpper", "\x01\x01", "zz"] {
        let [first, second] = [name.as_bytes()[0], name.as_bytes()[1]].map(usize::from);
        let bytes = &noise[..65_535 * name.len() + 256 * first + second - 2];
        let params = Params { kind: params_type::JSON, handle: handle_type::ENCODE, bytes };
        reads_back(Dialect::G2, DoJob { function: name.as_bytes(), params }, &mut out);
        assert!(adds_up_as_first(&out[HEADER_LEN..]), "not in the family: {name:?}");
    }
}

/// A G0 request that adds up as G2 too: the name's two bytes and 65536 bytes of params, which begin with the length of
/// what would be the name and hold, where it would end, the length of what would be the params.
#[test]
fn a_first_generation_request_that_adds_up_both_ways_is_g0() {
    let mut out = Vec::new();
    for claimed in [0_usize, 1, 7, 1000, 60_000] {
        let mut bytes = vec![b'x'; 65_536];
        bytes[..2].copy_from_slice(&(claimed as u16).to_be_bytes());
        let rest = 10 + bytes.len() - 16 - claimed;
        bytes[2 + claimed..6 + claimed].copy_from_slice(&(rest as u32).to_be_bytes());
        let job = DoJob { function: b"ab", params: Params::untyped(&bytes) };
        reads_back(Dialect::G0, job, &mut out);
        assert!(adds_up_as_second(&out[HEADER_LEN..]), "not in the family: {claimed}");
    }
}

#[test]
fn the_ambiguous_vector_is_of_the_family_and_is_g2() {
    let v24 = frame("V24");
    assert!(adds_up_as_first(v24.body()));
    let (dialect, job) = DoJob::parse(v24.body()).unwrap();
    assert_eq!((dialect, job.function, job.params.bytes.len()), (Dialect::G2, &b"ToUpper"[..], 1866));
}

#[test]
fn unusual_words_are_still_g2_where_the_frame_cannot_be_g0() {
    for (kind, handle) in [(0, 0), (4, 10), (7, 11), (5, 9), (u32::MAX, 10)] {
        let mut out = Vec::new();
        let job = DoJob { function: b"ToUpper", params: Params { kind, handle, bytes: b"\x80" } };
        job.append_to(&mut out);
        assert_eq!(DoJob::parse(&out[HEADER_LEN..]), Ok((Dialect::G2, job)));
    }
}

fn reads_back(dialect: Dialect, job: DoJob<'_>, out: &mut Vec<u8>) {
    out.clear();
    match dialect {
        Dialect::G0 => job.append_first_to(out),
        Dialect::G2 => job.append_to(out),
    }
    let read = DoJob::parse(&out[HEADER_LEN..]);
    // Not assert_eq!: some of these are long, and a failure would print them twice.
    assert!(read == Ok((dialect, job)), "{:?} with {} bytes of params", job.function, job.params.bytes.len());
}

/// The length equations of the specification, written down a second time.
fn adds_up_as_first(body: &[u8]) -> bool {
    let name = word(body, 0);
    let params = name.and_then(|name| word(body, 4 + name));
    name.zip(params).is_some_and(|(name, params)| 8 + name + params == body.len() as u64)
}

fn adds_up_as_second(body: &[u8]) -> bool {
    body.get(8..).is_some_and(adds_up_as_first)
}

fn word(bytes: &[u8], at: u64) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let word = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*word).into())
}
