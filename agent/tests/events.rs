//! Events: published by one, told to all who want to know, in order; and who comes and goes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Agent, DLNA, Got, PATIENCE, Peer, UPNP, call, command, frame, reply};
use msf_wire::librpc::{
    COMPONENT_OFFLINE, COMPONENT_ONLINE, HEADER_LEN, Header, Publication, cmd, errcode, id, opcode, timeout,
};
use nix::sys::signal::Signal;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const MANY: u32 = 4;

fn ask(peer: &mut Peer, me: u32, command: u32, payload: &[u8]) -> u32 {
    let head = Header { timeout: 1000, ..Header::request(me, id::EVENT_SRV, command, 77) };
    peer.send(&frame(head, payload));
    loop {
        let got = peer.get();
        if got.head.opcode == opcode::ACK {
            assert_eq!((got.head.srcid, got.head.cmd, got.head.seq), (id::EVENT_SRV, command, 77));
            return got.head.errcode;
        }
    }
}

fn subscribe(peer: &mut Peer, me: u32, name: &[u8]) {
    assert_eq!(ask(peer, me, cmd::SUBSCRIBE, name), errcode::EXEC_SUCC);
}

fn event(name: &[u8], data: &[u8]) -> Vec<u8> {
    Publication { name, data }.encode()
}

fn post(peer: &mut Peer, me: u32, name: &[u8], data: &[u8]) {
    let head = Header { timeout: timeout::NO_WAIT, ..Header::request(me, id::EVENT_SRV, cmd::PUBLISH, 1) };
    peer.send(&frame(head, &event(name, data)));
}

/// What an event says: its name, its data, who has published it, and how many were lost before it.
fn said(got: &Got) -> (String, String, u32, u32) {
    assert_eq!((got.head.opcode, got.head.srcid, got.head.cmd), (opcode::REQ, id::EVENT_SRV, cmd::EVENT));
    assert_eq!((got.head.timeout, got.head.restlen), (0, 0), "nobody waits for an answer");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let publication = Publication::parse(&got.body).unwrap();
    (text(publication.name), text(publication.data), got.head.publisher(), got.head.lost())
}

/// A component's event: its name, whom it is about, and why.
fn about(got: &Got) -> (String, u64, String) {
    let (name, data, publisher, _) = said(got);
    assert_eq!(publisher, id::MSG_SRV);
    let value = msf_conf::tree::parse(&data).unwrap();
    (name, value["id"].as_u64().unwrap(), value["reason"].as_str().unwrap().to_owned())
}

fn words(name: &[u8], id: u32, reason: &str) -> (String, u64, String) {
    (String::from_utf8(name.to_vec()).unwrap(), u64::from(id), reason.to_owned())
}

#[test]
fn an_event_reaches_every_subscriber_on_every_reactor_in_order_and_nobody_else() {
    let agent = Agent::start(&format!("max_threads={MANY}"));
    let mut subscribers: Vec<(u32, Peer)> = (0..6).map(|number| (100 + number, agent.member(100 + number))).collect();
    subscribers.iter_mut().for_each(|(me, peer)| subscribe(peer, *me, b"news"));
    let mut other = agent.member(DLNA);
    subscribe(&mut other, DLNA, b"other");
    let mut publisher = agent.member(UPNP);
    for number in 0..1000 {
        post(&mut publisher, UPNP, b"news", format!("{number}").as_bytes());
    }
    for (_, peer) in &mut subscribers {
        for number in 0..1000 {
            assert_eq!(said(&peer.get()), ("news".to_owned(), format!("{number}"), UPNP, 0));
        }
    }
    assert_eq!(ask(&mut publisher, UPNP, cmd::PUBLISH, &event(b"other", b"")), errcode::EXEC_SUCC);
    assert_eq!(said(&other.get()), ("other".to_owned(), String::new(), UPNP, 0));
    other.expect_nothing(DLNA);
    publisher.expect_nothing(UPNP);
    let (me, peer) = &mut subscribers[0];
    assert_eq!(ask(peer, *me, cmd::UNSUBSCRIBE, b"news"), errcode::EXEC_SUCC);
    assert_eq!(ask(&mut publisher, UPNP, cmd::PUBLISH, &event(b"news", b"last")), errcode::EXEC_SUCC);
    assert_eq!(said(&subscribers[1].1.get()).1, "last");
    let (me, peer) = &mut subscribers[0];
    peer.expect_nothing(*me);
    let counted = agent.end();
    assert_eq!((counted.of("published"), counted.of("told"), counted.of("untold")), (1002, 6006, 0));
}

