//! `msf_agent events [NAME]`: what is published, while it happens; who is present already first.

use super::Failure;
use super::list::word;
use super::operator::{Connection, PATIENCE, printable, show, understood};
use super::table::time_of_day;
use msf_conf::args::Args;
use msf_conf::tree::Value;
use msf_wire::json;
use std::process::ExitCode;

/// Shows `--count` of them, or all until it is interrupted.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let count = args.number("count", 1..=u64::from(u32::MAX))?;
    let name = args.rest.first().map_or("*", String::as_str);
    let mut request = b"{\"verb\":\"events\",\"name\":".to_vec();
    json::append_quoted(&mut request, name);
    request.push(b'}');
    let mut connection = Connection::open()?;
    connection.send(&String::from_utf8(request)?)?;
    // The first line says that from here on nothing is missed.
    understood(&connection.line(Some(PATIENCE))?)?;
    eprintln!("msf_agent: events are shown from now on");
    let mut left = count;
    while left != Some(0) {
        let line = connection.line(None)?;
        let event = understood(&line)?;
        match args.json {
            true => show(&format!("{line}\n"))?,
            false => show(&format!("{}\n", shown(&event)))?,
        }
        if event.get("missed").is_none() {
            left = left.map(|left| left - 1);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One line: when, what, who has published it, and its data.
fn shown(event: &Value) -> String {
    if let Some(missed) = event["missed"].as_u64() {
        return format!("({missed} more were not shown)");
    }
    let number = |key: &str| event[key].as_u64().unwrap_or_default();
    let data = match &event["data"] {
        Value::String(text) => text.clone(),
        data => data.to_string(),
    };
    let name = word(event, "event");
    let line = format!("{} {name} from {:#x} {data}", time_of_day(number("at_ms")), number("from"));
    printable(line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use msf_conf::tree;

    #[test]
    fn an_event_is_a_line() {
        let line = |text: &str| shown(&tree::parse(text).unwrap());
        let head = r#""at_ms":3723004,"from":18,"event":"e""#;
        assert_eq!(line(&format!(r#"{{{head},"data":{{"a":1}}}}"#)), r#"01:02:03.004Z e from 0x12 {"a":1}"#);
        assert_eq!(line(&format!(r#"{{{head},"data":"x\u001b[2J"}}"#)), "01:02:03.004Z e from 0x12 x?[2J");
        assert_eq!(line(&format!(r#"{{{head},"data":""}}"#)), "01:02:03.004Z e from 0x12");
        assert_eq!(line(r#"{"missed":3}"#), "(3 more were not shown)");
    }
}
