//! A new configuration changes what differs and nothing else.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, polite, sleeper, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;

#[test]
fn sighup_starts_stops_and_restarts_the_difference_only() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "kept"), sleeper(1, "changed"), sleeper(2, "gone")]));
    let daemon = place.start();
    let pid = |name| daemon.place.pid(name);
    let (kept, changed) = (pid("kept"), pid("changed"));
    let mut other = sleeper(5, "changed");
    other["args"] = json!(["2000"]);
    daemon.place.configure(json!([sleeper(9, "new"), sleeper(0, "kept"), other]));
    daemon.signal(Signal::SIGHUP);
    until("the new one is up", || pid("new") != 0);
    until("the changed one is another", || ![0, changed].contains(&pid("changed")));
    until("the old one is gone", || daemon.place.process("gone") == Value::Null);
    assert_eq!(pid("kept"), kept);
    assert_eq!(daemon.place.process("kept")["restarts"], 0);
    let status = daemon.place.status();
    let names: Vec<&Value> = status["processes"].as_array().unwrap().iter().map(|process| &process["name"]).collect();
    assert_eq!(names, ["new", "kept", "changed"], "in the order of the file");
}

#[test]
fn whoever_reloads_is_told_of_unknown_keys_and_of_programs_that_cannot_be_executed() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let daemon = place.start();
    let mut one = sleeper(0, "one");
    one["proc_nane"] = json!("typo");
    daemon.place.configure(json!([one]));
    let refused = daemon.place.run(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert!(complaint.contains("proc_nane: unknown key; did you mean \"proc_name\"?"), "{complaint}");
    // In a file that has the original's keys only, it is a warning.
    let mut original = serde_json::to_value(json!({"msf_author": "a", "msf_version": "v", "msf_desc": "d"})).unwrap();
    let plain = json!({"proc_idx": 0, "proc_name": "one", "proc_path": "yes", "proc_nane": "typo"});
    let absent = json!({"proc_idx": 1, "proc_name": "absent", "proc_path": "/nowhere/at/all"});
    original["msf_procs"] = json!([plain, absent]);
    fs::write(daemon.place.config(), original.to_string()).unwrap();
    let reload = daemon.place.run(&["reload"]);
    let told = String::from_utf8(reload.stdout).unwrap();
    let lines: Vec<_> = told.lines().collect();
    assert_eq!((reload.status.code(), lines.len(), lines[0]), (Some(0), 3, "restart one, start absent"), "{told}");
    assert!(lines[1].starts_with("warning: ") && lines[1].contains("proc_nane"), "{told}");
    assert!(lines[2].starts_with("warning: absent: not started: /nowhere/at/all: cannot execute: No such"), "{told}");
}

#[test]
fn a_file_that_cannot_be_used_leaves_everything_as_it_is() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let daemon = place.start();
    let pid = daemon.place.pid("one");
    fs::write(daemon.place.config(), "{\"msf_procs\": [{\"proc_idx\": 0, \"proc_name\": 7}]}").unwrap();
    let reload = daemon.place.run(&["reload"]);
    assert_eq!(reload.status.code(), Some(1));
    let complaint = String::from_utf8(reload.stderr).unwrap();
    assert!(complaint.contains("d.json: msf_procs[0].proc_name: expected a string, found a number"), "{complaint}");
    daemon.signal(Signal::SIGHUP);
    until("the log says so", || daemon.place.log().matches("the old configuration goes on").count() >= 2);
    assert_eq!(daemon.place.pid("one"), pid);
    daemon.place.configure(json!([sleeper(0, "one"), sleeper(1, "two")]));
    let reload = daemon.place.run(&["reload"]);
    assert_eq!(String::from_utf8(reload.stdout).unwrap(), "keep one, start two\n");
    assert_eq!(daemon.place.pid("one"), pid);
    assert_eq!(daemon.place.log().matches("the old configuration goes on").count(), 2, "once for each");
}

#[test]
fn a_process_taken_out_and_put_back_while_it_still_ends_is_started_again() {
    let place = Place::new();
    let folder = place.folder.display().to_string();
    // Ends only when the file appears.
    let script = format!(
        "trap 'while [ ! -e {folder}/now ]; do sleep 0.01; done; exit 0' TERM; echo > {folder}/ready; while :; do sleep 1000 & wait; done"
    );
    let slow = common::shell(0, "slow", &script);
    place.configure(json!([slow, sleeper(1, "other")]));
    let daemon = place.start();
    until("it listens", || daemon.place.file("ready").exists());
    let pid = daemon.place.pid("slow");
    daemon.place.configure(json!([sleeper(1, "other")]));
    assert!(daemon.place.run(&["reload"]).status.success());
    assert_eq!(daemon.place.process("slow")["state"], "stopping");
    daemon.place.configure(json!([slow, sleeper(1, "other")]));
    assert!(daemon.place.run(&["reload"]).status.success());
    fs::write(daemon.place.file("now"), "").unwrap();
    until("it is up again", || ![0, pid].contains(&daemon.place.pid("slow")));
    assert_eq!(daemon.place.process("slow")["state"], "up");
}

#[test]
fn another_law_or_index_is_taken_over_without_a_restart() {
    let place = Place::new();
    place.configure(json!([polite(&place, 0, "one")]));
    let daemon = place.start();
    let pid = daemon.place.pid("one");
    let mut other = polite(&daemon.place, 4, "one");
    other["restart"] = json!({"immediate": 0});
    daemon.place.configure(json!([other]));
    assert!(daemon.place.run(&["-k", "reload"]).status.success());
    let process = daemon.place.process("one");
    assert_eq!((&process["proc_idx"], &process["pid"]), (&json!(4), &json!(pid)));
}
