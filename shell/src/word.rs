//! `-k`: what is done to the running copy instead of running.

use msf_sys::process;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// Every word, in the order the usage shows them.
pub const ALL: &[&str] = &["reload", "rotate", "shutdown", "kill", PARSE];

/// The one word that needs no running copy.
pub const PARSE: &str = "parse";

/// Sends what `word` stands for to the process that runs as `identity`.
pub fn send(word: &str, identity: &str) -> Result<(), String> {
    let Some(signal) = signal_of(word) else {
        return Err(format!("-k {word} is no signal"));
    };
    let Some(pid) = process::holder(identity).map_err(|e| format!("cannot tell whether {identity} runs: {e}"))? else {
        return Err(format!("{identity} is not running"));
    };
    signal::kill(Pid::from_raw(pid), signal).map_err(|e| format!("cannot signal {identity}, pid {pid}: {e}"))
}

fn signal_of(word: &str) -> Option<Signal> {
    Some(match word {
        "reload" => Signal::SIGHUP,
        "rotate" => Signal::SIGUSR1,
        "shutdown" => Signal::SIGTERM,
        "kill" => Signal::SIGKILL,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_but_parse_is_a_signal() {
        for word in ALL {
            assert_eq!(signal_of(word).is_none(), *word == PARSE, "{word}");
        }
    }
}
