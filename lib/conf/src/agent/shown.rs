//! How `msf_agent`'s settings are printed.

use super::Settings;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// The settings as a `.conf` that would give them again. A default that means something else once it is written stands
/// behind a `#`.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = |path: &Option<PathBuf>| path.as_ref().map_or_else(String::new, |path| path.display().to_string());
        let list = |numbers: Vec<String>| numbers.join(",");
        let uids = self.allow_uids.iter().flatten().map(u32::to_string).collect();
        let cpus = self.cpu_affinity.iter().map(usize::to_string).collect();
        // Without a wish for TCP, a taken port is no error.
        let tcp = if self.net_configured { "" } else { "# " };
        writeln!(f, "pid_file={}", path(&self.pid_file))?;
        writeln!(f, "daemon={}", self.daemon)?;
        match self.verbose {
            Some(verbose) => writeln!(f, "verbose={verbose}")?,
            None => writeln!(f, "# verbose=false")?,
        }
        writeln!(f, "backlog={}\n{tcp}node_ip={}", self.backlog, shown(self.node_ip))?;
        writeln!(f, "unix_enable={}\nunix_path={}", self.unix_enable, path(&self.unix_path))?;
        writeln!(f, "unix_mask={}", self.unix_mask.map_or_else(String::new, |mode| format!("{mode:04o}")))?;
        writeln!(f, "unix_group={}", self.unix_group.as_deref().unwrap_or_default())?;
        writeln!(f, "allow_uids={}", list(uids))?;
        writeln!(f, "{tcp}net_enable={}\n{tcp}tcp_port={}", self.net_enable, self.tcp_port)?;
        writeln!(f, "max_conns={}", self.max_conns)?;
        writeln!(f, "max_threads={}", self.max_threads.map_or_else(String::new, |count| count.to_string()))?;
        writeln!(f, "cpu_affinity={}", list(cpus))?;
        writeln!(f, "log_level={}\nlog_size={}\nlog_files={}", self.log_level, self.log_size, self.log_files)?;
        writeln!(f, "payload_limit={}\nlogin_ms={}", self.payload_limit, self.login.as_millis())?;
        writeln!(f, "drain_ms={}", self.drain.as_millis())?;
        writeln!(f, "replace_ms={}", self.retirement.as_millis())?;
        writeln!(f, "outbox_soft={}\noutbox_hard={}", self.outbox_soft, self.outbox_hard)?;
        writeln!(f, "memory_limit={}\npending_limit={}", self.memory_limit, self.pending_limit)?;
        write!(f, "{}{}{}{}", self.nmid, self.http, self.metrics, self.lists)?;
        self.rules.show(f, "")?;
        for (name, rules) in &self.functions {
            rules.show(f, &format!("function.{name}."))?;
        }
        for (name, rules) in &self.workers {
            rules.show(f, &format!("worker.{name}."))?;
        }
        Ok(())
    }
}

/// An address as the files of the original have it. Any of IPv6 has no word of its own.
pub(super) fn shown(ip: IpAddr) -> String {
    if ip == IpAddr::V4(Ipv4Addr::UNSPECIFIED) { "NULL".to_owned() } else { ip.to_string() }
}
