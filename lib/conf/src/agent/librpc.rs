//! The keys of librpc's own file, and ours about the same things: where C services connect, how many, and how much of
//! theirs is kept.

use super::Settings;
use super::key::{Key, Kind};
use super::word::Word;
use crate::ConfError;
use std::path::PathBuf;

impl Settings {
    /// Takes a key of [`KEYS`]; whether it is one.
    pub(super) fn set_librpc(&mut self, word: &Word) -> Result<bool, ConfError> {
        match word.key {
            "pid_file" => self.pid_file = Some(PathBuf::from(&word.value)),
            "daemon" => self.daemon = word.truth()?,
            "verbose" => self.verbose = Some(word.truth()?),
            "backlog" => self.backlog = word.number(1, 65_535)? as i32,
            "node_ip" => {
                self.node_ip = word.address()?;
                self.net_configured = true;
            }
            "unix_enable" => self.unix_enable = word.truth()?,
            "unix_path" => self.unix_path = Some(word.path()?),
            "unix_mask" => self.unix_mask = Some(word.mode()?),
            "unix_group" => self.unix_group = Some(word.value.clone()),
            "allow_uids" => {
                self.allow_uids = Some(word.list(u64::from(u32::MAX))?.iter().map(|uid| *uid as u32).collect())
            }
            "net_enable" | "net_enbale" => {
                self.net_enable = word.truth()?;
                self.net_configured = true;
            }
            "tcp_port" => {
                self.tcp_port = word.number(0, 65_535)? as u16;
                self.net_configured = true;
            }
            "max_conns" => self.max_conns = word.number(1, 500_000)? as usize,
            "max_threads" => self.max_threads = Some(word.number(1, 64)? as usize),
            "cpu_affinity" => self.cpu_affinity = word.list(1023)?.iter().map(|cpu| *cpu as usize).collect(),
            "log_level" => self.log_level = word.number(0, 1000)? as i32,
            "log_size" => self.log_size = word.size(4096, 1 << 40)?,
            "log_files" => self.log_files = word.number(0, 99)? as u32,
            "payload_limit" => self.payload_limit = word.size(8096, 1 << 30)? as u32,
            "login_ms" => self.login = word.millis(0, 3_600_000)?,
            "drain_ms" => self.drain = word.millis(0, 3_600_000)?,
            "replace_ms" => self.retirement = word.millis(0, 86_400_000)?,
            "outbox_soft" => self.outbox_soft = word.size(4096, 1 << 30)? as usize,
            "outbox_hard" => self.outbox_hard = word.size(4096, 1 << 30)? as usize,
            "memory_limit" => self.memory_limit = word.size(1 << 20, 1 << 40)?,
            "pending_limit" => self.pending_limit = word.number(1, 10_000_000)? as usize,
            _ => return self.set_inert(word),
        }
        Ok(true)
    }

    /// Keys of the original that have no effect here; each says so once.
    fn set_inert(&mut self, word: &Word) -> Result<bool, ConfError> {
        let why = match word.key {
            "udp_port" => {
                word.number(0, 65_535)?;
                return Ok(true);
            }
            "auth_chap" if word.truth()? => {
                return Err(word.error("CHAP does not exist yet; the agent does not start rather than run without it"));
            }
            "net_protocol" => match word.choice(&["TCP", "UDP"])? {
                "UDP" => "UDP is not served; TCP is",
                _ => return Ok(true),
            },
            "packet_type" => match word.choice(&["binary", "json"])? {
                "json" => "payloads are passed through whatever they are; frames are binary",
                _ => return Ok(true),
            },
            "svc_conf" => "the agent hosts no plugins; give this file to msf_shell",
            _ => return Ok(false),
        };
        self.warnings.push(word.error(&format!("accepted without effect: {why}")).to_string());
        Ok(true)
    }
}

pub(super) const KEYS: &[Key] = &[
    ("pid_file", Kind::Text),
    ("svc_conf", Kind::Text),
    ("daemon", Kind::Truth),
    ("verbose", Kind::Truth),
    ("backlog", Kind::Number),
    ("node_ip", Kind::Text),
    ("unix_enable", Kind::Truth),
    ("unix_path", Kind::Text),
    ("unix_mask", Kind::Text),
    ("unix_group", Kind::Text),
    ("allow_uids", Kind::Text),
    ("net_enable", Kind::Truth),
    ("net_enbale", Kind::Truth),
    ("net_protocol", Kind::Text),
    ("tcp_port", Kind::Number),
    ("udp_port", Kind::Number),
    ("max_conns", Kind::Number),
    ("max_threads", Kind::Number),
    ("cpu_affinity", Kind::Text),
    ("packet_type", Kind::Text),
    ("auth_chap", Kind::Truth),
    ("log_level", Kind::Number),
    ("log_size", Kind::Size),
    ("log_files", Kind::Number),
    ("payload_limit", Kind::Size),
    ("login_ms", Kind::Number),
    ("drain_ms", Kind::Number),
    ("replace_ms", Kind::Number),
    ("outbox_soft", Kind::Size),
    ("outbox_hard", Kind::Size),
    ("memory_limit", Kind::Size),
    ("pending_limit", Kind::Number),
];

/// The original misspells one of its keys.
pub(super) fn correct(key: &str) -> &str {
    if key == "net_enbale" { "net_enable" } else { key }
}
