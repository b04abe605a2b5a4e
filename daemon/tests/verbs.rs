//! What is asked by hand: single processes are started, stopped, signalled, waited for and followed.
#![allow(clippy::unwrap_used)]

mod common;

use common::{DAEMON, Daemon, Place, lives, send, shell, sleeper, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn with(mut process: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        process[key] = value.clone();
    }
    process
}

fn state(place: &Place, name: &str) -> String {
    place.process(name)["state"].as_str().unwrap_or("none").to_owned()
}

/// The exit status, and what was said, on whichever side.
fn said(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

fn asked(place: &Place, words: &[&str]) -> (i32, String) {
    said(&place.run(words))
}

fn begin(place: &Place, words: &[&str]) -> Child {
    place.command(DAEMON).args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn socket(daemon: &Daemon) -> UnixStream {
    let stream = UnixStream::connect(daemon.place.file("run/msf_daemon.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Ready when the file `now` appears.
fn late(place: &Place, index: i32, name: &str) -> Value {
    let folder = place.folder.display();
    let script = format!("while [ ! -e {folder}/now ]; do sleep 0.01; done; echo >&$MSF_READY_FD; exec sleep 1000");
    with(shell(index, name, &script), json!({"ready": {"by": "fd"}}))
}

#[test]
fn who_was_stopped_by_hand_stays_so_until_he_is_started() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one"), sleeper(1, "two")]));
    let daemon = place.start();
    let place = &daemon.place;
    let (one, two) = (place.pid("one"), place.pid("two"));
    assert_eq!(asked(place, &["stop", "one"]), (0, "one: down, after SIGTERM\n".to_owned()));
    assert!(!lives(one) && lives(two));
    // Whatever a reload changes about him.
    for args in [json!(["1000"]), json!(["2000"])] {
        place.configure(json!([with(sleeper(0, "one"), json!({"args": args})), sleeper(1, "two")]));
        assert_eq!(place.run(&["reload"]).status.code(), Some(0));
        assert_eq!(state(place, "one"), "down");
    }
    place.configure(json!([
        sleeper(0, "one"),
        sleeper(1, "two"),
        with(sleeper(2, "needs"), json!({"requires": ["one"]}))
    ]));
    assert!(place.run(&["reload"]).status.success());
    assert_eq!((state(place, "one").as_str(), state(place, "needs").as_str()), ("down", "held"));
    let (code, told) = asked(place, &["start", "one", "one"]);
    assert_eq!((code, told), (0, format!("one: up, pid {}\n", place.pid("one"))));
    until("who needs it is up", || state(place, "needs") == "up");
    assert_eq!((place.pid("two"), place.process("one")["restarts"].as_u64()), (two, Some(0)));
    // To start who is up, or stop who is down, is done already.
    assert_eq!(place.run(&["start", "one"]).status.code(), Some(0));
    assert_eq!(place.run(&["stop", "needs", "one"]).status.code(), Some(0));
    assert_eq!(place.run(&["stop", "one"]).status.code(), Some(0));
    // Whom he requires is started with him.
    assert_eq!(place.run(&["start", "needs"]).status.code(), Some(0));
    assert_eq!(state(place, "one"), "up");
}

#[test]
fn restart_gives_another_process_and_start_waits_until_it_is_ready() {
    let place = Place::new();
    let late = late(&place, 1, "late");
    place.configure(json!([sleeper(0, "one"), late]));
    let daemon = place.start();
    let place = &daemon.place;
    let before = place.pid("one");
    let (code, told) = asked(place, &["restart", "one"]);
    let after = place.pid("one");
    assert_eq!((code, told), (0, format!("one: up, pid {after}\n")));
    assert!(after != before && !lives(before));
    assert_eq!(asked(place, &["restart", "late", "--no-wait"]), (0, String::new()));
    assert_eq!(
        asked(place, &["start", "late", "--timeout", "0.05"]),
        (4, "msf_daemon: late: not in time: starting\n".into())
    );
    let waiting = begin(place, &["wait", "late", "--ready", "--timeout", "60"]);
    fs::write(place.file("now"), "").unwrap();
    assert_eq!(waiting.wait_with_output().unwrap().status.code(), Some(0));
    assert_eq!(state(place, "late"), "up");
}

#[test]
fn a_start_that_fails_says_why() {
    let place = Place::new();
    place.configure(json!([
        {"proc_idx": 0, "proc_name": "absent", "proc_path": "/nowhere/at/all"},
        with(sleeper(1, "held"), json!({"wait_for": ["/nowhere/device"]})),
        with(sleeper(2, "behind"), json!({"requires": ["held"]})),
        with(shell(3, "once", "exit 3"), json!({"restart": {"policy": "never"}, "ready": {"by": "fd"}})),
    ]));
    let daemon = place.start();
    for (name, why) in [
        ("absent", "absent: waiting, after /nowhere/at/all: cannot execute"),
        ("held", "held: held: waits for /nowhere/device, which is not there"),
        ("behind", "behind: held: requires held, which is held"),
        ("once", "once: down, after exit code 3"),
    ] {
        let (code, told) = asked(&daemon.place, &["start", name]);
        assert!(code == 1 && told.contains(why), "{code} {told}");
    }
    assert_eq!(asked(&daemon.place, &["wait", "once", "--timeout", "0.01"]).0, 4);
    assert_eq!(asked(&daemon.place, &["wait", "once", "--down"]).0, 0);
}

#[test]
fn every_exit_status_means_one_thing() {
    let place = Place::new();
    assert_eq!(asked(&place, &["stop", "one"]).0, 5);
    assert_eq!(asked(&place, &["tail", "one"]).0, 5);
    place.configure(json!([sleeper(0, "one")]));
    let daemon = place.start();
    for words in [
        &["stop"][..],
        &["signal", "HUP"],
        &["signal", "one", "NOTHING"],
        &["tail", "one", "two"],
        &["tail", "one", "-n", "x"],
        &["wait", "one", "--ready", "--down"],
        &["wait", "one", "--timeout", "-1"],
        &["stop", "one", "--no-wait", "--timeout", "1"],
        &["reload", "one"],
        &["reload", "--json"],
        &["events", "one"],
    ] {
        let (code, told) = asked(&daemon.place, words);
        assert_eq!((code, told.lines().count()), (2, 1), "{words:?}: {told}");
    }
    for words in
        [&["stop", "one", "tow"][..], &["status", "tow"], &["signal", "tow", "HUP"], &["tail", "tow"], &["wait", "tow"]]
    {
        assert_eq!(asked(&daemon.place, words), (3, "msf_daemon: no process is called \"tow\"\n".into()), "{words:?}");
    }
    assert_eq!(state(&daemon.place, "one"), "up", "of several names all must be there");
    assert_eq!(asked(&daemon.place, &["wait", "one", "--down", "--timeout", "0.02"]).0, 4);
    assert_eq!(asked(&daemon.place, &["tail", "one"]).0, 1);
}

#[test]
fn a_signal_reaches_the_process_and_who_does_not_run_is_told() {
    let place = Place::new();
    let folder = place.folder.display().to_string();
    let script = format!("trap 'echo > {folder}/heard' USR1; echo > {folder}/ready; while :; do sleep 0.01; done");
    place.configure(json!([shell(0, "one", &script), sleeper(1, "two")]));
    let daemon = place.start();
    until("it listens", || daemon.place.file("ready").exists());
    let told = asked(&daemon.place, &["signal", "one", "USR1"]);
    assert_eq!(told, (0, format!("one: sent to pid {}\n", daemon.place.pid("one"))));
    until("it has heard", || daemon.place.file("heard").exists());
    assert_eq!(daemon.place.run(&["stop", "two"]).status.code(), Some(0));
    let (code, told) = asked(&daemon.place, &["signal", "one", "two", "SIGCONT"]);
    assert!(code == 1 && told.contains("two: does not run; it is down"), "{told}");
    let before = daemon.place.pid("one");
    assert_eq!(asked(&daemon.place, &["signal", "one", "9"]).0, 0);
    until("it is back", || ![0, before].contains(&daemon.place.pid("one")));
}

#[test]
fn status_shows_those_who_were_named() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one"), sleeper(1, "two"), sleeper(2, "three")]));
    let daemon = place.start();
    let (code, table) = asked(&daemon.place, &["status", "one", "three"]);
    assert_eq!((code, table.lines().count()), (0, 4), "{table}");
    let (_, document) = asked(&daemon.place, &["status", "two", "--json"]);
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["processes"].as_array().unwrap().len(), 1);
    assert_eq!(document["processes"][0]["name"], "two");
}

#[test]
fn events_tell_what_has_happened_and_then_what_happens() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let daemon = place.start();
    let (code, told) = asked(&daemon.place, &["events"]);
    assert!(code == 0 && told.contains(" one: starting -> up, pid "), "{told}");
    let mut following = begin(&daemon.place, &["events", "-f", "-n", "1", "--json"]);
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let first = next();
    assert_eq!((&first["name"], &first["to"], &first["event"]), (&json!("one"), &json!("up"), &json!("state")));
    send(daemon.place.pid("one"), Signal::SIGKILL);
    let mut number = first["seq"].as_u64().unwrap();
    let again = loop {
        let event = next();
        number += 1;
        assert_eq!(event["seq"], number, "none is left out");
        if event["to"] == "up" {
            break event;
        }
    };
    assert_eq!((&again["restarts"], &again["pid"]), (&json!(1), &json!(daemon.place.pid("one"))));
    drop(daemon);
    let ended = following.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains("the daemon has ended"), "{ended:?}");
}

