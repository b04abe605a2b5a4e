//! Digests, checks and encodings, from crates that do nothing else. Pure: no state outlives a value, nothing is
//! allocated but by [`base64::encode`].
//!
//! MD5 and SHA-1 are here for the formats that want them; neither protects anything from an attacker any more.
//! What must be trusted wants [`Sha256`] or [`Hmac`].

pub mod base64;
mod chain;
mod crc;
mod equal;
mod hmac;
mod md5;
mod sha1;
mod sha256;

pub use chain::Chain;
pub use crc::{crc32, crc64};
pub use equal::equal;
pub use hmac::{Hmac, HmacSha1, HmacSha256};
pub use md5::Md5;
pub use sha1::Sha1;
pub use sha256::Sha256;

#[cfg(test)]
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Feeds `text` in every way of cutting it in two, and in single bytes.
#[cfg(test)]
fn cut_anyhow(text: &[u8], digest: impl Fn(&[&[u8]]) -> String) -> String {
    let whole = digest(&[text]);
    for at in 0..text.len() {
        assert_eq!(digest(&[&text[..at], &text[at..]]), whole, "cut at {at}");
    }
    assert_eq!(digest(&text.chunks(1).collect::<Vec<_>>()), whole);
    whole
}
