//! What `msf_daemon status` shows, for people and for programs.

use super::json::{Value, json};
use super::report::Found;
use std::fmt::Write;
use std::time::Duration;

/// The daemon and its processes, at one moment.
#[derive(Debug)]
pub struct Status {
    /// The daemon's own pid.
    pub pid: u32,
    /// How long it has been running.
    pub uptime: Duration,
    /// The configuration file.
    pub config: String,
    /// `msf_version` of that file.
    pub version: String,
    /// The events file.
    pub events: String,
    /// The processes, in order of starting.
    pub processes: Vec<Row>,
}

/// One process.
#[derive(Debug)]
pub struct Row {
    /// `proc_idx`.
    pub index: i64,
    /// `proc_name`.
    pub name: String,
    /// What it is.
    pub state: &'static str,
    /// Its pid, while it has one.
    pub pid: Option<i32>,
    /// How long it has been up, while it is.
    pub uptime: Option<Duration>,
    /// How often it was started again by itself.
    pub restarts: u64,
    /// Who is about to take its place, while it is being upgraded.
    pub heir: Option<i32>,
    /// Those that were replaced, and have not ended.
    pub left: Vec<i32>,
    /// When it will be started again, while it waits for that.
    pub next_start: Option<Duration>,
    /// What it waits for, while it is held.
    pub held_by: Option<String>,
    /// What it says of itself, if it does.
    pub says: Option<String>,
    /// Whether it is well, if that is known.
    pub health: Option<String>,
    /// Of what it uses more than it should.
    pub above: Vec<&'static str>,
    /// How it ended the last time, if it ever did.
    pub last: Option<Last>,
    /// The file it writes its output to, if that is the daemon's doing.
    pub output: Option<String>,
    /// The same of its error.
    pub error_output: Option<String>,
    /// The newest report about an end of its, if that is asked for.
    pub crash: Option<Found>,
}

/// One end of a process.
#[derive(Clone, Debug)]
pub struct Last {
    /// In words: an exit code, a signal's name, or why it could not be started.
    pub reason: String,
    /// The exit code, if that was it.
    pub code: Option<i32>,
    /// The signal's number, if that was it.
    pub signal: Option<i32>,
    /// How long ago.
    pub ago: Duration,
}

impl Status {
    /// As one JSON document.
    pub fn json(&self) -> String {
        let head = json!({
            "pid": self.pid,
            "uptime_ms": millis(self.uptime),
            "config": self.config,
            "msf_version": self.version,
            "events": self.events,
        });
        let mut text = format!("{head:#}");
        text.truncate(text.trim_end_matches(['\n', '}']).len());
        text.push_str(",\n  \"processes\": [");
        // One by one: the values of a thousand are many times their text.
        for (place, row) in self.processes.iter().enumerate() {
            text.push_str(if place > 0 { ",\n    " } else { "\n    " });
            text.push_str(&format!("{:#}", row.json()).replace('\n', "\n    "));
        }
        text.push_str("\n  ]\n}\n");
        text
    }

    /// As a table.
    pub fn table(&self) -> String {
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(self.processes.iter().map(Row::cells));
        let mut text = format!("msf_daemon pid {}, up {}, {}\n", self.pid, span(self.uptime), self.config);
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; HEADINGS.len()] = std::array::from_fn(width);
        for row in &rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                // Writing to a String cannot fail.
                let _ = write!(line, "{cell:<width$}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        for Row { name, held_by, says, health, above, .. } in &self.processes {
            if let Some(ill) = health.as_ref().filter(|health| *health != "well") {
                let _ = writeln!(text, "{name} is {ill}");
            }
            if !above.is_empty() {
                let _ = writeln!(text, "{name} is above its limits: {}", above.join(", "));
            }
            if let Some(what) = held_by {
                let _ = writeln!(text, "{name} {what}");
            }
            if let Some(what) = says {
                let _ = writeln!(text, "{name} says: {what}");
            }
        }
        for Row { name, output, error_output, .. } in self.processes.iter().filter(|row| row.last.is_some()) {
            let error = error_output.as_ref().filter(|error| Some(*error) != output.as_ref());
            for file in output.iter().chain(error) {
                let _ = writeln!(text, "what {name} said: {file}");
            }
        }
        for Found { path, text: report, .. } in self.processes.iter().filter_map(|row| row.crash.as_ref()) {
            let _ = writeln!(text, "\n{path}");
            text.push_str(report);
        }
        text
    }
}

