//! What is known of a call and of a death, both on CLOCK_MONOTONIC, which all processes share.

use nix::time::{ClockId, clock_gettime};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With the right answer.
    Right,
    /// The caller was told that it has failed.
    Failed,
    /// With another answer than the right one.
    Wrong,
    /// Not at all, for as long as the caller had patience.
    Hung,
}

/// A call that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was called, as an index into the names of all targets.
    pub target: u16,
    /// Nanoseconds.
    pub begun: u64,
    /// Nanoseconds.
    pub ended: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What the caller was told.
    pub why: i32,
}

/// A kill with SIGKILL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// Who died.
    pub victim: String,
    /// Nanoseconds, just before the signal was sent.
    pub at: u64,
    /// Which targets nobody answers for until the victim is back; all if there is none.
    pub targets: Vec<u16>,
    /// Whether anybody is affected at all.
    pub is_felt: bool,
}

/// The names of all targets.
#[derive(Debug, Default)]
pub struct Names(Vec<String>);

impl Names {
    /// Of these.
    pub fn new(names: Vec<String>) -> Names {
        Names(names)
    }

    /// The index of `name`.
    pub fn index(&self, name: &str) -> Option<u16> {
        self.0.iter().position(|known| known == name).map(|place| place as u16)
    }

    /// The name at `index`.
    pub fn of(&self, index: u16) -> &str {
        self.0.get(usize::from(index)).map_or("?", String::as_str)
    }
}

/// Now, in nanoseconds.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap_or_else(|_| nix::sys::time::TimeSpec::new(0, 0));
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

impl Call {
    /// Reads a line of a caller: target, begin, end, the outcome's letter, why.
    pub fn of_line(line: &str, names: &Names) -> Option<Call> {
        let mut words = line.split_ascii_whitespace();
        Some(Call {
            target: names.index(words.next()?)?,
            begun: words.next()?.parse().ok()?,
            ended: words.next()?.parse().ok()?,
            outcome: match words.next()? {
                "r" => Outcome::Right,
                "f" => Outcome::Failed,
                "w" => Outcome::Wrong,
                "h" => Outcome::Hung,
                _ => return None,
            },
            why: words.next()?.parse().ok()?,
        })
    }
}

impl Death {
    /// Reads a line of whoever kills: victim, time, and the targets it answers for, `all` or `none`.
    pub fn of_line(line: &str, names: &Names) -> Option<Death> {
        let mut words = line.split_ascii_whitespace();
        let (victim, at) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        let targets: Vec<&str> = words.collect();
        let is_felt = targets != ["none"];
        let targets = if targets == ["all"] || !is_felt { &[] } else { targets.as_slice() };
        let targets = targets.iter().map(|name| names.index(name)).collect::<Option<Vec<u16>>>()?;
        Some(Death { victim, at, targets, is_felt })
    }

    /// Whether calls of `target` may fail because of this.
    pub fn concerns(&self, target: u16) -> bool {
        self.is_felt && (self.targets.is_empty() || self.targets.contains(&target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_they_mean_and_rubbish_says_nothing() {
        let names = Names::new(["101", "102", "ToUpper"].map(str::to_owned).to_vec());
        let call = Call::of_line("101 5 9 f -104", &names).unwrap();
        assert_eq!((call.begun, call.ended, call.outcome, call.why), (5, 9, Outcome::Failed, -104));
        for line in ["", "101 5 9 x 0", "101 5", "101 a 9 r 0", "103 5 9 r 0"] {
            assert_eq!(Call::of_line(line, &names), None, "{line}");
        }
        let worker = Death::of_line("worker 7 ToUpper 101", &names).unwrap();
        assert!(worker.concerns(call.target) && !worker.concerns(names.index("102").unwrap()));
        assert!(Death::of_line("agent 7 all", &names).unwrap().concerns(99));
        assert_eq!(Death::of_line("worker 7 ToLower", &names), None);
        assert!(!Death::of_line("daemon 7 none", &names).unwrap().concerns(0));
    }
}
