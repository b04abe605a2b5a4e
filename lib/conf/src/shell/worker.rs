//! `worker` of a service: its functions are offered to the agent, as those of an nmid worker.

use super::text;
use crate::ConfError;
use crate::json::Object;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Where an agent listens for workers unless somebody says otherwise.
const AGENT: &str = "127.0.0.1:6808";
const KEYS: &[&str] = &["agent", "name", "prefix", "params", "concurrency", "queue_limit", "timeout_ms", "timeouts_ms"];
/// Bytes of a name, as an operator can read it.
const NAME: usize = 128;
const TIMEOUT: Duration = Duration::from_secs(30);
const DAY_MS: i64 = 24 * 3600 * 1000;

/// How a service's functions are offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// `host:port` of the agent.
    pub agent: String,
    /// What the worker calls itself; if nothing is written, the process and the service.
    pub name: Option<String>,
    /// Goes before the name of each function.
    pub prefix: String,
    /// How the functions get their params.
    pub params: Params,
    /// How many calls are under way at the same time.
    pub concurrency: usize,
    /// How many calls the service may have that it has not ended, given up or not.
    pub queue_limit: usize,
    /// How long a function may take.
    pub timeout: Duration,
    /// Functions that may take another time.
    pub timeouts: BTreeMap<String, Duration>,
}

/// How a function gets its params.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Params {
    /// As JSON text, whatever the caller wrote.
    Json,
    /// As the caller wrote them.
    Bytes,
}

impl Worker {
    /// What `entry` says; `agent` is the file's.
    pub(super) fn of(entry: &Object<'_>, agent: &str) -> Result<Option<Worker>, ConfError> {
        match entry.value("worker") {
            None | Some(crate::tree::Value::Bool(false)) => return Ok(None),
            Some(crate::tree::Value::Bool(true)) => return Ok(Some(Worker::plain(agent))),
            Some(_) => {}
        }
        let Some(said) = entry.object("worker")? else { return Ok(None) };
        if let Some(stranger) = said.unknown(KEYS).into_iter().next() {
            return Err(stranger);
        }
        let optional = |key| if said.has(key) { text(&said, key, NAME).map(Some) } else { Ok(None) };
        let number = |key, most| said.integer(key, 1..=most).map(|number| number.map(i64::unsigned_abs));
        let plain = Worker::plain(agent);
        let name = optional("name")?.map(str::to_owned);
        if name.as_deref() == Some("") {
            return Err(said.error("name", "empty; expected a name"));
        }
        Ok(Some(Worker {
            agent: address(&said, "agent")?.map_or(plain.agent, str::to_owned),
            name,
            prefix: optional("prefix")?.unwrap_or_default().to_owned(),
            params: params(&said)?,
            concurrency: number("concurrency", 64)?.map_or(plain.concurrency, |number| number as usize),
            queue_limit: number("queue_limit", 10_000)?.map_or(plain.queue_limit, |number| number as usize),
            timeout: number("timeout_ms", DAY_MS)?.map_or(plain.timeout, Duration::from_millis),
            timeouts: timeouts(&said)?,
        }))
    }

    /// One of which nothing more is said.
    fn plain(agent: &str) -> Worker {
        Worker {
            agent: agent.to_owned(),
            name: None,
            prefix: String::new(),
            params: Params::Json,
            concurrency: 1,
            queue_limit: 64,
            timeout: TIMEOUT,
            timeouts: BTreeMap::new(),
        }
    }

    /// How long this function may take.
    pub fn timeout_of(&self, function: &str) -> Duration {
        self.timeouts.get(function).copied().unwrap_or(self.timeout)
    }
}

/// The file's `agent`.
pub(super) fn agent(top: &Object<'_>) -> Result<String, ConfError> {
    Ok(address(top, "agent")?.unwrap_or(AGENT).to_owned())
}

fn address<'a>(object: &Object<'a>, key: &str) -> Result<Option<&'a str>, ConfError> {
    let Some(written) = object.string(key)? else { return Ok(None) };
    let named = |(host, port): (&str, &str)| {
        let is_name =
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        is_name && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    let is_address = written.parse::<SocketAddr>().is_ok_and(|address| address.port() > 0);
    match is_address || written.split_once(':').is_some_and(named) {
        true => Ok(Some(written)),
        false => Err(object.error(key, format!("expected a host and a port such as {AGENT}, found {written:?}"))),
    }
}

fn params(said: &Object<'_>) -> Result<Params, ConfError> {
    match said.string("params")? {
        None | Some("json") => Ok(Params::Json),
        Some("bytes") => Ok(Params::Bytes),
        Some(other) => Err(said.error("params", format!("expected \"json\" or \"bytes\", found {other:?}"))),
    }
}

fn timeouts(said: &Object<'_>) -> Result<BTreeMap<String, Duration>, ConfError> {
    let Some(each) = said.object("timeouts_ms")? else { return Ok(BTreeMap::new()) };
    let read = |function: &str| {
        let ms = each.integer(function, 1..=DAY_MS)?.unwrap_or(DAY_MS);
        Ok((function.to_owned(), Duration::from_millis(ms.unsigned_abs())))
    };
    each.keys().map(read).collect()
}

/// What `-k parse` shows of it.
impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a worker of {}", self.agent)?;
        if let Some(name) = &self.name {
            write!(f, " called {name}")?;
        }
        if !self.prefix.is_empty() {
            write!(f, ", functions begin with {}", self.prefix)?;
        }
        let params = if self.params == Params::Json { "JSON" } else { "bytes" };
        let (at_once, queue) = (self.concurrency, self.queue_limit);
        write!(f, ", params as {params}, {at_once} at a time, at most {queue} unfinished")?;
        write!(f, ", within {} ms", self.timeout.as_millis())?;
        self.timeouts.iter().try_for_each(|(name, limit)| write!(f, ", {name} within {} ms", limit.as_millis()))
    }
}
