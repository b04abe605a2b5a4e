//! One reactor's broker: its sessions, its dispatch, its lanes to the siblings, and the order of things in a turn.
//!
//! A turn first reads whatever is readable and puts frames where they go (`intake`, `delivery`), then, once, ends the
//! sessions that are to end, posts the parcels and writes the outboxes ([`Broker::finish`]). Nothing ends a session
//! in the middle of a turn, so a frame being handled never loses the ground it stands on.

use super::chatter::Chatter;
use super::inspect::Inspection;
use super::lane::{Lane, Parcel, Spares};
use super::librpc::member::Standing;
use super::session::{Ending, Protocol, Session};
use crate::core::admit::{self, Limits};
use crate::core::bus::Bus;
use crate::core::desk::Desk;
use crate::core::dispatch::Dispatch;
use crate::core::message::{Address, Moment};
use crate::core::order::{Order, Report};
use crate::observe::counter::Counters;
use crate::upgrade::hold::Hold;
use msf_core::event::mailbox::{Receiver, Sender};
use msf_core::event::{Reactor, Ready, Slots, Token, Turn};
use msf_core::log::Level;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What connects one reactor to the others.
pub struct Wiring {
    /// Its number.
    pub me: u16,
    /// For the hashes.
    pub seed: u64,
    /// Where time begins for all reactors.
    pub started: Instant,
    /// What is let in.
    pub limits: Limits,
    /// The counters of all reactors, in order.
    pub counters: Arc<[Counters]>,
    /// The parcels' way to each reactor; `None` at its own place.
    pub siblings: Vec<Option<Sender<Parcel>>>,
    /// The parcels from the siblings.
    pub parcels: Receiver<Parcel>,
    /// What the control thread says.
    pub orders: Receiver<Order>,
    /// What the control thread is told.
    pub control: Sender<Report>,
    /// It begins in this hand.
    pub hold: Option<Hold>,
}

/// The application of one reactor.
pub struct Broker {
    pub(super) me: u16,
    started: Instant,
    /// What the clock showed last.
    looked: Instant,
    pub(super) now: Moment,
    /// The same in microseconds.
    pub(super) micros: u64,
    pub(super) limits: Limits,
    pub(super) sessions: Slots<Session>,
    pub(super) dispatch: Dispatch,
    pub(super) desk: Desk,
    /// When the timer for the calls' deadlines fires.
    wakes_at: Moment,
    pub(super) counters: Arc<[Counters]>,
    pub(super) lanes: Vec<Option<Lane>>,
    pub(super) spares: Spares,
    pub(super) parcels: Receiver<Parcel>,
    /// Parcels being unpacked; empty between turns.
    pub(super) posted: Vec<Parcel>,
    pub(super) orders: Receiver<Order>,
    control: Sender<Report>,
    /// Reports for which the control thread's mailbox had no room yet.
    pub(super) reports: VecDeque<Report>,
    /// Buffers for notes and for a frame being put together.
    pub(super) notes: Vec<Vec<u8>>,
    pub(super) frame: Vec<u8>,
    /// Timers to be armed at the end of this turn.
    pub(super) alarms: Vec<(Duration, Alarm, Token)>,
    /// Where every read goes first; most frames are forwarded from here and copied nowhere else.
    pub(super) scratch: Vec<u8>,
    /// Sessions with something to write.
    pub(super) dirty: Vec<Token>,
    /// Sessions with something left to read.
    pub(super) more: Vec<Token>,
    /// Sessions that wait for a lane.
    pub(super) parked: Vec<Token>,
    /// Sessions for which the kernel had no memory; tried again after [`STARVED`].
    pub(super) starved: Vec<Token>,
    retrying: bool,
    /// Sessions that end with this turn.
    pub(super) doomed: Vec<(Token, Ending)>,
    /// Bytes in inboxes and outboxes.
    pub(super) buffered: usize,
    /// Something happened since the last sweep.
    pub(super) stirred: bool,
    sweeping: bool,
    chatter: Chatter,
    pub(super) inspection: Inspection,
    pub(super) bus: Bus,
    pub(super) phase: Phase,
    /// Sessions end as soon as nothing is under way on them.
    pub(super) retiring: bool,
    /// It stands still as soon as this turn is over.
    pub(super) hold: Option<Hold>,
}

