//! Whom the white and the black list let in over nmid's port: from the next connection on, and nobody is cut who is in.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Agent, PATIENCE, run};
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A worker's PING and what it is answered with.
const PING: &[u8] = b"\0\0\0\x02\0\0\0\x16\0\0\0\x04PING";
const PONG: &[u8] = b"\0\0\0\x01\0\0\0\x17\0\0\0\0";
const NMID: &str = "net_enable=false\nnmid_enable=true\nnmid_port=0\n";

fn connect(agent: &Agent) -> TcpStream {
    let log = agent.log();
    let port = log.split("nmid 127.0.0.1:").nth(1).unwrap().split(|c: char| !c.is_ascii_digit()).next().unwrap();
    let peer = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer
}

/// Whether a PING is answered; the alternative is the end of the connection.
fn is_served(peer: &mut TcpStream) -> bool {
    let mut answer = [0; 12];
    match peer.write_all(PING).and_then(|()| peer.read_exact(&mut answer)) {
        Ok(()) => {
            assert_eq!(answer, PONG);
            true
        }
        Err(error) => {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "neither served nor turned away");
            false
        }
    }
}

/// Gives the running agent other settings.
fn reload(agent: &Agent, lines: &str) {
    let done = || agent.log().matches("reload: done").count();
    let before = done();
    fs::write(agent.folder.0.join("agent.conf"), format!("{NMID}{lines}\n")).unwrap();
    agent.signal(Signal::SIGHUP);
    let until = Instant::now() + PATIENCE;
    while done() == before {
        assert!(Instant::now() < until, "{}", agent.log());
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_reload_applies_the_lists_to_whoever_comes_next() {
    let agent = Agent::start("nmid_enable=true\nnmid_port=0");
    let mut first = connect(&agent);
    assert!(is_served(&mut first));
    for (lines, served) in [
        ("black_list=127.0.0.0/8", false),
        ("black_list=10.0.0.0/8", true),
        ("white_list=10.0.0.0/8", false),
        ("white_list=10.0.0.0/8,127.0.0.1", true),
        ("white_list=127.0.0.1\nblack_list=127.0.0.1", false),
        ("", true),
    ] {
        reload(&agent, lines);
        assert_eq!(is_served(&mut connect(&agent)), served, "{lines}");
    }
    assert!(is_served(&mut first), "who was in stays in");
    assert!(!agent.log().contains("takes a restart"), "{}", agent.log());
}

#[test]
fn a_port_is_named_as_what_takes_a_restart_and_stays_where_it_is() {
    let agent = Agent::start("nmid_enable=true\nnmid_port=0");
    reload(&agent, "http_enable=true\nhttp_port=0\nmetrics_path=/m");
    for key in ["http_enable", "http_port", "metrics_path"] {
        agent.wait_for_log(&format!("reload: {key} has changed; that takes a restart"));
    }
    assert!(is_served(&mut connect(&agent)));
}

#[test]
fn nmids_black_list_keeps_out_whom_it_names() {
    let agent = Agent::start("nmid_enable=true\nnmid_port=0");
    let yaml = "BlackList: {enable: true, no_allow_list: {127.0.0.1: true}}\n";
    fs::write(agent.folder.0.join("server.yaml"), yaml).unwrap();
    let shown = run(&agent.folder, &["-c", "agent.conf", "-c", "server.yaml", "-k", "parse"]);
    let shown = common::text(&shown.stdout);
    assert!(shown.contains("\nblack_list=127.0.0.1\n"), "{shown}");
    let list = shown.lines().find(|line| line.starts_with("black_list=")).unwrap();
    reload(&agent, list);
    assert!(!is_served(&mut connect(&agent)));
}
