//! Frames that are none: noise, and vectors with something changed.

use msf_wire::nmid::{
    Answer, Dialect, DoJob, FromWorker, HEADER_LEN, Job, NmidError, Return, Step, ToClient, ToWorker, decode,
};

use crate::dice::Dice;
use crate::vectors::frames;

/// Half of the frames are noise, half are vectors with a word replaced or a byte changed. None may panic, and whatever
/// is read from one encodes to the very bytes it was read from.
#[test]
fn ten_thousand_random_frames_are_frames_wishes_or_errors_but_never_panics() {
    let mut dice = Dice(0xbad_cafe);
    let mut seen = [0_u32; 5];
    let all: Vec<Vec<u8>> = frames().into_iter().map(|vector| vector.bytes).collect();
    for round in 0..10_000 {
        let bytes = match round % 2 {
            0 => noise(&mut dice),
            _ => mutated(all[dice.below(all.len() as u64) as usize].clone(), &mut dice),
        };
        seen[judge(&bytes)] += 1;
        let cut = dice.below(bytes.len() as u64 + 1) as usize;
        judge(&bytes[..cut]);
    }
    assert!(seen.iter().all(|count| *count > 100), "a lopsided test: {seen:?}");
}

/// A plausible header, so that what follows is looked at.
fn noise(dice: &mut Dice) -> Vec<u8> {
    let body = dice.bytes(60);
    let kind = dice.below(25) as u32;
    let head = [dice.below(6) as u32, kind, body.len() as u32];
    let mut bytes: Vec<u8> = head.into_iter().flat_map(u32::to_be_bytes).collect();
    bytes.extend(body);
    bytes
}

fn mutated(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let at = dice.below(bytes.len() as u64) as usize;
    match (dice.below(3), bytes.get_mut(at..at + 4)) {
        (0, Some(word)) => word.copy_from_slice(&((dice.next() >> (32 + dice.below(32))) as u32).to_be_bytes()),
        (1, _) => bytes.truncate(at),
        _ => bytes[at] ^= 1 << dice.below(8),
    }
    bytes
}

/// 0 more wanted, 1 a frame that was read, 2 a frame of another type, 3 lengths that do not add up, 4 refused.
fn judge(bytes: &[u8]) -> usize {
    let frame = match decode(bytes, 2000) {
        Ok(Step::NeedMore(missing)) => {
            assert!(missing > 0);
            return 0;
        }
        Err(NmidError::ConnType(conn)) => {
            assert!(!(1..=4).contains(&conn));
            return 4;
        }
        Err(NmidError::Oversized { len, limit, .. }) => {
            assert!(len > limit);
            return 4;
        }
        Err(NmidError::Lengths { .. }) => panic!("decode does not look into payloads"),
        Ok(Step::Frame(frame, used)) => {
            assert_eq!(used, HEADER_LEN + frame.body.len());
            frame
        }
    };
    let of_client = DoJob::parse(frame.body).map(|(dialect, job)| {
        same(frame.body, |out| match dialect {
            Dialect::G0 => job.append_first_to(out),
            Dialect::G2 => job.append_to(out),
        })
    });
    let of_worker = Return::parse(frame.body).map(|result| same(frame.body, |out| result.append_to(out)));
    let to_worker = [Dialect::G0, Dialect::G2]
        .map(|dialect| Job::parse(frame.body, dialect).map(|job| same(frame.body, |out| job.append_to(dialect, out))));
    let to_client = Answer::parse(frame.body).map(|answer| same(frame.body, |out| answer.append_to(out)));
    let read = of_client.is_ok() || of_worker.is_ok() || to_client.is_ok() || to_worker.iter().any(Result::is_ok);
    let ignored = matches!(FromWorker::parse(&frame), Ok(FromWorker::Other(_)))
        && matches!(ToClient::parse(&frame), Ok(ToClient::Other(_)))
        && matches!(ToWorker::parse(&frame, Dialect::G2), Ok(ToWorker::Other(_)));
    match (read, ignored) {
        (true, _) => 1,
        (false, true) => 2,
        (false, false) => 3,
    }
}

fn same(body: &[u8], encode: impl FnOnce(&mut Vec<u8>)) {
    let mut again = Vec::new();
    encode(&mut again);
    assert_eq!(again[HEADER_LEN..], *body);
}
