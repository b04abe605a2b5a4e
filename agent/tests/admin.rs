//! The words of an operator, said to a real agent, and what a peer at the admin socket cannot do to it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;
mod worker;

use common::{Agent, DLNA, Folder, PATIENCE, UPNP, call, command, frame, run, text};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Instant;
use worker::Nmid;

const NMID: &str = "nmid_enable=true\nnmid_port=0";

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

/// Lets `job` happen at a worker while a word is said; what was said about it.
fn said_meanwhile(agent: &Agent, words: &[&str], job: impl FnOnce() + Send) -> Output {
    thread::scope(|scope| {
        scope.spawn(job);
        say(agent, words)
    })
}

#[test]
fn a_call_shows_the_functions_data_and_its_code() {
    let agent = Agent::start(NMID);
    let mut worker = Nmid::worker(&agent, "W1", &[b"ToUpper"]);
    let output = said_meanwhile(&agent, &["call", "ToUpper", "{\"name\": \"nmid\"}"], || {
        let job = worker.job();
        assert_eq!((job.function.as_slice(), job.params.as_slice()), (&b"ToUpper"[..], &b"{\"name\": \"nmid\"}"[..]));
        worker.answer(&job, 0, "ok", b"NMID");
    });
    assert_eq!(
        (output.status.code(), text(&output.stdout), text(&output.stderr)),
        (Some(0), "NMID\n".into(), "".into())
    );
    let output = said_meanwhile(&agent, &["call", "ToUpper", "{}", "--json"], || {
        let job = worker.job();
        worker.answer(&job, 0, "ok", br#"{"n": 1.50}"#);
    });
    assert_eq!(text(&output.stdout), "{\"code\":0,\"msg\":\"ok\",\"data\":{\"n\": 1.50}}\n");
    let output = said_meanwhile(&agent, &["call", "ToUpper", "{}"], || {
        let job = worker.job();
        worker.answer(&job, 7, "no name", b"");
    });
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), "msf_agent: ToUpper: code 7: no name\n".into()));
}

