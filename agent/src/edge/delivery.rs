//! Frames to where they go: an outbox of this reactor, or a lane to a sibling; and the outboxes to their sockets.

use super::broker::{Broker, LOG};
use super::lane::{Lane, Record, split_record};
use super::librpc::{self, Meaning};
use super::outbox::Flushed;
use super::session::{Ending, Session, Standing};
use crate::core::admit;
use crate::core::message::{Address, Envelope, Patience, Refusal};
use crate::core::order::Report;
use msf_core::event::{Interest, Reactor, Token};
use msf_core::log::Level;
use msf_wire::librpc::Header;

impl Broker {
    /// A member's request: to its service's session, wherever that lives.
    pub(super) fn call(&mut self, token: Token, head: &Header, raw: &[u8]) {
        let call = librpc::envelope(head);
        let caller = self.address(token);
        match self.dispatch.route(&call) {
            Ok(service) if service.reactor == self.me => self.deliver_call(service.session, caller, head, &call, raw),
            Ok(service) => self.post(service, token, raw),
            Err(refusal) => self.refuse(caller, head, refusal),
        }
    }

    /// A member's answer: to whoever waits for it.
    pub(super) fn reply(&mut self, token: Token, head: &Header, raw: &[u8]) {
        match self.dispatch.settle(token.bits(), &librpc::envelope(head), self.now) {
            Some(caller) if caller.reactor == self.me => self.deliver_reply(caller.session, head, raw),
            Some(caller) => self.post(caller, token, raw),
            None => {}
        }
    }

    /// A request has reached the reactor of its service.
    fn deliver_call(&mut self, service: u32, caller: Address, head: &Header, call: &Envelope, raw: &[u8]) {
        let load = self.load();
        let target = Token::from_bits(service);
        let admitted = match self.sessions.get(target) {
            Some(session) if session.takes() && session.member() == Some(call.to) => {
                admit::call(&self.limits, session.outbox.len(), raw.len(), load)
            }
            _ => Err(Refusal::Offline),
        };
        let entered = admitted.and_then(|()| self.dispatch.enter(service, caller, call, self.limits.pending, self.now));
        match entered {
            Ok(()) => {
                self.counts().calls.count();
                self.put(target, raw);
            }
            Err(refusal) => self.refuse(caller, head, refusal),
        }
    }

    /// An answer has reached the reactor of its caller.
    fn deliver_reply(&mut self, caller: u32, head: &Header, raw: &[u8]) {
        let target = Token::from_bits(caller);
        let takes = |session: &&mut Session| session.takes() && session.caller() == Some(head.dstid);
        let Some(session) = self.sessions.get_mut(target).filter(takes) else {
            return self.counts().dropped_undeliverable.count();
        };
        if librpc::envelope(head).patience != Patience::None {
            session.awaiting.answered();
        }
        self.counts().replies.count();
        self.put(target, raw);
    }

    /// Answers a request in the broker's own name.
    pub(super) fn refuse(&mut self, caller: Address, head: &Header, refusal: Refusal) {
        self.tell(caller, librpc::envelope(head).patience, &librpc::refuse(head, refusal), refusal);
    }

    fn tell(&mut self, caller: Address, patience: Patience, frame: &[u8], refusal: Refusal) {
        match refusal {
            Refusal::Offline => self.counts().offline.count(),
            Refusal::Busy => self.counts().busy.count(),
            Refusal::Denied => self.counts().spoofed.count(),
        }
        if caller.reactor == self.me {
            let caller = Token::from_bits(caller.session);
            if patience != Patience::None
                && let Some(session) = self.sessions.get_mut(caller)
            {
                session.awaiting.answered();
            }
            self.put(caller, frame);
        } else if let Some(lane) = self.lanes.get_mut(usize::from(caller.reactor)).and_then(Option::as_mut) {
            lane.push(caller.session, 0, frame, &mut self.spares);
        }
    }

