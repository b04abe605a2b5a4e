//! Every key of msf_agent in one table: what it may be, that it means the same in each format, that `-k parse` prints it
//! so that it reads back the same, and that the manual has a word about it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use msf_conf::ConfError;
use msf_conf::agent::Settings;
use std::path::Path;

fn parse(file: &str, text: &str) -> Result<Settings, ConfError> {
    Settings::parse([(Path::new(file), text)].into_iter())
}

fn conf(text: &str) -> Settings {
    parse("a.conf", text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn json(text: &str) -> Settings {
    let text = format!(r#"{{"version": 1, {text}}}"#);
    parse("a.json", &text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Key, values that are taken, values that are not; the first of the values is no default.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

const TEXTS: &[Row] = &[
    ("pid_file", &["/a.pid", "a b"], &[]),
    ("node_ip", &["NULL", "::", "::1", "10.0.0.1"], &["host", "10.0.0.1:5", "10.0.0.0/8"]),
    ("unix_path", &["/a.sock"], &[]),
    ("unix_mask", &["0600", "777", "0"], &["8", "1000", "-1"]),
    ("unix_group", &["adm"], &[]),
    ("allow_uids", &["5,6", "4294967295"], &["4294967296", "5,", "a"]),
    ("cpu_affinity", &["0, 1", "1023"], &["1024", ",", "-1"]),
    ("nmid_ip", &["NULL", "::1"], &["localhost"]),
    ("nmid_order", &["abandon", "ordered", "pipelined", "Auto"], &["fifo"]),
    ("nmid_rewrite", &["all", "none", "g0"], &["g1"]),
    ("nmid_legacy_workers", &["10.0.0.7, 10.1.0.0/16,::1"], &["10.0.0.7,", "10.0.0.0/33", "host"]),
    ("http_ip", &["0.0.0.0", "::"], &[":"]),
    ("metrics_ip", &["10.0.0.1"], &["10.0.0"]),
    ("metrics_path", &["/", "/a/b", "/metrics"], &["metrics", "/a b", "/a?b", "/a#b", "/\u{e9}"]),
    ("white_list", &["10.0.0.0/8", "nobody"], &["10.0.0.0/8,", "none", "all"]),
    ("black_list", &["::/0,10.0.0.1", "nobody"], &["10.0.0.1/8/8"]),
    ("balance", &["weighted", "hash", "sticky", "LEAST"], &["random"]),
    ("hash_key", &["id", "user id"], &[]),
];

const TRUTHS: &[&str] = &[
    "daemon",
    "verbose",
    "unix_enable",
    "net_enable",
    "nmid_enable",
    "nmid_probe",
    "http_enable",
    "metrics_enable",
    "metrics_create_time",
    "idempotent",
];

/// Key, least and most.
const NUMBERS: &[(&str, u64, u64)] = &[
    ("backlog", 1, 65_535),
    ("tcp_port", 0, 65_535),
    ("max_conns", 1, 500_000),
    ("max_threads", 1, 64),
    ("log_level", 0, 1000),
    ("log_files", 0, 99),
    ("login_ms", 0, 3_600_000),
    ("drain_ms", 0, 3_600_000),
    ("replace_ms", 0, 86_400_000),
    ("pending_limit", 1, 10_000_000),
    ("nmid_port", 0, 65_535),
    ("nmid_settle_ms", 0, 60_000),
    ("nmid_gap_ms", 0, 10_000),
    ("nmid_pace_ms", 0, 10_000),
    ("nmid_stale_ms", 0, 3_600_000),
    ("http_port", 0, 65_535),
    ("http_header_ms", 1, 3_600_000),
    ("http_body_ms", 1, 3_600_000),
    ("http_idle_ms", 1, 3_600_000),
    ("metrics_port", 0, 65_535),
    ("deadline_ms", 1, 86_400_000),
    ("queue_limit", 0, 10_000_000),
    ("in_flight", 1, 65_535),
    ("retries", 0, 100),
];

/// Key, least and most, as far as they go without another key.
const SIZES: &[(&str, u64, u64)] = &[
    ("log_size", 4096, 1 << 40),
    ("payload_limit", 8096, (16 << 20) - 56),
    ("outbox_soft", 4096, 16 << 20),
    ("outbox_hard", 4 << 20, 1 << 30),
    ("memory_limit", (1 << 20) + 56, 1 << 40),
    ("nmid_payload_limit", 4096, 16 << 20),
    ("http_header_limit", 1024, 1 << 20),
    ("http_body_limit", 1024, 16 << 20),
];

/// What is taken without effect.
const IDLE: &[&str] = &["svc_conf", "net_enbale", "net_protocol", "udp_port", "packet_type", "auth_chap"];

fn keys() -> Vec<&'static str> {
    let numbers = NUMBERS.iter().chain(SIZES).map(|(key, ..)| *key);
    TEXTS.iter().map(|(key, ..)| *key).chain(TRUTHS.iter().copied()).chain(numbers).collect()
}

/// What -k parse shows is the same again.
fn reads_back(settings: &Settings) {
    let shown = settings.to_string();
    assert_eq!(&conf(&shown), settings, "{shown}");
}

#[test]
fn every_key_is_printed_with_its_value_and_has_its_place_in_the_manual() {
    let shown = Settings::default().to_string();
    let mut printed: Vec<&str> =
        shown.lines().map(|line| line.trim_start_matches("# ").split_once('=').unwrap().0).collect();
    let mut known = keys();
    printed.sort_unstable();
    known.sort_unstable();
    assert_eq!(printed, known);
    let manual = include_str!("../../../doc/configuration.md");
    for key in known.iter().chain(IDLE) {
        assert!(manual.contains(&format!("`{key}")), "{key}");
    }
}

#[test]
fn texts_are_taken_in_both_formats_and_strange_ones_are_refused() {
    for (key, good, bad) in TEXTS {
        for value in *good {
            let settings = conf(&format!("{key}={value}\n"));
            assert_eq!(settings, json(&format!("{key:?}: {value:?}")), "{key}={value}");
            reads_back(&settings);
        }
        assert_ne!(conf(&format!("{key}={}", good[0])), Settings::default(), "{key}");
        for value in *bad {
            let error = parse("a.conf", &format!("{key}={value}")).unwrap_err().to_string();
            assert!(error.starts_with(&format!("a.conf: {key}: expected ")), "{error}");
        }
    }
}

#[test]
fn truths_have_their_spellings_and_in_json_one_each() {
    for key in TRUTHS {
        let [yes, no] = ["true", "false"].map(|value| conf(&format!("{key}={value}")));
        assert_ne!(yes, no, "{key}");
        for (word, meant) in [("yes", &yes), ("on", &yes), ("1", &yes), ("no", &no), ("off", &no), ("0", &no)] {
            assert_eq!(&conf(&format!("{key}={word}")), meant, "{key}={word}");
        }
        assert_eq!((&json(&format!("{key:?}: true")), &json(&format!("{key:?}: false"))), (&yes, &no));
        reads_back(&yes);
        reads_back(&no);
        assert!(parse("a.conf", &format!("{key}=maybe")).is_err());
        assert!(parse("a.json", &format!(r#"{{"version": 1, {key:?}: "true"}}"#)).is_err());
    }
}

#[test]
fn numbers_and_sizes_keep_within_their_ranges() {
    for (key, least, most) in NUMBERS.iter().chain(SIZES) {
        let mut seen = Vec::new();
        for value in [*least, *most] {
            let settings = conf(&format!("{key}={value}"));
            assert_eq!(settings, json(&format!("{key:?}: {value}")));
            reads_back(&settings);
            seen.push(settings);
        }
        assert_ne!(seen[0], seen[1], "{key}");
        let under = least.checked_sub(1).map_or("-1".to_owned(), |value| value.to_string());
        for value in [under, (most + 1).to_string(), "1.5".to_owned(), "many".to_owned()] {
            let error = parse("a.conf", &format!("{key}={value}")).unwrap_err().to_string();
            // A size may also be too much or too little for another one.
            assert!(error.starts_with(&format!("a.conf: {key}: ")), "{error}");
        }
    }
    for (key, _, most) in SIZES {
        let kib = most >> 10;
        assert_eq!(conf(&format!("{key}={kib}K")), conf(&format!("{key}={}", kib << 10)), "{key}");
        assert_eq!(conf(&format!("{key}={kib}K")), json(&format!("{key:?}: \"{kib} k\"")), "{key}");
    }
}

#[test]
fn an_empty_value_is_as_good_as_none() {
    for key in keys().iter().chain(IDLE) {
        assert_eq!(conf(&format!("{key}=\n")), Settings::default(), "{key}");
    }
    for (key, ..) in TEXTS {
        assert_eq!(json(&format!("{key:?}: \" \"")), Settings::default(), "{key}");
    }
}

#[test]
fn net_enable_switches_off_every_port_that_is_not_asked_for() {
    let enabled = |text: &str| {
        let settings = conf(text);
        [settings.nmid.listen.enable, settings.http.listen.enable, settings.metrics.listen.enable]
    };
    assert_eq!(enabled(""), [true; 3]);
    assert_eq!(enabled("net_enable=false"), [false; 3]);
    assert_eq!(enabled("http_enable=true\nnet_enbale=false"), [false, true, false]);
    assert_eq!(enabled("net_enable=false\nnmid_port=7000"), [false; 3], "a port is no wish to open it");
    assert_eq!(enabled("nmid_enable=false"), [false, true, true]);
    for text in ["net_enable=false\nnmid_port=7000\n", "net_enable=false\nhttp_enable=true\n"] {
        reads_back(&conf(text));
    }
}

#[test]
fn only_what_is_written_makes_a_taken_port_an_error() {
    let configured = |text: &str| {
        let settings = conf(text);
        [settings.nmid.listen.configured, settings.http.listen.configured, settings.metrics.listen.configured]
    };
    assert_eq!(configured("nmid_order=auto\nhttp_body_limit=1M\nmetrics_path=/m\nnet_enable=true"), [false; 3]);
    assert_eq!(configured("nmid_ip=NULL\nhttp_port=0\nmetrics_enable=true"), [true; 3]);
}

#[test]
fn a_functions_rules_are_complete_whichever_was_written_first() {
    for text in [
        "deadline_ms=500\nretries=0\nfunction.ToUpper.in_flight=4\nfunction.ToUpper.deadline_ms=100\n",
        "function.ToUpper.deadline_ms=100\nfunction.ToUpper.in_flight=4\nretries=0\ndeadline_ms=500\n",
    ] {
        let settings = conf(text);
        let rules = settings.rules_of("ToUpper");
        assert_eq!((rules.deadline.as_millis(), rules.in_flight, rules.retries), (100, 4, 0));
        assert_eq!(settings.rules_of("toupper"), &settings.rules);
        reads_back(&settings);
    }
    let both = Settings::parse(
        [("a.conf", "function.f.retries=5\n"), ("b.json", r#"{"version": 1, "functions": {"f": {"in_flight": 2}}}"#)]
            .into_iter()
            .map(|(file, text)| (Path::new(file), text)),
    );
    let both = both.unwrap();
    assert_eq!((both.functions["f"].retries, both.functions["f"].in_flight), (5, 2));
}

#[test]
fn names_have_dots_spaces_and_slashes_and_mean_the_same_in_both_formats() {
    let lines = "function.a.b/0x26.balance=hash\nfunction.a.b/0x26.hash_key=id\nfunction. x y .in_flight=2\n\
        worker.Worker 1.weight=5\nworker.in_flight.dialect=g0\nworker.in_flight.in_flight=7\n";
    let objects = r#""functions": {"a.b/0x26": {"balance": "hash", "hash_key": "id"}, " x y ": {"in_flight": 2}},
        "workers": {"Worker 1": {"weight": 5}, "in_flight": {"dialect": "g0", "in_flight": 7}}"#;
    let settings = conf(lines);
    assert_eq!(settings, json(objects));
    assert_eq!(settings.functions.keys().collect::<Vec<_>>(), [" x y ", "a.b/0x26"]);
    let worker = settings.workers["in_flight"];
    assert_eq!((worker.in_flight, worker.weight, settings.workers["Worker 1"].weight), (Some(7), 1, 5));
    reads_back(&settings);
}

#[test]
fn what_is_wrong_with_one_function_names_it() {
    for (line, said) in [
        ("function.f.in_flight=0", "function.f.in_flight: expected a whole number from 1 to 65535, found \"0\""),
        ("worker.w.weight=1001", "worker.w.weight: expected a whole number from 1 to 1000, found \"1001\""),
        ("worker.w.dialect=g1", "worker.w.dialect: expected g0 or g2, found \"g1\""),
    ] {
        assert_eq!(parse("a.conf", line).unwrap_err().to_string(), format!("a.conf: {said}"));
    }
    for (line, said) in [
        ("function.f.inflight=2", "unknown key; did you mean \"in_flight\"?"),
        ("function.in_flight=2", "unknown key; expected function.NAME.KEY"),
        ("function..in_flight=2", "unknown key; expected function.NAME.KEY"),
        ("worker.w.retries=2", "unknown key"),
        ("functions.f.in_flight=2", "unknown key; expected function.NAME.KEY"),
        ("worker=2", "unknown key; expected worker.NAME.KEY"),
    ] {
        let key = line.split_once('=').unwrap().0;
        assert_eq!(conf(line).warnings, [format!("a.conf: {key}: line 1: {said}")]);
    }
    for (object, said) in [
        (r#""functions": {"f": {"inflight": 2}}"#, "functions.f.inflight: unknown key; did you mean \"in_flight\"?"),
        (r#""functions": {"f": {"in_flight": "2"}}"#, "functions.f.in_flight: expected a whole number"),
        (r#""functions": {"a=b": {"in_flight": 2}}"#, "functions.a=b: expected a name of visible characters"),
        (r#""functions": {"": {}}"#, "functions.\"\": expected a name"),
        (r#""workers": {"w": 5}"#, "workers.w: expected an object, found a number"),
        (r#""function": {}"#, "function: unknown key; did you mean \"functions\"?"),
    ] {
        let error = parse("a.json", &format!(r#"{{"version": 1, {object}}}"#)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("a.json: {said}")), "{error}");
    }
}

#[test]
fn who_keeps_little_takes_no_longer_messages_unless_he_says_so() {
    let small = conf("payload_limit=64K\noutbox_soft=64K\noutbox_hard=1M\n");
    assert_eq!((small.nmid.payload_limit, small.http.body_limit), (1 << 20, 1 << 20));
    reads_back(&small);
    let error = parse("a.conf", "outbox_hard=8M\nnmid_payload_limit=9M\n").unwrap_err().to_string();
    assert_eq!(error, "a.conf: nmid_payload_limit: outbox_hard (8388608) is less than nmid_payload_limit (9437184)");
    let error = parse("a.conf", "http_body_limit=9M\nmemory_limit=8M\n").unwrap_err().to_string();
    assert_eq!(error, "a.conf: memory_limit: memory_limit (8388608) is less than http_body_limit (9437184)");
    assert_eq!(conf("outbox_hard=32M\nnmid_payload_limit=32M\n").nmid.payload_limit, 32 << 20);
}

#[test]
fn lists_are_arrays_in_json_too() {
    let expected = conf("white_list=10.0.0.0/8,::1\nnmid_legacy_workers=10.0.0.1");
    let arrays = json(r#""white_list": ["10.0.0.0/8", "::1"], "nmid_legacy_workers": ["10.0.0.1"]"#);
    assert_eq!(arrays, expected);
    let error = parse("a.json", r#"{"version": 1, "white_list": ["10.0.0.1", 5]}"#).unwrap_err().to_string();
    assert_eq!(error, "a.json: white_list[1]: expected a string, found a number");
    let empty = json(r#""white_list": [], "nmid_legacy_workers": []"#);
    assert_eq!(empty, conf("white_list=nobody\nnmid_legacy_workers=nobody\n"));
    assert!(!empty.lists.admit("127.0.0.1".parse().unwrap()));
}

/// What is commented out in a .conf is what holds without it; the rest of the samples is taken without a word.
#[test]
fn the_samples_are_what_they_say() {
    let text = include_str!("../../../script/config/msf_agent.conf");
    assert_eq!(conf(text), Settings::default());
    let example =
        |line: &&str| ["unix_path=", "unix_mask=", "function.", "worker."].iter().any(|key| line.starts_with(key));
    let defaults: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| !line.starts_with(' ')).collect();
    let shown = Settings::default().to_string();
    let shown: Vec<&str> = shown.lines().map(|line| line.trim_start_matches("# ")).collect();
    for line in defaults.iter().filter(|line| !example(line)) {
        assert!(shown.contains(line), "{line}");
    }
    assert_eq!(conf(&defaults.join("\n")).warnings, Vec::<String>::new());
    let json = parse("a.json", include_str!("../../../script/config/msf_agent.json")).unwrap();
    assert_eq!((json.warnings.len(), json.rules_of("ToUpper").retries, json.workers["Worker1"].weight), (0, 2, 3));
    let yaml = parse("server.yaml", include_str!("../../../script/config/server.yaml")).unwrap();
    assert_eq!(yaml.warnings, Vec::<String>::new());
    let places = [yaml.nmid.listen, yaml.http.listen, yaml.metrics.listen].map(|listen| listen.address().to_string());
    assert_eq!(places, ["127.0.0.1:6808", "127.0.0.1:6809", "127.0.0.1:9081"]);
    assert_eq!(yaml.lists, Settings::default().lists);
}
