//! The 56 bytes in front of every payload.

use super::{DEFAULT_PAYLOAD_LIMIT, WireError, errcode, opcode};

/// Length of a header on the wire.
pub const HEADER_LEN: usize = 56;
/// The version we write: major 1, minor 0.
pub const VERSION: u32 = 0x100;
/// Bytes 4 to 7 of every header.
pub const MAGIC: u32 = 0x1234_5678;

/// A header in host byte order. The magic number is implied: a `Header` is one that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bits 8 and up are the major version, bits 0 to 7 the minor one, which nobody compares.
    pub version: u32,
    /// Service id of the sender.
    pub srcid: u32,
    /// Service id of the receiver.
    pub dstid: u32,
    /// One of [`opcode`], or a number we do not know yet.
    pub opcode: u32,
    /// What is asked, see [`cmd`](super::cmd).
    pub cmd: u32,
    /// Chosen by the requester, echoed in the ACK.
    pub seq: u32,
    /// How it ended, see [`errcode`]; 0 in requests.
    pub errcode: u32,
    /// Bytes of payload that follow the header.
    pub datalen: u32,
    /// Bytes of answer the requester wants; 0 in ACKs.
    pub restlen: u32,
    /// Always 0, never verified.
    pub checksum: u32,
    /// Milliseconds the requester waits, see [`timeout`](super::timeout); echoed in the ACK.
    pub timeout: u32,
    /// Zero; room for extensions that old peers ignore.
    pub reserved: [u8; 8],
}

crate::state! {
    struct Header {
        version, srcid, dstid, opcode, cmd, seq, errcode, datalen, restlen, checksum, timeout, reserved,
    }
}

impl Header {
    /// A request without payload that nobody waits for; callers set `datalen`, `restlen` and `timeout` as they need.
    #[must_use]
    pub const fn request(srcid: u32, dstid: u32, cmd: u32, seq: u32) -> Self {
        Self {
            version: VERSION,
            srcid,
            dstid,
            opcode: opcode::REQ,
            cmd,
            seq,
            errcode: errcode::EXEC_SUCC,
            datalen: 0,
            restlen: 0,
            checksum: 0,
            timeout: 0,
            reserved: [0; 8],
        }
    }

    /// The answer to this request: ids swapped; cmd, seq and timeout echoed.
    #[must_use]
    pub const fn ack(&self, errcode: u32, datalen: u32) -> Self {
        Self {
            opcode: opcode::ACK,
            errcode,
            datalen,
            timeout: self.timeout,
            ..Self::request(self.dstid, self.srcid, self.cmd, self.seq)
        }
    }

    /// In the agent's answer to a login: the longest payload it takes. Old agents leave zeroes there, and so does one
    /// with the usual limit.
    #[must_use]
    pub const fn payload_limit(&self) -> u32 {
        match split(self.reserved).0 {
            0 => DEFAULT_PAYLOAD_LIMIT,
            limit => limit,
        }
    }

    /// See [`payload_limit`](Self::payload_limit).
    #[must_use]
    pub const fn with_payload_limit(self, limit: u32) -> Self {
        let (_, high) = split(self.reserved);
        let low = if limit == DEFAULT_PAYLOAD_LIMIT { 0 } else { limit };
        Self { reserved: join(low, high), ..self }
    }

    /// In the answer to a call by name: the code the function returned. 0 everywhere else.
    #[must_use]
    pub const fn code(&self) -> i32 {
        split(self.reserved).0.cast_signed()
    }

    /// See [`code`](Self::code).
    #[must_use]
    pub const fn with_code(self, code: i32) -> Self {
        let (_, high) = split(self.reserved);
        Self { reserved: join(code.cast_unsigned(), high), ..self }
    }

    /// In an event: how many events the subscriber should have got before it and did not.
    #[must_use]
    pub const fn lost(&self) -> u32 {
        split(self.reserved).0
    }

    /// In an event: the service that has published it.
    #[must_use]
    pub const fn publisher(&self) -> u32 {
        split(self.reserved).1
    }

    /// See [`lost`](Self::lost) and [`publisher`](Self::publisher).
    #[must_use]
    pub const fn with_origin(self, lost: u32, publisher: u32) -> Self {
        Self { reserved: join(lost, publisher), ..self }
    }

    /// Reads a header; the minor version and unknown opcodes pass.
    ///
    /// # Errors
    /// [`WireError::Magic`] or [`WireError::Version`].
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Self, WireError> {
        let mut words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        // 56 bytes are 14 words: the default is never taken.
        let mut word = || words.next().unwrap_or_default();
        let version = word();
        check_start(version, word())?;
        Ok(Self {
            version,
            srcid: word(),
            dstid: word(),
            opcode: word(),
            cmd: word(),
            seq: word(),
            errcode: word(),
            datalen: word(),
            restlen: word(),
            checksum: word(),
            timeout: word(),
            reserved: join(word(), word()),
        })
    }