#[test]
fn a_call_that_has_no_result_says_why() {
    let agent = Agent::start(NMID);
    let output = say(&agent, &["call", "Nobody", "{}"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "msf_agent: Nobody: no worker offers this function\n");
    let _sleeper = Nmid::worker(&agent, "W1", &[b"Sleep"]);
    let output = say(&agent, &["call", "Sleep", "{}", "--deadline", "50"]);
    assert_eq!(text(&output.stderr), "msf_agent: Sleep: no worker answered in time\n");
    let output = say(&agent, &["call", "Sleep", "{", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("line 1 column 1"), "{}", text(&output.stderr));
    let output = say(&agent, &["call", "Sleep", "{}", "--deadline", "20", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "{\"error\":\"no worker answered in time\",\"kind\":\"deadline\"}\n");
}

#[test]
fn a_librpc_service_is_called_by_its_name_and_command() {
    let agent = Agent::start(NMID);
    let mut service = agent.member(DLNA);
    let name = format!("svc{DLNA:x}/0x26");
    let output = said_meanwhile(&agent, &["call", &name, "{\"payload\": \"cGluZw==\"}"], || {
        assert_eq!(service.answer(b"pong").body, b"ping");
    });
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "pong\n".into()), "{}", text(&output.stderr));
}

#[test]
fn a_list_and_a_top_show_functions_and_workers() {
    let agent = Agent::start(NMID);
    let mut worker = Nmid::worker(&agent, "W1", &[b"ToUpper", b"evil\x1b[2J"]);
    let mut client = Nmid::connect(&agent);
    client.ask(b"ToUpper", b"{}");
    let job = worker.job();
    let list = said(&agent, &["list"]);
    let line = list.lines().find(|line| line.starts_with("ToUpper")).expect(&list);
    assert!(line.contains("W1") && line.contains("127.0.0.1") && line.contains("busy"), "{line}");
    assert!(list.contains("evil?[2J") && !list.contains('\x1b'), "{list}");
    worker.answer(&job, 0, "", b"");
    client.result();
    let top = said(&agent, &["top", "--once"]);
    assert!(
        top.lines().any(|line| line.starts_with("ToUpper")) && top.lines().any(|line| line == line.trim_end()),
        "{top}"
    );
    assert!(top.lines().all(|line| line.chars().count() <= 80), "{top}");
}

/// `msf_agent tap` at work, from when every reactor looks.
fn tapping(agent: &Agent, words: &[&str]) -> Child {
    let mut command: Command = command(&agent.folder.0);
    let mut tap = command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(tap.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("is shown from now on"), "{line}");
    tap
}

#[test]
fn a_tap_shows_requests_and_answers_cut_short() {
    let agent = Agent::start("nmid_enable=true\nnmid_port=0\nmax_threads=2");
    let mut worker = Nmid::worker(&agent, "W1", &[b"Echo"]);
    let tap = tapping(&agent, &["tap", "Echo", "--count", "5", "--json"]);
    let mut client = Nmid::connect(&agent);
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(1000));
    for params in ["{\"n\":1}", &long] {
        client.ask(b"Echo", params.as_bytes());
        let job = worker.job();
        worker.answer(&job, 0, "ok", b"data");
        client.result();
    }
    // Its worker dies.
    client.ask(b"Echo", b"{}");
    worker.job();
    let output = tap.wait_with_output().unwrap();
    let lines = text(&output.stdout);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!((output.status.code(), lines.len()), (Some(0), 5), "{lines:?}");
    assert!(lines[0].contains(r#""event":"request""#) && lines[0].contains(r#""payload":"{\"n\":1}""#), "{}", lines[0]);
    assert!(lines[0].contains(r#""protocol":"nmid""#), "{}", lines[0]);
    assert!(lines[1].contains(r#""event":"answer""#) && lines[1].contains(r#""outcome":"ok""#), "{}", lines[1]);
    assert!(lines[1].contains(r#"\"Data\""#), "{}", lines[1]);
    assert!(lines[2].contains(r#""bytes":1008"#) && lines[2].len() < 600, "{}", lines[2]);
}

#[test]
fn a_tap_needs_a_function_that_is_known_and_names_the_nearest() {
    let agent = Agent::start(NMID);
    let _worker = Nmid::worker(&agent, "W1", &[b"ToUpper"]);
    let output = say(&agent, &["tap", "ToUper"]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("no worker has offered a function \"ToUper\"; did you mean \"ToUpper\"?"), "{error}");
}

#[test]
fn a_tap_that_is_not_read_holds_up_no_call_and_says_what_it_missed() {
    let agent = Agent::start(NMID);
    let mut worker = Nmid::worker(&agent, "W1", &[b"Echo"]);
    let mut tap = connect(&agent);
    assert_eq!(ask(&mut tap, "{\"verb\":\"tap\",\"function\":\"Echo\"}"), "{\"tap\":\"Echo\"}\n");
    let mut client = Nmid::connect(&agent);
    let params = format!("{{\"a\":\"{}\"}}", "x".repeat(300));
    for _ in 0..3000 {
        client.ask(b"Echo", params.as_bytes());
        let job = worker.job();
        worker.answer(&job, 0, "ok", b"data");
        client.result();
    }
    let (mut shown, mut missed) = (0, 0);
    // One more, behind which nothing is missing: until it is shown, what could not be said is said first.
    let mut reader = BufReader::new(tap);
    while shown + missed < 6000 {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.strip_prefix("{\"missed\":") {
            Some(count) => missed += count.trim_end().trim_end_matches('}').parse::<u64>().unwrap(),
            None => shown += 1,
        }
        if shown + missed < 6000 && reader.buffer().is_empty() {
            client.ask(b"Echo", b"{}");
            let job = worker.job();
            worker.answer(&job, 0, "ok", b"");
            client.result();
        }
    }
    assert!(missed > 0 && shown > 100, "{shown} shown, {missed} missed");
}
