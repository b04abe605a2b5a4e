//! The io thread: a loop of libmsf with two events of ours, the socket and an alarm clock.
//!
//! The alarm means what the phase makes it mean: `Down`, it is time for the next attempt; `LoggingIn`, the agent has
//! had its time to answer. Everything here runs on the io thread, so the state needs no thought about other threads;
//! its lock is only there for init and deinit, which touch it when the thread does not run.

use crate::client::Client;
use crate::errno::Errno;
use crate::handover::Passed;
use crate::jobs::Job;
use crate::link::Phase;
use crate::loss::{Loss, Told};
use crate::{face, home, socket};
use msf_client::wire::{DEFAULT_PAYLOAD_LIMIT, Frame, Header, Heir, Step, cmd, errcode, id};
use msf_client::{Backoff, Event, Inbox, reply};
use msf_sys::log;
use msf_sys::log::Level;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, process, thread};

/// See the module.
pub(crate) struct Io {
    alarm: Option<msf_sys::event::Event>,
    inbox: Inbox,
    /// The longest payload the agent sends.
    limit: u32,
    backoff: Backoff,
    /// Until the first login: when init wants to return.
    init_ends: Option<Instant>,
    up_since: Option<Instant>,
    /// How many connections in a row ended soon after the login.
    short_lived: u32,
    /// Where the agent was met last, in words.
    peer: String,
    told: Told,
    /// Nothing is read.
    frozen: bool,
}

impl Io {
    pub(crate) fn new() -> Self {
        Self {
            alarm: None,
            inbox: Inbox::default(),
            limit: DEFAULT_PAYLOAD_LIMIT,
            backoff: Backoff::new(),
            init_ends: None,
            up_since: None,
            short_lived: 0,
            peer: String::new(),
            told: Told::default(),
            frozen: false,
        }
    }

    /// Before the thread runs: the alarm clock, set for the first attempt if there is to be one.
    pub(crate) fn start(&mut self, client: &Arc<Client>, first: Option<Duration>) -> Result<(), Errno> {
        let owner = Arc::clone(client);
        let alarm = client.base.on_read(socket::timerfd()?, move |clock| {
            socket::clear_count(clock);
            owner.io().alarm_rang(&owner);
        })?;
        self.alarm = Some(alarm);
        self.init_ends = Instant::now().checked_add(client.settings.patience);
        self.set_alarm(first);
        Ok(())
    }

    /// The same, on a connection that another process has logged in.
    pub(crate) fn resume(&mut self, client: &Arc<Client>, socket: OwnedFd, passed: &Passed) -> Result<(), Errno> {
        self.start(client, None)?;
        self.limit = passed.limit.max(DEFAULT_PAYLOAD_LIMIT);
        let mut rest = passed.rest.as_slice();
        while !rest.is_empty() {
            let space = self.inbox.space(self.limit).map_err(|_| Errno::NOMEM)?;
            let (now, later) = rest.split_at(rest.len().min(space.len()));
            space.get_mut(..now.len()).ok_or(Errno::PROTO)?.copy_from_slice(now);
            self.inbox.filled(now.len());
            rest = later;
        }
        let number = socket.as_raw_fd();
        let reader = Arc::clone(client);
        let event = client.base.on_read(socket, move |socket| reader.io().readable(&reader, socket))?;
        home::note_reader(number);
        let mut link = client.lock();
        link.socket = Some(event);
        link.phase = Phase::Up;
        link.session.resume(passed.seq, passed.limit);
        if let Some(heir) = ourselves() {
            let (head, payload) = link.session.introduce(heir);
            // Whom the connection has ended for sees that as ever.
            let _ = link.send(client, &head, &payload);
        }
        face::online(number);
        drop(link);
        self.init_ends = None;
        self.up_since = Some(Instant::now());
        log!(Level::Info, &client.settings.name, "goes on as {:#x} for another process", client.settings.id);
        Ok(())
    }

