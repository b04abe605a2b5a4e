//! A daemon that was killed and started again goes on with what runs.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Daemon, Place, lives, send, shell, sleeper, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Kills the daemon, lets something happen, and starts another one in the same place.
fn again(mut daemon: Daemon, meanwhile: impl FnOnce(&Place)) -> Daemon {
    daemon.signal(Signal::SIGKILL);
    daemon.ended();
    // The place is the new one's.
    let folder = daemon.place.folder.clone();
    std::mem::forget(daemon);
    let place = Place { folder };
    meanwhile(&place);
    place.start()
}

fn state(place: &Place, name: &str) -> String {
    place.process(name)["state"].as_str().unwrap_or("none").to_owned()
}

fn with(mut process: Value, more: Value) -> Value {
    more.as_object().unwrap().iter().for_each(|(key, value)| process[key] = value.clone());
    process
}

#[test]
fn running_children_are_adopted_with_their_counters_and_go_on_being_supervised() {
    let place = Place::new();
    place.configure(json!([
        sleeper(0, "one"),
        sleeper(1, "two"),
        with(shell(2, "done", "exit 0"), json!({"restart": {"policy": "on-failure"}})),
    ]));
    let daemon = place.start();
    send(daemon.place.pid("one"), Signal::SIGKILL);
    until("one is back", || daemon.place.process("one")["restarts"] == 1 && state(&daemon.place, "one") == "up");
    until("one has done its work", || state(&daemon.place, "done") == "down");
    let pids = ["one", "two"].map(|name| daemon.place.pid(name));
    let daemon = again(daemon, |_| {});
    assert_eq!(["one", "two"].map(|name| daemon.place.pid(name)), pids);
    let one = daemon.place.process("one");
    assert_eq!((&one["state"], &one["restarts"], &one["last_exit"]["signal"]), (&json!("up"), &json!(1), &json!(9)));
    // What has done its work is not done again.
    assert_eq!(state(&daemon.place, "done"), "down");
    assert_eq!(daemon.place.log().matches("done: started").count(), 1);
    send(pids[1], Signal::SIGKILL);
    until("two is another", || ![0, pids[1]].contains(&daemon.place.pid("two")));
    let last = daemon.place.process("two")["last_exit"].clone();
    let reason = last["reason"].as_str().unwrap();
    assert!(last["signal"] == 9 || reason.starts_with("gone, nobody knows how"), "{last}");
    let mut daemon = again(daemon, |_| {});
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.ended().code(), Some(0));
    assert!(!lives(pids[0]), "an adopted one is stopped as well");
    assert!(fs::read_dir(daemon.place.file("run")).unwrap().next().is_none(), "nothing is left in the run directory");
}

