//! A worker: registers, does what tasks tell it, and watches whether the broker keeps to the worker's side of the
//! protocol: no more jobs at once than it may be given, only what it has asked for, every PING answered.

use super::connection::Connection;
use super::task::{Task, Work, wall_clock};
use crate::dice::Dice;
use msf_wire::nmid::{Dialect, HEADER_LEN, Job, Return, ToWorker, append_name, conn, empty, params_type, pdt};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PING_EVERY: Duration = Duration::from_millis(500);
/// A Go worker gives the broker up after 20 s; the broker may be silent for 15 behind a large job.
const PONG_WITHIN: Duration = Duration::from_secs(16);
/// How often a worker looks whether it is to stop.
const GLANCE: Duration = Duration::from_millis(50);

/// Who a worker is and what it can do.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Where the broker is.
    pub broker: SocketAddr,
    /// Its name; the first generation has none on the wire.
    pub name: String,
    /// What it offers.
    pub functions: Vec<&'static str>,
    /// How it speaks.
    pub dialect: Dialect,
    /// How many jobs it may be given at once.
    pub in_flight: usize,
    /// After this a job is no longer held against the broker.
    pub deadline: Duration,
    /// How often on average it does something reckless; never if `None`.
    pub reckless: Option<Duration>,
    /// Where its random sequence starts.
    pub seed: u64,
}

/// What a worker has seen and done.
#[derive(Clone, Debug, Default)]
pub struct Shift {
    /// Jobs it was given.
    pub jobs: u64,
    /// How often it cut its connection.
    pub cuts: u64,
    /// How often it withdrew a function and offered it again.
    pub churns: u64,
    /// How often it came back over another connection with its jobs.
    pub moves: u64,
    /// What the broker did wrong.
    pub complaints: Vec<String>,
}

/// A job being done.
struct Held {
    id: Vec<u8>,
    /// See [`Task::asked`].
    asked: u64,
    /// Brought along from an earlier connection.
    brought: bool,
    due: Instant,
    reply: Vec<u8>,
}

/// A registered worker.
pub struct Worker {
    offer: Offer,
    connection: Connection,
    held: Vec<Held>,
    dice: Dice,
    asked: usize,
    pinged: Option<Instant>,
    next_ping: Instant,
    next_folly: Option<Instant>,
    shift: Shift,
}

impl Worker {
    /// Connects and registers; the broker knows all functions when this returns.
    pub fn register(offer: Offer) -> io::Result<Worker> {
        let connection = Connection::open(offer.broker)?;
        let dice = Dice::new(offer.seed, 0xffff);
        let mut worker = Worker {
            offer,
            connection,
            held: Vec::new(),
            dice,
            asked: 0,
            pinged: None,
            next_ping: Instant::now() + PING_EVERY,
            next_folly: None,
            shift: Shift::default(),
        };
        worker.introduce()?;
        worker.plan_folly();
        Ok(worker)
    }

    /// Works until `stop`, then says good-bye. An error is what the broker did to the connection.
    pub fn run(mut self, stop: &AtomicBool) -> io::Result<Shift> {
        while !stop.load(Ordering::Relaxed) {
            self.answer_what_is_done()?;
            if let Some(received) = self.connection.receive(self.next_event())? {
                match ToWorker::parse(&received.frame(), self.offer.dialect) {
                    Ok(said) => self.hear(said)?,
                    Err(e) => self.complain(e.to_string()),
                }
            }
            self.ping_in_time()?;
            if self.next_folly.is_some_and(|at| at <= Instant::now()) {
                self.be_reckless()?;
                self.plan_folly();
            }
        }
        self.withdraw()?;
        Ok(self.shift)
    }

    /// What it says first, and the OKs for it.
    fn introduce(&mut self) -> io::Result<()> {
        let mut frames = Vec::new();
        if self.offer.dialect == Dialect::G2 {
            append_name(&mut frames, conn::WORKER, pdt::W_SET_NAME, self.offer.name.as_bytes());
            self.asked += 1;
        }
        for function in &self.offer.functions {
            append_name(&mut frames, conn::WORKER, pdt::W_ADD_FUNC, function.as_bytes());
            self.asked += 1;
        }
        if self.offer.dialect == Dialect::G0 {
            append_name(&mut frames, conn::WORKER, pdt::W_GRAB_JOB, b"1");
        }
        self.connection.send(&frames)?;
        let end = Instant::now() + PONG_WITHIN;
        while self.asked > 0 {
            let Some(received) = self.connection.receive(end)? else {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the broker does not answer the registration"));
            };
            match ToWorker::parse(&received.frame(), self.offer.dialect) {
                Ok(said) => self.hear(said)?,
                Err(e) => self.complain(e.to_string()),
            }
        }
        Ok(())
    }

    fn hear(&mut self, said: ToWorker<'_>) -> io::Result<()> {
        match said {
            ToWorker::Job(job) => self.take(&job),
            ToWorker::Ok if self.asked > 0 => {
                self.asked -= 1;
                // As the Go worker does on every OK.
                if self.offer.dialect == Dialect::G2 {
                    self.connection.send(&empty(conn::WORKER, pdt::W_GRAB_JOB))?;
                }
            }
            ToWorker::Ok => self.complain("an OK for nothing".to_owned()),
            ToWorker::Pong => self.pinged = None,
            other => self.complain(format!("{other:?}")),
        }
        Ok(())
    }

