//! Whatever the bytes, a call by name or an event must not panic, and what is read must encode to the very same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use msf_wire::librpc::{CallFunction, HEADER_LEN, Header, Publication, is_event_name};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(call) = CallFunction::parse(bytes) {
        let mut again = Vec::new();
        call.append_to(&mut again);
        assert_eq!(again, bytes);
        assert_eq!(call.encoded_len(), bytes.len());
        assert!(!call.name.is_empty());
    }
    if let Ok(publication) = Publication::parse(bytes) {
        assert_eq!(publication.encode(), bytes);
        assert!(is_event_name(publication.name));
    }
    if let Some(head) = bytes.first_chunk::<HEADER_LEN>().and_then(|bytes| Header::parse(bytes).ok()) {
        assert_eq!(head.with_code(head.code()), head);
        assert_eq!(head.with_origin(head.lost(), head.publisher()), head);
    }
});
