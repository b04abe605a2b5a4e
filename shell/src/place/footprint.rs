//! What a process uses, as the kernel counts.

use nix::unistd::{SysconfVar, sysconf};
use std::fs;
use std::time::Duration;

/// What the process of an isolated service uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Memory that is there.
    pub rss_bytes: u64,
    /// Processor time, that of threads that have ended included.
    pub time: Duration,
    /// Threads.
    pub threads: u64,
    /// Open descriptors.
    pub descriptors: usize,
}

impl Footprint {
    /// Of a process that is there.
    pub fn of(pid: u32) -> Option<Footprint> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let field = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_ascii_whitespace().next()?.parse().ok()
        };
        // The name in brackets may hold anything; what is meant are words behind it.
        let words: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let ticks = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
        let second = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok())?;
        Some(Footprint {
            rss_bytes: field("VmRSS:")? * 1024,
            time: Duration::from_millis((ticks(USER)? + ticks(SYSTEM)?) * 1000 / second.max(1)),
            threads: field("Threads:")?,
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count(),
        })
    }
}

/// Words of `stat`, counted from behind the name.
const USER: usize = 11;
const SYSTEM: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_footprint_and_one_that_is_not_there_has_none() {
        let own = Footprint::of(std::process::id()).unwrap();
        assert!(own.rss_bytes > 100_000 && own.threads >= 1 && own.descriptors >= 3);
        assert_eq!(Footprint::of(u32::MAX >> 1), None);
    }
}
