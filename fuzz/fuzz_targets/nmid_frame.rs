//! Whatever the bytes, the codec must not panic, and what it reads must encode to the very same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use msf_wire::nmid::{
    Answer, Dialect, DoJob, Frame, FromClient, FromWorker, HEADER_LEN, Job, Return, Step, ToClient, ToWorker, decode,
};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Step::Frame(frame, used)) = decode(rest, 4096) {
        assert_eq!(used, HEADER_LEN + frame.body.len());
        in_every_direction(&frame);
        payload(frame.body);
        rest = &rest[used..];
    }
    // The stream rarely holds a whole frame: its bytes as a payload of every kind are worth as much.
    payload(bytes);
});

fn in_every_direction(frame: &Frame<'_>) {
    let _ = FromClient::parse(frame);
    let _ = FromWorker::parse(frame);
    let _ = ToClient::parse(frame);
    let _ = [Dialect::G0, Dialect::G2].map(|dialect| ToWorker::parse(frame, dialect));
}

fn payload(body: &[u8]) {
    if let Ok((dialect, job)) = DoJob::parse(body) {
        same(body, |out| match dialect {
            Dialect::G0 => job.append_first_to(out),
            Dialect::G2 => job.append_to(out),
        });
    }
    for dialect in [Dialect::G0, Dialect::G2] {
        if let Ok(job) = Job::parse(body, dialect) {
            same(body, |out| job.append_to(dialect, out));
        }
    }
    if let Ok(result) = Return::parse(body) {
        same(body, |out| result.append_to(out));
    }
    if let Ok(answer) = Answer::parse(body) {
        same(body, |out| answer.append_to(out));
    }
}

fn same(body: &[u8], encode: impl FnOnce(&mut Vec<u8>)) {
    let mut again = Vec::new();
    encode(&mut again);
    assert_eq!(again[HEADER_LEN..], *body);
}
