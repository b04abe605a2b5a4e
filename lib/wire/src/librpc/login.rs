//! The payload of a login request: 68 bytes naming the service. Said once more on a connection that has passed to another
//! process, it has behind it which one that is.

use super::WireError;

/// Length of a login payload on the wire.
pub const LOGIN_LEN: usize = 68;
/// Longest name; one of this length has no terminating NUL on the wire.
pub const NAME_LEN: usize = 32;

/// Who logs in. The id itself travels in the header's `srcid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login {
    name: [u8; NAME_LEN],
    /// Answer to a CHAP challenge; zero without one.
    pub hash: [u8; 32],
    /// 1 when the client wants CHAP; the original always sends 0.
    pub chap: u32,
}

impl Login {
    /// A login under `name`, cut after [`NAME_LEN`] bytes or at the first NUL.
    #[must_use]
    pub fn named(name: &[u8]) -> Self {
        let mut padded = [0; NAME_LEN];
        for (place, byte) in padded.iter_mut().zip(name.iter().take_while(|byte| **byte != 0)) {
            *place = *byte;
        }
        Self { name: padded, hash: [0; 32], chap: 0 }
    }

    /// The name without its padding. Bytes, not text: a peer may send anything.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.name.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Reads a login; bytes after the 68th belong to a newer peer and are ignored.
    ///
    /// # Errors
    /// [`WireError::ShortLogin`].
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let short = WireError::ShortLogin(body.len());
        let (name, rest) = body.split_first_chunk().ok_or(short)?;
        let (hash, rest) = rest.split_first_chunk().ok_or(short)?;
        let chap = rest.first_chunk().ok_or(short)?;
        Ok(Self { name: *name, hash: *hash, chap: u32::from_le_bytes(*chap) })
    }

    /// The login as it goes over the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; LOGIN_LEN] {
        let mut bytes = [0; LOGIN_LEN];
        let fields = self.name.iter().chain(&self.hash).copied().chain(self.chap.to_le_bytes());
        for (place, byte) in bytes.iter_mut().zip(fields) {
            *place = byte;
        }
        bytes
    }
}

/// The process that a connection belongs to now, though another one has made it: behind a second login, where an older
/// agent does not look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heir {
    /// Its number.
    pub pid: i32,
    /// The number's space: the inode of /proc/self/ns/pid.
    pub space: u64,
}

impl Heir {
    /// Reads it from the payload of a login; `None` where it ends after that.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (pid, rest) = body.get(LOGIN_LEN..)?.split_first_chunk()?;
        let space = rest.first_chunk()?;
        Some(Self { pid: i32::from_le_bytes(*pid), space: u64::from_le_bytes(*space) })
    }

    /// What follows the login.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [self.pid.to_le_bytes().as_slice(), &self.space.to_le_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_parses_to_the_same_login() {
        let login = Login { hash: [9; 32], chap: 1, ..Login::named(b"UPNP") };
        assert_eq!(Login::parse(&login.encode()), Ok(login));
        assert_eq!(login.name(), b"UPNP");
    }

    #[test]
    fn a_name_of_32_bytes_is_not_terminated_and_a_longer_one_is_cut() {
        let login = Login::named(&[b'x'; 40]);
        assert_eq!(login.name(), [b'x'; 32]);
        assert_eq!(login.encode()[..33], [[b'x'; 32].as_slice(), &[0]].concat());
    }

    #[test]
    fn every_truncation_is_refused_by_its_length() {
        let bytes = Login::named(b"UPNP").encode();
        for cut in 0..LOGIN_LEN {
            assert_eq!(Login::parse(&bytes[..cut]), Err(WireError::ShortLogin(cut)));
        }
    }

    #[test]
    fn golden_an_heir_follows_the_login_and_half_of_one_is_none() {
        let heir = Heir { pid: 0x0102_0304, space: 5 };
        let mut bytes = Login::named(b"UPNP").encode().to_vec();
        bytes.extend(heir.encode());
        assert_eq!(bytes[LOGIN_LEN..], [4, 3, 2, 1, 5, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((Login::parse(&bytes), Heir::parse(&bytes)), (Ok(Login::named(b"UPNP")), Some(heir)));
        for cut in 0..bytes.len() {
            assert_eq!(Heir::parse(&bytes[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn bytes_of_a_newer_peer_are_ignored() {
        let mut bytes = Login::named(b"UPNP").encode().to_vec();
        bytes.extend([1, 2, 3]);
        assert_eq!(Login::parse(&bytes), Ok(Login::named(b"UPNP")));
    }
}
