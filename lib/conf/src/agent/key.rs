//! The keys there are: each noun of the settings has a table of its own, and here they are one.
//!
//! Beside the plain keys there are those of one function and of one worker: `function.NAME.KEY` in a `.conf`, an object
//! `functions.NAME` in JSON. A name may have dots in it, a key has none.

use super::{http, librpc, lists, metrics, nmid, rules};
use crate::nearest;

/// A key and what its value is in JSON.
pub type Key = (&'static str, Kind);

/// What a key's value is in JSON.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Truth,
    Number,
    Text,
    /// A number, or a string such as "64K".
    Size,
    /// A string with commas, or an array of strings.
    List,
}

/// Whose rules a key is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Function,
    Worker,
}

impl Group {
    /// What stands in front of the name in a `.conf`.
    pub fn word(self) -> &'static str {
        match self {
            Group::Function => "function",
            Group::Worker => "worker",
        }
    }

    /// The object in JSON that has one object for each name.
    pub fn object(self) -> &'static str {
        match self {
            Group::Function => "functions",
            Group::Worker => "workers",
        }
    }

    /// What may be said of one of them.
    pub fn keys(self) -> &'static [Key] {
        match self {
            Group::Function => rules::KEYS,
            Group::Worker => rules::WORKER_KEYS,
        }
    }

    pub const ALL: [Group; 2] = [Group::Function, Group::Worker];
}

/// What a key of a `.conf` is about.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// The agent.
    Agent(Key),
    /// The function or worker of this name.
    One(Group, &'a str, Key),
}

/// The key that is written `key` in a `.conf`, or what is wrong with it.
pub fn find(key: &str) -> Result<About<'_>, String> {
    for group in Group::ALL {
        let (first, rest) = key.split_once('.').unwrap_or((key, ""));
        if first != group.word() && first != group.object() {
            continue;
        }
        let known = || group.keys().iter().map(|(key, _)| *key);
        return match rest.rsplit_once('.') {
            Some((name, key)) if first == group.word() && !name.is_empty() => {
                let found = group.keys().iter().find(|(known, _)| *known == key);
                found.map(|found| About::One(group, name, *found)).ok_or_else(|| nearest::unknown(key, known()))
            }
            _ => Err(format!("unknown key; expected {}.NAME.KEY", group.word())),
        };
    }
    plain(key).map(About::Agent).ok_or_else(|| nearest::unknown(key, all().map(|(key, _)| key)))
}

/// The key of this name that is about the whole agent.
pub fn plain(name: &str) -> Option<Key> {
    all().find(|(key, _)| *key == name)
}

/// The complaint about a key that is not there in JSON.
pub fn unknown(key: &str) -> String {
    nearest::unknown(key, all().map(|(key, _)| key).chain(Group::ALL.map(Group::object)))
}

fn all() -> impl Iterator<Item = Key> {
    let tables = [librpc::KEYS, nmid::KEYS, http::KEYS, metrics::KEYS, lists::KEYS, rules::KEYS];
    tables.into_iter().flatten().copied()
}
