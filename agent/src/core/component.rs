//! A component: a service that is logged in. Its coming and going are events, under the names that the original gave
//! them.

use super::message::Peer;
use msf_wire::json;
use msf_wire::librpc::{COMPONENT_OFFLINE, COMPONENT_ONLINE, Publication};
use msf_wire::state;

/// Who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its service id.
    pub id: u32,
    /// What it calls itself.
    pub name: String,
    /// Who it is to the kernel.
    pub peer: Peer,
}

/// Why an event about it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has logged in, and can be called from everywhere.
    Login,
    /// It was there when its observer came.
    Present,
    /// It has logged out.
    Logout,
    /// Its connection has ended without a word: its process has died, or just closed it.
    Closed,
    /// It no longer lives, and its id was asked for by another.
    Replaced,
    /// It was cut because it did not read.
    Slow,
    /// It was cut because what it sent were no frames.
    Malformed,
}

state! {
    enum Reason { 0 Login, 1 Present, 2 Logout, 3 Closed, 4 Replaced, 5 Slow, 6 Malformed }
}

impl Reason {
    /// As it stands in an event.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Login => "login",
            Reason::Present => "present",
            Reason::Logout => "logout",
            Reason::Closed => "closed",
            Reason::Replaced => "replaced",
            Reason::Slow => "slow",
            Reason::Malformed => "malformed",
        }
    }
}

impl Component {
    /// The event that says so: the payload of a publication.
    pub fn event(&self, reason: Reason) -> Vec<u8> {
        let name = match reason {
            Reason::Login | Reason::Present => COMPONENT_ONLINE,
            Reason::Logout | Reason::Closed | Reason::Replaced | Reason::Slow | Reason::Malformed => COMPONENT_OFFLINE,
        };
        let mut data = b"{\"name\":".to_vec();
        json::append_quoted(&mut data, &self.name);
        let pid = match self.peer {
            Peer::Local { pid, .. } => pid.to_string(),
            Peer::Remote(_) => "null".to_owned(),
        };
        data.extend_from_slice(format!(",\"id\":{},\"pid\":{pid},\"peer\":", self.id).as_bytes());
        json::append_quoted(&mut data, &self.peer.to_string());
        data.extend_from_slice(format!(",\"reason\":\"{}\",\"by\":\"msf_agent\"}}", reason.word()).as_bytes());
        Publication { name, data: &data }.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_who_and_why_and_is_one_line_of_json() {
        let local = Component { id: 0x12, name: "a\"b".to_owned(), peer: Peer::Local { pid: 7, uid: 0 } };
        let event = local.event(Reason::Closed);
        let publication = Publication::parse(&event).unwrap();
        assert_eq!(publication.name, COMPONENT_OFFLINE);
        let expected = r#"{"name":"a\"b","id":18,"pid":7,"peer":"pid 7 uid 0","reason":"closed","by":"msf_agent"}"#;
        assert_eq!(publication.data, expected.as_bytes());
        let remote = Component { peer: Peer::Remote("10.0.0.1:9".parse().unwrap()), ..local };
        let event = remote.event(Reason::Present);
        let publication = Publication::parse(&event).unwrap();
        assert_eq!(publication.name, COMPONENT_ONLINE);
        let text = String::from_utf8_lossy(publication.data);
        assert!(text.contains(r#""pid":null,"peer":"10.0.0.1:9","reason":"present""#), "{text}");
    }
}
