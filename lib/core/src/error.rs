//! What can go wrong in the core: one sentence per variant, saying what was attempted and on what.

use nix::errno::Errno;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// A failure of the core, as a sentence for people and as an errno for C.
#[derive(Debug)]
pub enum Error {
    /// A file or folder could not be created, opened, renamed or read.
    File {
        /// What was attempted: "open the log", "create the folder".
        doing: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder exists, but it is not safe to put sockets and locks into it.
    Unsafe {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        reason: String,
    },
    /// None of the places a run directory may be in could be used.
    NoPlace {
        /// Each place that was tried, with the reason against it.
        tried: Vec<Error>,
    },
    /// An argument is not what the call expects.
    Argument {
        /// What was given.
        given: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The dynamic loader has refused.
    Loader {
        /// "load", "find".
        doing: &'static str,
        /// The library or the symbol.
        what: String,
        /// What the loader said.
        reason: String,
        /// ENOENT, ELIBBAD or ESRCH.
        errno: Errno,
    },
    /// A service could not be loaded from its library.
    Service {
        /// The library.
        file: PathBuf,
        /// The service, which is also the symbol it is found by.
        service: String,
        /// What the loader said.
        reason: String,
        /// ENOENT, ELIBBAD or ESRCH.
        errno: Errno,
    },
    /// A log record was written from inside the writing of another one (a signal handler, most likely).
    Reentered,
    /// A log record was dropped: there was no room for it, and waiting was not wanted.
    Dropped,
    /// Something with a peer, an address or a device by name failed.
    Place {
        /// What was attempted: "connect to", "listen on".
        doing: &'static str,
        /// Whom or where.
        place: String,
        /// What the system said.
        source: Errno,
    },
    /// A call of the operating system failed.
    System {
        /// What was attempted.
        doing: &'static str,
        /// What the system said.
        source: Errno,
    },
}

impl Error {
    /// The number a C caller finds in `errno`.
    #[inline(never)]
    pub fn errno(&self) -> Errno {
        match self {
            Error::File { source, .. } => raw(source),
            Error::Unsafe { .. } => Errno::EPERM,
            Error::NoPlace { .. } => Errno::EACCES,
            Error::Argument { .. } => Errno::EINVAL,
            Error::Service { errno, .. } | Error::Loader { errno, .. } => *errno,
            Error::Reentered => Errno::EDEADLK,
            Error::Dropped => Errno::ENOBUFS,
            Error::System { source, .. } | Error::Place { source, .. } => *source,
        }
    }

    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Error {
        Error::File { doing, path: path.into(), source: source.into() }
    }

    pub(crate) fn place(doing: &'static str, place: impl fmt::Display) -> impl FnOnce(Errno) -> Error {
        let place = place.to_string();
        move |source| Error::Place { doing, place, source }
    }

    pub(crate) fn system(doing: &'static str) -> impl FnOnce(Errno) -> Error {
        move |source| Error::System { doing, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::File { doing, path, source } => write!(f, "cannot {doing} {}: {source}", path.display()),
            Error::Unsafe { path, reason } => write!(f, "{} is not safe to use: {reason}", path.display()),
            Error::NoPlace { tried } => {
                write!(f, "there is no place for the run directory (set MSF_RUN_DIR)")?;
                tried.iter().try_for_each(|error| write!(f, "; {error}"))
            }
            Error::Argument { given, expected } => write!(f, "\"{given}\" is not {expected}"),
            Error::Service { file, service, reason, .. } => {
                write!(f, "cannot load the service {service} from {}: {reason}", file.display())
            }
            Error::Loader { doing, what, reason, .. } => write!(f, "cannot {doing} {what}: {reason}"),
            Error::Reentered => write!(f, "a log record was written while this thread was writing another one"),
            Error::Dropped => write!(f, "a log record was dropped: the ring of its thread was full"),
            Error::Place { doing, place, source } => write!(f, "cannot {doing} {place}: {}", io::Error::from(*source)),
            Error::System { doing, source } => write!(f, "cannot {doing}: {}", io::Error::from(*source)),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::File { source, .. } => Some(source),
            // The number's sentence is part of ours.
            Error::System { .. }
            | Error::Place { .. }
            | Error::Unsafe { .. }
            | Error::NoPlace { .. }
            | Error::Argument { .. }
            | Error::Service { .. }
            | Error::Loader { .. }
            | Error::Reentered
            | Error::Dropped => None,
        }
    }
}

/// The errno inside an I/O error; EIO for those that were made up in user space.
fn raw(error: &io::Error) -> Errno {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number),
        None => match error.kind() {
            io::ErrorKind::InvalidInput => Errno::EINVAL,
            io::ErrorKind::OutOfMemory => Errno::ENOMEM,
            io::ErrorKind::WriteZero => Errno::ENOSPC,
            _ => Errno::EIO,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_what_was_attempted_and_keeps_its_errno() {
        let error = Error::file("open the log", "/nowhere/x.log", io::Error::from_raw_os_error(libc::ENOENT));
        assert_eq!(error.errno(), Errno::ENOENT);
        assert!(error.to_string().starts_with("cannot open the log /nowhere/x.log: "), "{error}");
    }
}
