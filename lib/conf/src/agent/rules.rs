//! The rules of functions and of workers: how long a call may take, how many may wait, who gets the next one.
//!
//! What is written without a name holds for every function; `function.NAME.KEY` for one. One function's rules are
//! complete: what it does not say itself is the default's, whichever of the two was read first.

use super::key::{Key, Kind};
use super::word::{Choice, Word};
use crate::ConfError;
use std::fmt;
use std::time::Duration;

/// How calls of a function are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `deadline_ms`: how long an answer may take.
    pub deadline: Duration,
    /// `queue_limit`: calls that may wait for a worker; one more is refused.
    pub queue_limit: usize,
    /// `in_flight`: calls one worker's connection has at a time.
    pub in_flight: u32,
    /// `idempotent`: a call whose worker has died may be made again.
    pub idempotent: bool,
    /// `retries`: how often.
    pub retries: u32,
    /// `balance`: which worker gets the next call.
    pub balance: Balance,
    /// `hash_key`: the field of the params that counts for [`Balance::Hash`]; without it all of them do.
    pub hash_key: Option<String>,
}

/// Which of a function's workers gets the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// The one with the fewest calls.
    Least,
    /// By their weights.
    Weighted,
    /// The same for the same params.
    Hash,
    /// The same for the same caller.
    Sticky,
}

/// What is known of a worker by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerRules {
    /// `in_flight`: calls it has at a time, whatever the function says.
    pub in_flight: Option<u32>,
    /// `weight`: its part of the calls, compared with the others'.
    pub weight: u32,
    /// `dialect`: its generation, whatever it looks like.
    pub dialect: Option<Dialect>,
}

/// A generation of nmid's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The first: C and PHP.
    G0,
    /// The one of today.
    G2,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            deadline: Duration::from_millis(30_000),
            queue_limit: 10_000,
            in_flight: 1,
            idempotent: false,
            retries: 1,
            balance: Balance::Least,
            hash_key: None,
        }
    }
}

impl Default for WorkerRules {
    fn default() -> Self {
        WorkerRules { in_flight: None, weight: 1, dialect: None }
    }
}

impl Rules {
    /// Takes a key of [`KEYS`]; whether it is one.
    pub(super) fn set(&mut self, word: &Word) -> Result<bool, ConfError> {
        match word.key {
            "deadline_ms" => self.deadline = word.millis(1, 86_400_000)?,
            "queue_limit" => self.queue_limit = word.number(0, 10_000_000)? as usize,
            "in_flight" => self.in_flight = word.number(1, MOST_IN_FLIGHT)? as u32,
            "idempotent" => self.idempotent = word.truth()?,
            "retries" => self.retries = word.number(0, 100)? as u32,
            "balance" => self.balance = word.one()?,
            "hash_key" => self.hash_key = Some(word.value.clone()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The lines of a `.conf`, with `front` before each key.
    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>, front: &str) -> fmt::Result {
        writeln!(f, "{front}deadline_ms={}\n{front}queue_limit={}", self.deadline.as_millis(), self.queue_limit)?;
        writeln!(f, "{front}in_flight={}\n{front}idempotent={}", self.in_flight, self.idempotent)?;
        writeln!(f, "{front}retries={}\n{front}balance={}", self.retries, self.balance.word())?;
        writeln!(f, "{front}hash_key={}", self.hash_key.as_deref().unwrap_or_default())
    }
}

impl WorkerRules {
    /// Takes a key of [`WORKER_KEYS`]; whether it is one.
    pub(super) fn set(&mut self, word: &Word) -> Result<bool, ConfError> {
        match word.key {
            "in_flight" => self.in_flight = Some(word.number(1, MOST_IN_FLIGHT)? as u32),
            "weight" => self.weight = word.number(1, 1000)? as u32,
            "dialect" => self.dialect = Some(word.one()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The lines of a `.conf`, with `front` before each key.
    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>, front: &str) -> fmt::Result {
        let in_flight = self.in_flight.map_or_else(String::new, |count| count.to_string());
        let dialect = self.dialect.map_or("", Dialect::word);
        writeln!(f, "{front}in_flight={in_flight}\n{front}weight={}\n{front}dialect={dialect}", self.weight)
    }
}

impl Choice for Balance {
    const WORDS: &'static [(&'static str, Balance)] = &[
        ("least", Balance::Least),
        ("weighted", Balance::Weighted),
        ("hash", Balance::Hash),
        ("sticky", Balance::Sticky),
    ];
}

impl Choice for Dialect {
    const WORDS: &'static [(&'static str, Dialect)] = &[("g0", Dialect::G0), ("g2", Dialect::G2)];
}

const MOST_IN_FLIGHT: u64 = 65_535;

/// Of every function, and of one.
pub(super) const KEYS: &[Key] = &[
    ("deadline_ms", Kind::Number),
    ("queue_limit", Kind::Number),
    ("in_flight", Kind::Number),
    ("idempotent", Kind::Truth),
    ("retries", Kind::Number),
    ("balance", Kind::Text),
    ("hash_key", Kind::Text),
];

/// Of one worker.
pub(super) const WORKER_KEYS: &[Key] =
    &[("in_flight", Kind::Number), ("weight", Kind::Number), ("dialect", Kind::Text)];
