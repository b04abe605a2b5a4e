//! Takes connections from the listeners, turns away who may not or cannot be had, and survives the want of descriptors
//! and memory.

use super::listener::Listener;
use crate::core::message::Peer;
use crate::core::order::Door;
use msf_conf::agent::Lists;
use msf_core::event::{Interest, Reactor, Slots, Token};
use msf_core::log::Level;
use msf_wire::snapshot::{Damage, Reader, State, Writer};
use nix::errno::Errno;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// The listeners and the rules at the door.
pub struct Acceptor {
    listeners: Slots<(Listener, Door)>,
    access: Access,
    lists: Lists,
    /// Who was turned away because of the lists since somebody last asked.
    strangers: Vec<IpAddr>,
    max_conns: usize,
    open: usize,
    /// Given up when there is no descriptor left, so that a connection can be taken and closed rather than left
    /// ringing for ever: the edge that announced it comes once.
    reserve: Option<File>,
    /// When turned-away connections were last mentioned, and how many were not.
    mentioned: Option<Instant>,
    unmentioned: u64,
}

/// Who may connect to the unix sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Root, this user, and these.
    Users(Vec<u32>),
    /// Whoever the rights of the socket's file let in.
    FileMode,
}

/// A connection: its socket, who is at the other end, and through which door it came.
pub type Taken = (OwnedFd, Peer, Door);

/// What came of accepting.
pub enum Accepted {
    /// Everybody who waited is in or turned away.
    All,
    /// To be tried again after this time: something is short, or others shall have their turn.
    Later(Duration),
}

impl Acceptor {
    /// For at most `max_conns` connections at a time.
    pub fn new(access: Access, lists: Lists, max_conns: usize) -> Acceptor {
        Acceptor {
            listeners: Slots::default(),
            access,
            lists,
            strangers: Vec::new(),
            max_conns,
            open: 0,
            reserve: reserve(),
            mentioned: None,
            unmentioned: 0,
        }
    }

    /// Adds a listener and watches it.
    pub fn add(&mut self, reactor: &Reactor, listener: Listener, door: Door) -> io::Result<()> {
        let Some(token) = self.listeners.insert((listener, door)) else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        match self.listeners.get(token) {
            Some((listener, _)) => reactor.watch(listener, token, Interest::READ),
            None => Ok(()),
        }
    }

    /// Appends the listeners.
    pub fn save_listeners(&self, out: &mut Writer) {
        out.count(self.listeners.len());
        for (_, (listener, door)) in self.listeners.iter() {
            listener.save(out);
            door.save(out);
        }
    }

    /// Appends the listeners and how many connections there are.
    pub fn save(&self, out: &mut Writer) {
        self.save_listeners(out);
        self.open.save(out);
    }

    /// The listeners' tokens.
    pub fn tokens(&self) -> Vec<Token> {
        self.listeners.iter().map(|(token, _)| token).collect()
    }

    /// Takes a listener out.
    pub fn take(&mut self, token: Token) -> Option<(Listener, Door)> {
        self.listeners.remove(token)
    }

    /// Listens where another process has.
    ///
    /// # Errors
    /// Whatever is not what [`Acceptor::save`] writes.
    pub fn resume(&mut self, from: &mut Reader<'_>) -> Result<Vec<(Listener, Door)>, Damage> {
        let listeners = State::load(from)?;
        self.open = State::load(from)?;
        Ok(listeners)
    }

    /// Appends how it is laid out.
    #[cfg(test)]
    pub fn shape(out: &mut String) {
        <(Vec<(Listener, Door)>, usize)>::shape(out);
    }

    /// The sockets' files are ours from here on.
    pub fn keep(&mut self) {
        for token in self.tokens() {
            if let Some((listener, _)) = self.listeners.get_mut(token) {
                listener.keep();
            }
        }
    }

    /// Where we listen.
    pub fn places(&self) -> Vec<String> {
        self.listeners.iter().map(|(_, (listener, _))| listener.to_string()).collect()
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.open
    }

