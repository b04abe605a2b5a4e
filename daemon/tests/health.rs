//! A process that no longer does what it is for is found out, and something is done about it.
#![allow(clippy::unwrap_used)]

mod common;

use common::patient::{self, patient as ill_on_demand, tell};
use common::{Place, lives, shell, sleeper, until};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// No test, but the program under supervision.
#[test]
fn patient() {
    patient::live();
}

fn with(mut process: Value, key: &str, value: Value) -> Value {
    process[key] = value;
    process
}

#[test]
fn a_heart_that_stops_is_noticed_within_two_intervals_and_the_process_started_again() {
    let place = Place::new();
    let words = place.file("words");
    tell(&words, "beat");
    let health = json!({"by": "heartbeat", "interval_ms": 400});
    place.configure(json!([with(ill_on_demand(0, "heart", &words), "health", health)]));
    let daemon = place.start();
    until("it is well", || daemon.place.process("heart")["health"] == "well");
    let pid = daemon.place.pid("heart");
    thread::sleep(Duration::from_secs(2));
    assert_eq!(daemon.place.pid("heart"), pid, "{}", daemon.place.log());
    tell(&words, "");
    let stopped = Instant::now();
    until("it is ill", || {
        daemon.place.log().contains("heart: ill: no heartbeat for 400 ms; stopped and started again")
    });
    assert!(stopped.elapsed() < 2 * Duration::from_millis(400) + SLACK, "{:?}", stopped.elapsed());
    until("another one", || ![0, pid].contains(&daemon.place.pid("heart")));
    assert_eq!(daemon.place.process("heart")["restarts"].as_u64().map(|restarts| restarts > 0), Some(true));
    tell(&words, "beat");
    until("it is well again", || daemon.place.process("heart")["health"] == "well");
    assert!(daemon.place.log().contains("heart: well again"));
}

/// A server whose answer may be changed; without one it only listens.
fn server(answer: &Arc<Mutex<Option<&'static str>>>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, answer) = (listener.local_addr().unwrap(), Arc::clone(answer));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), *answer.lock().unwrap());
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 1024]);
                match answer {
                    Some(answer) => drop(stream.write_all(answer.as_bytes())),
                    None => thread::sleep(Duration::from_secs(5)),
                }
            });
        }
    });
    address
}

#[test]
fn a_server_that_hangs_or_complains_is_ill_until_it_answers_well() {
    let place = Place::new();
    let answer = Arc::new(Mutex::new(Some("HTTP/1.1 200 OK\r\n\r\n")));
    let health = json!({"by": "http", "address": server(&answer).to_string(), "path": "/health", "interval_ms": 200,
        "timeout_ms": 150, "failures": 2, "successes": 2, "act": "alarm"});
    place.configure(json!([with(sleeper(0, "web"), "health", health), sleeper(1, "other")]));
    let daemon = place.start();
    until("it is well", || daemon.place.process("web")["health"] == "well");
    let pid = daemon.place.pid("web");
    *answer.lock().unwrap() = None;
    let hung = Instant::now();
    until("it is ill", || daemon.place.log().contains("web: ill: no answer within 150 ms"));
    assert!(hung.elapsed() < 3 * Duration::from_millis(200) + SLACK, "{:?}", hung.elapsed());
    *answer.lock().unwrap() = Some("HTTP/1.1 503 Busy\r\n\r\n");
    until("it complains", || daemon.place.process("web")["health"] == "ill: status 503");
    *answer.lock().unwrap() = Some("HTTP/1.1 204 Fine\r\n\r\n");
    until("it is well again", || daemon.place.log().contains("web: well again"));
    assert_eq!((daemon.place.pid("web"), &daemon.place.process("other")["health"]), (pid, &Value::Null));
    let log = daemon.place.log();
    // By us, and by the alarm that goes to the log.
    assert!(log.matches("ill: no answer").count() <= 2, "a long illness is one report\n{log}");
}

