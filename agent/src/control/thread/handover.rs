//! The old one: it lets another process take its place, or goes on as if nobody had asked.
//!
//! Until the successor says `take` everything goes on beside it. From there to the end the control thread attends to
//! nothing else: it makes the reactors stand still, lets every report and order that is under way arrive, saves,
//! sends, and waits for one word, each within a time limit. Whatever fails, the reactors are let go of and nothing has
//! changed; a successor that has not said itself that it failed is told so first, or killed, so that it cannot wake up
//! later and believe that it is the agent.

use super::super::admin::{House, Wish};
use super::super::answers;
use super::{Coming, Control, Errands, LOG, Phase, Timer};
use crate::core::order::{Order, Report};
use crate::upgrade::hold::{self, Said, Step};
use crate::upgrade::passage::{self, Broken, Part, Word};
use crate::upgrade::{VERSION, clock};
use msf_core::event::{Reactor, Token};
use msf_core::log::Level;
use msf_wire::snapshot::Writer;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;
use std::io::{self, ErrorKind};
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// An upgrade that has been asked for.
pub struct Change {
    /// The operator who waits for it.
    asker: Option<Token>,
    /// Where the successor is to come from, if we have called for one.
    coming: Option<Coming>,
    /// The connection of whoever wants to take our place.
    successor: Option<Token>,
    /// It reads another layout, and may have the sockets alone.
    only_sockets: bool,
    until: Instant,
}

impl Change {
    fn expected(asker: Option<Token>, coming: Option<Coming>) -> Change {
        Change { asker, coming, successor: None, only_sockets: false, until: Instant::now() + COMING }
    }
}

impl<E: Errands> Control<E> {
    /// Does what is asked for at the admin socket and is not for its desk.
    pub(super) fn fulfil_wishes(&mut self, reactor: &mut Reactor) {
        let wishes = self.admin.as_mut().map(super::Admin::take_wishes).unwrap_or_default();
        for (token, wish) in wishes {
            let done = match wish {
                Wish::Upgrade { drain } => self.begin_upgrade(reactor, token, drain),
                Wish::Succeed { layout, drain } => self.meet_successor(reactor, token, layout, drain),
                Wish::Take => self.let_take(reactor, token),
            };
            if let Err(why) = done {
                self.tell(reactor, token, &answers::error(&why));
            }
        }
    }

    fn begin_upgrade(&mut self, reactor: &mut Reactor, asker: Token, drain: bool) -> Result<(), String> {
        self.may_change()?;
        let coming = self.errands.call_successor(drain)?;
        match coming.pid() {
            Some(pid) => msf_core::log!(Level::Info, LOG, "upgrade: process {pid} is to take over"),
            None => msf_core::log!(Level::Info, LOG, "upgrade: the supervisor is asked for a successor"),
        }
        self.expect(reactor, Change::expected(Some(asker), Some(coming)));
        Ok(())
    }

    fn may_change(&self) -> Result<(), String> {
        match (self.phase, &self.change) {
            (Phase::Serving, None) => Ok(()),
            (Phase::Serving, Some(_)) => Err("an upgrade is under way already".to_owned()),
            _ => Err("the agent is about to end".to_owned()),
        }
    }

    fn expect(&mut self, reactor: &mut Reactor, change: Change) {
        self.change = Some(change);
        reactor.arm(LOOK, Timer::Upgrade as u64);
    }

    /// Somebody wants to take our place.
    fn meet_successor(&mut self, reactor: &mut Reactor, token: Token, layout: u32, drain: bool) -> Result<(), String> {
        match &self.change {
            // Whoever starts it himself, as msf_daemon does, need not have asked us.
            None => {
                self.may_change()?;
                self.expect(reactor, Change::expected(None, None));
            }
            Some(Change { successor: Some(_), .. }) => return self.may_change(),
            Some(_) => {}
        }
        if layout != VERSION && !drain {
            let why = format!("the new msf_agent reads snapshots of layout {layout}, this one writes layout {VERSION}");
            self.give_up(reactor, &why);
            return Err(why);
        }
        if let Some(change) = &mut self.change {
            change.successor = Some(token);
            change.only_sockets = layout != VERSION;
        }
        let welcome = answers::welcome(self.lines.len(), self.started);
        self.tell(reactor, token, &welcome);
        Ok(())
    }

