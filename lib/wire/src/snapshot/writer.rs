//! Where a state is saved.

use std::os::fd::{AsRawFd, RawFd};

/// The bytes of a snapshot, and the numbers of the descriptors that go with them.
///
/// The descriptors stay their owner's: whoever sends the snapshot on must do so while the owner stands still.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    descriptors: Vec<RawFd>,
}

impl Writer {
    /// Appends bytes as they are.
    pub fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends how many of something follow.
    pub fn count(&mut self, count: usize) {
        self.append(&(count as u64).to_le_bytes());
    }

    /// Notes a descriptor.
    pub fn descriptor(&mut self, descriptor: &impl AsRawFd) {
        self.descriptors.push(descriptor.as_raw_fd());
    }

    /// The bytes so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Everything.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<RawFd>) {
        (self.bytes, self.descriptors)
    }
}
