//! What is set about the metrics: where they are read, and what they say.

use super::endpoint::Endpoint;
use super::key::{Key, Kind};
use super::word::Word;
use crate::ConfError;
use std::fmt;

/// The metrics' side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// `metrics_enable`, `metrics_ip`, `metrics_port`.
    pub listen: Endpoint,
    /// `metrics_path`: where a scraper finds them.
    pub path: String,
    /// `metrics_create_time`: a worker's function has the label `create_time`, as nmid's has.
    pub create_time: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics { listen: Endpoint::on(9081), path: "/metrics".to_owned(), create_time: true }
    }
}

impl Metrics {
    /// Takes a key of [`KEYS`]; whether it is one.
    pub(super) fn set(&mut self, word: &Word) -> Result<bool, ConfError> {
        let Some(part) = word.key.strip_prefix("metrics_") else { return Ok(false) };
        match part {
            "path" => self.path = path(word)?,
            "create_time" => self.create_time = word.truth()?,
            _ => return self.listen.set(part, word),
        }
        Ok(true)
    }
}

/// A path that stands in a request line as it is.
fn path(word: &Word) -> Result<String, ConfError> {
    let plain = word.value.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
    match word.value.starts_with('/') && plain {
        true => Ok(word.value.clone()),
        false => Err(word.expected("a path such as /metrics")),
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listen.show(f, "metrics")?;
        writeln!(f, "metrics_path={}\nmetrics_create_time={}", self.path, self.create_time)
    }
}

pub(super) const KEYS: &[Key] = &[
    ("metrics_enable", Kind::Truth),
    ("metrics_ip", Kind::Text),
    ("metrics_port", Kind::Number),
    ("metrics_path", Kind::Text),
    ("metrics_create_time", Kind::Truth),
];
