//! What is wrong with a snapshot, and where.

use std::fmt;

/// A snapshot that cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The byte at which it shows.
    pub at: usize,
    /// What it is.
    pub what: What,
}

/// See [`Damage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// So many bytes more were expected than there are.
    Truncated(usize),
    /// This many bytes are left over.
    Trailing(usize),
    /// Descriptors are left over.
    Descriptors(usize),
    /// A descriptor was expected, and there is none.
    NoDescriptor,
    /// This is no number of a variant of that type.
    Variant(&'static str, u8),
    /// A text that is not UTF-8.
    NotUtf8,
    /// A number too large for this machine, or otherwise out of its range.
    Range(u64),
    /// The parts do not fit each other; the text says which.
    Contradiction(&'static str),
    /// It does not begin as a snapshot does.
    NotASnapshot,
    /// The checksum is another one.
    Checksum,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the snapshot is damaged at byte {}: ", self.at)?;
        match &self.what {
            What::Truncated(missing) => write!(f, "{missing} bytes are missing"),
            What::Trailing(left) => write!(f, "{left} bytes are left over"),
            What::Descriptors(left) => write!(f, "{left} descriptors are left over"),
            What::NoDescriptor => f.write_str("a descriptor is missing"),
            What::Variant(of, found) => write!(f, "{found} is no variant of {of}"),
            What::NotUtf8 => f.write_str("a text is not UTF-8"),
            What::Range(found) => write!(f, "the number {found} is out of range"),
            What::Contradiction(what) => f.write_str(what),
            What::NotASnapshot => f.write_str("it does not begin as a snapshot does"),
            What::Checksum => f.write_str("the checksum is another one"),
        }
    }
}

impl std::error::Error for Damage {}
