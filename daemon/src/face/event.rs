//! What has happened to the processes: one line each, for people or programs, and the last of them kept.

use super::json::json;
use msf_core::sys::rfc3339;
use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

/// A process has become something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Which it is since the daemon began; none is left out.
    pub number: u64,
    /// When, in nanoseconds since 1970.
    pub moment: u64,
    /// Whom it is about.
    pub name: String,
    /// What it was.
    pub from: &'static str,
    /// What it is.
    pub to: &'static str,
    /// Why.
    pub cause: String,
    /// Its pid, while it has one.
    pub pid: Option<i32>,
    /// How often it was started again by itself.
    pub restarts: u64,
}

/// The last ones.
#[derive(Debug, Default)]
pub struct Chronicle {
    last: VecDeque<Happening>,
    count: u64,
}

impl Happening {
    /// For programs.
    pub fn json(&self) -> String {
        let line = json!({
            "seq": self.number,
            "time": rfc3339(self.moment),
            "event": "state",
            "name": self.name,
            "from": self.from,
            "to": self.to,
            "cause": self.cause,
            "pid": self.pid,
            "restarts": self.restarts,
        });
        format!("{line}\n")
    }

    /// For people.
    pub fn line(&self) -> String {
        let pid = self.pid.map_or_else(String::new, |pid| format!(", pid {pid}"));
        format!("{} {}: {} -> {}{pid}: {}\n", rfc3339(self.moment), self.name, self.from, self.to, self.cause)
    }

    /// One of the two.
    pub fn shown(&self, json: bool) -> String {
        if json { self.json() } else { self.line() }
    }
}

impl Chronicle {
    /// Keeps one, which gets its number and its time.
    pub fn add(&mut self, happening: Happening) -> &Happening {
        if self.last.len() == MOST {
            self.last.pop_front();
        }
        self.count += 1;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let moment = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        // Why can be as long as all the folders in which a program was looked for.
        let cause: String = happening.cause.chars().take(LONGEST_CAUSE).collect();
        self.last.push_back(Happening { number: self.count, moment, cause, ..happening });
        // The one that was just put there.
        &self.last[self.last.len() - 1]
    }

    /// How many there have been.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The last `count`, oldest first.
    pub fn last(&self, count: usize) -> impl Iterator<Item = &Happening> {
        self.last.iter().skip(self.last.len().saturating_sub(count))
    }
}

/// As many are kept.
const MOST: usize = 256;
const LONGEST_CAUSE: usize = 500;

#[cfg(test)]
mod tests {
    use super::super::json::Value;
    use super::*;

    fn happening(cause: &str) -> Happening {
        Happening {
            number: 0,
            moment: 0,
            name: "one".to_owned(),
            from: "starting",
            to: "up",
            cause: cause.to_owned(),
            pid: Some(7),
            restarts: 2,
        }
    }

    #[test]
    fn the_last_ones_are_kept_and_numbered_from_the_first() {
        let mut chronicle = Chronicle::default();
        for _ in 0..MOST + 3 {
            chronicle.add(happening(&"x".repeat(LONGEST_CAUSE + 1)));
        }
        let numbers: Vec<u64> = chronicle.last(2).map(|one| one.number).collect();
        assert_eq!(numbers, [MOST as u64 + 2, MOST as u64 + 3]);
        assert_eq!(chronicle.last(usize::MAX).count(), MOST);
        assert!(chronicle.last(1).all(|one| one.cause.len() == LONGEST_CAUSE));
    }

    #[test]
    fn a_line_stays_a_line_for_people_and_programs() {
        let one = Happening { moment: 1_795_303_194_000_678_999, ..happening("ready") };
        assert_eq!(one.line(), "2026-11-21T23:19:54.000678Z one: starting -> up, pid 7: ready\n");
        let document: Value = serde_json::from_str(&one.shown(true)).unwrap();
        assert_eq!((&document["to"], &document["pid"], &document["restarts"]), (&json!("up"), &json!(7), &json!(2)));
        assert_eq!(happening("a\nb").json().lines().count(), 1);
    }
}
