//! nmid's workers.
//!
//! A worker must be sent jobs in the layout of its generation, and dies of the other one, so it gets none before that is
//! known: from what it has sent, or from having sent nothing for a while after its last function. One of the first
//! generation returns no job ids: whatever it returns belongs to the one job it has, if it names the same function and
//! arguments. Go's workers hang when a header comes in two pieces and lose what follows a large frame, so frames leave
//! in one piece, and behind a large job nothing is sent until its result is there or a moment has passed.

use super::super::broker::{Alarm, Broker, LOG};
use super::super::session::{Ending, Session};
use super::probe::Probe;
use crate::core::balance;
use crate::core::desk::{Identity, Settled};
use crate::core::job::JobId;
use crate::core::message::{Failure, Moment, Params, Peer};
use crate::core::order::{Offer, Report};
use crate::core::rules;
use crate::observe::traffic::Malformed;
use msf_core::event::Token;
use msf_core::log::Level;
use msf_wire::nmid::{Dialect, Frame, FromWorker, Job, Return, conn, empty, pdt, to_first};
use msf_wire::state;
use std::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub struct Worker {
    /// Who it is.
    pub identity: Identity,
    dialect: Option<Dialect>,
    /// The operator has said which one; nothing it does says otherwise.
    is_settled: bool,
    functions: usize,
    /// Those of them that not all reactors know yet, and how many OKs wait for that.
    unknown: usize,
    owed: usize,
    /// Counts its functions, so that only the last one's alarm settles its generation.
    settling: u32,
    /// The job it was sent last; with its echo, if it is a worker that returns no ids.
    current: Option<(JobId, Option<u64>)>,
    /// A large job has been sent: until its result comes, or until then, in microseconds, nothing else is sent, and
    /// what was to be sent waits here.
    quiet: Option<(JobId, u64)>,
    held: Vec<u8>,
    /// So much waits to be written to it that it gets no more jobs for the moment.
    is_stuffed: bool,
    is_announced: bool,
    pings: u32,
    heard: Moment,
    prodded: bool,
    probe: Probe,
}

state! {
    struct Worker {
        identity, dialect, is_settled, functions, unknown, owed, settling, current, quiet, held, is_stuffed,
        is_announced, pings, heard, prodded, probe,
    }
}

impl Worker {
    /// How log lines name it.
    pub fn describe(&self, peer: &Peer) -> String {
        match self.identity.name.as_slice() {
            [] => format!("nmid worker {peer}"),
            name => {
                let name: String =
                    String::from_utf8_lossy(name).chars().map(|c| if c.is_control() { '?' } else { c }).collect();
                format!("nmid worker {name} ({peer})")
            }
        }
    }

    /// See [`Peer::wake_again`](super::Peer::wake_again). Its generation is settled a little later than it would have
    /// been: that of several alarms the last one counts is all that is known.
    pub fn wake_again(&mut self, micros: u64, settle: Duration) -> Vec<(Duration, Alarm)> {
        self.settling = self.settling.min(1);
        let settling = (self.settling > 0).then_some((settle, Alarm::Settle));
        let quiet = self.quiet.map(|(_, until)| (Duration::from_micros(until.saturating_sub(micros)), Alarm::Quiet));
        settling.into_iter().chain(quiet).collect()
    }

    /// What is to be done about its silence: `Some(true)` it is dead, `Some(false)` it is to be prodded.
    fn silence(&mut self, now: Moment) -> Option<bool> {
        // Who never sends PINGs, or only one, says nothing by not sending them.
        let silent = now.0.saturating_sub(self.heard.0);
        if self.pings < 2 || silent < PROD {
            return None;
        }
        if silent >= DEAD {
            return Some(true);
        }
        (!std::mem::replace(&mut self.prodded, true)).then_some(false)
    }
}

impl Broker {
    /// A stranger has become a worker or a client.
    pub(super) fn introduce(&mut self, token: Token) {
        let Some(session) = self.sessions.get_mut(token) else { return };
        let host = session.peer.host();
        let is_first = host.is_some_and(|host| self.dispatch.routes().rulebook().is_first_generation(host));
        if let Some(worker) = session.worker() {
            worker.identity.host = host;
            worker.dialect = is_first.then_some(Dialect::G0);
            worker.is_settled = is_first;
        }
    }

