//! Settings of `msf_agent`: librpc's `msf_agent.conf` (`key=value`), JSON that says `"version": 1`, with the same keys,
//! or nmid's `server.yaml`, whose keys are other words for some of them.
//!
//! Files are read in order and the later one wins, key by key. An unknown key is a warning in the originals' formats and
//! an error in JSON. An empty value means "as if not written", as in the original's sample file.

mod draft;
mod endpoint;
mod http;
mod key;
mod librpc;
mod lists;
mod metrics;
mod nmid;
mod rules;
mod server;
mod shown;
mod word;
mod written;

use self::draft::Draft;
pub use self::endpoint::Endpoint;
pub use self::http::Http;
pub use self::lists::Lists;
pub use self::metrics::Metrics;
pub use self::nmid::{Nmid, Order, Rewrite};
pub use self::rules::{Balance, Dialect, Rules, WorkerRules};
pub use self::written::Written;
use crate::{ConfError, text};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything the files say, defaults filled in, every range checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `pid_file`: one more pid file beside the one in the run directory.
    pub pid_file: Option<PathBuf>,
    /// `daemon`: detach.
    pub daemon: bool,
    /// `verbose`, if written: keep stdin, stdout and stderr when detached.
    pub verbose: Option<bool>,
    /// `backlog`: connections the kernel keeps while they are not accepted yet.
    pub backlog: i32,
    /// `node_ip`: the address of the TCP listener.
    pub node_ip: IpAddr,
    /// `unix_enable`: listen on unix sockets.
    pub unix_enable: bool,
    /// `unix_path`: one more unix socket beside the one in the run directory.
    pub unix_path: Option<PathBuf>,
    /// `unix_mask`: the mode of the unix sockets, if written.
    pub unix_mask: Option<u32>,
    /// `unix_group`: the group of the unix sockets, if written.
    pub unix_group: Option<String>,
    /// `allow_uids`: who may connect beside ourselves and root, if written.
    pub allow_uids: Option<Vec<u32>>,
    /// `net_enable` (`net_enbale` in the original): listen on TCP.
    pub net_enable: bool,
    /// `tcp_port`; 0 lets the kernel choose.
    pub tcp_port: u16,
    /// Whether a file asks for the TCP listener: then it is an error when it cannot be had.
    pub net_configured: bool,
    /// `max_conns`: connections at a time.
    pub max_conns: usize,
    /// `max_threads`: reactors; without it the agent chooses by the number of cores.
    pub max_threads: Option<usize>,
    /// `cpu_affinity`: the cores that reactors are pinned to, in turn; empty: not pinned.
    pub cpu_affinity: Vec<usize>,
    /// `log_level`: 0 fatal … 3 debug, 4 and above everything.
    pub log_level: i32,
    /// `log_size`: bytes after which the log is rotated.
    pub log_size: u64,
    /// `log_files`: rotated logs that are kept.
    pub log_files: u32,
    /// `payload_limit`: longest payload, in bytes.
    pub payload_limit: u32,
    /// `login_ms`: how long a connection may stay without a login; zero: for ever.
    pub login: Duration,
    /// `drain_ms`: how long a shutdown waits for unanswered requests.
    pub drain: Duration,
    /// `replace_ms`: how long an agent that was replaced keeps connections that are not idle; then it is shut down.
    pub retirement: Duration,
    /// `outbox_soft`: a service with this many bytes waiting for it gets no new requests.
    pub outbox_soft: usize,
    /// `outbox_hard`: a peer with more than this many bytes waiting for it is cut.
    pub outbox_hard: usize,
    /// `memory_limit`: bytes buffered in all sessions above which new requests are refused.
    pub memory_limit: u64,
    /// `pending_limit`: unanswered requests one service may have.
    pub pending_limit: usize,
    /// nmid's protocol.
    pub nmid: Nmid,
    /// The HTTP gateway.
    pub http: Http,
    /// The metrics.
    pub metrics: Metrics,
    /// Who may connect over nmid's port.
    pub lists: Lists,
    /// What holds for a function that nothing else is said of.
    pub rules: Rules,
    /// What holds for functions by name, complete.
    pub functions: BTreeMap<String, Rules>,
    /// What holds for workers by name.
    pub workers: BTreeMap<String, WorkerRules>,
    /// What is odd but not wrong, ready to be logged.
    pub warnings: Vec<String>,
    /// Which file each of the keys is from.
    pub written: Written,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            pid_file: None,
            daemon: false,
            verbose: None,
            backlog: 128,
            node_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            unix_enable: true,
            unix_path: None,
            unix_mask: None,
            unix_group: None,
            allow_uids: None,
            net_enable: true,
            tcp_port: 9999,
            net_configured: false,
            max_conns: 1024,
            max_threads: None,
            cpu_affinity: Vec::new(),
            log_level: 4,
            log_size: 10 << 20,
            log_files: 5,
            payload_limit: 1 << 20,
            login: Duration::from_millis(10_000),
            drain: Duration::from_millis(5000),
            retirement: Duration::from_millis(60_000),
            outbox_soft: 4 << 20,
            outbox_hard: 16 << 20,
            memory_limit: 64 << 20,
            pending_limit: 65_536,
            nmid: Nmid::default(),
            http: Http::default(),
            metrics: Metrics::default(),
            lists: Lists::default(),
            rules: Rules::default(),
            functions: BTreeMap::new(),
            workers: BTreeMap::new(),
            warnings: Vec::new(),
            written: Written::default(),
        }
    }
}

