//! Where the processes' output and error go: to ours, nowhere, into a file, or into the log.
//!
//! In the background ours lead nowhere, and whoever would inherit them gets a file of his own in the log folder. A
//! file's descriptor is the process's own, for appending: nobody stands between it and the file, and it goes on writing
//! whatever becomes of the daemon. What is for the log goes through a file as well ([`super::spool`]).

use super::rotation::put_aside;
use msf_conf::daemon::{Launch, Output};
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::Stdio;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// See the module.
#[derive(Debug)]
pub struct Outputs {
    log_folder: PathBuf,
    /// Where the files are that lead into the log.
    spools: PathBuf,
    in_background: bool,
}

/// Where one stream of a process goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Where ours goes.
    Ours,
    /// Nowhere.
    Null,
    /// Into the log, through this file.
    Log(PathBuf),
    /// Into this file.
    File {
        /// The file.
        path: PathBuf,
        /// When it has become larger it gets a successor; 0 for never.
        max_bytes: u64,
        /// How many of its predecessors are kept.
        files: u32,
    },
}

impl Outputs {
    /// With files in `log_folder`; `in_background` nobody inherits ours.
    pub fn new(log_folder: &Path, run_folder: &Path, in_background: bool) -> io::Result<Outputs> {
        let spools = run_folder.join("msf_daemon.said");
        Ok(Outputs { log_folder: std::path::absolute(log_folder)?, spools, in_background })
    }

    /// Where output and error of the process `name` go.
    pub fn sinks(&self, name: &str, launch: &Launch) -> [Sink; 2] {
        [&launch.stdout, &launch.stderr].map(|output| match output {
            Output::Inherit if self.in_background => {
                Sink::File { path: self.log_folder.join(format!("{name}.out")), max_bytes: LARGE, files: 1 }
            }
            Output::Inherit => Sink::Ours,
            Output::Null => Sink::Null,
            Output::Log => Sink::Log(self.spools.join(name)),
            Output::File { path, max_bytes, files } => {
                Sink::File { path: self.log_folder.join(path), max_bytes: *max_bytes, files: *files }
            }
        })
    }

    /// What leads there, for a process that is about to be started; `None` is ours. What cannot be opened is no reason
    /// not to start it.
    pub fn open(&self, name: &str, sinks: &[Sink; 2]) -> [Option<Stdio>; 2] {
        let mut opened = [None, None];
        let mut first = None;
        for (sink, place) in sinks.iter().zip(&mut opened) {
            let file = match sink {
                Sink::Ours => continue,
                Sink::Null => {
                    *place = Some(Stdio::Null);
                    continue;
                }
                // One file has one descriptor, whoever writes to it.
                _ if *sink == sinks[0] && first.is_some() => first.as_ref().map_or_else(none, File::try_clone),
                Sink::Log(path) => make_folder(&self.spools).and_then(|()| open(path)),
                Sink::File { path, max_bytes, files } => put_aside(path, *max_bytes, *files).and_then(|()| open(path)),
            };
            *place = Some(match file {
                Ok(file) => {
                    first = first.or(file.try_clone().ok());
                    Stdio::Fd(file.into())
                }
                Err(e) => {
                    log!(Level::Warn, "DAEMON", "{name}: its output is lost: {}: {e}", sink.path().display());
                    Stdio::Null
                }
            });
        }
        opened
    }
}

/// Everything is stopped, and all that was said is in the log.
impl Drop for Outputs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.spools);
    }
}

impl Sink {
    /// The file, if there is one.
    pub fn path(&self) -> &Path {
        match self {
            Sink::Ours | Sink::Null => Path::new(""),
            Sink::Log(path) | Sink::File { path, .. } => path,
        }
    }

    /// As people and programs see it: the file that was asked for.
    pub fn shown(&self) -> Option<String> {
        if let Sink::File { path, .. } = self { Some(path.display().to_string()) } else { None }
    }
}

fn none() -> io::Result<File> {
    Err(io::ErrorKind::NotFound.into())
}

fn make_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// For appending.
fn open(path: &Path) -> io::Result<File> {
    // Neither somebody's link nor a pipe that nobody reads.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = File::options().append(true).create(true).mode(0o640).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("is not a file")),
    }
}

const LARGE: u64 = 1 << 20;
