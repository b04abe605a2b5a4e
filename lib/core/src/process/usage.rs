//! What a child that has ended has used, as long as it is not collected.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// Of the process, and of those of its children that it has waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Time on a processor in its own code.
    pub user: Duration,
    /// Time on a processor in the kernel.
    pub system: Duration,
    /// The most memory it ever occupied, in bytes.
    pub max_rss: u64,
    /// Pages that were in memory already.
    pub minor_faults: u64,
    /// Pages that had to be read.
    pub major_faults: u64,
}

/// What the child `pid` has used; `None` when it has not ended.
///
/// # Errors
/// ECHILD when it is no child of ours, or was collected.
pub fn usage(pid: i32) -> io::Result<Option<Usage>> {
    // SAFETY: numbers, for which all bits zero is a value.
    let mut usage: libc::rusage = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: as above; nobody has ended as long as its pid is 0.
    let mut info: libc::siginfo_t = unsafe { MaybeUninit::zeroed().assume_init() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // The C library's waitid leaves the last argument out.
    // SAFETY: both structs are ours, writable and what the kernel fills; a null would be as good for either.
    let failed = unsafe { libc::syscall(libc::SYS_waitid, libc::P_PID, pid, &raw mut info, flags, &raw mut usage) };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: filled by waitid, or still zero.
    if unsafe { info.si_pid() } == 0 {
        return Ok(None);
    }
    let time = |time: libc::timeval| {
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_usec).unwrap_or(0) * 1000)
    };
    let count = |number: libc::c_long| u64::try_from(number).unwrap_or(0);
    Ok(Some(Usage {
        user: time(usage.ru_utime),
        system: time(usage.ru_stime),
        max_rss: count(usage.ru_maxrss) * 1024,
        minor_faults: count(usage.ru_minflt),
        major_faults: count(usage.ru_majflt),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn what_a_child_has_used_is_known_until_it_is_collected() {
        let mut command = Command::new("sh");
        command.args(["-c", "read x; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"]);
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id() as i32;
        assert_eq!(usage(pid).unwrap(), None);
        drop(child.stdin.take());
        let used = loop {
            if let Some(used) = usage(pid).unwrap() {
                break used;
            }
            std::thread::yield_now();
        };
        assert!(used.max_rss > 100 << 10 && used.minor_faults > 0, "{used:?}");
        assert!(used.user + used.system > Duration::ZERO && used.user < Duration::from_secs(60), "{used:?}");
        child.wait().unwrap();
        assert_eq!(usage(pid).unwrap_err().raw_os_error(), Some(libc::ECHILD));
    }
}
