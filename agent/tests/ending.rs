//! Beginning and end: one instance, signals, the drain, what is left behind, and the words after -k.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Agent, DLNA, Folder, UPNP, call, command, reply, run, text};
use msf_wire::librpc::errcode;
use nix::sys::signal::Signal;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn sigterm_waits_for_answers_refuses_the_new_and_leaves_nothing() {
    let mut agent = Agent::start("max_threads=2");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    dlna.send(&call(DLNA, UPNP, 1, 20_000).encode());
    let asked = upnp.get();
    agent.signal(Signal::SIGTERM);
    agent.wait_for_log("ending: 2 services, 2 connections");
    assert!(!agent.socket().exists() && UnixStream::connect(agent.socket()).is_err(), "nobody new comes in");
    let until = Instant::now() + Duration::from_secs(3);
    loop {
        // The order to drain reaches the reactors a moment later.
        dlna.send(&call(DLNA, UPNP, 2, 100).encode());
        if dlna.stream.set_read_timeout(Some(Duration::from_millis(50))).is_ok()
            && let Ok(count) = dlna.stream.read(&mut [0; 56])
        {
            assert_eq!(count, 56);
            break;
        }
        assert!(Instant::now() < until);
    }
    upnp.send(&reply(&asked, b"in time"));
    dlna.stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let mut answer = dlna.get();
    while answer.body.is_empty() {
        answer = dlna.get();
    }
    assert_eq!(answer.body, b"in time");
    assert!(agent.wait().success());
    let mut left: Vec<_> = fs::read_dir(&agent.folder.0).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["agent.conf", "log"]);
}

#[test]
fn what_is_unanswered_when_the_drain_is_over_is_failed() {
    let mut agent = Agent::start("max_threads=2\ndrain_ms=100");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    dlna.send(&call(DLNA, UPNP, 1, 60_000).encode());
    upnp.get();
    agent.signal(Signal::SIGINT);
    let told = dlna.get();
    assert_eq!((told.head.seq, told.head.errcode), (1, errcode::PEER_OFFLINE));
    dlna.expect_end();
    assert!(agent.wait().success());
}