    fn take(&mut self, job: &Job<'_>) {
        self.shift.jobs += 1;
        let now = Instant::now();
        let form = job.params.bytes.first();
        let kind_fits = match form {
            Some(b'{') => job.params.kind == params_type::JSON,
            _ => job.params.kind == params_type::MSGPACK,
        };
        let Some(task) = Task::of_params(job.params.bytes).filter(|_| kind_fits) else {
            return self.complain(format!("a job that is no task: {job:x?}"));
        };
        if self.offer.dialect == Dialect::G0 && form != Some(&0x91) {
            self.complain(format!("a job that kills a worker of the first generation: {job:x?}"));
        }
        if !self.offer.functions.iter().any(|name| name.as_bytes() == job.function) {
            self.complain(format!("a job of another function: {}", String::from_utf8_lossy(job.function)));
        }
        if !job.id.is_empty() && self.held.iter().any(|held| held.id == job.id) {
            self.complain(format!("the id {} for two jobs at once", String::from_utf8_lossy(job.id)));
        }
        // A job whose deadline has passed, which may be as soon as it comes when it has waited for long, is no job any more
        // for the broker.
        let over = wall_clock().saturating_sub(self.offer.deadline.as_millis() as u64);
        let alive = self.held.iter().filter(|held| !held.brought && held.asked > over).count();
        if alive >= self.offer.in_flight {
            self.complain(format!("{} jobs at once", alive + 1));
        }
        if let Work::For(time) = task.work {
            let reply = self.reply(job, &task);
            self.held.push(Held { id: job.id.to_vec(), asked: task.asked, brought: false, due: now + time, reply });
        }
    }

    fn reply(&self, job: &Job<'_>, task: &Task) -> Vec<u8> {
        let outcome = task.outcome();
        let (ret, id) = match self.offer.dialect {
            Dialect::G2 => (outcome.as_map(), Some(job.id)),
            Dialect::G0 => (outcome.as_array(), None),
        };
        let mut reply = Vec::new();
        Return { function: job.function, params: job.params.bytes, ret: &ret, id }.append_to(&mut reply);
        reply
    }

    fn answer_what_is_done(&mut self) -> io::Result<()> {
        let now = Instant::now();
        for held in self.held.extract_if(.., |held| held.due <= now) {
            self.connection.send(&held.reply)?;
        }
        Ok(())
    }

    fn next_event(&self) -> Instant {
        let soon = Instant::now() + GLANCE;
        self.held.iter().map(|held| held.due).chain(self.next_folly).fold(soon, Instant::min)
    }

    fn ping_in_time(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.pinged.is_some_and(|at| now - at > PONG_WITHIN) {
            self.complain("no PONG".to_owned());
            self.pinged = None;
        }
        if self.offer.dialect == Dialect::G2 && now >= self.next_ping {
            let mut frames = Vec::with_capacity(2 * HEADER_LEN + 4);
            append_name(&mut frames, conn::WORKER, pdt::W_HEARTBEAT_PING, b"PING");
            frames.extend_from_slice(&empty(conn::WORKER, pdt::W_GRAB_JOB));
            self.connection.send(&frames)?;
            self.pinged.get_or_insert(now);
            self.next_ping = now + PING_EVERY;
        }
        Ok(())
    }

    fn plan_folly(&mut self) {
        let wait = self.offer.reckless.map(|mean| mean.as_micros() as u64 / 2);
        self.next_folly = wait.map(|half| Instant::now() + Duration::from_micros(half + self.dice.below(2 * half)));
    }

    fn be_reckless(&mut self) -> io::Result<()> {
        match self.dice.below(4) {
            0 => self.churn(),
            1 if self.offer.dialect == Dialect::G2 => self.come_back_with_jobs(),
            _ => self.cut(),
        }
    }

    /// Dies in mid-job, as far as the broker can see.
    fn cut(&mut self) -> io::Result<()> {
        self.shift.cuts += 1;
        self.held.clear();
        self.reconnect()
    }

    /// What Go workers do after a long job: withdraw, close, dial, register, and only then send the result.
    fn come_back_with_jobs(&mut self) -> io::Result<()> {
        self.shift.moves += 1;
        self.withdraw()?;
        self.held.iter_mut().for_each(|held| held.brought = true);
        self.reconnect()
    }

    fn reconnect(&mut self) -> io::Result<()> {
        self.connection = Connection::open(self.offer.broker)?;
        self.asked = 0;
        self.pinged = None;
        self.introduce()
    }

    fn churn(&mut self) -> io::Result<()> {
        self.shift.churns += 1;
        let mut frames = Vec::new();
        let function = self.offer.functions[self.dice.below(self.offer.functions.len() as u64) as usize];
        append_name(&mut frames, conn::WORKER, pdt::W_DEL_FUNC, function.as_bytes());
        append_name(&mut frames, conn::WORKER, pdt::W_ADD_FUNC, function.as_bytes());
        self.asked += 1;
        self.connection.send(&frames)
    }

    fn withdraw(&mut self) -> io::Result<()> {
        let mut frames = Vec::new();
        for function in &self.offer.functions {
            append_name(&mut frames, conn::WORKER, pdt::W_DEL_FUNC, function.as_bytes());
        }
        self.connection.send(&frames)
    }

    fn complain(&mut self, what: String) {
        if self.shift.complaints.len() < 10 {
            self.shift.complaints.push(format!("worker {}: {what}", self.offer.name));
        }
    }
}
