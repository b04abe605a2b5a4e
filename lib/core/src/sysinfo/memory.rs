//! What the machine's memory is used for: `/proc/meminfo`.

use super::{odd, text};
use crate::error::Error;

/// Bytes of memory, by use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All that the kernel manages.
    pub total: u64,
    /// Used for nothing at all; a healthy machine has little of it.
    pub free: u64,
    /// What programs could still get, without swapping.
    pub available: u64,
    /// Buffers of disks.
    pub buffers: u64,
    /// Contents of files.
    pub cached: u64,
    /// In use by the kernel itself, given back on demand.
    pub reclaimable: u64,
    /// Shared memory and tmpfs.
    pub shared: u64,
    /// Swap space.
    pub swap_total: u64,
    /// What is left of it.
    pub swap_free: u64,
}

/// How memory is used now.
///
/// # Errors
/// When `/proc` is not mounted, or not one we know.
pub fn read() -> Result<Memory, Error> {
    parse(&text(MEMINFO)?).ok_or_else(|| odd(MEMINFO))
}

impl Memory {
    /// What is in use and cannot be had: 0 to 1.
    pub fn used_part(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.total.saturating_sub(self.available) as f64 / self.total as f64 }
    }
}

fn parse(meminfo: &str) -> Option<Memory> {
    let mut memory = Memory::default();
    let mut available = None;
    for line in meminfo.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let place = match name {
            "MemTotal" => &mut memory.total,
            "MemFree" => &mut memory.free,
            "MemAvailable" => available.insert(0),
            "Buffers" => &mut memory.buffers,
            "Cached" => &mut memory.cached,
            "SReclaimable" => &mut memory.reclaimable,
            "Shmem" => &mut memory.shared,
            "SwapTotal" => &mut memory.swap_total,
            "SwapFree" => &mut memory.swap_free,
            _ => continue,
        };
        // "kB" there are 1024 bytes.
        *place = value.split_ascii_whitespace().next()?.parse::<u64>().ok()?.saturating_mul(1024);
    }
    // Containers' own versions of the file lack it.
    memory.available = available.unwrap_or(memory.free + memory.buffers + memory.cached + memory.reclaimable);
    (memory.total > 0).then_some(memory)
}

const MEMINFO: &str = "/proc/meminfo";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_become_bytes_and_unknown_lines_are_passed_over() {
        let found =
            parse("MemTotal:  2000 kB\nMemFree: 100 kB\nMemAvailable: 500 kB\nHugePages_Total: 3\nodd\n").unwrap();
        assert_eq!((found.total, found.free, found.available), (2_048_000, 102_400, 512_000));
        assert_eq!(found.used_part(), 0.75);
    }

    #[test]
    fn without_the_kernels_estimate_it_is_what_can_be_given_back() {
        let found =
            parse("MemTotal: 100 kB\nMemFree: 1 kB\nBuffers: 2 kB\nCached: 3 kB\nSReclaimable: 4 kB\n").unwrap();
        assert_eq!(found.available, 10 * 1024);
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        assert!(parse("").is_none());
        assert!(parse("MemTotal: many kB\n").is_none());
    }

    #[test]
    fn this_machine_has_memory() {
        let found = read().unwrap();
        assert!(found.total >= found.available && found.available > 0);
    }
}
