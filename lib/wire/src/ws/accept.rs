//! The handshake's proof that the server understood it. The only file that names sha1.

use crate::base64;
use sha1::{Digest, Sha1};

/// The value of `Sec-WebSocket-Accept` for a client's `Sec-WebSocket-Key`; `None` when that is not 16 bytes in base64.
#[must_use]
pub fn accept(key: &[u8]) -> Option<String> {
    base64::decode(key).filter(|bytes| bytes.len() == 16)?;
    let mut sum = Sha1::new();
    sum.update(key);
    sum.update(MAGIC);
    Some(base64::encode(&sum.finalize()))
}

/// The same for every server, so that nobody answers who only echoes.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_gives_the_answer_of_the_rfc() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ==").as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        for key in [&b""[..], b"dGhlIHNhbXBsZSBub25jZQ", b"dGhlIHNhbXBsZQ==", b"\xff"] {
            assert_eq!(accept(key), None);
        }
    }
}
