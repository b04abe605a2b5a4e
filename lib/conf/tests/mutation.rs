//! A hundred thousand broken configurations: none may panic, every refusal is a sentence that names the file, and every
//! file that is accepted keeps its promises.
#![allow(clippy::unwrap_used)]

use msf_conf::ConfError;
use msf_conf::agent;
use msf_conf::daemon::Settings;
use msf_conf::shell::Shell;
use std::path::Path;

const DAEMON: &str = r#"{
    "msf_author": "libmsf", "msf_version": "v1.0", "msf_desc": "broker and shell", "stop_timeout_ms": 700, "version": 1,
    "defaults": { "env": { "A": "b" }, "rlimits": { "nofile": [64, 128], "core": "unlimited" }, "nice": 3, "user": "x",
        "groups": ["y", "7"], "capabilities": ["CAP_NET_RAW", "chown"], "umask": "0027", "wait_for": ["/dev/null"],
        "cpu_affinity": "0-3,8", "scheduling": { "class": "rr", "priority": 9 }, "cgroup": { "memory_max": 65536 } },
    "msf_procs": [
        { "proc_idx": 0, "proc_name": "msf_agent", "proc_path": "msf_agent", "proc_conf": "msf_agent.conf",
          "ready": { "by": "tcp", "address": "127.0.0.1:6808", "timeout_ms": 500, "interval_ms": 20 } },
        { "proc_idx": 2, "proc_name": "probe", "proc_path": "x", "after": ["msf_agent"], "numa_node": 0,
          "ready": { "by": "exec", "command": ["test", "-e", "/run/x"] }, "cpu_affinity": [0, 1], "group": 5 },
        { "proc_idx": 1, "proc_name": "msf_shell", "proc_path": "/bin/msf_shell", "args": ["-x", "\u00e9"],
          "env": { "MSF_PLUGIN_PATH": "/opt/plugins" }, "working_directory": "/srv", "stop_timeout_ms": 8000,
          "stop_signal": "SIGINT", "requires": ["msf_agent"], "ready": { "by": "fd", "fd": 4 }, "wait_retry_ms": 50,
          "restart": { "immediate": 3, "policy": "on-failure" } }
    ],
    "restart": { "immediate": 10, "refill_ms": 10000, "delay_ms": 100, "delay_max_ms": 10000, "reset_ms": 60000 }
}"#;

const SHELL: &str = r#"{
    "proc_name": "msf_agent", "proc_author": "http://luotang.me", "proc_version": "beta v1.0",
    "proc_desc": "Micro agent service config file",
    "proc_svcs": [
        { "svc_name": "msf_agent1", "svc_libs": "libmsf_agent1.so" },
        { "svc_name": "msf_agent2", "svc_libs": "libmsf_agent2.so" }
    ]
}"#;

const AGENT_CONF: &str = "# agent\npid_file =\nsvc_conf = a.json\ndaemon = false\nverbose = true\nbacklog = 8\n\
    node_ip = NULL\nunix_enable = true\nunix_path = /run/msf/a.sock\nunix_mask = 0766\nnet_enbale = true\n\
    net_protocol = TCP\ntcp_port = 9999\nallow_uids = 5,6\ncpu_affinity = 0, 1\npacket_type = binary\n\
    auth_chap = false\nlog_level = 7\nlog_size = 64K\npayload_limit = 1M\noutbox_hard = 16M\ndrain_ms = 100\n\
    nmid_enable = true\nnmid_ip = NULL\nnmid_port = 6808\nnmid_order = ordered\nnmid_legacy_workers = 10.0.0.0/8, ::1\n\
    http_body_limit = 1M\nhttp_idle_ms = 1000\nmetrics_path = /metrics\nwhite_list = 10.0.0.0/8\nblack_list = nobody\n\
    in_flight = 2\nbalance = hash\nhash_key = id\nfunction.ToUpper.deadline_ms = 100\nfunction.a.b/0x26.retries = 3\n\
    worker.Worker 1.weight = 5\nworker.Worker 1.dialect = g0\n";

const AGENT_JSON: &str = r#"{
    "version": 1, "daemon": false, "backlog": 8, "node_ip": "::1", "unix_path": "/run/msf/a.sock", "unix_mask": "0766",
    "tcp_port": 9999, "allow_uids": "5,6", "log_size": "64K", "payload_limit": 1048576, "outbox_hard": "16M",
    "nmid_port": 6808, "nmid_order": "auto", "http_enable": false, "white_list": ["10.0.0.0/8", "::1"], "balance": "least",
    "functions": { "ToUpper": { "deadline_ms": 100, "balance": "sticky" }, "a.b/0x26": { "retries": 3 } },
    "workers": { "Worker 1": { "weight": 5, "dialect": "g2", "in_flight": 4 } }
}"#;