#[test]
fn an_idle_agent_ends_at_once() {
    let mut agent = Agent::start("drain_ms=60000\nmax_threads=2");
    let _idle = agent.member(UPNP);
    let begun = Instant::now();
    agent.signal(Signal::SIGTERM);
    assert!(agent.wait().success());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_second_copy_refuses_and_names_the_first() {
    let agent = Agent::start("");
    let second = run(&agent.folder, &["-c", "agent.conf"]);
    assert_eq!(second.status.code(), Some(1));
    let said = text(&second.stderr);
    assert!(said.contains(&format!("running already, as process {}", agent.pid())), "{said}");
    agent.member(UPNP);
}

#[test]
fn the_words_after_k_reach_the_running_agent() {
    let mut agent = Agent::start("payload_limit=64K");
    fs::write(agent.folder.0.join("agent.conf"), "net_enable=false\npayload_limit=16K\nbacklog=9\nmax_cons=1\n")
        .unwrap();
    assert!(run(&agent.folder, &["-c", "agent.conf", "-k", "reload"]).status.success());
    agent.wait_for_log("reload: done");
    agent.wait_for_log("backlog has changed; that takes a restart");
    agent.wait_for_log("did you mean \"max_conns\"?");
    let mut dlna = agent.member(DLNA);
    // The order reaches the reactor before the login of a connection made after it.
    dlna.send(&msf_wire::librpc::Header { datalen: 20_000, ..call(DLNA, UPNP, 1, 9) }.encode());
    dlna.get();
    agent.wait_for_log("payload of 20000 bytes");
    let log = agent.folder.0.join("log/msf_agent.log");
    fs::rename(&log, log.with_extension("old")).unwrap();
    assert!(run(&agent.folder, &["-k", "rotate"]).status.success());
    agent.wait_for_log("rotate: the log is open anew");
    assert!(run(&agent.folder, &["-k", "shutdown"]).status.success());
    assert!(agent.wait().success());
    let none = run(&agent.folder, &["-k", "shutdown"]);
    let said = format!("msf_agent: no msf_agent is running (looked in {})\n", agent.folder.0.display());
    assert_eq!((none.status.code(), text(&none.stderr)), (Some(1), said));
}

#[test]
fn parse_prints_the_settings_or_says_what_is_wrong() {
    let folder = Folder::new();
    fs::write(folder.0.join("a.conf"), "tcp_port=1234\n").unwrap();
    fs::write(folder.0.join("b.json"), r#"{"version": 1, "max_conns": 7}"#).unwrap();
    let good = run(&folder, &["-c", "a.conf", "-c", "b.json", "-k", "parse"]);
    let said = text(&good.stdout);
    assert!(good.status.success() && said.contains("tcp_port=1234\n") && said.contains("max_conns=7\n"), "{said}");
    fs::write(folder.0.join("b.json"), r#"{"version": 1, "max_cons": 7}"#).unwrap();
    let bad = run(&folder, &["-c", "b.json", "-k", "parse"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(text(&bad.stderr).contains("b.json: max_cons: unknown key; did you mean \"max_conns\"?"));
    fs::write(folder.0.join("c.conf"), "auth_chap=true\n").unwrap();
    let chap = run(&folder, &["-c", "c.conf"]);
    assert_eq!(chap.status.code(), Some(2));
    assert!(text(&chap.stderr).contains("c.conf: auth_chap: CHAP does not exist yet"));
    assert_eq!(run(&folder, &["-k", "relod"]).status.code(), Some(2));
    assert_eq!(run(&folder, &["-c", "missing.conf"]).status.code(), Some(2));
    // The default place.
    fs::create_dir(folder.0.join("config")).unwrap();
    fs::write(folder.0.join("config/msf_agent.conf"), "max_conns=77\n").unwrap();
    assert!(text(&run(&folder, &["-k", "parse"]).stdout).contains("max_conns=77\n"));
}

#[test]
fn a_taken_default_port_is_a_warning_and_a_configured_one_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = Folder::new();
    fs::write(folder.0.join("a.conf"), format!("tcp_port={port}\n")).unwrap();
    let refused = run(&folder, &["-c", "a.conf"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains(&format!("cannot listen on TCP 127.0.0.1:{port}")), "{said}");
    assert!(!folder.0.join("msf_agent.sock").exists() && !folder.0.join("msf_agent.pid").exists());
}

#[test]
fn tcp_and_an_additional_unix_socket_serve_like_the_first() {
    let folder = Folder::new();
    let extra = folder.0.join("extra.sock");
    let command = command(&folder.0);
    let lines = format!(
        "net_enable=true\ntcp_port=0\nnode_ip=NULL\nunix_path={}\nunix_mask=0660\nmax_threads=2",
        extra.display()
    );
    let agent = Agent::start_as(folder, command, &lines);
    assert_eq!(fs::metadata(&extra).unwrap().permissions().mode() & 0o777, 0o660);
    let line = agent.wait_for_log("peers on the network are not authenticated");
    let port = line.split("0.0.0.0:").nth(1).unwrap().split(':').next().unwrap();
    let mut upnp = common::Peer::over(UnixStream::connect(&extra).unwrap());
    assert_eq!(upnp.login(UPNP), errcode::EXEC_SUCC);
    let mut remote = std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    std::io::Write::write_all(&mut remote, &common::login(DLNA)).unwrap();
    let mut ack = [0; 56];
    remote.read_exact(&mut ack).unwrap();
    std::io::Write::write_all(&mut remote, &call(DLNA, UPNP, 1, 20_000).encode()).unwrap();
    let asked = upnp.answer(b"over tcp");
    let mut answer = [0; 64];
    remote.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[..], reply(&asked, b"over tcp"));
    std::io::Write::write_all(&mut remote, b"rubbish, and enough of it").unwrap();
    agent.wait_for_log(&format!("127.0.0.1:{}): closed: magic", remote.local_addr().unwrap().port()));
    agent.end();
    assert!(!extra.exists());
}

#[test]
fn the_environment_moves_the_socket_and_a_stale_one_is_taken_over() {
    let folder = Folder::new();
    let path = folder.0.join("elsewhere.sock");
    drop(UnixListener::bind(&path).unwrap());
    let mut command = command(&folder.0);
    command.env("MSF_AGENT_SOCK", &path);
    let agent = Agent::start_as(folder, command, "");
    assert!(!agent.socket().exists());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut peer = common::Peer::over(UnixStream::connect(&path).unwrap());
    assert_eq!(peer.login(UPNP), errcode::EXEC_SUCC);
    agent.end();
    assert!(!path.exists());
}

#[test]
fn killed_and_started_again_it_serves_again() {
    let mut agent = Agent::start("");
    agent.signal(Signal::SIGKILL);
    assert!(!agent.wait().success());
    assert!(agent.socket().exists());
    let folder = std::mem::replace(&mut agent.folder, Folder::new());
    drop(agent);
    let command = command(&folder.0);
    let agent = Agent::start_as(folder, command, "");
    agent.member(UPNP);
}

#[test]
fn detached_it_says_when_it_is_ready() {
    let folder = Folder::new();
    fs::write(folder.0.join("a.conf"), "net_enable=false\nverbose=false\npid_file=own.pid\n").unwrap();
    assert!(run(&folder, &["-d", "-c", "a.conf"]).status.success());
    UnixStream::connect(folder.0.join("msf_agent.sock")).unwrap();
    let pid = fs::read_to_string(folder.0.join("own.pid")).unwrap();
    assert_eq!(fs::read_to_string(folder.0.join("msf_agent.pid")).unwrap(), pid);
    assert!(run(&folder, &["-k", "shutdown"]).status.success());
    assert!(!folder.0.join("msf_agent.pid").exists() && !folder.0.join("own.pid").exists());
}

#[test]
fn regress_after_shutdown_or_kill_the_next_may_start() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    drop(taken);
    fs::write(folder.0.join("a.conf"), format!("tcp_port={port}\nmax_threads=4\n")).unwrap();
    for word in ["shutdown", "kill", "shutdown", "kill", "shutdown"] {
        let started = run(&folder, &["-d", "-c", "a.conf"]);
        assert!(started.status.success(), "{}", text(&started.stderr));
        let done = run(&folder, &["-c", "a.conf", "-k", word]);
        assert!(done.status.success(), "{word}: {}", text(&done.stderr));
    }
}

#[test]
fn a_shutdown_that_takes_too_long_is_told() {
    let agent = Agent::start("drain_ms=60000\nmax_threads=2");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    dlna.send(&call(DLNA, UPNP, 1, 60_000).encode());
    upnp.get();
    // This file knows nothing of the minute: its drain and five seconds are waited for.
    fs::write(agent.folder.0.join("other.conf"), "drain_ms=0\n").unwrap();
    let shutdown = run(&agent.folder, &["-c", "other.conf", "-k", "shutdown"]);
    let said = format!("msf_agent: process {} has SIGTERM, and has not ended after 5 s\n", agent.pid());
    assert_eq!((shutdown.status.code(), text(&shutdown.stderr)), (Some(1), said));
}

#[test]
fn regress_detached_it_leaves_the_callers_pipe_unless_verbose_is_written() {
    let folder = Folder::new();
    for (lines, words, keeps) in [
        ("", &["-d"][..], false),
        ("daemon=true", &[], false),
        ("verbose=false", &["-d"], false),
        ("verbose=true", &["-d"], true),
    ] {
        fs::write(folder.0.join("a.conf"), format!("net_enable=false\n{lines}\n")).unwrap();
        let mut agent = command(&folder.0);
        agent.args(["-c", "a.conf"]).args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut caller = agent.spawn().unwrap();
        assert!(caller.wait().unwrap().success());
        let mut said = String::new();
        if keeps {
            let pid = fs::read_to_string(folder.0.join("msf_agent.pid")).unwrap();
            let out = fs::read_link(format!("/proc/{}/fd/1", pid.trim())).unwrap();
            assert!(out.to_string_lossy().starts_with("pipe:"), "{out:?}");
        } else {
            // Ends only when nobody has the other side.
            caller.stdout.take().unwrap().read_to_string(&mut said).unwrap();
            caller.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        }
        assert_eq!(said, "", "{lines}");
        assert!(run(&folder, &["-c", "a.conf", "-k", "shutdown"]).status.success());
    }
}

#[test]
fn what_goes_wrong_after_detaching_is_still_said_to_the_caller() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = Folder::new();
    fs::write(folder.0.join("a.conf"), format!("tcp_port={port}\n")).unwrap();
    let refused = run(&folder, &["-d", "-c", "a.conf"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains(&format!("cannot listen on TCP 127.0.0.1:{port}")),
        "{}",
        text(&refused.stderr)
    );
}

#[test]
fn in_the_foreground_it_says_where_it_listens_in_one_line() {
    let folder = Folder::new();
    fs::write(folder.0.join("a.conf"), "tcp_port=0\n").unwrap();
    let mut agent = command(&folder.0).args(["-c", "a.conf"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(agent.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let done = run(&folder, &["-k", "shutdown"]);
    agent.wait().unwrap();
    let (socket, log) = (folder.0.join("msf_agent.sock"), folder.0.join("log/msf_agent.log"));
    let begin = format!("msf_agent {} listens on unix {}, TCP 127.0.0.1:", env!("CARGO_PKG_VERSION"), socket.display());
    assert!(line.starts_with(&begin) && line.ends_with(&format!("; log {}\n", log.display())), "{line}");
    assert!(done.status.success());
}
