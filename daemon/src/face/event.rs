//! What has happened to the processes: one line each, for people or programs. The line for programs is the one of the
//! events file.

use super::json::{Value, json, parse};
use msf_core::sys::rfc3339;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Something has happened to a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Happening {
    /// Which it is of all of them; a daemon goes on where the last one ended.
    pub seq: u64,
    /// When, in UTC.
    pub time: String,
    /// Whom it is about.
    pub name: String,
    /// Its pid, while it has one; of one that has ended the last.
    pub pid: Option<i32>,
    /// Why.
    pub cause: String,
    /// What.
    pub what: What,
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It has become something else.
    State {
        /// What it was.
        from: String,
        /// What it is.
        to: String,
        /// Its exit code, if it has ended with one.
        exit_code: Option<i32>,
        /// The signal's number, if it has ended by one.
        signal: Option<i32>,
        /// How often it was started again by itself.
        restarts: u64,
    },
    /// Something is wrong with it, or is no longer.
    Alarm {
        /// Of what kind.
        alarm: String,
        /// `raised` or `recovered`.
        state: String,
        /// How bad it is.
        severity: String,
    },
    /// It is being upgraded.
    Upgrade {
        /// How far that is.
        turn: Turn,
        /// Who was the process when it began.
        before: i32,
    },
}

/// How far an upgrade is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It begins.
    Begin,
    /// A successor is the process.
    Done,
    /// There is none.
    Failed,
}

impl Turn {
    fn word(self) -> &'static str {
        match self {
            Turn::Begin => "upgrade_begin",
            Turn::Done => "upgraded",
            Turn::Failed => "upgrade_failed",
        }
    }

    fn from_word(word: &str) -> Option<Turn> {
        [Turn::Begin, Turn::Done, Turn::Failed].into_iter().find(|turn| turn.word() == word)
    }
}

impl Default for What {
    fn default() -> What {
        What::State { from: String::new(), to: String::new(), exit_code: None, signal: None, restarts: 0 }
    }
}

impl Happening {
    /// What has happened just now; its number is for the chronicle to say.
    pub fn new(name: &str, pid: Option<i32>, cause: &str, what: What) -> Happening {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let moment = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        // Why can be as long as all the folders in which a program was looked for.
        let cause = cause.chars().take(LONGEST_CAUSE).collect();
        Happening { seq: 0, time: rfc3339(moment), name: name.to_owned(), pid, cause, what }
    }

    /// For programs; with it the number of lines before it that are not in the file.
    pub fn json(&self, lost: u64) -> String {
        let mut line = format!("{{\"time\":{},\"seq\":{}", json!(self.time), self.seq);
        let mut add = |key: &str, value: Value| line.extend([",\"", key, "\":", &value.to_string()]);
        if lost > 0 {
            add("lost", json!(lost));
        }
        add("name", json!(self.name));
        match &self.what {
            What::State { from, to, .. } => {
                add("event", json!("state"));
                add("from", json!(from));
                add("to", json!(to));
            }
            What::Alarm { alarm, state, severity } => {
                add("event", json!("alarm"));
                add("alarm", json!(alarm));
                add("state", json!(state));
                add("severity", json!(severity));
            }
            What::Upgrade { turn, before } => {
                add("event", json!(turn.word()));
                add("before", json!(before));
            }
        }
        add("pid", json!(self.pid));
        add("cause", json!(self.cause));
        if let What::State { exit_code, signal, restarts, .. } = &self.what {
            add("exit_code", json!(exit_code));
            add("signal", json!(signal));
            add("restarts", json!(restarts));
        }
        line + "}\n"
    }

