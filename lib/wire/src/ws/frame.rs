//! One frame: its header, its mask, and both directions written.

/// What a frame is.
pub mod opcode {
    /// Goes on with the message begun before.
    pub const CONTINUATION: u8 = 0x0;
    /// Begins a text.
    pub const TEXT: u8 = 0x1;
    /// Begins a message of bytes.
    pub const BINARY: u8 = 0x2;
    /// Ends the connection; opcodes from here on are control frames.
    pub const CLOSE: u8 = 0x8;
    /// Asks for a pong.
    pub const PING: u8 = 0x9;
    /// Answers a ping.
    pub const PONG: u8 = 0xa;
}

/// A frame to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Whether the message ends with it.
    pub end: bool,
    /// What it is, see [`opcode`].
    pub opcode: u8,
    /// The mask, which clients must use and servers must not.
    pub mask: Option<[u8; 4]>,
    /// What it carries.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Appends it as it goes over the wire.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.end) << 7 | self.opcode);
        let masked = u8::from(self.mask.is_some()) << 7;
        match self.payload.len() {
            length @ ..126 => out.push(masked | length as u8),
            length @ ..0x1_0000 => {
                out.push(masked | 126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                out.push(masked | 127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        match self.mask {
            Some(mask) => {
                out.extend_from_slice(&mask);
                append_masked(out, self.payload, mask, 0);
            }
            None => out.extend_from_slice(self.payload),
        }
    }
}

/// Appends a text from the server.
pub fn append_text(out: &mut Vec<u8>, text: &str) {
    append(out, opcode::TEXT, text.as_bytes());
}

/// Appends the answer to a ping, which carries the ping's payload.
pub fn append_pong(out: &mut Vec<u8>, payload: &[u8]) {
    append(out, opcode::PONG, payload);
}

/// Appends a Close with a code and as much of the reason as a control frame takes; without either for `None`.
pub fn append_close(out: &mut Vec<u8>, code: Option<u16>, reason: &str) {
    let Some(code) = code else { return append(out, opcode::CLOSE, b"") };
    let reason = reason.get(..reason.floor_char_boundary(LONGEST_CONTROL - 2)).unwrap_or_default();
    append(out, opcode::CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat());
}

fn append(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    Frame { end: true, opcode, mask: None, payload }.append_to(out);
}

/// Appends `bytes` under a mask, of which the first `turned` bytes have been used up before.
pub(super) fn append_masked(out: &mut Vec<u8>, bytes: &[u8], mask: [u8; 4], turned: usize) {
    let mut mask = mask;
    mask.rotate_left(turned % 4);
    let word = u32::from_ne_bytes(mask);
    let (words, rest) = bytes.as_chunks::<4>();
    out.reserve(bytes.len());
    out.extend(words.iter().flat_map(|bytes| (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes()));
    out.extend(rest.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
}

/// A header as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub end: bool,
    pub opcode: u8,
    /// Whether a bit is set that only an extension gives a meaning.
    pub reserved: bool,
    pub mask: Option<[u8; 4]>,
    pub length: u64,
    /// Whether the length could have been written in fewer bytes.
    pub wasteful: bool,
    /// Bytes of the header itself.
    pub size: usize,
}

impl Header {
    /// Reads the header `bytes` begin with; `None` while it is not whole.
    pub fn parse(bytes: &[u8]) -> Option<Header> {
        let ([first, second], rest) = bytes.split_first_chunk::<2>()?;
        let (length, least, rest) = match second & 0x7f {
            126 => rest.split_first_chunk::<2>().map(|(two, rest)| (u64::from(u16::from_be_bytes(*two)), 126, rest))?,
            127 => rest.split_first_chunk::<8>().map(|(eight, rest)| (u64::from_be_bytes(*eight), 0x1_0000, rest))?,
            short => (u64::from(short), 0, rest),
        };
        let (mask, rest) = match second & 0x80 {
            0 => (None, rest),
            _ => rest.split_first_chunk::<4>().map(|(mask, rest)| (Some(*mask), rest))?,
        };
        Some(Header {
            end: first & 0x80 != 0,
            opcode: first & 0x0f,
            reserved: first & 0x70 != 0,
            mask,
            length,
            wasteful: length < least,
            size: bytes.len() - rest.len(),
        })
    }
}

/// What a control frame may carry.
pub(super) const LONGEST_CONTROL: usize = 125;
