//! What all callers are made of: where tasks come from, and nmid's own callers.
//!
//! Every caller checks before each request that nothing has come since its last answer, and once more when it is done.

use super::connection::{Connection, Received};
use super::plan::{Plan, Role};
use super::tally::{Asked, Tally, Told};
use super::task::{Form, Task, Work, padding, wall_clock};
use crate::dice::Dice;
use msf_wire::nmid::{Dialect, DoJob, Params, ToClient, handle_type, params_type};
use std::collections::VecDeque;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// Who is told that too many wait does not come back at once.
const AFTER_LIMIT: Duration = Duration::from_millis(2);

/// Somebody who asks.
pub trait Caller {
    /// Asks and judges what comes, once. An error is what the broker did to the connection.
    fn round(&mut self, tally: &mut Tally) -> io::Result<()>;

    /// Listens until `end` for what nobody asked for.
    fn listen(&mut self, end: Instant, tally: &mut Tally) -> io::Result<()>;
}

/// Where a caller's tasks come from.
pub struct Source {
    plan: Plan,
    role: Role,
    client: u32,
    seq: u64,
    /// The caller's random sequence.
    pub dice: Dice,
}

impl Source {
    /// The source of one caller.
    pub fn new(plan: &Plan, role: Role, client: u32) -> Source {
        Source { plan: plan.clone(), role, client, seq: 0, dice: Dice::new(plan.seed, u64::from(client) + 1) }
    }

    /// The next task.
    pub fn task(&mut self) -> Task {
        self.seq += 1;
        let length = if self.dice.once_in(8) { self.plan.payload } else { 100.min(self.plan.payload) };
        let length = self.dice.below(length as u64 + 1) as usize;
        Task {
            nonce: self.plan.nonce,
            client: self.client,
            seq: self.seq,
            asked: wall_clock(),
            work: self.work(),
            code: if self.dice.once_in(16) { 7 } else { 0 },
            padding: padding(&mut self.dice, length),
        }
    }

    fn work(&mut self) -> Work {
        let dice = &mut self.dice;
        match self.role {
            Role::Mute if dice.once_in(3) => Work::Swallow,
            Role::Mute if dice.once_in(3) => Work::For(self.plan.deadline_of(Role::Mute) + Duration::from_millis(200)),
            Role::Impatient if dice.once_in(4) => Work::For(Duration::from_millis(30 + dice.below(50))),
            // Half of all work takes no time: then the way is what is tried, not the waiting.
            _ if dice.once_in(2) => Work::For(Duration::ZERO),
            _ => Work::For(Duration::from_micros(dice.below(3000))),
        }
    }

    /// Which function is asked.
    pub fn function(&mut self) -> &'static str {
        let functions = self.role.functions();
        functions[self.dice.below(functions.len() as u64) as usize]
    }

    /// How long the function's deadline is.
    pub fn deadline(&self) -> Duration {
        self.plan.deadline_of(self.role)
    }

    /// Until when an answer to what is asked now may come.
    pub fn end(&self) -> Instant {
        Instant::now() + self.deadline() + self.plan.margin
    }

    /// Whether this request's caller leaves before the answer.
    pub fn leaves(&mut self) -> bool {
        self.plan.chaos && self.dice.once_in(200)
    }

    /// The caller's number.
    pub fn client(&self) -> u32 {
        self.client
    }

    /// Where the broker is, among other things.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// A connection that asks in one dialect, several requests at once if told so, and takes answers in order.
pub struct NmidCaller {
    source: Source,
    dialect: Dialect,
    most: u64,
    connection: Connection,
}

impl NmidCaller {
    /// Connects. `most` is the longest burst of requests.
    pub fn connect(source: Source, dialect: Dialect, most: u64) -> io::Result<NmidCaller> {
        let connection = Connection::open(source.plan().nmid)?;
        Ok(NmidCaller { source, dialect, most, connection })
    }

    fn ask(&mut self, frames: &mut Vec<u8>) -> Asked {
        let asked = request(&mut self.source, self.dialect, frames);
        Asked { at: Instant::now(), ..asked }
    }

    fn leave(&mut self) -> io::Result<()> {
        self.connection = Connection::open(self.source.plan().nmid)?;
        Ok(())
    }
}

impl Caller for NmidCaller {
    fn round(&mut self, tally: &mut Tally) -> io::Result<()> {
        count_unasked(&mut self.connection, tally)?;
        let count = if self.most > 1 { 2 + self.source.dice.below(self.most - 1) } else { 1 };
        let mut frames = Vec::new();
        let mut asked: VecDeque<Asked> = (0..count).map(|_| self.ask(&mut frames)).collect();
        // One write: a burst that is interrupted by the scheduler might look like a caller who gave up.
        self.connection.send(&frames)?;
        tally.sent += count;
        let end = self.source.end();
        let leaves = self.source.leaves();
        while let Some(oldest) = asked.pop_front() {
            if leaves && asked.len() as u64 == count / 2 {
                tally.left += 1 + asked.len() as u64;
                return self.leave();
            }
            let Some(received) = self.connection.receive(end)? else {
                tally.count_silence(&oldest);
                asked.iter().for_each(|asked| tally.count_silence(asked));
                return self.leave();
            };
            let told = Told::of_frame(ToClient::parse(&received.frame()), &oldest);
            let is_limited = told == Told::Limited;
            tally.count(&oldest, told, self.source.deadline());
            if is_limited {
                thread::sleep(AFTER_LIMIT);
            }
        }
        Ok(())
    }

    fn listen(&mut self, end: Instant, tally: &mut Tally) -> io::Result<()> {
        while let Some(received) = self.connection.receive(end)? {
            tally.count_unasked(described(&received));
        }
        Ok(())
    }
}

/// Appends the next request in `dialect`.
pub fn request(source: &mut Source, dialect: Dialect, frames: &mut Vec<u8>) -> Asked {
    let (task, function) = (source.task(), source.function());
    let form = match dialect {
        Dialect::G0 => Form::Array,
        Dialect::G2 if source.dice.once_in(3) => Form::Json,
        Dialect::G2 => Form::Map,
    };
    let params = task.params(form);
    let kind = if form == Form::Json { params_type::JSON } else { params_type::MSGPACK };
    let job =
        DoJob { function: function.as_bytes(), params: Params { kind, handle: handle_type::ENCODE, bytes: &params } };
    match dialect {
        Dialect::G0 => job.append_first_to(frames),
        Dialect::G2 => job.append_to(frames),
    }
    Asked { task, function, params, at: Instant::now() }
}

/// Counts what has come since the last answer.
pub fn count_unasked(connection: &mut Connection, tally: &mut Tally) -> io::Result<()> {
    for received in connection.unasked()? {
        tally.count_unasked(described(&received));
    }
    Ok(())
}

/// A frame in words.
pub fn described(received: &Received) -> String {
    match ToClient::parse(&received.frame()) {
        Ok(ToClient::Answer(answer)) => format!("unasked: the answer to {}", String::from_utf8_lossy(answer.params)),
        other => format!("unasked: {other:?}"),
    }
}
