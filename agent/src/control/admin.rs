//! The admin socket: what an operator asks, line by line.
//!
//! A request is a JSON object in one line, with a `verb`; the answer is one in one line. What only the reactors know is
//! asked of them, and answered when the last one has said it; nobody waits here meanwhile.

mod keeping;

use super::answers;
use super::guests::{Guest, Guests, Rules};
use super::listener::Listener;
use super::order_line::OrderLine;
use super::registry::Registry;
use crate::core::message::Peer;
use crate::core::order::{Asked, Concluded, Described, Order, Shown, Tapped, Watched};
use crate::observe::catalog::Catalog;
use crate::observe::counter::Counters;
use msf_conf::nearest;
use msf_core::event::{Reactor, Token};
use msf_wire::json;
use msf_wire::librpc::{EVERY_EVENT, is_event_name};
use nix::unistd::geteuid;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
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
    /// Calls, and who has made them.
    calls: BTreeMap<u32, Call>,
    taps: BTreeMap<u32, Tap>,
    watches: BTreeMap<u32, Watch>,
    latest: u32,
    /// What the control thread is asked for, and by whom.
    wishes: Vec<(Token, Wish)>,
}

/// What is not for this desk to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Let another process take the agent's place.
    Upgrade {
        /// Even where the connections must stay with us until they are idle.
        drain: bool,
    },
    /// This is the other process.
    Succeed {
        /// It reads snapshots of this layout.
        layout: u32,
        /// It may have the sockets alone.
        drain: bool,
    },
    /// It is ready to take everything.
    Take,
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

/// A call of a function, and the reactor that was asked for it.
struct Call {
    guest: Token,
    reactor: usize,
}

/// A look at a function.
struct Tap {
    guest: Token,
    function: String,
    /// Reactors that have not said yet that they look.
    awaited: usize,
    /// What was seen and could not be said.
    missed: u64,
}

/// A look at events, through the first reactor: every reactor hears of all of them.
struct Watch {
    guest: Token,
    name: String,
    /// What has happened and could not be said.
    lost: u64,
}

