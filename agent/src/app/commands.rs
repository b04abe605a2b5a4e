//! `-k WORD`: checks the settings, or signals the running agent.

use super::{NAME, check};
use msf_core::process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::process::ExitCode;

/// The words after `-k`.
pub const WORDS: &[&str] = &["parse", "reload", "rotate", "shutdown", "kill"];

/// Does what `word` says. The settings are checked before a reload is asked for: a running agent is not sent to read
/// what nobody can read.
pub fn run(word: &str, configs: &[PathBuf]) -> ExitCode {
    if matches!(word, "parse" | "reload") {
        match check::read(configs) {
            Ok(settings) => {
                settings.warnings.iter().for_each(|warning| eprintln!("msf_agent: warning: {warning}"));
                if word == "parse" {
                    println!("{settings}");
                    return ExitCode::SUCCESS;
                }
            }
            Err(error) => {
                eprintln!("msf_agent: {error}");
                return ExitCode::from(if word == "parse" { 1 } else { 2 });
            }
        }
    }
    let signal = match word {
        "reload" => Signal::SIGHUP,
        "rotate" => Signal::SIGUSR1,
        "shutdown" => Signal::SIGTERM,
        _ => Signal::SIGKILL,
    };
    let Some(pid) = process::holder(NAME) else {
        eprintln!("msf_agent: not running");
        return ExitCode::FAILURE;
    };
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(errno) => {
            eprintln!("msf_agent: cannot send {signal} to process {pid}: {errno}");
            ExitCode::FAILURE
        }
    }
}
