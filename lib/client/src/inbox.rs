//! The bytes a client has received and not yet understood.

use crate::gather::Gather;
use msf_wire::librpc::{HEADER_LEN, Step, WireError, decode};
use std::collections::TryReserveError;

/// A receive buffer. The driver reads into [`space`](Self::space), says how much by [`filled`](Self::filled), then
/// looks at frames with [`step`](Self::step) and takes each out with [`consume`](Self::consume).
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Gather,
}

impl Inbox {
    /// Room for the next read. What a frame announces is believed bit by bit: the buffer doubles as its bytes come.
    ///
    /// # Errors
    /// There is no memory for the frame under way.
    pub fn space(&mut self, payload_limit: u32) -> Result<&mut [u8], TryReserveError> {
        let missing = match self.step(payload_limit) {
            Ok(Step::NeedMore(missing)) => missing,
            // Frames that wait, or an error that `step` will tell: nothing has to grow for them.
            Ok(Step::Frame(..)) | Err(_) => 0,
        };
        self.bytes.space(missing, HEADER_LEN)
    }

    /// The first `count` bytes of the space have been written.
    pub fn filled(&mut self, count: usize) {
        self.bytes.filled(count);
    }

    /// What has been received and not taken out.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.bytes()
    }

    /// Looks at what the buffer begins with.
    ///
    /// # Errors
    /// What the peer sent is not librpc; see [`WireError`].
    pub fn step(&self, payload_limit: u32) -> Result<Step<'_>, WireError> {
        decode(self.bytes.bytes(), payload_limit)
    }

    /// Takes the frame out that [`step`](Self::step) said uses `used` bytes.
    pub fn consume(&mut self, used: usize) {
        self.bytes.consume(used);
    }

    /// Forgets everything: the connection is a new one.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::{GENEROUS, USUAL};
    use msf_wire::librpc::{Frame, Header};

    const LIMIT: u32 = 1 << 20;

    fn frame(len: usize) -> Vec<u8> {
        let body = vec![7; len];
        let head = Header { datalen: len as u32, ..Header::request(1, 2, 3, 4) };
        let mut bytes = Vec::new();
        Frame { head, body: &body }.append_to(&mut bytes);
        bytes
    }

    /// Feeds a stream in reads of at most `chunk` bytes and returns the lengths of the payloads found.
    fn lengths(stream: &[u8], chunk: usize) -> Vec<usize> {
        let (mut inbox, mut rest, mut found) = (Inbox::default(), stream, Vec::new());
        while !rest.is_empty() {
            let space = inbox.space(LIMIT).unwrap();
            let count = chunk.min(rest.len()).min(space.len());
            space[..count].copy_from_slice(&rest[..count]);
            inbox.filled(count);
            rest = &rest[count..];
            while let Step::Frame(frame, used) = inbox.step(LIMIT).unwrap() {
                found.push(frame.body.len());
                inbox.consume(used);
            }
        }
        found
    }

    #[test]
    fn frames_come_out_whatever_the_reads_were() {
        let sizes = [0, 1, 40_000, 0, 500_000, 36];
        let stream: Vec<u8> = sizes.iter().flat_map(|len| frame(*len)).collect();
        for chunk in [7, 56, 57, 4096, 1 << 20] {
            assert_eq!(lengths(&stream, chunk), sizes, "reads of {chunk}");
        }
    }

    #[test]
    fn regress_an_announced_length_takes_no_memory_before_its_bytes_come() {
        let head = Header { datalen: 1 << 30, ..Header::request(1, 2, 3, 4) };
        let mut inbox = Inbox::default();
        inbox.space(1 << 30).unwrap()[..HEADER_LEN].copy_from_slice(&head.encode());
        inbox.filled(HEADER_LEN);
        let mut come = HEADER_LEN;
        while come < 1 << 20 {
            let before = come;
            let room = inbox.space(1 << 30).unwrap().len();
            inbox.filled(room);
            come += room;
            assert!(inbox.bytes.held() <= (2 * before).max(USUAL), "{} for {before}", inbox.bytes.held());
        }
    }

    #[test]
    fn the_memory_of_a_large_frame_is_given_back() {
        let mut inbox = Inbox::default();
        let bytes = frame(900_000);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let space = inbox.space(LIMIT).unwrap();
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            inbox.filled(count);
            rest = &rest[count..];
        }
        inbox.consume(bytes.len());
        inbox.space(LIMIT).unwrap();
        assert!(inbox.bytes.held() <= GENEROUS);
    }
}