/// What of the control thread an answer needs.
pub struct House<'a> {
    /// The functions.
    pub catalog: &'a Catalog,
    /// By reactor.
    pub counters: &'a [Counters],
    /// The services.
    pub registry: &'a Registry,
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
        self.notice_the_gone(house.lines);
    }

    /// Their timer has fired.
    pub fn sweep(&mut self, reactor: &mut Reactor, lines: &mut [OrderLine]) {
        self.guests.sweep(reactor);
        self.notice_the_gone(lines);
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
        let list = answers::list(house.catalog, question.sessions, &question.shown).to_string();
        self.answer(reactor, question.guest, &list, &mut house);
    }

    /// A call has ended.
    pub fn concluded(&mut self, reactor: &mut Reactor, number: u32, concluded: &Concluded, mut house: House<'_>) {
        let Some(call) = self.desk.calls.remove(&number) else { return };
        self.answer(reactor, call.guest, &answers::concluded(concluded), &mut house);
    }

    /// A tap has shown something.
    pub fn tapped(&mut self, reactor: &mut Reactor, tapped: &Tapped, mut house: House<'_>) {
        let Some(tap) = self.desk.taps.get_mut(&tapped.tap) else { return };
        let Some(guest) = self.guests.get_mut(tap.guest) else { return };
        if tap.awaited > 0 && tapped.seen.is_empty() && tapped.missed == 0 {
            tap.awaited -= 1;
            if tap.awaited == 0 {
                put(guest, &answers::tapping(&tap.function));
            }
        }
        tap.missed += tapped.missed;
        for seen in &tapped.seen {
            // Who does not read gets a number instead.
            if guest.owed() > MOST_OWED {
                tap.missed += 1;
                continue;
            }
            if tap.missed > 0 {
                put(guest, &answers::missed(std::mem::take(&mut tap.missed)));
            }
            put(guest, &answers::seen(&tap.function, seen));
        }
        let token = tap.guest;
        self.go_on(reactor, token, &mut house);
    }

    /// Something has been published.
    pub fn watched(&mut self, reactor: &mut Reactor, number: u32, watched: &Watched, mut house: House<'_>) {
        let Some(watch) = self.desk.watches.get_mut(&number) else { return };
        let Some(guest) = self.guests.get_mut(watch.guest) else { return };
        match watched {
            Watched::Begun => put(guest, &answers::watching(&watch.name)),
            Watched::Lost(count) => watch.lost += u64::from(*count),
            // Who does not read gets a number instead.
            Watched::Event(..) if guest.owed() > MOST_OWED => watch.lost += 1,
            Watched::Event(at, publisher, payload) => {
                if watch.lost > 0 {
                    put(guest, &answers::missed(std::mem::take(&mut watch.lost)));
                }
                put(guest, &answers::event(*at, *publisher, payload));
            }
        }
        let token = watch.guest;
        self.go_on(reactor, token, &mut house);
    }

    /// What is wished since this was last asked, by guests that wait for it.
    pub fn take_wishes(&mut self) -> Vec<(Token, Wish)> {
        std::mem::take(&mut self.desk.wishes)
    }

    /// Answers a wish.
    pub fn grant(&mut self, reactor: &mut Reactor, token: Token, answer: &str, mut house: House<'_>) {
        self.answer(reactor, token, answer, &mut house);
    }

    /// Gives the answer that a guest has waited for, and hears what else it has to say.
    fn answer(&mut self, reactor: &mut Reactor, token: Token, answer: &str, house: &mut House<'_>) {
        let Some(guest) = self.guests.get_mut(token) else { return };
        guest.awaits = false;
        put(guest, answer);
        self.go_on(reactor, token, house);
    }

    fn go_on(&mut self, reactor: &mut Reactor, token: Token, house: &mut House<'_>) {
        let desk = &mut self.desk;
        self.guests.serve(reactor, token, |token, guest| desk.hear(token, guest, house));
        self.notice_the_gone(house.lines);
    }

    /// What a guest waited for that is gone nobody needs any longer.
    fn notice_the_gone(&mut self, lines: &mut [OrderLine]) {
        let guests = &mut self.guests;
        let mut here = |guest: Token| guests.get_mut(guest).is_some();
        self.desk.questions.retain(|_, question| here(question.guest));
        for (number, call) in self.desk.calls.extract_if(.., |_, call| !here(call.guest)) {
            lines.get_mut(call.reactor).into_iter().for_each(|line| line.give(Order::CallOff(number)));
        }
        for (number, _) in self.desk.taps.extract_if(.., |_, tap| !here(tap.guest)) {
            lines.iter_mut().for_each(|line| line.give(Order::Untap(number)));
        }
        for (number, _) in self.desk.watches.extract_if(.., |_, watch| !here(watch.guest)) {
            lines.first_mut().into_iter().for_each(|line| line.give(Order::Unwatch(number)));
        }
    }
}

impl Desk {
    /// The next line of a guest that waits for nothing.
    fn hear(&mut self, token: Token, guest: &mut Guest<Talk>, house: &mut House<'_>) {
        if guest.streams {
            // It has nothing more to say; that it closes is all that is listened for.
            guest.inbox.clear();
        }
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
        match heard.and_then(|line| self.carry_out(line.trim(), token, house)) {
            Ok(Then::Say(answer)) => put(guest, &answer),
            Ok(Then::Wait) => guest.awaits = true,
            Ok(Then::Stream) => guest.streams = true,
            Err(what) => put(guest, &answers::error(&what)),
        }
    }

    fn carry_out(&mut self, line: &str, token: Token, house: &mut House<'_>) -> Result<Then, String> {
        let request = json::members(line)?;
        let text = |key: &str| request.get(key).and_then(|value| json::unquoted(value));
        self.latest = self.latest.wrapping_add(1);
        let drain = request.get("drain").is_some_and(|value| *value == "true");
        match text("verb").as_deref() {
            Some("call") => {
                let patience = request.get("deadline").map(|value| value.parse());
                let patience = patience.transpose().map_err(|_| "deadline: expected milliseconds".to_owned())?;
                let params = request.get("params").ok_or("params: missing; expected JSON")?;
                let function = text("function").ok_or("function: missing; expected a name")?;
                self.call(token, function, params, patience, house);
                Ok(Then::Wait)
            }
            Some("list") => {
                self.question(token, house);
                Ok(Then::Wait)
            }
            Some("tap") => {
                let function = text("function").ok_or("function: missing; expected a name")?;
                self.tap(token, function, house)?;
                Ok(Then::Stream)
            }
            Some("events") => {
                self.watch(token, text("name").unwrap_or_else(|| "*".to_owned()), house)?;
                Ok(Then::Stream)
            }
            Some("upgrade") => Ok(self.wish(token, Wish::Upgrade { drain })),
            Some("succeed") => {
                let layout = request.get("snapshot").and_then(|value| value.parse().ok());
                let layout = layout.ok_or("snapshot: missing; expected the number of a layout")?;
                Ok(self.wish(token, Wish::Succeed { layout, drain }))
            }
            Some("take") => Ok(self.wish(token, Wish::Take)),
            Some("top") => Ok(Then::Say(answers::top(house.catalog, house.counters).to_string())),
            Some(other) => Err(format!("verb: unknown word \"{other}\"; expected one of {}", VERBS.join(", "))),
            None => Err(format!("verb: missing; expected one of {}", VERBS.join(", "))),
        }
    }