#[test]
fn a_publisher_hears_its_own_and_a_star_is_every_name() {
    let agent = Agent::start("");
    let mut peer = agent.member(UPNP);
    subscribe(&mut peer, UPNP, b"a");
    subscribe(&mut peer, UPNP, b"*");
    assert_eq!(about(&peer.get()), words(COMPONENT_ONLINE, UPNP, "present"));
    for name in [b"a", b"b"] {
        post(&mut peer, UPNP, name, b"x");
        assert_eq!(said(&peer.get()).0.as_bytes(), name);
    }
    peer.expect_nothing(UPNP);
}

#[test]
fn what_is_no_name_and_what_comes_in_somebody_elses_is_refused() {
    let agent = Agent::start("");
    let mut peer = agent.member(UPNP);
    for (command, payload) in [
        (cmd::SUBSCRIBE, b"".to_vec()),
        (cmd::SUBSCRIBE, b"a b".to_vec()),
        (cmd::SUBSCRIBE, vec![b'x'; 65]),
        (cmd::PUBLISH, b"".to_vec()),
        (cmd::PUBLISH, event(b"*", b"")),
        (cmd::PUBLISH, b"\xff\xff\xff\xffabc".to_vec()),
    ] {
        assert_eq!(ask(&mut peer, UPNP, command, &payload), errcode::EXEC_FAIL, "{command} {payload:?}");
    }
    assert_eq!(ask(&mut peer, UPNP, 99, b""), errcode::PEER_OFFLINE, "a command of tomorrow");
    for number in 0..64 {
        subscribe(&mut peer, UPNP, format!("n{number}").as_bytes());
    }
    assert_eq!(ask(&mut peer, UPNP, cmd::SUBSCRIBE, b"one too many"), errcode::EXEC_FAIL);
    assert_eq!(ask(&mut peer, UPNP, cmd::SUBSCRIBE, b"one-too-many"), errcode::PEER_BUSY);
    assert_eq!(ask(&mut peer, DLNA, cmd::SUBSCRIBE, b"a"), errcode::LOGIN_FAIL);
    assert_eq!(ask(&mut peer, DLNA, cmd::PUBLISH, &event(b"n1", b"")), errcode::LOGIN_FAIL);
    let mut stranger = agent.connect();
    assert_eq!(ask(&mut stranger, DLNA, cmd::SUBSCRIBE, b"a"), errcode::LOGIN_FAIL);
    assert_eq!(agent.connect().login(id::EVENT_SRV), errcode::LOGIN_FAIL, "the agent's own");
    peer.expect_nothing(UPNP);
}

