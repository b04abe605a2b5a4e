//! What processes write: into files that are rotated, into the log, or nowhere; and what becomes of it when the daemon
//! is killed.
#![allow(clippy::unwrap_used)]

mod common;

use common::{DAEMON, Place, lives, send, shell, sleeper, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

fn with(mut process: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        process[key] = value.clone();
    }
    process
}

fn read(place: &Place, name: &str) -> String {
    String::from_utf8_lossy(&fs::read(place.file(name)).unwrap_or_default()).into_owned()
}

fn said(place: &Place, words: &[&str]) -> String {
    let output = place.run(words);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn each_stream_goes_where_it_was_told() {
    let place = Place::new();
    let speak = "echo out; echo err >&2; exec sleep 1000";
    place.configure(json!([
        with(shell(0, "files", speak), json!({"stdout": {"file": "o"}, "stderr": {"file": "e"}})),
        with(shell(1, "both", speak), json!({"stdout": {"file": "b"}, "stderr": {"file": "b"}})),
        with(shell(2, "half", speak), json!({"stdout": "null", "stderr": {"file": "h"}})),
        with(shell(3, "lost", speak), json!({"stdout": {"file": "no/such/folder"}, "stderr": "null"})),
    ]));
    let daemon = place.start();
    let place = &daemon.place;
    until("all have spoken", || read(place, "log/h") == "err\n" && read(place, "log/b").len() == 8);
    until("in two files", || (read(place, "log/o"), read(place, "log/e")) == ("out\n".into(), "err\n".into()));
    assert_eq!(read(place, "log/b"), "out\nerr\n");
    assert!(place.log().contains("lost: its output is lost: "), "{}", place.log());
    assert_eq!(place.process("lost")["state"], "up");
    let files = place.process("files");
    assert_eq!((&files["output"], &files["error_output"]), (&json!(place.file("log/o")), &json!(place.file("log/e"))));
    let both = said(place, &["tail", "files"]);
    assert!(both.contains("==> ") && both.contains("/o <==\nout\n") && both.contains("/e <==\nerr\n"), "{both}");
    assert_eq!(said(place, &["tail", "both", "-n", "1"]), "err\n");
    let none = place.run(&["tail", "half", "-n", "1"]);
    assert_eq!(String::from_utf8_lossy(&none.stdout), "err\n");
}

#[test]
fn a_file_that_grows_gets_predecessors_and_no_line_is_lost_between_them() {
    let place = Place::new();
    // Slowly enough that each look finds a little too much.
    let script = "i=0; while [ $i -lt 4000 ]; do echo line $i of many; i=$((i+1)); [ $((i % 500)) -eq 0 ] && sleep 0.4; done; exec sleep 1000";
    place.configure(json!([with(
        shell(0, "wordy", script),
        json!({"stdout": {"file": "w", "max_bytes": 10_000, "files": 50}})
    )]));
    let daemon = place.start();
    let place = &daemon.place;
    let all = || {
        let older = (1..=50).rev().map(|number| read(place, &format!("log/w.{number}")));
        older.chain([read(place, "log/w")]).collect::<String>()
    };
    until("the last line", || all().ends_with("line 3999 of many\n"));
    until("it is small again", || fs::metadata(place.file("log/w")).unwrap().len() <= 10_000);
    let expected: String = (0..4000).map(|number| format!("line {number} of many\n")).collect();
    assert_eq!(all(), expected);
    assert!(place.file("log/w.2").exists());
}

#[test]
fn lines_for_the_log_are_records_under_the_processs_name() {
    let place = Place::new();
    let script = "echo first; printf 'no end'; exit 3";
    let policy = json!({"stdout": "log", "stderr": "log", "restart": {"policy": "never"}});
    place.configure(json!([
        with(shell(0, "wordy", script), policy.clone()),
        with(
            shell(1, "long", "head -c 10000 /dev/zero | tr '\\0' x; echo; echo >&2 afterwards; exec sleep 1000"),
            policy
        ),
    ]));
    let daemon = place.start();
    until("both have spoken", || {
        daemon.place.log().contains("afterwards") && daemon.place.process("wordy")["state"] == "down"
    });
    let log = daemon.place.log();
    let at = |what: &str| log.find(what).unwrap_or_else(|| panic!("{what} in {log}"));
    assert!(at("first") < at("no end") && at("no end") < at("ended after"), "{log}");
    let record = log.lines().find(|line| line.contains("first") && line.contains("wordy")).unwrap();
    assert!(record.contains("INFO"), "{record}");
    let long = log.lines().filter(|line| line.contains("xxxx")).map(|line| line.matches('x').count());
    assert_eq!(long.sum::<usize>(), 10_000, "{log}");
    assert_eq!(said(&daemon.place, &["tail", "wordy"]), "first\nno end\n");
    assert_eq!(said(&daemon.place, &["tail", "long", "-n", "1"]), "afterwards\n");
}

#[test]
fn a_flood_for_the_log_stops_neither_who_writes_nor_the_daemon() {
    let place = Place::new();
    let policy = json!({"stdout": "log", "restart": {"policy": "never"}});
    let script = "head -c 60000000 /dev/zero | tr '\\0' '\\n'; echo > $DONE; exec sleep 1000";
    let mut flood = with(shell(0, "flood", script), policy);
    flood["env"] = json!({"DONE": place.file("done")});
    place.configure(json!([flood, sleeper(1, "one")]));
    let daemon = place.start();
    let began = Instant::now();
    let before = daemon.place.pid("one");
    send(before, Signal::SIGKILL);
    until("the other is back", || ![0, before].contains(&daemon.place.pid("one")));
    until("it has written all", || daemon.place.file("done").exists());
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    until("it is told", || daemon.place.log().contains("flood: writes faster than it can be logged: "));
}

#[test]
fn follow_shows_what_comes_from_files_and_from_the_log() {
    let place = Place::new();
    let folder = place.folder.display().to_string();
    let script =
        format!("i=0; while [ ! -e {folder}/end ]; do i=$((i+1)); echo line $i; sleep 0.02; done; exec sleep 1000");
    place.configure(json!([
        with(shell(0, "file", &script), json!({"stdout": {"file": "f", "max_bytes": 400, "files": 1}})),
        with(shell(1, "log", &script), json!({"stdout": "log"})),
    ]));
    let daemon = place.start();
    for name in ["file", "log"] {
        let mut command = daemon.place.command(DAEMON);
        let mut follower =
            command.args(["tail", "-f", "-n", "1", name]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(follower.stdout.take().unwrap()).lines();
        let numbers = lines.map(|line| line.unwrap().strip_prefix("line ").unwrap().parse::<u32>().unwrap());
        let numbers: Vec<u32> = numbers.take(120).collect();
        let expected: Vec<u32> = (numbers[0]..numbers[0] + 120).collect();
        assert_eq!(numbers, expected, "{name}");
        follower.kill().unwrap();
        follower.wait().unwrap();
    }
    fs::write(daemon.place.file("end"), "").unwrap();
}

#[test]
fn who_prints_goes_on_when_the_daemon_has_been_killed() {
    let place = Place::new();
    let folder = place.folder.display().to_string();
    // More than any pipe holds, and a shell that ends at the first write that fails.
    let script = format!(
        "set -e; while [ ! -e {folder}/go ]; do sleep 0.01; done; i=0; while [ $i -lt 3000 ]; do echo line $i of a hundred bytes or so, so that no pipe would hold them all; i=$((i+1)); done; echo > {folder}/said.$NAME; exec sleep 1000"
    );
    let speaker = |index, name: &str, output: Value| {
        with(shell(index, name, &script), json!({"env": {"NAME": name}, "stdout": output, "stderr": output}))
    };
    place.configure(json!([
        speaker(0, "file", json!({"file": "f", "max_bytes": 1000})),
        speaker(1, "log", json!("log")),
        speaker(2, "nothing", json!("null")),
        sleeper(3, "silent"),
    ]));
    let mut daemon = place.start();
    let pids = ["file", "log", "nothing"].map(|name| daemon.place.pid(name));
    assert!(daemon.place.run(&["stop", "silent"]).status.success());
    daemon.signal(Signal::SIGKILL);
    daemon.ended();
    let place = Place { folder: daemon.place.folder.clone() };
    std::mem::forget(daemon);
    fs::write(place.file("go"), "").unwrap();
    for name in ["file", "log", "nothing"] {
        until("it has said all", || place.file(&format!("said.{name}")).exists());
    }
    assert!(pids.iter().all(|pid| lives(*pid)));
    let last = "line 2999 of a hundred bytes or so, so that no pipe would hold them all";
    assert!(read(&place, "log/f").ends_with(&format!("{last}\n")));
    assert!(!place.log().contains(last));
    // The next one takes over what is open, and what was said meanwhile.
    let daemon = place.start();
    assert_eq!(["file", "log", "nothing"].map(|name| daemon.place.pid(name)), pids);
    until("the lines are in the log", || daemon.place.log().contains(last));
    assert_eq!(said(&daemon.place, &["tail", "log", "-n", "1"]), format!("{last}\n"));
    assert_eq!(daemon.place.process("silent")["state"], "down", "who was stopped by hand stays so");
    let silent = with(sleeper(3, "silent"), json!({"args": ["2000"]}));
    let speakers = |place: &Place| -> Value {
        let document: Value = serde_json::from_slice(&fs::read(place.config()).unwrap()).unwrap();
        let processes = document["msf_procs"].as_array().unwrap();
        json!([processes[0], processes[1], processes[2], silent])
    };
    daemon.place.configure(speakers(&daemon.place));
    assert!(daemon.place.run(&["reload"]).status.success());
    assert_eq!(daemon.place.process("silent")["state"], "down");
}

#[test]
fn outputs_that_are_silent_cost_no_wake_ups_and_leave_nothing_behind() {
    let place = Place::new();
    place.configure(json!([
        with(shell(0, "log", "echo once; exec sleep 1000"), json!({"stdout": "log"})),
        with(shell(1, "file", "echo once; exec sleep 1000"), json!({"stdout": {"file": "f", "max_bytes": 1}})),
    ]));
    let mut daemon = place.start();
    until("it has spoken", || daemon.place.log().contains("once"));
    until("it was rotated", || daemon.place.file("log/f.1").exists());
    let wake_ups = || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let (mut before, mut since) = (wake_ups(), Instant::now());
    until("nothing wakes it", || {
        let now = wake_ups();
        if now != before {
            (before, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_millis(1500)
    });
    daemon.signal(Signal::SIGTERM);
    daemon.ended();
    assert_eq!(fs::read_dir(daemon.place.file("run")).unwrap().count(), 0);
}
