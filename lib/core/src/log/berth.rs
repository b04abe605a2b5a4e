//! Where the rings of a log may lie, and what their files are called.

use crate::sys::environment;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The folders the rings of `log` may be in, best first, and how their names begin there.
pub(super) fn places(log: &Path) -> Vec<(PathBuf, OsString)> {
    let hashed = OsString::from(format!("{PREFIX}{:016x}.", hash(&real(log))));
    let mut places = vec![(shared_folder(), hashed)];
    if let (Some(folder), Some(name)) = (log.parent(), log.file_name()) {
        let mut prefix = OsString::from(".");
        prefix.push(name);
        prefix.push(".");
        places.push((folder.to_owned(), prefix));
    }
    places
}

/// Where the rings of all logs are, as a rule.
pub(super) fn shared_folder() -> PathBuf {
    environment::variable("MSF_LOG_RING_DIR").map_or_else(|| PathBuf::from(SHARED_MEMORY), PathBuf::from)
}

/// The log's path as it is without links: whoever opens the log looks for the same name.
pub(super) fn real(log: &Path) -> PathBuf {
    let folder = log.parent().and_then(|folder| fs::canonicalize(folder).ok()).unwrap_or_default();
    folder.join(log.file_name().unwrap_or_default())
}

/// FNV-1a of the log's [`real`] path.
pub(super) fn hash(path: &Path) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    path.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The files in `folder` whose names begin so and end as those of rings do.
pub(super) fn rings_in(folder: &Path, prefix: &OsStr) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let ours = |name: &OsString| {
        let behind = name.as_bytes().strip_prefix(prefix.as_bytes());
        let number = behind.and_then(|behind| behind.strip_suffix(SUFFIX.as_bytes()));
        number.is_some_and(|number| number.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(*byte, b'-' | b'.')))
    };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name())).filter(ours);
    let mut paths: Vec<PathBuf> = names.map(|name| folder.join(name)).collect();
    paths.sort();
    paths
}

/// How the names in the shared folder begin; a hash, the process's number and one more follow.
pub(super) const PREFIX: &str = "msf-log-";
/// How they all end.
pub(super) const SUFFIX: &str = ".ring";
const SHARED_MEMORY: &str = "/dev/shm";

#[cfg(test)]
#[cfg(not(feature = "loom"))]
mod tests {
    use super::*;

    #[test]
    fn a_log_reached_by_a_link_is_the_same_log() {
        let folder = std::env::temp_dir().join(format!("msf-berth-{}", std::process::id()));
        fs::create_dir_all(folder.join("real")).unwrap();
        std::os::unix::fs::symlink(folder.join("real"), folder.join("link")).unwrap();
        let hash = |name: &str| hash(&real(&folder.join(name)));
        assert_eq!(hash("real/x.log"), hash("link/x.log"));
        assert_ne!(hash("real/x.log"), hash("real/y.log"));
        fs::remove_dir_all(folder).unwrap();
    }
}
