//! The soak test: callers with one call in flight each, two services answering through libipc, every answer compared
//! byte by byte; with `--kill-every`, a service is killed with SIGKILL at that interval and started again.
//!
//! usage: msf_soak (--agent PROGRAM | --beside RUN_DIR) --service PROGRAM [--clients N] [--seconds N] [--payload BYTES] [--kill-every MS]
//!
//! Exit 0 when nothing was wrong, lost or late; 1 otherwise; 2 for wrong usage.

use msf_test::soak::{self, Plan};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let plan = match plan(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(what) => {
            eprintln!("msf_soak: {what}");
            return ExitCode::from(2);
        }
    };
    match soak::run(&plan) {
        Ok(report) => {
            print!("{report}");
            if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(what) => {
            eprintln!("msf_soak: {what}");
            ExitCode::FAILURE
        }
    }
}

fn plan(mut words: impl Iterator<Item = String>) -> Result<Plan, String> {
    let (mut agent, mut service) = (None, None);
    let mut plan = Plan::default();
    while let Some(option) = words.next() {
        let value = words.next().ok_or_else(|| format!("{option}: expected a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{option}: expected a number, found \"{value}\""));
        match option.as_str() {
            "--agent" => agent = Some(PathBuf::from(&value)),
            "--beside" => plan.beside = Some(PathBuf::from(&value)),
            "--service" => service = Some(PathBuf::from(&value)),
            "--clients" => plan.clients = number()? as u32,
            "--seconds" => plan.length = Duration::from_secs(number()?),
            "--payload" => plan.payload = number()? as u32,
            "--kill-every" => plan.kill_every = Some(Duration::from_millis(number()?)),
            "--seed" => plan.seed = number()?,
            _ => return Err(format!("unknown option {option}")),
        }
    }
    match (agent, &plan.beside) {
        (Some(agent), None) => plan.agent = agent,
        (None, Some(_)) => {}
        _ => return Err("expected one of --agent and --beside".to_owned()),
    }
    plan.service = service.ok_or("--service is missing")?;
    Ok(plan)
}
