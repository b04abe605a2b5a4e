//! Frames to where they go: an outbox of this reactor, or a lane to a sibling; and the outboxes to their sockets.

use super::broker::{Broker, LOG};
use super::lane::{Kind, Lane, split_record};
use super::librpc;
use super::outbox::Flushed;
use super::session::{Ending, Session};
use crate::core::admit;
use crate::core::bus::Subscriber;
use crate::core::message::{Address, Refusal};
use crate::core::order::Report;
use msf_core::event::{Interest, Reactor, Token};
use msf_core::log::Level;

impl Broker {
    /// Sends something of `token`'s to a sibling. When the sibling's mailbox is full, it still goes into the
    /// lane, and the session is parked until there is room: one record per session is the most a lane ever grows by.
    pub(super) fn post(&mut self, to: Address, token: Token, kind: Kind, body: &[u8]) {
        let Some(lane) = self.lanes.get_mut(usize::from(to.reactor)).and_then(Option::as_mut) else { return };
        lane.push(kind, to.session, token.bits(), body, &mut self.spares);
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
                match record.kind {
                    Kind::Frame => self.unpack_frame(parcel.from, &record),
                    _ => self.unpack_note(parcel.from, &record),
                }
                rest = after;
            }
            self.spares.keep(parcel.records);
        }
        self.posted = posted;
    }

    /// Into an outbox of this reactor; whoever does not read is cut.
    pub(super) fn put(&mut self, token: Token, frame: &[u8]) {
        self.put_into(token, frame, false);
    }

    /// The same; if `whole`, for a peer that must get it in one piece.
    pub(super) fn put_into(&mut self, token: Token, frame: &[u8], whole: bool) {
        let load = self.load();
        let full = load + frame.len() as u64 > self.limits.memory;
        let share = if full { self.share() } else { 0 };
        let Some(session) = self.sessions.get_mut(token).filter(|session| session.takes()) else { return };
        if !admit::reply(&self.limits, session.outbox.len(), frame.len(), load, share) {
            return self.doom(token, Ending::Slow);
        }
        if whole {
            session.outbox.push_whole(frame)
        } else {
            session.outbox.push(frame)
        }
        self.buffered += frame.len();
        if !session.dirty && !session.blocked {
            session.dirty = true;
            self.dirty.push(token);
        }
    }

    /// Bytes buffered in this reactor: in its sessions, and with the calls at its desk.
    pub(super) fn held(&self) -> usize {
        self.buffered + self.desk.kept()
    }

    /// Bytes buffered in the whole agent; exact only when that might matter, since it costs a look at every sibling.
    pub(super) fn load(&self) -> u64 {
        let own = self.held() as u64;
        if own <= self.limits.memory / (2 * self.counters.len() as u64) {
            return own;
        }
        let others = self.counters.iter().enumerate().filter(|(index, _)| *index != usize::from(self.me));
        own + others.map(|(_, counters)| counters.buffered.value()).sum::<u64>()
    }

    /// The peer reads no more. What it has sent before, answers perhaps, is read before the session ends.
    fn read_out(&mut self, token: Token) {
        if let Some(session) = self.sessions.get_mut(token) {
            if session.leaving.is_some() {
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
            // What a worker would be given now it would never get.
            self.desk.hold(token.bits(), true);
            self.doomed.push((token, ending));
        }
    }

    /// Ends the doomed sessions and tells everybody who waited for them.
    pub(super) fn bury(&mut self) {
        while let Some((token, ending)) = self.doomed.pop() {
            let Some(mut session) = self.sessions.remove(token) else { continue };
            self.counts().protocols[session.speaks()].closed.count();
            self.buffered -= session.buffered();
            // What is written already shall arrive: the answer to a login that was refused, to a request before EOF.
            session.outbox.flush(&session.socket);
            let told = self.fail_callers(token);
            self.leave_desks(token, &session);
            self.bus.forget(Subscriber::Session(token.bits()));
            let reason = ending.reason();
            let who = session.who();
            match ending {
                Ending::Closed | Ending::Logout | Ending::Shutdown if !session.is_known() => {}
                Ending::Closed => log_end(&who, "has gone", told),
                Ending::Logout => log_end(&who, "has logged out", told),
                Ending::Shutdown => log_end(&who, "is let go", told),
                Ending::Malformed(what) => self.complain(|| format!("{who}: closed: {what}")),
                Ending::Slow => {
                    self.counts().cut_slow.count();
                    let limit = self.limits.outbox_hard;
                    self.complain(|| format!("{who}: cut: it does not read, and {limit} bytes wait for it"));
                }
                Ending::Silent if session.worker().is_some() => {
                    self.complain(|| format!("{who}: closed: it sends PINGs no more, and does not answer"));
                }
                Ending::Silent => {
                    let limit = self.limits.login;
                    self.complain(|| format!("{who}: closed: no login within {limit} ms"));
                }
                Ending::Evicted => {
                    self.complain(|| format!("{who}: closed: it no longer lives, and its id was asked for"));
                }
            }
            self.report(Report::Left(self.address(token), reason));
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
            let sent = before - session.outbox.len();
            self.buffered -= sent;
            self.counters[usize::from(self.me)].protocols[session.speaks()].sent.add(sent as u64);
            if flushed == Flushed::Empty {
                session.last_word_is_out();
            }
            match flushed {
                Flushed::Empty if session.has_left(self.now) => self.doom(token, Ending::Closed),
                Flushed::Empty => {
                    if std::mem::take(&mut session.blocked) {
                        watch(reactor, session, token, Interest::READ);
                    }
                    self.unburden(token);
                }
                Flushed::Blocked if !session.blocked => {
                    session.blocked = true;
                    watch(reactor, session, token, Interest::BOTH);
                }
                Flushed::Blocked => {}
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