impl Row {
    fn json(&self) -> Value {
        let mut row = json!({
            "proc_idx": self.index,
            "name": self.name,
            "state": self.state,
            "pid": self.pid,
            "uptime_ms": self.uptime.map(millis),
            "restarts": self.restarts,
            "successor": self.heir,
            "replaced": self.left,
            "next_start_ms": self.next_start.map(millis),
            "held_by": self.held_by,
            "status": self.says,
            "health": self.health,
            "above_limits": self.above,
            "last_exit": self.last.as_ref().map(|last| json!({
                "reason": last.reason,
                "code": last.code,
                "signal": last.signal,
                "ago_ms": millis(last.ago),
            })),
            "output": self.output,
            "error_output": self.error_output,
        });
        if let Some(crash) = &self.crash {
            row["crash_report"] = crash.document.clone();
        }
        row
    }

    fn cells(&self) -> [String; HEADINGS.len()] {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let state = match self.next_start {
            Some(wait) => format!("{}, {}", self.state, span(wait)),
            None => self.state.to_owned(),
        };
        [
            self.index.to_string(),
            self.name.clone(),
            state,
            or_dash(self.pid.map(|pid| pid.to_string())),
            or_dash(self.uptime.map(span)),
            self.restarts.to_string(),
            or_dash(self.last.as_ref().map(|last| format!("{}, {} ago", last.reason, span(last.ago)))),
        ]
    }
}

/// For programs.
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A length of time with its two greatest units, as one would say it.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, 0) => format!("{} ms", span.as_millis()),
        (0, 0, 0, s) => format!("{s}.{} s", span.subsec_millis() / 100),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

const HEADINGS: [&str; 7] = ["IDX", "NAME", "STATE", "PID", "UPTIME", "RESTARTS", "LAST EXIT"];

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let row = |name: &str, state| Row {
            index: 0,
            name: name.to_owned(),
            state,
            pid: None,
            uptime: None,
            restarts: 0,
            heir: None,
            left: Vec::new(),
            next_start: None,
            held_by: None,
            says: None,
            health: None,
            above: Vec::new(),
            last: None,
            output: Some(format!("/log/{name}.out")),
            error_output: None,
            crash: None,
        };
        let last = Last { reason: "SIGKILL".to_owned(), code: None, signal: Some(9), ago: Duration::from_secs(61) };
        let up = Row {
            pid: Some(42),
            uptime: Some(Duration::from_millis(3250)),
            restarts: 1,
            last: Some(last),
            ..row("msf_agent", "up")
        };
        let waiting = Row { next_start: Some(Duration::from_millis(80)), ..row("shell", "waiting") };
        Status {
            pid: 7,
            uptime: Duration::from_secs(90_000),
            config: "/etc/msf/d.json".to_owned(),
            version: "v1".to_owned(),
            events: "/log/events".to_owned(),
            processes: vec![up, waiting],
        }
    }

    #[test]
    fn the_table_lines_up() {
        let expected = "\
msf_daemon pid 7, up 1 d 1 h, /etc/msf/d.json
IDX  NAME       STATE           PID  UPTIME  RESTARTS  LAST EXIT
0    msf_agent  up              42   3.2 s   1         SIGKILL, 1 min 1 s ago
0    shell      waiting, 80 ms  -    -       0         -
what msf_agent said: /log/msf_agent.out
";
        assert_eq!(status().table(), expected);
    }

    #[test]
    fn the_document_says_the_same_with_numbers() {
        let document: Value = serde_json::from_str(&status().json()).unwrap();
        assert_eq!(document["pid"], 7);
        let agent = &document["processes"][0];
        assert_eq!((&agent["state"], &agent["pid"], &agent["uptime_ms"]), (&json!("up"), &json!(42), &json!(3250)));
        assert_eq!(agent["last_exit"], json!({"reason": "SIGKILL", "code": null, "signal": 9, "ago_ms": 61_000}));
        assert_eq!(agent["output"], "/log/msf_agent.out");
        assert_eq!(document["processes"][1]["next_start_ms"], 80);
        assert_eq!(document["processes"][1]["last_exit"], Value::Null);
    }
}
