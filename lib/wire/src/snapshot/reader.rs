//! Where a state is loaded from.

use super::{Damage, What};
use std::os::fd::OwnedFd;
use std::vec;

/// A snapshot being read, from its first byte on.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
    descriptors: vec::IntoIter<OwnedFd>,
}

impl<'a> Reader<'a> {
    /// Of these bytes, and of these descriptors in their order.
    #[must_use]
    pub fn new(bytes: &'a [u8], descriptors: Vec<OwnedFd>) -> Reader<'a> {
        Reader { rest: bytes, at: 0, descriptors: descriptors.into_iter() }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.damage(What::Truncated(count - self.rest.len())));
        };
        self.rest = rest;
        self.at += count;
        Ok(taken)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.damage(What::Truncated(N - self.rest.len())));
        };
        self.rest = rest;
        self.at += N;
        Ok(*taken)
    }

    /// How many of something follow: never more than there are bytes, since nothing takes none.
    ///
    /// # Errors
    /// It says that there are more.
    pub fn count(&mut self) -> Result<usize, Damage> {
        let count = u64::from_le_bytes(self.array()?);
        match usize::try_from(count) {
            Ok(count) if count <= self.rest.len() => Ok(count),
            _ => Err(self.damage(What::Range(count))),
        }
    }

    /// The next descriptor.
    ///
    /// # Errors
    /// There is none.
    pub fn descriptor(&mut self) -> Result<OwnedFd, Damage> {
        self.descriptors.next().ok_or_else(|| self.damage(What::NoDescriptor))
    }

    /// Nothing is left over.
    ///
    /// # Errors
    /// Something is.
    pub fn end(&self) -> Result<(), Damage> {
        match (self.rest.len(), self.descriptors.len()) {
            (0, 0) => Ok(()),
            (0, left) => Err(self.damage(What::Descriptors(left))),
            (left, _) => Err(self.damage(What::Trailing(left))),
        }
    }

    /// Something is wrong here.
    #[must_use]
    pub fn damage(&self, what: What) -> Damage {
        Damage { at: self.at, what }
    }
}
