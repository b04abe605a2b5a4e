//! What goes before a snapshot: what it is, how long it is, and how to tell whether it came whole.

use super::{Damage, What};

/// Length of a seal, in bytes.
pub const SEAL_LEN: usize = 32;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Which layout the bytes have.
    pub version: u32,
    /// How many descriptors go with them.
    pub descriptors: u32,
    /// How many bytes there are.
    pub length: u64,
    checksum: u32,
}

impl Seal {
    /// The seal of these bytes.
    #[must_use]
    pub fn of(version: u32, bytes: &[u8], descriptors: usize) -> Seal {
        // More descriptors than this nobody can have open.
        let descriptors = u32::try_from(descriptors).unwrap_or(u32::MAX);
        Seal { version, descriptors, length: bytes.len() as u64, checksum: crc32(bytes) }
    }

    /// As it goes over.
    #[must_use]
    pub fn encode(&self) -> [u8; SEAL_LEN] {
        let [v0, v1, v2, v3] = self.version.to_le_bytes();
        let [d0, d1, d2, d3] = self.descriptors.to_le_bytes();
        let [l0, l1, l2, l3, l4, l5, l6, l7] = self.length.to_le_bytes();
        let [c0, c1, c2, c3] = self.checksum.to_le_bytes();
        let [m0, m1, m2, m3, m4, m5, m6, m7] = MAGIC;
        #[rustfmt::skip]
        let plain = [
            m0, m1, m2, m3, m4, m5, m6, m7, v0, v1, v2, v3, d0, d1, d2, d3,
            l0, l1, l2, l3, l4, l5, l6, l7, c0, c1, c2, c3,
        ];
        let [k0, k1, k2, k3] = crc32(&plain).to_le_bytes();
        let mut sealed = [0; SEAL_LEN];
        sealed.iter_mut().zip(plain.into_iter().chain([k0, k1, k2, k3])).for_each(|(place, byte)| *place = byte);
        sealed
    }

    /// Reads it back.
    ///
    /// # Errors
    /// It is none, or damaged.
    pub fn parse(bytes: &[u8; SEAL_LEN]) -> Result<Seal, Damage> {
        let (plain, check) = bytes.split_at(SEAL_LEN - 4);
        if !plain.starts_with(&MAGIC) {
            return Err(Damage { at: 0, what: What::NotASnapshot });
        }
        if crc32(plain).to_le_bytes() != *check {
            return Err(Damage { at: SEAL_LEN - 4, what: What::Checksum });
        }
        let mut words = super::Reader::new(plain, Vec::new());
        words.take(MAGIC.len())?;
        Ok(Seal {
            version: u32::from_le_bytes(words.array()?),
            descriptors: u32::from_le_bytes(words.array()?),
            length: u64::from_le_bytes(words.array()?),
            checksum: u32::from_le_bytes(words.array()?),
        })
    }

    /// Whether these are the bytes.
    ///
    /// # Errors
    /// They are not.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Damage> {
        if bytes.len() as u64 == self.length && crc32(bytes) == self.checksum {
            return Ok(());
        }
        Err(Damage { at: bytes.len(), what: What::Checksum })
    }
}

/// CRC-32 as Ethernet has it.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| sum >> 8 ^ TABLE.get((sum as u8 ^ byte) as usize).copied().unwrap_or(0);
    !bytes.iter().fold(u32::MAX, step)
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut number = 0;
    while number < 256 {
        let mut sum = number as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = sum >> 1 ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 };
            bit += 1;
        }
        #[allow(clippy::indexing_slicing, reason = "evaluated when it is compiled")]
        {
            table[number] = sum;
        }
        number += 1;
    }
    table
}

const MAGIC: [u8; 8] = *b"MSFSNAP\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_everybody_has() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_seal_is_read_back_and_no_byte_of_it_can_change_unnoticed() {
        let seal = Seal::of(7, b"state", 3);
        let bytes = seal.encode();
        assert_eq!(Seal::parse(&bytes), Ok(seal));
        assert!(seal.check(b"state").is_ok() && seal.check(b"State").is_err() && seal.check(b"stat").is_err());
        for place in 0..SEAL_LEN {
            let mut other = bytes;
            other[place] ^= 1;
            assert!(Seal::parse(&other).is_err(), "byte {place}");
        }
    }
}