    /// From here on nothing is read, or something is again.
    pub(crate) fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// What has come of a frame that is not whole.
    pub(crate) fn unread(&self) -> &[u8] {
        self.inbox.bytes()
    }

    /// After the thread has ended. The events know the client, which knows them: somebody has to let go.
    pub(crate) fn stop(&mut self) {
        self.alarm = None;
        self.inbox = Inbox::default();
    }

    fn alarm_rang(&mut self, client: &Arc<Client>) {
        let phase = client.lock().phase;
        match phase {
            Phase::Down => self.attempt(client),
            Phase::LoggingIn => self.lost(client, &Loss::Mute),
            Phase::Up | Phase::Handing | Phase::Leaving | Phase::Over => {}
        }
    }

    /// Connects and sends the login.
    fn attempt(&mut self, client: &Arc<Client>) {
        match socket::connect(&client.settings.place, self.patience()) {
            Err(errno) => self.lost(client, &Loss::Nobody(errno)),
            Ok((socket, peer)) => {
                self.peer = peer;
                if let Err(errno) = self.log_in(client, socket) {
                    self.lost(client, &Loss::ended(Some(errno), true));
                }
            }
        }
    }

    fn log_in(&mut self, client: &Arc<Client>, socket: OwnedFd) -> Result<(), Errno> {
        let mut link = client.lock();
        if link.phase != Phase::Down {
            return Ok(());
        }
        let number = socket.as_raw_fd();
        let reader = Arc::clone(client);
        let event = client.base.on_read(socket, move |socket| reader.io().readable(&reader, socket))?;
        home::note_reader(number);
        link.socket = Some(event);
        link.phase = Phase::LoggingIn;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The original's choice; an answer must bring it back.
        let (head, body) = link.session.login(now.as_secs() as u32);
        link.send(client, &head, &body)?;
        self.set_alarm(Some(self.patience()));
        Ok(())
    }

    /// How long the agent may take to answer a connect or a login: during init no longer than that shall take.
    fn patience(&self) -> Duration {
        let rest = self.init_ends.map(|end| end.saturating_duration_since(Instant::now()));
        rest.map_or(MOST_PATIENCE, |rest| rest.clamp(LEAST_PATIENCE, MOST_PATIENCE))
    }

    fn readable(&mut self, client: &Arc<Client>, socket: BorrowedFd<'_>) {
        if self.frozen {
            // It stays readable, and will be announced again and again until somebody reads.
            return thread::sleep(FROZEN);
        }
        let space = match self.inbox.space(self.limit) {
            Ok(space) => space,
            Err(_) => return self.lost(client, &Loss::Broken(Errno::NOMEM)),
        };
        match socket::receive(socket, space) {
            Ok(None) => {}
            Ok(Some(0)) => self.ended(client, None),
            Ok(Some(count)) => {
                self.inbox.filled(count);
                self.understand(client);
            }
            Err(errno) => self.ended(client, Some(errno)),
        }
    }

    fn ended(&mut self, client: &Arc<Client>, errno: Option<Errno>) {
        let logging_in = client.lock().phase == Phase::LoggingIn;
        self.lost(client, &Loss::ended(errno, logging_in));
    }

    /// Every whole frame of the inbox.
    fn understand(&mut self, client: &Arc<Client>) {
        loop {
            let (frame, used) = match self.inbox.step(self.limit) {
                Ok(Step::Frame(frame, used)) => (frame, used),
                Ok(Step::NeedMore(_)) => return,
                Err(error) => return self.lost(client, &Loss::NotAFrame(error)),
            };
            match handle(client, frame, self.limit) {
                Handled::Done => self.inbox.consume(used),
                Handled::LoggedIn(limit) => {
                    self.inbox.consume(used);
                    self.logged_in(client, limit);
                }
                Handled::Refused(errcode) => return self.lost(client, &Loss::Refused(errcode)),
            }
        }
    }

