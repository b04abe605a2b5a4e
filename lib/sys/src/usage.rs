//! What parts of this process use: pools of memory, processor time of threads, descriptors.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::ffi::msf as c;

/// Pools that this thread makes from now on belong to `owner`, a number of the program's own.
pub fn own_pools(owner: u32) {
    // SAFETY: a plain number.
    unsafe { c::msf_mempool_owner(owner) };
}

/// The bytes that the pools of `owner` have for their blocks.
pub fn pool_bytes(owner: u32) -> u64 {
    // SAFETY: a plain number.
    unsafe { c::msf_mempool_owned(owner) }
}

/// The processor time of a thread that still runs.
pub fn thread_time(tid: i32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/self/task/{tid}/schedstat")).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The open descriptors, and what the kernel calls what they lead to.
pub fn descriptors() -> Vec<(i32, PathBuf)> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| {
        let fd = entry.file_name().to_str()?.parse().ok()?;
        // The one we are looking through is gone by the end of the next line.
        Some((fd, fs::read_link(entry.path()).ok()?))
    });
    let (found, own) = (named.collect::<Vec<_>>(), format!("/proc/{}/fd", std::process::id()));
    found.into_iter().filter(|(_, link)| link.as_os_str() != own.as_str()).collect()
}
