//! Processes are started, kept alive, and stopped.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, lives, polite, send, shell, sleeper, until};
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn a_killed_process_is_back_within_a_second() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let daemon = place.start();
    let before = daemon.place.pid("one");
    let killed = Instant::now();
    send(before, Signal::SIGKILL);
    until("another pid", || ![0, before].contains(&daemon.place.pid("one")));
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    let process = daemon.place.process("one");
    assert_eq!((&process["state"], &process["restarts"]), (&json!("up"), &json!(1)));
    assert_eq!((&process["last_exit"]["signal"], &process["last_exit"]["reason"]), (&json!(9), &json!("SIGKILL")));
}

#[test]
fn a_program_that_cannot_be_executed_is_a_failure_with_its_reason_and_the_others_run() {
    let place = Place::new();
    fs::write(place.file("text"), "no program").unwrap();
    place.configure(json!([
        {"proc_idx": 0, "proc_name": "absent", "proc_path": "/nowhere/at/all"},
        {"proc_idx": 1, "proc_name": "nameless", "proc_path": "no-such-program-anywhere"},
        {"proc_idx": 2, "proc_name": "text", "proc_path": place.file("text")},
        sleeper(3, "fine"),
    ]));
    let daemon = place.start();
    let reason = |name| daemon.place.process(name)["last_exit"]["reason"].as_str().unwrap().to_owned();
    assert!(reason("absent").starts_with("/nowhere/at/all: cannot execute: No such file"), "{}", reason("absent"));
    assert!(reason("nameless").starts_with("no executable \"no-such-program-anywhere\" in "), "{}", reason("nameless"));
    assert!(reason("text").contains("cannot execute: Permission denied"), "{}", reason("text"));
    assert_eq!(daemon.place.process("fine")["state"], "up");
    assert!(daemon.place.log().contains("absent: not started: /nowhere/at/all: cannot execute"));
    assert!(daemon.place.log().contains("absent: next start in "));
    until("tried on and on", || daemon.place.process("absent")["restarts"].as_u64() > Some(10));
    assert_eq!(daemon.place.process("absent")["pid"], json!(null));
}

#[test]
fn after_the_bucket_comes_a_growing_delay_and_never_the_end() {
    let place = Place::new();
    let law = json!({"immediate": 2, "refill_ms": 86_400_000, "delay_ms": 20, "delay_max_ms": 80});
    let mut dying = shell(0, "dying", "exit 3");
    dying["restart"] = law;
    place.configure(json!([dying]));
    let daemon = place.start();
    until("eight restarts", || daemon.place.process("dying")["restarts"].as_u64() >= Some(8));
    let log = daemon.place.log();
    let (at_once, later) = log.split_once("dying: next start in ").unwrap();
    assert_eq!(at_once.matches("dying: pid ").count(), 3, "the first life and two restarts\n{log}");
    assert!(at_once.contains(": exit code 3"));
    let delays: Vec<u32> = format!("dying: next start in {later}")
        .split("dying: next start in ")
        .skip(1)
        .filter_map(|rest| rest.split(' ').next()?.parse().ok())
        .collect();
    for (delay, most) in delays.iter().zip([20, 40, 80, 80, 80]) {
        assert!((most * 3 / 4..=most).contains(delay), "{delays:?}");
    }
    assert_eq!(daemon.place.process("dying")["last_exit"]["code"], 3);
}

#[test]
fn processes_are_stopped_in_reverse_order_and_the_daemon_ends_with_0() {
    let place = Place::new();
    let names = ["first", "second", "third"];
    place.configure(json!([polite(&place, 0, "first"), polite(&place, 1, "second"), polite(&place, 2, "third")]));
    let mut daemon = place.start();
    until("all listen", || names.iter().all(|name| daemon.place.file(&format!("ready.{name}")).exists()));
    let pids = names.map(|name| daemon.place.pid(name));
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.ended().code(), Some(0));
    assert_eq!(fs::read_to_string(daemon.place.file("ends")).unwrap(), "third\nsecond\nfirst\n");
    assert!(pids.iter().all(|pid| !lives(*pid)));
    assert!(!daemon.place.file("run/msf_daemon.sock").exists());
    assert!(!daemon.place.file("run/msf_daemon.pid").exists());
}

#[test]
fn who_ignores_sigterm_is_killed_after_his_time_with_all_he_started() {
    let place = Place::new();
    let folder = place.folder.display();
    let script = format!("trap '' TERM; sleep 1000 & echo $! > {folder}/below; while :; do sleep 1000; done");
    let mut deaf = shell(0, "deaf", &script);
    deaf["stop_timeout_ms"] = json!(200);
    place.configure(json!([deaf]));
    let mut daemon = place.start();
    let below = || fs::read_to_string(daemon.place.file("below")).unwrap_or_default();
    until("the process below", || below().ends_with('\n'));
    let (pid, below) = (daemon.place.pid("deaf"), below().trim().parse().unwrap());
    assert!(lives(pid) && lives(below));
    let told = Instant::now();
    daemon.signal(Signal::SIGINT);
    assert_eq!(daemon.ended().code(), Some(0));
    assert!(told.elapsed() >= Duration::from_millis(200));
    until("nobody is left", || !lives(pid) && !lives(below));
    assert!(daemon.place.log().contains("deaf: not ended in 200 ms; killed"));
}