    fn logged_in(&mut self, client: &Arc<Client>, limit: u32) {
        self.limit = limit.max(DEFAULT_PAYLOAD_LIMIT);
        let is_first = self.init_ends.take().is_some();
        self.up_since = Some(Instant::now());
        self.told.forget();
        self.set_alarm(None);
        // Whoever has just returned from init may have subscribed already; there is nothing to be made again.
        if let Some(gap) = (!is_first).then(|| client.resubscribe()).flatten() {
            enqueue(client, Job::Event(gap, Vec::new()));
        }
        log!(Level::Info, &client.settings.name, "logged in to the agent as {:#x}", client.settings.id);
    }

    /// There is no connection any more, or still none: those who wait are told, and the next attempt is planned.
    fn lost(&mut self, client: &Arc<Client>, loss: &Loss) {
        let mut link = client.lock();
        let waiters = link.take_down();
        let leaving = matches!(link.phase, Phase::Leaving | Phase::Over);
        link.phase = if leaving { Phase::Over } else { Phase::Down };
        link.attempts = link.attempts.saturating_add(1);
        link.failure = loss.errno();
        face::offline();
        drop(link);
        client.changed.notify_all();
        for waiter in waiters {
            waiter.fail(Errno::CONNRESET);
        }
        client.jobs.nudge();
        self.inbox.clear();
        if leaving {
            client.base.exit();
        } else {
            self.plan_attempt(client, loss);
        }
    }

    fn plan_attempt(&mut self, client: &Arc<Client>, loss: &Loss) {
        if let Some(lasted) = self.up_since.take().map(|since| since.elapsed()) {
            self.short_lived = if lasted >= SOUND { 0 } else { self.short_lived + 1 };
            // An agent that takes us and drops us again and again is not to be run down.
            if self.short_lived <= PATIENCE {
                self.backoff.reset();
            }
        }
        if self.told.is_news(loss) {
            let settings = &client.settings;
            log!(loss.level(), &settings.name, "{}", loss.told(&settings.place, &self.peer, settings.id));
        }
        let wait = self.backoff.wait();
        self.set_alarm(Some(wait));
    }

    fn set_alarm(&self, after: Option<Duration>) {
        if let Some(alarm) = &self.alarm {
            socket::set_alarm(alarm.as_fd(), after);
        }
    }
}

enum Handled {
    Done,
    LoggedIn(u32),
    Refused(u32),
}

/// Takes one frame to whom it concerns.
fn handle(client: &Arc<Client>, frame: Frame<'_>, limit: u32) -> Handled {
    let mut link = client.lock();
    match link.session.receive(frame) {
        Event::Answer { ticket, errcode, body } => {
            drop(link);
            ticket.answer(errcode, body);
            if ticket.nested {
                client.jobs.nudge();
            }
            if ticket.bare && errcode == errcode::EXEC_SUCC && body.is_empty() {
                enqueue(client, Job::Answer(frame.head, None));
            }
        }
        Event::Request(frame) => {
            drop(link);
            requested(client, frame, limit);
        }
        Event::Published(frame) => {
            drop(link);
            published(client, frame);
        }
        Event::Posted(frame) => {
            drop(link);
            posted(client, frame);
        }
        Event::Probe(answer) => {
            // A probe that cannot be answered is the end of the connection, and the reader will see it.
            let _ = link.send(client, &answer, b"");
        }
        // A deinit may have come first.
        Event::LoggedIn if link.phase != Phase::LoggingIn => {}
        Event::LoggedIn => {
            link.phase = Phase::Up;
            face::online(link.socket.as_ref().map_or(-1, |socket| socket.as_fd().as_raw_fd()));
            client.changed.notify_all();
            return Handled::LoggedIn(link.session.payload_limit());
        }
        Event::LoginRefused(errcode) => return Handled::Refused(errcode),
        // That to how we have introduced ourselves.
        Event::Late(head) if (head.srcid, head.cmd) == (id::MSG_SRV, cmd::LOGIN) => {}
        Event::Late(head) => {
            drop(link);
            told_of(client, "late answer dropped", &head);
        }
        Event::Unknown(head) => {
            drop(link);
            told_of(client, "frame of an unknown kind dropped", &head);
        }
    }
    Handled::Done
}

