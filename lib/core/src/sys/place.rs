//! Where volatile things live: the run directory R (sockets, pid files, locks, state) and the log folder.
//!
//! R is `MSF_RUN_DIR`; without it `/run/msf` for root, `$XDG_RUNTIME_DIR/msf`, or `/tmp/msf-<uid>`: a program creates
//! the first of them it may, a client looks into each. Whoever can write into R can pose as a service, so a folder
//! somebody else owns or may write to is refused, and a symbolic link in a shared folder is never followed.

use super::environment;
use crate::error::Error;
use nix::unistd::geteuid;
use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The run directory of this process, created if it is missing.
///
/// Fails when `MSF_RUN_DIR` names an unusable folder, or when none of the usual places can be used.
pub fn run_dir() -> Result<PathBuf, Error> {
    if let Some(path) = from_environment("MSF_RUN_DIR") {
        return usable(&path, Rule::Named).map(|()| path);
    }
    let mut tried = Vec::new();
    for (path, rule) in usual_places() {
        match usable(&path, rule) {
            Ok(()) => return Ok(path),
            Err(error) => tried.push(error),
        }
    }
    Err(Error::NoPlace { tried })
}

/// The folders a client looks into for a program's socket, best first. Creates and checks nothing.
pub fn run_dirs() -> Vec<PathBuf> {
    if let Some(path) = from_environment("MSF_RUN_DIR") {
        return vec![path];
    }
    // An ordinary user's client may use the system's agent, though he may not create its folder.
    let mut places = vec![PathBuf::from(SYSTEM_RUN_DIR)];
    places.extend(usual_places().into_iter().map(|(path, _)| path).filter(|path| path != Path::new(SYSTEM_RUN_DIR)));
    places
}

/// The folder of the log files, created if it is missing: `MSF_LOG_DIR`, else `/var/log/msf` for root, else R/log.
pub fn log_dir() -> Result<PathBuf, Error> {
    if let Some(path) = from_environment("MSF_LOG_DIR") {
        return create_all(&path, 0o755).map(|()| path);
    }
    if geteuid().is_root() {
        let path = PathBuf::from(SYSTEM_LOG_DIR);
        if create_all(&path, 0o755).is_ok() {
            return Ok(path);
        }
    }
    let path = run_dir()?.join("log");
    create_all(&path, 0o755).map(|()| path)
}

/// How strictly a folder is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The operator named it: it may be reached by a link and be shared with a group, if root or we own it.
    Named,
    /// Root's own place: others may look into it.
    System,
    /// In a place of the user or of everybody: ours alone.
    Private,
}

fn usual_places() -> Vec<(PathBuf, Rule)> {
    let mut places = Vec::new();
    let uid = geteuid();
    if uid.is_root() {
        places.push((PathBuf::from(SYSTEM_RUN_DIR), Rule::System));
    }
    if let Some(path) = from_environment("XDG_RUNTIME_DIR") {
        places.push((path.join("msf"), Rule::Private));
    }
    places.push((PathBuf::from(format!("/tmp/msf-{uid}")), Rule::Private));
    places
}

/// A folder named by the environment; relative ones are made absolute, so that a later `chdir` does not move them.
fn from_environment(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(environment::variable(name)?);
    Some(absolute(&path).unwrap_or(path))
}

/// The path seen from the root; nothing in it is resolved.
pub(crate) fn absolute(path: &Path) -> io::Result<PathBuf> {
    if path.is_absolute() { Ok(path.to_owned()) } else { Ok(env::current_dir()?.join(path)) }
}

/// Creates `path` if it is missing and checks that `rule` lets us use it.
fn usable(path: &Path, rule: Rule) -> Result<(), Error> {
    match rule {
        Rule::Named => create_all(path, 0o700)?,
        Rule::System => create(path, 0o755)?,
        Rule::Private => create(path, 0o700)?,
    }
    check(path, rule)
}

/// Creates one folder; its parent has to exist (nobody wants `/run/user/1000` made by us).
fn create(path: &Path, mode: u32) -> Result<(), Error> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::file("create the folder", path, error))
        }
        _ => Ok(()),
    }
}

fn create_all(path: &Path, mode: u32) -> Result<(), Error> {
    let created = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    created.map_err(|error| Error::file("create the folder", path, error))
}

/// Looks at the folder through a descriptor, so that what was checked is what was opened.
fn check(path: &Path, rule: Rule) -> Result<(), Error> {
    let links = if rule == Rule::Named { 0 } else { libc::O_NOFOLLOW };
    let folder = fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | links).open(path);
    let folder = folder.map_err(|error| match error.raw_os_error() {
        Some(libc::ENOTDIR | libc::ELOOP) => {
            refused(path, "it is a file or a symbolic link, a real folder was expected")
        }
        _ => Error::file("open the folder", path, error),
    })?;
    let found = folder.metadata().map_err(|error| Error::file("look at the folder", path, error))?;
    judge(path, rule, found.uid(), found.mode() & 0o7777, geteuid().as_raw())
}

fn judge(path: &Path, rule: Rule, owner: u32, mode: u32, uid: u32) -> Result<(), Error> {
    let trusted = owner == uid || (rule == Rule::Named && owner == 0);
    if !trusted {
        return Err(refused(path, &format!("user {owner} owns it, user {uid} was expected")));
    }
    let (forbidden, expected) = match rule {
        Rule::Named => (0o002, "not writable by everybody"),
        Rule::System => (0o022, "writable by root only"),
        Rule::Private => (0o077, "0700"),
    };
    if mode & forbidden != 0 {
        return Err(refused(path, &format!("its mode is {mode:04o}, {expected} was expected")));
    }
    Ok(())
}

fn refused(path: &Path, reason: &str) -> Error {
    Error::Unsafe { path: path.to_owned(), reason: reason.to_owned() }
}

const SYSTEM_RUN_DIR: &str = "/run/msf";
const SYSTEM_LOG_DIR: &str = "/var/log/msf";

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn fresh(name: &str) -> PathBuf {
        let path = env::temp_dir().join(format!("msf-place-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_missing_private_folder_is_created_with_mode_0700() {
        let path = fresh("missing").join("msf");
        usable(&path, Rule::Private).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_folder_others_may_enter_is_refused_with_its_mode() {
        let path = fresh("mode");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let error = usable(&path, Rule::Private).unwrap_err();
        assert!(error.to_string().contains("its mode is 0755, 0700 was expected"), "{error}");
        assert_eq!(error.errno(), Errno::EPERM);
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_symbolic_link_in_a_shared_folder_is_not_followed() {
        let path = fresh("link");
        let (target, link) = (path.join("target"), path.join("link"));
        fs::create_dir(&target).unwrap();
        symlink(&target, &link).unwrap();
        let error = usable(&link, Rule::Private).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_folder_somebody_else_owns_is_refused_by_name() {
        let path = Path::new("/tmp/msf-1000");
        let error = judge(path, Rule::Private, 4711, 0o700, 1000).unwrap_err();
        assert!(error.to_string().contains("user 4711 owns it, user 1000 was expected"), "{error}");
        assert!(judge(path, Rule::Named, 0, 0o755, 1000).is_ok());
        assert!(judge(path, Rule::Named, 0, 0o777, 1000).is_err());
    }
}