const SERVER: &str = include_str!("server.yaml");

/// What breaks readers: ends, depths, numbers at the edge, characters nobody sees, keys and values of the wrong kind.
const PIECES: &[&str] = &[
    "null",
    "true",
    "-0",
    "1e999",
    "-9223372036854775809",
    "18446744073709551616",
    "0.1",
    "1.0",
    "[]",
    "{}",
    "\"\"",
    "[",
    "{",
    "]",
    "}",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "\u{feff}",
    "\u{85}",
    "/",
    "..",
    "=",
    " ",
    "\"proc_name\": \"msf_shell\",",
    "\"restart\": {\"delay_ms\": 86400000},",
    "\"env\": {\"\": \"\"},",
    "[[[[[[[[",
    "\n",
    "\"\\u0000\": 1,",
    "86400001",
    "2147483648",
    "- ",
    "\n  ",
    "&a ",
    "*a",
    "!!str ",
    "<<: ",
    "? ",
    "|\n",
    "---\n",
    "'",
    "#",
    "%YAML 1.2\n",
    "\t",
    "10.0.0.0/8",
    "function.a.in_flight=",
];

/// How many of each; `MSF_MUTATIONS` asks for more.
fn each() -> usize {
    std::env::var("MSF_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000)
}

/// xorshift: the same sequence in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    fn broken(&mut self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            let until = (at + self.below(40)).min(bytes.len());
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..until)),
                2 => bytes.splice(at..at, bytes[at..until].to_vec()).for_each(drop),
                3 => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (until % 8)),
                4 => bytes.splice(at..until, PIECES[self.below(PIECES.len())].bytes()).for_each(drop),
                _ => self.swap_value(&mut bytes, at),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Another value for a key: the document stays JSON, so what is checked behind the syntax is reached.
    fn swap_value(&mut self, bytes: &mut Vec<u8>, near: usize) {
        let find = |from: usize, what: &[u8]| bytes[from..].iter().position(|b| what.contains(b)).map(|at| from + at);
        let Some(colon) = find(near, b":") else { return };
        let Some(end) = find(colon, b",}]\n") else { return };
        bytes.splice(colon + 1..end, PIECES[self.below(11)].bytes());
    }
}

fn attack<T>(text: &str, seed: u64, parse: impl Fn(&str) -> Result<T, ConfError>, check: impl Fn(&T)) {
    let mut random = Random(seed);
    let (mut accepted, mut keys) = (0, 0);
    let each = each();
    for _ in 0..each {
        let broken = random.broken(text);
        match parse(&broken) {
            Ok(settings) => {
                check(&settings);
                accepted += 1;
            }
            Err(e) => {
                let sentence = e.to_string();
                assert!(sentence.starts_with("some/file.") && sentence.len() > 20, "{sentence:?} of {broken}");
                if let ConfError::Key { key, .. } = &e {
                    assert!(!key.is_empty(), "{sentence:?} of {broken}");
                    keys += 1;
                }
            }
        }
    }
    // The mutations must reach all three ends, or they would test the JSON reader only.
    assert!(accepted > each / 100 && keys > each / 100, "{accepted} accepted, {keys} complaints about a key");
}

#[test]
fn no_daemon_file_breaks_the_reader() {
    let parse = |text: &str| Settings::parse(Path::new("some/file.json"), text);
    attack(DAEMON, 0x9e37_79b9_7f4a_7c15, parse, |settings| {
        assert!(!settings.processes.is_empty());
        for process in &settings.processes {
            assert!(!process.name.is_empty() && !process.name.contains(['/', '\0']) && !process.launch.path.is_empty());
            let strings = process.launch.args.iter().chain(process.launch.env.values()).chain(&process.launch.conf);
            assert!(strings.chain([&process.launch.path]).all(|text| !text.contains('\0')));
            assert!(process.restart.delay <= process.restart.delay_max);
        }
        // What -k parse shows is a configuration again, and the same one.
        let again = Settings::parse(Path::new("shown.json"), &settings.to_string()).unwrap();
        assert_eq!(again, Settings { warnings: Vec::new(), ..settings.clone() });
    });
}

