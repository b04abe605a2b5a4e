//! The bytes of a broker that are not understood yet.

use crate::gather::Gather;
use msf_wire::nmid::{HEADER_LEN, NmidError, Step, decode};
use std::collections::TryReserveError;

/// A receive buffer, to be used as the one [for librpc](crate::Inbox).
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Gather,
}

impl Inbox {
    /// Room for the next read.
    ///
    /// # Errors
    /// There is no memory for the frame under way.
    pub fn space(&mut self, payload_limit: u32) -> Result<&mut [u8], TryReserveError> {
        let missing = match self.step(payload_limit) {
            Ok(Step::NeedMore(missing)) => missing,
            // Frames that wait, or an error that `step` will tell: nothing has to grow for them.
            Ok(Step::Frame(..)) | Err(_) => 0,
        };
        self.bytes.space(missing, HEADER_LEN)
    }

    /// The first `count` bytes of the space have been written.
    pub fn filled(&mut self, count: usize) {
        self.bytes.filled(count);
    }

    /// Looks at what the buffer begins with.
    ///
    /// # Errors
    /// What the peer sent is not nmid, or too long.
    pub fn step(&self, payload_limit: u32) -> Result<Step<'_>, NmidError> {
        decode(self.bytes.bytes(), payload_limit)
    }

    /// Whether all that came is consumed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.bytes().is_empty()
    }

    /// Takes the frame out that [`step`](Self::step) said uses `used` bytes.
    pub fn consume(&mut self, used: usize) {
        self.bytes.consume(used);
    }

    /// Forgets everything: the connection is a new one.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }
}
