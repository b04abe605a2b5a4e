//! Where the processes' output and error go: to ours, or in the background, where ours lead nowhere, to one file per
//! process in the log folder.
//!
//! A process inherits descriptors 1 and 2 as they are at its start. So the file takes their place for that moment: the
//! daemon has one thread, and writes nothing meanwhile.

use msf_core::log;
use msf_core::log::Level;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// See the module.
#[derive(Debug)]
pub struct Outputs(Option<Background>);

#[derive(Debug)]
struct Background {
    folder: PathBuf,
    /// What takes the descriptors' place again.
    nowhere: File,
}

impl Outputs {
    /// Ours.
    pub fn inherited() -> Outputs {
        Outputs(None)
    }

    /// Files in `folder`.
    pub fn in_folder(folder: &Path) -> io::Result<Outputs> {
        let nowhere = File::options().read(true).write(true).open("/dev/null")?;
        Ok(Outputs(Some(Background { folder: std::path::absolute(folder)?, nowhere })))
    }

    /// The file of the process `name`, if it has one.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.0.as_ref()?.folder.join(format!("{name}.out")))
    }

    /// Runs `start`, whose child writes where the process `name` is to write. A file that cannot be had is no reason
    /// not to start it.
    pub fn lent<T>(&self, name: &str, start: impl FnOnce() -> T) -> T {
        let (Some(background), Some(path)) = (&self.0, self.file(name)) else { return start() };
        let file = match open(&path) {
            Ok(file) => file,
            Err(e) => {
                log!(Level::Warn, "DAEMON", "{name}: its output is lost: {}: {e}", path.display());
                return start();
            }
        };
        let lent = put(&file);
        let started = start();
        if let Err(e) = lent.and(put(&background.nowhere)) {
            log!(Level::Warn, "DAEMON", "{name}: its output is lost: {e}");
        }
        started
    }
}

/// For appending. One that has grown large makes room first, and takes the place of the one before it.
fn open(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|about| about.len() > LARGE) {
        let mut older = path.as_os_str().to_owned();
        older.push(".1");
        fs::rename(path, older)?;
    }
    // Neither somebody's link nor a pipe that nobody reads.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = File::options().append(true).create(true).mode(0o640).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("is not a file")),
    }
}

fn put(file: &File) -> io::Result<()> {
    nix::unistd::dup2_stdout(file)?;
    nix::unistd::dup2_stderr(file)?;
    Ok(())
}

const LARGE: u64 = 1 << 20;
