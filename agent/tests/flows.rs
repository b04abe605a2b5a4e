//! Every flow of the protocol, frame by frame, through the real agent.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Agent, DLNA, UPNP, call, frame, reply};
use msf_wire::librpc::{Header, cmd, errcode, id, opcode, timeout};
use std::time::{Duration, Instant};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn vector(header: &str, payload: &str) -> Vec<u8> {
    let mut bytes = hex(header);
    bytes.extend(hex(payload));
    bytes
}

fn login_of_upnp() -> Vec<u8> {
    vector(
        "00010000 78563412 12000000 f1ffffff 01000000 01000000 65000000 00000000 44000000 00000000 00000000 00000000 \
         00000000 00000000",
        &format!("55504e50{}", "00".repeat(64)),
    )
}

const ACK_OF_LOGIN: &str = "00010000 78563412 f1ffffff 12000000 02000000 01000000 65000000 00000000 00000000 00000000 \
     00000000 00000000 00000000 00000000";
const GET: &str = "00010000 78563412 11000000 12000000 01000000 26000000 01000000 00000000 00000000 24000000 00000000 \
     88130000 00000000 00000000";
const ACK_OF_GET: &str = "00010000 78563412 12000000 11000000 02000000 26000000 01000000 00000000 24000000 00000000 \
     00000000 88130000 00000000 00000000";
const FRIEND: &str = "0102000055504e5000000000000000000000000000000000000000000000000000000000";
const ASYNC_SET: &str = "00010000 78563412 11000000 12000000 01000000 25000000 02000000 00000000 24000000 00000000 \
     00000000 00000000 00000000 00000000";
const ASYNC_GET: &str = "00010000 78563412 11000000 12000000 01000000 26000000 03000000 00000000 00000000 24000000 \
     00000000 00000000 00000000 00000000";
const ACK_OF_ASYNC_GET: &str = "00010000 78563412 12000000 11000000 02000000 26000000 03000000 00000000 24000000 \
     00000000 00000000 00000000 00000000 00000000";
const OFFLINE: &str = "00010000 78563412 17000000 11000000 02000000 11000000 07000000 02000000 00000000 00000000 \
     00000000 88130000 00000000 00000000";
const LOGOUT: &str = "00010000 78563412 11000000 f1ffffff 01000000 02000000 09000000 00000000 00000000 00000000 \
     00000000 00000000 00000000 00000000";
const SYNC_SET_ACK: &str = "00010000 78563412 12000000 11000000 02000000 25000000 0a000000 00000000 00000000 00000000 \
     00000000 e8030000 00000000 00000000";
const KEEPALIVE: &str = "00010000 78563412 11000000 f1ffffff 04000000 00000000 0b000000 00000000 00000000 00000000 \
     00000000 00000000 00000000 00000000";
const FOREVER_GET: &str = "00010000 78563412 11000000 12000000 01000000 26000000 0c000000 00000000 00000000 24000000 \
     00000000 ffffffff 00000000 00000000";

#[test]
fn the_conversation_of_the_specification_byte_for_byte() {
    for reactors in [1, 2] {
        let agent = Agent::start(&format!("max_threads={reactors}"));
        let mut upnp = agent.connect();
        upnp.send(&login_of_upnp());
        upnp.expect_bytes(&hex(ACK_OF_LOGIN));
        let mut dlna = agent.member(DLNA);

        dlna.send(&hex(GET));
        upnp.expect_bytes(&hex(GET));
        upnp.send(&vector(ACK_OF_GET, FRIEND));
        dlna.expect_bytes(&vector(ACK_OF_GET, FRIEND));

        dlna.send(&vector(ASYNC_SET, FRIEND));
        upnp.expect_bytes(&vector(ASYNC_SET, FRIEND));
        dlna.send(&hex(ASYNC_GET));
        upnp.expect_bytes(&hex(ASYNC_GET));
        upnp.send(&vector(ACK_OF_ASYNC_GET, FRIEND));
        dlna.expect_bytes(&vector(ACK_OF_ASYNC_GET, FRIEND));

        let asked = Header { timeout: 5000, ..Header::request(DLNA, id::MOBILE, 0x11, 7) };
        dlna.send(&asked.encode());
        dlna.expect_bytes(&hex(OFFLINE));

        let set = Header { timeout: 1000, ..Header::request(DLNA, UPNP, cmd::UPNP_SET, 10) };
        dlna.send(&frame(set, b"payload"));
        upnp.expect_bytes(&frame(set, b"payload"));
        upnp.send(&hex(SYNC_SET_ACK));
        dlna.expect_bytes(&hex(SYNC_SET_ACK));

        dlna.send(&hex(KEEPALIVE));
        let alive = Header::request(DLNA, id::MSG_SRV, 0, 11).ack(errcode::EXEC_SUCC, 0);
        dlna.expect_bytes(&alive.encode());

        dlna.send(&hex(FOREVER_GET));
        upnp.expect_bytes(&hex(FOREVER_GET));
        let asked = Header { timeout: timeout::FOREVER, ..Header::request(DLNA, UPNP, 0x26, 12) };
        upnp.send(&frame(asked.ack(0, 0), b"at last"));
        dlna.expect_bytes(&frame(asked.ack(0, 0), b"at last"));

        dlna.send(&hex(LOGOUT));
        dlna.expect_end();
        let counted = agent.end();
        assert_eq!((counted.of("calls"), counted.of("replies"), counted.of("offline")), (5, 4, 1));
    }
}

#[test]
fn a_services_own_error_code_arrives() {
    let agent = Agent::start("max_threads=2");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    let asked = call(DLNA, UPNP, 5, 1000);
    dlna.send(&asked.encode());
    upnp.get();
    upnp.send(&asked.ack(0xdead, 0).encode());
    dlna.expect_bytes(&asked.ack(0xdead, 0).encode());
}

