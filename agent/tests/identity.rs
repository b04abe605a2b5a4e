//! Who is who: spoofed sources, and two who want the same id.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Agent, DLNA, PATIENCE, UPNP, call, frame, reply};
use msf_wire::librpc::{Header, Login, cmd, errcode, id, opcode};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_stranger_and_a_liar_get_login_fail_and_nothing_is_forwarded() {
    let agent = Agent::start("max_threads=2");
    let (mut upnp, mut dlna, mut stranger) = (agent.member(UPNP), agent.member(DLNA), agent.connect());
    let asked = call(DLNA, UPNP, 3, 1000);
    stranger.send(&frame(asked, b"payload"));
    stranger.expect_bytes(&asked.ack(errcode::LOGIN_FAIL, 0).encode());
    let lie = call(id::STUN, UPNP, 4, 1000);
    dlna.send(&lie.encode());
    dlna.expect_bytes(&lie.ack(errcode::LOGIN_FAIL, 0).encode());
    // A spoofed logout ends nobody, a spoofed answer reaches nobody.
    dlna.send(&Header::request(UPNP, id::MSG_SRV, cmd::LOGOUT, 5).encode());
    assert_eq!(dlna.get().head.errcode, errcode::LOGIN_FAIL);
    upnp.send(&call(UPNP, DLNA, 8, 1000).encode());
    let asked = dlna.get();
    stranger.send(&reply(&asked, b"forged"));
    stranger.expect_nothing(id::STUN);
    dlna.send(&reply(&asked, b"true"));
    assert_eq!(upnp.get().body, b"true");
    upnp.expect_nothing(UPNP);
    let counted = agent.end();
    assert_eq!((counted.of("spoofed"), counted.of("dropped_spoofed")), (3, 1));
}

#[test]
fn the_older_living_session_keeps_its_id_and_may_log_in_again() {
    let agent = Agent::start("max_threads=2");
    let mut older = agent.member(UPNP);
    let mut newer = agent.connect();
    assert_eq!(newer.login(UPNP), errcode::LOGIN_FAIL);
    assert_eq!(older.login(UPNP), errcode::EXEC_SUCC);
    assert_eq!(older.login(DLNA), errcode::LOGIN_FAIL, "one connection, one id");
    let mut dlna = agent.member(DLNA);
    dlna.send(&call(DLNA, UPNP, 1, 1000).encode());
    older.answer(b"older");
    assert_eq!(dlna.get().body, b"older");
    // The refused one may try again once the id is free.
    older.send(&Header::request(UPNP, id::MSG_SRV, cmd::LOGOUT, 1).encode());
    older.expect_end();
    assert_eq!(newer.login(UPNP), errcode::EXEC_SUCC);
    agent.wait_for_log("its id is taken by a session that lives");
}

#[test]
fn the_agents_own_ids_and_short_logins_are_refused() {
    let agent = Agent::start("");
    let mut peer = agent.connect();
    for own in [id::MSG_SRV, id::LOGIN_SRV, id::IMAGE_SRV] {
        assert_eq!(peer.login(own), errcode::LOGIN_FAIL);
    }
    let head = Header::request(DLNA, id::MSG_SRV, cmd::LOGIN, 1);
    peer.send(&frame(head, &Login::named(b"short").encode()[..67]));
    assert_eq!(peer.get().head.errcode, errcode::LOGIN_FAIL);
    assert_eq!(peer.login(u32::MAX), errcode::EXEC_SUCC);
}

/// Not a test of its own: what `holder` runs in another process. It logs in and stays until it is killed.
#[test]
fn helper_that_holds_an_id() {
    let Some(socket) = std::env::var_os("MSF_TEST_HOLD") else { return };
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(&common::login(UPNP)).unwrap();
    stream.read_exact(&mut [0; 56]).unwrap();
    // A copy of the socket in a child keeps the connection open after our death.
    let mut keeper =
        Command::new("cat").stdin(Stdio::from(std::os::fd::OwnedFd::from(stream))).stdout(Stdio::null()).spawn();
    println!("holding {}", keeper.as_mut().map_or(0, |child| child.id()));
    std::thread::sleep(Duration::from_secs(600));
}

