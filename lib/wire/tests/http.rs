//! HTTP as it comes in: every split and every truncation of what is right, and what is wrong refused with its status.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use msf_wire::http::{Decoder, Limits, Persistence, Refusal, Stage, Step};

const LIMITS: Limits = Limits { head: 256, body: 1000 };

/// What is worth comparing of a request.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    persistence: Persistence,
}

/// Shows a decoder the pieces one after the other, as a session does; what it saw, and how often it was to go on.
fn read(pieces: &[&[u8]], limits: &Limits) -> Result<(Vec<Seen>, usize, Decoder), Refusal> {
    let (mut decoder, mut inbox, mut seen, mut go_on) = (Decoder::default(), Vec::new(), Vec::new(), 0);
    for piece in pieces {
        inbox.extend_from_slice(piece);
        loop {
            let used = match decoder.step(&inbox, limits)? {
                Step::NeedMore(used) => {
                    inbox.drain(..used);
                    break;
                }
                Step::Continue(used) => {
                    go_on += 1;
                    used
                }
                Step::Request(request, used) => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    seen.push(Seen {
                        method: request.head.method.into(),
                        path: request.head.path().into(),
                        headers: request.head.headers().map(|(name, value)| (text(name), text(value))).collect(),
                        body: request.body.to_vec(),
                        persistence: request.head.persistence(),
                    });
                    used
                }
            };
            inbox.drain(..used);
        }
    }
    Ok((seen, go_on, decoder))
}

fn one(bytes: &[u8]) -> Seen {
    let (mut seen, ..) = read(&[bytes], &LIMITS).unwrap();
    assert_eq!(seen.len(), 1, "{:?}", String::from_utf8_lossy(bytes));
    seen.remove(0)
}

fn refused(bytes: &[u8]) -> u16 {
    match read(&[bytes], &LIMITS) {
        Err(refusal) => refusal.status(),
        Ok((seen, ..)) => panic!("{:?} is {seen:?}", String::from_utf8_lossy(bytes)),
    }
}

const STREAM: &[u8] = b"POST /call/ToUpper?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n{\"name\":\"x\"}\n\
    \r\nGET /healthz HTTP/1.1\r\nhost:a\r\nAccept:  */* \r\n\r\n\
    PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
    5\r\nhello\r\n1;ext=\"v\"\r\n \r\n00A  \r\n0123456789\r\n0\r\nTrailer: t\r\nother: u\r\n\r\n\
    DELETE http://a/d HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n\
    OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: foo, close\r\n\r\n";

#[test]
fn pipelined_requests_are_the_same_in_every_split() {
    let (whole, ..) = read(&[STREAM], &LIMITS).unwrap();
    let bodies: Vec<&[u8]> = whole.iter().map(|seen| &seen.body[..]).collect();
    assert_eq!(bodies, [&b"{\"name\":\"x\"}\n"[..], b"", b"hello 0123456789", b"", b""]);
    let paths: Vec<&str> = whole.iter().map(|seen| &seen.path[..]).collect();
    assert_eq!(paths, ["/call/ToUpper", "/healthz", "/c", "/d", "*"]);
    use Persistence::{Ends, Granted, Stays};
    let ways: Vec<Persistence> = whole.iter().map(|seen| seen.persistence).collect();
    assert_eq!(ways, [Stays, Stays, Stays, Granted, Ends]);
    assert_eq!(whole[1].headers, [("host".into(), "a".into()), ("Accept".into(), "*/*".into())]);

    for first in 0..STREAM.len() {
        let (seen, ..) = read(&[&STREAM[..first], &STREAM[first..]], &LIMITS).unwrap();
        assert_eq!(seen, whole, "cut at {first}");
    }
    let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
    assert_eq!(read(&bytes, &LIMITS).unwrap().0, whole);
    for piece in [2, 3, 7, 64] {
        let pieces: Vec<&[u8]> = STREAM.chunks(piece).collect();
        assert_eq!(read(&pieces, &LIMITS).unwrap().0, whole, "pieces of {piece}");
    }
}

#[test]
fn a_truncated_stream_gives_the_requests_it_holds_and_no_other() {
    let (whole, ..) = read(&[STREAM], &LIMITS).unwrap();
    for length in 0..STREAM.len() {
        let (seen, ..) = read(&[&STREAM[..length]], &LIMITS).unwrap();
        assert!(seen.len() < whole.len() && seen == whole[..seen.len()], "cut at {length}");
    }
}

