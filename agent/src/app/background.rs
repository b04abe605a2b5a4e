//! In the background: the caller hears of everything that goes wrong until the agent serves, and nothing after that.

use super::Failure;
use msf_core::process::{Claim, Ready, daemonize};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::fs::OpenOptions;

/// A caller who still waits.
pub struct Caller {
    word: Ready,
    keeps_files: bool,
}

/// Goes on in a process of its own, with the same name; the caller waits until [`Caller::leave`].
pub fn begin(claim: &mut Claim, keeps_files: bool) -> Result<Caller, Failure> {
    // The folder stays: relative paths in the settings mean what they meant to whoever wrote them.
    let word = daemonize(true, true)?;
    claim.renew()?;
    Ok(Caller { word, keeps_files })
}

impl Caller {
    /// Lets the caller go. Whoever reads what he writes waits for the last one who could write there, so his files are
    /// given up unless somebody wants them kept.
    pub fn leave(self) -> Result<(), Failure> {
        if !self.keeps_files {
            let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
            dup2_stdin(&null)?;
            dup2_stdout(&null)?;
            dup2_stderr(&null)?;
        }
        Ok(self.word.tell()?)
    }
}
