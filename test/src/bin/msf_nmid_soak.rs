//! The nmid soak: callers of every kind and workers of both generations against a broker that already runs, every
//! answer compared; with `--chaos`, workers are cut off and killed and callers leave.
//!
//! usage: msf_nmid_soak --nmid HOST:PORT [--librpc SOCKET] [--http HOST:PORT] [--seconds N] [--chaos yes|no]
//!        [--callers KIND=N,...] [--workers g2=N,g0=N] [--processes N] [--in-flight N] [--payload BYTES] [--seed N]
//!        [--deadline-ms N] [--mute-deadline-ms N]
//!
//! Kinds of callers: g2, g0, pipelined, impatient, mute, crowd, librpc, http. Prints one line of JSON. Exit 0 when
//! nothing was wrong, answered twice or not answered; 1 otherwise; 2 for wrong usage.

use msf_test::nmid::{self, Plan, Role, WORKER};
use msf_wire::nmid::Dialect;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, rest @ ..] = words.as_slice()
        && first == WORKER
    {
        return ended(nmid::be_a_worker(rest));
    }
    let plan = match plan(words.into_iter()) {
        Ok(plan) => plan,
        Err(what) => {
            eprintln!("msf_nmid_soak: {what}");
            return ExitCode::from(2);
        }
    };
    ended(nmid::run(&plan).and_then(|report| {
        println!("{report}");
        if report.passed() { Ok(()) } else { Err(report.complaints().join("\n")) }
    }))
}

fn ended(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("msf_nmid_soak: {what}");
            ExitCode::FAILURE
        }
    }
}

fn plan(mut words: impl Iterator<Item = String>) -> Result<Plan, String> {
    let mut nmid = None;
    let mut plan = Plan::default();
    while let Some(option) = words.next() {
        let value = words.next().ok_or_else(|| format!("{option}: expected a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{option}: expected a number, found \"{value}\""));
        let address = || value.parse().map_err(|_| format!("{option}: expected HOST:PORT, found \"{value}\""));
        match option.as_str() {
            "--nmid" => nmid = Some(address()?),
            "--http" => plan.http = Some(address()?),
            "--librpc" => plan.librpc = Some((&value).into()),
            "--callers" => plan.callers = counts(&value, &Role::ALL)?,
            "--workers" => plan.workers = counts(&value, &[("g2", Dialect::G2), ("g0", Dialect::G0)])?,
            "--processes" => plan.processes = number()? as u32,
            "--in-flight" => plan.in_flight = number()? as usize,
            "--seconds" => plan.length = Duration::from_secs(number()?),
            "--payload" => plan.payload = number()? as usize,
            "--chaos" => plan.chaos = value == "yes",
            "--deadline-ms" => plan.deadline = Duration::from_millis(number()?),
            "--mute-deadline-ms" => plan.mute_deadline = Duration::from_millis(number()?),
            "--seed" => plan.seed = number()?,
            _ => return Err(format!("unknown option {option}")),
        }
    }
    plan.nmid = nmid.ok_or("--nmid is missing")?;
    // Two runs against one broker must not take each other's answers for theirs.
    plan.nonce = SystemTime::UNIX_EPOCH.elapsed().map_or(plan.seed, |time| time.as_nanos() as u64);
    Ok(plan)
}

/// `name=count,...`.
fn counts<T: Copy>(list: &str, known: &[(&str, T)]) -> Result<Vec<(T, u32)>, String> {
    let entry = |entry: &str| {
        let (name, count) = entry.split_once('=')?;
        let (_, kind) = known.iter().find(|(known, _)| *known == name)?;
        Some((*kind, count.parse().ok()?))
    };
    list.split(',').map(|word| entry(word).ok_or_else(|| format!("expected KIND=N, found \"{word}\""))).collect()
}
