//! The words an operator says to a running agent (`call`, `list`, `top`, `tap`, `events`), and the connection they go over.

use super::{Failure, call, events, list, tap, top};
use crate::control::admin::SOCKET;
use msf_conf::args::{Args, Extra, Usage};
use msf_conf::tree::{self, Value};
use msf_core::sys::place;
use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

/// The words.
pub const WORDS: &[&str] = &["call", "list", "tap", "top", "events"];

/// The options of all of them.
pub const OPTIONS: &[Extra] = &[
    Extra { name: "deadline", valued: true },
    Extra { name: "count", valued: true },
    Extra { name: "interval", valued: true },
    Extra { name: "once", valued: false },
];

/// Does what `word` says.
pub fn run(word: &str, args: &Args) -> ExitCode {
    let done = match word {
        "call" => only(args, &["deadline"], &["FUNCTION", "JSON"]).and_then(|()| call::run(args)),
        "list" => only(args, &[], &[]).and_then(|()| list::run(args)),
        "tap" => only(args, &["count"], &["FUNCTION"]).and_then(|()| tap::run(args)),
        "events" => {
            // The name may be left out.
            let words: &[&str] = if args.rest.is_empty() { &[] } else { &["NAME"] };
            only(args, &["count"], words).and_then(|()| events::run(args))
        }
        _ => only(args, &["interval", "once"], &[]).and_then(|()| top::run(args)),
    };
    match done {
        Ok(code) => code,
        // Whoever read what we show has seen enough.
        Err(failure)
            if failure.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("msf_agent: {failure}");
            ExitCode::from(if failure.is::<Usage>() || failure.is::<Misused>() { 2 } else { 1 })
        }
    }
}

/// Refuses options of another word, and words too many or too few.
fn only(args: &Args, options: &[&str], words: &[&str]) -> Result<(), Failure> {
    let word = args.word.as_deref().unwrap_or_default();
    if let Some(stranger) = args.options.keys().find(|name| !options.contains(*name)) {
        return Err(Misused(format!("{word} has no option --{stranger}")).into());
    }
    if args.rest.len() != words.len() {
        let wanted = if words.is_empty() { "nothing after it".to_owned() } else { words.join(" and ") };
        return Err(Misused(format!("{word}: expected {wanted}, found {} words", args.rest.len())).into());
    }
    Ok(())
}

/// A command line that says what cannot be done; exit code 2.
#[derive(Debug)]
pub struct Misused(pub String);

impl fmt::Display for Misused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misused {}

/// A connection to the admin socket.
pub struct Connection(BufReader<UnixStream>);

impl Connection {
    /// To the agent that runs: the first place where one answers.
    pub fn open() -> Result<Connection, Failure> {
        let places = place::run_dirs();
        for place in &places {
            let path = place.join(SOCKET);
            match UnixStream::connect(&path) {
                Ok(stream) => return Ok(Connection(BufReader::new(stream))),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {}
                Err(error) => return Err(format!("cannot connect to {}: {error}", path.display()).into()),
            }
        }
        let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        Err(format!("no msf_agent is running (looked in {})", places.join(", ")).into())
    }

    /// Sends a request.
    pub fn send(&mut self, request: &str) -> Result<(), Failure> {
        let stream = self.0.get_mut();
        stream.set_write_timeout(Some(PATIENCE))?;
        let sent = stream.write_all(format!("{request}\n").as_bytes());
        sent.map_err(|error| format!("the agent does not take the request: {error}").into())
    }

    /// The next answer as it stands in its line, for which the agent may take `patience`; `None`: as long as it takes.
    pub fn line(&mut self, patience: Option<Duration>) -> Result<String, Failure> {
        self.0.get_mut().set_read_timeout(patience)?;
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => Err("the agent has closed the connection".into()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err("the agent does not answer".into()),
            Err(error) => Err(format!("cannot read the agent's answer: {error}").into()),
        }
    }

    /// Sends a request; the answer, and the line it stood in.
    pub fn ask(&mut self, request: &str) -> Result<(Value, String), Failure> {
        self.send(request)?;
        let line = self.line(Some(PATIENCE))?;
        Ok((understood(&line)?, line))
    }
}

/// What an answer's line says, unless it says what went wrong.
pub fn understood(line: &str) -> Result<Value, Failure> {
    let answer = tree::parse(line).map_err(|what| format!("the agent's answer is not understood: {what}"))?;
    match answer.get("error").and_then(Value::as_str) {
        Some(what) => Err(printable(what).into()),
        None => Ok(answer),
    }
}

/// Shows something at stdout.
pub fn show(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// A text from outside that a terminal can be shown: whatever could move its cursor is a question mark.
pub fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// How long the agent may take for what it knows itself.
pub const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn args(word: &str, rest: &[&str], options: &[&'static str]) -> Args {
        Args {
            word: Some(word.to_owned()),
            rest: rest.iter().map(ToString::to_string).collect(),
            options: options.iter().map(|name| (*name, "1".to_owned())).collect(),
            ..Args::default()
        }
    }

    #[test]
    fn a_word_has_its_own_options_and_its_own_words() {
        assert!(only(&args("tap", &["f"], &["count"]), &["count"], &["FUNCTION"]).is_ok());
        let error = only(&args("list", &[], &["once"]), &[], &[]).unwrap_err().to_string();
        assert_eq!(error, "list has no option --once");
        let error = only(&args("call", &["f"], &[]), &["deadline"], &["FUNCTION", "JSON"]).unwrap_err();
        assert_eq!(error.to_string(), "call: expected FUNCTION and JSON, found 1 words");
        assert!(error.is::<Misused>());
    }

    #[test]
    fn what_went_wrong_is_said_without_what_moves_a_cursor() {
        let error = understood("{\"error\":\"no function \\\"\\u001b[2J\\\"\"}").unwrap_err().to_string();
        assert_eq!(error, "no function \"?[2J\"");
        assert!(understood("nothing").unwrap_err().to_string().contains("not understood"));
    }
}
