//! The kill matrix's callers: 64 of three protocols against a house that already runs, while somebody else kills its
//! members and tells it on our stdin, a line for each death: victim, time (nanoseconds of CLOCK_MONOTONIC, just before the
//! kill), and which targets nobody answers for meanwhile, or `all`, or `none`.
//!
//! usage: msf_matrix --caller PROGRAM --nmid HOST:PORT --http HOST:PORT --services ID,... --functions NAME,...
//!        [--callers N] [--pause-us N] [--notice-ms N] [--share PERCENT]
//!        msf_matrix worker BROKER FUNCTION...
//!
//! Prints one line of JSON when stdin has ended. Exit 0 when nothing was wrong, hung or late; 1 otherwise; 2 for wrong
//! usage. Late is who ends more than `--notice-ms` (100) after a death, and `--share` (99) of the calls outside a second
//! after one must be right: on a machine that does other things, too, that may be too much to ask.

use msf_test::matrix::{self, Plan};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, broker, functions @ ..] = words.as_slice()
        && first == "worker"
    {
        return ended(matrix::be_a_worker(broker, functions));
    }
    let (plan, share) = match plan(words.into_iter()) {
        Ok(plan) => plan,
        Err(what) => {
            eprintln!("msf_matrix: {what}");
            return ExitCode::from(2);
        }
    };
    ended(matrix::run(&plan, io::stdin().lock()).and_then(|report| {
        println!("{report}");
        report.complaints().for_each(|what| eprintln!("msf_matrix: {what}"));
        if report.passed(share) { Ok(()) } else { Err("FAILED".to_owned()) }
    }))
}

fn ended(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("msf_matrix: {what}");
            ExitCode::FAILURE
        }
    }
}

fn plan(mut words: impl Iterator<Item = String>) -> Result<(Plan, usize), String> {
    let mut plan = Plan {
        caller: PathBuf::new(),
        nmid: String::new(),
        http: None,
        services: Vec::new(),
        functions: Vec::new(),
        callers: 64,
        notice: Duration::from_millis(100),
        pause: Duration::from_millis(30),
    };
    let mut share = 99;
    while let Some(option) = words.next() {
        let value = words.next().ok_or_else(|| format!("{option}: expected a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{option}: expected a number, found \"{value}\""));
        let list = || value.split(',').map(str::to_owned).collect();
        match option.as_str() {
            "--caller" => plan.caller = PathBuf::from(&value),
            "--nmid" => plan.nmid = value,
            "--http" => {
                plan.http =
                    Some(value.parse().map_err(|_| format!("{option}: expected HOST:PORT, found \"{value}\""))?);
            }
            "--services" => plan.services = list(),
            "--functions" => plan.functions = list(),
            "--callers" => plan.callers = number()? as u32,
            "--pause-us" => plan.pause = Duration::from_micros(number()?),
            "--notice-ms" => plan.notice = Duration::from_millis(number()?),
            "--share" => share = number()? as usize,
            _ => return Err(format!("unknown option {option}")),
        }
    }
    if plan.services.is_empty() || plan.functions.is_empty() || plan.nmid.is_empty() {
        return Err("expected --caller, --nmid, --http, --services and --functions".to_owned());
    }
    Ok((plan, share))
}
