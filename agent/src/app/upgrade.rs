//! `msf_agent -k upgrade` and `-k replace`: asks the running agent to let the program that is installed now take its place, and waits.

use super::operator::{Connection, understood};
use super::{Failure, say};
use msf_conf::tree::Value;
use std::process::ExitCode;
use std::time::Duration;

/// Asks, and says what came of it.
pub fn run(drain: bool) -> ExitCode {
    match ask(drain) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("msf_agent: upgrade: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The connection of the question goes over with all others: it is the new agent that answers.
fn ask(drain: bool) -> Result<String, Failure> {
    let mut connection = Connection::open()?;
    connection.send(&format!("{{\"verb\":\"upgrade\",\"drain\":{drain}}}"))?;
    let answer = understood(&connection.line(Some(PATIENCE))?)?;
    let number = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or_default();
    if answer.get("left").is_some() {
        let (now, before, left) = (number("now"), number("before"), number("left"));
        return Ok(format!(
            "msf_agent: process {now} takes new connections; {left} stay with process {before} until they are idle\n"
        ));
    }
    let millis = Duration::from_micros(number("standstill_us")).as_secs_f64() * 1e3;
    Ok(format!(
        "msf_agent: process {} goes on for process {}: {} connections, {millis:.1} ms without service\n",
        number("now"),
        number("before"),
        number("connections")
    ))
}

/// More than the agent gives a successor.
const PATIENCE: Duration = Duration::from_secs(40);