    /// The successor is ready to take everything.
    fn let_take(&mut self, reactor: &mut Reactor, token: Token) -> Result<(), String> {
        if self.change.as_ref().and_then(|change| change.successor) != Some(token) {
            return Err("take: succeed comes first".to_owned());
        }
        let socket = self.admin.as_mut().and_then(|admin| admin.release(reactor, token));
        let Some(mut stream) = socket.map(UnixStream::from) else { return Ok(()) };
        let pid = getsockopt(&stream, PeerCredentials).map_or(0, |peer| peer.pid());
        let asker = self.change.as_ref().and_then(|change| change.asker);
        let only_sockets = self.change.as_ref().is_some_and(|change| change.only_sockets);
        let handed = prepare(&stream).and_then(|()| match only_sockets {
            true => self.hand_over_sockets(&mut stream),
            false => self.hand_over(reactor, &mut stream, asker),
        });
        match handed {
            Ok(()) if only_sockets => {
                self.errands.succeeded(pid);
                let answer = answers::replaced(pid, self.acceptor.open());
                asker.into_iter().for_each(|asker| self.tell(reactor, asker, &answer));
                self.change = None;
                self.retire(reactor);
            }
            Ok(()) => {
                self.errands.succeeded(pid);
                self.phase = Phase::HandedOver;
                msf_core::log!(Level::Info, LOG, "upgrade: process {pid} goes on");
            }
            Err(broken) => {
                fence(&mut stream, pid, &broken);
                // Dropped, they let the reactors go on.
                self.grips.clear();
                self.give_up(reactor, &broken.why);
            }
        }
        Ok(())
    }

    fn hand_over(
        &mut self,
        reactor: &mut Reactor,
        stream: &mut UnixStream,
        asker: Option<Token>,
    ) -> Result<(), Failed> {
        let (began, until) = (clock::monotonic()?, Instant::now() + PATIENCE);
        self.hold_all(until)?;
        self.settle_all(reactor, until)?;
        let (parts, descriptors) = self.save_all(began, asker, until)?;
        passage::send(stream, VERSION, &parts, &descriptors)?;
        self.await_ready(stream)?;
        // Whoever ends or reloads us just now has meant us.
        let signals = self.signals.take();
        if !signals.is_empty() {
            signals.into_iter().for_each(|number| self.signal(reactor, number));
            return Err("a signal came in between".to_owned().into());
        }
        Ok(passage::say(stream, &Word::Go)?)
    }

    /// The other one has everything.
    pub(super) fn await_ready(&self, stream: &mut UnixStream) -> Result<(), Failed> {
        match passage::hear(stream)? {
            Word::Ready => Ok(()),
            Word::Refused(why) => Err(Failed { why, is_told: true }),
            word => Err(format!("the new msf_agent says {word:?}").into()),
        }
    }

    /// Every reactor stands still.
    fn hold_all(&mut self, until: Instant) -> Result<(), String> {
        for line in &mut self.lines {
            let (grip, hold) = hold::pair();
            self.grips.push(grip);
            line.give(Order::Hold(hold));
        }
        while !self.lines.iter().all(super::OrderLine::is_empty) {
            self.lines.iter_mut().for_each(super::OrderLine::flush);
            if Instant::now() >= until {
                return Err("a reactor does not take its orders in time".to_owned());
            }
            std::thread::yield_now();
        }
        self.grips.iter().try_for_each(|grip| grip.hear(until).map(drop))
    }

    /// Reports are heard and orders carried out until none is under way: none has to pass then.
    fn settle_all(&mut self, reactor: &mut Reactor, until: Instant) -> Result<(), String> {
        loop {
            let reports: Vec<Report> = self.reports.drain(usize::MAX).collect();
            let mut under_way = reports.len();
            reports.into_iter().for_each(|report| self.hear(reactor, report));
            self.finish();
            self.grips.iter().for_each(|grip| grip.tell(Step::Settle));
            for grip in &self.grips {
                if let Said::Settled(orders, reports) = grip.hear(until)? {
                    under_way += orders + reports;
                }
            }
            if self.phase != Phase::Serving {
                return Err("the agent is about to end".to_owned());
            }
            if under_way == 0 && self.reports.is_empty() && self.lines.iter().all(super::OrderLine::is_empty) {
                return Ok(());
            }
        }
    }

