//! What signals ask of the program: settings read again, the log opened again.

use super::invocation::Invocation;
use super::supervisor::Supervisor;
use super::{LOG, check, level, threads};
use crate::control::admin::SOCKET;
use crate::control::thread::{Coming, Errands, Reloaded};
use crate::observe::counter::Counters;
use msf_conf::agent::{Http, Nmid, Settings};
use msf_core::log::{self, Level};
use msf_core::process::Starter;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The program's side of the control thread.
pub struct Program {
    /// The files the settings came from.
    pub configs: Vec<PathBuf>,
    /// What holds now.
    pub settings: Settings,
    /// What the reactors count.
    pub counters: Arc<[Counters]>,
    /// How we were started.
    pub invocation: Invocation,
    /// The lock that says that nobody else is the agent.
    pub lock: Option<OwnedFd>,
    /// Whoever started us.
    pub starter: Starter,
}

impl Errands for Program {
    fn reload(&mut self) -> Option<Reloaded> {
        self.tell("we reload", |starter| starter.reloading());
        let reloaded = self.read_again();
        self.tell("we have reloaded", Starter::ready);
        reloaded
    }

    fn ending(&mut self, drain: Duration) {
        self.tell("we end", |starter| starter.stopping());
        self.tell("that may take time", |starter| starter.extend(drain + MARGIN));
    }

    fn heartbeat(&self) -> Option<Duration> {
        self.starter.heartbeat()
    }

    fn alive(&mut self) {
        self.tell("we are alive", |starter| starter.alive());
    }

    fn call_successor(&mut self, drain: bool) -> Result<Coming, String> {
        match Supervisor::from_environment() {
            Some(supervisor) => supervisor.ask(SOCKET, drain).map(Coming::Asked).map_err(|error| error.to_string()),
            None => self.invocation.spawn_successor(drain, self.starter.listens()),
        }
    }

    fn lock(&mut self) -> &mut Option<OwnedFd> {
        &mut self.lock
    }

    fn succeeded(&mut self, pid: i32) {
        self.tell(&format!("process {pid} goes on"), |starter| starter.main_process(pid));
    }

    fn rotate(&mut self) {
        match log::reopen() {
            Ok(()) => msf_core::log!(Level::Info, LOG, "rotate: the log is open anew"),
            Err(error) => msf_core::log!(Level::Error, LOG, "rotate: {error}"),
        }
    }
}

impl Program {
    fn read_again(&mut self) -> Option<Reloaded> {
        threads::log_counters(&self.counters);
        let next = match check::read(&self.configs) {
            Ok(next) => next,
            Err(error) => {
                msf_core::log!(Level::Error, LOG, "reload: {error}; nothing is changed");
                return None;
            }
        };
        next.warnings.iter().for_each(|warning| msf_core::log!(Level::Warn, LOG, "reload: {warning}"));
        for key in needs_restart(&self.settings, &next) {
            msf_core::log!(Level::Warn, LOG, "reload: {key} has changed; that takes a restart");
        }
        log::set_level(level(next.log_level));
        if let Err(error) = log::limit(next.log_size, next.log_files) {
            msf_core::log!(Level::Error, LOG, "reload: log_size, log_files: {error}");
        }
        self.settings = from_now_on(&self.settings, next);
        let now = &self.settings;
        let reloaded = Reloaded {
            limits: threads::limits(now),
            rulebook: threads::rulebook(now),
            lists: now.lists.clone(),
            max_conns: now.max_conns,
            drain: now.drain,
            retirement: now.retirement,
        };
        msf_core::log!(Level::Info, LOG, "reload: done");
        Some(reloaded)
    }

    fn tell(&mut self, what: &str, news: impl FnOnce(&mut Starter) -> io::Result<()>) {
        if let Err(error) = news(&mut self.starter) {
            msf_core::log!(Level::Warn, LOG, "whoever started us cannot be told that {what}: {error}");
        }
    }
}

