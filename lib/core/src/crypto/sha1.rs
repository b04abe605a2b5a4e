//! SHA-1 (RFC 3174). The only file that names the crate `sha1`.

use super::chain::Chain;
use sha1::block_api::compress;

/// A SHA-1 digest in the making.
///
/// ```
/// let mut sha1 = msf_core::crypto::Sha1::new();
/// sha1.update(b"abc");
/// assert_eq!(sha1.finish()[..4], [0xa9, 0x99, 0x3e, 0x36]);
/// ```
#[derive(Clone, Debug)]
pub struct Sha1(Chain<5>);

/// What HMAC is built on.
pub(super) type Keyed = sha1::Sha1;

impl Sha1 {
    /// Of nothing yet.
    #[allow(clippy::new_without_default, reason = "a digest of nothing is no default of anything")]
    pub fn new() -> Sha1 {
        Sha1(Chain::new([0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0]))
    }

    /// Goes on where `chain` was left.
    pub fn from_chain(chain: Chain<5>) -> Sha1 {
        Sha1(chain)
    }

    /// The state so far, to go on with later.
    pub fn chain(&self) -> &Chain<5> {
        &self.0
    }

    /// Takes the next piece of the message in.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data, compress);
    }

    /// The digest of all pieces.
    pub fn finish(mut self) -> [u8; 20] {
        let words = self.0.finish(u64::to_be_bytes, compress);
        let mut digest = [0; 20];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *bytes = word.to_be_bytes();
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::super::{cut_anyhow, hex};
    use super::*;

    fn digest(pieces: &[&[u8]]) -> String {
        let mut sha1 = Sha1::new();
        pieces.iter().for_each(|piece| sha1.update(piece));
        hex(&sha1.finish())
    }

    #[test]
    fn suite_of_rfc_3174_comes_out_however_it_is_cut() {
        let suite: [(&str, &str); 4] = [
            ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
            (&"01234567".repeat(80), "dea356a2cddd90c7a7ecedc5ebb563934f460452"),
            ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ];
        for (text, wanted) in suite {
            assert_eq!(cut_anyhow(text.as_bytes(), digest), wanted, "{text}");
        }
        assert_eq!(digest(&vec![&b"aaaaaaaaaa"[..]; 100_000]), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    }
}