/// How near the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not in sight.
    Serving,
    /// No new requests; to be reported when nobody waits.
    Draining,
    /// Who waited is being told; to be reported when all know.
    Failing,
    /// Reported.
    Reported,
    /// Everything ends with this turn.
    Stopping,
}

impl Broker {
    /// A broker without sessions.
    pub fn new(wiring: Wiring) -> Broker {
        let lane = |(me, mailbox): (u16, Option<Sender<Parcel>>)| mailbox.map(|mailbox| Lane::new(me, mailbox));
        let desk = Desk::new(wiring.me, wiring.siblings.len(), wiring.seed, wiring.started);
        Broker {
            me: wiring.me,
            started: wiring.started,
            looked: wiring.started,
            now: Moment(0),
            micros: 0,
            limits: wiring.limits,
            sessions: Slots::default(),
            dispatch: Dispatch::new(wiring.seed, wiring.me, Arc::clone(&wiring.counters)),
            desk,
            wakes_at: Moment(u64::MAX),
            counters: wiring.counters,
            lanes: wiring.siblings.into_iter().map(|mailbox| lane((wiring.me, mailbox))).collect(),
            spares: Spares::default(),
            parcels: wiring.parcels,
            posted: Vec::new(),
            orders: wiring.orders,
            control: wiring.control,
            reports: VecDeque::new(),
            notes: Vec::new(),
            frame: Vec::new(),
            alarms: Vec::new(),
            scratch: vec![0; SCRATCH],
            dirty: Vec::new(),
            more: Vec::new(),
            parked: Vec::new(),
            starved: Vec::new(),
            retrying: false,
            doomed: Vec::new(),
            buffered: 0,
            stirred: false,
            sweeping: false,
            chatter: Chatter::default(),
            inspection: Inspection::default(),
            bus: Bus::default(),
            phase: Phase::Serving,
            retiring: false,
            hold: wiring.hold,
        }
    }

    /// Turns `reactor` until the control thread says stop.
    pub fn run(mut self, mut reactor: Reactor) -> io::Result<()> {
        loop {
            if let Some(hold) = self.hold.take() {
                self.stand_still(&mut reactor, &hold);
            }
            if self.phase == Phase::Stopping {
                return Ok(());
            }
            self.turn(&mut reactor, None)?;
        }
    }

    /// One turn, which waits at most `longest` for something to happen.
    pub(super) fn turn(&mut self, reactor: &mut Reactor, longest: Option<Duration>) -> io::Result<()> {
        let longest = if self.more.is_empty() { longest } else { Some(Duration::ZERO) };
        reactor.turn(self, longest)?;
        self.finish(reactor);
        Ok(())
    }

    /// What this reactor counts.
    pub(super) fn counts(&self) -> &Counters {
        // One set per reactor is what `Wiring` promises.
        &self.counters[usize::from(self.me)]
    }

    pub(super) fn address(&self, token: Token) -> Address {
        Address { reactor: self.me, session: token.bits() }
    }

    pub(super) fn report(&mut self, report: Report) {
        self.reports.push_back(report);
    }

    /// A line about what a peer did wrong, unless there have been too many.
    pub(super) fn complain(&mut self, what: impl FnOnce() -> String) {
        if let Some(left_out) = self.chatter.may_say(self.now) {
            msf_core::log!(Level::Warn, LOG, "{}{left_out}", what());
        }
    }

    /// The time of this turn, for everything in it.
    fn look_at_the_clock(&mut self, reactor: &Reactor) {
        if reactor.now() != self.looked {
            self.tell_time(reactor.now());
        }
    }

