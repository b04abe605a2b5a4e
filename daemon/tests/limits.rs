//! A process that uses too much is found out, something is done about it, and its recovery is told.
#![allow(clippy::unwrap_used)]

mod common;

use common::patient::{self, patient as ill_on_demand, tell};
use common::{Daemon, Place, sleeper, until};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// No test, but the program under supervision.
#[test]
fn patient() {
    patient::live();
}

fn supervised(limits: Value, words: &str) -> (Daemon, PathBuf) {
    let place = Place::new();
    let file = place.file("words");
    tell(&file, words);
    let mut process = ill_on_demand(0, "one", &file);
    process["limits"] = limits;
    place.configure(json!([process]));
    (place.start(), file)
}

/// Becomes ill by `words`; told as `warned` within two periods, and as over once it is well. A machine that does other things
/// may be late, so it has a few tries; what is always late is late in each of them.
fn warned_and_recovered(limits: Value, period: Duration, words: &str, warned: &str, over: &str) {
    let (daemon, file) = supervised(limits, "");
    thread::sleep(4 * period);
    assert!(!daemon.place.log().contains(LIMIT), "{}", daemon.place.log());
    let pid = daemon.place.pid("one");
    let told = |what: &str| daemon.place.log().matches(what).count();
    let mut took = Vec::new();
    while took.len() < TRIES && took.iter().all(|took| *took >= 3 * period + SLACK) {
        let (warnings, recoveries) = (told(warned), told(over));
        tell(&file, words);
        let begun = Instant::now();
        until("it is told", || told(warned) > warnings);
        took.push(begun.elapsed());
        assert_ne!(daemon.place.process("one")["above_limits"], json!([]));
        tell(&file, "");
        until("its recovery is told", || told(over) > recoveries);
        assert_eq!(daemon.place.process("one")["above_limits"], json!([]));
        // By us, and by the alarm that goes to the log.
        assert!(told(warned) <= warnings + 2, "{}", daemon.place.log());
    }
    assert!(took.iter().any(|took| *took < 3 * period + SLACK), "{took:?}");
    assert_eq!(daemon.place.pid("one"), pid);
}

#[test]
fn memory() {
    let limits = json!({"sample_ms": 100, "rss_bytes": {"warn": 80 << 20}});
    let over = ", which is below its limit (rss_bytes)";
    warned_and_recovered(limits, Duration::from_millis(100), "rss:100", "MiB, the limit is 80 MiB (rss_bytes)", over);
}

#[test]
fn descriptors() {
    let limits = json!({"sample_ms": 100, "fds": {"warn": 150}});
    let warned = "descriptors open, the limit is 150 (fds)";
    warned_and_recovered(limits, Duration::from_millis(100), "fds:200", warned, "below its limit (fds)");
}

#[test]
fn threads() {
    let limits = json!({"sample_ms": 100, "threads": {"warn": 20}});
    let warned = "threads, the limit is 20 (threads)";
    warned_and_recovered(limits, Duration::from_millis(100), "threads:30", warned, "below its limit (threads)");
}

#[test]
fn a_busy_loop() {
    // Others want the processor as well: it gets at least this much of it, as long as it lasts.
    let limits = json!({"sample_ms": 100, "cpu_percent": {"warn": 6, "window_ms": 500}});
    let warned = "% of a processor, the limit is 6 % (cpu_percent), over ";
    warned_and_recovered(limits, Duration::from_millis(500), "spin", warned, "below its limit (cpu_percent)");
}

#[test]
fn a_leak_is_acted_upon_and_its_successor_is_as_well() {
    let limits = json!({"sample_ms": 100, "rss_bytes": {"warn": 60 << 20, "act": 120 << 20, "do": "restart"}});
    let (daemon, file) = supervised(limits, "leak:100");
    let acted = "MiB, the limit is 120 MiB (rss_bytes); stopped and started again";
    until("it is warned of", || daemon.place.log().contains("the limit is 60 MiB (rss_bytes)"));
    until("it is acted upon", || daemon.place.log().contains(acted));
    until("twice", || daemon.place.process("one")["restarts"].as_u64() >= Some(2));
    tell(&file, "");
    until("it is over", || daemon.place.log().contains("which is below its limit (rss_bytes)"));
}

#[test]
fn a_limit_may_stop_for_good() {
    let limits = json!({"sample_ms": 100, "fds": {"act": 150, "do": "stop", "periods": 1}});
    let (daemon, _) = supervised(limits, "fds:200");
    until("it is down", || daemon.place.process("one")["state"] == "down");
    until("the log says so", || daemon.place.log().contains("the limit is 150 (fds); stopped for good"));
}

