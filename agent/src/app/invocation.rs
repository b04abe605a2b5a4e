//! How this program was started, kept for the one that is to take its place.

use crate::control::admin::SOCKET;
use crate::control::thread::Coming;
use msf_core::process::{Birth, Foster, Plan, Stdio, in_path};
use msf_core::sys::place;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The program's file, its words and its folder, as they were when it began.
#[derive(Clone, Debug)]
pub struct Invocation {
    program: PathBuf,
    words: Vec<OsString>,
    folder: PathBuf,
}

impl Invocation {
    /// To be taken before anything changes folder. The program is named by the path that was used, not by what
    /// /proc/self/exe leads to: that is the file which has been replaced.
    pub fn now() -> Invocation {
        let words: Vec<OsString> = env::args_os().collect();
        let folder = env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let name = words.first().cloned().unwrap_or_default();
        let found = if Path::new(&name).components().count() > 1 { Some(folder.join(&name)) } else { in_path(&name) };
        let program = found.or_else(|| env::current_exe().ok()).unwrap_or_else(|| PathBuf::from(name));
        Invocation { program, words, folder }
    }

    /// Starts it again, with the same words, environment and folder, to take our place. It shares our output and our
    /// process group, so that a Ctrl-C meant for one of us reaches the other.
    ///
    /// Where we are a `unit`, it is nobody's child, which is to say systemd's: a main process that is not its own when it
    /// is told of it, systemd would not wait for at a stop. Else it is our child, whose end we hear of for certain.
    ///
    /// # Errors
    /// It cannot be started; or somebody else has to do it.
    pub fn spawn_successor(&self, drain: bool, unit: bool) -> Result<Coming, String> {
        if let Some(how) = env::var_os(SUPERVISED).filter(|how| !how.is_empty()) {
            return Err(format!(
                "this msf_agent has a supervisor, whose child its successor must be: {}",
                how.display()
            ));
        }
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", self.program.display());
        let place = place::run_dir().map_err(|error| failed(&error))?.join(SOCKET);
        let ours = env::vars_os().filter(|(key, _)| !NOT_PASSED.iter().any(|name| key == OsStr::new(name)));
        let drains = drain.then(|| (OsString::from(DRAIN), OsString::from("1")));
        let environment = ours.chain([(OsString::from(PREDECESSOR), place.into_os_string())]).chain(drains);
        let plan = Plan::new(&self.program, &self.words, environment).map_err(|error| failed(&error))?;
        let plan = plan.in_folder(&self.folder).map_err(|error| failed(&error))?.output(Stdio::Ours);
        let plan = plan.in_our_group();
        if !unit {
            return plan.spawn().map(Coming::Started).map_err(|error| failed(&error));
        }
        let pid = plan.spawn_detached().map_err(|error| failed(&error))?;
        match Birth::of(pid).and_then(Foster::adopt) {
            Ok(Some(successor)) => Ok(Coming::Released(successor)),
            Ok(None) => Err("the new msf_agent has ended at once; see its log".to_owned()),
            Err(error) => Err(failed(&error)),
        }
    }
}

/// The place whose connections, and everything else, are to be taken over.
pub fn predecessor() -> Option<PathBuf> {
    env::var_os(PREDECESSOR).filter(|place| !place.is_empty()).map(PathBuf::from)
}

/// Whether it may keep its connections, if they cannot pass.
pub fn may_drain() -> bool {
    env::var_os(DRAIN).is_some_and(|word| !word.is_empty())
}

/// Names the admin socket of the agent whose place is to be taken.
pub const PREDECESSOR: &str = "MSF_UPGRADE_FROM";
/// Says how an upgrade is asked for where a supervisor must start the successor.
const SUPERVISED: &str = "MSF_UPGRADE_BY";
/// What was said to us alone. Whoever wants heartbeats wants them of the successor as well, and that has another pid.
const NOT_PASSED: [&str; 4] = [PREDECESSOR, DRAIN, "MSF_READY_FD", "WATCHDOG_PID"];
/// Says that the connections may stay with the predecessor, where they cannot pass.
const DRAIN: &str = "MSF_UPGRADE_DRAIN";
