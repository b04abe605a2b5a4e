//! The commands: what is asked of the running copy over its admin socket, and how its answers look on a terminal.

use crate::door::admin::socket;
use crate::text::object;
use crate::text::{bytes, from_value};
use msf_conf::args::Args;
use msf_conf::tree::{self, Value};
use msf_sys::process;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Every command.
pub const ALL: &[&str] = &["list", "load", "unload", "reload", "upgrade", "call", "stats"];

/// How a command ended that did not do what it says.
#[derive(Debug)]
pub enum Failure {
    /// The command line makes no sense.
    Misused(String),
    /// What was asked for was not done.
    Failed(String),
}

/// Asks what the command line says; gives what is to be shown.
pub fn ask(args: &Args, identity: &str) -> Result<Vec<u8>, Failure> {
    let request = request(args)?;
    let patience = args.number("timeout", 1..=86_400_000).map_err(|e| Failure::Misused(e.to_string()))?;
    let (answer, line) = carried(identity, &request, patience).map_err(Failure::Failed)?;
    let failed = answer.get("error").and_then(Value::as_str);
    if args.json {
        return match failed {
            None => Ok(line.into_bytes()),
            Some(_) => Err(Failure::Failed(line.trim_end().to_owned())),
        };
    }
    match (args.word.as_deref(), failed) {
        (Some("call"), Some(what)) => Err(Failure::Failed(what.to_owned())),
        (Some("call"), None) => result(&answer).map_err(Failure::Failed),
        (_, Some(what)) => Err(Failure::Failed([sentences(&answer), what.to_owned()].concat())),
        (Some("list"), None) => Ok(list(&answer).into_bytes()),
        (Some("stats"), None) => Ok(stats(&answer).into_bytes()),
        (_, None) => Ok(sentences(&answer).into_bytes()),
    }
}

/// The document that a command line stands for.
fn request(args: &Args) -> Result<Value, Failure> {
    let verb = args.word.as_deref().unwrap_or_default();
    let misused = |what: String| Failure::Misused(format!("{verb}: {what}"));
    if verb != "call"
        && let Some(option) = args.options.keys().find(|option| **option == "hex")
    {
        return Err(misused(format!("has no option --{option}")));
    }
    let mut members: Vec<(&str, Value)> = vec![("verb", verb.into())];
    match (verb, args.rest.as_slice()) {
        ("list" | "stats" | "reload", []) => {}
        ("load" | "unload" | "upgrade", [name]) => members.push(("service", name.as_str().into())),
        ("call", [name, command, params @ ..]) if params.len() < 2 => {
            members.extend([("service", name.as_str().into()), ("command", command.as_str().into())]);
            let hex = args.options.contains_key("hex");
            if let Some(text) = params.first() {
                if hex {
                    bytes(text).map_err(misused)?;
                }
                members.push((if hex { "hex" } else { "text" }, text.as_str().into()));
            }
            if let Some(ms) = args.options.get("timeout").and_then(|ms| ms.parse::<u64>().ok()) {
                members.push(("timeout_ms", ms.into()));
            }
        }
        ("list" | "stats" | "reload", _) => return Err(misused("expected nothing after it".to_owned())),
        ("call", _) => return Err(misused("expected SERVICE COMMAND [TEXT]".to_owned())),
        _ => return Err(misused("expected the name of a service".to_owned())),
    }
    Ok(object(members))
}

/// The answer, and the line it stood in.
fn carried(identity: &str, request: &Value, patience: Option<u64>) -> Result<(Value, String), String> {
    let folder = process::run_dir().map_err(|e| format!("cannot tell the run folder: {e}"))?;
    let path: PathBuf = folder.join(socket(identity));
    let mut stream = UnixStream::connect(&path).map_err(|e| match e.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            format!("{identity} is not running (nobody listens at {})", path.display())
        }
        _ => format!("cannot connect to {}: {e}", path.display()),
    })?;
    // A start and a stop may take as long as the services are given; a call says itself how long it waits.
    let patience = patience.map(|ms| Duration::from_millis(ms) + GRACE);
    let broken = |e: std::io::Error| format!("{identity} did not answer: {e}");
    stream.set_read_timeout(patience).map_err(broken)?;
    stream.write_all(format!("{request}\n").as_bytes()).map_err(broken)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(broken)?;
    if line.is_empty() {
        return Err(format!("{identity} has ended before it answered"));
    }
    let answer = tree::parse(&line).map_err(|e| format!("{identity}'s answer is not understood: {e}"))?;
    Ok((answer, line))
}

