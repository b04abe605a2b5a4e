//! The variable that marks the environment of every process we start: by it one is found whose number nobody has written
//! down, and those that descend from one are known.

use nix::unistd::{Pid, getpgid};
use std::fs;

/// Of every process that leads a group, as those of services do, as far as we may see it.
pub fn environments() -> impl Iterator<Item = (i32, Vec<u8>)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let leaders = pids.filter(|pid| getpgid(Some(Pid::from_raw(*pid))).is_ok_and(|group| group.as_raw() == *pid));
    leaders.filter_map(|pid| Some((pid, fs::read(format!("/proc/{pid}/environ")).ok()?)))
}

/// The mark of a process that we have started, or that descends from one.
pub fn mark_of(pid: i32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let name = format!("{MARK}=");
    let mark = environment.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(name.as_bytes()))?;
    String::from_utf8(mark.to_vec()).ok().filter(|mark| !mark.is_empty())
}

/// Whether it is in there.
pub fn has(environment: &[u8], mark: &str) -> bool {
    let wanted = format!("{MARK}={mark}");
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
}

/// A variable of every process we start; says nothing to anybody else.
pub const MARK: &str = "MSF_DAEMON_MARK";