#[test]
fn growth_is_told_with_the_time_to_the_limit() {
    let growth = json!({"warn": 8 << 20, "window_ms": 4800, "warm_up_ms": 500});
    let limits = json!({"sample_ms": 50, "rss_growth": growth, "rss_bytes": {"act": 1u64 << 33}});
    let (daemon, file) = supervised(limits, "leak:4");
    until("it is told", || daemon.place.log().contains("the limit is 8192 KiB (rss_growth), within 4.6 s and with"));
    let log = daemon.place.log();
    let line = log.lines().find(|line| line.contains("(rss_growth)")).unwrap();
    assert!(line.contains("one: has grown by ") && line.contains("; at this rate 8192 MiB in "), "{line}");
    tell(&file, "");
    until("it is over", || daemon.place.log().contains("which is below its limit (rss_growth)"));
}

/// Ten minutes with `MSF_SOAK_SECONDS=600`.
#[test]
fn normal_load_is_not_told_of() {
    let seconds = std::env::var("MSF_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let words = [("saw", "saw:40 beat"), ("still", "rss:30 fds:20 threads:3 beat"), ("warm", "rss:10 beat")];
    let entries = words.map(|(name, words)| {
        let file = place.file(name);
        tell(&file, words);
        let mut process = ill_on_demand(0, name, &file);
        process["limits"] = json!({"sample_ms": 100, "rss_bytes": {"warn": 200 << 20}, "fds": {"warn": 60},
            "threads": {"warn": 12}, "cpu_percent": {"warn": 90, "window_ms": 1000},
            "rss_growth": {"warn": 25 << 20, "window_ms": 2400, "warm_up_ms": 0}});
        process["health"] = json!({"by": "heartbeat", "interval_ms": 2000});
        process
    });
    let mut probed = sleeper(3, "probed");
    probed["health"] = json!({"by": "tcp", "address": listener.local_addr().unwrap().to_string(), "interval_ms": 200});
    place.configure(json!([entries[0], entries[1], entries[2], probed]));
    let daemon = place.start();
    thread::spawn(move || listener.incoming().for_each(drop));
    let ends = Instant::now() + Duration::from_secs(seconds);
    thread::sleep(Duration::from_secs(seconds) / 3);
    // A cache is filled.
    tell(&daemon.place.file("warm"), "rss:60 beat");
    thread::sleep(ends.saturating_duration_since(Instant::now()));
    let log = daemon.place.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains(LIMIT) || line.contains(": ill: ")).collect();
    assert_eq!(told, Vec::<&str>::new());
    let status = daemon.place.status();
    let restarts: Vec<_> = status["processes"].as_array().unwrap().iter().map(|process| &process["restarts"]).collect();
    assert_eq!(restarts, [0, 0, 0, 0]);
}

#[test]
fn many_are_looked_at_in_one_wake_up_and_nobody_in_none() {
    let wakes = |limits: Option<Value>| {
        let place = Place::new();
        let processes: Vec<Value> = (0..40).map(|number| sleeper(number, &format!("s{number}"))).collect();
        let mut processes = json!(processes);
        for process in processes.as_array_mut().unwrap() {
            limits.iter().for_each(|limits| process["limits"] = limits.clone());
        }
        place.configure(processes);
        let daemon = place.start();
        let slept = || {
            let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
            line.split_whitespace().last().unwrap().parse::<u64>().unwrap()
        };
        let within = |time| {
            let before = slept();
            thread::sleep(time);
            slept() - before
        };
        // Until all have been started, and the tests beside this one let it come to rest.
        until("they are up", || {
            daemon.place.status()["processes"].as_array().unwrap().iter().all(|one| one["state"] == "up")
        });
        until("it is at rest", || within(Duration::from_millis(300)) <= 1);
        within(Duration::from_secs(3))
    };
    assert_eq!(wakes(None), 0);
    let many = wakes(Some(json!({"sample_ms": 500, "fds": {"warn": 1000}, "rss_bytes": {"warn": 1 << 30}})));
    assert!((5..=14).contains(&many), "{many} times in six periods");
}

/// What every report says.
const LIMIT: &str = ", the limit is ";
/// For a loaded machine.
const SLACK: Duration = Duration::from_millis(1500);
const TRIES: usize = 4;