#[test]
fn who_is_present_comes_first_and_then_who_comes_and_goes_and_why() {
    let agent = Agent::start("max_threads=2");
    let _there = agent.member(UPNP);
    let mut watcher = agent.member(DLNA);
    subscribe(&mut watcher, DLNA, COMPONENT_OFFLINE);
    watcher.expect_nothing(DLNA);
    subscribe(&mut watcher, DLNA, COMPONENT_ONLINE);
    let present = [about(&watcher.get()), about(&watcher.get())];
    assert!(present.contains(&words(COMPONENT_ONLINE, DLNA, "present")), "{present:?}");
    // The agent may just have been about to make its login known when we asked.
    let there = ["present", "login"].map(|reason| words(COMPONENT_ONLINE, UPNP, reason));
    assert!(there.iter().any(|there| present.contains(there)), "{present:?}");
    watcher.expect_nothing(DLNA);

    let mut guest = agent.member(0x99);
    assert_eq!(about(&watcher.get()), words(COMPONENT_ONLINE, 0x99, "login"));
    guest.send(&Header::request(0x99, id::MSG_SRV, cmd::LOGOUT, 1).encode());
    assert_eq!(about(&watcher.get()), words(COMPONENT_OFFLINE, 0x99, "logout"));
    drop(agent.member(0x98));
    assert_eq!(about(&watcher.get()), words(COMPONENT_ONLINE, 0x98, "login"));
    assert_eq!(about(&watcher.get()), words(COMPONENT_OFFLINE, 0x98, "closed"));
    let mut odd = agent.member(0x97);
    assert_eq!(about(&watcher.get()), words(COMPONENT_ONLINE, 0x97, "login"));
    odd.send(&[b'x'; 100]);
    assert_eq!(about(&watcher.get()), words(COMPONENT_OFFLINE, 0x97, "malformed"));
    let half = agent.member(0x96);
    assert_eq!(about(&watcher.get()), words(COMPONENT_ONLINE, 0x96, "login"));
    half.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(about(&watcher.get()), words(COMPONENT_OFFLINE, 0x96, "closed"), "it serves nobody any longer");
    // Whoever asks again is told again.
    subscribe(&mut watcher, DLNA, COMPONENT_ONLINE);
    let again = [about(&watcher.get()), about(&watcher.get())];
    assert!(again.iter().all(|(_, _, reason)| reason == "present"), "{again:?}");
    watcher.expect_nothing(DLNA);
}

#[test]
fn a_process_that_is_killed_is_offline_within_a_moment() {
    let agent = Agent::start("");
    let mut watcher = agent.member(DLNA);
    subscribe(&mut watcher, DLNA, COMPONENT_OFFLINE);
    // A process whose connection is its stdin: it is connected for as long as it lives.
    let mut service = agent.member(UPNP);
    service.expect_nothing(UPNP);
    let connection = service.stream.try_clone().unwrap();
    let mut child =
        Command::new("sleep").arg("1000").stdin(Stdio::from(std::os::fd::OwnedFd::from(connection))).spawn();
    let child = child.as_mut().unwrap();
    drop(service);
    watcher.expect_nothing(DLNA);
    let killed = Instant::now();
    child.kill().unwrap();
    assert_eq!(about(&watcher.get()), words(COMPONENT_OFFLINE, UPNP, "closed"));
    let took = killed.elapsed();
    assert!(took < Duration::from_millis(100), "{took:?}");
    child.wait().unwrap();
}

#[test]
fn who_is_watched_is_online_only_when_it_can_be_called() {
    let agent = Agent::start(&format!("max_threads={MANY}"));
    let mut watcher = agent.member(DLNA);
    subscribe(&mut watcher, DLNA, COMPONENT_ONLINE);
    assert_eq!(about(&watcher.get()).1, u64::from(DLNA));
    for number in 0..50 {
        let own = 0x100 + number;
        let mut service = agent.connect();
        service.send(&common::login(own));
        assert_eq!(about(&watcher.get()), words(COMPONENT_ONLINE, own, "login"));
        watcher.send(&frame(call(DLNA, own, number, 60_000), b"you there?"));
        assert_eq!(service.get().head.cmd, cmd::LOGIN);
        let asked = service.get();
        service.send(&reply(&asked, b"yes"));
        assert_eq!(watcher.get().body, b"yes");
    }
}