#[test]
fn who_listens_and_does_not_read_is_broken_off_and_holds_nobody_up() {
    let place = Place::new();
    let quick = json!({"restart": {"immediate": 1000, "refill_ms": 1, "delay_ms": 1, "delay_max_ms": 1}});
    let dying: Vec<Value> =
        (0..4).map(|index| with(shell(index, &format!("p{index}"), "exit 1"), quick.clone())).collect();
    place.configure(json!(dying));
    let daemon = place.start();
    let mut deaf = socket(&daemon);
    deaf.write_all(b"events json follow\n").unwrap();
    until("it is broken off", || daemon.place.log().contains("reads too slowly what comes"));
    assert!(daemon.place.run(&["status"]).status.success());
    let mut heard = Vec::new();
    deaf.read_to_end(&mut heard).unwrap();
    assert!(heard.starts_with(b"ok\n") && heard.len() > 16 << 10);
}

#[test]
fn two_hundred_who_wait_are_all_answered_and_keep_nobody_out() {
    let place = Place::new();
    let late = late(&place, 0, "late");
    place.configure(json!([late, sleeper(1, "one")]));
    let daemon = place.start();
    let mut waiting: Vec<UnixStream> = (0..200)
        .map(|number| {
            let mut stream = socket(&daemon);
            stream.write_all(b"wait timeout=60000\tlate\n").unwrap();
            if number % 2 == 0 {
                // He has said all he has to say.
                stream.shutdown(Shutdown::Write).unwrap();
            }
            stream
        })
        .collect();
    // These go away again.
    for _ in 0..100 {
        socket(&daemon).write_all(b"wait\tlate\n").unwrap();
    }
    let began = Instant::now();
    assert!(daemon.place.run(&["status"]).status.success());
    assert!(began.elapsed() < Duration::from_secs(5));
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", daemon.child.id())).unwrap().count();
    until("who has gone is forgotten", || descriptors() < 240);
    fs::write(daemon.place.file("now"), "").unwrap();
    for stream in &mut waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("ok\nlate: up, pid "), "{answer}");
    }
    drop(waiting);
    until("nothing is left of them", || descriptors() < 30);
}

#[test]
fn more_than_may_wait_are_refused_and_not_forgotten() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let daemon = place.start();
    let ask = || {
        let mut stream = socket(&daemon);
        stream.write_all(b"wait down\tone\n").unwrap();
        stream
    };
    let waiting: Vec<UnixStream> = (0..256).map(|_| ask()).collect();
    let mut answer = String::new();
    ask().read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "failed\ntoo many wait and listen already\n");
    assert_eq!(daemon.place.run(&["stop", "one", "--no-wait"]).status.code(), Some(0));
    for mut stream in waiting {
        answer.clear();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "ok\none: down, after SIGTERM\n");
    }
}

#[test]
fn who_waits_costs_no_wake_ups() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let daemon = place.start();
    let mut waiting = socket(&daemon);
    waiting.write_all(b"wait down\tone\n").unwrap();
    let mut listening = socket(&daemon);
    listening.write_all(b"events follow lines=0\n").unwrap();
    listening.read_exact(&mut [0; 3]).unwrap();
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
        since.elapsed() > Duration::from_millis(1200)
    });
}
