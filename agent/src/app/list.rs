//! `msf_agent list`: functions with their workers, services, sessions.

use super::Failure;
use super::operator::{Connection, show};
use super::table::{Table, left, right};
use msf_conf::args::Args;
use msf_conf::tree::Value;
use std::process::ExitCode;

/// Asks once, and shows it.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (answer, line) = Connection::open()?.ask(r#"{"verb":"list"}"#)?;
    match args.json {
        true => show(&format!("{line}\n"))?,
        false => show(&shown(&answer))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(list: &Value) -> String {
    let mut text = functions(entries(list, "functions"));
    let services = entries(list, "services");
    let mut table = Table::new(&[left("SERVICE", 30), left("ID", 10), left("PEER", 38)]);
    for service in services {
        let id = service["id"].as_u64().unwrap_or_default();
        table.row(&[word(service, "name"), format!("{id:#x}"), word(service, "peer")]);
    }
    text += &format!("\n{table}{}", none_of(services, "no services\n"));
    text += &format!("\n{}", sessions(entries(list, "sessions")));
    let (all, here) = (list["session_count"].as_u64().unwrap_or_default(), entries(list, "sessions").len() as u64);
    if all > here {
        text += &format!("and {} sessions more\n", all - here);
    }
    text
}

fn functions(functions: &[Value]) -> String {
    let columns = [left("FUNCTION", 24), left("WORKER", 18), left("FROM", 15), left("STATE", 5)];
    let mut table = Table::new(&[columns.as_slice(), &[right("JOBS", 14)]].concat());
    for function in functions {
        let workers = entries(function, "workers");
        for worker in workers {
            let name = [word(worker, "name"), format!("#{}", word(worker, "id"))];
            let jobs = worker["jobs"].as_u64().unwrap_or_default();
            let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
            table.row(&[word(function, "function"), name, word(worker, "ip"), word(worker, "state"), jobs.to_string()]);
        }
        if workers.is_empty() {
            table.row(&[word(function, "function"), "no worker".to_owned()]);
        }
    }
    format!("{table}{}", none_of(functions, "no functions\n"))
}

fn sessions(sessions: &[Value]) -> String {
    let columns = [left("SESSION", 12), left("SPEAKS", 6), left("STATE", 9), left("NAME", 18)];
    let mut table = Table::new(&[columns.as_slice(), &[left("PEER", 22), right("AGE", 8)]].concat());
    for session in sessions {
        let number = |key: &str| session[key].as_u64().unwrap_or_default();
        let seconds = number("age_ms") / 1000;
        let age = match seconds {
            0..3_600 => format!("{}:{:02}", seconds / 60, seconds % 60),
            _ => format!("{}h{:02}", seconds / 3_600, seconds / 60 % 60),
        };
        let place = format!("{}/{}", number("reactor"), number("session"));
        let (state, name) = (word(session, "state"), word(session, "name"));
        table.row(&[place, word(session, "protocol"), state, name, word(session, "peer"), age]);
    }
    format!("{table}{}", none_of(sessions, "no sessions\n"))
}

fn none_of<'a>(entries: &[Value], otherwise: &'a str) -> &'a str {
    if entries.is_empty() { otherwise } else { "" }
}

/// The array under `key`.
pub fn entries<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The text under `key`.
pub fn word(of: &Value, key: &str) -> String {
    of[key].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use msf_conf::tree;

    #[test]
    fn a_list_fits_the_terminal_and_says_when_there_is_nothing() {
        let empty = r#"{"functions":[],"services":[],"sessions":[],"session_count":0}"#;
        let text = shown(&tree::parse(empty).unwrap());
        assert!(text.contains("no functions\n") && text.contains("no services\n") && text.contains("no sessions\n"));
        let long = "x".repeat(100);
        let full = format!(
            r#"{{"functions":[{{"function":"{long}","queued":0,"workers":[{{"id":"7","name":"","ip":"1.2.3.4","state":"idle","jobs":5}}]}},
               {{"function":"gone","workers":[]}}],
               "services":[{{"id":18,"name":"{long}","peer":"pid 1 uid 0"}}],
               "sessions":[{{"reactor":0,"session":4194304,"protocol":"librpc","state":"member","name":"{long}","id":18,"peer":"{long}","age_ms":3725000}}],
               "session_count":3}}"#
        );
        let text = shown(&tree::parse(&full).unwrap());
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("#7") && text.contains("0x12") && text.contains("1h02") && text.contains("no worker"));
        assert!(text.ends_with("and 2 sessions more\n"));
    }
}
