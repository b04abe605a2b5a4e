//! `msf_agent call FUNCTION JSON`: calls a function of any protocol's worker, or a librpc service's command.

use super::Failure;
use super::operator::{Connection, Misused, PATIENCE, printable, show, understood};
use msf_conf::args::Args;
use msf_wire::{base64, json};
use std::io::{IsTerminal, Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

/// Makes the call. Its data goes to stdout, what is said about it to stderr; exit code 1 unless the function says 0.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let [function, params] = args.rest.as_slice() else { return Err(Misused("call: FUNCTION JSON".to_owned()).into()) };
    let request = request(function, params, args.number("deadline", 1..=DAY)?)?;
    let patience = args.number("deadline", 1..=DAY)?.map(|millis| Duration::from_millis(millis) + PATIENCE);
    let mut connection = Connection::open()?;
    connection.send(&request)?;
    let line = connection.line(patience)?;
    if args.json {
        show(&format!("{line}\n"))?;
        let failed = json::members(&line).map_or(true, |answer| answer.get("code") != Some(&"0"));
        return Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    understood(&line).map_err(|failure| format!("{}: {failure}", printable(function)))?;
    let answer = json::members(&line)?;
    let member = |key: &str| answer.get(key).copied().unwrap_or_default();
    let text = json::unquoted(member("data"));
    let data = match text.filter(|_| !member("encoding").is_empty()).map(|text| base64::decode(text.as_bytes())) {
        Some(bytes) => bytes.unwrap_or_default(),
        None => json::unquoted(member("data")).unwrap_or_else(|| member("data").to_owned()).into_bytes(),
    };
    let mut out = stdout().lock();
    // A pipe gets what the function returned; a terminal must not obey it.
    let data = if out.is_terminal() { readable(&data).into_bytes() } else { data };
    // One write, so that the end of the line does not come alone.
    out.write_all(&[data.as_slice(), b"\n"].concat())?;
    if member("code") == "0" {
        return Ok(ExitCode::SUCCESS);
    }
    let said = json::unquoted(member("msg")).unwrap_or_default();
    eprintln!("msf_agent: {}: code {}: {}", printable(function), member("code"), printable(&said));
    Ok(ExitCode::FAILURE)
}

/// Data for a terminal: its lines stay lines.
fn readable(data: &[u8]) -> String {
    let lines: Vec<String> = String::from_utf8_lossy(data).split('\n').map(printable).collect();
    lines.join("\n")
}

/// The line for the agent. `params` go into it as they are, so they must be JSON, in one line.
fn request(function: &str, params: &str, deadline: Option<u64>) -> Result<String, Failure> {
    if function.is_empty() {
        return Err(Misused("FUNCTION: empty; expected a name".to_owned()).into());
    }
    if let Err(what) = json::members(params)
        && json::text_of(params.as_bytes()).is_none()
    {
        return Err(Misused(format!("JSON: {what}")).into());
    }
    let mut line = b"{\"verb\":\"call\",\"function\":".to_vec();
    json::append_quoted(&mut line, function);
    line.extend_from_slice(b",\"params\":");
    // JSON has line ends between its values only, where a blank is as good.
    line.extend(params.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    if let Some(millis) = deadline {
        line.extend_from_slice(format!(",\"deadline\":{millis}").as_bytes());
    }
    line.push(b'}');
    Ok(String::from_utf8(line)?)
}

const DAY: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_go_as_they_were_written_but_in_one_line() {
        let line = request("To\"Upper", "{\"name\":\n  1.50}", Some(9)).unwrap();
        assert_eq!(line, r#"{"verb":"call","function":"To\"Upper","params":{"name":   1.50},"deadline":9}"#);
        assert!(request("f", "[1]", None).unwrap().ends_with("\"params\":[1]}"));
    }

    #[test]
    fn what_a_function_returns_moves_no_cursor() {
        assert_eq!(readable(b"{\n \"a\": \"\x1b[2J\xc2\x9b1m\xff\"\n}"), "{\n \"a\": \"?[2J?1m\u{fffd}\"\n}");
    }

    #[test]
    fn what_is_no_json_is_wrong_usage_and_says_where() {
        let error = request("f", "{\"a\": 1,}", None).unwrap_err();
        assert!(error.is::<Misused>() && error.to_string().contains("line 1 column 9"), "{error}");
        assert!(request("f", "", None).unwrap_err().to_string().starts_with("JSON: EOF"));
        assert!(request("", "{}", None).unwrap_err().is::<Misused>());
    }
}
