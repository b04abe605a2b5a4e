//! `-k WORD`: checks the settings, or signals the running agent and waits until it has ended, if that was asked.

use super::{NAME, check, log_path, say, summary, upgrade};
use msf_conf::agent::Settings;
use msf_core::process;
use msf_core::sys::place;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// The words after `-k`.
pub const WORDS: &[&str] = &["parse", "reload", "rotate", "upgrade", "replace", "shutdown", "kill"];

/// Does what `word` says with `configs`, the files that are meant.
pub fn run(word: &str, configs: &[PathBuf]) -> ExitCode {
    match word {
        "parse" => match checked(configs) {
            Some(settings) => {
                say(&format!("{}{settings}{}", summary::sources(configs), summary::outcome(&settings)));
                ExitCode::SUCCESS
            }
            None => ExitCode::FAILURE,
        },
        "reload" => match checked(configs) {
            Some(_) => reload(configs),
            // A running agent is not sent to read what nobody can read.
            None => ExitCode::from(2),
        },
        "rotate" => tell(Signal::SIGUSR1).map_or(ExitCode::FAILURE, |_| ExitCode::SUCCESS),
        "upgrade" => upgrade::run(false),
        "replace" => upgrade::run(true),
        "shutdown" => end(Signal::SIGTERM, drain(configs) + BEYOND_DRAIN),
        _ => end(Signal::SIGKILL, BEYOND_DRAIN),
    }
}

/// The settings, if they can be used; what is odd or wrong is said.
fn checked(configs: &[PathBuf]) -> Option<Settings> {
    let settings = check::read(configs).inspect_err(|error| eprintln!("msf_agent: {error}")).ok()?;
    settings.warnings.iter().for_each(|warning| eprintln!("msf_agent: warning: {warning}"));
    Some(settings)
}

/// What takes a restart only the running agent knows: he is the one who has the old settings.
fn reload(configs: &[PathBuf]) -> ExitCode {
    let Some(pid) = tell(Signal::SIGHUP) else { return ExitCode::FAILURE };
    if configs.is_empty() {
        eprintln!("msf_agent: warning: no file was checked; -c names those the agent was started with");
    }
    let log = log_path().map_or_else(|_| "its log".to_owned(), |path| path.display().to_string());
    say(&format!(
        "msf_agent, process {pid}, reads its settings again; what it applies and what takes a restart is in {log}\n"
    ));
    ExitCode::SUCCESS
}

/// Sends `signal` to the running agent; its process.
fn tell(signal: Signal) -> Option<i32> {
    let Some(pid) = process::holder(NAME) else {
        let places: Vec<String> = place::run_dirs().iter().map(|place| place.display().to_string()).collect();
        eprintln!("msf_agent: no msf_agent is running (looked in {})", places.join(", "));
        return None;
    };
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) => Some(pid),
        Err(errno) => {
            eprintln!("msf_agent: cannot send {signal} to process {pid}: {errno}");
            None
        }
    }
}

/// Ends the running agent and waits until another one may start.
fn end(signal: Signal, patience: Duration) -> ExitCode {
    let Some(pid) = tell(signal) else { return ExitCode::FAILURE };
    let until = Instant::now() + patience;
    while process::holder(NAME) == Some(pid) || is_alive(pid) {
        if Instant::now() >= until {
            let after = patience.as_secs_f32();
            eprintln!("msf_agent: process {pid} has {signal}, and has not ended after {after} s");
            return ExitCode::FAILURE;
        }
        thread::sleep(BETWEEN_LOOKS);
    }
    ExitCode::SUCCESS
}

/// How long the running agent may drain: what the files say, if they are its own. Whoever wants it to end is not kept
/// by a file that cannot be read.
fn drain(configs: &[PathBuf]) -> Duration {
    Settings::read(configs).unwrap_or_default().drain
}

/// Whether the process still has anything open. It has not when all that is left is for its parent to collect.
fn is_alive(pid: i32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    !matches!(state, Some('Z' | 'X')) || threads > 1
}

/// What an agent may take beside its drain.
const BEYOND_DRAIN: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
