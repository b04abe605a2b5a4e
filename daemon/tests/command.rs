//! The command line, the control socket, and the surroundings: background, service manager, process 1.
#![allow(clippy::unwrap_used)]

mod common;

use common::{DAEMON, Place, lives, shell, sleeper, until};
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn refused(output: &Output, code: i32, why: &str) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(text(&output.stderr).contains(why), "{output:?}");
}

#[test]
fn without_a_daemon_every_question_fails_with_one_clear_line() {
    let place = Place::new();
    for words in [&["status"][..], &["reload"], &["shutdown"], &["-k", "rotate"], &["-k", "kill"]] {
        let output = place.run(words);
        refused(&output, 5, "no msf_daemon is running (looked in ");
        assert_eq!(text(&output.stderr).lines().count(), 1);
    }
}

#[test]
fn wrong_usage_and_wrong_configuration_end_with_2_and_name_what_is_wrong() {
    let place = Place::new();
    refused(&place.run(&[]), 2, "no configuration; expected -c FILE");
    refused(&place.run(&["-x"]), 2, "-x");
    refused(&place.run(&["stauts"]), 2, "\"status\"?");
    refused(&place.run(&["reload", "more"]), 2, "unexpected argument \"more\"");
    let config = place.config();
    let config = config.to_str().unwrap();
    refused(&place.run(&["-c", config]), 2, "d.json: cannot read: ");
    fs::write(config, "{\"msf_procs\": 1}").unwrap();
    refused(&place.run(&["-c", config]), 2, "d.json: msf_procs: expected an array of objects, found a number");
    refused(&place.run(&["-c", config, "-k", "parse"]), 1, "msf_procs: expected");
}

#[test]
fn help_version_and_parse_need_no_daemon() {
    let place = Place::new();
    assert!(text(&place.run(&["-h"]).stdout).starts_with("usage: msf_daemon"));
    let original = json!({
        "msf_author": "test", "msf_version": "v1", "msf_desc": "a test",
        "msf_procs": [
            {"proc_idx": 0, "proc_name": "one", "proc_path": "sleep", "proc_cnof": "x"},
            {"proc_idx": 1, "proc_name": "two", "proc_path": "/nowhere/at/all"},
        ],
    });
    let config = place.config();
    fs::write(&config, original.to_string()).unwrap();
    let version = place.run(&["-v", "-c", config.to_str().unwrap()]);
    assert_eq!(
        text(&version.stdout),
        format!("msf_daemon {}\nauthor:  test\nversion: v1\ndesc:    a test\n", env!("CARGO_PKG_VERSION"))
    );
    let parse = place.run(&["-k", "parse", "-c", config.to_str().unwrap()]);
    assert!(parse.status.success());
    let (out, err) = (text(&parse.stdout), text(&parse.stderr));
    let shown: serde_json::Value = serde_json::from_str(&out).unwrap();
    let restart = &shown["msf_procs"][0]["restart"];
    assert_eq!((&restart["policy"], &restart["delay_ms"]), (&json!("always"), &json!(100)));
    assert!(err.contains("msf_daemon: one is /"), "{err}");
    assert!(err.contains("msf_procs[0].proc_cnof: unknown key; did you mean \"proc_conf\"?"), "{err}");
    assert!(err.contains("two: /nowhere/at/all is not executable"), "{err}");
    // What it shows means the same again.
    fs::write(&config, &out).unwrap();
    assert_eq!(text(&place.run(&["-k", "parse", "-c", config.to_str().unwrap()]).stdout), out);
    // With one key of ours in it, the file was written for us.
    fs::write(&config, original.to_string().replace("\"proc_cnof\"", "\"nice\": 1, \"proc_cnof\"")).unwrap();
    let refused = place.run(&["-c", config.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("proc_cnof: unknown key; did you mean \"proc_conf\"?"));
}

#[test]
fn a_second_copy_is_refused_and_names_the_first() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let daemon = place.start();
    let config = daemon.place.config();
    let second = daemon.place.run(&["-c", config.to_str().unwrap()]);
    refused(&second, 1, &format!("running already, as process {}", daemon.child.id()));
    assert_eq!(daemon.place.process("one")["restarts"], 0);
}

#[test]
fn status_is_a_table_for_people() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let daemon = place.start();
    let table = text(&daemon.place.run(&["status"]).stdout);
    let mut lines = table.lines();
    assert!(lines.next().unwrap().starts_with(&format!("msf_daemon pid {}, up ", daemon.child.id())), "{table}");
    assert!(lines.next().unwrap().starts_with("IDX  NAME  STATE  PID"), "{table}");
    assert!(lines.next().unwrap().starts_with("0    one   up     "), "{table}");
}

#[test]
fn shutdown_returns_when_nothing_is_left() {
    let place = Place::new();
    let mut deaf = shell(0, "deaf", "trap '' TERM; while :; do sleep 1000; done");
    deaf["stop_timeout_ms"] = json!(100);
    place.configure(json!([deaf]));
    let mut daemon = place.start();
    let pid = daemon.place.pid("deaf");
    assert!(daemon.place.run(&["shutdown"]).status.success());
    assert!(!lives(pid));
    assert!(fs::read_dir(daemon.place.file("run")).unwrap().next().is_none(), "the run directory is empty");
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn the_log_is_opened_anew_by_rotate_and_by_sigusr1() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let daemon = place.start();
    let log = daemon.place.file("log/msf_daemon.log");
    fs::rename(&log, daemon.place.file("log/old")).unwrap();
    assert!(daemon.place.run(&["rotate"]).status.success());
    assert!(log.exists());
    fs::rename(&log, daemon.place.file("log/older")).unwrap();
    daemon.signal(Signal::SIGUSR1);
    until("the log is there again", || log.exists());
}

