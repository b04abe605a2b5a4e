//! The librpc codec against the vectors of the specification, against every cut of every frame, and against noise.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod vectors;

use msf_wire::librpc::{
    DEFAULT_PAYLOAD_LIMIT, Frame, HEADER_LEN, Header, Login, Step, WireError, cmd, decode, errcode, id,
};
use vectors::{Vector, vectors};

const LIMIT: u32 = DEFAULT_PAYLOAD_LIMIT;

#[test]
fn every_vector_is_written_byte_for_byte() {
    for vector in vectors() {
        assert_eq!(encoded(vector.head, &vector.body), vector.bytes, "{}", vector.name);
    }
}

#[test]
fn every_vector_is_read_field_for_field() {
    for Vector { name, head, body, bytes } in vectors() {
        let frame = Frame { head, body: &body };
        assert_eq!(decode(&bytes, LIMIT), Ok(Step::Frame(frame, bytes.len())), "{name}");
    }
}

#[test]
fn the_login_vector_carries_the_login_of_upnp() {
    let v1 = &vectors()[0];
    assert_eq!(Login::named(b"UPNP").encode()[..], v1.body);
    assert_eq!(Login::parse(&v1.body), Ok(Login::named(b"UPNP")));
}

#[test]
fn the_answers_among_the_vectors_are_the_acks_of_their_requests() {
    let all = vectors();
    let head = |n: usize| all[n - 1].head;
    assert_eq!(head(1).ack(errcode::EXEC_SUCC, 0), head(2));
    assert_eq!(head(3).ack(errcode::EXEC_SUCC, 36), head(4));
    assert_eq!(head(6).ack(errcode::EXEC_SUCC, 36), head(7));
    let to_mobile = Header { timeout: 5000, ..Header::request(id::DLNA, id::MOBILE, cmd::MOBILE_GET, 7) };
    assert_eq!(to_mobile.ack(errcode::PEER_OFFLINE, 0), head(8));
    let set = Header { timeout: 1000, ..Header::request(id::DLNA, id::UPNP, cmd::UPNP_SET, 10) };
    assert_eq!(set.ack(errcode::EXEC_SUCC, 0), head(10));
}

#[test]
fn every_truncation_of_every_vector_wants_more_and_says_how_much_at_least() {
    for Vector { name, bytes, .. } in vectors() {
        for cut in 0..bytes.len() {
            let Ok(Step::NeedMore(missing)) = decode(&bytes[..cut], LIMIT) else { panic!("{name} cut at {cut}") };
            assert!(missing > 0 && cut + missing <= bytes.len(), "{name} cut at {cut} wants {missing}");
        }
    }
}

#[test]
fn a_stream_split_in_two_at_any_byte_yields_the_same_frames() {
    let all = vectors();
    let stream: Vec<u8> = all.iter().flat_map(|vector| vector.bytes.clone()).collect();
    for cut in 0..=stream.len() {
        let mut reader = Reader::default();
        reader.feed(&stream[..cut]);
        reader.feed(&stream[cut..]);
        reader.saw_exactly(&all);
    }
}

#[test]
fn a_stream_that_trickles_byte_by_byte_yields_the_same_frames() {
    let all = vectors();
    let mut reader = Reader::default();
    for byte in all.iter().flat_map(|vector| vector.bytes.clone()) {
        reader.feed(&[byte]);
    }
    reader.saw_exactly(&all);
}

#[test]
fn what_is_encoded_decodes_to_the_same_frame_whatever_it_holds() {
    let mut dice = Dice(0x5eed);
    for _ in 0..2_000 {
        let body = dice.bytes(300);
        let head = dice.header(body.len() as u32);
        let bytes = encoded(head, &body);
        assert_eq!(decode(&bytes, LIMIT), Ok(Step::Frame(Frame { head, body: &body }, bytes.len())));
    }
}

/// Half of the frames are noise, half are valid with one word of the header replaced. None may panic, and what each
/// becomes is decided by its own bytes alone.
#[test]
fn ten_thousand_random_frames_are_frames_wishes_or_errors_but_never_panics() {
    let mut dice = Dice(0xbad_cafe);
    let mut seen = [0_u32; 3];
    for round in 0..10_000 {
        let bytes = if round % 2 == 0 { dice.bytes(200) } else { dice.mutated_frame() };
        seen[judge(&bytes)] += 1;
        let cut = dice.below(bytes.len() as u64 + 1) as usize;
        judge(&bytes[..cut]);
    }
    assert!(seen.iter().all(|count| *count > 100), "a lopsided test: {seen:?}");
}

/// 0 more wanted, 1 a frame, 2 refused; each checked against what the bytes say.
fn judge(bytes: &[u8]) -> usize {
    match decode(bytes, 150) {
        Ok(Step::NeedMore(missing)) => {
            assert!(missing > 0);
            0
        }
        Ok(Step::Frame(frame, used)) => {
            assert_eq!(used, HEADER_LEN + frame.body.len());
            assert_eq!(frame.head.datalen as usize, frame.body.len());
            assert_eq!(encoded(frame.head, frame.body), bytes[..used]);
            1
        }
        Err(WireError::Magic(_)) => {
            assert_ne!(bytes[4..8], [0x78, 0x56, 0x34, 0x12]);
            2
        }
        Err(WireError::Version(_)) => {
            assert_ne!(bytes[1..4], [1, 0, 0]);
            2
        }
        Err(WireError::Oversized { head, limit }) => {
            assert!(head.datalen > limit);
            2
        }
        Err(WireError::ShortLogin(_) | WireError::MalformedCall(_) | WireError::MalformedPublication(_)) => {
            panic!("decode does not look into payloads")
        }
    }
}

fn encoded(head: Header, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Frame { head, body }.append_to(&mut bytes);
    bytes
}

/// A session's receive side at its simplest.
#[derive(Default)]
struct Reader {
    buffer: Vec<u8>,
    frames: Vec<(Header, Vec<u8>)>,
}

impl Reader {
    fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        while let Step::Frame(frame, used) = decode(&self.buffer, LIMIT).unwrap() {
            self.frames.push((frame.head, frame.body.to_vec()));
            self.buffer.drain(..used);
        }
    }

    fn saw_exactly(self, expected: &[Vector]) {
        assert!(self.buffer.is_empty());
        let expected: Vec<_> = expected.iter().map(|vector| (vector.head, vector.body.clone())).collect();
        assert_eq!(self.frames, expected);
    }
}

/// xorshift64: the same frames in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn word(&mut self) -> u32 {
        (self.next() >> 16) as u32
    }

    fn bytes(&mut self, longest: u64) -> Vec<u8> {
        (0..self.below(longest + 1)).map(|_| self.next() as u8).collect()
    }

    fn header(&mut self, datalen: u32) -> Header {
        Header {
            version: 0x100 | self.word() & 0xff,
            opcode: self.word(),
            errcode: self.word(),
            datalen,
            restlen: self.word(),
            checksum: self.word(),
            timeout: self.word(),
            reserved: self.next().to_le_bytes(),
            ..Header::request(self.word(), self.word(), self.word(), self.word())
        }
    }

    fn mutated_frame(&mut self) -> Vec<u8> {
        let body = self.bytes(140);
        let head = self.header(body.len() as u32);
        let mut bytes = encoded(head, &body);
        let field = 4 * self.below(14) as usize;
        let word = self.word() >> self.below(32);
        bytes[field..field + 4].copy_from_slice(&word.to_le_bytes());
        bytes
    }
}
