//! Whatever the bytes and however they are cut, the codec must not panic, must hold no more than the limit, and must hear
//! the same in the pieces as in the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use msf_wire::ws::{Decoder, Refusal, Step};

const LIMIT: usize = 4096;

fn read(pieces: &[&[u8]]) -> Result<Vec<String>, Refusal> {
    let (mut decoder, mut inbox, mut heard) = (Decoder::default(), Vec::new(), Vec::new());
    for piece in pieces {
        inbox.extend_from_slice(piece);
        loop {
            let (used, done) = match decoder.step(&inbox, LIMIT)? {
                Step::NeedMore(used) => (used, true),
                Step::Event(event, used) => {
                    heard.push(format!("{event:?}"));
                    (used, false)
                }
            };
            inbox.drain(..used);
            assert!(decoder.buffered() <= LIMIT);
            if done {
                break;
            }
        }
    }
    Ok(heard)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let (head, tail) = bytes.split_at(usize::from(*first).min(bytes.len()));
    assert_eq!(read(&[head, tail]), read(&[bytes]));
});