    /// A connection has ended.
    pub fn closed(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// Stops listening; the sockets' files go.
    pub fn close(&mut self) {
        self.listeners = Slots::default();
    }

    /// Changes how many connections there may be, and from where.
    pub fn limit(&mut self, max_conns: usize, lists: Lists) {
        self.max_conns = max_conns;
        self.lists = lists;
    }

    /// Whom the lists have turned away since this was last asked.
    pub fn take_strangers(&mut self) -> Vec<IpAddr> {
        std::mem::take(&mut self.strangers)
    }

    /// Takes everybody who waits at any listener.
    pub fn accept_all(&mut self, now: Instant, taken: &mut Vec<Taken>) -> Accepted {
        let tokens: Vec<Token> = self.listeners.iter().map(|(token, _)| token).collect();
        let mut outcome = Accepted::All;
        for token in tokens {
            if let later @ Accepted::Later(_) = self.accept(token, now, taken) {
                outcome = later;
            }
        }
        outcome
    }

    /// Takes everybody who waits at one listener.
    pub fn accept(&mut self, token: Token, now: Instant, taken: &mut Vec<Taken>) -> Accepted {
        let mut failures = 0;
        for _ in 0..MOST_PER_TURN {
            let Some((listener, door)) = self.listeners.get(token) else { return Accepted::All };
            let door = *door;
            match listener.accept() {
                Ok((socket, peer)) => {
                    if let Some(why) = self.objection(&peer, door) {
                        self.mention(now, &format!("{peer} turned away: {why}"));
                        continue;
                    }
                    self.open += 1;
                    taken.push((socket, peer, door));
                }
                Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::EAGAIN) => return Accepted::All,
                    Some(Errno::EMFILE | Errno::ENFILE) if self.shed(token, now, &error) => {}
                    Some(Errno::EMFILE | Errno::ENFILE) => return Accepted::Later(REST),
                    Some(Errno::ENOMEM | Errno::ENOBUFS) => {
                        self.mention(now, &format!("cannot accept a connection: {error}"));
                        return Accepted::Later(REST);
                    }
                    // The peer gave up, or the network said so: the next one may be fine. But not for ever.
                    _ => {
                        failures += 1;
                        if failures > MOST_FAILURES {
                            self.mention(now, &format!("cannot accept connections: {error}"));
                            return Accepted::Later(REST);
                        }
                    }
                },
            }
        }
        Accepted::Later(Duration::ZERO)
    }

    fn objection(&mut self, peer: &Peer, door: Door) -> Option<String> {
        if self.open >= self.max_conns {
            return Some(format!("max_conns={} connections are open", self.max_conns));
        }
        if let (Door::Nmid, Some(host)) = (door, peer.host())
            && !self.lists.admit(host)
        {
            self.strangers.push(host);
            return Some("white_list or black_list says so".to_owned());
        }
        let Peer::Local { uid, .. } = peer else { return None };
        match &self.access {
            Access::Users(users) if !users.contains(uid) => {
                Some(format!("user {uid} may not connect; allow_uids, unix_group or unix_mask would let him"))
            }
            _ => None,
        }
    }

    /// Takes the next connection with the reserved descriptor and closes it; false when not even that works.
    fn shed(&mut self, token: Token, now: Instant, error: &io::Error) -> bool {
        self.mention(now, &format!("a connection turned away: {error}; {} are open", self.open));
        if self.reserve.take().is_none() {
            self.reserve = reserve();
            return false;
        }
        let shed = self.listeners.get(token).is_some_and(|(listener, _)| listener.shed().is_ok());
        self.reserve = reserve();
        shed
    }

    /// A line about somebody turned away, at most one per second: the door is where floods arrive.
    fn mention(&mut self, now: Instant, what: &str) {
        if self.mentioned.is_some_and(|last| now < last + MENTION) {
            self.unmentioned += 1;
            return;
        }
        match std::mem::take(&mut self.unmentioned) {
            0 => msf_core::log!(Level::Warn, LOG, "{what}"),
            others => msf_core::log!(Level::Warn, LOG, "{what} (and {others} more before)"),
        }
        self.mentioned = Some(now);
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

const LOG: &str = "AGENT";
const MENTION: Duration = Duration::from_secs(1);
/// How long accepting rests when descriptors or memory are short.
const REST: Duration = Duration::from_millis(100);
/// Connections taken in one turn: a flood of them must not keep the logins waiting.
const MOST_PER_TURN: usize = 64;
/// Failures in a row after which accepting rests.
const MOST_FAILURES: u32 = 100;
