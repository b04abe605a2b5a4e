//! NUMA nodes, as the kernel's files and two of its calls show them. Without NUMA everything is node 0.

use nix::errno::Errno;
use std::path::Path;
use std::ptr::{self, NonNull};

/// Whether the machine has node `number`.
pub(crate) fn exists(number: u32) -> bool {
    number == 0 || (number < MOST && Path::new(&format!("/sys/devices/system/node/node{number}")).is_dir())
}

/// The node of the processor that runs the calling thread now.
pub(crate) fn current() -> u32 {
    let (mut cpu, mut node) = (0u32, 0u32);
    // SAFETY: both out-parameters are valid, and the third argument has had no meaning since Linux 2.6.24.
    let status = unsafe { libc::syscall(libc::SYS_getcpu, &raw mut cpu, &raw mut node, ptr::null_mut::<u8>()) };
    if status == 0 { node } else { 0 }
}

/// Asks the kernel to take the pages of the mapping from node `number` as long as it has any.
pub(crate) fn prefer(start: NonNull<u8>, length: usize, number: u32) -> Result<(), Errno> {
    const WORD: u32 = usize::BITS;
    let mut mask = [0usize; (MOST / WORD) as usize];
    let word = mask.get_mut((number / WORD) as usize).ok_or(Errno::EINVAL)?;
    *word |= 1 << (number % WORD);
    // The kernel reads one bit less than it is told.
    let bits = MOST as usize + 1;
    // SAFETY: the range is a mapping of ours, the mask has `MOST` bits; pages are only placed, not changed.
    let status = unsafe {
        libc::syscall(libc::SYS_mbind, start.as_ptr(), length, libc::MPOL_PREFERRED, mask.as_ptr(), bits, 0usize)
    };
    Errno::result(status).map(drop)
}

/// The kernel's own upper limit on common configurations.
const MOST: u32 = 1024;
