//! What the daemon's configuration takes, and what it says of what it does not.

use super::*;
use std::path::PathBuf;
use std::time::Duration;

const ORIGINAL: &str = r#"{
        "msf_author": "luotang.me", "msf_version": "v1.0", "msf_desc": "micro service framework",
        "msf_procs": [{
            "proc_idx": 0, "proc_name": "msf_rpc_agent",
            "proc_path": "/usr/local/bin/msf_kernel", "proc_conf": "/etc/msf_rpc_agent_svc_conf.json"
        }]
    }"#;

fn parse(text: &str) -> Result<Settings, ConfError> {
    Settings::parse(Path::new("d.json"), text)
}

fn with(process: &str, top: &str) -> String {
    format!(
        r#"{{"msf_author": "a", "msf_version": "v", "msf_desc": "d"{top},
                "msf_procs": [{{"proc_idx": 1, "proc_name": "one", "proc_path": "one"{process}}}]}}"#
    )
}

fn complaint(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn the_originals_file_is_accepted_with_every_default_written_out() {
    let settings = parse(ORIGINAL).unwrap();
    let process = &settings.processes[0];
    assert_eq!(process.name, "msf_rpc_agent");
    assert_eq!(process.launch.conf.as_deref(), Some("/etc/msf_rpc_agent_svc_conf.json"));
    assert_eq!((process.restart, &process.stop), (Restart::default(), &Stop::default()));
    assert!(settings.warnings.is_empty());
}

#[test]
fn a_process_has_its_own_law_over_the_files_over_the_defaults() {
    let top = r#", "restart": {"immediate": 3, "delay_ms": 20}, "stop_timeout_ms": 700"#;
    let settings = parse(&with(r#", "restart": {"delay_ms": 50}"#, top)).unwrap();
    let process = &settings.processes[0];
    assert_eq!((process.restart.immediate, process.restart.delay), (3, Duration::from_millis(50)));
    assert_eq!(process.restart.delay_max, Duration::from_secs(10));
    assert_eq!(process.stop.timeout, Duration::from_millis(700));
}

#[test]
fn what_is_missing_or_of_the_wrong_type_is_named_by_its_path() {
    assert_eq!(complaint("{}"), "d.json: msf_procs: missing; expected an array of objects");
    assert_eq!(
        complaint(&with(r#", "proc_conf": 7"#, "")),
        "d.json: msf_procs[0].proc_conf: expected a string, found a number"
    );
    assert_eq!(
        complaint(r#"{"msf_procs": [{"proc_idx": 1}]}"#),
        "d.json: msf_procs[0].proc_name: missing; expected a string"
    );
    assert_eq!(complaint(r#"{"msf_procs": []}"#), "d.json: msf_procs: empty; expected at least one process");
    let no_author = ORIGINAL.replace("msf_author", "msf_auhtor");
    assert_eq!(complaint(&no_author), "d.json: msf_author: missing; expected a string");
    assert_eq!(
        complaint(&with(r#", "args": ["a", 1]"#, "")),
        "d.json: msf_procs[0].args[1]: expected a string, found a number"
    );
    assert_eq!(
        complaint(&with(r#", "env": {"A": 1}"#, "")),
        "d.json: msf_procs[0].env.A: expected a string, found a number"
    );
}

#[test]
fn names_are_unique_and_fit_a_file_name() {
    let twice = with("", "")
        .replace("\"msf_procs\": [", r#""msf_procs": [{"proc_idx": 0, "proc_name": "one", "proc_path": "x"}, "#);
    assert_eq!(complaint(&twice), "d.json: msf_procs[1].proc_name: \"one\" is used twice; names are unique");
    assert!(complaint(&ORIGINAL.replace("msf_rpc_agent\"", "../agent\"")).contains("msf_procs[0].proc_name"));
}

#[test]
fn an_unknown_key_warns_in_the_originals_format_and_fails_in_ours() {
    let settings = parse(&with(r#", "proc_cnof": "x""#, "")).unwrap();
    let warning = "d.json: msf_procs[0].proc_cnof: unknown key; did you mean \"proc_conf\"?";
    assert_eq!(settings.warnings, [warning]);
    assert_eq!(complaint(&with(r#", "proc_cnof": "x""#, r#", "version": 1"#)), warning);
    assert_eq!(complaint(&with(r#", "proc_cnof": "x", "args": []"#, "")), warning);
    let nested = with(r#", "ready": {"by": "fd", "timeuot_ms": 5}"#, "");
    assert!(complaint(&nested).ends_with("ready.timeuot_ms: unknown key; did you mean \"timeout_ms\"?"));
    assert!(complaint(&with("", r#", "defaults": {"uesr": "a"}"#)).contains("defaults.uesr: unknown key"));
    // What is missing because it is misspelt.
    for (process, key, meant) in [
        (r#", "limits": {"fds": {"wran": 5}}"#, "limits.fds.wran", "warn"),
        (r#", "scheduling": {"clas": "fifo"}"#, "scheduling.clas", "class"),
        (r#", "sockets": [{"lsten": "127.0.0.1:1"}]"#, "sockets[0].lsten", "listen"),
        (r#", "stdout": {"flie": "x"}"#, "stdout.flie", "file"),
        (r#", "limits": {"rss": {"warn": 5}}"#, "limits.rss", "rss_bytes"),
    ] {
        let said = format!("d.json: msf_procs[0].{key}: unknown key; did you mean \"{meant}\"?");
        assert_eq!(complaint(&with(process, "")), said);
    }
    let said = complaint(&with(r#", "args": []"#, "").replace("proc_path", "proc_paht"));
    assert_eq!(said, "d.json: msf_procs[0].proc_paht: unknown key; did you mean \"proc_path\"?");
    assert_eq!(
        complaint(&with("", r#", "metrics": {"lisen": "x"}"#)),
        "d.json: metrics.lisen: unknown key; did you mean \"listen\"?"
    );
    let metrics = |value: &str| complaint(&with("", &format!(r#", "metrics": {value}"#)));
    assert_eq!(metrics("{}"), "d.json: metrics: expected either \"listen\" or \"unix\"");
    assert!(metrics(r#"{"listen": "9083"}"#).starts_with("d.json: metrics.listen: expected an address"));
    assert!(metrics(r#"{"listen": "[::]:1", "prot": 1}"#).starts_with("d.json: metrics.prot: unknown key"));
}

/// A file that uses everything.
fn rich() -> String {
    let process = |name: &str, more: &str| {
        format!(r#"{{"proc_idx": 1, "proc_name": "{name}", "proc_path": "x", "proc_conf": "c"{more}}}"#)
    };
    let all = r#", "args": ["a", "b c"], "env": {"A": "process", "B": ""}, "working_directory": "w", "umask": "027",
            "user": "nobody", "group": 7, "groups": [], "capabilities": ["CAP_NET_RAW", "chown", "chown"],
            "rlimits": {"nofile": [10, 20], "core": "unlimited"}, "cgroup": {"memory_max": 4096, "cpu_max": 150},
            "nice": -3, "scheduling": {"class": "rr", "priority": 9}, "cpu_affinity": "0-2,5", "numa_node": 1,
            "wait_for": ["/dev/null"], "wait_retry_ms": 50, "stop_signal": "INT", "stop_timeout_ms": 3,
            "ready": {"by": "exec", "command": ["true"], "timeout_ms": 7, "interval_ms": 2},
            "stdout": {"file": "o", "max_bytes": 9, "files": 2}, "stderr": "log",
            "restart": {"policy": "on-failure", "immediate": 1},
            "health": {"by": "http", "address": "127.0.0.1:8080", "path": "/a?b", "status": [200, 204], "interval_ms": 900,
                "timeout_ms": 800, "failures": 4, "successes": 3, "start_after_ms": 70, "act": "stop"},
            "sockets": [{"listen": "127.0.0.1:80"}, {"name": "b", "unix": "/b", "mode": "0660"}],
            "upgrade": {"by": "restart", "timeout_ms": 7, "drain_ms": 0},
            "limits": {"rss_bytes": {"warn": 1, "act": 2, "do": "restart", "periods": 5}, "fds": {"warn": 7},
                "rss_growth": {"act": 9, "window_ms": 24000, "warm_up_ms": 0}, "cpu_percent": {"warn": 80, "window_ms": 30}}"#;
    let processes = [
        process("fd", r#", "ready": {"by": "fd", "fd": 9}, "scheduling": {"class": "idle"}"#),
        process("all", &format!(r#"{all}, "after": ["fd", "tcp"], "requires": ["notify"]"#)),
        process(
            "notify",
            r#", "ready": {"by": "notify"}, "cpu_affinity": [3, 1], "health": {"by": "heartbeat"}, "stdout": "inherit""#,
        ),
        process("tcp", r#", "ready": {"by": "tcp", "address": "[::1]:80"}, "requires": ["fd"]"#),
        process("unix", r#", "ready": {"by": "unix", "path": "/run/x"}, "health": {"by": "none"}"#),
        process("bare", r#", "limits": {"fds": null, "sample_ms": 50, "threads": {"act": 9, "do": "stop"}}"#),
    ];
    let defaults = r#"{"env": {"A": "default", "C": "c"}, "nice": 4, "rlimits": {"nproc": 3, "nofile": 1},
            "restart": {"policy": "never"}, "user": 5, "wait_retry_ms": 70, "stdout": "null",
            "health": {"by": "tcp", "address": "[::1]:1", "act": "alarm"},
            "limits": {"fds": {"warn": 100, "act": 200, "do": "alarm"}}}"#;
    let alarms = r#"[{"to": "log"}, {"to": "command", "command": ["a", "b"], "timeout_ms": 5, "per_minute": 1},
            {"to": "webhook", "url": "https://h/p?a=b", "form": "dingtalk", "secret": "s", "ca_file": "ca", "retries": 0}]"#;
    format!(
        r#"{{"msf_author": "a", "msf_version": "v", "msf_desc": "d", "defaults": {defaults}, "stop_timeout_ms": 9,
                "events": {{"path": "e", "max_bytes": 5000, "files": 2}}, "crash_reports": {{"files": 3}}, "broker": {{"tcp": "[::1]:9999", "id": 7}}, "alarms": {alarms},
                "metrics": {{"listen": "[::1]:9083"}}, "main": "tcp",
                "restart": {{"immediate": 2, "delay_ms": 5}}, "msf_procs": [{}]}}"#,
        processes.join(", ")
    )
}

#[test]
fn what_is_shown_reads_back_as_the_same() {
    for text in [ORIGINAL, &rich()] {
        let settings = parse(text).unwrap();
        assert_eq!(parse(&settings.to_string()).unwrap(), settings);
    }
}

#[test]
fn a_broker_is_here_or_at_one_place() {
    let read = |broker: &str| parse(&ORIGINAL.replacen('{', &format!("{{\"broker\": {broker}, "), 1));
    let place = |broker| read(broker).unwrap().broker.map(|broker| (broker.place, broker.id));
    assert_eq!(place("{}"), Some((BrokerPlace::Local, 16)));
    assert_eq!(place(r#"{"unix": "/a", "id": 1}"#), Some((BrokerPlace::Unix("/a".to_owned()), 1)));
    assert_eq!(place(r#"{"tcp": "[::1]:9"}"#), Some((BrokerPlace::Tcp("[::1]".to_owned(), 9), 16)));
    assert_eq!(parse(ORIGINAL).unwrap().broker, None);
    for (wrong, why) in [
        ("true", "broker"),
        (r#"{"unix": "/a", "tcp": "a:1"}"#, "either"),
        (r#"{"tcp": "a"}"#, "such as 10.0.0.1:9999, found \"a\""),
        (r#"{"tcp": "::1:9"}"#, "such as"),
        (r#"{"tcp": "a:0"}"#, "such as"),
        (r#"{"id": 0}"#, "id"),
        (r#"{"id": 4294967281}"#, "id"),
        (r#"{"udp": 1}"#, "udp"),
    ] {
        let said = read(wrong).unwrap_err().to_string();
        assert!(said.contains(why), "{wrong}: {said}");
    }
}

#[test]
fn what_is_looked_after_is_taken_from_defaults_thing_by_thing_and_can_be_taken_away() {
    let settings = parse(&rich()).unwrap();
    let [fd, all, notify, .., unix, bare] = &settings.processes[..] else { panic!() };
    let way = |process: &Process| process.health.as_ref().map(|health| health.way.clone());
    assert!(matches!(way(fd), Some(Check::Probe { probe: Probe::Tcp(_), .. })));
    assert!(matches!(way(all), Some(Check::Probe { probe: Probe::Http { status: (200, 204), .. }, .. })));
    assert_eq!((way(notify), way(unix)), (Some(Check::Heartbeat), None));
    assert_eq!(fd.health.as_ref().map(|health| (health.failures, health.act)), Some((2, Act::Alarm)));
    let bounds = |process: &Process| process.bounds.as_deref().cloned().unwrap();
    assert_eq!(bounds(fd).fds, Some(Bound { warn: Some(100), act: Some(200), deed: Act::Alarm, periods: 2 }));
    assert_eq!(bounds(all).fds.unwrap().warn, Some(7));
    assert_eq!((bounds(bare).fds, bounds(bare).threads.unwrap().deed), (None, Act::Stop));
    assert!(bounds(bare).cpu.is_none());
}

#[test]
fn limits_and_probes_that_make_no_sense_are_refused_with_their_path() {
    let ends = |keys: &str, end: &str| {
        let told = complaint(&with(keys, ""));
        assert!(told.ends_with(end), "{told}");
    };
    ends(r#", "health": {}"#, "health.by: missing; expected how its health is found out");
    ends(r#", "health": {"by": "tcp"}"#, "health.address: missing; expected a string");
    ends(r#", "health": {"by": "http", "address": "1.2.3.4:5", "path": "x"}"#, "without blanks");
    ends(
        r#", "health": {"by": "exec", "command": ["a"], "interval_ms": 50, "timeout_ms": 60}"#,
        "health.timeout_ms: 60 ms is more than interval_ms, which is 50",
    );
    ends(r#", "health": {"by": "heartbeat", "timeout_ms": 6}"#, "health.timeout_ms: unknown key");
    ends(r#", "limits": {"fds": {}}"#, r#"limits.fds.warn: missing; expected "warn", "act", or both"#);
    ends(r#", "limits": {"fds": {"warn": 5, "act": 4}}"#, "limits.fds.act: 4 is less than warn, which is 5");
    ends(
        r#", "limits": {"fds": {"warn": 5, "do": "stop"}}"#,
        "limits.fds.act: missing; expected from where on it is to be done",
    );
    ends(
        r#", "limits": {"rss_growth": {"warn": 5, "window_ms": 23999}}"#,
        "rss_growth.window_ms: 23999 ms is too short; expected at least 24 times sample_ms, which is 1000",
    );
    ends(r#", "limits": {"thread": {"warn": 5}}"#, r#"limits.thread: unknown key; did you mean "threads"?"#);
}

#[test]
fn a_process_goes_before_the_defaults_key_by_key() {
    let settings = parse(&rich()).unwrap();
    let (fd, all) = (&settings.processes[0], &settings.processes[1]);
    assert_eq!((fd.launch.share.nice, all.launch.share.nice), (Some(4), Some(-3)));
    assert_eq!(all.launch.env.values().collect::<Vec<_>>(), ["process", "", "c"]);
    let names = |process: &Process| process.launch.limits.iter().map(|limit| limit.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(fd), names(all)),
        (vec!["nofile".into(), "nproc".into()], vec!["core".into(), "nofile".into(), "nproc".into()])
    );
    assert_eq!(all.launch.limits[1], Limit { name: "nofile".into(), soft: Some(10), hard: Some(20) });
    assert_eq!((fd.restart.policy, all.restart.policy), (Policy::Never, Policy::OnFailure));
    assert_eq!((fd.restart.immediate, all.restart.immediate), (2, 1));
    assert_eq!((fd.stop.timeout, all.stop.timeout), (Duration::from_millis(9), Duration::from_millis(3)));
    assert_eq!(all.launch.rights.capabilities, Some(vec![0, 13]));
    assert_eq!(all.launch.share.cpus, Some(vec![0, 1, 2, 5]));
    let named = Output::File { path: "o".into(), max_bytes: 9, files: 2 };
    assert_eq!((&fd.launch.stdout, &all.launch.stdout, &all.launch.stderr), (&Output::Null, &named, &Output::Log));
    assert_eq!(settings.processes[2].launch.stdout, Output::Inherit);
    assert_eq!((all.launch.umask, all.stop.signal.as_str()), (Some(0o27), "SIGINT"));
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_was_expected() {
    for (process, said) in [
        (r#""stop_signal": "SIGTRM""#, "stop_signal: expected the name of a signal, such as SIGTERM, found \"SIGTRM\""),
        (
            r#""stdout": "lgo""#,
            "stdout: expected \"inherit\", \"log\", \"null\" or an object with \"file\", found \"lgo\"",
        ),
        (r#""stderr": {"flie": "x"}"#, "stderr.flie: unknown key; did you mean \"file\"?"),
        (r#""umask": "089""#, "umask: expected octal digits up to 0777, found \"089\""),
        (r#""umask": "+7""#, "umask: expected octal digits up to 0777, found \"+7\""),
        (r#""group": "x""#, "group: without \"user\"; who changes his groups changes his user"),
        (
            r#""capabilities": ["net_row"]"#,
            "capabilities[0]: no capability is called \"net_row\"; did you mean \"net_raw\"?",
        ),
        (r#""rlimits": {"nofiles": 1}"#, "rlimits.nofiles: no limit is called \"nofiles\"; did you mean \"nofile\"?"),
        (
            r#""rlimits": {"nofile": [2, 1]}"#,
            "rlimits.nofile: expected a whole number, \"unlimited\", or an array of two such, the second not below the first",
        ),
        (r#""cpu_affinity": "3-1""#, "cpu_affinity: expected processors below 8192, such as \"0-3,8\" or [0, 1]"),
        (
            r#""scheduling": {"class": "fifo"}"#,
            "scheduling.priority: missing; expected 1 to 99, as the class is of real time",
        ),
        (
            r#""ready": {"by": "smoke"}"#,
            "ready.by: expected one of \"fd\", \"notify\", \"tcp\", \"unix\", \"exec\", \"http\", \"none\", found \"smoke\"",
        ),
        (
            r#""ready": {"by": "tcp", "address": "localhost"}"#,
            "ready.address: expected an address such as 127.0.0.1:80, found \"localhost\"",
        ),
        (
            r#""ready": {"by": "exec", "command": []}"#,
            "ready.command: missing or empty; expected the words of a command",
        ),
        (r#""after": ["oen"]"#, "after[0]: no process is called \"oen\"; did you mean \"one\"?"),
        (r#""requires": ["one"]"#, "requires: a circle; each waits for the next: one -> one"),
    ] {
        assert_eq!(complaint(&with(&format!(", {process}"), "")), format!("d.json: msf_procs[0].{said}"));
    }
}

#[test]
fn a_circle_names_its_members_and_nobody_else() {
    let process = |name: &str, others: &str| {
        format!(r#"{{"proc_idx": 0, "proc_name": "{name}", "proc_path": "x", "after": [{others}]}}"#)
    };
    let file = |processes: &[String]| {
        let all = processes.join(", ");
        format!(r#"{{"msf_author": "a", "msf_version": "v", "msf_desc": "d", "msf_procs": [{all}]}}"#)
    };
    let text = file(&[
        process("a", r#""b""#),
        process("b", r#""e", "c""#),
        process("c", r#""d""#),
        process("d", r#""b""#),
        process("e", ""),
    ]);
    let said = "d.json: msf_procs[1].after: a circle; each waits for the next: b -> c -> d -> b";
    assert_eq!(complaint(&text), said);
    let chain: Vec<_> = (0..5000).map(|at| process(&format!("p{at}"), &format!(r#""p{}""#, at + 1))).collect();
    assert!(complaint(&file(&chain)).contains("no process is called \"p5000\""));
    let deep: Vec<_> = (0..5000).map(|at| process(&format!("p{at}"), &format!(r#""p{}""#, (at + 1) % 5000))).collect();
    assert!(complaint(&file(&deep)).contains("a circle"));
}

#[test]
fn the_main_process_is_there_and_may_end() {
    let never = r#", "restart": {"policy": "never"}"#;
    assert_eq!(parse(&with(never, r#", "main": "one""#)).unwrap().main.as_deref(), Some("one"));
    let said = "d.json: main: no process is called \"oen\"; did you mean \"one\"?";
    assert_eq!(complaint(&with(never, r#", "main": "oen""#)), said);
    let said = "d.json: main: \"one\" is always started again; expected a \"restart\" with another \"policy\"";
    assert_eq!(complaint(&with("", r#", "main": "one""#)), said);
}

#[test]
fn a_delay_may_not_start_above_its_end() {
    let text = with(r#", "restart": {"delay_ms": 500, "delay_max_ms": 100}"#, "");
    assert_eq!(
        complaint(&text),
        "d.json: msf_procs[0].restart.delay_max_ms: 100 ms is less than delay_ms, which is 500"
    );
}

#[test]
fn paths_are_taken_from_the_files_folder() {
    let settings = parse(&with(r#", "proc_conf": "a.json", "working_directory": "/srv""#, "")).unwrap();
    let launch = &settings.processes[0].launch;
    assert_eq!(launch.conf_in(Path::new("/etc/msf")), Some(PathBuf::from("/etc/msf/a.json")));
    assert_eq!(launch.working_directory_in(Path::new("/etc/msf")), Some(PathBuf::from("/srv")));
}