    /// It is this time now.
    pub(super) fn tell_time(&mut self, now: Instant) {
        self.looked = now;
        let since = self.looked.saturating_duration_since(self.started);
        self.micros = since.as_micros() as u64;
        self.now = Moment(self.micros / 1000);
        self.desk.tell_time(self.micros);
        self.dispatch.tell_time(self.micros);
        self.stirred = true;
    }

    /// The second half of a turn: everything that is done once for all that happened.
    pub(super) fn finish(&mut self, reactor: &mut Reactor) {
        for token in std::mem::take(&mut self.more) {
            self.pull(token);
        }
        self.conclude_turn(reactor);
    }

    /// The same, without a look at any socket.
    pub(super) fn conclude_turn(&mut self, reactor: &mut Reactor) {
        self.run_errands();
        if self.retiring {
            self.retire_idle();
        }
        if self.phase == Phase::Stopping {
            self.close_all();
        }
        // A flush may find a peer gone, whose callers must be told, which dirties their sessions; or a worker ready for
        // its next job.
        loop {
            self.bury();
            self.run_errands();
            self.look_for_work();
            self.flush_lanes();
            self.flush_outboxes(reactor);
            self.tell_losses();
            if self.doomed.is_empty() && self.dirty.is_empty() && !self.desk.has_errands() {
                break;
            }
        }
        self.notice_the_drain();
        self.notice_the_retirement();
        self.flush_reports();
        self.flush_taps();
        self.watch_deadlines(reactor);
        for (after, alarm, token) in self.alarms.drain(..) {
            reactor.arm(after, alarm as u64 + u64::from(token.bits()));
        }
        if self.stirred && !self.sweeping {
            self.sweeping = true;
            reactor.arm(SWEEP, SWEEP_KEY);
        }
        if !self.starved.is_empty() && !self.retrying {
            self.retrying = true;
            reactor.arm(STARVED, STARVED_KEY);
        }
        let counts = self.counts();
        counts.sessions.set(self.sessions.len() as u64);
        counts.buffered.set(self.held() as u64);
        counts.subscriptions.set(self.bus.len() as u64);
        counts.turns.count();
        // What `now` tells is when this turn's waiting was over.
        counts.busy_nanos.add(reactor.now().elapsed().as_nanos() as u64);
    }

    /// One timer of the loop stands for the deadlines of all calls: for the earliest there was when it was armed. Most
    /// calls end before theirs, so it is hardly ever armed anew.
    fn watch_deadlines(&mut self, reactor: &mut Reactor) {
        let Some(soonest) = self.desk.take_soonest().filter(|soonest| *soonest < self.wakes_at) else { return };
        self.wakes_at = soonest;
        reactor.arm(Duration::from_millis(soonest.0.saturating_sub(self.now.0)), DEADLINE_KEY);
    }

    fn notice_the_drain(&mut self) {
        let report = match self.phase {
            Phase::Draining => Report::Drained,
            Phase::Failing => Report::Failed,
            Phase::Serving | Phase::Reported | Phase::Stopping => return,
        };
        if self.lanes.iter().flatten().all(Lane::is_empty)
            && !self.dispatch.is_awaited(self.now)
            && !self.desk.is_awaited()
            && self.sessions.iter().all(|(_, session)| session.outbox.is_empty() && session.is_answered())
        {
            self.phase = Phase::Reported;
            self.report(report);
        }
    }

    /// What the taps have seen, as soon as the control thread has taken everything else.
    fn flush_taps(&mut self) {
        if self.reports.is_empty() {
            self.reports.extend(self.inspection.take_seen());
            self.flush_reports();
        }
    }

    pub(super) fn flush_reports(&mut self) {
        while let Some(report) = self.reports.pop_front() {
            if let Err(full) = self.control.try_send(report) {
                // The control thread wakes us when it has room.
                self.reports.push_front(full.0);
                return;
            }
        }
    }