/// What a call has put.
fn result(answer: &Value) -> Result<Vec<u8>, String> {
    let mut bytes = from_value(answer)?;
    if !bytes.is_empty() && answer.get("text").is_some() && bytes.last() != Some(&b'\n') {
        bytes.push(b'\n');
    }
    Ok(bytes)
}

fn sentences(answer: &Value) -> String {
    let done = answer.get("done").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    done.iter().filter_map(Value::as_str).map(|sentence| format!("{}\n", printable(sentence))).collect()
}

fn list(answer: &Value) -> String {
    let mut rows = vec![["NAME", "STATE", "GEN", "VERSION", "CALLS", "LIBRARY"].map(str::to_owned)];
    let mut notes = String::new();
    for service in each(answer, "services") {
        rows.push(["name", "state", "generation", "version", "calls", "library"].map(|key| shown(service.get(key))));
        if service.get("isolated").is_some() {
            let [name, pid, count] = ["name", "pid", "respawns"].map(|key| shown(service.get(key)));
            notes += &format!("{name}: in process {pid}, replaced {count} times\n");
            for (key, words) in [("sandbox", "sandboxed by"), ("sandbox_lacks", "not sandboxed:")] {
                let all: Vec<String> = each(service, key).iter().map(|one| shown(Some(one))).collect();
                if !all.is_empty() {
                    notes += &format!("{name}: {words} {}\n", all.join(", "));
                }
            }
        }
        if let Some(why) = service.get("why").and_then(Value::as_str) {
            notes += &format!("{}: {}\n", shown(service.get("name")), printable(why));
        }
    }
    for left in each(answer, "left") {
        let why: Vec<String> = each(left, "why").iter().map(|why| shown(Some(why))).collect();
        let names: Vec<String> = each(left, "services").iter().map(|name| shown(Some(name))).collect();
        let (number, file) = (shown(left.get("generation")), shown(left.get("library")));
        notes += &format!("{}: generation {number} of {file} is left mapped: {}\n", names.join(", "), why.join("; "));
    }
    table(&rows) + &notes
}

fn stats(answer: &Value) -> String {
    let keys =
        ["name", "pid", "rss_bytes", "threads", "cpu_ms", "events", "timers", "fds", "pool_bytes", "calls", "health"];
    let titles = ["NAME", "PID", "RSS", "THREADS", "CPU_MS", "EVENTS", "TIMERS", "FDS", "POOL", "CALLS", "HEALTH"];
    let mut rows = vec![titles.map(str::to_owned)];
    rows.extend(each(answer, "services").iter().map(|service| keys.map(|key| shown(service.get(key)))));
    table(&rows)
}

fn each<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    answer.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => printable(text),
        Some(other) => other.to_string(),
    }
}

/// A text from outside that a terminal can be shown: whatever could move its cursor is a question mark.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// Columns as wide as they have to be.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// Beyond a call's own patience, before the shell itself is taken for dead.
const GRACE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn args(word: &str, rest: &[&str], options: &[(&'static str, &str)]) -> Args {
        Args {
            word: Some(word.to_owned()),
            rest: rest.iter().map(ToString::to_string).collect(),
            options: options.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            ..Args::default()
        }
    }

    #[test]
    fn a_command_line_stands_for_a_document() {
        let said = |args| request(&args).unwrap().to_string();
        assert_eq!(said(args("list", &[], &[])), r#"{"verb":"list"}"#);
        assert_eq!(said(args("load", &["a"], &[])), r#"{"service":"a","verb":"load"}"#);
        assert_eq!(
            said(args("call", &["a", "add", "00ff"], &[("hex", ""), ("timeout", "5")])),
            r#"{"command":"add","hex":"00ff","service":"a","timeout_ms":5,"verb":"call"}"#
        );
    }

    #[test]
    fn a_command_line_that_makes_no_sense_is_refused() {
        let wrong = [
            args("list", &["a"], &[]),
            args("load", &[], &[]),
            args("call", &["a"], &[]),
            args("call", &["a", "b", "c", "d"], &[]),
            args("call", &["a", "b", "xyz"], &[("hex", "")]),
            args("load", &["a"], &[("hex", "")]),
        ];
        for wrong in wrong {
            assert!(matches!(request(&wrong), Err(Failure::Misused(_))), "{wrong:?}");
        }
    }

    #[test]
    fn a_table_is_as_wide_as_its_widest() {
        let rows = [["A", "B"], ["long", ""], ["x", "y\u{1b}[2J"]].map(|row| row.map(printable));
        assert_eq!(table(&rows), "A     B\nlong\nx     y?[2J\n");
    }
}