    /// Sends a frame of `token`'s to a sibling. When the sibling's mailbox is full, this frame still goes into the
    /// lane, and the session is parked until there is room: one frame per session is the most a lane ever grows by.
    fn post(&mut self, to: Address, token: Token, raw: &[u8]) {
        let Some(lane) = self.lanes.get_mut(usize::from(to.reactor)).and_then(Option::as_mut) else { return };
        lane.push(to.session, token.bits(), raw, &mut self.spares);
        if lane.is_stuck()
            && let Some(session) = self.sessions.get_mut(token)
            && !session.parked
        {
            session.parked = true;
            self.parked.push(token);
            self.counts().parked.count();
        }
    }

    /// Everything the siblings have posted.
    pub(super) fn take_parcels(&mut self) {
        let mut posted = std::mem::take(&mut self.posted);
        posted.extend(self.parcels.drain(PARCELS_PER_TURN));
        for parcel in posted.drain(..) {
            let mut rest = parcel.records.as_slice();
            while let Some((record, after)) = split_record(rest) {
                self.unpack(parcel.from, &record);
                rest = after;
            }
            self.spares.keep(parcel.records);
        }
        self.posted = posted;
    }

    fn unpack(&mut self, from: u16, record: &Record<'_>) {
        match librpc::meaning(&record.head) {
            Meaning::Call => {
                let caller = Address { reactor: from, session: record.sender };
                let call = librpc::envelope(&record.head);
                self.deliver_call(record.receiver, caller, &record.head, &call, record.frame);
            }
            _ => self.deliver_reply(record.receiver, &record.head, record.frame),
        }
    }

    /// Into an outbox of this reactor; whoever does not read is cut.
    pub(super) fn put(&mut self, token: Token, frame: &[u8]) {
        let load = self.load();
        let full = load + frame.len() as u64 > self.limits.memory;
        let share = if full { self.share() } else { 0 };
        let Some(session) = self.sessions.get_mut(token).filter(|session| session.takes()) else { return };
        if !admit::reply(&self.limits, session.outbox.len(), frame.len(), load, share) {
            return self.doom(token, Ending::Slow);
        }
        session.outbox.push(frame);
        self.buffered += frame.len();
        if !session.dirty && !session.blocked {
            session.dirty = true;
            self.dirty.push(token);
        }
    }

    /// Bytes buffered in the whole agent; exact only when that might matter, since it costs a look at every sibling.
    pub(super) fn load(&self) -> u64 {
        let own = self.buffered as u64;
        if own <= self.limits.memory / (2 * self.counters.len() as u64) {
            return own;
        }
        let others = self.counters.iter().enumerate().filter(|(index, _)| *index != usize::from(self.me));
        own + others.map(|(_, counters)| counters.buffered.value()).sum::<u64>()
    }

    /// The peer reads no more. What it has sent before, answers perhaps, is read before the session ends.
    fn read_out(&mut self, token: Token) {
        if let Some(session) = self.sessions.get_mut(token) {
            if matches!(session.standing, Standing::Leaving(..)) {
                return self.doom(token, Ending::Closed);
            }
            self.buffered -= session.outbox.len();
            session.outbox.clear();
            session.broken = true;
            session.readable = true;
            self.more.push(token);
        }
    }

    /// What each session may have waiting when everything is full.
    fn share(&self) -> u64 {
        let sessions = self.counters.iter().map(|counters| counters.sessions.value()).sum::<u64>();
        self.limits.memory / sessions.max(1)
    }

    /// This session ends when the turn does.
    pub(super) fn doom(&mut self, token: Token, ending: Ending) {
        if let Some(session) = self.sessions.get_mut(token)
            && !session.doomed
        {
            session.doomed = true;
            self.doomed.push((token, ending));
        }
    }

