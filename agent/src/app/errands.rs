//! What signals ask of the program: settings read again, the log opened again.

use super::{LOG, check, level, threads};
use crate::control::thread::{Errands, Reloaded};
use crate::observe::counter::Counters;
use msf_conf::agent::Settings;
use msf_core::log::{self, Level};
use std::path::PathBuf;
use std::sync::Arc;

/// The program's side of the control thread.
pub struct Program {
    /// The files the settings came from.
    pub configs: Vec<PathBuf>,
    /// What holds now.
    pub settings: Settings,
    /// What the reactors count.
    pub counters: Arc<[Counters]>,
}

impl Errands for Program {
    fn reload(&mut self) -> Option<Reloaded> {
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
        let reloaded = Reloaded { limits: threads::limits(&next), max_conns: next.max_conns, drain: next.drain };
        self.settings = Settings {
            log_level: next.log_level,
            log_size: next.log_size,
            log_files: next.log_files,
            payload_limit: next.payload_limit,
            login: next.login,
            drain: next.drain,
            outbox_soft: next.outbox_soft,
            outbox_hard: next.outbox_hard,
            memory_limit: next.memory_limit,
            pending_limit: next.pending_limit,
            max_conns: next.max_conns,
            ..self.settings.clone()
        };
        msf_core::log!(Level::Info, LOG, "reload: done");
        Some(reloaded)
    }

    fn rotate(&mut self) {
        match log::reopen() {
            Ok(()) => msf_core::log!(Level::Info, LOG, "rotate: the log is open anew"),
            Err(error) => msf_core::log!(Level::Error, LOG, "rotate: {error}"),
        }
    }
}

/// The keys that differ and cannot be applied while running.
fn needs_restart(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let compared = [
        ("pid_file", old.pid_file == new.pid_file),
        ("daemon", old.daemon == new.daemon),
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
    ];
    compared.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
}