    fn save_all(
        &mut self,
        began: u64,
        asker: Option<Token>,
        until: Instant,
    ) -> Result<(Vec<Part>, Vec<RawFd>), String> {
        self.grips.iter().for_each(|grip| grip.tell(Step::Save));
        let mut out = Writer::default();
        self.save(began, asker, &mut out);
        let (bytes, mut descriptors) = out.into_parts();
        let mut parts = vec![(bytes, descriptors.len() as u32)];
        for grip in &self.grips {
            if let Said::Saved(bytes, own) = grip.hear(until)? {
                parts.push((bytes, own.len() as u32));
                descriptors.extend(own);
            }
        }
        Ok((parts, descriptors))
    }

    /// Looks whether the successor is still coming.
    pub(super) fn look_after_upgrade(&mut self, reactor: &mut Reactor) {
        let Some(change) = &mut self.change else { return };
        let none = change.coming.as_mut().and_then(Coming::none);
        // Who has asked a supervisor hears from him what became of the one that has gone.
        let is_asked = matches!(change.coming, Some(Coming::Asked(_)));
        let gone = !is_asked
            && change.successor.is_some_and(|token| !self.admin.as_mut().is_some_and(|admin| admin.has(token)));
        let why = match none {
            Some(why) => why,
            None if gone => "the new msf_agent has gone before it was ready".to_owned(),
            None if Instant::now() >= change.until => {
                format!("the new msf_agent was not ready within {} s", COMING.as_secs())
            }
            None => {
                reactor.arm(LOOK, Timer::Upgrade as u64);
                return;
            }
        };
        self.give_up(reactor, &why);
    }

    /// There will be no upgrade: we go on.
    fn give_up(&mut self, reactor: &mut Reactor, why: &str) {
        let Some(mut change) = self.change.take() else { return };
        msf_core::log!(Level::Error, LOG, "upgrade: {why}; this process goes on");
        change.coming.iter_mut().for_each(Coming::call_off);
        if let Some(asker) = change.asker {
            self.tell(reactor, asker, &answers::error(why));
        }
    }

    pub(super) fn tell(&mut self, reactor: &mut Reactor, token: Token, answer: &str) {
        if let Some(admin) = &mut self.admin {
            let house = House {
                catalog: &self.catalog,
                counters: &self.counters,
                registry: &self.registry,
                lines: &mut self.lines,
            };
            admin.grant(reactor, token, answer, house);
        }
    }
}

/// Why the successor is not the agent.
pub(super) struct Failed {
    why: String,
    /// It knows that itself.
    is_told: bool,
}

impl From<String> for Failed {
    fn from(why: String) -> Failed {
        Failed { why, is_told: false }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Broken::from(error).into()
    }
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Failed {
        // At the end of its stream it is dead.
        let dead = [ErrorKind::UnexpectedEof, ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        let why = match &broken {
            Broken::Stream(error) if dead.contains(&error.kind()) => {
                "the new msf_agent has ended while it took over".to_owned()
            }
            Broken::Stream(error) if error.kind() == ErrorKind::WouldBlock => {
                format!("the new msf_agent has not taken over within {} s", PATIENCE.as_secs())
            }
            _ => broken.to_string(),
        };
        let is_told = matches!(&broken, Broken::Stream(error) if dead.contains(&error.kind()));
        Failed { why, is_told }
    }
}

/// Whoever does not know that it is not the agent must not find that out too late: it may have all it needs by then.
/// A word that was sent comes before anything else it can see; one that cannot be sent is replaced by a signal.
fn fence(stream: &mut UnixStream, pid: i32, failed: &Failed) {
    if failed.is_told {
        return;
    }
    let told = passage::say(stream, &Word::No(failed.why.clone()));
    // Its end of the connection is open, so the number is still its own.
    if told.is_err() && pid > 0 && passage::is_open(stream) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

fn prepare(stream: &UnixStream) -> Result<(), Failed> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream.set_write_timeout(Some(PATIENCE))?)
}

/// How long a successor may take to read its settings and be ready to take over.
const COMING: Duration = Duration::from_secs(20);
/// How long nobody is served at most when it fails after that.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked after.
const LOOK: Duration = Duration::from_millis(20);