    fn wish(&mut self, token: Token, wish: Wish) -> Then {
        self.wishes.push((token, wish));
        Then::Wait
    }

    fn call(&mut self, guest: Token, function: String, params: &str, patience: Option<u32>, house: &mut House<'_>) {
        let number = self.latest;
        let reactor = number as usize % house.lines.len().max(1);
        let asked = Asked { number, function: function.into_bytes(), params: params.as_bytes().to_vec(), patience };
        house.lines.get_mut(reactor).into_iter().for_each(|line| line.give(Order::Call(asked.clone())));
        self.calls.insert(number, Call { guest, reactor });
    }

    fn question(&mut self, guest: Token, house: &mut House<'_>) {
        let number = self.latest;
        house.lines.iter_mut().for_each(|line| line.give(Order::Describe(number)));
        let awaited = house.lines.len();
        self.questions.insert(number, Question { guest, awaited, sessions: 0, shown: Vec::new() });
    }

    fn tap(&mut self, guest: Token, function: String, house: &mut House<'_>) -> Result<(), String> {
        let known = |name: &str| house.catalog.functions().any(|(known, _)| known == name);
        // A service's command is a function too, which is known when it is called.
        if !known(&function) && !function.contains('/') {
            let names = house.catalog.functions().map(|(name, _)| name);
            let hint =
                nearest::nearest(&function, names).map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
            return Err(format!("no worker has offered a function \"{function}\"{hint}"));
        }
        let (number, name) = (self.latest, Arc::<[u8]>::from(function.as_bytes()));
        house.lines.iter_mut().for_each(|line| line.give(Order::Tap(number, Arc::clone(&name))));
        self.taps.insert(number, Tap { guest, function, awaited: house.lines.len(), missed: 0 });
        Ok(())
    }

    fn watch(&mut self, guest: Token, name: String, house: &mut House<'_>) -> Result<(), String> {
        if !is_event_name(name.as_bytes()) && name.as_bytes() != EVERY_EVENT {
            return Err("name: expected 1 to 64 visible characters of ASCII, or * for all events".to_owned());
        }
        let (number, present) = (self.latest, house.registry.present_to(name.as_bytes()));
        if let Some(line) = house.lines.first_mut() {
            line.give(Order::Watch(number, name.as_bytes().into(), present));
        }
        self.watches.insert(number, Watch { guest, name, lost: 0 });
        Ok(())
    }
}

/// What becomes of a request.
enum Then {
    /// It is answered.
    Say(String),
    /// The answer will come.
    Wait,
    /// Answers will come until the guest goes.
    Stream,
}

fn put(guest: &mut Guest<Talk>, answer: &str) {
    let out = guest.out();
    out.extend_from_slice(answer.as_bytes());
    out.push(b'\n');
}

/// Whoever could signal us or replace us may ask us.
fn is_operator(peer: &Peer) -> bool {
    matches!(peer, Peer::Local { uid, .. } if *uid == 0 || *uid == geteuid().as_raw())
}

/// The file's name in the run directory.
pub const SOCKET: &str = "msf_agent_admin.sock";
const VERBS: [&str; 8] = ["call", "list", "tap", "top", "events", "upgrade", "succeed", "take"];
/// Bytes that wait for a guest that taps, above which it gets no more.
const MOST_OWED: usize = 256 << 10;
const RULES: Rules = Rules {
    base: 0x6_0000,
    most: 16,
    // The parameters of a call travel in a line.
    inbox: 4 << 20,
    idle: Duration::from_secs(600),
    slow: Duration::from_secs(10),
    admits: is_operator,
};
