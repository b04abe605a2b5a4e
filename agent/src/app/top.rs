//! `msf_agent top`: what happened since the last look, by function and worker.
//!
//! The agent only says what it has counted since it began; the differences are made here, so that nobody's looking
//! disturbs anybody else's.

use super::Failure;
use super::list::{entries, word};
use super::operator::{Connection, show};
use super::table::{Table, duration, left, rate, right};
use crate::observe::histogram::Distribution;
use msf_conf::args::Args;
use msf_conf::tree::Value;
use std::io::{IsTerminal, stdout};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// Looks every `--interval` seconds, or `--once`.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let interval = Duration::from_secs(args.number("interval", 1..=3_600)?.unwrap_or(1));
    let once = args.options.contains_key("once");
    let clears = stdout().is_terminal() && !once;
    let mut connection = Connection::open()?;
    let mut before: Option<(Instant, Value)> = None;
    loop {
        let (now, line) = connection.ask(r#"{"verb":"top"}"#)?;
        let at = Instant::now();
        if args.json {
            show(&format!("{line}\n"))?;
        } else if let Some((then, before)) = &before {
            // The cursor goes home and everything behind it away; a line that scrolls is left to whoever pipes us.
            let home = if clears { "\x1b[H\x1b[J" } else { "" };
            show(&format!("{home}{}", shown(before, &now, at - *then)))?;
        }
        if once && (args.json || before.is_some()) {
            return Ok(ExitCode::SUCCESS);
        }
        before = Some((at, now));
        thread::sleep(interval);
    }
}

fn shown(before: &Value, now: &Value, between: Duration) -> String {
    let seconds = between.as_secs_f64().max(1e-3);
    let per_second = |key: &str| number(now, key).saturating_sub(number(before, key)) as f64 / seconds;
    let busy = per_second("busy_nanos") / 1e7 / (number(now, "reactors").max(1) as f64);
    let mut text = format!(
        "{} sessions, {} librpc calls/s, {} replies/s, reactors {busy:.0} % busy\n\n",
        number(now, "sessions"),
        rate(per_second("calls")),
        rate(per_second("replies")),
    );
    let columns = [left("FUNCTION, WORKER", 26), right("LIVE", 4), right("QUEUE", 6), right("AT", 5)];
    let rates = [right("CALLS/S", 8), right("FAIL/S", 7), right("MEAN", 8), right("P99", 8)];
    let mut table = Table::new(&[columns.as_slice(), &rates].concat());
    let functions = entries(now, "functions");
    for function in functions {
        let earlier = named(entries(before, "functions"), "function", &word(function, "function"));
        let state = ["live", "queued", "in_flight"].map(|key| number(function, key).to_string());
        let rates = rates_of(earlier, function, seconds);
        table.row(&[vec![word(function, "function")], state.to_vec(), rates].concat());
        for worker in entries(function, "workers") {
            let name = word(worker, "name");
            let shown = if name.is_empty() { "  (no name)".to_owned() } else { format!("  {name}") };
            let state = ["", "", &number(worker, "in_flight").to_string()].map(str::to_owned);
            let rates = rates_of(named(entries(earlier, "workers"), "name", &name), worker, seconds);
            table.row(&[vec![shown], state.to_vec(), rates].concat());
        }
    }
    text += &table.to_string();
    if functions.is_empty() {
        text += "no functions\n";
    }
    text
}

/// Calls and failures per second, mean and 99th percentile of what came between.
fn rates_of(before: &Value, now: &Value, seconds: f64) -> Vec<String> {
    let per_second = |key: &str| rate(number(now, key).saturating_sub(number(before, key)) as f64 / seconds);
    let between = latency(now).since(&latency(before));
    let mean = between.micros().checked_div(between.count()).map_or_else(|| "-".to_owned(), duration);
    let last = between.quantile(0.99);
    let p99 = match last {
        Some(bound) => format!("<{}", duration(bound)),
        None if between.count() > 0 => ">30s".to_owned(),
        None => "-".to_owned(),
    };
    vec![per_second("jobs"), per_second("failed"), mean, p99]
}

fn latency(of: &Value) -> Distribution {
    let latency = &of["latency"];
    let counts: Vec<u64> = entries(latency, "counts").iter().filter_map(Value::as_u64).collect();
    Distribution::from_counts(&counts, number(latency, "micros")).unwrap_or_default()
}

fn named<'a>(entries: &'a [Value], key: &str, name: &str) -> &'a Value {
    entries.iter().find(|entry| entry[key] == name).unwrap_or(&Value::Null)
}

fn number(of: &Value, key: &str) -> u64 {
    of[key].as_u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use msf_conf::tree;

    fn top(jobs: u64, failed: u64, first: u64, micros: u64) -> Value {
        let counts: Vec<String> =
            (0..Distribution::default().counts().len()).map(|n| if n == 0 { first } else { 0 }.to_string()).collect();
        let latency = format!(r#"{{"counts":[{}],"micros":{micros}}}"#, counts.join(","));
        let numbers = format!(r#""jobs":{jobs},"failed":{failed},"in_flight":1,"latency":{latency}"#);
        let text = format!(
            r#"{{"functions":[{{"function":"ToUpper","live":1,"queued":2,{numbers},"workers":[{{"name":"","jobs":{jobs},"failed":0,"in_flight":1,"latency":{latency}}}]}}],
               "sessions":3,"calls":{jobs},"replies":0,"reactors":2,"busy_nanos":{micros}000000}}"#
        );
        tree::parse(&text).unwrap()
    }

    #[test]
    fn what_came_between_is_shown_per_second() {
        let text = shown(&top(100, 0, 100, 1_000), &top(300, 10, 290, 2_900), Duration::from_secs(2));
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0][..5], ["3", "sessions,", "100", "librpc", "calls/s,"], "{text}");
        assert!(text.contains("48 % busy"), "1.9 s of 2 reactors in 2 s: {text}");
        assert_eq!(lines[3], ["ToUpper", "1", "2", "1", "100", "5.0", "10us", "<25us"], "{text}");
        assert_eq!(lines[4][..3], ["(no", "name)", "1"], "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn a_function_that_is_new_is_counted_from_zero_and_nothing_is_said_so() {
        let none = tree::parse(r#"{"functions":[]}"#).unwrap();
        assert!(shown(&none, &top(5, 0, 5, 50), Duration::from_secs(1)).contains("5.0"));
        assert!(shown(&none, &none, Duration::from_secs(1)).ends_with("no functions\n"));
    }
}