    /// The header as it goes over the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let (low, high) = split(self.reserved);
        let words: [u32; HEADER_LEN / 4] = [
            self.version,
            MAGIC,
            self.srcid,
            self.dstid,
            self.opcode,
            self.cmd,
            self.seq,
            self.errcode,
            self.datalen,
            self.restlen,
            self.checksum,
            self.timeout,
            low,
            high,
        ];
        let mut bytes = [0; HEADER_LEN];
        for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        bytes
    }
}

/// Looks at the first two words alone, so that a stranger is recognised before he has sent a whole header.
pub(super) fn check_start(version: u32, magic: u32) -> Result<(), WireError> {
    if magic != MAGIC {
        return Err(WireError::Magic(magic));
    }
    if version >> 8 != VERSION >> 8 {
        return Err(WireError::Version(version));
    }
    Ok(())
}

const fn join(low: u32, high: u32) -> [u8; 8] {
    ((high as u64) << 32 | low as u64).to_le_bytes()
}

const fn split(reserved: [u8; 8]) -> (u32, u32) {
    let word = u64::from_le_bytes(reserved);
    (word as u32, (word >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        Header {
            datalen: 36,
            restlen: 7,
            timeout: 5000,
            reserved: [1, 2, 3, 4, 5, 6, 7, 8],
            ..Header::request(0x11, 0x12, 0x26, 1)
        }
    }

    #[test]
    fn what_was_encoded_parses_to_the_same_header() {
        assert_eq!(Header::parse(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn an_ack_swaps_the_ids_and_echoes_cmd_seq_and_timeout() {
        let ack = sample().ack(errcode::PEER_OFFLINE, 0);
        assert_eq!((ack.srcid, ack.dstid, ack.opcode), (0x12, 0x11, opcode::ACK));
        assert_eq!((ack.cmd, ack.seq, ack.timeout, ack.errcode), (0x26, 1, 5000, errcode::PEER_OFFLINE));
        assert_eq!((ack.datalen, ack.restlen, ack.reserved), (0, 0, [0; 8]));
    }

    #[test]
    fn the_minor_version_is_ignored_and_kept() {
        let newer = Header { version: 0x1ff, ..sample() };
        assert_eq!(Header::parse(&newer.encode()), Ok(newer));
    }

    #[test]
    fn another_major_version_is_refused() {
        for version in [0, 0xff, 0x200, 0x1_0100, u32::MAX] {
            assert_eq!(Header::parse(&Header { version, ..sample() }.encode()), Err(WireError::Version(version)));
        }
    }

    #[test]
    fn another_magic_is_refused_before_the_version_is_looked_at() {
        let mut bytes = Header { version: 9, ..sample() }.encode();
        bytes[4] ^= 1;
        assert_eq!(Header::parse(&bytes), Err(WireError::Magic(MAGIC ^ 1)));
    }

    #[test]
    fn an_unusual_payload_limit_is_told_in_the_answer_to_a_login_and_the_usual_one_is_not() {
        let ack = Header::request(1, 2, 3, 4).ack(0, 0);
        assert_eq!(ack.with_payload_limit(DEFAULT_PAYLOAD_LIMIT), ack);
        assert_eq!(ack.payload_limit(), DEFAULT_PAYLOAD_LIMIT);
        for limit in [1, 4096, 1 << 24, u32::MAX] {
            assert_eq!(ack.with_payload_limit(limit).payload_limit(), limit);
        }
    }

    #[test]
    fn the_code_of_a_function_is_the_first_four_reserved_bytes() {
        for code in [0, 1, -1, 500, i32::MIN, i32::MAX] {
            let ack = sample().with_code(code);
            assert_eq!(ack.code(), code);
            assert_eq!(ack.encode()[48..56], [&code.to_le_bytes()[..], &[5, 6, 7, 8]].concat());
        }
    }

    #[test]
    fn what_was_lost_and_who_has_published_are_the_eight_reserved_bytes() {
        let event = sample().with_origin(3, 0x12);
        assert_eq!((event.lost(), event.publisher()), (3, 0x12));
        assert_eq!(event.encode()[48..56], [3, 0, 0, 0, 0x12, 0, 0, 0]);
    }

    #[test]
    fn an_unknown_opcode_is_a_value() {
        let odd = Header { opcode: 0xdead_beef, ..sample() };
        assert_eq!(Header::parse(&odd.encode()), Ok(odd));
    }
}