#[test]
fn a_process_that_dies_while_others_are_stopped_is_not_started_again() {
    let place = Place::new();
    let folder = place.folder.display();
    // The second takes the first with it when it is told to end.
    let script = format!(
        "trap 'kill -9 $(cat {folder}/ready.first); exit 0' TERM; echo > {folder}/ready.second; while :; do sleep 1000 & wait; done"
    );
    place.configure(json!([polite(&place, 0, "first"), shell(1, "second", &script)]));
    let mut daemon = place.start();
    until("both listen", || {
        ["first", "second"].iter().all(|name| daemon.place.file(&format!("ready.{name}")).exists())
    });
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.ended().code(), Some(0));
    assert_eq!(daemon.place.log().matches("first: started").count(), 1);
}

#[test]
fn arguments_configuration_environment_and_folder_arrive() {
    let place = Place::new();
    fs::create_dir(place.file("inner")).unwrap();
    fs::write(place.file("tool"), "#!/bin/sh\n{ echo \"$@\"; echo \"$COLOUR $NOTIFY_SOCKET\"; pwd; } > told.new\nmv told.new told\nexec sleep 1000\n").unwrap();
    assert!(std::process::Command::new("chmod").arg("+x").arg(place.file("tool")).status().unwrap().success());
    place.configure(json!([{
        "proc_idx": 0, "proc_name": "tool", "proc_path": "tool", "proc_conf": "tool.json",
        "args": ["-x", "two words"], "env": {"COLOUR": "blue"}, "working_directory": "inner",
    }]));
    let daemon = place.start();
    let told = daemon.place.file("inner/told");
    until("the tool has spoken", || told.exists());
    let folder = daemon.place.folder.display();
    let expected = format!("-c {folder}/tool.json -x two words\nblue \n{folder}/inner\n");
    assert_eq!(fs::read_to_string(told).unwrap(), expected);
}

#[test]
fn processes_go_on_when_the_daemon_is_killed() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let mut daemon = place.start();
    let pid = daemon.place.pid("one");
    assert!(daemon.place.run(&["-k", "kill"]).status.success());
    assert_eq!(daemon.ended().code(), None);
    assert!(lives(pid));
    send(pid, Signal::SIGKILL);
    // What the killed one left behind is in nobody's way.
    let mut second = common::Place { folder: daemon.place.folder.clone() }.start();
    assert_eq!(second.place.process("one")["state"], "up");
    second.signal(Signal::SIGTERM);
    assert_eq!(second.ended().code(), Some(0));
}

#[test]
fn a_process_has_the_rights_limits_and_shares_of_its_entry() {
    let place = Place::new();
    let root = nix::unistd::geteuid().is_root();
    let told = place.file("told");
    let mut script =
        String::from("ulimit -n; ulimit -Hc; umask; nice; grep Cpus_allowed_list /proc/$$/status | cut -f2;");
    script += "cut -d' ' -f41 /proc/$$/stat;";
    script += if root { "id -u; id -g; id -G; grep CapEff /proc/$$/status | cut -f2" } else { "" };
    let mut process = shell(0, "one", &format!("({script}) > told.new; mv told.new told; exec sleep 1000"));
    fs::create_dir(place.file("w")).unwrap();
    std::os::unix::fs::chown(place.file("w"), Some(65534).filter(|_| root), None).unwrap();
    let cpu = fs::read_to_string("/proc/self/status").unwrap();
    let cpu = cpu.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap();
    let cpu: u32 = cpu.split(['\t', '-', ',']).nth(1).unwrap().parse().unwrap();
    let keys = json!({
        "rlimits": {"nofile": [50, 60], "core": 0}, "umask": "027", "nice": 19, "cpu_affinity": [cpu],
        "scheduling": {"class": "batch"}, "cgroup": {"pids_max": 100}, "working_directory": "w",
    });
    let as_root = json!({"user": "65534", "group": 65534, "groups": ["65533"], "capabilities": ["chown"]});
    let all = keys.as_object().unwrap().iter().chain(as_root.as_object().unwrap().iter().filter(|_| root));
    all.for_each(|(key, value)| process[key] = value.clone());
    place.configure(json!([process]));
    let daemon = place.start();
    let told = told.parent().unwrap().join("w/told");
    until("it has spoken", || told.exists());
    let mut expected = format!("50\n0\n0027\n19\n{cpu}\n3\n");
    if root {
        expected += "65534\n65534\n65534 65533\n0000000000000001\n";
    }
    assert_eq!(fs::read_to_string(told).unwrap(), expected);
    assert_eq!(daemon.place.process("one")["state"], "up");
}
