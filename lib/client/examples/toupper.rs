//! A worker in Rust: `toupper [BROKER...]` offers the function ToUpper until its standard input ends.
//!
//! It does what `plugins/nmid_toupper` does in C. BROKER is HOST, HOST:PORT or the path of a unix socket; without one it
//! is the broker of this machine on nmid's port.

use msf_client::nmid::{self, Failure, Job, Worker};
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, io};

fn to_upper(job: &Job) -> Result<Vec<u8>, Failure> {
    let name = job.string(b"name").ok_or_else(|| Failure::new(100, "ToUpper needs the param \"name\""))?;
    Ok(name.to_ascii_uppercase())
}

fn main() -> ExitCode {
    let mut worker = Worker::new("toupper").function("ToUpper", to_upper).observer(|notice| eprintln!("{notice}"));
    let mut brokers: Vec<String> = env::args().skip(1).collect();
    if brokers.is_empty() {
        brokers.push("127.0.0.1".into());
    }
    for broker in &brokers {
        let Some(place) = nmid::place(broker) else {
            eprintln!("toupper: \"{broker}\" is no broker");
            return ExitCode::from(2);
        };
        worker = worker.server(place);
    }
    let running = match worker.start() {
        Ok(running) => running,
        Err(error) => {
            eprintln!("toupper: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let known = running.wait_registered(brokers.len(), Duration::from_secs(1));
    println!("toupper offers ToUpper to {known} of its brokers.");
    // Whoever started us holds the other end: a terminal, a pipe, a test.
    let ended = io::stdin().read_to_end(&mut Vec::new());
    match (ended, running.close(Duration::from_secs(5))) {
        (Ok(_), Ok(())) => ExitCode::SUCCESS,
        (Err(error), _) => {
            eprintln!("toupper: {error}");
            ExitCode::FAILURE
        }
        (Ok(_), Err(busy)) => {
            eprintln!("toupper: {busy}");
            ExitCode::FAILURE
        }
    }
}