/// The alarms that were told: of whom, which, and how it stood.
fn alarms(place: &Place) -> Vec<[String; 3]> {
    let text = fs::read_to_string(place.file("log/msf_daemon.events.jsonl")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let alarms = lines.filter(|line| line["event"] == "alarm");
    alarms.map(|line| ["name", "alarm", "state"].map(|key| line[key].as_str().unwrap().to_owned())).collect()
}

#[test]
fn alarms_that_were_open_are_not_told_again_and_their_end_is() {
    let place = Place::new();
    let (well, calm) = (place.file("well"), place.file("calm"));
    let loops = |index, name, until: &Path, reset: u32| {
        let script = format!("[ -e {} ] && exec sleep 1000; exit 3", until.display());
        let law = json!({"immediate": 0, "delay_ms": 20, "delay_max_ms": 20, "reset_ms": reset});
        with(shell(index, name, &script), json!({"restart": law}))
    };
    let numbers = 3..=8;
    let [open, closed] =
        ["</dev/null ", "<&- "].map(|to| numbers.clone().map(|fd| format!("{fd}{to}")).collect::<String>());
    let script =
        format!("exec {open}; until [ -e {} ]; do sleep 0.02; done; exec {closed}; exec sleep 1000", well.display());
    let probe = json!({"by": "exec", "command": ["test", "-e", well], "interval_ms": 300, "act": "alarm"});
    place.configure(json!([
        with(shell(0, "large", &script), json!({"limits": {"sample_ms": 50, "fds": {"warn": 8}}})),
        with(sleeper(1, "ill"), json!({"health": probe})),
        loops(2, "loops", &well, 100),
        loops(3, "calms", &calm, 1500),
    ]));
    let daemon = place.start();
    until("all is told", || alarms(&daemon.place).len() == 4);
    fs::write(&calm, "").unwrap();
    until("it stays up", || daemon.place.process("calms")["uptime_ms"].as_u64() > Some(50));
    let daemon = again(daemon, |_| {});
    assert_eq!(daemon.place.process("large")["above_limits"], json!(["fds"]));
    let restarts = || daemon.place.process("loops")["restarts"].as_u64();
    let before = restarts();
    until("it goes on dying", || restarts() > before.map(|before| before + 3));
    until("it is found ill anew", || {
        let health = daemon.place.process("ill")["health"].as_str().unwrap_or_default().to_owned();
        health.starts_with("ill: ") && health != "ill: as a daemon before this one has found"
    });
    until("who has calmed down is told of", || alarms(&daemon.place).len() == 5);
    fs::write(&well, "").unwrap();
    until("the end of all is told", || alarms(&daemon.place).len() == 8);
    let mut told = alarms(&daemon.place);
    told[..4].sort();
    let all = [["calms", "crash-loop"], ["ill", "health"], ["large", "files"], ["loops", "crash-loop"]];
    assert_eq!(told[..4], all.map(|[name, kind]| [name, kind, "raised"].map(str::to_owned)));
    assert_eq!(told[4], ["calms", "crash-loop", "recovered"].map(str::to_owned));
    told[5..].sort();
    assert_eq!(told[5..], [all[1], all[2], all[3]].map(|[name, kind]| [name, kind, "recovered"].map(str::to_owned)));
}

#[test]
fn who_has_died_meanwhile_is_started_again_and_who_has_gone_from_the_file_is_stopped() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "dies"), sleeper(1, "goes"), sleeper(2, "changes"), sleeper(3, "stays")]));
    let daemon = place.start();
    let pids = ["dies", "goes", "changes", "stays"].map(|name| daemon.place.pid(name));
    let daemon = again(daemon, |place| {
        send(pids[0], Signal::SIGKILL);
        until("it is dead", || !lives(pids[0]));
        let changes = with(sleeper(2, "changes"), json!({"args": ["2000"]}));
        place.configure(json!([sleeper(0, "dies"), changes, sleeper(3, "stays"), sleeper(4, "new")]));
    });
    until("all that are wanted are up", || {
        ["dies", "changes", "stays", "new"].iter().all(|name| state(&daemon.place, name) == "up")
    });
    until("who is gone from the file is gone", || !lives(pids[1]) && daemon.place.process("goes") == Value::Null);
    until("who has changed runs anew", || ![0, pids[2]].contains(&daemon.place.pid("changes")) && !lives(pids[2]));
    assert_eq!(daemon.place.pid("stays"), pids[3]);
    assert_eq!(daemon.place.process("dies")["restarts"], 1);
    assert_eq!(daemon.place.process("changes")["restarts"], 0);
}