    pub(super) fn worker_frame(&mut self, token: Token, frame: &Frame<'_>) {
        let now = self.now;
        let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) else { return };
        worker.heard = now;
        worker.prodded = false;
        let behind_ping = worker.probe.heard(frame.kind == pdt::W_HEARTBEAT_PING);
        match FromWorker::parse(frame) {
            Ok(FromWorker::SetName(name)) => self.set_name(token, name),
            Ok(FromWorker::AddFunction(name)) => self.add_function(token, name),
            Ok(FromWorker::DelFunction(name)) => self.del_function(token, name),
            Ok(FromWorker::Grab(body)) => self.grab(token, body, behind_ping),
            Ok(FromWorker::Wakeup) => {}
            Ok(FromWorker::Ping) => {
                worker.pings = worker.pings.saturating_add(1);
                self.classify(token, Dialect::G2, false);
                self.say(token, &empty(conn::SERVER, pdt::S_HEARTBEAT_PONG));
            }
            Ok(FromWorker::Return(result)) => self.returned(token, &result),
            Ok(FromWorker::Other(_)) => self.counts().ignored.count(),
            Err(error) => {
                self.count_misfit(token, Malformed::Lengths);
                if let Some(who) = self.note(token) {
                    self.complain(|| format!("{who}: a frame dropped: {error}"));
                }
            }
        }
    }

    fn set_name(&mut self, token: Token, name: &[u8]) {
        let routes = std::sync::Arc::clone(self.dispatch.routes());
        let rules = routes.rulebook().of_worker(name);
        if name.len() > LONGEST_NAME {
            return self.bad_name(token, "worker's", name.len());
        }
        let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) else { return };
        // An empty name changes nothing.
        if !name.is_empty() {
            worker.identity.name = name.to_vec();
            let identity = worker.identity.clone();
            self.desk.identify(token.bits(), &identity, &routes);
        }
        let dialect = if rules.dialect == Some(rules::Dialect::G0) { Dialect::G0 } else { Dialect::G2 };
        self.classify(token, dialect, true);
        self.say_ok(token);
    }

    fn add_function(&mut self, token: Token, name: &[u8]) {
        let (address, settle) = (self.address(token), self.limits.nmid.settle);
        let routes = std::sync::Arc::clone(self.dispatch.routes());
        let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) else { return };
        if name.is_empty() {
            return self.say_ok(token);
        }
        if name.len() > LONGEST_NAME {
            return self.bad_name(token, "function's", name.len());
        }
        if worker.functions >= MOST_FUNCTIONS {
            self.count_misfit(token, Malformed::Name);
            let what = format!("more than {MOST_FUNCTIONS} functions");
            return self.doom(token, Ending::Malformed(what));
        }
        let identity = worker.identity.clone();
        if !self.desk.offer(token.bits(), &identity, name, &routes) {
            if worker.unknown == 0 {
                return self.say_ok(token);
            }
            // It may be one of those: OK says that everybody knows.
            worker.owed += 1;
            return;
        }
        worker.functions += 1;
        worker.unknown += 1;
        worker.settling += 1;
        match worker.dialect {
            Some(dialect) => self.desk.ready(token.bits(), dialect == Dialect::G0),
            None => self.alarms.push((Duration::from_millis(settle.into()), Alarm::Settle, token)),
        }
        self.report(Report::Offer(Offer { address, function: name.to_vec(), identity }));
    }

    /// All reactors know one more of its functions.
    pub(in super::super) fn offered(&mut self, token: Token) {
        if let Some(session) = self.sessions.get_mut(token)
            && let Some(worker) = session.worker()
            && !std::mem::replace(&mut worker.is_announced, true)
        {
            msf_core::log!(Level::Info, LOG, "{} has registered", session.who());
        }
        let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) else { return };
        worker.unknown = worker.unknown.saturating_sub(1);
        let owed = if worker.unknown == 0 { std::mem::take(&mut worker.owed) } else { 0 };
        (0..=owed).for_each(|_| self.say_ok(token));
    }

    fn say_ok(&mut self, token: Token) {
        let micros = self.micros;
        if let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) {
            worker.probe.greeted(micros);
            self.say(token, &empty(conn::SERVER, pdt::OK));
        }
    }

    fn del_function(&mut self, token: Token, name: &[u8]) {
        // A worker that leaves closes at the PONG behind this: jobs it was given in this very turn must go before that.
        self.run_errands();
        if self.desk.withdraw(token.bits(), name) {
            if let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) {
                worker.functions -= 1;
            }
            self.report(Report::Rescinded(self.address(token), name.to_vec()));
        }
    }

    /// A vestige that shows what the worker is: C's has a byte in it. Where it has been asked whether its function has
    /// failed, it is the answer.
    fn grab(&mut self, token: Token, body: &[u8], behind_ping: bool) {
        let dialect = if body.len() == 1 { Dialect::G0 } else { Dialect::G2 };
        self.classify(token, dialect, false);
        let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) else { return };
        if behind_ping {
            return;
        }
        if let Some(id) = worker.probe.grabbed()
            && self.desk.is_at(token.bits(), id)
        {
            worker.current = None;
            self.desk.give_up(id, Failure::Error);
        } else if let Some(id) = self.desk.at(token.bits()) {
            // A job it has got meanwhile has not been asked about.
            self.ask(token, id);
        }
    }

    /// Asks a worker whether it is done with a job.
    fn ask(&mut self, token: Token, id: JobId) {
        let (micros, is_probing) = (self.micros, self.limits.nmid.probe);
        let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) else { return };
        if is_probing
            && worker.quiet.is_none()
            && worker.dialect == Some(Dialect::G2)
            && worker.probe.may_ask(id, micros)
        {
            worker.probe.ask(id, micros);
            self.put_whole(token, &empty(conn::SERVER, pdt::NO_JOB));
        }
    }

    /// Something shows the worker's generation; the first evidence counts, unless this is `certain`.
    fn classify(&mut self, token: Token, dialect: Dialect, certain: bool) {
        let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) else { return };
        if worker.dialect.is_none() || (certain && !worker.is_settled) {
            worker.dialect = Some(dialect);
        }
        let is_first = worker.dialect == Some(Dialect::G0);
        self.desk.ready(token.bits(), is_first);
    }

    /// It has shown nothing since it offered its last function.
    pub(in super::super) fn settled(&mut self, token: Token) {
        let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) else { return };
        worker.settling = worker.settling.saturating_sub(1);
        if worker.settling == 0 {
            self.classify(token, Dialect::G2, false);
        }
    }

    /// A job for it.
    pub(in super::super) fn send_job(&mut self, token: Token, id: JobId, function: &[u8], params: &Params<'_>) {
        let until = self.micros + QUIET.as_micros() as u64;
        let name = id.encode();
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) else { return };
        let sent = match worker.dialect {
            Some(Dialect::G0) => to_first(*params).map(|bytes| {
                let params = Params::untyped(&bytes);
                worker.current = Some((id, Some(echo(function, &bytes))));
                Job { function, params, id: b"" }.append_to(Dialect::G0, &mut frame);
            }),
            _ => {
                worker.current = Some((id, None));
                Job { function, params: *params, id: &name }.append_to(Dialect::G2, &mut frame);
                Ok(())
            }
        };
        if let Err(error) = sent {
            self.frame = frame;
            if let Some(who) = self.note(token) {
                let function = String::from_utf8_lossy(function).into_owned();
                self.complain(|| format!("{who}: not given a call of {function}: {error}"));
            }
            return self.desk.give_up(id, Failure::Unfit);
        }
        let is_large = frame.len() > LARGE;
        if is_large {
            worker.quiet = Some((id, until));
        }
        self.put_whole(token, &frame);
        self.frame = frame;
        self.burden(token);
        if is_large {
            self.desk.hold(token.bits(), true);
            self.alarms.push((QUIET, Alarm::Quiet, token));
        } else {
            self.ask(token, id);
        }
    }

    /// A worker that does not read as fast as jobs come gets no more of them until it has.
    fn burden(&mut self, token: Token) {
        let soft = self.limits.outbox_soft;
        let Some(session) = self.sessions.get_mut(token) else { return };
        let is_full = session.outbox.len() >= soft;
        if let Some(worker) = session.worker().filter(|_| is_full) {
            worker.is_stuffed = true;
            self.desk.hold(token.bits(), true);
        }
    }

    /// It has read what there was.
    pub(in super::super) fn unburden(&mut self, token: Token) {
        let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) else { return };
        if std::mem::take(&mut worker.is_stuffed) && worker.quiet.is_none() {
            self.desk.hold(token.bits(), false);
        }
    }

    fn returned(&mut self, token: Token, result: &Return<'_>) {
        let micros = self.micros;
        let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) else { return };
        let ok = super::super::functions::is_success(result.ret);
        let id = match result.id {
            Some(id) => JobId::decode(id),
            None => {
                worker.dialect = Some(Dialect::G0);
                self.desk.ready(token.bits(), true);
                let echo = echo(result.function, result.params);
                let current = worker.current.filter(|(_, sent)| sent.is_none_or(|sent| sent == echo));
                current.map(|(id, _)| id)
            }
        };
        let Some(id) = id else { return self.foreign(token) };
        if worker.current.is_some_and(|(current, _)| current == id) {
            worker.current = None;
        }
        worker.probe.returned(id, micros);
        if worker.quiet.is_some_and(|(large, _)| large == id) {
            self.be_loud(token);
        }
        let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) else { return };
        if u16::from(id.reactor) != self.me {
            // It was given this job on another connection, which another reactor had.
            let identity = worker.identity.clone();
            return self.send_return(id, &identity, result.ret);
        }
        match self.desk.complete(id, Some(token.bits()), &worker.identity, ok) {
            Settled::Foreign => self.foreign(token),
            settled => self.settle(settled, result.ret),
        }
    }

    /// A result that belongs to nothing. With several jobs at a time that is how a worker shows that it mixes them up.
    fn foreign(&mut self, token: Token) {
        self.counts().dropped_unknown.count();
        if !self.desk.may_have_several(token.bits()) || self.desk.in_flight(token.bits()) == 0 {
            return;
        }
        self.counts().corrupt.count();
        if let Some(session) = self.sessions.get_mut(token) {
            let who = session.who();
            self.complain(|| format!("{who}: it has returned a job it does not have: all its jobs are failed"));
        }
        self.desk.distrust(token.bits());
    }

    /// Something short to a worker; behind a large job it waits.
    fn say(&mut self, token: Token, frame: &[u8]) {
        let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) else { return };
        if worker.quiet.is_some() {
            if worker.held.len() < MOST_HELD {
                worker.held.extend_from_slice(frame);
            }
            return;
        }
        self.put_whole(token, frame);
    }

    /// The worker has read its large job, or has had the time to.
    pub(in super::super) fn be_loud(&mut self, token: Token) {
        let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) else { return };
        if worker.quiet.take().is_none() {
            return;
        }
        let held = std::mem::take(&mut worker.held);
        for frame in held.chunks(12) {
            self.put_whole(token, frame);
        }
        let is_stuffed = self.sessions.get_mut(token).and_then(Session::worker).is_some_and(|worker| worker.is_stuffed);
        self.desk.hold(token.bits(), is_stuffed);
    }

    /// The moment after a large job has passed; while the kernel still has some of it, another one.
    pub(in super::super) fn quiet_is_over(&mut self, token: Token) {
        let micros = self.micros;
        let Some(session) = self.sessions.get_mut(token) else { return };
        let is_read = session.has_sent_all();
        match session.worker().and_then(|worker| worker.quiet) {
            // The moment of a job whose result has come; that of another job ends with an alarm of its own.
            None => {}
            Some((_, until)) if micros < until => {}
            Some(_) if is_read => self.be_loud(token),
            Some(_) => self.alarms.push((QUIET, Alarm::Quiet, token)),
        }
    }

    /// Looks whether a worker that used to send PINGs still does.
    pub(in super::super) fn watch_worker(&mut self, token: Token) {
        let now = self.now;
        let Some(worker) = self.sessions.get_mut(token).and_then(Session::worker) else { return };
        match worker.silence(now) {
            Some(true) => self.doom(token, Ending::Silent),
            Some(false) => self.say(token, &empty(conn::SERVER, pdt::S_HEARTBEAT_PONG)),
            None => {}
        }
    }

    fn bad_name(&mut self, token: Token, whose: &str, length: usize) {
        self.count_misfit(token, Malformed::Name);
        self.doom(
            token,
            Ending::Malformed(format!("a {whose} name of {length} bytes, at most {LONGEST_NAME} are accepted")),
        );
    }
}

/// What a worker that returns no ids sends back.
fn echo(function: &[u8], params: &[u8]) -> u64 {
    balance::hash_of(function) ^ balance::hash_of(params).rotate_left(1)
}

/// Longest name of a worker or a function, in bytes.
const LONGEST_NAME: usize = 1024;
/// Functions of one worker.
const MOST_FUNCTIONS: usize = 4096;
/// A job longer than this may come to the worker in several pieces.
const LARGE: usize = 1400;
/// How long nothing is sent behind one.
const QUIET: Duration = Duration::from_millis(50);
/// Bytes that may wait meanwhile.
const MOST_HELD: usize = 4096;
/// Milliseconds of silence after which a worker that used to send PINGs is prodded, and given up.
const PROD: u64 = 30_000;
const DEAD: u64 = 60_000;
