//! The settings on the command line: what is refused, what is printed, and that both are what a start makes of them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Agent, Folder, run, text};
use std::fs;

/// What `-k parse` and a start say of these settings: exit codes, and stderr of both.
fn judged(lines: &str) -> (Option<i32>, Option<i32>, String) {
    let folder = Folder::new();
    fs::write(folder.0.join("a.conf"), lines).unwrap();
    let parse = run(&folder, &["-c", "a.conf", "-k", "parse"]);
    let start = run(&folder, &["-c", "a.conf"]);
    assert_eq!(text(&parse.stderr), text(&start.stderr), "one check, one sentence");
    assert!(!folder.0.join("msf_agent.pid").exists());
    (parse.status.code(), start.status.code(), text(&parse.stderr))
}

#[test]
fn what_a_start_refuses_parse_refuses_with_the_same_sentence() {
    for (lines, words) in [
        ("log_files=200", "log_files: expected a whole number from 0 to 99, found \"200\""),
        ("unix_group=no-such-group", "unix_group: there is no group \"no-such-group\""),
        (
            "unix_enable=false\nnet_enable=false",
            "nowhere to listen: unix_enable, net_enable, nmid_enable and http_enable are all false",
        ),
        ("unix_path=/no/such/place/a.sock", "unix_path: there is no folder /no/such/place"),
        ("pid_file=/no/such/place/a.pid", "pid_file: there is no folder /no/such/place"),
        ("pid_file=/", "pid_file: / is a folder"),
        ("nmid_port=6809", "nmid_port: http_port (127.0.0.1:6809) and nmid_port (127.0.0.1:6809) are the same port"),
        (
            "white_list=10.0.0.0/33",
            "white_list: expected an address or a CIDR such as 10.0.0.0/8, found \"10.0.0.0/33\"",
        ),
        ("function.a.balance=best", "function.a.balance: expected least or weighted or hash or sticky, found \"best\""),
    ] {
        let (parse, start, said) = judged(lines);
        assert_eq!((parse, start), (Some(1), Some(2)), "{lines}: {said}");
        assert!(said.contains("a.conf: ") && said.contains(words), "{said}");
    }
}

#[test]
fn a_core_that_is_not_there_is_a_warning_of_parse_and_of_a_start() {
    let agent = Agent::start("cpu_affinity=0,1000\nmax_threads=2");
    agent.wait_for_log("cpu_affinity: no thread can run on core 1000 here");
    let parse = run(&agent.folder, &["-c", "agent.conf", "-k", "parse"]);
    let said = text(&parse.stderr);
    assert!(
        parse.status.success() && said.contains("agent.conf: cpu_affinity: no thread can run on core 1000"),
        "{said}"
    );
    assert!(!said.contains("core 0 "), "{said}");
}

#[test]
fn lists_that_let_nobody_in_are_a_warning_while_nmid_is_served() {
    let folder = Folder::new();
    let said = |text: &str| {
        fs::write(folder.0.join("a.conf"), text).unwrap();
        warnings_of(&folder)
    };
    let lists = "white_list=10.0.0.1\nblack_list=10.0.0.0/8\n";
    assert!(said(lists).contains("a.conf: black_list: white_list and black_list let nobody in"), "{}", said(lists));
    assert_eq!(said(&format!("{lists}nmid_enable=false\n")), "");
    assert_eq!(said("white_list=10.0.0.0/8\nblack_list=10.0.0.1\n"), "");
}

fn warnings_of(folder: &Folder) -> String {
    let parse = run(folder, &["-c", "a.conf", "-k", "parse"]);
    assert!(parse.status.success());
    text(&parse.stderr)
}

#[test]
fn a_key_written_twice_is_a_warning_with_both_lines() {
    let folder = Folder::new();
    fs::write(folder.0.join("a.conf"), "backlog=5\nbacklog=6\n").unwrap();
    let parse = run(&folder, &["-c", "a.conf", "-k", "parse"]);
    assert!(text(&parse.stdout).contains("backlog=6\n"));
    assert!(text(&parse.stderr).contains("backlog: written in line 1 and again in line 2"), "{}", text(&parse.stderr));
}