impl Settings {
    /// Reads and checks `files`, later ones over earlier ones.
    pub fn read(files: &[PathBuf]) -> Result<Settings, ConfError> {
        let texts: Vec<String> = files.iter().map(|file| text::read(file)).collect::<Result<_, _>>()?;
        Settings::parse(files.iter().map(PathBuf::as_path).zip(texts.iter().map(String::as_str)))
    }

    /// The same of files with these contents. The format goes by the file's extension.
    pub fn parse<'a>(files: impl Iterator<Item = (&'a Path, &'a str)>) -> Result<Settings, ConfError> {
        let mut draft = Draft::default();
        for (file, text) in files {
            draft.merge(file, text)?;
        }
        draft.finish()
    }

    /// What holds for the function called `name`.
    pub fn rules_of(&self, name: &str) -> &Rules {
        self.functions.get(name).unwrap_or(&self.rules)
    }

    /// The fault of whichever of `keys` was written last, in a sentence that names its file.
    pub fn blame(&self, keys: &[&str], what: &str) -> String {
        let error = self.written.blame(keys, what);
        error.map_or_else(|| format!("{}: {what}", keys.join(", ")), |error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample file of the original, as its users have it.
    const SAMPLE: &str = "pid_file =\nsvc_conf =\ndaemon = false\nverbose = true\n# net\nbacklog = 8\nnode_ip = NULL\n\
        unix_enable = true\nunix_path =\nunix_mask = 0766\nnet_enbale = true\nnet_protocol = TCP\ntcp_port = 9999\n\
        udp_port = 8888\nmax_conns = 1024\nmax_threads = 4\npacket_type = binary\nauth_chap = false\nlog_level = 7\n";

    fn files(files: &[(&str, &str)]) -> Result<Settings, ConfError> {
        Settings::parse(files.iter().map(|(file, text)| (Path::new(*file), *text)))
    }

    fn conf(text: &str) -> Result<Settings, ConfError> {
        files(&[("msf_agent.conf", text)])
    }

    fn json(text: &str) -> Result<Settings, ConfError> {
        files(&[("agent.json", text)])
    }

    #[test]
    fn the_originals_sample_is_applied_without_a_word() {
        let settings = conf(SAMPLE).unwrap();
        assert_eq!(settings.warnings, Vec::<String>::new());
        assert_eq!((settings.backlog, settings.unix_mask, settings.max_threads), (8, Some(0o766), Some(4)));
        assert!(settings.node_ip.is_unspecified() && settings.net_configured && settings.net_enable);
    }

    #[test]
    fn the_misspelt_key_of_the_original_and_the_right_one_are_the_same() {
        assert!(!conf("net_enbale=false").unwrap().net_enable);
        assert!(!conf("net_enable=false").unwrap().net_enable);
    }

    #[test]
    fn an_unknown_key_is_a_warning_in_a_conf_and_an_error_in_json() {
        let settings = conf("max_cons=5\n").unwrap();
        let expected = "msf_agent.conf: max_cons: line 1: unknown key; did you mean \"max_conns\"?";
        assert_eq!(settings.warnings, [expected]);
        let error = json(r#"{"version": 1, "max_cons": 5}"#).unwrap_err().to_string();
        assert_eq!(error, "agent.json: max_cons: unknown key; did you mean \"max_conns\"?");
    }

    #[test]
    fn json_without_its_version_is_refused() {
        assert!(json(r#"{"max_conns": 5}"#).unwrap_err().to_string().contains("version: missing"));
        let settings =
            json(r#"{"version": 1, "payload_limit": "2M", "outbox_hard": 33554432, "daemon": true}"#).unwrap();
        assert_eq!((settings.payload_limit, settings.outbox_hard, settings.daemon), (2 << 20, 32 << 20, true));
    }

    #[test]
    fn what_does_not_exist_warns_once_and_chap_refuses() {
        let settings = conf("svc_conf=a.json\npacket_type=json\nnet_protocol=UDP\n").unwrap();
        assert_eq!(settings.warnings.len(), 3);
        assert!(conf("auth_chap=true").unwrap_err().to_string().contains("CHAP does not exist yet"));
    }

    #[test]
    fn values_out_of_range_name_file_key_and_what_was_expected() {
        let error = conf("tcp_port=70000").unwrap_err().to_string();
        assert_eq!(error, "msf_agent.conf: tcp_port: expected a whole number from 0 to 65535, found \"70000\"");
        let error = conf("unix_mask=9").unwrap_err().to_string();
        assert_eq!(error, "msf_agent.conf: unix_mask: expected an octal mode from 0 to 0777, found \"9\"");
        assert!(conf("payload_limit=20M").unwrap_err().to_string().contains("outbox_hard"));
        assert!(conf("unix_path=/").is_ok() && conf(&format!("unix_path=/{}", "x".repeat(107))).is_err());
    }

    #[test]
    fn regress_a_unit_stands_once_and_nothing_invisible_is_taken() {
        assert!(conf("log_size=64kK").is_err() && conf("log_size=k").is_err() && conf("log_size=64 K").is_ok());
        let error = json(r#"{"version": 1, "unix_path": "/a\u0000b"}"#).unwrap_err().to_string();
        assert_eq!(error, "agent.json: unix_path: contains the control character '\\0'");
    }

    #[test]
    fn a_later_file_wins_key_by_key() {
        let later = ("b.json", r#"{"version": 1, "max_conns": 6}"#);
        let settings = files(&[("a.conf", "max_conns=5\nbacklog=9\n"), later]).unwrap();
        assert_eq!((settings.max_conns, settings.backlog), (6, 9));
    }

    #[test]
    fn regress_what_goes_together_may_be_written_in_several_files() {
        let settings = files(&[("1.conf", "payload_limit=32M"), ("2.conf", "outbox_hard=64M")]).unwrap();
        assert_eq!((settings.payload_limit, settings.outbox_hard), (32 << 20, 64 << 20));
        let error = |texts| files(texts).unwrap_err().to_string();
        let said = error(&[("1.conf", "payload_limit=32M"), ("2.conf", "backlog=9\noutbox_hard=")]);
        assert_eq!(
            said,
            "1.conf: payload_limit: outbox_hard (16777216) is less than one frame of payload_limit (33554488 bytes)"
        );
        let said = error(&[("1.conf", "outbox_soft=8M"), ("2.json", r#"{"version": 1, "outbox_hard": "4M"}"#)]);
        assert_eq!(said, "2.json: outbox_hard: outbox_soft (8388608) is above outbox_hard (4194304)");
    }

    #[test]
    fn a_key_written_twice_is_told_with_both_lines() {
        let settings =
            conf("max_conns=5\n\nmax_conns=6\nnet_enbale=true\nnet_enable=false\npid_file=\npid_file=/a\n").unwrap();
        assert_eq!((settings.max_conns, settings.net_enable), (6, false));
        let expected = [
            "msf_agent.conf: max_conns: written in line 1 and again in line 3; the later one holds",
            "msf_agent.conf: net_enable: written in line 4 and again in line 5; the later one holds",
        ];
        assert_eq!(settings.warnings, expected);
        assert!(files(&[("1.conf", "backlog=1"), ("2.conf", "backlog=2")]).unwrap().warnings.is_empty());
    }

    #[test]
    fn a_complaint_made_later_names_the_file_that_says_so() {
        let settings =
            files(&[("1.conf", "unix_group=x"), ("2.conf", "unix_group=y"), ("3.conf", "unix_group=")]).unwrap();
        assert_eq!(settings.blame(&["unix_group"], "no such group"), "2.conf: unix_group: no such group");
    }

    #[test]
    fn regress_the_range_of_log_files_is_the_loggers() {
        assert!(conf("log_files=0").is_ok() && conf("log_files=99").is_ok());
        assert!(conf("log_files=100").unwrap_err().to_string().contains("from 0 to 99"));
    }

    #[test]
    fn what_is_printed_reads_back_the_same() {
        let defaults = Settings::default();
        assert_eq!(conf(&defaults.to_string()).unwrap(), defaults);
        let text = "unix_mask=0660\nallow_uids=5,6\ncpu_affinity=0,1\nnode_ip=NULL\npayload_limit=64K\nmax_threads=2\n";
        let settings = conf(text).unwrap();
        assert_eq!(conf(&settings.to_string()).unwrap(), settings);
    }
}