#[test]
fn a_probe_that_hangs_is_ended_with_all_it_started_and_holds_nobody_up() {
    let place = Place::new();
    let folder = place.folder.display();
    let script = format!("echo $$ >> {folder}/probes; sleep 1000 & echo $! >> {folder}/probes; wait");
    let health = json!({"by": "exec", "command": ["/bin/sh", "-c", script], "interval_ms": 200, "timeout_ms": 100,
        "failures": 3, "act": "alarm"});
    place.configure(json!([with(sleeper(0, "one"), "health", health)]));
    let daemon = place.start();
    until("it is ill", || daemon.place.log().contains("one: ill: no answer within 100 ms"));
    let asked = Instant::now();
    daemon.place.status();
    assert!(asked.elapsed() < SLACK);
    let probes = fs::read_to_string(daemon.place.file("probes")).unwrap();
    let pids: Vec<i32> = probes.lines().take(6).map(|line| line.parse().unwrap()).collect();
    until("none of them lives", || !pids.iter().any(|pid| lives(*pid)));
}

#[test]
fn the_exit_code_of_a_command_decides_and_it_is_run_only_while_the_process_is_up() {
    let place = Place::new();
    let folder = place.folder.display();
    let script = format!("echo >> {folder}/asked; test ! -e {folder}/broken");
    let health = json!({"by": "exec", "command": ["/bin/sh", "-c", script], "interval_ms": 100, "failures": 2});
    // It dies at once, and then waits for longer than the test lasts.
    let dying = with(
        shell(1, "dying", "exit 1"),
        "health",
        json!({"by": "exec", "command": ["/bin/touch", place.file("never")],
        "interval_ms": 100, "start_after_ms": 1000}),
    );
    let waits = json!({"immediate": 0, "delay_ms": 60000, "delay_max_ms": 60000});
    place.configure(json!([with(sleeper(0, "one"), "health", health), with(dying, "restart", waits)]));
    let daemon = place.start();
    until("it is well", || daemon.place.process("one")["health"] == "well");
    let pid = daemon.place.pid("one");
    fs::write(daemon.place.file("broken"), "").unwrap();
    until("it is started again", || ![0, pid].contains(&daemon.place.pid("one")));
    assert!(daemon.place.log().contains("one: ill: the command ended with exit code 1; stopped and started again"));
    fs::remove_file(daemon.place.file("broken")).unwrap();
    until("it is well again", || daemon.place.process("one")["health"] == "well");
    let asked = || fs::read_to_string(daemon.place.file("asked")).unwrap().len();
    let before = asked();
    until("it is asked on and on", || asked() > before + 12);
    assert!(!daemon.place.file("never").exists());
}

#[test]
fn who_is_ill_may_be_stopped_for_good_and_a_reload_brings_him_back() {
    let place = Place::new();
    let socket = place.file("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let health = json!({"by": "unix", "path": socket, "interval_ms": 100, "failures": 2, "act": "stop"});
    let one = with(sleeper(0, "one"), "health", health);
    place.configure(json!([one, with(sleeper(1, "behind"), "requires", json!(["one"])), sleeper(2, "other")]));
    let daemon = place.start();
    until("it is well", || daemon.place.process("one")["health"] == "well");
    drop(listener);
    until("it is down", || daemon.place.process("one")["state"] == "down");
    assert!(daemon.place.log().contains("one: ill: Connection refused (os error 111); stopped for good"));
    assert_eq!(daemon.place.process("behind")["state"], "held");
    assert_eq!(daemon.place.process("other")["state"], "up");
    fs::remove_file(daemon.place.file("socket")).unwrap();
    let _listener = UnixListener::bind(daemon.place.file("socket")).unwrap();
    assert!(daemon.place.run(&["reload"]).status.success());
    until("it is back", || daemon.place.process("one")["state"] == "up");
    until("all are well", || daemon.place.process("one")["health"] == "well");
}

#[test]
fn another_probe_after_a_reload_takes_effect_without_a_restart() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let daemon = place.start();
    let pid = daemon.place.pid("one");
    assert_eq!(daemon.place.process("one")["health"], Value::Null);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let health = json!({"by": "tcp", "address": listener.local_addr().unwrap().to_string(), "interval_ms": 100});
    daemon.place.configure(json!([with(sleeper(0, "one"), "health", health)]));
    assert!(daemon.place.run(&["reload"]).status.success());
    until("it is well", || daemon.place.process("one")["health"] == "well");
    daemon.place.configure(json!([sleeper(0, "one")]));
    assert!(daemon.place.run(&["reload"]).status.success());
    assert_eq!(daemon.place.process("one")["health"], Value::Null);
    assert_eq!(daemon.place.pid("one"), pid);
}

/// For a loaded machine.
const SLACK: Duration = Duration::from_millis(1500);