#[test]
fn what_lies_whole_in_the_buffer_is_lent_from_it() {
    let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let mut decoder = Decoder::default();
    let Ok(Step::Request(request, used)) = decoder.step(bytes, &LIMITS) else { panic!() };
    assert!(matches!(request.body, std::borrow::Cow::Borrowed(b"abc")));
    assert_eq!((used, decoder.buffered()), (bytes.len(), 0));
}

#[test]
fn the_stage_says_what_a_silent_client_owes() {
    let stage = |bytes: &[u8]| read(&[bytes], &LIMITS).unwrap().2.stage();
    assert_eq!(stage(b""), Stage::Idle);
    assert_eq!(stage(b"\r\n"), Stage::Idle);
    assert_eq!(stage(b"G"), Stage::Head);
    assert_eq!(stage(b"GET / HTTP/1.1\r\nHost: a\r\n"), Stage::Head);
    assert_eq!(stage(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Stage::Idle);
    assert_eq!(stage(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"), Stage::Body);
    assert_eq!(stage(b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n"), Stage::Body);
    assert_eq!(stage(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxG"), Stage::Head);
}

#[test]
fn memory_follows_what_comes_not_what_is_announced() {
    let limits = Limits { head: 256, body: usize::MAX };
    for head in ["Content-Length: 4000000000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nfffffffffff\r\n"] {
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\n{head}abc");
        let (seen, _, decoder) = read(&[bytes.as_bytes()], &limits).unwrap();
        assert!(seen.is_empty() && decoder.buffered() < 100, "{head}: {}", decoder.buffered());
    }
}

#[test]
fn a_client_that_waits_to_continue_is_told_once() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n";
    for (pieces, times) in
        [(&[&head[..], b"a", b"bc"][..], 1), (&[&head[..40], &head[40..], b"abc"], 1), (&[&head[..]], 1)]
    {
        assert_eq!(read(pieces, &LIMITS).unwrap().1, times, "{pieces:?}");
    }
    let with_body = [head.as_slice(), b"abc"].concat();
    let (seen, go_on, _) = read(&[&with_body], &LIMITS).unwrap();
    assert_eq!((seen.len(), go_on), (1, 0), "the body is there: nobody waits");
    let old = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(read(&[old], &LIMITS).unwrap().1, 0, "HTTP/1.0 cannot wait");
    assert_eq!(refused(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"), 417);
}

#[test]
fn limits_are_exact() {
    let head = |length: usize| {
        let fixed = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(length - fixed)).into_bytes()
    };
    assert_eq!(one(&head(LIMITS.head)).headers[1].1.len(), LIMITS.head - 32);
    assert_eq!(refused(&head(LIMITS.head + 1)), 431);
    assert_eq!(refused(&[b'A'; 256]), 431);
    assert!(read(&[&[b'A'; 255]], &LIMITS).is_ok());
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x:\r\n".repeat(100));
    assert_eq!(read(&[many.as_bytes()], &Limits::default()).unwrap_err(), Refusal::TooManyHeaders(100));

    let body = |length: usize| {
        let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        [head.as_bytes(), &vec![b'x'; length]].concat()
    };
    assert_eq!(one(&body(LIMITS.body)).body.len(), LIMITS.body);
    assert_eq!(refused(&body(LIMITS.body + 1)), 413);
    assert_eq!(refused(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"), 413, "before any of it came");
    assert_eq!(refused(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n"), 413);

    let chunked = |tail: &str| format!("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{tail}");
    let full = format!("1f4\r\n{0}\r\n1F4\r\n{0}\r\n", "x".repeat(500));
    assert_eq!(one(chunked(&format!("{full}0\r\n\r\n")).as_bytes()).body.len(), 1000);
    assert_eq!(refused(chunked(&format!("{full}1\r\n")).as_bytes()), 413);
    assert_eq!(refused(chunked("ffffffffffffffff\r\n").as_bytes()), 413);
    assert_eq!(refused(chunked(&format!("0\r\n{}", "a: b\r\n".repeat(43))).as_bytes()), 431);
    assert_eq!(one(chunked(&format!("0\r\n{}\r\n", "a: b\r\n".repeat(42))).as_bytes()).body, b"");
    assert_eq!(refused(chunked(&format!("1;{}", "e".repeat(256))).as_bytes()), 400);
}

#[test]
fn what_two_readers_could_end_in_different_places_is_refused() {
    let head = |lines: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes();
    for (lines, status) in [
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400),
        ("Content-Length: 3\r\nContent-Length: 4\r\n", 400),
        ("Content-Length: 3, 3\r\n", 400),
        ("Content-Length: +3\r\n", 400),
        ("Content-Length: -3\r\n", 400),
        ("Content-Length: 0x3\r\n", 400),
        ("Content-Length: 3 3\r\n", 400),
        ("Content-Length:\r\n", 400),
        ("Content-Length : 3\r\n", 400),
        ("Content-Length\r\n", 400),
        ("X: a\r\n b\r\n", 400),
        (" X: a\r\n", 400),
        ("X: a\rContent-Length: 3\r\n", 400),
        ("X: a\nContent-Length: 3\r\n", 400),
        ("X: a\0b\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n", 501),
        ("Transfer-Encoding: chunked, chunked\r\n", 501),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501),
        ("Transfer-Encoding: identity\r\n", 501),
        ("Transfer-Encoding: \x0bchunked\r\n", 400),
        ("Host: b\r\n", 400),
    ] {
        assert_eq!(refused(&head(lines)), status, "{lines:?}");
    }
    assert_eq!(refused(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    assert_eq!(one(&[&head("Content-Length: 3\r\ncontent-length: 3\r\n")[..], b"abc"].concat()).body, b"abc");
}

#[test]
fn chunks_that_do_not_add_up_are_refused() {
    for tail in [
        "\r\n",
        " 5\r\n",
        "g\r\n",
        "-1\r\n",
        "0x1\r\n",
        "1 1\r\n",
        "00000000000000001\r\n",
        "1\n",
        "1\rx\r\n",
        "1\r\nab",
        "1\r\na\n",
        "1\r\na\rb",
        "0\r\na: b\n",
        "0\r\n\n",
    ] {
        let bytes = format!("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{tail}");
        assert_eq!(refused(bytes.as_bytes()), 400, "{tail:?}");
    }
}

#[test]
fn what_is_no_http_is_refused_at_once() {
    for bytes in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"\x00",
        b"GET / HTTP/1.1\n",
        b"GET /\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1 x\r\nHost: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / http/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GE\xffT / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n: a\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(refused(bytes), 400, "{:?}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(refused(b"PRI * HTTP/2.0\r\n\r\n"), 505);
    assert_eq!(refused(b"GET / HTTP/3\r\nHost: a\r\n\r\n"), 505);
}

#[test]
fn an_upgrade_is_seen_where_it_is_asked_for() {
    let ask = |lines: &str| {
        let bytes = format!("GET /ws HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let mut decoder = Decoder::default();
        let Ok(Step::Request(request, _)) = decoder.step(bytes.as_bytes(), &LIMITS) else { panic!() };
        request.head.upgrades_to("websocket")
    };
    assert!(ask("Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"));
    assert!(!ask("Upgrade: websocket\r\n"));
    assert!(!ask("Connection: Upgrade\r\nUpgrade: h2c\r\n"));
}

/// Random edits of a stream that is right: nothing panics, and a refusal stays one however the bytes are cut.
#[test]
fn mutated_streams_end_the_same_in_every_cut() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut dice = move |sides: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % sides as u64) as usize
    };
    let alphabet = b"\r\n :;0159afGTxHP/.,\0\xff";
    for _ in 0..20_000 {
        let mut bytes = STREAM.to_vec();
        for _ in 0..=dice(3) {
            let at = dice(bytes.len());
            match dice(3) {
                0 => bytes[at] = alphabet[dice(alphabet.len())],
                1 => bytes.insert(at, alphabet[dice(alphabet.len())]),
                _ => drop(bytes.remove(at)),
            }
        }
        let whole = read(&[&bytes], &LIMITS).map(|(seen, ..)| seen);
        let cut = dice(bytes.len());
        let parts = read(&[&bytes[..cut], &bytes[cut..]], &LIMITS).map(|(seen, ..)| seen);
        assert_eq!(whole.is_ok(), parts.is_ok(), "{:?}", String::from_utf8_lossy(&bytes));
        if let (Ok(whole), Ok(parts)) = (whole, parts) {
            assert_eq!(whole, parts);
        }
    }
}
