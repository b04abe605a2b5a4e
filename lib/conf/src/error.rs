//! What can be wrong with a configuration: always the file, the key, and what was expected.

use std::fmt;
use std::path::{Path, PathBuf};

/// A configuration that cannot be used.
#[derive(Debug)]
pub enum ConfError {
    /// The file cannot be read.
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not in its format at all.
    Syntax {
        /// Which file.
        file: PathBuf,
        /// Where and what, in the parser's words.
        what: String,
    },
    /// A key is missing, unknown, or has a value that cannot be used.
    Key {
        /// Which file.
        file: PathBuf,
        /// The path of the key from the top, such as `proc_svcs[1].svc_libs`.
        key: String,
        /// What is wrong and what was expected.
        what: String,
    },
}

impl ConfError {
    /// A complaint about one key.
    pub fn key(file: &Path, key: impl Into<String>, what: impl Into<String>) -> ConfError {
        ConfError::Key { file: file.to_owned(), key: key.into(), what: what.into() }
    }

    /// Whether this is about a key of the object in which `other` misses something.
    pub(crate) fn is_beside(&self, other: &ConfError) -> bool {
        let (ConfError::Key { key: own, .. }, ConfError::Key { key, what, .. }) = (self, other) else { return false };
        let folder = |key: &str| key.rfind('.').map_or(String::new(), |at| key[..at].to_owned());
        let misses = what.starts_with("missing") || what.starts_with("expected either");
        misses && [folder(key), key.clone()].contains(&folder(own))
    }
}

impl fmt::Display for ConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfError::Read { file, source } => write!(f, "{}: cannot read: {source}", file.display()),
            ConfError::Syntax { file, what } => write!(f, "{}: {what}", file.display()),
            ConfError::Key { file, key, what } => write!(f, "{}: {key}: {what}", file.display()),
        }
    }
}

impl std::error::Error for ConfError {}
