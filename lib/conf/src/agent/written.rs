//! Which file says what, so that a complaint made later still names the right one.

use super::word::Word;
use crate::ConfError;
use std::path::PathBuf;

/// The keys that have a value, in which file each is and where in it, as they were read.
#[derive(Clone, Debug, Default)]
pub struct Written(Vec<(&'static str, PathBuf, String)>);

/// Where something is written is no part of what it says.
impl PartialEq for Written {
    fn eq(&self, _: &Written) -> bool {
        true
    }
}

impl Eq for Written {}

impl Written {
    pub(super) fn note(&mut self, word: &Word) {
        self.0.push((word.key, word.file.clone(), word.path.clone()));
    }

    /// Whether any file has a value for `key`.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(written, ..)| *written == key)
    }

    /// Whichever of `keys` was written last. `None` when none is: what only defaults say is nobody's fault.
    pub(super) fn blame(&self, keys: &[&str], what: &str) -> Option<ConfError> {
        let last = self.0.iter().rev().find(|(key, ..)| keys.contains(key));
        last.map(|(_, file, path)| ConfError::key(file, path, what))
    }
}