/// For the callback thread. While it has no room, answers wait too; but who waits for one is told when there can be none.
fn enqueue(client: &Arc<Client>, job: Job) {
    client.jobs.push(job, || {
        let mut link = client.lock();
        if !link.socket.as_ref().is_some_and(|socket| socket::has_ended(socket.as_fd())) {
            return;
        }
        // The rest of what a loss means follows when the reader gets there.
        let waiters = link.session.lost();
        drop(link);
        for waiter in waiters {
            waiter.fail(Errno::CONNRESET);
        }
    });
}

fn requested(client: &Arc<Client>, frame: Frame<'_>, limit: u32) {
    let head = frame.head;
    // The buffer would be made for the asking: a caller must not be able to ask for all our memory.
    if head.restlen > limit {
        let (wanted, from) = (head.restlen, head.srcid);
        log!(
            Level::Warn,
            &client.settings.name,
            "{from:#x} wants {wanted} bytes, more than the {limit} an answer may have"
        );
        return refuse(client, &head, errcode::EXEC_FAIL);
    }
    match copied(frame.body) {
        Some(payload) => enqueue(client, Job::Request(head, payload)),
        None => {
            log!(Level::Error, &client.settings.name, "no memory for a request of {} bytes", frame.body.len());
            refuse(client, &head, errcode::PEER_BUSY);
        }
    }
}

fn refuse(client: &Arc<Client>, request: &Header, errcode: u32) {
    if let Some(head) = reply::refused(request, errcode) {
        // Where this fails the connection does, and the reader will see it.
        let _ = client.lock().send(client, &head, b"");
    }
}

fn posted(client: &Arc<Client>, frame: Frame<'_>) {
    let head = frame.head;
    if head.errcode != errcode::EXEC_SUCC {
        let (cmd, to, code) = (head.cmd, head.srcid, head.errcode);
        log!(
            Level::Info,
            &client.settings.name,
            "cmd {cmd:#x} to {to:#x}, for which nobody waits, ended with errcode {code}"
        );
    } else if frame.body.is_empty() {
        enqueue(client, Job::Answer(head, None));
    } else if let Some(payload) = copied(frame.body) {
        enqueue(client, Job::Answer(head, Some(payload)));
    } else {
        log!(Level::Error, &client.settings.name, "no memory for an answer of {} bytes", frame.body.len());
    }
}

fn published(client: &Arc<Client>, frame: Frame<'_>) {
    match copied(frame.body) {
        Some(payload) => enqueue(client, Job::Event(frame.head, payload)),
        None => log!(Level::Error, &client.settings.name, "no memory for an event of {} bytes", frame.body.len()),
    }
}

/// This process, as the agent can find it.
fn ourselves() -> Option<Heir> {
    let space = fs::metadata("/proc/self/ns/pid").ok()?.ino();
    Some(Heir { pid: process::id().cast_signed(), space })
}

fn told_of(client: &Arc<Client>, what: &str, head: &Header) {
    let (opcode, cmd, seq, from) = (head.opcode, head.cmd, head.seq, head.srcid);
    log!(Level::Info, &client.settings.name, "{what}: opcode {opcode}, cmd {cmd:#x}, seq {seq}, from {from:#x}");
}

fn copied(body: &[u8]) -> Option<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(body.len()).ok()?;
    copy.extend_from_slice(body);
    Some(copy)
}

/// How long the io thread rests while it must not read.
const FROZEN: Duration = Duration::from_millis(1);
const MOST_PATIENCE: Duration = Duration::from_secs(2);
/// An attempt that comes just before the end of init is a real one, too.
const LEAST_PATIENCE: Duration = Duration::from_millis(100);
/// A connection that lasted as long as this was a good one.
const SOUND: Duration = Duration::from_secs(1);
/// So many short ones in a row are bad luck.
const PATIENCE: u32 = 3;
