//! Processes wait for each other, for files and for readiness, and stop in reverse.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, lives, polite, send, shell, sleeper, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;

/// The process with more keys.
fn with(mut process: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        process[key] = value.clone();
    }
    process
}

fn state(place: &Place, name: &str) -> String {
    place.process(name)["state"].as_str().unwrap_or("none").to_owned()
}

#[test]
fn whoever_requires_another_waits_until_that_one_says_that_it_is_ready() {
    let place = Place::new();
    let folder = place.folder.display().to_string();
    // Says so when the file appears, in two pieces.
    let script = format!(
        "while [ ! -e {folder}/now ]; do sleep 0.01; done; printf x >&$MSF_READY_FD; echo >&$MSF_READY_FD; exec sleep 1000"
    );
    place.configure(json!([
        with(sleeper(0, "second"), json!({"requires": ["first"]})),
        with(sleeper(1, "third"), json!({"after": ["second"]})),
        with(shell(2, "first", &script), json!({"ready": {"by": "fd", "fd": 7}})),
        sleeper(3, "free"),
    ]));
    let mut daemon = place.start();
    let place = &daemon.place;
    assert_eq!(state(place, "free"), "up");
    assert_eq!((state(place, "first").as_str(), state(place, "second").as_str()), ("starting", "held"));
    assert_eq!(place.process("second")["held_by"], "requires first, which is starting");
    assert_eq!(place.process("third")["held_by"], "comes after second, which is held");
    fs::write(place.file("now"), "").unwrap();
    until("all are up", || ["first", "second", "third"].iter().all(|name| state(place, name) == "up"));
    // A crash of the first one is no reason for the others to stop.
    let (first, second) = (place.pid("first"), place.pid("second"));
    send(first, Signal::SIGKILL);
    until("it is back", || ![0, first].contains(&place.pid("first")) && state(place, "first") == "up");
    assert_eq!(place.pid("second"), second);
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn whoever_is_not_ready_in_time_is_started_again_by_the_law() {
    let place = Place::new();
    place.configure(json!([with(
        shell(0, "slow", "exec sleep 1000"),
        json!({"ready": {"by": "fd", "timeout_ms": 50}, "restart": {"immediate": 1, "delay_ms": 60000, "delay_max_ms": 60000}})
    )]));
    let daemon = place.start();
    until("it waits", || state(&daemon.place, "slow") == "waiting");
    assert_eq!(daemon.place.process("slow")["restarts"], 1);
    assert_eq!(daemon.place.process("slow")["last_exit"]["reason"], "SIGTERM");
    let log = daemon.place.log();
    assert_eq!(log.matches("slow: not ready in 50 ms; stopped and started again").count(), 2, "{log}");
}

#[test]
fn readiness_is_heard_on_the_notify_socket_from_the_process_and_its_group() {
    let place = Place::new();
    let notify = "import os,socket,time; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET']); s.send(b'STATUS=half way\\nREADY=1\\n'); time.sleep(1000)";
    // Its child says so, and stays: of one that has ended meanwhile nobody knows whose it was.
    let script = format!("python3 -c \"{notify}\"; exit 1");
    place.configure(json!([
        with(shell(0, "tells", &script), json!({"ready": {"by": "notify"}})),
        with(shell(1, "mute", "exec sleep 1000"), json!({"ready": {"by": "notify"}})),
    ]));
    let daemon = place.start();
    until("it is up", || state(&daemon.place, "tells") == "up");
    assert_eq!(daemon.place.process("tells")["status"], "half way");
    assert_eq!(state(&daemon.place, "mute"), "starting");
    // A stranger may say what he likes.
    let stranger = std::os::unix::net::UnixDatagram::unbound().unwrap();
    stranger.send_to(b"READY=1", daemon.place.file("run/msf_daemon.notify")).unwrap();
    until("he is not heard", || daemon.place.log().contains("is no process of ours"));
    assert_eq!(state(&daemon.place, "mute"), "starting");
}

#[test]
fn readiness_is_found_out_by_tcp_by_unix_and_by_a_command() {
    let place = Place::new();
    let folder = place.folder.display().to_string();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen = "import os,socket,sys,time; s=socket.socket(socket.AF_UNIX if '/' in sys.argv[1] else socket.AF_INET)\nwhile not os.path.exists(sys.argv[2]): time.sleep(.01)\ns.bind(sys.argv[1] if '/' in sys.argv[1] else ('127.0.0.1', int(sys.argv[1]))); s.listen(); time.sleep(1000)";
    let server = |index: i32, name: &str, place: &str, ready: Value| json!({"proc_idx": index, "proc_name": name, "proc_path": "python3", "args": ["-c", listen, place, format!("{folder}/now")], "ready": ready});
    let socket = format!("{folder}/socket");
    place.configure(json!([
        server(
            0,
            "tcp",
            &port.port().to_string(),
            json!({"by": "tcp", "address": port.to_string(), "interval_ms": 10})
        ),
        server(1, "unix", &socket, json!({"by": "unix", "path": socket, "interval_ms": 10})),
        with(
            sleeper(2, "exec"),
            json!({"ready": {"by": "exec", "command": ["test", "-e", format!("{folder}/now")], "interval_ms": 10}})
        ),
    ]));
    let daemon = place.start();
    let all = |wanted: &str| ["tcp", "unix", "exec"].iter().all(|name| state(&daemon.place, name) == wanted);
    assert!(all("starting"));
    fs::write(daemon.place.file("now"), "").unwrap();
    until("all are up", || all("up"));
}

#[test]
fn a_device_that_is_missing_holds_its_process_and_takes_nothing_from_its_law() {
    let place = Place::new();
    let device = place.file("ttyUSB0");
    place.configure(json!([
        with(sleeper(0, "modem"), json!({"wait_for": [device], "wait_retry_ms": 20})),
        with(sleeper(1, "uplink"), json!({"requires": ["modem"]})),
        with(sleeper(2, "later"), json!({"after": ["modem"]})),
    ]));
    let daemon = place.start();
    assert_eq!(state(&daemon.place, "modem"), "held");
    assert_eq!(daemon.place.process("uplink")["held_by"], "requires modem, which is held");
    // Nobody knows when it comes: whoever only comes after it goes ahead.
    assert_eq!(state(&daemon.place, "later"), "up");
    fs::write(&device, "").unwrap();
    until("both are up", || ["modem", "uplink"].iter().all(|name| state(&daemon.place, name) == "up"));
    assert_eq!(daemon.place.process("modem")["restarts"], 0);
}

#[test]
fn who_needs_whom_decides_who_stops_first_and_the_rest_stops_together() {
    let place = Place::new();
    let names = ["base", "left", "right", "top"];
    let order =
        [json!({}), json!({"requires": ["base"]}), json!({"after": ["base"]}), json!({"after": ["left", "right"]})];
    // In the file the other way round.
    let processes: Vec<Value> =
        names.iter().zip(order).rev().map(|(name, order)| with(polite(&place, 0, name), order)).collect();
    place.configure(json!(processes));
    let mut daemon = place.start();
    until("all listen", || names.iter().all(|name| daemon.place.file(&format!("ready.{name}")).exists()));
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.ended().code(), Some(0));
    let ends = fs::read_to_string(daemon.place.file("ends")).unwrap();
    let ends: Vec<&str> = ends.lines().collect();
    assert_eq!((ends.len(), ends[0], ends[3]), (4, "top", "base"), "{ends:?}");
}

