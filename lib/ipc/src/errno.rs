//! Error numbers: the ones libipc says itself, and whatever the kernel said.

use std::ffi::c_int;
use std::io;

/// A number for `errno`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) c_int);

impl Errno {
    pub(crate) const ACCES: Self = Self(libc::EACCES);
    pub(crate) const AGAIN: Self = Self(libc::EAGAIN);
    pub(crate) const ALREADY: Self = Self(libc::EALREADY);
    pub(crate) const CANCELED: Self = Self(libc::ECANCELED);
    pub(crate) const CHILD: Self = Self(libc::ECHILD);
    pub(crate) const CONNREFUSED: Self = Self(libc::ECONNREFUSED);
    pub(crate) const CONNRESET: Self = Self(libc::ECONNRESET);
    pub(crate) const DEADLK: Self = Self(libc::EDEADLK);
    pub(crate) const EXIST: Self = Self(libc::EEXIST);
    pub(crate) const INVAL: Self = Self(libc::EINVAL);
    pub(crate) const MSGSIZE: Self = Self(libc::EMSGSIZE);
    pub(crate) const NOENT: Self = Self(libc::ENOENT);
    pub(crate) const NOMEM: Self = Self(libc::ENOMEM);
    pub(crate) const NOSPC: Self = Self(libc::ENOSPC);
    pub(crate) const NOTCONN: Self = Self(libc::ENOTCONN);
    pub(crate) const NOTRECOVERABLE: Self = Self(libc::ENOTRECOVERABLE);
    pub(crate) const OPNOTSUPP: Self = Self(libc::EOPNOTSUPP);
    pub(crate) const PROTO: Self = Self(libc::EPROTO);
    pub(crate) const TIMEDOUT: Self = Self(libc::ETIMEDOUT);

    pub(crate) fn set(self) {
        // SAFETY: glibc and musl give each thread its errno at a fixed place.
        let place = unsafe { libc::__errno_location() };
        // SAFETY: the place is valid for as long as the thread lives.
        unsafe { *place = self.0 };
    }

    /// What the last failed call of this thread left.
    pub(crate) fn last() -> Self {
        io::Error::last_os_error().into()
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        let by_kind = || match error.kind() {
            io::ErrorKind::TimedOut => Self::TIMEDOUT,
            io::ErrorKind::OutOfMemory => Self::NOMEM,
            io::ErrorKind::InvalidInput => Self::INVAL,
            // Names that do not resolve, and the like: nobody is there.
            _ => Self::CONNREFUSED,
        };
        error.raw_os_error().map_or_else(by_kind, Self)
    }
}