#[test]
fn an_asynchronous_request_to_nobody_is_answered_too() {
    let agent = Agent::start("");
    let mut dlna = agent.member(DLNA);
    let asked = Header::request(DLNA, id::STUN, 0x29, 3);
    dlna.send(&frame(asked, b"set"));
    dlna.expect_bytes(&asked.ack(errcode::PEER_OFFLINE, 0).encode());
}

#[test]
fn after_logout_the_id_is_nobodys() {
    let agent = Agent::start("max_threads=2");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    upnp.send(&Header::request(UPNP, id::MSG_SRV, cmd::LOGOUT, 1).encode());
    upnp.expect_end();
    dlna.send(&call(DLNA, UPNP, 1, 1000).encode());
    assert_eq!(dlna.get().head.errcode, errcode::PEER_OFFLINE);
    agent.member(UPNP);
}

#[test]
fn reserved_commands_cancel_and_unknown_opcodes_are_dropped_without_a_word() {
    let agent = Agent::start("");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    for command in [cmd::TRANSMIT, cmd::DEBUG_ON, cmd::DEBUG_OFF] {
        dlna.send(&Header::request(DLNA, id::MSG_SRV, command, 1).encode());
    }
    for number in [opcode::CANCEL, 0, 5, 0x10, u32::MAX] {
        dlna.send(&frame(Header { opcode: number, ..call(DLNA, UPNP, 2, 1000) }, b"body"));
    }
    dlna.expect_nothing(DLNA);
    upnp.expect_nothing(UPNP);
    assert_eq!(agent.end().of("ignored"), 8);
}

#[test]
fn the_same_commands_to_a_service_are_forwarded() {
    let agent = Agent::start("");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    for command in 1..=5 {
        let asked = Header::request(DLNA, UPNP, command, command);
        dlna.send(&asked.encode());
        upnp.expect_bytes(&asked.encode());
    }
}

#[test]
fn an_unknown_command_to_the_agent_is_answered() {
    let agent = Agent::start("");
    let mut dlna = agent.member(DLNA);
    let asked = Header { timeout: 100, ..Header::request(DLNA, id::MSG_SRV, 99, 4) };
    dlna.send(&asked.encode());
    dlna.expect_bytes(&asked.ack(errcode::PEER_OFFLINE, 0).encode());
}

#[test]
fn a_service_may_call_itself_and_two_may_call_each_other_at_once() {
    let agent = Agent::start("max_threads=2");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    upnp.send(&call(UPNP, UPNP, 1, 1000).encode());
    let asked = upnp.answer(b"me");
    assert_eq!(asked.head.srcid, UPNP);
    assert_eq!(upnp.get().body, b"me");
    upnp.send(&call(UPNP, DLNA, 7, 1000).encode());
    dlna.send(&call(DLNA, UPNP, 7, 1000).encode());
    assert_eq!(upnp.answer(b"from upnp").head.opcode, opcode::REQ);
    assert_eq!(dlna.answer(b"from dlna").head.opcode, opcode::REQ);
    assert_eq!((upnp.get().body, dlna.get().body), (b"from dlna".to_vec(), b"from upnp".to_vec()));
}

#[test]
fn late_and_undeliverable_answers_are_dropped_and_counted() {
    let agent = Agent::start("max_threads=2");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    // Late: the deadline passes before the answer.
    dlna.send(&call(DLNA, UPNP, 1, 30).encode());
    let asked = upnp.get();
    let answered = Instant::now() + Duration::from_millis(60);
    while Instant::now() < answered {
        std::thread::sleep(Duration::from_millis(5));
    }
    upnp.send(&reply(&asked, b"too late"));
    // Never asked for.
    upnp.send(&call(DLNA, UPNP, 77, 1000).ack(0, 0).encode());
    // Twice.
    dlna.send(&call(DLNA, UPNP, 2, 5000).encode());
    let asked = upnp.answer(b"once");
    upnp.send(&reply(&asked, b"twice"));
    // To somebody who is gone: the asynchronous one by the routes, the synchronous one by its entry.
    upnp.send(&frame(Header::request(id::STUN, UPNP, 0x26, 1).ack(0, 0), b"?"));
    upnp.expect_nothing(UPNP);
    assert_eq!(dlna.get().body, b"once");
    dlna.expect_nothing(DLNA);
    dlna.send(&call(DLNA, UPNP, 3, 5000).encode());
    let asked = upnp.get();
    dlna.send(&Header::request(DLNA, id::MSG_SRV, cmd::LOGOUT, 1).encode());
    dlna.expect_end();
    upnp.send(&reply(&asked, b"nobody"));
    upnp.expect_nothing(UPNP);
    let counted = agent.end();
    assert_eq!((counted.of("dropped_late"), counted.of("dropped_undeliverable")), (3, 2));
}

#[test]
fn an_answer_to_a_callers_former_life_is_not_given_to_the_present_one() {
    let agent = Agent::start("max_threads=2");
    let (mut upnp, mut dlna) = (agent.member(UPNP), agent.member(DLNA));
    dlna.send(&call(DLNA, UPNP, 1, 5000).encode());
    let first = upnp.get();
    dlna.send(&Header::request(DLNA, id::MSG_SRV, cmd::LOGOUT, 1).encode());
    dlna.expect_end();
    let mut dlna = agent.member(DLNA);
    dlna.send(&call(DLNA, UPNP, 1, 5000).encode());
    let second = upnp.get();
    upnp.send(&reply(&first, b"old"));
    upnp.send(&reply(&second, b"new"));
    assert_eq!(dlna.get().body, b"new");
    dlna.expect_nothing(DLNA);
}
