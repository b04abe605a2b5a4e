//! NUMA nodes, as the kernel's files and two of its calls show them. Without NUMA everything is node 0.

use super::CpuSet;
use nix::errno::Errno;
use std::fs;
use std::path::Path;
use std::ptr::{self, NonNull};

/// Whether the machine has node `number`.
pub fn exists(number: u32) -> bool {
    number == 0 || (number < MOST && Path::new(&format!("/sys/devices/system/node/node{number}")).is_dir())
}

/// The node of the processor that runs the calling thread now.
pub fn current() -> u32 {
    let (mut cpu, mut node) = (0u32, 0u32);
    // SAFETY: both out-parameters are valid, and the third argument has had no meaning since Linux 2.6.24.
    let status = unsafe { libc::syscall(libc::SYS_getcpu, &raw mut cpu, &raw mut node, ptr::null_mut::<u8>()) };
    if status == 0 { node } else { 0 }
}

/// The nodes that are online, lowest number first; without NUMA node 0 alone.
pub fn online() -> CpuSet {
    numbers("online")
}

/// The nodes the machine may ever have.
pub fn possible() -> CpuSet {
    numbers("possible")
}

/// The memory of a node in bytes, and how much of it is free.
pub fn memory(number: u32) -> Option<(u64, u64)> {
    let meminfo = match fs::read_to_string(format!("{NODES}/node{number}/meminfo")) {
        Ok(text) => text,
        // Without NUMA node 0 has all of it.
        Err(_) if number == 0 => fs::read_to_string("/proc/meminfo").ok()?,
        Err(_) => return None,
    };
    // "Node 0 MemTotal:  123 kB", and in /proc "MemTotal:  123 kB".
    let line = |name: &str| {
        let mut words = meminfo.lines().find(|line| line.contains(name))?.split_ascii_whitespace().rev();
        let kilobytes = words.nth(1)?.parse::<u64>().ok()?;
        Some(kilobytes * 1024)
    };
    Some((line("MemTotal:")?, line("MemFree:")?))
}

/// How far it is from one node to another: 10 is the node itself, 20 twice as far.
pub fn distance(from: u32, to: u32) -> Option<u32> {
    let online = online();
    if !online.contains(from) || !online.contains(to) {
        return None;
    }
    let Ok(text) = fs::read_to_string(format!("{NODES}/node{from}/distance")) else {
        return (from == to).then_some(10);
    };
    // One number for each node that is online, in their order.
    let index = online.iter().position(|node| node == to)?;
    text.split_ascii_whitespace().nth(index)?.parse().ok()
}

/// Asks the kernel to take the pages of the mapping from node `number` as long as it has any.
pub fn prefer(start: NonNull<u8>, length: usize, number: u32) -> Result<(), Errno> {
    place(start, length, libc::MPOL_PREFERRED, &Mask::of([number])?)
}

/// The same for all pages that have a byte in the range, wherever it begins. Fails with EFAULT when a page is not mapped.
pub fn prefer_around(start: NonNull<u8>, length: usize, number: u32) -> Result<(), Errno> {
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?.ok_or(Errno::EINVAL)? as usize;
    let before = start.addr().get() % page;
    let first = NonNull::new(start.as_ptr().wrapping_sub(before)).ok_or(Errno::EINVAL)?;
    prefer(first, length.saturating_add(before), number)
}

/// Asks the kernel to take the pages of the mapping from all nodes in turn.
pub fn interleave(start: NonNull<u8>, length: usize) -> Result<(), Errno> {
    place(start, length, libc::MPOL_INTERLEAVE, &Mask::of(online().iter())?)
}

/// From which node the calling thread's new pages come: `None` is the one it happens to run on.
pub fn preferred() -> Result<Option<u32>, Errno> {
    let (mut mode, mut mask) = (0, Mask::default());
    // SAFETY: the mode is a local int, the mask has the bits it is said to have; no address is asked about.
    let status = unsafe {
        libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, mask.0.as_mut_ptr(), MOST as usize + 1, 0usize, 0usize)
    };
    Errno::result(status)?;
    let named = mode == libc::MPOL_PREFERRED || mode == libc::MPOL_BIND;
    Ok((0..MOST).find(|&node| named && mask.has(node)))
}

