//! WebSocket frames as they come in: every split and every truncation, fragments with control frames between them, and
//! what breaks the rules closed with its code.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use msf_wire::ws::{self, Decoder, Event, Frame, Refusal, Step, code, opcode};

const LIMIT: usize = 70_000;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What was said, owned.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

fn read(pieces: &[&[u8]]) -> Result<Vec<Said>, Refusal> {
    let (mut decoder, mut inbox, mut said) = (Decoder::default(), Vec::new(), Vec::new());
    for piece in pieces {
        inbox.extend_from_slice(piece);
        loop {
            let used = match decoder.step(&inbox, LIMIT)? {
                Step::NeedMore(used) => {
                    inbox.drain(..used);
                    break;
                }
                Step::Event(event, used) => {
                    said.push(match event {
                        Event::Text(text) => Said::Text(text.into()),
                        Event::Binary(bytes) => Said::Binary(bytes.into()),
                        Event::Ping(bytes) => Said::Ping(bytes.into()),
                        Event::Pong(bytes) => Said::Pong(bytes.into()),
                        Event::Close(code, reason) => Said::Close(code, reason.into()),
                    });
                    used
                }
            };
            inbox.drain(..used);
        }
        assert!(inbox.len() < 14 + 125, "only a header or a control frame waits in the caller's buffer");
    }
    Ok(said)
}

fn frame(end: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Frame { end, opcode, mask: Some(MASK), payload }.append_to(&mut out);
    out
}

fn code_of(bytes: &[u8]) -> u16 {
    match read(&[bytes]) {
        Err(refusal) => refusal.code(),
        Ok(said) => panic!("{bytes:x?} is {said:?}"),
    }
}

fn stream() -> (Vec<u8>, Vec<Said>) {
    let bytes = [
        frame(true, opcode::TEXT, "Grüß".as_bytes()),
        frame(false, opcode::TEXT, b"a\xc3"),
        frame(true, opcode::PING, b"now"),
        frame(false, opcode::CONTINUATION, b""),
        frame(true, opcode::PONG, b""),
        frame(true, opcode::CONTINUATION, b"\xa4b"),
        frame(true, opcode::BINARY, &[7; 300]),
        frame(true, opcode::TEXT, b""),
        frame(true, opcode::CLOSE, b"\x03\xe8bye"),
    ]
    .concat();
    let said = vec![
        Said::Text("Grüß".into()),
        Said::Ping(b"now".into()),
        Said::Pong(vec![]),
        Said::Text("aäb".into()),
        Said::Binary(vec![7; 300]),
        Said::Text(String::new()),
        Said::Close(Some(1000), "bye".into()),
    ];
    (bytes, said)
}

#[test]
fn messages_are_the_same_in_every_split() {
    let (bytes, said) = stream();
    assert_eq!(read(&[&bytes]), Ok(said.clone()));
    for first in 0..bytes.len() {
        assert_eq!(read(&[&bytes[..first], &bytes[first..]]), Ok(said.clone()), "cut at {first}");
    }
    for piece in [1, 2, 3, 5, 64] {
        let pieces: Vec<&[u8]> = bytes.chunks(piece).collect();
        assert_eq!(read(&pieces), Ok(said.clone()), "pieces of {piece}");
    }
}

#[test]
fn a_truncated_stream_gives_the_messages_it_holds_and_no_other() {
    let (bytes, said) = stream();
    for length in 0..bytes.len() {
        let seen = read(&[&bytes[..length]]).unwrap();
        assert!(seen.len() < said.len() && seen == said[..seen.len()], "cut at {length}");
    }
}

#[test]
fn every_length_is_written_and_read_the_shortest_way() {
    for (length, header) in [(0, 6), (125, 6), (126, 8), (65_535, 8), (65_536, 14)] {
        let bytes = frame(true, opcode::BINARY, &vec![9; length]);
        assert_eq!(bytes.len(), header + length);
        assert_eq!(read(&[&bytes]), Ok(vec![Said::Binary(vec![9; length])]));
    }
    for wasteful in [&b"\x82\xfe\x00\x7d"[..], b"\x82\xff\0\0\0\0\0\0\xff\xff", b"\x82\xff\x80\0\0\0\0\0\0\0"] {
        assert_eq!(code_of(&[wasteful, &MASK].concat()), code::PROTOCOL);
    }
}

