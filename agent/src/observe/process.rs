//! What the kernel says about this process: the `process_*` numbers that every Prometheus client library has.

use nix::sys::resource::{Resource, getrlimit, rlim_t};
use nix::unistd::{SysconfVar, sysconf};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// The process, a moment ago.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Seconds of processor time, user and system.
    pub cpu_seconds: f64,
    /// Threads.
    pub threads: u64,
    /// Bytes of address space.
    pub virtual_bytes: u64,
    /// Bytes in memory.
    pub resident_bytes: u64,
    /// When it started, in seconds since 1970.
    pub start_time: f64,
    /// Open descriptors.
    pub open_fds: u64,
    /// How many there may be.
    pub max_fds: rlim_t,
}

impl Process {
    /// As it is now; `None` where there is no `/proc`.
    pub fn now() -> Option<Process> {
        let ticks = sysconf(SysconfVar::CLK_TCK).ok()??;
        let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let boot = boot_time(&fs::read_to_string("/proc/stat").ok()?)?;
        let mut process = from_stat(&stat, ticks as f64, page as u64, boot)?;
        process.open_fds = open_fds()?;
        process.max_fds = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
        Some(process)
    }
}

/// Newer kernels say how many in the folder's size; older ones say zero there, and the entries are counted.
fn open_fds() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.size() {
        // One of them is the listing itself.
        0 => Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1)),
        count => Some(count),
    }
}

/// What `/proc/self/stat` holds; the program's name in it may contain anything, a closing parenthesis too.
fn from_stat(stat: &str, ticks: f64, page: u64, boot: f64) -> Option<Process> {
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    // proc(5) counts from 1, and the first field here is its third.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Process {
        cpu_seconds: (field(14)? + field(15)?) as f64 / ticks,
        threads: field(20)?,
        start_time: boot + field(22)? as f64 / ticks,
        virtual_bytes: field(23)?,
        resident_bytes: field(24)? * page,
        ..Process::default()
    })
}

/// When the machine started, from `/proc/stat`.
fn boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = "4711 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 7 0 3000 40960 12 18446744073709551615";
        let process = from_stat(stat, 100.0, 4096, 1_000.0).unwrap();
        assert_eq!((process.cpu_seconds, process.threads, process.start_time), (2.0, 7, 1_030.0));
        assert_eq!((process.virtual_bytes, process.resident_bytes), (40_960, 49_152));
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\nprocesses 5\n"), Some(1_700_000_000.0));
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        assert_eq!(from_stat("4711 (a) S 1 2", 100.0, 4096, 0.0), None);
        assert_eq!(from_stat("", 100.0, 4096, 0.0), None);
        assert_eq!(boot_time("cpu 1 2\n"), None);
    }

    #[test]
    fn this_process_lives_now() {
        let process = Process::now().unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(process.start_time < now + 2.0 && process.start_time > now - 86_400.0, "{process:?}");
        assert!(process.open_fds >= 3 && process.open_fds as f64 <= process.max_fds as f64, "{process:?}");
        assert!(process.resident_bytes > 100_000 && process.virtual_bytes >= process.resident_bytes, "{process:?}");
    }
}
