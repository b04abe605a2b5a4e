//! A successor that fails, at whichever step: the old one goes on, nothing is lost, and whoever asked is told why.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Agent, DLNA, Folder, PATIENCE, Peer, UPNP, call, command_of, frame, reply, run, text};
use msf_core::sys::receive;
use msf_wire::librpc::errcode;
use msf_wire::snapshot::{SEAL_LEN, Seal};
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::fs;
use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

/// An agent whose program is a file of its own, which can be replaced.
fn replaceable(lines: &str) -> Agent {
    replaceable_by(lines, Agent::start_alone)
}

fn replaceable_by(lines: &str, start: impl FnOnce(Folder, Command, &str) -> Agent) -> Agent {
    let folder = Folder::new();
    let program = folder.0.join("program");
    symlink(env!("CARGO_BIN_EXE_msf_agent"), &program).unwrap();
    let command = command_of(program.to_str().unwrap(), &folder.0);
    start(folder, command, lines)
}

/// What will be started instead of it.
fn replace(agent: &Agent, script: &str) {
    let place = agent.folder.0.join("program");
    let aside = place.with_extension("new");
    fs::write(&aside, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&aside, &place).unwrap();
}

fn asked(agent: &Agent) -> Output {
    run(&agent.folder, &["-k", "upgrade"])
}

fn refused(agent: &Agent, why: &str) {
    let done = asked(agent);
    let said = text(&done.stderr);
    assert!(!done.status.success() && said.contains(why), "{said}");
}

/// A call that began before and ends after, in the same process.
struct Witness {
    service: Peer,
    caller: Peer,
    pid: i32,
}

impl Witness {
    fn of(agent: &Agent) -> Witness {
        let (service, mut caller) = (agent.member(UPNP), agent.member(DLNA));
        caller.send(&frame(call(DLNA, UPNP, 1, 60_000), b"before"));
        let half = frame(call(DLNA, UPNP, 2, 60_000), b"half");
        caller.send(&half[..20]);
        caller.expect_nothing_yet();
        Witness { service, caller, pid: agent.holder() }
    }

    fn goes_on(mut self, agent: &Agent) {
        assert_eq!(agent.holder(), self.pid, "{}", agent.log());
        let got = self.service.get();
        self.service.send(&reply(&got, b"after"));
        assert_eq!((self.caller.get().body, got.body), (b"after".to_vec(), b"before".to_vec()));
        self.caller.send(&frame(call(DLNA, UPNP, 2, 60_000), b"half")[20..]);
        self.service.answer(b"too");
        assert_eq!(self.caller.get().body, b"too");
        self.caller.expect_nothing(DLNA);
    }
}

#[test]
fn one_that_ends_at_once_or_is_not_there_changes_nothing() {
    let agent = replaceable("");
    let witness = Witness::of(&agent);
    replace(&agent, "exit 3");
    refused(&agent, "has ended before it was ready: exit code 3");
    replace(&agent, "kill -SEGV $$");
    refused(&agent, "has ended before it was ready: SIGSEGV");
    fs::remove_file(agent.folder.0.join("program")).unwrap();
    refused(&agent, "program: cannot execute: No such file or directory");
    witness.goes_on(&agent);
    // With the right program in its place it goes.
    symlink(env!("CARGO_BIN_EXE_msf_agent"), agent.folder.0.join("program")).unwrap();
    agent.upgrade();
}

#[test]
fn one_that_cannot_read_its_settings_changes_nothing() {
    let agent = replaceable("");
    let witness = Witness::of(&agent);
    let config = agent.folder.0.join("agent.conf");
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{good}\nbacklog=many\n")).unwrap();
    refused(&agent, "has ended before it was ready: exit code 2");
    witness.goes_on(&agent);
    fs::write(&config, good).unwrap();
    agent.upgrade();
}

#[test]
fn one_that_is_systemds_child_from_the_first_and_fails_changes_nothing_either() {
    let agent = replaceable_by("", Agent::start_as);
    let witness = Witness::of(&agent);
    replace(&agent, "echo $PPID > parent; exit 3");
    // How it ended only its parent knows for certain, which we are not.
    refused(&agent, "the new msf_agent has ended ");
    let parent = fs::read_to_string(agent.folder.0.join("parent")).unwrap();
    assert_ne!(parent.trim(), agent.pid().to_string());
    replace(&agent, &format!("exec {} \"$@\"", env!("CARGO_BIN_EXE_msf_agent")));
    agent.upgrade();
    Witness { pid: agent.holder(), ..witness }.goes_on(&agent);
}

