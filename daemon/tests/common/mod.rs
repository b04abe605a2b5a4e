//! A real msf_daemon in a folder of its own, for one test.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

pub mod patient;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub const DAEMON: &str = env!("CARGO_BIN_EXE_msf_daemon");

/// A folder with a configuration, a run directory and a log; gone with the test.
pub struct Place {
    pub folder: PathBuf,
}

impl Place {
    pub fn new() -> Place {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("msf-daemon-test-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let place = Place { folder };
        // Where that cannot be, they lie beside the log.
        let _ = fs::create_dir_all(place.rings());
        place
    }

    /// What the log's authors leave behind when they are killed is to go with the test.
    fn rings(&self) -> PathBuf {
        Path::new("/dev/shm").join(format!("msf-log-{}", self.folder.file_name().unwrap().display()))
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.file("d.json")
    }

    /// Writes the configuration: these processes, with quick settings unless they say otherwise.
    pub fn configure(&self, processes: Value) {
        let document = json!({
            "msf_author": "test", "msf_version": "v1", "msf_desc": "a test",
            "restart": {"immediate": 10, "delay_ms": 20, "delay_max_ms": 100},
            "stop_timeout_ms": 5000,
            "msf_procs": processes,
        });
        fs::write(self.config(), document.to_string()).unwrap();
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("MSF_RUN_DIR", self.file("run")).env("MSF_LOG_DIR", self.file("log"));
        command.env("MSF_LOG_RING_DIR", self.rings());
        command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
        command
    }

    /// Runs msf_daemon with these words to its end.
    pub fn run(&self, words: &[&str]) -> Output {
        self.command(DAEMON).args(words).output().unwrap()
    }

    pub fn start(self) -> Daemon {
        let child = self.command(DAEMON).arg("-c").arg(self.config()).stderr(Stdio::null()).spawn().unwrap();
        self.started(child)
    }

    /// Waits until `child` can be asked.
    pub fn started(self, child: Child) -> Daemon {
        let daemon = Daemon { place: self, child };
        until("the daemon answers", || daemon.place.run(&["status"]).status.success());
        daemon
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.file("log/msf_daemon.log")).unwrap_or_default()
    }

    pub fn status(&self) -> Value {
        let output = self.run(&["status", "--json"]);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What the status says of one process; null when it is not there.
    pub fn process(&self, name: &str) -> Value {
        let status = self.status();
        let processes = status["processes"].as_array().unwrap().clone();
        processes.into_iter().find(|process| process["name"] == name).unwrap_or(Value::Null)
    }

    pub fn pid(&self, name: &str) -> i32 {
        self.process(name)["pid"].as_i64().unwrap_or(0) as i32
    }

    /// Everybody who was started here, by us or by one of them.
    fn residents(&self) -> Vec<Pid> {
        let mark = format!("MSF_RUN_DIR={}", self.file("run").display());
        let pids = fs::read_dir("/proc").into_iter().flatten();
        let pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_here = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        pids.filter(is_here).map(Pid::from_raw).collect()
    }
}

impl Drop for Place {
    /// A test that failed may have left a daemon in the background, or processes without one.
    fn drop(&mut self) {
        for _ in 0..100 {
            let left = self.residents();
            if left.is_empty() {
                break;
            }
            for pid in left {
                let _ = kill(pid, Signal::SIGKILL);
            }
            thread::sleep(LOOK_AGAIN);
        }
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_dir_all(self.rings());
    }
}

/// A running daemon; stopped with the test.
pub struct Daemon {
    // Before the place, whose folder it uses.
    pub child: Child,
    pub place: Place,
}

impl Daemon {
    pub fn signal(&self, signal: Signal) {
        send(self.child.id() as i32, signal);
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the daemon ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal(Signal::SIGTERM);
            let deadline = Instant::now() + LONGEST;
            while self.child.try_wait().is_ok_and(|status| status.is_none()) {
                if Instant::now() > deadline {
                    let _ = self.child.kill();
                }
                thread::sleep(LOOK_AGAIN);
            }
        }
    }
}

/// A process that writes `ready.<name>` once it listens to SIGTERM, and on SIGTERM its name to `ends`.
pub fn polite(place: &Place, index: i32, name: &str) -> Value {
    let folder = place.folder.display();
    let script = format!(
        "trap 'echo {name} >> {folder}/ends; exit 0' TERM; echo $$ > {folder}/ready.{name}; while :; do sleep 1000 & wait; done"
    );
    shell(index, name, &script)
}

pub fn shell(index: i32, name: &str, script: &str) -> Value {
    json!({"proc_idx": index, "proc_name": name, "proc_path": "/bin/sh", "args": ["-c", script]})
}

pub fn sleeper(index: i32, name: &str) -> Value {
    json!({"proc_idx": index, "proc_name": name, "proc_path": "sleep", "args": ["1000"]})
}

pub fn send(pid: i32, signal: Signal) {
    assert!(pid > 0);
    kill(Pid::from_raw(pid), signal).unwrap();
}

pub fn lives(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Looks until it is so; the deadline is far, for a loaded machine.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONGEST;
    while !so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(LOOK_AGAIN);
    }
}

const LONGEST: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(3);