    /// Ends the doomed sessions and tells everybody who waited for them.
    pub(super) fn bury(&mut self) {
        while let Some((token, ending)) = self.doomed.pop() {
            let Some(mut session) = self.sessions.remove(token) else { continue };
            self.buffered -= session.buffered();
            // What is written already shall arrive: the answer to a login that was refused, to a request before EOF.
            session.outbox.flush(&session.socket);
            let told = self.fail_callers(token);
            let who = session.who();
            match ending {
                Ending::Closed | Ending::Logout | Ending::Shutdown if session.standing == Standing::Stranger => {}
                Ending::Closed => log_end(&who, "has gone", told),
                Ending::Logout => log_end(&who, "has logged out", told),
                Ending::Shutdown => log_end(&who, "is let go", told),
                Ending::Malformed(what) => self.complain(|| format!("{who}: closed: {what}")),
                Ending::Slow => {
                    self.counts().cut_slow.count();
                    let limit = self.limits.outbox_hard;
                    self.complain(|| format!("{who}: cut: it does not read, and {limit} bytes wait for it"));
                }
                Ending::Silent => {
                    let limit = self.limits.login;
                    self.complain(|| format!("{who}: closed: no login within {limit} ms"));
                }
                Ending::Evicted => {
                    self.complain(|| format!("{who}: closed: it no longer lives, and its id was asked for"));
                }
            }
            self.report(Report::Left(self.address(token)));
        }
    }

    /// Tells everybody who waits for this session that nobody will answer; how many they were.
    pub(super) fn fail_callers(&mut self, token: Token) -> usize {
        let mut told = 0;
        for (caller, call) in self.dispatch.left(token.bits(), self.now) {
            self.tell(caller, call.patience, &librpc::refuse_kept(&call, Refusal::Offline), Refusal::Offline);
            told += 1;
        }
        told
    }

    /// Posts the parcels; sessions parked for want of room go on when there is some.
    pub(super) fn flush_lanes(&mut self) {
        for lane in self.lanes.iter_mut().flatten() {
            lane.flush(&mut self.spares);
        }
        if self.parked.is_empty() || self.lanes.iter().flatten().any(Lane::is_stuck) {
            return;
        }
        for token in std::mem::take(&mut self.parked) {
            if let Some(session) = self.sessions.get_mut(token) {
                session.parked = false;
                self.more.push(token);
            }
        }
    }

    /// One write for each session that got something this turn.
    pub(super) fn flush_outboxes(&mut self, reactor: &Reactor) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for token in dirty.drain(..) {
            let Some(session) = self.sessions.get_mut(token) else { continue };
            session.dirty = false;
            let before = session.outbox.len();
            let flushed = session.outbox.flush(&session.socket);
            self.buffered -= before - session.outbox.len();
            match flushed {
                Flushed::Empty if session.has_left(self.now) => self.doom(token, Ending::Closed),
                Flushed::Empty if session.blocked => {
                    session.blocked = false;
                    watch(reactor, session, token, Interest::READ);
                }
                Flushed::Blocked if !session.blocked => {
                    session.blocked = true;
                    watch(reactor, session, token, Interest::BOTH);
                }
                Flushed::Empty | Flushed::Blocked => {}
                Flushed::Starved => self.starved.push(token),
                Flushed::Broken(_) => self.read_out(token),
            }
        }
        self.dirty = dirty;
    }
}

impl Broker {
    /// Tries again what the kernel had no memory for.
    pub(super) fn retry_starved(&mut self) {
        for token in std::mem::take(&mut self.starved) {
            self.more.push(token);
            if let Some(session) = self.sessions.get_mut(token)
                && !session.dirty
            {
                session.dirty = true;
                self.dirty.push(token);
            }
        }
    }
}

/// Changes what is watched. Room to write is watched only while something waits for it: a unix socket reports room
/// each time its peer reads, which would wake us once more for every frame.
fn watch(reactor: &Reactor, session: &Session, token: Token, interest: Interest) {
    if let Err(error) = reactor.rewatch(&session.socket, token, interest) {
        msf_core::log!(Level::Error, LOG, "{}: cannot watch its socket: {error}", session.who());
    }
}

fn log_end(who: &str, what: &str, told: usize) {
    match told {
        0 => msf_core::log!(Level::Info, LOG, "{who} {what}"),
        _ => msf_core::log!(Level::Info, LOG, "{who} {what}; {told} callers told"),
    }
}

/// How many parcels are unpacked before the sockets get their turn.
const PARCELS_PER_TURN: usize = 64;
