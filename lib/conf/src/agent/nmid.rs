//! What is set about nmid's own protocol: where it is spoken, and what its peers of different ages need.

use super::endpoint::Endpoint;
use super::key::{Key, Kind};
use super::word::{Choice, Word};
use crate::ConfError;
use crate::net::Networks;
use std::fmt;
use std::time::Duration;

/// The nmid side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nmid {
    /// `nmid_enable`, `nmid_ip`, `nmid_port`.
    pub listen: Endpoint,
    /// `nmid_payload_limit`: longest body of a frame, in bytes.
    pub payload_limit: usize,
    /// `nmid_settle_ms`: how long a new worker may show its generation before it gets its first job.
    pub settle: Duration,
    /// `nmid_order`: how the requests of one client's connection are answered.
    pub order: Order,
    /// `nmid_gap_ms`: two requests of one client that come closer to each other are no repetition: [`Order::Auto`]
    /// answers both.
    pub gap: Duration,
    /// `nmid_pace_ms`: the pause between two answers to one connection in order: Go's client loses what it reads together.
    pub pace: Duration,
    /// `nmid_probe`: ask a worker that runs one function after the other behind each job whether it is done: Go's says
    /// nothing of a function that fails.
    pub probe: bool,
    /// `nmid_rewrite`: for which clients a result is written in the form that they are known to read.
    pub rewrite: Rewrite,
    /// `nmid_legacy_workers`: workers from there are of the first generation, whatever they look like.
    pub legacy_workers: Networks,
    /// `nmid_stale_ms`: an answer to a client of the second generation that is older is dropped; `None`: never.
    pub stale: Option<Duration>,
}

/// How the requests of one client's connection are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The first generation in order; the second by giving up, until two requests come within `nmid_gap_ms`.
    Auto,
    /// A new request gives up the one before it.
    Abandon,
    /// Each, in the order of the requests, `nmid_pace_ms` apart.
    Ordered,
    /// Each, in the order of the requests, as fast as they can be had.
    Pipelined,
}

/// For whose clients a result is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// Those of the first generation, which fall over what they do not know.
    G0,
    /// All.
    All,
    /// Nobody's.
    None,
}

impl Default for Nmid {
    fn default() -> Self {
        Nmid {
            listen: Endpoint::on(6808),
            payload_limit: 16 << 20,
            settle: Duration::from_millis(300),
            order: Order::Auto,
            gap: Duration::from_millis(25),
            pace: Duration::from_millis(2),
            probe: false,
            rewrite: Rewrite::G0,
            legacy_workers: Networks::default(),
            stale: None,
        }
    }
}

impl Nmid {
    /// Takes a key of [`KEYS`]; whether it is one.
    pub(super) fn set(&mut self, word: &Word) -> Result<bool, ConfError> {
        let Some(part) = word.key.strip_prefix("nmid_") else { return Ok(false) };
        match part {
            "payload_limit" => self.payload_limit = word.size(4096, 1 << 30)? as usize,
            "settle_ms" => self.settle = word.millis(0, 60_000)?,
            "order" => self.order = word.one()?,
            "gap_ms" => self.gap = word.millis(0, 10_000)?,
            "pace_ms" => self.pace = word.millis(0, 10_000)?,
            "probe" => self.probe = word.truth()?,
            "rewrite" => self.rewrite = word.one()?,
            "legacy_workers" => self.legacy_workers = word.networks()?,
            "stale_ms" => self.stale = Some(word.millis(0, 3_600_000)?).filter(|age| !age.is_zero()),
            _ => return self.listen.set(part, word),
        }
        Ok(true)
    }
}

impl fmt::Display for Nmid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listen.show(f, "nmid")?;
        writeln!(f, "nmid_payload_limit={}\nnmid_settle_ms={}", self.payload_limit, self.settle.as_millis())?;
        writeln!(f, "nmid_order={}\nnmid_gap_ms={}", self.order.word(), self.gap.as_millis())?;
        writeln!(f, "nmid_pace_ms={}\nnmid_probe={}", self.pace.as_millis(), self.probe)?;
        writeln!(f, "nmid_rewrite={}\nnmid_legacy_workers={}", self.rewrite.word(), self.legacy_workers)?;
        writeln!(f, "nmid_stale_ms={}", self.stale.unwrap_or_default().as_millis())
    }
}

impl Choice for Order {
    const WORDS: &'static [(&'static str, Order)] = &[
        ("auto", Order::Auto),
        ("abandon", Order::Abandon),
        ("ordered", Order::Ordered),
        ("pipelined", Order::Pipelined),
    ];
}

impl Choice for Rewrite {
    const WORDS: &'static [(&'static str, Rewrite)] =
        &[("g0", Rewrite::G0), ("all", Rewrite::All), ("none", Rewrite::None)];
}

pub(super) const KEYS: &[Key] = &[
    ("nmid_enable", Kind::Truth),
    ("nmid_ip", Kind::Text),
    ("nmid_port", Kind::Number),
    ("nmid_payload_limit", Kind::Size),
    ("nmid_settle_ms", Kind::Number),
    ("nmid_order", Kind::Text),
    ("nmid_gap_ms", Kind::Number),
    ("nmid_pace_ms", Kind::Number),
    ("nmid_probe", Kind::Truth),
    ("nmid_rewrite", Kind::Text),
    ("nmid_legacy_workers", Kind::List),
    ("nmid_stale_ms", Kind::Number),
];
