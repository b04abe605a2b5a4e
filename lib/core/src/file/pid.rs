//! Files that hold a process's number, as scripts and init systems read them.
//!
//! A number outlives its process and comes again: a pid file is a hint. [`claim`](crate::process::claim) is what makes
//! sure that a name is held, and by whom.

use super::whole::aside;
use crate::error::Error;
use crate::sys::regular;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A pid file of this process. Dropped, it is removed, if it still names this process.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    /// Removes it only in the process that has written it: a forked child has a copy of this value.
    owner: u32,
}

impl PidFile {
    /// Writes our number to `path`, whole from the first moment anybody can see it.
    ///
    /// # Errors
    /// EEXIST when the file names another process that is running; others when it cannot be written.
    pub fn create(path: &Path) -> Result<PidFile, Error> {
        let ours = std::process::id();
        if named_pid(path)?.is_some_and(|pid| pid.cast_unsigned() != ours && running(pid)) {
            return Err(Error::file("make the pid file", path, io::Error::from_raw_os_error(libc::EEXIST)));
        }
        PidFile::write(path)
    }

    /// The same, whoever is named there now.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(path: &Path) -> Result<PidFile, Error> {
        let failed = |error: io::Error| Error::file("write the pid file", path, error);
        let aside = aside(path).map_err(failed)?;
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o644).open(&aside);
        let written = file.and_then(|mut file| writeln!(file, "{}", std::process::id()));
        written.and_then(|()| fs::rename(&aside, path)).map_err(|error| {
            let _ = fs::remove_file(&aside);
            failed(error)
        })?;
        Ok(PidFile { path: path.to_owned(), owner: std::process::id() })
    }

    /// Leaves the file where it is.
    pub fn keep(mut self) {
        self.owner = NOBODY;
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let names = named_pid(&self.path).ok().flatten();
        if self.owner == std::process::id() && names == Some(self.owner.cast_signed()) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The number in a pid file: `None` when there is no file, 0 when there is no number in it.
///
/// # Errors
/// When it cannot be read, or is no file (EISDIR, or EINVAL for a pipe, a socket or a device).
pub fn named_pid(path: &Path) -> Result<Option<i32>, Error> {
    let failed = |error| Error::file("read the pid file", path, error);
    let file = match regular::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).map_err(failed)?;
    let number = str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
    Ok(Some(number.filter(|pid| *pid > 0).unwrap_or(0)))
}

/// Whether a process of that number is there, whoever it is now.
pub fn running(pid: i32) -> bool {
    // 0 and below mean groups of processes. One of another user's is there as well.
    pid > 0 && !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

/// No process has this number.
const NOBODY: u32 = 0;
/// Bytes of a number, with room for white space.
const LONGEST: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_names_us_and_goes_with_us() {
        let path = std::env::temp_dir().join(format!("msf-pid-{}", std::process::id()));
        assert_eq!(named_pid(&path).unwrap(), None);
        let file = PidFile::create(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_running_process_is_not_overwritten_but_a_dead_one_is() {
        let path = std::env::temp_dir().join(format!("msf-pid-other-{}", std::process::id()));
        fs::write(&path, format!("{}\n", std::os::unix::process::parent_id())).unwrap();
        assert_eq!(PidFile::create(&path).unwrap_err().errno(), Errno::EEXIST);
        for left in ["2147483647\n", "no number", "-1", ""] {
            fs::write(&path, left).unwrap();
            PidFile::create(&path).unwrap().keep();
            assert_eq!(named_pid(&path).unwrap(), Some(std::process::id().cast_signed()));
        }
        // Another one's by now: not ours to remove.
        let file = PidFile::write(&path).unwrap();
        fs::write(&path, "1\n").unwrap();
        drop(file);
        assert_eq!(named_pid(&path).unwrap(), Some(1));
        fs::remove_file(path).unwrap();
        assert!(running(1) && !running(0) && !running(i32::MAX));
    }
}