    /// What a line for programs says, if it is one.
    pub fn read(line: &str) -> Option<Happening> {
        let document = parse(line)?;
        let text = |key: &str| document[key].as_str().map(str::to_owned);
        let int = |key: &str| i32::try_from(document[key].as_i64()?).ok();
        let what = match document["event"].as_str()? {
            "state" => What::State {
                from: text("from")?,
                to: text("to")?,
                exit_code: int("exit_code"),
                signal: int("signal"),
                restarts: document["restarts"].as_u64()?,
            },
            "alarm" => What::Alarm { alarm: text("alarm")?, state: text("state")?, severity: text("severity")? },
            word => What::Upgrade { turn: Turn::from_word(word)?, before: int("before")? },
        };
        let (seq, time) = (document["seq"].as_u64()?, text("time")?);
        Some(Happening { seq, time, name: text("name")?, pid: int("pid"), cause: text("cause")?, what })
    }

    /// For people.
    pub fn line(&self) -> String {
        let pid = self.pid.map_or_else(String::new, |pid| format!(", pid {pid}"));
        let what = match &self.what {
            What::State { from, to, .. } => format!("{from} -> {to}"),
            What::Alarm { alarm, state, severity } => format!("alarm {alarm} {state} ({severity})"),
            What::Upgrade { turn: Turn::Begin, .. } => "upgrade begins".to_owned(),
            What::Upgrade { turn: Turn::Done, before } => format!("upgraded from pid {before}"),
            What::Upgrade { turn: Turn::Failed, .. } => "not upgraded".to_owned(),
        };
        format!("{} {} {}: {what}{pid}: {}\n", self.time, self.seq, self.name, self.cause)
    }

    /// One of the two.
    pub fn shown(&self, json: bool) -> String {
        if json { self.json(0) } else { self.line() }
    }
}

/// What the events file is called when so many newer ones have taken its place.
pub fn older(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

const LONGEST_CAUSE: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_all_and_stays_a_line() {
        let whats = [
            What::State { from: "up".into(), to: "down".into(), exit_code: None, signal: Some(9), restarts: 2 },
            What::Alarm { alarm: "cpu".into(), state: "raised".into(), severity: "warning".into() },
            What::Upgrade { turn: Turn::Begin, before: 7 },
            What::Upgrade { turn: Turn::Done, before: 7 },
            What::Upgrade { turn: Turn::Failed, before: 7 },
        ];
        for what in whats {
            let one = Happening { seq: 7, ..Happening::new("a\n\"b\"", Some(8), "x\ny", what) };
            assert_eq!(Happening::read(&one.json(3)), Some(one.clone()));
            assert_eq!(one.json(3).lines().count(), 1);
            let document = parse(&one.json(3)).unwrap();
            assert_eq!((&document["lost"], &document["pid"], &document["seq"]), (&json!(3), &json!(8), &json!(7)));
        }
        let odd = Happening {
            what: What::Upgrade { turn: Turn::Done, before: 7 },
            ..Happening::new("a", None, "", What::default())
        };
        assert_eq!(Happening::read(&odd.json(0).replace("upgraded", "upgradet")), None);
        assert_eq!(Happening::read("{\"seq\":1}"), None);
        assert_eq!(Happening::read("{\"seq\":7,\"na"), None);
    }

    #[test]
    fn people_read_what_was_and_what_is() {
        let what = What::State { from: "starting".into(), to: "up".into(), exit_code: None, signal: None, restarts: 0 };
        let one = Happening { seq: 41, time: "T".into(), ..Happening::new("one", Some(7), "ready", what) };
        assert_eq!(one.line(), "T 41 one: starting -> up, pid 7: ready\n");
        let what = What::Alarm { alarm: "cpu".into(), state: "raised".into(), severity: "warning".into() };
        let one = Happening { pid: None, what, ..one };
        assert_eq!(one.line(), "T 41 one: alarm cpu raised (warning): ready\n");
        let long = Happening::new("", None, &"x".repeat(LONGEST_CAUSE + 1), What::default());
        assert_eq!((long.cause.len(), long.time.len()), (LONGEST_CAUSE, 27));
    }
}