#[test]
fn what_breaks_the_rules_is_closed_with_its_code() {
    let unmasked = |opcode, payload| {
        let mut out = Vec::new();
        Frame { end: true, opcode, mask: None, payload }.append_to(&mut out);
        out
    };
    for (bytes, code) in [
        (unmasked(opcode::TEXT, b"a"), code::PROTOCOL),
        (unmasked(opcode::PING, b""), code::PROTOCOL),
        (frame(true, opcode::CONTINUATION, b"a"), code::PROTOCOL),
        ([frame(false, opcode::TEXT, b"a"), frame(true, opcode::TEXT, b"b")].concat(), code::PROTOCOL),
        ([frame(true, opcode::TEXT, b"a"), frame(true, opcode::CONTINUATION, b"b")].concat(), code::PROTOCOL),
        (frame(true, 0x3, b""), code::PROTOCOL),
        (frame(true, 0xb, b""), code::PROTOCOL),
        (frame(true, opcode::TEXT | 0x40, b""), code::PROTOCOL),
        (frame(false, opcode::PING, b""), code::PROTOCOL),
        (frame(true, opcode::PING, &[0; 126]), code::PROTOCOL),
        (frame(true, opcode::CLOSE, b"\x03"), code::PROTOCOL),
        (frame(true, opcode::CLOSE, b"\x03\xe8\xff"), code::NOT_UTF8),
        (frame(true, opcode::TEXT, b"\xff"), code::NOT_UTF8),
        (frame(true, opcode::TEXT, b"\xed\xa0\x80"), code::NOT_UTF8),
        (frame(true, opcode::BINARY, &[0; LIMIT + 1]), code::TOO_LONG),
        (frame(true, opcode::BINARY, &[0; LIMIT + 1])[..14].to_vec(), code::TOO_LONG),
        ([frame(false, opcode::BINARY, &[0; LIMIT]), frame(true, 0, b"a")].concat(), code::TOO_LONG),
        (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0".to_vec(), code::TOO_LONG),
    ] {
        assert_eq!(code_of(&bytes), code, "{:x?}", &bytes[..bytes.len().min(20)]);
    }
    assert!(read(&[&frame(true, opcode::BINARY, &[0; LIMIT])]).is_ok());
}

#[test]
fn only_codes_that_may_be_sent_are_taken() {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1011, 3000, 4999_u16] {
        let bytes = frame(true, opcode::CLOSE, &code.to_be_bytes());
        assert_eq!(read(&[&bytes]), Ok(vec![Said::Close(Some(code), String::new())]));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535_u16] {
        assert_eq!(code_of(&frame(true, opcode::CLOSE, &code.to_be_bytes())), code::PROTOCOL, "{code}");
    }
    assert_eq!(read(&[&frame(true, opcode::CLOSE, b"")]), Ok(vec![Said::Close(None, String::new())]));
}

#[test]
fn memory_follows_what_comes_not_what_is_announced() {
    let mut decoder = Decoder::default();
    let bytes = [&b"\x82\xff\0\0\0\xff\xff\xff\xff\xff"[..], &MASK, b"abc"].concat();
    assert_eq!(decoder.step(&bytes, usize::MAX), Ok(Step::NeedMore(bytes.len())));
    assert_eq!((decoder.buffered(), decoder.is_within()), (3, true));
}

#[test]
fn a_message_that_was_handed_out_is_let_go_of() {
    let mut decoder = Decoder::default();
    let bytes = frame(true, opcode::TEXT, b"abc");
    assert_eq!(decoder.step(&bytes, LIMIT), Ok(Step::Event(Event::Text("abc"), bytes.len())));
    decoder.let_go();
    assert_eq!((decoder.buffered(), decoder.is_within()), (0, false));
}

#[test]
fn what_the_server_writes_is_not_masked() {
    let mut out = Vec::new();
    ws::append_text(&mut out, "{}");
    ws::append_pong(&mut out, b"a");
    ws::append_close(&mut out, Some(code::TOO_LONG), "ä");
    ws::append_close(&mut out, None, "never");
    assert_eq!(out, b"\x81\x02{}\x8a\x01a\x88\x04\x03\xf1\xc3\xa4\x88\x00");
    out.clear();
    ws::append_close(&mut out, Some(1000), &"ä".repeat(70));
    assert_eq!((out[1], out.len()), (124, 126), "cut at a character's end");
}
