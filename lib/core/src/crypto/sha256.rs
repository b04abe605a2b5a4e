//! SHA-256 (FIPS 180-4). The only file that names the crate `sha2`.

use sha2::Digest;

/// A SHA-256 digest in the making.
///
/// ```
/// use msf_core::crypto::Sha256;
/// let mut sha256 = Sha256::new();
/// sha256.update(b"a");
/// sha256.update(b"bc");
/// assert_eq!(sha256.finish(), Sha256::of(b"abc"));
/// ```
#[derive(Clone, Debug)]
pub struct Sha256(sha2::Sha256);

/// What HMAC is built on.
pub(super) type Keyed = sha2::Sha256;

impl Sha256 {
    /// Bytes of a digest.
    pub const BYTES: usize = 32;

    /// Of nothing yet.
    #[allow(clippy::new_without_default, reason = "a digest of nothing is no default of anything")]
    pub fn new() -> Sha256 {
        Sha256(sha2::Sha256::new())
    }

    /// The digest of a message that lies there whole.
    pub fn of(data: &[u8]) -> [u8; Sha256::BYTES] {
        sha2::Sha256::digest(data).into()
    }

    /// Takes the next piece of the message in.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The digest of all pieces.
    pub fn finish(self) -> [u8; Sha256::BYTES] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{cut_anyhow, hex};
    use super::*;

    fn digest(pieces: &[&[u8]]) -> String {
        let mut sha256 = Sha256::new();
        pieces.iter().for_each(|piece| sha256.update(piece));
        hex(&sha256.finish())
    }

    #[test]
    fn examples_of_fips_180_come_out_however_they_are_cut() {
        let suite = [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
        ];
        for (text, wanted) in suite {
            assert_eq!(cut_anyhow(text.as_bytes(), digest), wanted, "{text}");
            assert_eq!(hex(&Sha256::of(text.as_bytes())), wanted);
        }
        let million = vec![&b"aaaaaaaaaa"[..]; 100_000];
        assert_eq!(digest(&million), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}