#[test]
fn no_shell_file_breaks_the_reader() {
    let parse = |text: &str| Shell::parse(Path::new("some/file.json"), text);
    attack(SHELL, 0xd1b5_4a32_d192_ed03, parse, |shell| {
        assert!(shell.name.len() <= 31 && !shell.name.contains(['/', '\0']) && !shell.services.is_empty());
        assert!(shell.services.iter().all(|service| service.name.len() <= 63 && !service.library.contains('\0')));
    });
}

#[test]
fn no_agent_file_breaks_the_reader() {
    for (file, text) in [("some/file.conf", AGENT_CONF), ("some/file.json", AGENT_JSON), ("some/file.yaml", SERVER)] {
        let parse = |text: &str| agent::Settings::parse([(Path::new(file), text)].into_iter());
        attack(text, 0xa076_1d64_78bd_642f, parse, |settings| {
            assert!(
                settings.outbox_soft <= settings.outbox_hard && settings.max_conns > 0 && settings.pending_limit > 0
            );
            assert!(settings.warnings.iter().all(|warning| warning.starts_with(file)));
            assert!(settings.nmid.payload_limit <= settings.outbox_hard && settings.metrics.path.starts_with('/'));
            assert!(settings.functions.keys().chain(settings.workers.keys()).all(|name| !name.is_empty()));
            // What -k parse shows is a configuration again, and the same one.
            let again = parse_again(&settings.to_string());
            assert_eq!(again, agent::Settings { warnings: Vec::new(), ..settings.clone() });
        });
    }
}

fn parse_again(text: &str) -> agent::Settings {
    agent::Settings::parse([(Path::new("shown.conf"), text)].into_iter()).unwrap()
}

#[test]
fn depth_is_a_complaint_and_not_the_end_of_the_stack() {
    for deep in ["[".repeat(200_000), r#"{"a":"#.repeat(200_000)] {
        let text = SHELL.replacen("\"msf_agent\"", &deep, 1);
        let error = Shell::parse(Path::new("x.json"), &text).unwrap_err().to_string();
        assert!(error.starts_with("x.json: not JSON: recursion limit exceeded at line 2"), "{error}");
    }
}

#[test]
fn regress_many_processes_and_services_cost_no_time() {
    let many = |one: &dyn Fn(usize) -> String| (0..40_000).map(one).collect::<Vec<_>>().join(",");
    let processes = many(&|i| format!(r#"{{"proc_idx": {i}, "proc_name": "process-number-{i}", "proc_path": "x"}}"#));
    let text = format!(r#"{{"msf_author": "", "msf_version": "", "msf_desc": "", "msf_procs": [{processes}]}}"#);
    let began = std::time::Instant::now();
    assert_eq!(Settings::parse(Path::new("x.json"), &text).unwrap().processes.len(), 40_000);
    let services = many(&|i| format!(r#"{{"svc_name": "service_number_{i}", "svc_libs": "x"}}"#));
    let start = SHELL.find('[').unwrap() + 1;
    let text = format!("{}{services}]}}", &SHELL[..start]);
    assert_eq!(Shell::parse(Path::new("x.json"), &text).unwrap().services.len(), 40_000);
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[test]
fn regress_an_agents_long_keys_cost_no_time() {
    let long = "k".repeat(3_000_000);
    let began = std::time::Instant::now();
    let files = [("x.conf", format!("{long}=1\nfunction.{long}.{long}=1\n")), ("x.yaml", format!("? {long}\n: 1\n"))];
    for (file, text) in &files {
        let settings = agent::Settings::parse([(Path::new(file), text.as_str())].into_iter()).unwrap();
        assert_eq!(settings.warnings.len(), text.matches('1').count(), "{file}");
    }
    let text = format!(r#"{{"version": 1, "{long}": 1}}"#);
    assert!(agent::Settings::parse([(Path::new("x.json"), text.as_str())].into_iter()).is_err());
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[test]
fn long_keys_and_names_cost_no_time() {
    let long = "k".repeat(1_000_000);
    let text = SHELL.replacen('{', &format!("{{\"{long}\": 1,"), 1);
    assert_eq!(Shell::parse(Path::new("x.json"), &text).unwrap().warnings.len(), 1);
    let text = DAEMON.replace("\"msf_agent\"", &format!("\"{long}\""));
    assert_eq!(Settings::parse(Path::new("x.json"), &text).map(|settings| settings.processes.len()).unwrap_or(0), 3);
}
