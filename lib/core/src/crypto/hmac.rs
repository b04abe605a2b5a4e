//! HMAC (RFC 2104) over SHA-256 and SHA-1. The only file that names the crate `hmac`.

use super::{equal, sha1, sha256};
use hmac::digest::Output;
use hmac::{EagerHash, KeyInit, Mac};

/// HMAC-SHA-256: 32 bytes.
pub type HmacSha256 = Hmac<sha256::Keyed>;
/// HMAC-SHA-1: 20 bytes; for the protocols that want it.
pub type HmacSha1 = Hmac<sha1::Keyed>;

/// A message authentication code in the making.
///
/// ```
/// use msf_core::crypto::HmacSha256;
/// let mut hmac = HmacSha256::new(b"key");
/// hmac.update(b"message");
/// let code = hmac.clone().finish();
/// assert!(hmac.is(&code));
/// ```
#[derive(Clone, Debug)]
pub struct Hmac<D: EagerHash>(hmac::Hmac<D>);

impl<D: EagerHash> Hmac<D>
where
    hmac::Hmac<D>: Mac + KeyInit,
{
    /// Under `key`, which may have any length (also none).
    pub fn new(key: &[u8]) -> Self {
        match KeyInit::new_from_slice(key) {
            Ok(hmac) => Hmac(hmac),
            Err(_) => unreachable!("HMAC takes keys of any length"),
        }
    }

    /// Takes the next piece of the message in.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The code of all pieces.
    pub fn finish(self) -> Output<hmac::Hmac<D>> {
        self.0.finalize().into_bytes()
    }

    /// Whether `code` is the code of all pieces; how long that takes does not depend on where they differ.
    pub fn is(self, code: &[u8]) -> bool {
        equal(&self.finish(), code)
    }
}

#[cfg(test)]
mod tests {
    use super::super::hex;
    use super::*;

    #[test]
    fn cases_of_rfc_4231_come_out() {
        let counting: Vec<u8> = (1..=25).collect();
        let cases: [(&[u8], &[u8], &str); 6] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (&counting, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &[0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size data. The key \
                  needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, message, wanted) in cases {
            let mut hmac = HmacSha256::new(key);
            message.chunks(7).for_each(|piece| hmac.update(piece));
            assert_eq!(hex(&hmac.clone().finish()), wanted);
            let code = hmac.clone().finish();
            assert!(hmac.clone().is(&code));
            assert!(!hmac.is(&code[..31]));
        }
    }

    #[test]
    fn sha1_cases_of_rfc_2202_come_out() {
        let mut hmac = HmacSha1::new(b"Jefe");
        hmac.update(b"what do ya want for nothing?");
        assert_eq!(hex(&hmac.finish()), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(hex(&HmacSha1::new(b"").finish()), "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d");
    }
}