#[test]
fn parse_prints_a_conf_that_gives_the_same_again_and_says_what_comes_of_it() {
    let folder = Folder::new();
    let none = text(&run(&folder, &["-k", "parse"]).stdout);
    assert!(none.starts_with("# read: nothing; no -c, and no config/msf_agent.conf"), "{none}");
    assert!(none.contains("# unix_mask in effect: 0600; served: uid 0") && none.contains("# reactors: "), "{none}");
    let socket = folder.0.join("msf_agent.sock");
    assert!(none.contains(&format!("# unix socket: {}\n", socket.display())), "{none}");
    assert!(none.ends_with(&format!("# log: {}\n", folder.0.join("log/msf_agent.log").display())), "{none}");
    assert!(!folder.0.join("log").exists(), "who only asks makes no folder");
    assert!(none.contains("# TCP: 127.0.0.1:9999; without it when the port is taken\n"), "{none}");
    fs::create_dir(folder.0.join("config")).unwrap();
    let usual = folder.0.join("config/msf_agent.conf");
    fs::write(&usual, "max_threads=3\nverbose=true\nunix_path=x.sock\n").unwrap();
    let first = text(&run(&folder, &["-k", "parse"]).stdout);
    assert!(first.starts_with(&format!("# read: {}\n", usual.display())), "{first}");
    assert!(first.contains("\nmax_threads=3\n") && first.contains("\n# reactors: 3\n"), "{first}");
    fs::write(folder.0.join("b.conf"), &first).unwrap();
    let second = run(&folder, &["-c", "b.conf", "-k", "parse"]);
    assert_eq!(text(&second.stderr), "");
    let without_source = |text: &str| text.split_once('\n').unwrap().1.to_owned();
    assert_eq!(without_source(&text(&second.stdout)), without_source(&first));
}

#[test]
fn without_files_named_both_usual_ones_are_read_and_nmids_own_is_the_later() {
    let folder = Folder::new();
    fs::create_dir(folder.0.join("config")).unwrap();
    fs::write(
        folder.0.join("config/server.yaml"),
        "RpcServer:\n  host: 0.0.0.0\n  port: 7000\nDashboard:\n  port: 1\n",
    )
    .unwrap();
    let alone = run(&folder, &["-k", "parse"]);
    let said = text(&alone.stdout);
    assert!(
        said.contains("\n# TCP: 127.0.0.1:9999; without it when the port is taken\n# nmid: 0.0.0.0:7000\n# stdin"),
        "{said}"
    );
    assert!(
        text(&alone.stderr).contains("config/server.yaml: Dashboard: accepted without effect"),
        "{}",
        text(&alone.stderr)
    );
    fs::write(folder.0.join("config/msf_agent.conf"), "nmid_port=7001\nmetrics_enable=true\nmax_conns=77\n").unwrap();
    let said = text(&run(&folder, &["-k", "parse"]).stdout);
    assert!(said.contains("\nnmid_port=7000\n") && said.contains("\nmax_conns=77\n"), "{said}");
    assert!(said.contains("\n# metrics: 127.0.0.1:9081\n") && !said.contains("# HTTP: "), "{said}");
}

#[test]
fn a_reload_of_files_nobody_can_use_signals_nobody() {
    let agent = Agent::start("");
    let config = agent.folder.0.join("agent.conf");
    fs::write(&config, "net_enable=false\nunix_group=no-such-group\n").unwrap();
    let refused = run(&agent.folder, &["-c", "agent.conf", "-k", "reload"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("agent.conf: unix_group: there is no group"), "{}", text(&refused.stderr));
    fs::write(&config, "net_enable=false\nbacklog=9\n").unwrap();
    let done = run(&agent.folder, &["-c", "agent.conf", "-k", "reload"]);
    let log = agent.folder.0.join("log/msf_agent.log");
    let said = text(&done.stdout);
    assert!(done.status.success() && said.contains(&format!("takes a restart is in {}\n", log.display())), "{said}");
    agent.wait_for_log("reload: done");
    let log = agent.log();
    assert!(log.contains("backlog has changed; that takes a restart") && !log.contains("nothing is changed"), "{log}");
}
