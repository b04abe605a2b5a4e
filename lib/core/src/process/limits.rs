//! What the calling process may use at most. In numbers of 64 bits on every machine, as the kernel counts.

use crate::error::Error;
use nix::errno::Errno;
use nix::sys::resource::Resource;
use std::fs;
use std::ptr;

/// In place of a limit: there is none.
pub const NO_LIMIT: u64 = u64::MAX;

/// The limit that holds, and the one it may be raised to.
///
/// # Errors
/// For a resource this kernel does not know.
pub fn limit(resource: Resource) -> Result<(u64, u64), Error> {
    let mut now = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: 0 is this process, nothing is set, and the call writes one struct to `now`.
    let status = unsafe { libc::prlimit64(0, resource as _, ptr::null(), &raw mut now) };
    Errno::result(status).map_err(Error::system("read a limit"))?;
    Ok((now.rlim_cur, now.rlim_max))
}

/// Sets both limits; [`NO_LIMIT`] is none.
///
/// # Errors
/// EPERM when `hard` is above the one that holds and we are not root, EINVAL when `soft` is above `hard`.
pub fn set_limit(resource: Resource, soft: u64, hard: u64) -> Result<(), Error> {
    let wanted = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: 0 is this process, the call reads one struct, and the old limit is not asked for.
    let status = unsafe { libc::prlimit64(0, resource as _, &raw const wanted, ptr::null_mut()) };
    Errno::result(status).map(drop).map_err(Error::system("set a limit"))
}

/// Sets the limit that holds; the one it may be raised to is raised, too, where that is lower.
///
/// # Errors
/// EPERM when that is needed and we are not root.
pub fn set_soft_limit(resource: Resource, soft: u64) -> Result<(), Error> {
    let (_, hard) = limit(resource)?;
    set_limit(resource, soft, hard.max(soft))
}

/// A crash leaves a core dump, as large as it may become; where to is the machine's choice
/// (`/proc/sys/kernel/core_pattern`). Also after a change of user, which forbids it.
///
/// # Errors
/// When the limit cannot be read.
pub fn allow_core_dumps() -> Result<(), Error> {
    let (_, hard) = limit(Resource::RLIMIT_CORE)?;
    set_soft_limit(Resource::RLIMIT_CORE, NO_LIMIT).or_else(|_| set_limit(Resource::RLIMIT_CORE, hard, hard))?;
    // Shared memory belongs into it as well (bits 0 to 3 of core(5)); not every kernel has the file.
    let _ = fs::write("/proc/self/coredump_filter", "0xf");
    nix::sys::prctl::set_dumpable(true).map_err(Error::system("allow core dumps"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_dump_is_allowed_and_limits_are_read_back() {
        allow_core_dumps().unwrap();
        let (soft, hard) = limit(Resource::RLIMIT_CORE).unwrap();
        assert_eq!(soft, hard);
        assert!(set_limit(Resource::RLIMIT_CORE, 2, 1).is_err());
    }
}
