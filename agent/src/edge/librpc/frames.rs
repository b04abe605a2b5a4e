//! What librpc's frames ask for.

use super::super::broker::{Broker, Phase};
use super::super::session::Ending;
use super::member::Standing;
use super::{self as librpc, Meaning};
use crate::core::message::Refusal;
use crate::core::order::{Login, Report};
use crate::observe::traffic::Malformed;
use msf_core::event::Token;
use msf_wire::librpc::{Frame, HEADER_LEN, Header, Step, WireError, decode};

impl Broker {
    /// Handles the frame that `bytes` begin with; how many bytes are done with, none when it is not whole yet.
    pub(in super::super) fn librpc_frame(&mut self, token: Token, bytes: &[u8]) -> usize {
        match decode(bytes, self.limits.payload) {
            Ok(Step::Frame(frame, length)) => {
                self.take(token, &frame, bytes.get(..length).unwrap_or_default());
                length
            }
            Ok(Step::NeedMore(missing)) => self.refuse_what_cannot_be_held(token, bytes, missing),
            Err(error) => {
                self.malformed(token, &error);
                bytes.len()
            }
        }
    }

    /// Does what one frame asks for.
    fn take(&mut self, token: Token, frame: &Frame<'_>, raw: &[u8]) {
        let head = &frame.head;
        let now = self.now;
        let Some(session) = self.sessions.get_mut(token) else { return };
        let is_itself = session.member() == Some(head.srcid);
        let meaning = librpc::meaning(head);
        let Some(member) = session.librpc() else { return };
        if is_itself && matches!(meaning, Meaning::Call | Meaning::Unknown) {
            member.awaiting.asked(librpc::envelope(head).patience, now);
        }
        match meaning {
            Meaning::Call if is_itself => self.call(token, head, raw),
            Meaning::Reply if is_itself => self.reply(token, head, raw),
            Meaning::Function if is_itself => self.call_function(token, head, frame.body),
            Meaning::Done if is_itself => self.function_done(token, head, frame.body),
            Meaning::Subscribe if is_itself => self.subscribe(token, head, frame.body),
            Meaning::Unsubscribe if is_itself => self.unsubscribe(token, head, frame.body),
            Meaning::Publish if is_itself => self.publish(token, head, frame.body),
            Meaning::Login => self.login(token, head, frame.body),
            Meaning::Logout if is_itself => self.doom(token, Ending::Logout),
            Meaning::Probe if is_itself || member.standing == Standing::Stranger => {
                member.probes = true;
                self.put(token, &librpc::confirm_probe(head));
            }
            Meaning::Unknown if is_itself => self.refuse(self.address(token), head, Refusal::Offline),
            Meaning::Nothing => self.counts().ignored.count(),
            Meaning::Alive => {}
            Meaning::Reply | Meaning::Done => self.counts().dropped_spoofed.count(),
            Meaning::Call
            | Meaning::Function
            | Meaning::Subscribe
            | Meaning::Unsubscribe
            | Meaning::Publish
            | Meaning::Logout
            | Meaning::Probe
            | Meaning::Unknown => self.spoofed(token, head),
        }
    }

    /// A frame in somebody else's name, or from somebody who has none.
    fn spoofed(&mut self, token: Token, head: &Header) {
        self.counts().spoofed.count();
        self.put(token, &librpc::refuse(head, Refusal::Denied));
        if let Some(who) = self.note(token) {
            let (from, to, cmd) = (head.srcid, head.dstid, head.cmd);
            self.complain(|| format!("{who}: requests in the name of {from:#x} (to {to:#x}, cmd {cmd:#x}) refused"));
        }
    }

    fn login(&mut self, token: Token, head: &Header, body: &[u8]) {
        let draining = self.phase != Phase::Serving;
        let address = self.address(token);
        let Some(session) = self.sessions.get_mut(token) else { return };
        let name = match librpc::login_name(head, body) {
            Ok(name) if !draining => name,
            Ok(_) => return self.login_refused(token, head, "the agent is about to end"),
            Err(why) => return self.login_refused(token, head, &why),
        };
        let peer = session.peer;
        let Some(member) = session.librpc() else { return };
        match member.standing {
            Standing::Member(id) if id == head.srcid => {
                member.name = name;
                self.put(token, &librpc::confirm(head, self.limits.payload));
                self.inherited(token, body);
            }
            Standing::Member(id) => {
                let why = format!("this connection is {id:#x} already");
                self.login_refused(token, head, &why);
            }
            _ => {
                member.standing = Standing::Joining(*head);
                member.name.clone_from(&name);
                let login = Login { address, id: head.srcid, name, peer };
                self.report(Report::Login(login));
            }
        }
    }

    pub(in super::super) fn login_refused(&mut self, token: Token, head: &Header, why: &str) {
        self.counts().logins_refused.count();
        self.put(token, &librpc::refuse(head, Refusal::Denied));
        if let Some(who) = self.note(token) {
            self.complain(|| format!("{who}: login as {:#x} refused: {why}", head.srcid));
        }
    }

    fn malformed(&mut self, token: Token, error: &WireError) {
        let why = match error {
            WireError::Magic(_) | WireError::Version(_) => Malformed::Preamble,
            WireError::Oversized { .. } => Malformed::Oversized,
            WireError::ShortLogin(_) | WireError::MalformedCall(_) | WireError::MalformedPublication(_) => {
                Malformed::Lengths
            }
        };
        self.count_misfit(token, why);
        if let WireError::Oversized { head, .. } = error {
            // The connection ends with this, but a caller who sent too much shall know which call it was.
            if librpc::meaning(head) == Meaning::Call {
                self.refuse(self.address(token), head, Refusal::Busy);
            }
        }
        self.doom(token, Ending::Malformed(error.to_string()));
    }

    /// When the payload that `rest` begins would take the agent over its memory ceiling, answers in place of it and
    /// throws it away as it comes. How many bytes of `rest` are done with.
    fn refuse_what_cannot_be_held(&mut self, token: Token, rest: &[u8], missing: usize) -> usize {
        let Some(head) = rest.first_chunk::<HEADER_LEN>() else { return 0 };
        if self.load() + (rest.len() + missing) as u64 <= self.limits.memory {
            return 0;
        }
        // Headers that do not parse have been refused by `decode` before.
        let Ok(head) = Header::parse(head) else { return 0 };
        let now = self.now;
        let Some(session) = self.sessions.get_mut(token) else { return 0 };
        session.skip = missing;
        let is_itself = session.member() == Some(head.srcid);
        match librpc::meaning(&head) {
            Meaning::Call if is_itself => {
                if let Some(member) = session.librpc() {
                    member.awaiting.asked(librpc::envelope(&head).patience, now);
                }
                self.refuse(self.address(token), &head, Refusal::Busy);
            }
            Meaning::Reply if is_itself => self.reply(token, &head, &librpc::hollow_reply(&head)),
            Meaning::Subscribe | Meaning::Publish if is_itself => {
                self.refuse(self.address(token), &head, Refusal::Busy);
            }
            Meaning::Call => self.spoofed(token, &head),
            Meaning::Login => self.login_refused(token, &head, "the agent's memory ceiling is reached"),
            _ => self.counts().ignored.count(),
        }
        rest.len()
    }
}