#[test]
fn who_is_taken_out_of_the_file_stops_after_those_that_require_it() {
    let place = Place::new();
    place.configure(json!([polite(&place, 0, "base"), with(polite(&place, 1, "top"), json!({"requires": ["base"]}))]));
    let daemon = place.start();
    until("both listen", || ["base", "top"].iter().all(|name| daemon.place.file(&format!("ready.{name}")).exists()));
    let base = daemon.place.pid("base");
    daemon.place.configure(json!([sleeper(1, "top")]));
    assert!(daemon.place.run(&["reload"]).status.success());
    until("base is gone", || daemon.place.process("base") == Value::Null && !lives(base));
    until("top is up", || state(&daemon.place, "top") == "up");
}

#[test]
fn who_is_not_to_come_back_stays_down() {
    let place = Place::new();
    place.configure(json!([
        with(shell(0, "once", "exit 3"), json!({"restart": {"policy": "never"}})),
        with(shell(1, "done", "exit 0"), json!({"restart": {"policy": "on-failure"}})),
        with(shell(2, "fails", "exit 3"), json!({"restart": {"policy": "on-failure"}})),
        with(sleeper(3, "needs"), json!({"requires": ["once"]})),
    ]));
    let daemon = place.start();
    until("two have ended", || ["once", "done"].iter().all(|name| state(&daemon.place, name) == "down"));
    until("one goes on", || daemon.place.process("fails")["restarts"].as_u64() > Some(2));
    assert_eq!(daemon.place.process("once")["last_exit"]["code"], 3);
    until("who needs it is stopped", || state(&daemon.place, "needs") == "held");
    assert_eq!(daemon.place.process("needs")["held_by"], "requires once, which is down");
}
