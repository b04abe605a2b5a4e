//! MD5 (RFC 1321). The only file that names the crate `md5`.

use super::chain::Chain;
use md5::block_api::compress;

/// An MD5 digest in the making.
///
/// ```
/// let mut md5 = msf_core::crypto::Md5::new();
/// md5.update(b"message ");
/// md5.update(b"digest");
/// assert_eq!(md5.finish()[..4], [0xf9, 0x6b, 0x69, 0x7d]);
/// ```
#[derive(Clone, Debug)]
pub struct Md5(Chain<4>);

impl Md5 {
    /// Of nothing yet.
    #[allow(clippy::new_without_default, reason = "a digest of nothing is no default of anything")]
    pub fn new() -> Md5 {
        Md5(Chain::new([0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476]))
    }

    /// Goes on where `chain` was left.
    pub fn from_chain(chain: Chain<4>) -> Md5 {
        Md5(chain)
    }

    /// The state so far, to go on with later.
    pub fn chain(&self) -> &Chain<4> {
        &self.0
    }

    /// Takes the next piece of the message in.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data, compress);
    }

    /// The digest of all pieces.
    pub fn finish(mut self) -> [u8; 16] {
        let words = self.0.finish(u64::to_le_bytes, compress);
        let mut digest = [0; 16];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::super::{cut_anyhow, hex};
    use super::*;

    fn digest(pieces: &[&[u8]]) -> String {
        let mut md5 = Md5::new();
        pieces.iter().for_each(|piece| md5.update(piece));
        hex(&md5.finish())
    }

    #[test]
    fn suite_of_rfc_1321_comes_out_however_it_is_cut() {
        let suite: [(&str, &str); 7] = [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"),
            (&"1234567890".repeat(8), "57edf4a22be3c955ac49da2e2107b67a"),
        ];
        for (text, wanted) in suite {
            assert_eq!(cut_anyhow(text.as_bytes(), digest), wanted, "{text}");
        }
    }

    #[test]
    fn every_length_around_the_padding_is_one_of_its_own() {
        let digests: std::collections::HashSet<_> = (0..200).map(|length| digest(&[&vec![b'x'; length]])).collect();
        assert_eq!(digests.len(), 200);
    }
}
