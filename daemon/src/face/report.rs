//! A crash report: what is known of an end that nobody asked for.

use super::json::{Value, json, parse};
use super::status::{millis, span};
use msf_core::process::Usage;
use std::fmt::Write;
use std::time::Duration;

/// Everything in it.
#[derive(Clone, Debug)]
pub struct Report {
    /// When, in UTC.
    pub time: String,
    /// Of which process.
    pub name: String,
    /// Its pid.
    pub pid: i32,
    /// How it ended, in words.
    pub end: String,
    /// Its exit code, if it had one.
    pub exit_code: Option<i32>,
    /// The signal's number, if that was it.
    pub signal: Option<i32>,
    /// How long it had been up, if it was.
    pub up: Option<Duration>,
    /// How often it had been started again by itself.
    pub restarts: u64,
    /// The address of the fault, and the backtrace, if it has told them.
    pub fault: Option<(String, Vec<String>)>,
    /// Where its core is, or why it is nowhere.
    pub core: Option<String>,
    /// What it has used, where the kernel tells.
    pub usage: Option<Usage>,
    /// The file of its output, and the last lines in it.
    pub output: Option<(String, Vec<String>)>,
}

impl Report {
    /// The name of its file. Names in the order of time sort so.
    pub fn file_name(&self) -> String {
        format!("{}-{}-{}.txt", self.name, compact(&self.time), self.pid)
    }

    /// The whole file: for people, and in its last line for programs.
    pub fn file(&self) -> String {
        format!("{}{}\n", self.text(), self.json())
    }

    /// For programs.
    fn json(&self) -> Value {
        json!({
            "time": self.time,
            "name": self.name,
            "pid": self.pid,
            "reason": self.end,
            "exit_code": self.exit_code,
            "signal": self.signal,
            "uptime_ms": self.up.map(millis),
            "restarts": self.restarts,
            "core": self.core,
            "user_ms": self.usage.map(|usage| millis(usage.user)),
            "system_ms": self.usage.map(|usage| millis(usage.system)),
            "max_rss_bytes": self.usage.map(|usage| usage.max_rss),
            "minor_faults": self.usage.map(|usage| usage.minor_faults),
            "major_faults": self.usage.map(|usage| usage.major_faults),
            "fault_address": self.fault.as_ref().map(|(address, _)| address),
            "backtrace": self.fault.as_ref().map(|(_, trace)| trace),
            "output": self.output.as_ref().map(|(file, _)| file),
            "last_lines": self.output.as_ref().map(|(_, lines)| lines),
        })
    }

    /// As people read it.
    fn text(&self) -> String {
        let mut text = format!("{} ended: {}\n", self.name, self.end);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "time: {}\npid: {}\nrestarts before: {}", self.time, self.pid, self.restarts);
        match self.up {
            Some(up) => _ = writeln!(text, "up: {}", span(up)),
            None => text.push_str("up: never; it was not ready\n"),
        }
        if let Some(core) = &self.core {
            let _ = writeln!(text, "core: {core}");
        }
        if let Some(Usage { user, system, max_rss, minor_faults, major_faults }) = self.usage {
            let (user, system) = (user.as_secs_f64(), system.as_secs_f64());
            let _ = writeln!(text, "processor: {user:.3} s own, {system:.3} s in the kernel");
            let _ = writeln!(
                text,
                "memory: {} KiB at most, {minor_faults} page faults, {major_faults} from disk",
                max_rss >> 10
            );
        }
        if let Some((address, trace)) = &self.fault {
            let _ = writeln!(text, "fault at: {address}\ntrace, innermost first:");
            trace.iter().for_each(|frame| _ = writeln!(text, "  {frame}"));
        }
        if let Some((file, lines)) = &self.output {
            let _ = writeln!(text, "last lines of {file}:");
            lines.iter().for_each(|line| _ = writeln!(text, "  {line}"));
        }
        text
    }
}

/// Whether a file of this name is a report about `name`.
pub fn is_about(file_name: &str, name: &str) -> bool {
    let rest = file_name.strip_prefix(name).and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".txt"));
    let parts = rest.and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(time, pid)| time.len() == COMPACT && time.ends_with('Z') && pid.parse::<i32>().is_ok())
}

/// A report as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Where it is.
    pub path: String,
    /// For people.
    pub text: String,
    /// For programs.
    pub document: Value,
}

