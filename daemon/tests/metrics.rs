//! The numbers for Prometheus.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, send, sleeper, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

fn configure(place: &Place, metrics: &Value) {
    place.configure(json!([sleeper(0, "one"), {"proc_idx": 1, "proc_name": "absent", "proc_path": "/nowhere"}]));
    let mut document: Value = serde_json::from_slice(&fs::read(place.config()).unwrap()).unwrap();
    if !metrics.is_null() {
        document["metrics"] = metrics.clone();
    }
    fs::write(place.config(), document.to_string()).unwrap();
}

fn page(mut stream: impl Read + Write) -> String {
    stream.write_all(REQUEST).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn value(page: &str, sample: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(sample)).unwrap_or_else(|| panic!("{sample} in {page}"));
    line.trim().parse().unwrap()
}

#[test]
fn a_page_tells_of_every_process_and_promtool_likes_it() {
    let place = Place::new();
    let socket = place.file("m.sock");
    configure(&place, &json!({"unix": socket}));
    let mut daemon = place.start();
    let shown = || page(UnixStream::connect(&socket).unwrap());
    let before = daemon.place.pid("one");
    send(before, Signal::SIGKILL);
    until("a restart is counted", || value(&shown(), r#"msf_process_restarts_total{name="one"}"#) == 1.0);
    until("it is up", || value(&shown(), r#"msf_process_up{name="one"}"#) == 1.0);
    // It has only just become another program.
    until("it has memory", || value(&shown(), r#"msf_process_rss_bytes{name="one"}"#) > 50_000.0);
    let text = shown();
    assert_eq!(value(&text, r#"msf_process_up{name="absent"}"#), 0.0);
    assert_eq!(value(&text, r#"msf_process_threads{name="one"}"#), 1.0);
    assert_eq!(value(&text, r#"msf_process_open_fds{name="one"}"#), 3.0);
    assert!(value(&text, r#"msf_process_cpu_seconds_total{name="one"}"#) < 5.0);
    assert!(value(&text, "process_resident_memory_bytes") > 500_000.0);
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool, of the Debian package prometheus");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    daemon.signal(Signal::SIGTERM);
    daemon.ended();
    assert!(!socket.exists());
}

#[test]
fn two_hundred_who_ask_and_do_not_read_keep_nobody_from_the_page() {
    let place = Place::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    configure(&place, &json!({"listen": port.to_string()}));
    let daemon = place.start();
    let connect = || {
        let stream = TcpStream::connect(port).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    };
    let silent: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
    let half: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = connect();
            stream.write_all(&REQUEST[..20]).unwrap();
            stream
        })
        .collect();
    assert_eq!(value(&page(connect()), r#"msf_process_up{name="one"}"#), 1.0);
    let descriptors = fs::read_dir(format!("/proc/{}/fd", daemon.child.id())).unwrap().count();
    assert!(descriptors < 60, "{descriptors}");
    assert!(daemon.place.run(&["status"]).status.success());
    drop((silent, half));
}

#[test]
fn a_reload_opens_moves_and_closes_it_and_a_place_that_is_taken_is_a_warning() {
    let place = Place::new();
    let (first, second) = (place.file("a.sock"), place.file("b.sock"));
    configure(&place, &Value::Null);
    let daemon = place.start();
    for (metrics, open) in
        [(json!({"unix": first}), Some(&first)), (json!({"unix": second}), Some(&second)), (Value::Null, None)]
    {
        configure(&daemon.place, &metrics);
        assert!(daemon.place.run(&["reload"]).status.success());
        for socket in [&first, &second] {
            assert_eq!(UnixStream::connect(socket).is_ok(), Some(socket) == open);
        }
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    configure(&daemon.place, &json!({"listen": port.to_string()}));
    let reload = daemon.place.run(&["reload"]);
    let told = String::from_utf8_lossy(&reload.stdout).into_owned();
    assert!(reload.status.success() && told.contains(&format!("warning: cannot show metrics at {port}: ")), "{told}");
    drop(taken);
    // Asked again, it is there.
    assert!(daemon.place.run(&["reload"]).status.success());
    assert_eq!(value(&page(TcpStream::connect(port).unwrap()), r#"msf_process_up{name="one"}"#), 1.0);
}

#[test]
fn many_processes_are_looked_at_a_few_at_a_time_and_all_who_ask_get_all_of_them() {
    let place = Place::new();
    let socket = place.file("m.sock");
    let many: Vec<Value> = (0..50).map(|number| sleeper(number, &format!("s{number}"))).collect();
    place.configure(json!(many));
    let mut document: Value = serde_json::from_slice(&fs::read(place.config()).unwrap()).unwrap();
    document["metrics"] = json!({"unix": socket});
    fs::write(place.config(), document.to_string()).unwrap();
    let daemon = place.start();
    until("all are up", || {
        let status = daemon.place.status();
        status["processes"].as_array().unwrap().iter().all(|process| process["state"] == "up")
    });
    let ask = |_| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(REQUEST).unwrap();
        stream
    };
    let mut asking: Vec<UnixStream> = (0..5).map(ask).collect();
    // One of them does not wait for it.
    asking.pop();
    for mut stream in asking {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer.matches("\nmsf_process_rss_bytes{").count(), 50, "{answer}");
    }
}
