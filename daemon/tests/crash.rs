//! Ends that nobody asked for leave a report, and who tells of his crash has a successor at once.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, lives, shell, sleeper, until};
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs;

/// The reports about one process, oldest first.
fn reports(place: &Place, name: &str) -> Vec<String> {
    let Ok(folder) = fs::read_dir(place.file("log/crash")) else { return Vec::new() };
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let own = files.iter().filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}-")));
    own.map(|file| fs::read_to_string(file).unwrap()).collect()
}

/// How often it has died by itself.
fn deaths(place: &Place, name: &str) -> usize {
    let text = fs::read_to_string(place.file("log/msf_daemon.events.jsonl")).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let died = |event: &serde_json::Value| event["exit_code"].is_number() && event["from"] != "stopping";
    events.filter(|event| event["name"] == name && died(event)).count()
}

#[test]
fn an_end_that_nobody_asked_for_leaves_a_report_and_only_the_newest_stay() {
    let place = Place::new();
    place.configure(json!([shell(0, "fails", "exit 7"), sleeper(1, "stays")]));
    let text = fs::read_to_string(place.config()).unwrap();
    fs::write(place.config(), text.replacen('{', r#"{"crash_reports": {"files": 3}, "#, 1)).unwrap();
    let mut daemon = place.start();
    until("it has failed often", || daemon.place.process("fails")["restarts"].as_i64() > Some(8));
    assert!(daemon.place.run(&["stop", "fails"]).status.success());
    // They are written by somebody for whom nobody waits: all are there when the last death has its own.
    let deaths = deaths(&daemon.place, "fails");
    assert!(deaths > 8, "{deaths}");
    until("all are written", || daemon.place.log().matches("fails: what is known of its end").count() == deaths);
    let all = reports(&daemon.place, "fails");
    assert!(all.len() == 3 && all[2].starts_with("fails ended: exit code 7\n"), "{all:?}");
    // Of one process the newest is shown.
    let (text, document) = all[2].trim_end().rsplit_once('\n').unwrap();
    let shown = daemon.place.run(&["status", "fails"]).stdout;
    assert!(String::from_utf8_lossy(&shown).ends_with(&format!(".txt\n{text}\n")));
    let crash = daemon.place.process("fails").get("crash_report").cloned();
    assert_eq!(crash, None, "only of those who are named");
    let shown = daemon.place.run(&["status", "fails", "stays", "--json"]).stdout;
    let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    let mut crash = shown["processes"][0]["crash_report"].clone();
    assert_eq!((&crash["exit_code"], &crash["signal"], &crash["name"]), (&json!(7), &json!(null), &json!("fails")));
    assert!(crash["max_rss_bytes"].as_u64() > Some(0) && crash["file"].as_str().unwrap().ends_with(".txt"));
    crash.as_object_mut().unwrap().remove("file");
    assert_eq!(crash, serde_json::from_str::<serde_json::Value>(document).unwrap());
    assert_eq!(shown["processes"][1].get("crash_report"), None);
    assert!(all[2].contains("\nmemory: ") && all[2].contains("\nup: "), "{}", all[2]);
    daemon.signal(Signal::SIGTERM);
    daemon.ended();
    assert_eq!(reports(&daemon.place, "stays").len(), 0);
}

/// Tells that it crashes, and then takes as long for its end as a large core would.
#[test]
fn who_tells_of_his_crash_has_a_successor_before_his_end() {
    let place = Place::new();
    let folder = place.folder.display().to_string();
    let told = "MSF_CRASH=11\\nMSF_CRASH_ADDRESS=0x8";
    let python = format!(
        "import os,socket,time,signal\n\
        time.sleep(1000) if os.path.exists('{folder}/dies') else open('{folder}/dies','w')\n\
        s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.connect(os.environ['MSF_CRASH_SOCKET'])\n\
        s.send(b'{told}'); s.send(b'MSF_CRASH_TRACE=/bin/x+0x10 /bin/y+0x20 ')\n\
        while not os.path.exists('{folder}/end'): time.sleep(.005)\n\
        os.kill(os.getpid(), signal.SIGSEGV)"
    );
    let process = json!({"proc_idx": 0, "proc_name": "dies", "proc_path": "python3", "args": ["-c", python]});
    place.configure(json!([process]));
    let daemon = place.start();
    until("a successor runs", || daemon.place.process("dies")["restarts"] == 1 && daemon.place.pid("dies") > 0);
    let events = fs::read_to_string(daemon.place.file("log/msf_daemon.events.jsonl")).unwrap();
    let first: serde_json::Value = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|line: &serde_json::Value| line["to"] == "up")
        .unwrap();
    let corpse = first["pid"].as_i64().unwrap() as i32;
    assert!(lives(corpse) && corpse != daemon.place.pid("dies"));
    assert_eq!(reports(&daemon.place, "dies").len(), 0);
    fs::write(daemon.place.file("end"), "").unwrap();
    until("there is a report", || reports(&daemon.place, "dies").len() == 1);
    let report = &reports(&daemon.place, "dies")[0];
    assert!(report.starts_with("dies ended: SIGSEGV"), "{report}");
    assert!(report.contains("fault at: 0x8\n") && report.contains("  /bin/y+0x20\n"), "{report}");
    until("it is gone", || !lives(corpse));
    assert_eq!(daemon.place.process("dies")["restarts"], 1);
}

#[test]
fn who_says_that_he_crashes_and_goes_on_is_ended_and_a_stop_waits_for_nobodys_core() {
    let place = Place::new();
    let python = "import os,socket,time\n\
        s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.connect(os.environ['MSF_CRASH_SOCKET'])\n\
        s.send(b'MSF_CRASH=6\\nMSF_CRASH_ADDRESS=0x0'); time.sleep(1000)";
    let mut process = json!({"proc_idx": 0, "proc_name": "liar", "proc_path": "python3", "args": ["-c", python]});
    process["restart"] = json!({"policy": "never"});
    place.configure(json!([process]));
    let mut daemon = place.start();
    until("it counts as dead", || daemon.place.process("liar")["state"] == "down");
    let log = daemon.place.log();
    let pid: i32 = log.split("liar: started, pid ").nth(1).unwrap().split('[').next().unwrap().parse().unwrap();
    assert!(lives(pid));
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.ended().code(), Some(0));
    assert!(!lives(pid));
    // The end of the daemon has waited for it.
    assert_eq!(reports(&daemon.place, "liar").len(), 1);
}
