//! Every change of a process is a line of the events file, and what is wrong with one is told.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, send, sleeper, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;

fn events(place: &Place) -> Vec<Value> {
    let text = fs::read_to_string(place.file("log/msf_daemon.events.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `from -> to` of every change of one process.
fn changes(place: &Place, name: &str) -> Vec<String> {
    let own = events(place).into_iter().filter(|line| line["event"] == "state" && line["name"] == name);
    own.map(|line| format!("{} -> {}", line["from"].as_str().unwrap(), line["to"].as_str().unwrap())).collect()
}

/// `kind state` of every alarm of one process.
fn alarms(place: &Place, name: &str) -> Vec<String> {
    let own = events(place).into_iter().filter(|line| line["event"] == "alarm" && line["name"] == name);
    own.map(|line| format!("{} {}", line["alarm"].as_str().unwrap(), line["state"].as_str().unwrap())).collect()
}

#[test]
fn every_change_is_a_line_and_numbers_go_on_after_the_daemon_was_killed() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let mut daemon = place.start();
    let pid = daemon.place.pid("one");
    send(pid, Signal::SIGSEGV);
    until("it is back", || ![0, pid].contains(&daemon.place.pid("one")));
    let again = daemon.place.pid("one");
    assert_eq!(
        changes(&daemon.place, "one"),
        ["down -> starting", "starting -> up", "up -> starting", "starting -> up"]
    );
    let lines = events(&daemon.place);
    let death = &lines[2];
    assert_eq!((&death["pid"], &death["signal"], &death["exit_code"]), (&json!(pid), &json!(11), &Value::Null));
    assert!(death["cause"].as_str().unwrap().starts_with("SIGSEGV"), "{death}");
    assert_eq!((&death["restarts"], &lines[3]["pid"]), (&json!(1), &json!(again)));
    let time = death["time"].as_str().unwrap();
    assert_eq!((time.len(), &time[10..11], &time[19..20], &time[23..]), (24, "T", ".", "Z"));
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    let seen = events(&daemon.place).len();
    let second = daemon.place.command(common::DAEMON).arg("-c").arg(daemon.place.config()).spawn().unwrap();
    daemon.child = second;
    until("it answers", || daemon.place.run(&["status"]).status.success());
    // It goes on with the process, whoever had started that.
    let now = daemon.place.pid("one");
    send(now, Signal::SIGKILL);
    until("its end is told", || events(&daemon.place).len() > seen + 1);
    let numbers: Vec<u64> = events(&daemon.place).iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]) && numbers[0] == 1, "{numbers:?}");
}

#[test]
fn a_crash_loop_is_told_once_and_again_when_it_is_over() {
    let place = Place::new();
    let script = format!("[ -e {}/well ] && exec sleep 1000; exit 3", place.folder.display());
    let mut process = common::shell(0, "loops", &script);
    process["restart"] = json!({"immediate": 2, "delay_ms": 10, "delay_max_ms": 20, "reset_ms": 200});
    let mut missing = sleeper(1, "waits");
    missing["wait_for"] = json!([place.file("device")]);
    missing["wait_retry_ms"] = json!(20);
    let mut nobody = sleeper(2, "nobody");
    nobody["proc_path"] = json!("/nowhere/at/all");
    place.configure(json!([process, missing, nobody]));
    let daemon = place.start();
    let place = &daemon.place;
    until("it is told", || alarms(place, "loops").len() == 1);
    let deaths = |place: &Place| changes(place, "loops").len();
    let before = deaths(place);
    until("it goes on", || deaths(place) > before + 6);
    assert_eq!(alarms(place, "loops"), ["crash-loop raised"]);
    assert_eq!(alarms(place, "waits"), ["held raised"]);
    assert_eq!(alarms(place, "nobody"), ["not-started raised"]);
    fs::write(place.file("well"), "").unwrap();
    fs::write(place.file("device"), "").unwrap();
    until("it is over", || alarms(place, "loops") == ["crash-loop raised", "crash-loop recovered"]);
    until("it is there", || alarms(place, "waits") == ["held raised", "held recovered"]);
}

#[test]
fn whoever_does_not_start_or_stop_in_time_is_told_of() {
    let place = Place::new();
    let mut slow = common::shell(0, "slow", "trap '' TERM; while :; do sleep 0.05; done");
    slow["ready"] = json!({"by": "fd", "timeout_ms": 100});
    slow["stop_timeout_ms"] = json!(50);
    place.configure(json!([slow]));
    let daemon = place.start();
    until("both are told", || alarms(&daemon.place, "slow").len() >= 3);
    assert_eq!(
        alarms(&daemon.place, "slow")[..3],
        ["start-timeout raised", "stop-timeout raised", "stop-timeout recovered"]
    );
}
