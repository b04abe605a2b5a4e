//! Which file says what, so that a complaint made later still names the right one.

use crate::ConfError;
use std::path::{Path, PathBuf};

/// The keys that have a value, and the files they are in, as they were read.
#[derive(Clone, Debug, Default)]
pub struct Written(Vec<(&'static str, PathBuf)>);

/// Where something is written is no part of what it says.
impl PartialEq for Written {
    fn eq(&self, _: &Written) -> bool {
        true
    }
}

impl Eq for Written {}

impl Written {
    /// `file` has a value for `key`.
    pub(super) fn note(&mut self, file: &Path, key: &'static str) {
        self.0.push((key, file.to_owned()));
    }

    /// Whether any file has a value for `key`.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(written, _)| *written == key)
    }

    /// Whichever of `keys` was written last. `None` when none is: what only defaults say is nobody's fault.
    pub(super) fn blame(&self, keys: &[&str], what: &str) -> Option<ConfError> {
        let last = self.0.iter().rev().find(|(key, _)| keys.contains(key));
        last.map(|(key, file)| ConfError::key(file, *key, what))
    }
}
