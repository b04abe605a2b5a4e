//! The kernel without memory: system calls fail now and then, put to failure by strace, and nothing is lost.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Agent, DLNA, Folder, UPNP, call, frame};
use nix::sys::signal::Signal;
use std::process::{Command, Stdio};

/// Whether this machine has strace and lets us use it.
fn can_trace() -> bool {
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

#[test]
fn failing_system_calls_lose_neither_connections_nor_answers() {
    if !can_trace() {
        println!("skipped: strace is missing or may not trace");
        return;
    }
    let folder = Folder::new();
    let trace = folder.0.join("trace");
    let mut command = common::command_of("strace", &folder.0);
    // -D: the agent is our child, strace stands beside it.
    command.args(["-D", "-f", "-qq", "-o"]).arg(&trace).args(["-e", "trace=read,write,accept4"]);
    command.args(["-e", "inject=accept4:error=ENOMEM:when=2+3", "-e", "inject=write:error=ENOBUFS:when=40+7"]);
    command.args(["-e", "inject=read:error=ENOMEM:when=40+5"]).arg(env!("CARGO_BIN_EXE_msf_agent"));
    let mut agent = Agent::start_as(folder, command, "max_threads=2");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    for seq in 0..300 {
        dlna.send(&frame(call(DLNA, UPNP, seq, 20_000), &seq.to_le_bytes()));
        let asked = upnp.get();
        upnp.send(&frame(asked.head.ack(0, 0), &asked.body));
        let got = dlna.get();
        assert_eq!((got.head.seq, got.body), (seq, seq.to_le_bytes().to_vec()));
    }
    (0..10).for_each(|n| drop(agent.member(0x500 + n)));
    let injected = std::fs::read_to_string(&trace).unwrap();
    for name in ["accept4(", "write(", "read("] {
        assert!(injected.lines().any(|line| line.contains(name) && line.contains("INJECTED")), "{name} never failed");
    }
    // Not by `end`: lines of the log are among what could not be written.
    agent.signal(Signal::SIGTERM);
    assert!(agent.wait().success());
}
