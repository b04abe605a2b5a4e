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
        ("unix_enable=false\nnet_enable=false", "nowhere to listen: unix_enable and net_enable are both false"),
        ("unix_path=/no/such/place/a.sock", "unix_path: there is no folder /no/such/place"),
        ("pid_file=/no/such/place/a.pid", "pid_file: there is no folder /no/such/place"),
        ("pid_file=/", "pid_file: / is a folder"),
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
fn a_key_written_twice_is_a_warning_with_both_lines() {
    let folder = Folder::new();
    fs::write(folder.0.join("a.conf"), "backlog=5\nbacklog=6\n").unwrap();
    let parse = run(&folder, &["-c", "a.conf", "-k", "parse"]);
    assert!(text(&parse.stdout).contains("backlog=6\n"));
    assert!(text(&parse.stderr).contains("backlog: written in line 1 and again in line 2"), "{}", text(&parse.stderr));
}