#[test]
fn who_does_not_read_loses_events_and_is_told_how_many_and_nobody_waits_for_it() {
    let agent = Agent::start("max_threads=2\noutbox_soft=65536");
    let (mut slow, mut quick, mut publisher) = (agent.member(DLNA), agent.member(0x99), agent.member(UPNP));
    subscribe(&mut slow, DLNA, b"news");
    subscribe(&mut quick, 0x99, b"news");
    const EVENTS: u32 = 4_000;
    for number in 0..EVENTS {
        let data = [number.to_le_bytes().as_slice(), &[7; 1000]].concat();
        assert_eq!(ask(&mut publisher, UPNP, cmd::PUBLISH, &event(b"news", &data)), errcode::EXEC_SUCC);
        let got = quick.get();
        let seen = Publication::parse(&got.body).unwrap().data[..4].try_into().unwrap();
        assert_eq!((u32::from_le_bytes(seen), got.head.lost()), (number, 0));
    }
    // Calls still reach it: events get only half the room.
    publisher.send(&frame(call(UPNP, DLNA, 5, 60_000), b"?"));
    let (mut next, mut told, mut called, mut lost) = (0, 0, false, 0);
    while next < EVENTS {
        let got = slow.get();
        if got.head.srcid == UPNP {
            called = true;
            continue;
        }
        lost += got.head.lost();
        next += got.head.lost();
        if got.body.is_empty() {
            assert!(got.head.lost() > 0, "it says that something was lost, and nothing else");
            continue;
        }
        let seen = Publication::parse(&got.body).unwrap().data[..4].try_into().unwrap();
        assert_eq!(u32::from_le_bytes(seen), next, "what was lost is told before what comes after it");
        (next, told) = (next + 1, told + 1);
    }
    assert!(lost > 100 && called && told + lost == EVENTS, "lost {lost}, told {told}, called {called}");
    slow.expect_nothing(DLNA);
    post(&mut publisher, UPNP, b"news", b"all is well");
    assert_eq!(said(&slow.get()), ("news".to_owned(), "all is well".to_owned(), UPNP, 0));
    let counted = agent.end();
    assert_eq!(counted.of("untold"), u64::from(lost));
}

#[test]
fn who_comes_and_goes_is_said_by_those_alone_whom_the_kernel_vouches_for() {
    let agent = Agent::start("max_threads=2\nnet_enable=true\ntcp_port=0");
    let line = agent.wait_for_log("TCP 127.0.0.1:");
    let port: String = line.split("TCP 127.0.0.1:").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
    let mut far = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut watcher, mut near) = (agent.member(DLNA), agent.member(UPNP));
    subscribe(&mut watcher, DLNA, b"*");
    (0..2).for_each(|_| drop(watcher.get()));
    let mut answer = |bytes: &[u8]| {
        far.write_all(bytes).unwrap();
        let mut head = [0; HEADER_LEN];
        far.read_exact(&mut head).unwrap();
        Header::parse(&head).unwrap().errcode
    };
    assert_eq!(answer(&common::login(0x99)), errcode::EXEC_SUCC);
    watcher.get();
    let publish = |me, name: &[u8]| {
        let head = Header { timeout: 1000, ..Header::request(me, id::EVENT_SRV, cmd::PUBLISH, 7) };
        frame(head, &event(name, b"{}"))
    };
    for name in [COMPONENT_ONLINE, COMPONENT_OFFLINE, b"component_state"] {
        assert_eq!(answer(&publish(0x99, name)), errcode::LOGIN_FAIL);
    }
    assert_eq!(answer(&publish(0x99, b"components")), errcode::EXEC_SUCC);
    assert_eq!(said(&watcher.get()), ("components".to_owned(), "{}".to_owned(), 0x99, 0));
    assert_eq!(ask(&mut near, UPNP, cmd::PUBLISH, &event(COMPONENT_OFFLINE, b"{}")), errcode::EXEC_SUCC);
    assert_eq!(said(&watcher.get()), ("component_offline".to_owned(), "{}".to_owned(), UPNP, 0));
    agent.wait_for_log("its events component_... refused");
    assert_eq!(agent.end().of("spoofed"), 3);
}

#[test]
fn subscriptions_pass_to_the_process_that_takes_the_agents_place() {
    let agent = Agent::start("max_threads=2");
    let (mut watcher, mut publisher) = (agent.member(DLNA), agent.member(UPNP));
    subscribe(&mut watcher, DLNA, b"news");
    subscribe(&mut watcher, DLNA, COMPONENT_OFFLINE);
    for round in 0..5 {
        post(&mut publisher, UPNP, b"news", format!("before {round}").as_bytes());
        agent.upgrade();
        post(&mut publisher, UPNP, b"news", format!("after {round}").as_bytes());
        assert_eq!(said(&watcher.get()).1, format!("before {round}"));
        assert_eq!(said(&watcher.get()), ("news".to_owned(), format!("after {round}"), UPNP, 0));
    }
    // Whoever had been told OK by the first one is still somebody whose end is news.
    drop(publisher);
    assert_eq!(about(&watcher.get()), words(COMPONENT_OFFLINE, UPNP, "closed"));
    watcher.expect_nothing(DLNA);
}