#[test]
fn two_at_once_are_one_and_a_refusal() {
    let agent = replaceable("");
    let witness = Witness::of(&agent);
    replace(&agent, "exec sleep 1");
    thread::scope(|scope| {
        let first = scope.spawn(|| asked(&agent));
        agent.wait_for_log("is to take over");
        refused(&agent, "an upgrade is under way already");
        let first = first.join().unwrap();
        assert!(text(&first.stderr).contains("has ended before it was ready: exit code 0"), "{first:?}");
    });
    witness.goes_on(&agent);
}

/// A successor in this process: it says what a test wants.
struct Fake(UnixStream);

impl Fake {
    fn meets(agent: &Agent, layout: u32) -> (Fake, String) {
        Fake::meets_and(agent, layout, false)
    }

    fn meets_and(agent: &Agent, layout: u32, drain: bool) -> (Fake, String) {
        let stream = UnixStream::connect(agent.folder.0.join("msf_agent_admin.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut fake = Fake(stream);
        fake.say(&format!("{{\"verb\":\"succeed\",\"snapshot\":{layout},\"drain\":{drain}}}"));
        let said = fake.line();
        (fake, said)
    }

    fn say(&mut self, line: &str) {
        self.0.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while byte != *b"\n" {
            self.0.read_exact(&mut byte).unwrap();
            line.extend(byte);
        }
        text(&line)
    }

    fn word(&mut self, number: u8) {
        self.0.write_all(&[1, 0, 0, 0, number]).unwrap();
    }

    fn hears(&mut self, number: u8) {
        let mut word = [0; 5];
        self.0.read_exact(&mut word).unwrap();
        assert_eq!(word, [1, 0, 0, 0, number]);
    }

    /// Hands a snapshot on.
    fn give(&mut self, seal: &[u8], descriptors: &[OwnedFd], bytes: &[u8]) {
        self.0.write_all(seal).unwrap();
        for batch in descriptors.chunks(200) {
            let numbers: Vec<_> = batch.iter().map(AsRawFd::as_raw_fd).collect();
            let rights = [ControlMessage::ScmRights(&numbers)];
            sendmsg::<()>(self.0.as_raw_fd(), &[IoSlice::new(&[0])], &rights, MsgFlags::empty(), None).unwrap();
        }
        self.0.write_all(bytes).unwrap();
    }

    /// Takes the snapshot: its seal, its descriptors, its bytes.
    fn take_all(&mut self) -> (Vec<u8>, Vec<OwnedFd>, Vec<u8>) {
        self.say("{\"verb\":\"take\"}");
        let mut seal = [0; SEAL_LEN];
        self.0.read_exact(&mut seal).unwrap();
        let told = Seal::parse(&seal).unwrap();
        let mut descriptors = Vec::new();
        while descriptors.len() < told.descriptors as usize {
            descriptors.extend(receive(self.0.as_fd(), &mut [0], 0).unwrap().fds);
        }
        let mut bytes = vec![0; told.length as usize];
        self.0.read_exact(&mut bytes).unwrap();
        (seal.to_vec(), descriptors, bytes)
    }

    /// Takes the snapshot, without its descriptors, which the kernel closes.
    fn take(&mut self) -> Vec<u8> {
        self.say("{\"verb\":\"take\"}");
        let mut seal = [0; SEAL_LEN];
        self.0.read_exact(&mut seal).unwrap();
        let seal = Seal::parse(&seal).unwrap();
        let batches = (seal.descriptors as usize).div_ceil(200);
        let mut bytes = vec![0; batches + seal.length as usize];
        self.0.read_exact(&mut bytes).unwrap();
        seal.check(&bytes[batches..]).unwrap();
        bytes
    }
}

fn layout() -> u32 {
    include_str!("../src/upgrade/layout.txt").split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn one_that_reads_another_layout_is_told_so() {
    let agent = Agent::start("");
    let witness = Witness::of(&agent);
    let (_fake, said) = Fake::meets(&agent, layout() + 1);
    assert!(said.contains("reads snapshots of layout"), "{said}");
    witness.goes_on(&agent);
    agent.upgrade();
}

#[test]
fn one_that_dies_while_it_takes_over_changes_nothing() {
    let agent = Agent::start("max_threads=2");
    let witness = Witness::of(&agent);
    for step in 0..3 {
        let (mut fake, said) = Fake::meets(&agent, layout());
        assert!(said.contains("\"reactors\":2"), "{said}");
        match step {
            0 => {}
            1 => fake.say("{\"verb\":\"take\"}"),
            _ => drop(fake.take()),
        }
        drop(fake);
        let until = Instant::now() + PATIENCE;
        while agent.log().matches("this process goes on").count() <= step {
            assert!(Instant::now() < until, "{}", agent.log());
            thread::sleep(Duration::from_millis(2));
        }
    }
    witness.goes_on(&agent);
    agent.upgrade();
}

#[test]
fn one_that_refuses_or_talks_nonsense_changes_nothing() {
    let agent = Agent::start("");
    let witness = Witness::of(&agent);
    let (mut fake, _) = Fake::meets(&agent, layout());
    fake.take();
    let why = b"out of cheese";
    let word = [[2].as_slice(), &(why.len() as u64).to_le_bytes(), why].concat();
    fake.0.write_all(&[(word.len() as u32).to_le_bytes().as_slice(), &word].concat()).unwrap();
    agent.wait_for_log("out of cheese; this process goes on");
    // Nonsense is answered with a no, and with a signal where that is not read; this test is too useful to be killed.
    let (mut fake, _) = Fake::meets(&agent, layout());
    fake.say("{\"verb\":\"take\",\"nonsense\":}");
    assert!(fake.line().contains("error"));
    drop(fake);
    witness.goes_on(&agent);
}

#[test]
fn one_that_hangs_is_killed_and_the_old_one_goes_on_after_two_seconds() {
    let agent = replaceable("");
    let witness = Witness::of(&agent);
    // The real one, stopped at its first log record behind the introduction.
    let script = "import json,os,socket,sys,time\n\
        s=socket.socket(socket.AF_UNIX);s.connect(os.environ['MSF_UPGRADE_FROM'])\n\
        s.sendall(b'{\"verb\":\"succeed\",\"snapshot\":%d}\\n'%int(sys.argv[1]))\n\
        s.recv(4096);s.sendall(b'{\"verb\":\"take\"}\\n');time.sleep(60)";
    fs::write(agent.folder.0.join("hang.py"), script).unwrap();
    replace(&agent, &format!("echo $$ > hanging; exec python3 {}/hang.py {}", agent.folder.0.display(), layout()));
    let began = Instant::now();
    refused(&agent, "has not taken over within 2 s");
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    let pid: i32 = fs::read_to_string(agent.folder.0.join("hanging")).unwrap().trim().parse().unwrap();
    assert!(!is_alive(pid), "it could wake up and believe that it is the agent");
    witness.goes_on(&agent);
}

#[test]
fn an_old_one_that_is_killed_when_the_new_one_has_everything_loses_nothing() {
    // Between the two stands this test: it takes what the old one has, and hands it on when that one is dead.
    let agent = Agent::start("max_threads=2");
    let mut witness = Witness::of(&agent);
    let (mut fake, welcome) = Fake::meets(&agent, layout());
    let (seal, descriptors, bytes) = fake.take_all();
    agent.signal(Signal::SIGKILL);
    let place = agent.folder.0.join("between.sock");
    let between = UnixListener::bind(&place).unwrap();
    let mut successor = common::command(&agent.folder.0);
    successor.args(["-c", "agent.conf"]).env("MSF_UPGRADE_FROM", &place);
    let mut child = successor.spawn().unwrap();
    let mut new = Fake(between.accept().unwrap().0);
    assert!(new.line().contains("succeed"));
    new.0.write_all(welcome.as_bytes()).unwrap();
    assert!(new.line().contains("take"));
    new.give(&seal, &descriptors, &bytes);
    new.hears(READY);
    drop((new, descriptors));
    agent.wait_for_log("the former msf_agent has died; this process goes on");
    agent.wait_for_log("goes on for process");
    witness.pid = child.id() as i32;
    witness.goes_on(&agent);
    agent.upgrade();
    assert!(child.wait().unwrap().success());
}

const READY: u8 = 1;
const GO: u8 = 3;

#[test]
fn where_layouts_differ_the_sockets_pass_and_the_old_one_ends_with_its_last_call() {
    let mut agent = Agent::start("max_threads=2");
    let (mut service, mut caller) = (agent.member(UPNP), agent.member(DLNA));
    let mut idle: Vec<Peer> = (0x1000..0x1010).map(|id| agent.member(id)).collect();
    caller.send(&frame(call(DLNA, UPNP, 1, 60_000), b"before"));
    let got = service.get();
    let (mut fake, welcome) = Fake::meets_and(&agent, layout() + 1, true);
    assert!(welcome.contains("\"snapshot\""), "{welcome}");
    let (seal, descriptors, bytes) = fake.take_all();
    fake.word(READY);
    fake.hears(GO);
    // Who connects now waits for the new one; what is idle has ended; the call that is under way has its answer.
    idle.iter_mut().for_each(Peer::expect_end);
    let mut late = agent.connect();
    late.send(&common::login(0x77));
    let place = agent.folder.0.join("between.sock");
    let between = UnixListener::bind(&place).unwrap();
    let mut successor = common::command(&agent.folder.0);
    successor.args(["-c", "agent.conf"]).env("MSF_UPGRADE_FROM", &place).env("MSF_UPGRADE_DRAIN", "1");
    let mut child = successor.spawn().unwrap();
    let mut new = Fake(between.accept().unwrap().0);
    assert!(new.line().contains("\"drain\":true"));
    new.say("{\"snapshot\":4000000000}");
    assert!(new.line().contains("take"));
    new.give(&seal, &descriptors, &bytes);
    new.hears(READY);
    new.word(GO);
    drop(descriptors);
    assert_eq!(late.get().head.errcode, errcode::EXEC_SUCC);
    service.send(&reply(&got, b"after"));
    assert_eq!(caller.get().body, b"after");
    caller.expect_end();
    service.expect_end();
    assert!(agent.wait().success(), "{}", agent.log());
    assert_eq!(agent.holder(), child.id() as i32);
    late.expect_nothing(0x77);
    agent.member(UPNP).expect_nothing(UPNP);
    agent.upgrade();
    assert!(child.wait().unwrap().success());
}

#[test]
fn one_that_was_replaced_does_not_wait_for_ever_and_who_still_waits_is_told() {
    let mut agent = Agent::start("replace_ms=200\ndrain_ms=100");
    let (mut service, mut caller) = (agent.member(UPNP), agent.member(DLNA));
    caller.send(&frame(call(DLNA, UPNP, 1, 60_000), b"never answered"));
    service.get();
    let (mut fake, _) = Fake::meets_and(&agent, layout() + 1, true);
    let (_, descriptors, _) = fake.take_all();
    fake.word(READY);
    fake.hears(GO);
    let got = caller.get();
    assert_eq!(got.head.seq, 1);
    assert_ne!(got.head.errcode, errcode::EXEC_SUCC);
    assert!(agent.wait().success(), "{}", agent.log());
    assert!(agent.log().contains("connections are not idle after 200ms"), "{}", agent.log());
    drop(descriptors);
}

#[test]
fn a_replacement_that_understands_everything_is_an_upgrade() {
    let agent = Agent::start("");
    let witness = Witness::of(&agent);
    let done = run(&agent.folder, &["-k", "replace"]);
    assert!(text(&done.stdout).contains("ms without service"), "{done:?}");
    Witness { pid: agent.holder(), ..witness }.goes_on(&agent);
}

#[test]
fn an_agent_with_a_supervisor_names_who_must_do_it() {
    let folder = Folder::new();
    let mut command = common::command(&folder.0);
    command.env("MSF_UPGRADE_BY", "msf_daemon upgrade broker");
    let agent = Agent::start_as(folder, command, "");
    refused(&agent, "msf_daemon upgrade broker");
    // Whoever starts it with the variable does it.
    let before = agent.holder();
    let mut successor = common::command(&agent.folder.0);
    successor.arg("-c").arg("agent.conf").env("MSF_UPGRADE_FROM", agent.folder.0.join("msf_agent_admin.sock"));
    let mut child = successor.spawn().unwrap();
    agent.wait_for_log(&format!("goes on for process {before}"));
    assert_eq!(agent.holder(), child.id() as i32);
    agent.end_upgraded();
    assert!(child.wait().unwrap().success());
}

#[test]
fn where_nobody_is_left_to_succeed_an_agent_starts_as_usual() {
    let folder = Folder::new();
    let mut command = common::command(&folder.0);
    command.env("MSF_UPGRADE_FROM", folder.0.join("msf_agent_admin.sock"));
    let agent = Agent::start_as(folder, command, "");
    agent.upgrade();
}

#[test]
fn twenty_in_a_row_leave_no_descriptor_thread_or_memory_behind() {
    let agent = Agent::start("max_threads=2");
    let mut peers: Vec<Peer> = (0x1000..0x1020).map(|id| agent.member(id)).collect();
    agent.upgrade();
    agent.upgrade();
    let of = |what: &str| fs::read_dir(Path::new("/proc").join(agent.holder().to_string()).join(what)).unwrap().count();
    let resident = || -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", agent.holder())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    // The asker's connection, and what the log's thread begins with, are a moment's matter.
    let settled = || {
        thread::sleep(Duration::from_millis(200));
        (of("fd"), of("task"), resident())
    };
    let before = settled();
    for _ in 0..20 {
        agent.upgrade();
    }
    let after = settled();
    assert_eq!((before.0, before.1), (after.0, after.1), "descriptors and threads");
    assert!(after.2 < before.2 + 1024, "{before:?} KiB, {after:?} KiB");
    for (peer, id) in peers.iter_mut().zip(0x1000..) {
        peer.expect_nothing(id);
    }
}

fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}
