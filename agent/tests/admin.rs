//! The words of an operator, said to a real agent, and what a peer at the admin socket cannot do to it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Agent, DLNA, Folder, PATIENCE, UPNP, call, command, frame, run, text};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Output;
use std::time::Instant;

fn socket(agent: &Agent) -> PathBuf {
    agent.folder.0.join("msf_agent_admin.sock")
}

/// Says these words to the running agent.
fn say(agent: &Agent, words: &[&str]) -> Output {
    command(&agent.folder.0).args(words).output().unwrap()
}

fn said(agent: &Agent, words: &[&str]) -> String {
    let output = say(agent, words);
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn connect(agent: &Agent) -> UnixStream {
    let stream = UnixStream::connect(socket(agent)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn ask(stream: &mut UnixStream, line: &str) -> String {
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

#[test]
fn a_list_names_services_and_sessions() {
    let agent = Agent::start("");
    let _service = agent.member(DLNA);
    let _stranger = agent.connect();
    let list = said(&agent, &["list"]);
    let line = list.lines().find(|line| line.starts_with(&format!("svc{DLNA:x}"))).expect(&list);
    assert!(line.contains(&format!("{DLNA:#x}")) && line.contains(&format!("pid {}", std::process::id())), "{line}");
    assert!(list.contains("no functions"), "{list}");
    assert!(list.contains("stranger"), "{list}");
    let json = said(&agent, &["list", "--json"]);
    assert!(json.contains("\"session_count\":2") && json.ends_with("}\n"), "{json}");
}

#[test]
fn a_top_shows_what_is_done_meanwhile() {
    let agent = Agent::start("");
    let mut service = agent.member(DLNA);
    let mut caller = agent.member(UPNP);
    for seq in 0..5 {
        caller.send(&frame(call(UPNP, DLNA, seq, 10_000), b"ping"));
        service.answer(b"pong");
        caller.get();
    }
    let json = said(&agent, &["top", "--once", "--json"]);
    assert!(json.contains("\"calls\":5") && json.contains("\"replies\":5"), "{json}");
    let top = said(&agent, &["top", "--once"]);
    assert!(top.starts_with("2 sessions, 0.0 librpc calls/s"), "{top}");
    assert!(!top.contains('\u{1b}'), "a pipe is no terminal");
}

#[test]
fn without_an_agent_it_is_said_where_it_was_looked_for() {
    let folder = Folder::new();
    let output = run(&folder, &["list"]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(
        error.contains("no msf_agent is running (looked in ") && error.contains(folder.0.to_str().unwrap()),
        "{error}"
    );
}

#[test]
fn words_that_cannot_be_understood_are_wrong_usage() {
    let folder = Folder::new();
    for (words, what) in [
        (&["lst"][..], "unknown word \"lst\"; expected \"list\"?"),
        (&["list", "all"], "list: expected nothing after it, found 1 words"),
        (&["list", "--once"], "list has no option --once"),
        (&["top", "--interval", "0"], "--interval: expected a whole number from 1 to 3600, found \"0\""),
    ] {
        let output = run(&folder, words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(text(&output.stderr).contains(what), "{words:?}: {}", text(&output.stderr));
    }
}

#[test]
fn the_socket_is_the_operators_alone_and_goes_with_the_agent() {
    let mut agent = Agent::start("unix_mask=0666");
    let path = socket(&agent);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    agent.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(agent.wait().success());
    assert!(!path.exists());
}

#[test]
fn what_is_no_request_is_answered_with_what_is_wrong() {
    let agent = Agent::start("");
    let mut stream = connect(&agent);
    for (line, what) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("{\"verb\":", "line 1"),
        ("[]", "line 1"),
        ("{}", "verb: missing; expected one of "),
        ("{\"verb\":7}", "verb: missing; expected one of "),
        ("{\"verb\":\"lst\"}", "verb: unknown word \\\"lst\\\"; expected one of "),
    ] {
        let answer = ask(&mut stream, line);
        assert!(answer.starts_with("{\"error\":\"") && answer.contains(what), "{line}: {answer}");
    }
    stream.write_all(b"\xff\xfe\n").unwrap();
    assert!(ask(&mut stream, "{\"verb\":\"top\"}").contains("utf-8"), "the first answer");
}

#[test]
fn requests_in_one_piece_are_answered_in_order() {
    let agent = Agent::start("");
    let mut stream = connect(&agent);
    stream.write_all(b"{\"verb\":\"list\"}\n{\"verb\":\"top\"}\n{\"verb\":\"list\"}\n{\"verb\"").unwrap();
    stream.write_all(b":\"top\"}\n").unwrap();
    let mut reader = BufReader::new(stream);
    for key in ["session_count", "busy_nanos", "session_count", "busy_nanos"] {
        let mut answer = String::new();
        reader.read_line(&mut answer).unwrap();
        assert!(answer.contains(key), "{answer}");
    }
}

#[test]
fn peers_that_do_not_read_or_never_end_a_line_disturb_neither_calls_nor_operators() {
    let agent = Agent::start("");
    let mut service = agent.member(DLNA);
    let mut caller = agent.member(UPNP);
    let mut hostile = Vec::new();
    for number in 0..60 {
        let mut stream = connect(&agent);
        stream.set_nonblocking(true).unwrap();
        match number % 3 {
            0 => drop(stream.write(&b"{\"verb\":\"list\"}\n".repeat(1000))),
            1 => while stream.write(&[b'x'; 65_536]).is_ok() {},
            _ => drop(stream.write(b"{\"verb\":\"list\"}\n")),
        }
        hostile.push(stream);
    }
    let began = Instant::now();
    for seq in 0..1000 {
        caller.send(&frame(call(UPNP, DLNA, seq, 10_000), b"ping"));
        service.answer(b"pong");
        assert_eq!(caller.get().body, b"pong");
    }
    assert!(began.elapsed() < PATIENCE);
    assert!(said(&agent, &["list"]).contains(&format!("{DLNA:#x}")));
}

#[test]
fn a_line_that_never_ends_ends_the_connection() {
    let agent = Agent::start("");
    let mut stream = connect(&agent);
    let piece = vec![b'x'; 1 << 20];
    let sent = (0..64).map(|_| stream.write_all(&piece)).find_map(Result::err);
    let kind = sent.map(|error| error.kind());
    assert!(matches!(kind, Some(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)), "{kind:?}");
    assert!(!matches!(stream.read(&mut [0]), Ok(1..)));
}
