//! Whatever the bytes and however they are cut, the codec must not panic, must hold no more than it was given, and must
//! see the same requests in the pieces as in the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use msf_wire::http::{Decoder, Limits, Refusal, Step};

const LIMITS: Limits = Limits { head: 1024, body: 4096 };

fn read(pieces: &[&[u8]]) -> Result<Vec<(String, Vec<u8>)>, Refusal> {
    let (mut decoder, mut inbox, mut seen) = (Decoder::default(), Vec::new(), Vec::new());
    for piece in pieces {
        inbox.extend_from_slice(piece);
        loop {
            let (used, done) = match decoder.step(&inbox, &LIMITS)? {
                Step::NeedMore(used) => (used, true),
                Step::Continue(used) => (used, false),
                Step::Request(request, used) => {
                    assert!(request.body.len() <= LIMITS.body);
                    assert!(request.head.headers().all(|(name, _)| !name.is_empty()));
                    seen.push((request.head.path().to_string(), request.body.to_vec()));
                    (used, false)
                }
            };
            inbox.drain(..used);
            assert!(decoder.buffered() <= LIMITS.head + LIMITS.body);
            if done {
                break;
            }
        }
    }
    Ok(seen)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let (head, tail) = bytes.split_at(usize::from(*first).min(bytes.len()));
    assert_eq!(read(&[head, tail]).ok(), read(&[bytes]).ok());
});
