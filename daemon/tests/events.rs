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
    assert_eq!((time.len(), &time[10..11], &time[19..20], &time[26..]), (27, "T", ".", "Z"));
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
    // What is asked for is the same, with the same numbers.
    let told = daemon.place.run(&["events", "--json"]).stdout;
    let file = fs::read(daemon.place.file("log/msf_daemon.events.jsonl")).unwrap();
    assert!(!told.is_empty() && file.starts_with(&told), "{}", String::from_utf8_lossy(&told));
}

#[test]
fn regress_numbers_go_on_when_the_file_was_lost_with_the_daemon() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let mut daemon = place.start();
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    let last = events(&daemon.place).last().unwrap()["seq"].as_u64().unwrap();
    fs::remove_file(daemon.place.file("log/msf_daemon.events.jsonl")).unwrap();
    fs::remove_file(daemon.place.file("run/msf_daemon.events")).unwrap();
    daemon.child = daemon.place.command(common::DAEMON).arg("-c").arg(daemon.place.config()).spawn().unwrap();
    until("it answers", || daemon.place.run(&["status"]).status.success());
    assert!(daemon.place.run(&["restart", "one"]).status.success());
    until("events are written", || !events(&daemon.place).is_empty());
    assert!(events(&daemon.place)[0]["seq"].as_u64() > Some(last));
}

#[test]
fn whoever_knows_a_number_is_told_all_that_comes_behind_it() {
    let place = Place::new();
    let mut dies = common::shell(0, "dies", "exit 1");
    dies["restart"] = json!({"immediate": 1000, "refill_ms": 1, "delay_ms": 1, "delay_max_ms": 1});
    place.configure(json!([dies, sleeper(1, "one")]));
    let daemon = place.start();
    let place = &daemon.place;
    until("the daemon has forgotten the first ones", || events(place).len() > 300);
    assert!(place.run(&["stop", "dies"]).status.success());
    let told = |since: &str| -> Vec<u64> {
        let told = place.run(&["events", "--since", since, "--json"]);
        assert!(told.status.success() && told.stderr.is_empty(), "{told:?}");
        let text = String::from_utf8(told.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap()).collect()
    };
    let all = told("0");
    let last = all.len() as u64;
    assert_eq!(all, (1..=last).collect::<Vec<u64>>());
    assert_eq!(told("7"), all[7..]);
    assert_eq!(told(&(last - 2).to_string()), all[all.len() - 2..]);
    assert!(told(&last.to_string()).is_empty());
    let people = String::from_utf8(place.run(&["events", "--since", "7"]).stdout).unwrap();
    assert!(people.lines().next().unwrap().contains(" 8 "), "{people}");
    // Who follows gets them, too, and what comes.
    let mut following = place.command(common::DAEMON);
    following.args(["events", "-f", "--json", "--since", "7"]).stdout(std::process::Stdio::piped());
    let mut following = following.spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(following.stdout.take().unwrap()));
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["seq"].as_u64().unwrap();
    assert_eq!((8..=last).map(|_| next()).collect::<Vec<u64>>(), all[7..]);
    assert!(place.run(&["restart", "one"]).status.success());
    assert_eq!((next(), next()), (last + 1, last + 2));
    following.kill().unwrap();
    following.wait().unwrap();
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
