//! From a socket's bytes to frames, and from a frame to what it asks for.

use super::broker::{Broker, Phase};
use super::librpc::{self, Meaning};
use super::session::{Ending, Session, Standing};
use crate::core::message::Refusal;
use crate::core::order::{Login, Report};
use msf_core::event::Token;
use msf_wire::librpc::{Frame, HEADER_LEN, Header, Step, WireError, decode};
use nix::errno::Errno;
use nix::unistd::read;

impl Broker {
    /// Reads what a session has for us, as far as its share of this turn goes.
    pub(super) fn pull(&mut self, token: Token) {
        let mut scratch = std::mem::take(&mut self.scratch);
        self.feed(token, &[]);
        for _ in 0..READS_PER_TURN {
            let Some(session) = self.sessions.get_mut(token) else { break };
            if !session.readable || !session.listens() {
                break;
            }
            match read(&session.socket, &mut scratch) {
                Ok(0) => self.no_more_from(token),
                Ok(count) => {
                    // A short read has emptied a stream socket; the end of file, if any, comes as an edge of its own.
                    session.readable = count == scratch.len() || session.hangup || session.broken;
                    session.heard = true;
                    self.feed(token, scratch.get(..count).unwrap_or_default());
                }
                // Nothing more to read, nothing can be written: that is an end, too.
                Err(Errno::EAGAIN) if session.broken => self.doom(token, Ending::Closed),
                Err(Errno::EAGAIN) => session.readable = false,
                Err(Errno::EINTR) => {}
                Err(Errno::ENOMEM | Errno::ENOBUFS) => {
                    self.scratch = scratch;
                    return self.starved.push(token);
                }
                Err(_) => self.doom(token, Ending::Closed),
            }
        }
        self.scratch = scratch;
        if self.sessions.get(token).is_some_and(|session| session.readable && session.listens()) {
            self.more.push(token);
        }
    }

    /// Handles the frames in what has been kept of a session's bytes and in `fresh`, and keeps the rest.
    fn feed(&mut self, token: Token, fresh: &[u8]) {
        let Some(session) = self.sessions.get_mut(token) else { return };
        if session.inbox.is_empty() {
            let used = self.digest(token, fresh);
            let rest = fresh.get(used..).unwrap_or_default();
            if let Some(session) = self.sessions.get_mut(token) {
                session.inbox.extend_from_slice(rest);
                self.buffered += rest.len();
            }
            return;
        }
        let mut inbox = std::mem::take(&mut session.inbox);
        inbox.extend_from_slice(fresh);
        let used = self.digest(token, &inbox);
        inbox.drain(..used);
        self.buffered = self.buffered + fresh.len() - used;
        if let Some(session) = self.sessions.get_mut(token) {
            session.inbox = inbox;
        }
    }

    /// Handles the whole frames at the front of `bytes`; how many bytes they were.
    fn digest(&mut self, token: Token, bytes: &[u8]) -> usize {
        let mut used = self.throw_away(token, bytes.len());
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            if !self.sessions.get(token).is_some_and(Session::listens) {
                break;
            }
            match decode(rest, self.limits.payload) {
                Ok(Step::Frame(frame, length)) => {
                    used += length;
                    self.take(token, &frame, rest.get(..length).unwrap_or_default());
                }
                Ok(Step::NeedMore(missing)) => {
                    used += self.refuse_what_cannot_be_held(token, rest, missing);
                    break;
                }
                Err(error) => {
                    self.malformed(token, &error);
                    used = bytes.len();
                }
            }
        }
        used
    }

    /// How many of `available` bytes belong to a payload that was refused.
    fn throw_away(&mut self, token: Token, available: usize) -> usize {
        let Some(session) = self.sessions.get_mut(token) else { return 0 };
        let thrown = session.skip.min(available);
        session.skip -= thrown;
        thrown
    }

    /// Does what one frame asks for.
    fn take(&mut self, token: Token, frame: &Frame<'_>, raw: &[u8]) {
        let head = &frame.head;
        let Some(session) = self.sessions.get_mut(token) else { return };
        let is_itself = session.member() == Some(head.srcid);
        let meaning = librpc::meaning(head);
        if is_itself && matches!(meaning, Meaning::Call | Meaning::Unknown) {
            session.awaiting.asked(librpc::envelope(head).patience, self.now);
        }
        match meaning {
            Meaning::Call if is_itself => self.call(token, head, raw),
            Meaning::Reply if is_itself => self.reply(token, head, raw),
            Meaning::Login => self.login(token, head, frame.body),
            Meaning::Logout if is_itself => self.doom(token, Ending::Logout),
            Meaning::Probe if is_itself || session.standing == Standing::Stranger => {
                session.probes = true;
                self.put(token, &librpc::confirm_probe(head));
            }
            Meaning::Unknown if is_itself => self.refuse(self.address(token), head, Refusal::Offline),
            Meaning::Nothing => self.counts().ignored.count(),
            Meaning::Alive => {}
            Meaning::Reply => self.counts().dropped_spoofed.count(),
            Meaning::Call | Meaning::Logout | Meaning::Probe | Meaning::Unknown => self.spoofed(token, head),
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

    /// The session's name, once: one line about what it may not do is enough.
    fn note(&mut self, token: Token) -> Option<String> {
        let session = self.sessions.get_mut(token).filter(|session| !session.noted)?;
        session.noted = true;
        Some(session.who())
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
        match session.standing {
            Standing::Member(id) if id == head.srcid => {
                session.name = name;
                self.put(token, &librpc::confirm(head, self.limits.payload));
            }
            Standing::Member(id) => {
                let why = format!("this connection is {id:#x} already");
                self.login_refused(token, head, &why);
            }
            _ => {
                session.standing = Standing::Joining(*head);
                session.name.clone_from(&name);
                let login = Login { address, id: head.srcid, name, peer: session.peer };
                self.report(Report::Login(login));
            }
        }
    }

    pub(super) fn login_refused(&mut self, token: Token, head: &Header, why: &str) {
        self.counts().logins_refused.count();
        self.put(token, &librpc::refuse(head, Refusal::Denied));
        if let Some(who) = self.note(token) {
            self.complain(|| format!("{who}: login as {:#x} refused: {why}", head.srcid));
        }
    }

    fn malformed(&mut self, token: Token, error: &WireError) {
        self.counts().malformed.count();
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
        let Some(session) = self.sessions.get_mut(token) else { return 0 };
        session.skip = missing;
        let is_itself = session.member() == Some(head.srcid);
        match librpc::meaning(&head) {
            Meaning::Call if is_itself => {
                session.awaiting.asked(librpc::envelope(&head).patience, self.now);
                self.refuse(self.address(token), &head, Refusal::Busy);
            }
            Meaning::Reply if is_itself => self.reply(token, &head, &librpc::hollow_reply(&head)),
            Meaning::Call => self.spoofed(token, &head),
            Meaning::Login => self.login_refused(token, &head, "the agent's memory ceiling is reached"),
            _ => self.counts().ignored.count(),
        }
        rest.len()
    }
}

/// How often a session may read per turn before the others get theirs.
const READS_PER_TURN: usize = 4;