/// The keys that differ and cannot be applied while running.
fn needs_restart(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let mut compared = vec![
        ("pid_file", old.pid_file == new.pid_file),
        ("daemon", old.daemon == new.daemon),
        ("verbose", old.verbose == new.verbose),
        ("backlog", old.backlog == new.backlog),
        ("node_ip", old.node_ip == new.node_ip),
        ("tcp_port", old.tcp_port == new.tcp_port),
        ("net_enable", old.net_enable == new.net_enable),
        ("unix_enable", old.unix_enable == new.unix_enable),
        ("unix_path", old.unix_path == new.unix_path),
        ("unix_mask", old.unix_mask == new.unix_mask),
        ("unix_group", old.unix_group == new.unix_group),
        ("allow_uids", old.allow_uids == new.allow_uids),
        ("max_threads", old.max_threads == new.max_threads),
        ("cpu_affinity", old.cpu_affinity == new.cpu_affinity),
        ("metrics_path", old.metrics.path == new.metrics.path),
        ("metrics_create_time", old.metrics.create_time == new.metrics.create_time),
    ];
    let listeners = [
        (["nmid_enable", "nmid_ip", "nmid_port"], old.nmid.listen, new.nmid.listen),
        (["http_enable", "http_ip", "http_port"], old.http.listen, new.http.listen),
        (["metrics_enable", "metrics_ip", "metrics_port"], old.metrics.listen, new.metrics.listen),
    ];
    for ([enable, ip, port], old, new) in listeners {
        compared.extend([(enable, old.enable == new.enable), (ip, old.ip == new.ip), (port, old.port == new.port)]);
    }
    compared.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
}

/// What holds after a reload: `next`, but for what takes a restart.
fn from_now_on(old: &Settings, next: Settings) -> Settings {
    Settings {
        pid_file: old.pid_file.clone(),
        daemon: old.daemon,
        verbose: old.verbose,
        backlog: old.backlog,
        node_ip: old.node_ip,
        tcp_port: old.tcp_port,
        net_enable: old.net_enable,
        net_configured: old.net_configured,
        unix_enable: old.unix_enable,
        unix_path: old.unix_path.clone(),
        unix_mask: old.unix_mask,
        unix_group: old.unix_group.clone(),
        allow_uids: old.allow_uids.clone(),
        max_threads: old.max_threads,
        cpu_affinity: old.cpu_affinity.clone(),
        nmid: Nmid { listen: old.nmid.listen, ..next.nmid },
        http: Http { listen: old.http.listen, ..next.http },
        metrics: old.metrics.clone(),
        ..next
    }
}

/// What ending takes beyond waiting for answers.
const MARGIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn parsed(text: &str) -> Settings {
        Settings::parse([(Path::new("a.conf"), text)].into_iter()).unwrap()
    }

    #[test]
    fn what_takes_a_restart_is_named_and_does_not_hold_before() {
        let old = Settings::default();
        for line in [
            "backlog=9",
            "verbose=true",
            "tcp_port=1",
            "allow_uids=7",
            "cpu_affinity=0",
            "nmid_port=1",
            "nmid_enable=false",
            "http_ip=NULL",
            "metrics_port=2",
            "metrics_path=/m",
        ] {
            let next = parsed(line);
            let key = line.split_once('=').unwrap().0;
            assert_eq!(needs_restart(&old, &next), [key]);
            let now = from_now_on(&old, next);
            assert!(needs_restart(&old, &now).is_empty(), "{line}");
        }
    }

    #[test]
    fn everything_else_holds_at_once() {
        let next = parsed(
            "log_level=1\noutbox_soft=64K\nmax_conns=5\ndrain_ms=1\nnmid_order=ordered\nnmid_payload_limit=1M\n\
             http_body_limit=2M\nhttp_idle_ms=5\nwhite_list=10.0.0.0/8\nblack_list=10.0.0.1\nin_flight=3\n\
             function.a.deadline_ms=9\nworker.w.weight=2\n",
        );
        assert!(needs_restart(&Settings::default(), &next).is_empty());
        assert_eq!(from_now_on(&Settings::default(), next.clone()), next);
    }
}