/// Another process that is logged in, and the process that keeps its socket open.
fn holder(agent: &Agent) -> (Child, i32) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_that_holds_an_id", "--nocapture"])
        .env("MSF_TEST_HOLD", agent.socket())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    let stdout = child.stdout.as_mut().unwrap();
    while !text.contains("holding ") || !text.ends_with('\n') {
        let mut byte = [0];
        stdout.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
    let keeper = text.split("holding ").nth(1).unwrap().trim().parse().unwrap();
    (child, keeper)
}

/// Not a test of its own: what another user does.
#[test]
fn helper_that_logs_in() {
    let Some(socket) = std::env::var_os("MSF_TEST_LOGIN") else { return };
    let outcome = UnixStream::connect(socket).and_then(|mut stream| {
        stream.write_all(&common::login(0x77))?;
        stream.read_exact(&mut [0; 56])
    });
    println!("outcome: {}", if outcome.is_ok() { "in" } else { "out" });
}

/// Whether a process of user `uid` can log in; `None` when this machine does not let us try.
fn may_log_in(agent: &Agent, uid: u32) -> Option<bool> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "helper_that_logs_in", "--nocapture"]).env("MSF_TEST_LOGIN", agent.socket());
    let output = command.uid(uid).gid(uid).current_dir("/").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.contains("outcome: ").then(|| said.contains("outcome: in"))
}

#[test]
fn other_users_are_let_in_by_configuration_only() {
    const NOBODY: u32 = 65_534;
    let cases = [
        ("", false),
        ("unix_mask=0666", true),
        ("allow_uids=1,2", false),
        ("allow_uids=65534", true),
        ("unix_mask=0600", false),
    ];
    for (lines, expected) in cases {
        let agent = Agent::start(lines);
        // Only root can become somebody else.
        let Some(came_in) = may_log_in(&agent, NOBODY) else { return };
        assert_eq!(came_in, expected, "with \"{lines}\"");
        agent.member(UPNP);
        if lines == "allow_uids=1,2" {
            agent.wait_for_log("user 65534 may not connect");
        }
    }
}

#[test]
fn a_killed_process_loses_its_id_even_while_its_socket_is_open_and_it_is_not_reaped() {
    let agent = Agent::start("max_threads=2");
    let (mut child, keeper) = holder(&agent);
    let mut dlna = agent.member(DLNA);
    let mut newer = agent.connect();
    assert_eq!(newer.login(UPNP), errcode::LOGIN_FAIL, "it lives");
    dlna.send(&call(DLNA, UPNP, 1, 20_000).encode());
    // The answer to the probe behind it says that the request is on its way.
    dlna.expect_nothing(DLNA);
    child.kill().unwrap();
    // Not waited for: its number and its socket are still there.
    let until = Instant::now() + PATIENCE;
    while newer.login(UPNP) != errcode::EXEC_SUCC {
        assert!(Instant::now() < until, "the dead process keeps its id");
    }
    assert_eq!(dlna.get().head.errcode, errcode::PEER_OFFLINE, "its caller is told");
    dlna.send(&call(DLNA, UPNP, 2, 20_000).encode());
    newer.answer(b"new life");
    assert_eq!(dlna.get().body, b"new life");
    agent.wait_for_log("no longer lives");
    child.wait().unwrap();
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper), nix::sys::signal::Signal::SIGKILL);
}

#[test]
fn a_holder_that_knows_kalive_must_answer_one() {
    let agent = Agent::start("max_threads=2");
    let mut older = agent.member(UPNP);
    older.expect_nothing(UPNP);
    let mut newer = agent.connect();
    newer.send(&common::login(UPNP));
    let probe = older.get();
    assert_eq!((probe.head.opcode, probe.head.srcid, probe.head.dstid), (opcode::KALIVE, id::MSG_SRV, UPNP));
    older.send(&probe.head.ack(0, 0).encode());
    assert_eq!(newer.get().head.errcode, errcode::LOGIN_FAIL);
    // The second time it is silent.
    assert_eq!(newer.login(UPNP), errcode::EXEC_SUCC);
    assert_eq!(older.get().head.opcode, opcode::KALIVE);
    older.expect_end();
}