#[test]
fn in_the_background_the_command_returns_when_everything_is_started() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    let config = place.config();
    // The daemon holds neither of our pipes open, or this would not return.
    let output = place.run(&["-d", "-c", config.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let process = place.process("one");
    assert_eq!(process["state"], "up");
    let pid = process["pid"].as_i64().unwrap();
    let said = place.file("log/one.out");
    for (fd, leads_to) in [(0, Path::new("/dev/null")), (1, &said), (2, &said)] {
        assert_eq!(fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap(), leads_to);
    }
    assert!(place.run(&["shutdown"]).status.success());
}

#[test]
fn what_a_test_has_left_running_ends_with_its_place() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one")]));
    assert!(place.run(&["-d", "-c", place.config().to_str().unwrap()]).status.success());
    let pids = [place.status()["pid"].as_i64().unwrap() as i32, place.pid("one")];
    assert!(pids.iter().all(|pid| lives(*pid)));
    drop(place);
    // They were killed, and may be on their way.
    until("they have ended", || !pids.iter().any(|pid| lives(*pid)));
}

#[test]
fn a_service_manager_is_told_of_the_beginning_and_the_end() {
    let place = Place::new();
    let told = place.file("told");
    let folder = place.folder.display().to_string();
    place.configure(json!([shell(0, "one", &format!("echo \"<$NOTIFY_SOCKET>\" > {folder}/seen; exec sleep 1000"))]));
    let manager = UnixDatagram::bind(&told).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut command = place.command(DAEMON);
    command.arg("-c").arg(place.config()).env("NOTIFY_SOCKET", &told).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    let mut news = [0; 256];
    let mut hear = || loop {
        let len = manager.recv(&mut news).unwrap();
        let said = text(&news[..len]);
        if !said.starts_with("STATUS=") && !said.starts_with("MAINPID=") {
            break said;
        }
    };
    assert_eq!(hear(), "READY=1");
    let mut daemon = place.started(child);
    until("the process has looked", || fs::read_to_string(daemon.place.file("seen")).is_ok_and(|seen| seen == "<>\n"));
    daemon.signal(Signal::SIGTERM);
    assert_eq!(hear(), "STOPPING=1");
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn as_process_1_it_reaps_orphans_and_hears_sigterm() {
    let place = Place::new();
    let unshare = |program: &str| {
        let mut command = place.command("unshare");
        command.args(["-p", "-f", "--mount-proc", program]);
        command
    };
    let probe = unshare("true").output();
    if !probe.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no PID namespace can be made here: {probe:?}");
        return;
    }
    let folder = place.folder.display().to_string();
    // The process in the middle ends at once, so the inner one has no other parent than process 1.
    let script = format!("(sh -c 'echo > {folder}/orphan' &); exec sleep 1000");
    place.configure(json!([shell(0, "one", &script)]));
    let child = unshare(DAEMON).arg("-c").arg(place.config()).stderr(Stdio::null()).spawn().unwrap();
    let mut daemon = place.started(child);
    until("the orphan has lived", || daemon.place.file("orphan").exists());
    let children = |pid: u32| -> Vec<u32> {
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    };
    let init = children(daemon.child.id())[0];
    assert_eq!(daemon.place.status()["pid"], 1);
    until("only our own child is left", || children(init).len() == 1);
    assert_eq!(daemon.place.process("one")["state"], "up");
    common::send(init as i32, Signal::SIGTERM);
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn idle_it_sleeps() {
    let place = Place::new();
    place.configure(json!([sleeper(0, "one"), sleeper(1, "two")]));
    let daemon = place.start();
    let wake_ups = || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    // The end of our last question may still be on its way; a timer would never leave such a window.
    let window = Duration::from_millis(1200);
    let (mut before, mut since) = (wake_ups(), Instant::now());
    until("nothing wakes it", || {
        let now = wake_ups();
        if now != before {
            (before, since) = (now, Instant::now());
        }
        since.elapsed() > window
    });
}

#[test]
fn in_the_background_what_a_process_says_is_kept_in_a_file_that_status_names() {
    let place = Place::new();
    place.configure(json!([shell(0, "wordy", "echo out; echo why >&2; exec sleep 0.05"), sleeper(1, "calm")]));
    let file = place.file("log/wordy.out");
    fs::create_dir_all(place.file("log")).unwrap();
    fs::write(&file, vec![b'x'; (1 << 20) + 1]).unwrap();
    let output = place.run(&["-d", "-c", place.config().to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    until("it has died twice", || place.process("wordy")["restarts"].as_u64() > Some(1));
    let said = fs::read_to_string(&file).unwrap();
    assert!(said.starts_with("out\nwhy\nout\nwhy\n"), "{said}");
    assert_eq!(fs::metadata(place.file("log/wordy.out.1")).unwrap().len(), (1 << 20) + 1);
    assert_eq!(place.process("wordy")["output"], json!(file));
    let table = String::from_utf8(place.run(&["status"]).stdout).unwrap();
    assert!(table.contains(&format!("what wordy said: {}\n", file.display())), "{table}");
    assert!(!table.contains("calm.out"), "{table}");
    let daemon = fs::read_link(format!("/proc/{}/fd/2", place.status()["pid"])).unwrap();
    assert_eq!(daemon.to_str(), Some("/dev/null"));
    assert!(place.run(&["shutdown"]).status.success());
}
