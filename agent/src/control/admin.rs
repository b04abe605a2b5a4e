//! The admin socket: what an operator asks, line by line.
//!
//! A request is a JSON object in one line, with a `verb`; the answer is one in one line. What only the reactors know is
//! asked of them, and answered when the last one has said it; nobody waits here meanwhile.

use super::answers;
use super::guests::{Guest, Guests, Rules};
use super::listener::Listener;
use super::order_line::OrderLine;
use crate::core::message::Peer;
use crate::core::order::{Described, Order, Shown};
use crate::observe::catalog::Catalog;
use crate::observe::counter::Counters;
use msf_conf::tree::Value;
use msf_core::event::{Reactor, Token};
use msf_wire::json;
use nix::unistd::geteuid;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// The admin socket and who is at it.
pub struct Admin {
    guests: Guests<Talk>,
    desk: Desk,
}

/// What is under way.
#[derive(Default)]
struct Desk {
    /// Questions to the reactors, by number.
    questions: BTreeMap<u32, Question>,
    latest: u32,
}

/// What is kept of one operator between two reads.
#[derive(Default)]
struct Talk {
    /// How much of the inbox is known to hold no line's end: a long line is not searched again with every piece of it.
    searched: usize,
}

/// A question that every reactor was asked.
struct Question {
    guest: Token,
    /// Reactors that have not answered yet.
    awaited: usize,
    sessions: usize,
    shown: Vec<Shown>,
}

/// What of the control thread an answer needs.
pub struct House<'a> {
    /// The functions.
    pub catalog: &'a Catalog,
    /// By reactor.
    pub counters: &'a [Counters],
    /// The ways to the reactors.
    pub lines: &'a mut [OrderLine],
}

impl Admin {
    /// Behind `listener`.
    pub fn new(reactor: &Reactor, listener: Listener) -> io::Result<Admin> {
        Ok(Admin { guests: Guests::new(reactor, listener, RULES)?, desk: Desk::default() })
    }

    /// Whether an event is for them.
    pub fn own(&self, token: Token) -> bool {
        self.guests.own(token)
    }

    /// Whether a timer is theirs.
    pub fn own_timer(&self, key: u64) -> bool {
        self.guests.own_timer(key)
    }

    /// Something has happened at one of their sockets.
    pub fn ready(&mut self, reactor: &mut Reactor, token: Token, mut house: House<'_>) {
        let desk = &mut self.desk;
        self.guests.ready(reactor, token, |token, guest| desk.hear(token, guest, &mut house));
        self.notice_the_gone();
    }

    /// Their timer has fired.
    pub fn sweep(&mut self, reactor: &mut Reactor) {
        self.guests.sweep(reactor);
        self.notice_the_gone();
    }

    /// A reactor has said who its sessions are.
    pub fn described(&mut self, reactor: &mut Reactor, described: Described, mut house: House<'_>) {
        let Some(question) = self.desk.questions.get_mut(&described.question) else { return };
        question.awaited = question.awaited.saturating_sub(1);
        question.sessions += described.sessions;
        question.shown.extend(described.shown);
        if question.awaited > 0 {
            return;
        }
        let Some(question) = self.desk.questions.remove(&described.question) else { return };
        let list = answers::list(house.catalog, question.sessions, &question.shown);
        self.answer(reactor, question.guest, &list, &mut house);
    }

    /// Gives the answer that a guest has waited for, and hears what else it has to say.
    fn answer(&mut self, reactor: &mut Reactor, token: Token, answer: &Value, house: &mut House<'_>) {
        let Some(guest) = self.guests.get_mut(token) else { return };
        guest.awaits = false;
        put(guest, answer);
        let desk = &mut self.desk;
        self.guests.serve(reactor, token, |token, guest| desk.hear(token, guest, house));
        self.notice_the_gone();
    }

    /// What a guest waited for that is gone nobody needs any longer.
    fn notice_the_gone(&mut self) {
        let guests = &mut self.guests;
        self.desk.questions.retain(|_, question| guests.get_mut(question.guest).is_some());
    }
}

impl Desk {
    /// The next line of a guest that waits for nothing.
    fn hear(&mut self, token: Token, guest: &mut Guest<Talk>, house: &mut House<'_>) {
        if guest.awaits {
            return;
        }
        let fresh = guest.inbox.get(guest.talk.searched..).unwrap_or_default();
        let Some(end) = fresh.iter().position(|byte| *byte == b'\n') else {
            guest.talk.searched = guest.inbox.len();
            return;
        };
        let end = std::mem::take(&mut guest.talk.searched) + end;
        let line: Vec<u8> = guest.inbox.drain(..=end).collect();
        let heard = std::str::from_utf8(&line).map_err(|error| error.to_string());
        let heard = heard.and_then(|line| self.carry_out(line.trim(), token, house));
        match heard {
            Ok(Some(answer)) => put(guest, &answer),
            Ok(None) => guest.awaits = true,
            Err(what) => put(guest, &answers::error(&what)),
        }
    }

    /// What the line asks for: an answer now, or `None` when it will come.
    fn carry_out(&mut self, line: &str, token: Token, house: &mut House<'_>) -> Result<Option<Value>, String> {
        let request = json::members(line)?;
        let text = |key: &str| request.get(key).and_then(|value| json::unquoted(value));
        match text("verb").as_deref() {
            Some("list") => {
                self.latest = self.latest.wrapping_add(1);
                let number = self.latest;
                house.lines.iter_mut().for_each(|line| line.give(Order::Describe(number)));
                let awaited = house.lines.len();
                self.questions.insert(number, Question { guest: token, awaited, sessions: 0, shown: Vec::new() });
                Ok(None)
            }
            Some("top") => Ok(Some(answers::top(house.catalog, house.counters))),
            Some(other) => Err(format!("verb: unknown word \"{other}\"; expected one of {}", VERBS.join(", "))),
            None => Err(format!("verb: missing; expected one of {}", VERBS.join(", "))),
        }
    }
}

fn put(guest: &mut Guest<Talk>, answer: &Value) {
    let out = guest.out();
    out.extend_from_slice(answer.to_string().as_bytes());
    out.push(b'\n');
}

/// Whoever could signal us or replace us may ask us.
fn is_operator(peer: &Peer) -> bool {
    matches!(peer, Peer::Local { uid, .. } if *uid == 0 || *uid == geteuid().as_raw())
}

/// The file's name in the run directory.
pub const SOCKET: &str = "msf_agent_admin.sock";
const VERBS: [&str; 2] = ["list", "top"];
const RULES: Rules = Rules {
    base: 0x6_0000,
    most: 16,
    // The parameters of a call travel in a line.
    inbox: 4 << 20,
    idle: Duration::from_secs(600),
    slow: Duration::from_secs(10),
    admits: is_operator,
};
