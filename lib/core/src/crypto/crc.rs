//! CRC-32 (ISO-HDLC, that of Ethernet and zip) and CRC-64 (Jones, that of Redis). The only file that names the crate `crc`.

use crc::{CRC_32_ISO_HDLC, CRC_64_REDIS, Crc};

static CRC_32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
static CRC_64: Crc<u64> = Crc::<u64>::new(&CRC_64_REDIS);

/// The CRC-32 of `data`.
///
/// ```
/// assert_eq!(msf_core::crypto::crc32(b"123456789"), 0xcbf4_3926);
/// ```
pub fn crc32(data: &[u8]) -> u32 {
    CRC_32.checksum(data)
}

/// The CRC-64 of `data` behind what had the CRC-64 `before` (0: nothing).
///
/// ```
/// use msf_core::crypto::crc64;
/// assert_eq!(crc64(crc64(0, b"1234"), b"56789"), 0xe9c6_d914_c4b8_d9ca);
/// ```
pub fn crc64(before: u64, data: &[u8]) -> u64 {
    // The crate reflects what a reflected CRC begins with.
    let mut digest = CRC_64.digest_with_initial(before.reverse_bits());
    digest.update(data);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_the_catalogue_come_out() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(0, b""), 0);
    }

    #[test]
    fn crc64_goes_on_where_it_was_left() {
        let text = b"This is a test of the emergency broadcast system.";
        for at in 0..=text.len() {
            assert_eq!(crc64(crc64(0, &text[..at]), &text[at..]), crc64(0, text), "cut at {at}");
        }
    }
}