#[test]
fn a_stranger_with_the_number_is_left_alone_and_so_is_another_run_of_the_machine() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let daemon = place.start();
    let pid = daemon.place.pid("one");
    let state_of = |place: &Place| fs::read_to_string(place.file("run/msf_daemon.state")).unwrap();
    assert!(state_of(&daemon.place).contains(&format!("\"process\":[{pid},")));
    // Another boot: the whole file is nobody's, and the process with it.
    let daemon = again(daemon, |place| {
        let text = state_of(place);
        let head = text.lines().next().unwrap();
        let other = "{\"boot\":\"0000\",\"format\":1}";
        let head_of_other = format!("{:08x} {other}", msf_core::crypto::crc32(other.as_bytes()));
        fs::write(place.file("run/msf_daemon.state"), text.replace(head, &head_of_other)).unwrap();
    });
    let second = daemon.place.pid("one");
    assert!(second != pid && lives(pid) && lives(second));
    assert_eq!(daemon.place.process("one")["restarts"], 0);
    // The same number, born at another time.
    let daemon = again(daemon, |place| {
        let text = state_of(place);
        let last = text.lines().last().unwrap().split_once(' ').unwrap().1;
        let at = last.find(&format!("[{second},")).unwrap() + format!("[{second},").len();
        let mut odd = last.to_owned();
        odd.insert(at, '1');
        let line = format!("{:08x} {odd}\n", msf_core::crypto::crc32(odd.as_bytes()));
        fs::write(place.file("run/msf_daemon.state"), text + &line).unwrap();
    });
    until("another one is up", || state(&daemon.place, "one") == "up");
    assert!(daemon.place.pid("one") != second && lives(second), "a stranger is not killed");
    for stray in [pid, second] {
        send(stray, Signal::SIGKILL);
    }
}

#[test]
fn a_state_file_that_is_cut_anywhere_stops_nobody() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let mut daemon = place.start();
    let bytes = fs::read(daemon.place.file("run/msf_daemon.state")).unwrap();
    let mut known = vec![daemon.place.pid("one")];
    for length in (0..bytes.len()).step_by(bytes.len() / 9 + 1) {
        daemon = again(daemon, |place| fs::write(place.file("run/msf_daemon.state"), &bytes[..length]).unwrap());
        assert_eq!(state(&daemon.place, "one"), "up");
        known.push(daemon.place.pid("one"));
    }
    let last = known.last().copied().unwrap();
    for pid in known.into_iter().filter(|pid| *pid != last && lives(*pid)) {
        send(pid, Signal::SIGKILL);
    }
}

#[test]
fn readiness_and_waiting_go_on_under_the_next_daemon() {
    let place = Place::new();
    let device = place.file("device");
    let port = place.file("now");
    place.configure(json!([
        with(
            sleeper(0, "probed"),
            json!({"ready": {"by": "exec", "command": ["test", "-e", port], "interval_ms": 10}})
        ),
        with(sleeper(1, "held"), json!({"wait_for": [device], "wait_retry_ms": 20})),
        with(sleeper(2, "needs"), json!({"requires": ["probed"]})),
    ]));
    let daemon = place.start();
    let pid = daemon.place.pid("probed");
    assert_eq!(state(&daemon.place, "probed"), "starting");
    let daemon = again(daemon, |_| {});
    assert_eq!((state(&daemon.place, "probed").as_str(), daemon.place.pid("probed")), ("starting", pid));
    assert_eq!(["held", "needs"].map(|name| state(&daemon.place, name)), ["held", "held"]);
    fs::write(&port, "").unwrap();
    fs::write(&device, "").unwrap();
    until("all are up", || ["probed", "held", "needs"].iter().all(|name| state(&daemon.place, name) == "up"));
    assert_eq!(daemon.place.pid("probed"), pid);
}

#[test]
fn who_is_just_being_made_when_the_daemon_dies_is_found_by_its_mark() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let daemon = place.start();
    let pid = daemon.place.pid("one");
    let daemon = again(daemon, |place| {
        let path = place.file("run/msf_daemon.state");
        // As if it had not come to writing the number down.
        let text = fs::read_to_string(&path).unwrap();
        let last = text.lines().last().unwrap().split_once(' ').unwrap().1;
        let (before, rest) = last.split_once(&format!("\"process\":[{pid},")).unwrap();
        let cut =
            format!("{before}\"process\":null{}", rest.split_once(']').unwrap().1).replace("\"up\"", "\"starting\"");
        let line = format!("{:08x} {cut}\n", msf_core::crypto::crc32(cut.as_bytes()));
        fs::write(&path, text + &line).unwrap();
    });
    assert_eq!((daemon.place.pid("one"), state(&daemon.place, "one").as_str()), (pid, "up"));
}
