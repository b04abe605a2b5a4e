//! Base64 (RFC 4648, section 4: `+` and `/`, padded). The only file that names the crate `base64`.

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeSliceError, Engine};

/// Why something was not encoded or decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The result does not fit into the buffer.
    Room,
    /// It is not base64: a foreign character, wrong padding, a length that cannot be, or bits behind the end.
    Text,
}

/// Characters that `bytes` bytes become, padding included; `None` when that many cannot be.
///
/// ```
/// assert_eq!(msf_core::crypto::base64::length(4), Some(8));
/// ```
pub fn length(bytes: usize) -> Option<usize> {
    bytes.div_ceil(3).checked_mul(4)
}

/// `data` as text.
///
/// ```
/// use msf_core::crypto::base64;
/// assert_eq!(base64::encode(b"fooba"), "Zm9vYmE=");
/// ```
pub fn encode(data: &[u8]) -> String {
    STANDARD.encode(data)
}

/// Writes `data` as text into `text`; how many characters that were.
pub fn encode_into(data: &[u8], text: &mut [u8]) -> Result<usize, Refused> {
    STANDARD.encode_slice(data, text).map_err(|_| Refused::Room)
}

/// Writes the bytes that `text` stands for into `data`; how many there were. On failure `data` is not to be used.
///
/// ```
/// use msf_core::crypto::base64;
/// let mut data = [0; 5];
/// assert_eq!(base64::decode_into(b"Zm9vYmE=", &mut data), Ok(5));
/// assert_eq!(base64::decode_into(b"Zm9vYmE", &mut data), Err(base64::Refused::Text));
/// ```
pub fn decode_into(text: &[u8], data: &mut [u8]) -> Result<usize, Refused> {
    STANDARD.decode_slice(text, data).map_err(|error| match error {
        DecodeSliceError::OutputSliceTooSmall => Refused::Room,
        DecodeSliceError::DecodeError(_) => Refused::Text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_4648_come_out_in_both_directions_into_buffers_that_just_fit() {
        let vectors = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (bytes, text) in vectors.iter().enumerate() {
            let data = &b"foobar"[..bytes];
            assert_eq!(encode(data), *text);
            assert_eq!(length(bytes), Some(text.len()));
            let (mut there, mut back) = ([0; 8], [0; 6]);
            assert_eq!(encode_into(data, &mut there[..text.len()]), Ok(text.len()));
            assert_eq!(&there[..text.len()], text.as_bytes());
            assert_eq!(decode_into(text.as_bytes(), &mut back[..bytes]), Ok(bytes));
            assert_eq!(&back[..bytes], data);
            if bytes > 0 {
                assert_eq!(encode_into(data, &mut there[..text.len() - 1]), Err(Refused::Room));
                assert_eq!(decode_into(text.as_bytes(), &mut back[..bytes - 1]), Err(Refused::Room));
            }
        }
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for text in ["Z", "Zg", "Zg=", "Zg===", "Zm9v\n", "Zm-_", "Zh==", "=Zm8", "Zm8=Zm8="] {
            assert_eq!(decode_into(text.as_bytes(), &mut [0; 16]), Err(Refused::Text), "{text}");
        }
    }

    #[test]
    fn every_byte_survives_the_way_there_and_back() {
        let data: Vec<u8> = (0..=255).collect();
        for from in 0..data.len() {
            let text = encode(&data[from..]);
            let mut back = vec![0; data.len() - from];
            assert_eq!(decode_into(text.as_bytes(), &mut back), Ok(back.len()));
            assert_eq!(back, &data[from..]);
        }
    }
}
