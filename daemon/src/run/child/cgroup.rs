//! Control groups of version 2, one for each process that has limits there, below the daemon's own. Where none may be
//! made, the log says so once, and the processes run without.

use crate::run::driver::MODULE;
use msf_conf::daemon::Cgroup;
use msf_core::log;
use msf_core::log::Level;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// See the module. Found out when the first process needs it.
#[derive(Debug, Default)]
pub struct Groups {
    root: Option<Result<PathBuf, ()>>,
    made: Vec<PathBuf>,
}

impl Groups {
    /// Where the process `name` says that it belongs to its group; `None` when it has no limits, or there can be none.
    pub fn of(&mut self, name: &str, limits: &Cgroup) -> Option<OwnedFd> {
        if limits.is_empty() {
            return None;
        }
        let root = self.root.get_or_insert_with(|| open_root().map_err(complain)).clone().ok()?;
        let folder = root.join(format!("msf.{name}"));
        match make(&folder, limits) {
            Ok(procs) => {
                if !self.made.contains(&folder) {
                    self.made.push(folder);
                }
                Some(procs.into())
            }
            Err(e) => {
                log!(Level::Warn, MODULE, "{name}: runs without its control group {}: {e}", folder.display());
                None
            }
        }
    }
}

/// Groups that are empty by now.
impl Drop for Groups {
    fn drop(&mut self) {
        for folder in &self.made {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn complain(e: io::Error) {
    log!(Level::Warn, MODULE, "no control group may be made here; processes run without their \"cgroup\": {e}");
}

fn make(folder: &Path, limits: &Cgroup) -> io::Result<File> {
    match fs::create_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let or_max = |limit: Option<u64>| limit.map_or_else(|| "max".to_owned(), |limit| limit.to_string());
    let files = [
        ("memory.max", limits.memory_max, or_max(limits.memory_max)),
        ("pids.max", limits.pids_max, or_max(limits.pids_max)),
        // Microseconds of a tenth of a second.
        ("cpu.max", limits.cpu_max, format!("{} 100000", or_max(limits.cpu_max.map(|percent| percent * 1000)))),
    ];
    for (file, limit, text) in files {
        let file = folder.join(file);
        // One that is not limited now may have been before.
        if limit.is_some() || file.exists() {
            fs::write(&file, text).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", file.display())))?;
        }
    }
    File::options().append(true).open(folder.join("cgroup.procs"))
}

/// Our own group, made ready for others below it: a group with limits below has no processes itself.
fn open_root() -> io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let root = place(&mounts, &own).ok_or_else(|| io::Error::other("no control groups of version 2 are mounted"))?;
    let controllers = fs::read_to_string(root.join("cgroup.controllers"))?;
    let wanted: Vec<_> = ["cpu", "memory", "pids"]
        .iter()
        .filter(|wanted| controllers.split_whitespace().any(|one| one == **wanted))
        .map(|one| format!("+{one}"))
        .collect();
    if wanted.is_empty() {
        return Err(io::Error::other(format!("{} has none of the controllers cpu, memory and pids", root.display())));
    }
    let control = root.join("cgroup.subtree_control");
    if fs::write(&control, wanted.join(" ")).is_err() {
        let leaf = root.join(LEAF);
        fs::create_dir_all(&leaf)?;
        fs::write(leaf.join("cgroup.procs"), std::process::id().to_string())?;
        fs::write(&control, wanted.join(" "))?;
    }
    Ok(root)
}

/// Where our own group is, by /proc/self/mounts and /proc/self/cgroup.
fn place(mounts: &str, own: &str) -> Option<PathBuf> {
    let mount = mounts.lines().map(|line| line.split(' ')).find_map(|mut words| {
        let place = words.nth(1)?;
        (words.next()? == "cgroup2").then_some(place)
    })?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let group = Path::new(mount).join(path);
    // Put there by systemd (`DelegateSubgroup`): what is ours is its unit's group.
    match group.parent() {
        Some(unit) if group.ends_with(LEAF) && unit.extension() == Some(OsStr::new("service")) => Some(unit.to_owned()),
        _ => Some(group),
    }
}

/// Where the daemon itself is, beside those it makes.
const LEAF: &str = "msf_daemon";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_group_is_found_in_the_kernels_lists() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\nnone /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let found = place(mounts, "3:cpu:/x\n0::/system.slice/msf.service\n");
        assert_eq!(found, Some(PathBuf::from("/sys/fs/cgroup/unified/system.slice/msf.service")));
        let found = place(mounts, "0::/system.slice/msf.service/msf_daemon\n");
        assert_eq!(found, Some(PathBuf::from("/sys/fs/cgroup/unified/system.slice/msf.service")));
        let found = place(mounts, "0::/other/msf_daemon\n");
        assert_eq!(found, Some(PathBuf::from("/sys/fs/cgroup/unified/other/msf_daemon")));
        assert_eq!(place("proc /proc proc rw 0 0\n", "0::/\n"), None);
        assert_eq!(place(mounts, "3:cpu:/x\n"), None);
    }

    #[test]
    fn limits_are_written_as_the_kernel_reads_them() {
        let folder = std::env::temp_dir().join(format!("msf-cgroup-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("cgroup.procs"), "").unwrap();
        make(&folder, &Cgroup { memory_max: Some(1 << 20), cpu_max: Some(150), pids_max: None }).unwrap();
        let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        assert_eq!((text("memory.max").as_str(), text("cpu.max").as_str()), ("1048576", "150000 100000"));
        assert!(!folder.join("pids.max").exists());
        make(&folder, &Cgroup { pids_max: Some(9), ..Cgroup::default() }).unwrap();
        assert_eq!(
            (text("memory.max").as_str(), text("cpu.max").as_str(), text("pids.max").as_str()),
            ("max", "max 100000", "9")
        );
        fs::remove_dir_all(folder).unwrap();
    }
}
