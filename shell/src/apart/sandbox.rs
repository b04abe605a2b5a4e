//! What the process of an isolated service may do, put in force by itself before it has a second thread and before any code
//! of the service is in it. From then on nothing takes it back.

mod files;
mod limits;
mod syscalls;

use msf_conf::shell::{PROFILE, Sandbox};
use nix::sys::prctl;
use std::path::PathBuf;

/// What has come of a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enforced {
    /// What is in force, in words.
    pub holds: Vec<String>,
    /// What is not, and why.
    pub lacks: Vec<String>,
}

/// Files that the process cannot do without, whatever its sandbox says.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Files and folders of libraries.
    pub read: Vec<PathBuf>,
    /// The log's folder.
    pub write: Vec<PathBuf>,
}

/// Puts `sandbox` in force. A limit that cannot be set, a path that is not there, and what is required and cannot be had
/// are errors.
pub fn enforce(sandbox: &Sandbox, needs: &Needs) -> Result<Enforced, String> {
    let mut enforced = Enforced::default();
    for limit in &sandbox.limits {
        limits::set(limit)?;
        enforced.holds.push(format!("rlimit {}", limit.name));
    }
    if sandbox.no_new_privs {
        prctl::set_no_new_privs().map_err(|e| format!("sandbox.no_new_privs: {e}"))?;
        enforced.holds.push("no_new_privs".to_owned());
    }
    if let Some(landlock) = &sandbox.landlock {
        enforced.note("landlock", files::confine(landlock, needs)?);
    }
    if sandbox.seccomp {
        // Last: what came before needs calls of its own.
        enforced.note(&format!("seccomp {PROFILE}"), syscalls::confine()?);
    }
    match enforced.lacks.first() {
        Some(lack) if sandbox.required => Err(format!("sandbox: {lack}, and it is required")),
        _ => Ok(enforced),
    }
}

impl Enforced {
    fn note(&mut self, what: &str, lack: Option<String>) {
        match lack {
            None => self.holds.push(what.to_owned()),
            Some(why) => self.lacks.push(format!("{what} {why}")),
        }
    }
}