/// From now on the calling thread's new pages come from the given node as long as it has any; `None` is the node it
/// happens to run on.
pub fn set_preferred(number: Option<u32>) -> Result<(), Errno> {
    let mask = Mask::of(number)?;
    let (mode, mask, bits) = match number {
        Some(_) => (libc::MPOL_PREFERRED, mask.0.as_ptr(), MOST as usize + 1),
        None => (libc::MPOL_DEFAULT, ptr::null(), 0),
    };
    // SAFETY: the mask is null with no bits, or has as many as the kernel is told.
    Errno::result(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) }).map(drop)
}

/// A policy is advice: where the system knows none (an emulator, a kernel without NUMA) or keeps it from us (a container),
/// memory comes from wherever it comes, and that is no failure.
pub fn tolerant(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::ENOSYS | Errno::EPERM) => Ok(()),
        other => other,
    }
}

fn place(start: NonNull<u8>, length: usize, mode: libc::c_int, mask: &Mask) -> Result<(), Errno> {
    // The kernel reads one bit less than it is told.
    let bits = MOST as usize + 1;
    // SAFETY: the range is a mapping of ours, the mask has `MOST` bits; pages are only placed, not changed.
    let status = unsafe { libc::syscall(libc::SYS_mbind, start.as_ptr(), length, mode, mask.0.as_ptr(), bits, 0usize) };
    Errno::result(status).map(drop)
}

fn numbers(file: &str) -> CpuSet {
    let read = fs::read_to_string(format!("{NODES}/{file}")).ok().and_then(|text| text.parse::<CpuSet>().ok());
    read.filter(|set| !set.is_empty()).unwrap_or_else(|| [0].into_iter().collect())
}

/// A set of nodes in the kernel's form.
#[derive(Default)]
struct Mask([usize; (MOST / usize::BITS) as usize]);

impl Mask {
    fn of(numbers: impl IntoIterator<Item = u32>) -> Result<Mask, Errno> {
        let mut mask = Mask::default();
        for number in numbers {
            let word = mask.0.get_mut((number / usize::BITS) as usize).ok_or(Errno::EINVAL)?;
            *word |= 1 << (number % usize::BITS);
        }
        Ok(mask)
    }

    fn has(&self, number: u32) -> bool {
        let word = self.0.get((number / usize::BITS) as usize);
        word.is_some_and(|word| word & (1 << (number % usize::BITS)) != 0)
    }
}

const NODES: &str = "/sys/devices/system/node";
/// The kernel's own upper limit on common configurations.
const MOST: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_0_exists_everywhere() {
        assert!(exists(0) && !exists(MOST));
        assert!(online().iter().all(exists) && online().common(&possible()) == online());
        assert!(exists(current()));
        let (total, free) = memory(online().iter().next().unwrap()).unwrap();
        assert!(0 < free && free < total);
        assert_eq!(memory(MOST), None);
    }

    #[test]
    fn a_node_is_nearest_to_itself() {
        for node in online().iter() {
            assert_eq!(distance(node, node), Some(10));
            assert!(online().iter().all(|other| distance(node, other).unwrap() >= 10));
        }
        assert_eq!(distance(0, MOST), None);
    }

    #[test]
    fn a_preference_lasts_until_it_is_taken_back() {
        std::thread::spawn(|| {
            if tolerant(set_preferred(Some(0))).is_ok() && preferred() != Ok(Some(0)) {
                return; // the system has no policy
            }
            assert_eq!(preferred(), Ok(Some(0)));
            set_preferred(None).unwrap();
            assert_eq!(preferred(), Ok(None));
            assert_eq!(set_preferred(Some(MOST)), Err(Errno::EINVAL));
        })
        .join()
        .unwrap();
    }
}
