//! Bytes as text: base64 of RFC 4648 with padding. The only file that names the base64 crate.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// `bytes` as text.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes a text stands for; `None` when it is not base64, or not the one text that stands for them.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_decodes_to_the_same_bytes() {
        assert_eq!(encode(b"\0\xff\x10"), "AP8Q");
        for length in 0..70u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(37)).collect();
            assert_eq!(decode(encode(&bytes).as_bytes()), Some(bytes));
        }
    }

    #[test]
    fn what_is_not_base64_is_no_bytes() {
        for text in ["A", "AA", "AA=", "AA==\n", "AB==", "A-_A", "=AAA", "AAAA AAAA"] {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
    }
}
