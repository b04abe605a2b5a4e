//! The adapter of the librpc protocol: what a frame means to the broker, and the frames the broker answers itself.

mod calls;
mod events;
mod frames;
mod function;
mod heir;
pub mod member;

use crate::core::message::{Envelope, Patience, Refusal};
use msf_wire::librpc::{HEADER_LEN, Header, Login, cmd, errcode, id, opcode, timeout};

/// What a frame wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// To be forwarded to a service.
    Call,
    /// To be forwarded to who asked.
    Reply,
    /// A function is called by name.
    Function,
    /// The answer to such a call, of a service that has carried it out.
    Done,
    /// To be told of events.
    Subscribe,
    /// Not to be told of them any longer.
    Unsubscribe,
    /// To tell others.
    Publish,
    /// To be known as a service.
    Login,
    /// To leave.
    Logout,
    /// To hear that we live.
    Probe,
    /// To tell us that it lives.
    Alive,
    /// Something the agent was never asked to understand, but must answer.
    Unknown,
    /// Nothing: accepted and dropped.
    Nothing,
}

/// What the frame with this header wants.
pub fn meaning(head: &Header) -> Meaning {
    match (head.opcode, head.dstid, head.cmd) {
        (opcode::REQ, id::MSG_SRV, cmd::LOGIN) => Meaning::Login,
        (opcode::REQ, id::MSG_SRV, cmd::LOGOUT) => Meaning::Logout,
        // Reserved by the original, which drops them without a word; so do we.
        (opcode::REQ, id::MSG_SRV, cmd::TRANSMIT | cmd::DEBUG_ON | cmd::DEBUG_OFF) => Meaning::Nothing,
        (opcode::REQ, id::FUNCTION_SRV, cmd::CALL_FUNCTION) => Meaning::Function,
        (opcode::REQ, id::EVENT_SRV, cmd::SUBSCRIBE) => Meaning::Subscribe,
        (opcode::REQ, id::EVENT_SRV, cmd::UNSUBSCRIBE) => Meaning::Unsubscribe,
        (opcode::REQ, id::EVENT_SRV, cmd::PUBLISH) => Meaning::Publish,
        (opcode::REQ, id::MSG_SRV | id::FUNCTION_SRV | id::EVENT_SRV, _) => Meaning::Unknown,
        (opcode::REQ, ..) => Meaning::Call,
        (opcode::ACK, id::MSG_SRV, _) => Meaning::Alive,
        (opcode::ACK, id::FUNCTION_SRV, _) => Meaning::Done,
        // Nobody is asked to answer an event.
        (opcode::ACK, id::EVENT_SRV, _) => Meaning::Nothing,
        (opcode::ACK, ..) => Meaning::Reply,
        (opcode::KALIVE, ..) => Meaning::Probe,
        // CANCEL is not forwarded: a peer of 2019 loses its step on any opcode but 1 and 2.
        _ => Meaning::Nothing,
    }
}

/// The core's view of a request or an answer.
pub fn envelope(head: &Header) -> Envelope {
    let patience = match head.timeout {
        timeout::NO_WAIT => Patience::None,
        timeout::FOREVER => Patience::Forever,
        wait => Patience::Millis(wait),
    };
    Envelope { from: head.srcid, to: head.dstid, command: head.cmd, seq: head.seq, patience }
}

/// The broker's own answer to the request with this header.
pub fn refuse(head: &Header, refusal: Refusal) -> [u8; HEADER_LEN] {
    head.ack(errcode(refusal), 0).encode()
}

/// The same, for a request of which only the envelope was kept.
pub fn refuse_kept(call: &Envelope, refusal: Refusal) -> [u8; HEADER_LEN] {
    let wait = match call.patience {
        Patience::None => timeout::NO_WAIT,
        Patience::Millis(wait) => wait,
        Patience::Forever => timeout::FOREVER,
    };
    let head = Header { timeout: wait, ..Header::request(call.from, call.to, call.command, call.seq) };
    refuse(&head, refusal)
}

/// The answer to a login: all is well, and payloads may be as long as that.
pub fn confirm(head: &Header, payload_limit: u32) -> [u8; HEADER_LEN] {
    head.ack(errcode::EXEC_SUCC, 0).with_payload_limit(payload_limit).encode()
}

/// The answer to a probe: no command, whatever the probe had in that place.
pub fn confirm_probe(head: &Header) -> [u8; HEADER_LEN] {
    Header { cmd: cmd::NONE, ..head.ack(errcode::EXEC_SUCC, 0) }.encode()
}

/// Asks service `id` whether it lives.
pub fn probe(id: u32, seq: u32) -> [u8; HEADER_LEN] {
    Header { opcode: opcode::KALIVE, ..Header::request(id::MSG_SRV, id, cmd::NONE, seq) }.encode()
}

/// An answer whose payload cannot be held, as its caller shall see it: the header alone, and why.
pub fn hollow_reply(head: &Header) -> [u8; HEADER_LEN] {
    Header { errcode: errcode(Refusal::Busy), datalen: 0, ..*head }.encode()
}

/// The name in a login, fit for a log line; or why it is no login.
pub fn login_name(head: &Header, body: &[u8]) -> Result<String, String> {
    if (id::MSG_SRV..=id::EVENT_SRV).contains(&head.srcid) {
        return Err(format!("id {:#x} belongs to the agent", head.srcid));
    }
    let login = Login::parse(body).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(login.name()).chars().map(|c| if c.is_control() { '?' } else { c }).collect())
}

fn errcode(refusal: Refusal) -> u32 {
    match refusal {
        Refusal::Denied => errcode::LOGIN_FAIL,
        Refusal::Offline => errcode::PEER_OFFLINE,
        Refusal::Busy => errcode::PEER_BUSY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_from_the_envelope_is_the_one_from_the_header() {
        for wait in [0, 5000, u32::MAX] {
            let head = Header { timeout: wait, ..Header::request(0x11, 0x17, 0x11, 7) };
            assert_eq!(refuse_kept(&envelope(&head), Refusal::Offline), refuse(&head, Refusal::Offline));
        }
    }

    #[test]
    fn commands_to_the_agent_are_not_forwarded_but_to_a_service_they_are() {
        let to = |dst, cmd| meaning(&Header::request(0x11, dst, cmd, 1));
        assert_eq!(to(id::MSG_SRV, cmd::DEBUG_ON), Meaning::Nothing);
        assert_eq!(to(id::MSG_SRV, 77), Meaning::Unknown);
        assert_eq!(to(0x12, cmd::DEBUG_ON), Meaning::Call);
        assert_eq!(to(0x12, cmd::LOGIN), Meaning::Call);
    }

    #[test]
    fn a_login_for_one_of_the_agents_own_ids_is_refused() {
        let head = Header::request(id::LOGIN_SRV, id::MSG_SRV, cmd::LOGIN, 1);
        assert!(login_name(&head, &Login::named(b"x").encode()).unwrap_err().contains("0xfffffff2"));
    }

    #[test]
    fn a_name_cannot_forge_a_log_line() {
        let head = Header::request(0x11, id::MSG_SRV, cmd::LOGIN, 1);
        assert_eq!(login_name(&head, &Login::named(b"a\nb\xff").encode()).unwrap(), "a?b\u{fffd}");
    }
}
