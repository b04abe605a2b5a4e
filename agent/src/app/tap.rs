//! `msf_agent tap FUNCTION`: what is asked of a function and what it answers, while it happens.

use super::Failure;
use super::list::word;
use super::operator::{Connection, PATIENCE, printable, show, understood};
use super::table::{duration, time_of_day};
use msf_conf::args::Args;
use msf_conf::tree::Value;
use msf_wire::json;
use std::process::ExitCode;

/// Shows `--count` of them, or all until it is interrupted.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let count = args.number("count", 1..=u64::from(u32::MAX))?;
    let function = args.rest.first().map(String::as_str).unwrap_or_default();
    let mut request = b"{\"verb\":\"tap\",\"function\":".to_vec();
    json::append_quoted(&mut request, function);
    request.push(b'}');
    let mut connection = Connection::open()?;
    connection.send(&String::from_utf8(request)?)?;
    // The first line says that all reactors look.
    understood(&connection.line(Some(PATIENCE))?)?;
    eprintln!("msf_agent: what is asked of {} is shown from now on", printable(function));
    let mut left = count;
    while left != Some(0) {
        let line = connection.line(None)?;
        let seen = understood(&line)?;
        match args.json {
            true => show(&format!("{line}\n"))?,
            false => show(&format!("{}\n", shown(&seen)))?,
        }
        if seen.get("missed").is_none() {
            left = left.map(|left| left - 1);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One line: when, who, what, how long, how much, and the beginning of it.
fn shown(seen: &Value) -> String {
    if let Some(missed) = seen["missed"].as_u64() {
        return format!("({missed} more were not shown)");
    }
    let number = |key: &str| seen[key].as_u64().unwrap_or_default();
    let time = time_of_day(number("at_ms"));
    let mark = match word(seen, "event").as_str() {
        "request" => "->".to_owned(),
        "abandoned" => format!("-- given up after {}", duration(number("micros"))),
        "failure" => format!("<- {} after {}", word(seen, "outcome"), duration(number("micros"))),
        _ => format!("<- {} in {}", word(seen, "outcome"), duration(number("micros"))),
    };
    let caller = format!("{} {}#{}", word(seen, "protocol"), word(seen, "caller"), number("ticket"));
    let payload = word(seen, "payload");
    let (bytes, dots) = (number("bytes"), if (payload.len() as u64) < number("bytes") { " …" } else { "" });
    let payload = if bytes > 0 { format!(" {bytes} bytes {}{dots}", printable(&payload)) } else { String::new() };
    format!("{time} {caller} {mark}{payload}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use msf_conf::tree;

    #[test]
    fn a_request_and_its_end_are_a_line_each() {
        let line = |text: &str| shown(&tree::parse(text).unwrap());
        let head = r#""at_ms":3723004,"function":"f","protocol":"nmid","caller":"0/7","ticket":5"#;
        let request =
            line(&format!(r#"{{{head},"bytes":300,"event":"request","micros":null,"payload":"{{}}\u001b"}}"#));
        assert_eq!(request, "01:02:03.004Z nmid 0/7#5 -> 300 bytes {}? …");
        let end =
            line(&format!(r#"{{{head},"bytes":2,"event":"answer","outcome":"ok","micros":1500,"payload":"ab"}}"#));
        assert_eq!(end, "01:02:03.004Z nmid 0/7#5 <- ok in 1.5ms 2 bytes ab");
        let lost = line(&format!(r#"{{{head},"bytes":0,"event":"failure","outcome":"lost","micros":9,"payload":""}}"#));
        assert_eq!(lost, "01:02:03.004Z nmid 0/7#5 <- lost after 9us");
        assert_eq!(line(r#"{"missed":3}"#), "(3 more were not shown)");
    }
}