impl Found {
    /// The contents of a file, which somebody may have written into.
    pub fn new(path: String, file: &str) -> Found {
        let (text, last) = match file.trim_end().rsplit_once('\n') {
            Some((text, last)) if last.starts_with('{') => (text, last),
            _ => (file.trim_end(), ""),
        };
        let mut document = parse(last).filter(Value::is_object).unwrap_or_else(|| json!({}));
        document["file"] = json!(path);
        Found { path, text: format!("{text}\n"), document }
    }
}

/// Without what does not belong into a file's name.
fn compact(time: &str) -> String {
    time.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// `20260102T030405000Z`
const COMPACT: usize = 19;

/// The file that the kernel writes a core to, by its `pattern` (core_pattern(5)), for a process of this pid and program
/// that a signal has ended in this folder; `None` where the pattern says more than we know.
pub fn core_file(pattern: &str, uses_pid: bool, pid: i32, program: &str, signal: i32, folder: &str) -> Option<String> {
    let (mut path, mut letters, mut has_pid) = (String::new(), pattern.trim_end().chars(), false);
    while let Some(letter) = letters.next() {
        match letter {
            '%' => match letters.next()? {
                '%' => path.push('%'),
                'p' | 'P' | 'i' | 'I' => {
                    path += &pid.to_string();
                    has_pid = true;
                }
                // The short name, in which a slash would be another folder.
                'e' | 'f' => path.extend(program.chars().take(15).map(|c| if c == '/' { '!' } else { c })),
                's' => path += &signal.to_string(),
                _ => return None,
            },
            other => path.push(other),
        }
    }
    if uses_pid && !has_pid {
        path += &format!(".{pid}");
    }
    Some(if path.starts_with('/') { path } else { format!("{}/{path}", folder.trim_end_matches('/')) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            time: "2026-01-02T03:04:05.678Z".to_owned(),
            name: "a-b".to_owned(),
            pid: 77,
            end: "SIGSEGV (core dumped)".to_owned(),
            exit_code: None,
            signal: Some(11),
            up: Some(Duration::from_millis(1500)),
            restarts: 3,
            fault: Some(("0x8".to_owned(), vec!["/bin/x+0x10".to_owned()])),
            core: Some("/tmp/core.77".to_owned()),
            usage: None,
            output: Some(("/log/a-b.out".to_owned(), vec!["last words".to_owned()])),
        }
    }

    #[test]
    fn a_report_says_all_there_is() {
        let text = report().text();
        for part in
            ["a-b ended: SIGSEGV", "pid: 77", "up: 1.5 s", "core: /tmp/core.77", "  /bin/x+0x10", "  last words"]
        {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_file_holds_it_for_people_and_for_programs() {
        let found = Found::new("/x".to_owned(), &report().file());
        assert_eq!(found.text, report().text());
        let document = &found.document;
        assert_eq!((&document["signal"], &document["uptime_ms"]), (&json!(11), &json!(1500)));
        assert_eq!(
            (&document["backtrace"][0], &document["last_lines"][0]),
            (&json!("/bin/x+0x10"), &json!("last words"))
        );
        assert_eq!((&document["file"], &document["max_rss_bytes"]), (&json!("/x"), &Value::Null));
        let foreign = Found::new("/x".to_owned(), "whatever");
        assert_eq!((foreign.text.as_str(), foreign.document), ("whatever\n", json!({"file": "/x"})));
    }

    #[test]
    fn a_file_is_about_the_one_whose_whole_name_it_has() {
        let file = report().file_name();
        assert_eq!(file, "a-b-20260102T030405678Z-77.txt");
        assert!(is_about(&file, "a-b") && !is_about(&file, "a") && !is_about("a-b-x-1.txt", "a-b"));
    }

    #[test]
    fn the_core_is_where_the_pattern_says() {
        let file = |pattern, uses_pid| core_file(pattern, uses_pid, 77, "prog", 11, "/srv/");
        assert_eq!(file("core", false).unwrap(), "/srv/core");
        assert_eq!(file("core\n", true).unwrap(), "/srv/core.77");
        assert_eq!(file("/c/%e.%p.%s%%", true).unwrap(), "/c/prog.77.11%");
        assert_eq!(file("/c/%t", true), None);
    }
}