#[test]
fn nothing_is_lost_or_out_of_order_while_it_is_upgraded_under_load() {
    let agent = Agent::start("max_threads=2");
    let (mut one, mut two, mut publisher) = (agent.member(DLNA), agent.member(0x99), agent.member(UPNP));
    subscribe(&mut one, DLNA, b"n");
    subscribe(&mut two, 0x99, b"n");
    const EVENTS: u32 = 20_000;
    std::thread::scope(|scope| {
        scope.spawn(move || (0..EVENTS).for_each(|number| post(&mut publisher, UPNP, b"n", &number.to_le_bytes())));
        for peer in [&mut one, &mut two] {
            scope.spawn(move || {
                for number in 0..EVENTS {
                    let got = peer.get();
                    assert_eq!(got.head.lost(), 0);
                    assert_eq!(Publication::parse(&got.body).unwrap().data, number.to_le_bytes());
                }
            });
        }
        (0..5).for_each(|_| drop(agent.upgrade()));
    });
}

#[test]
fn an_operator_sees_what_is_published_and_goes_on_after_an_upgrade() {
    let agent = Agent::start("max_threads=2");
    let mut publisher = agent.member(UPNP);
    let mut operator = UnixStream::connect(agent.folder.0.join("msf_agent_admin.sock")).unwrap();
    operator.set_read_timeout(Some(PATIENCE)).unwrap();
    operator.write_all(b"{\"verb\":\"events\"}\n").unwrap();
    let mut lines = BufReader::new(operator).lines().map(|line| msf_conf::tree::parse(&line.unwrap()).unwrap());
    assert_eq!(lines.next().unwrap()["watching"], "*");
    // The agent may just be about to make its login known.
    let first = lines.next().unwrap();
    assert!(["present", "login"].map(Into::into).contains(&first["data"]["reason"]), "{first}");
    post(&mut publisher, UPNP, b"a", b"{\"n\":1}");
    agent.upgrade();
    post(&mut publisher, UPNP, b"b", b"text");
    post(&mut publisher, UPNP, b"c", b"\xff");
    let next = [(); 3].map(|()| lines.next().unwrap());
    assert_eq!((&next[0]["event"], &next[0]["data"]["n"], &next[0]["from"]), (&"a".into(), &1.into(), &UPNP.into()));
    assert_eq!((&next[1]["event"], &next[1]["data"]), (&"b".into(), &"text".into()));
    assert_eq!((&next[2]["data"], &next[2]["encoding"]), (&"/w==".into(), &"base64".into()));
    drop(publisher);
    let last = lines.next().unwrap();
    assert_eq!((&last["event"], &last["data"]["reason"]), (&"component_offline".into(), &"closed".into()));
}

#[test]
fn the_word_events_shows_them_as_lines_and_as_json() {
    let agent = Agent::start("");
    let _service = agent.member(UPNP);
    let show = |words: &[&str]| command(&agent.folder.0).args(words).output().unwrap();
    let line = String::from_utf8(show(&["events", "component_online", "--count", "1"]).stdout).unwrap();
    assert!(line.contains("Z component_online from 0xfffffff1 {\"") && line.contains("\"svc12\""), "{line}");
    let json = String::from_utf8(show(&["events", "--count", "1", "--json"]).stdout).unwrap();
    assert_eq!(msf_conf::tree::parse(&json).unwrap()["data"]["pid"], u64::from(std::process::id()));
    for (wrong, why) in [(vec!["events", "a b"], "visible"), (vec!["events", "a", "b"], "expected NAME")] {
        let output = show(&wrong);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(why), "{said}");
    }
}

#[test]
fn an_agent_that_ends_does_not_call_that_the_end_of_its_services() {
    let agent = Agent::start("");
    let mut watcher = agent.member(DLNA);
    let _service = agent.member(UPNP);
    subscribe(&mut watcher, DLNA, COMPONENT_OFFLINE);
    agent.signal(Signal::SIGTERM);
    watcher.expect_end();
}
