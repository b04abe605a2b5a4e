//! Whatever the bytes, the codec must not panic, and what it accepts must encode to the very same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use msf_wire::librpc::{Login, Step, decode};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Step::Frame(frame, used)) = decode(rest, 4096) {
        let mut again = Vec::new();
        frame.append_to(&mut again);
        assert_eq!(again, rest[..used]);
        if let Ok(login) = Login::parse(frame.body) {
            assert_eq!(login.encode(), frame.body[..login.encode().len()]);
        }
        rest = &rest[used..];
    }
});