    fn sweep(&mut self) {
        self.sweeping = false;
        self.dispatch.sweep(self.now);
        let pending = self.dispatch.pending() + self.desk.len();
        self.counts().pending.set(pending as u64);
        // With nobody waiting and nothing happening, an idle agent sleeps for good.
        self.stirred = pending > 0;
        let limits = self.limits;
        let tokens: Vec<Token> = self.sessions.iter().map(|(token, _)| token).collect();
        for token in tokens {
            let Some(session) = self.sessions.get_mut(token) else { continue };
            session.trim();
            if session.leaving.is_some() {
                self.stirred = true;
                if session.has_left(self.now) {
                    self.doom(token, Ending::Closed);
                }
                continue;
            }
            match &session.protocol {
                Protocol::Librpc(member) if member.standing == Standing::Stranger && limits.login > 0 => {
                    self.stirred = true;
                    if admit::overstayed(&limits, session.since, self.now) {
                        self.doom(token, Ending::Silent);
                    }
                }
                Protocol::Librpc(_) => {}
                Protocol::Nmid(peer) if peer.is_worker() => {
                    self.stirred = true;
                    self.watch_worker(token);
                }
                Protocol::Nmid(_) => {}
                Protocol::Http(_) => {
                    self.stirred = true;
                    self.watch_visitor(token);
                }
            }
        }
        self.spares.trim();
    }
}

impl Turn for Broker {
    fn ready(&mut self, reactor: &mut Reactor, token: Token, ready: Ready) {
        self.look_at_the_clock(reactor);
        let Some(session) = self.sessions.get_mut(token) else { return };
        session.hangup |= ready.hangup || ready.error;
        if ready.read || session.hangup {
            session.readable = true;
        }
        if ready.write && session.blocked && !session.dirty {
            session.dirty = true;
            self.dirty.push(token);
        }
        if session.leaving.is_some() {
            // It can only have read, or gone altogether.
            return self.no_more_from(token);
        }
        self.pull(token);
    }

    fn expired(&mut self, reactor: &mut Reactor, key: u64) {
        self.look_at_the_clock(reactor);
        match key {
            SWEEP_KEY => self.sweep(),
            DEADLINE_KEY => {
                self.wakes_at = Moment(u64::MAX);
                self.desk.expire();
            }
            STARVED_KEY => {
                self.retrying = false;
                self.retry_starved();
            }
            _ => self.alarm(key),
        }
    }

    fn woken(&mut self, reactor: &mut Reactor) {
        self.look_at_the_clock(reactor);
        // Orders first: a parcel posted before an order was given is then found behind it, never lost.
        self.take_orders(reactor);
        self.take_parcels();
    }
}

impl Broker {
    /// A session's timer: which one stands in the upper half of its key, the session in the lower.
    fn alarm(&mut self, key: u64) {
        let token = Token::from_bits(key as u32);
        match key & !u64::from(u32::MAX) {
            alarm if alarm == Alarm::Pause as u64 => self.pause_is_over(token),
            alarm if alarm == Alarm::Settle as u64 => self.settled(token),
            alarm if alarm == Alarm::Quiet as u64 => self.quiet_is_over(token),
            _ => self.probe_is_over(token),
        }
    }
}

/// What a session is woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Alarm {
    /// A probed peer has had its time to answer.
    Probe = 0,
    /// The pause between two answers to an nmid client is over.
    Pause = 1 << 32,
    /// An nmid worker has had its time to show its generation.
    Settle = 2 << 32,
    /// An nmid worker has had its time to read a large job.
    Quiet = 3 << 32,
}

/// The size of one read. Larger than most sockets' buffers, so one read empties them.
const SCRATCH: usize = 128 * 1024;
/// How often expired entries and idle buffers are looked for, while there is traffic.
const SWEEP: Duration = Duration::from_secs(1);
pub(super) const LOG: &str = "AGENT";
/// How long sessions rest for which the kernel had no memory.
const STARVED: Duration = Duration::from_millis(10);
/// No session's token is above 32 bits.
const SWEEP_KEY: u64 = u64::MAX;
const STARVED_KEY: u64 = u64::MAX - 1;
const DEADLINE_KEY: u64 = u64::MAX - 2;
