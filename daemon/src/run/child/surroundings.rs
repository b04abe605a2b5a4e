//! From an entry of the configuration to something the kernel can start: which file, which words, which environment.
//!
//! Looked up anew for every start, so a program that is installed or replaced meanwhile is found.

use super::fit::fit;
use super::ready::Gift;
use crate::run::driver::MODULE;
use msf_conf::daemon::Launch;
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::{Child, Plan, Resource, SpawnError, Stdio, limit, set_limit};
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where programs and their files are looked for, and what they inherit; fixed when the daemon starts.
#[derive(Debug)]
pub struct Surroundings {
    /// The folder of the configuration file.
    conf_folder: PathBuf,
    /// The folder of the daemon's own executable.
    own_folder: Option<PathBuf>,
    /// The folders of `PATH`.
    path: Vec<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    /// The limits on open files that we were started with; our own are higher.
    files: (u64, u64),
}

/// Why a process could not be started.
#[derive(Debug)]
pub enum Unstartable {
    /// No such program anywhere.
    NotFound {
        /// As written in the configuration.
        path: String,
        /// Every folder that was tried.
        looked: Vec<PathBuf>,
    },
    /// It cannot be what the configuration says.
    Unfit(io::Error),
    /// What it is to say that it is ready with cannot be made.
    Readiness(io::Error),
    /// The configuration has lost it meanwhile.
    Gone,
    /// The kernel refused.
    Spawn {
        /// The file.
        program: PathBuf,
        /// What it said.
        source: SpawnError,
    },
}

impl Surroundings {
    /// Those of this process, for a configuration in `conf_folder`.
    pub fn new(conf_folder: &Path) -> Surroundings {
        // Where we are is no longer known once our own file has been replaced: asked now, kept from now on.
        let own_folder = env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
        let path = env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
        let environment = env::vars_os().filter(|(key, _)| !OURS.iter().any(|ours| key == ours)).map(settled).collect();
        let files = limit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
        Surroundings { conf_folder: conf_folder.to_owned(), own_folder, path, environment, files }
    }

    /// Each process costs us a descriptor or two; what is allowed to those we start stays as it is.
    pub fn raise_own_limits(&self) {
        if let Err(e) = set_limit(Resource::RLIMIT_NOFILE, self.files.1, self.files.1) {
            log!(Level::Warn, MODULE, "no more than {} files may be open at a time: {e}", self.files.0);
        }
    }

    /// Starts what `launch` says, with what it is given for this start; a child returned has become the program.
    pub fn start(&self, launch: &Launch, gift: Gift) -> Result<Child, Unstartable> {
        let program = self.find(&launch.path)?;
        let plan = self.plan(&program, launch, gift).map_err(Unstartable::Unfit)?;
        plan.spawn().map_err(|source| Unstartable::Spawn { program, source })
    }

    /// The file that `path` means: itself when it is absolute, else the first executable of that name in the
    /// configuration's folder, the daemon's own, and, for a bare name, `PATH`.
    pub fn find(&self, path: &str) -> Result<PathBuf, Unstartable> {
        if path.starts_with('/') {
            return Ok(PathBuf::from(path));
        }
        let mut looked = vec![self.conf_folder.clone()];
        looked.extend(self.own_folder.clone());
        if !path.contains('/') {
            looked.extend(self.path.iter().cloned());
        }
        let found = looked.iter().map(|folder| folder.join(path)).find(|file| is_executable(file));
        found.ok_or_else(|| Unstartable::NotFound { path: path.to_owned(), looked })
    }

    /// The short name of what `launch` runs, and the folder it begins in.
    pub fn where_it_runs(&self, launch: &Launch) -> (String, PathBuf) {
        let program = Path::new(&launch.path).file_name().map(|name| name.to_string_lossy().into_owned());
        let folder = launch.working_directory_in(&self.conf_folder).or_else(|| env::current_dir().ok());
        (program.unwrap_or_default(), folder.unwrap_or_default())
    }

    fn plan(&self, program: &Path, launch: &Launch, gift: Gift) -> io::Result<Plan> {
        let mut words = vec![OsString::from(program)];
        if let Some(conf) = launch.conf_in(&self.conf_folder) {
            words.extend([OsString::from("-c"), conf.into_os_string()]);
        }
        words.extend(launch.args.iter().map(OsString::from));
        let inherited = self.environment.iter().filter(|(key, _)| !launch.env.keys().any(|own| key == own.as_str()));
        let own = launch.env.iter().map(|(key, value)| (OsString::from(key), OsString::from(value)));
        let listens = gift.env.iter().any(|(key, _)| key == "LISTEN_FDS");
        let mut plan = Plan::new(program, words, inherited.cloned().chain(own).chain(gift.env))?;
        if let Some(input) = gift.input {
            plan = plan.input(Stdio::Fd(input));
        }
        if listens {
            plan = plan.pid_in("LISTEN_PID")?;
        }
        for (fd, number) in gift.fds {
            plan = plan.descriptor(fd, number)?;
        }
        let [output, error] = gift.outputs;
        if let Some(output) = output {
            plan = plan.output(output);
        }
        if let Some(error) = error {
            plan = plan.error(error);
        }
        if let Some(procs) = gift.cgroup {
            plan = plan.in_cgroup(procs);
        }
        let plan = fit(plan, launch, self.files)?;
        match launch.working_directory_in(&self.conf_folder) {
            Some(folder) => plan.in_folder(&folder),
            None => Ok(plan),
        }
    }
}

/// Places of ours must not move when a process works in another folder than we do.
fn settled((key, value): (OsString, OsString)) -> (OsString, OsString) {
    if !PLACES.iter().any(|place| key == *place) || value.is_empty() {
        return (key, value);
    }
    let absolute = std::path::absolute(&value).map(PathBuf::into_os_string).unwrap_or(value);
    (key, absolute)
}

/// Whether `file` is a file that somebody may execute.
pub fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

impl fmt::Display for Unstartable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unstartable::NotFound { path, looked } => {
                let looked: Vec<_> = looked.iter().map(|folder| folder.display().to_string()).collect();
                write!(f, "no executable \"{path}\" in {}", looked.join(", "))
            }
            Unstartable::Unfit(source) => write!(f, "cannot be prepared: {source}"),
            Unstartable::Readiness(source) => write!(f, "cannot be heard when it is ready: {source}"),
            Unstartable::Gone => f.write_str("no longer configured"),
            Unstartable::Spawn { program, source } => write!(f, "{}: {source}", program.display()),
        }
    }
}

impl std::error::Error for Unstartable {}

/// What a service manager tells us is for us alone; and so are the descriptors it hands us, which no process inherits.
const OURS: &[&str] = &[
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "MAINPID",
    "MSF_READY_FD",
    "MSF_CRASH_SOCKET",
    "MSF_UPGRADE_FROM",
    "MSF_UPGRADE_DRAIN",
    "MSF_UPGRADE_ASK",
    "MSF_UPGRADE_BY",
];
const PLACES: &[&str] = &["MSF_RUN_DIR", "MSF_LOG_DIR", "MSF_AGENT_SOCK"];

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(conf: &str, own: &str, path: &[&str]) -> Surroundings {
        Surroundings {
            conf_folder: PathBuf::from(conf),
            own_folder: Some(PathBuf::from(own)),
            path: path.iter().map(PathBuf::from).collect(),
            environment: Vec::new(),
            files: (64, 64),
        }
    }

    #[test]
    fn an_absolute_path_is_taken_as_it_is_so_that_the_kernel_says_what_is_wrong_with_it() {
        let found = surroundings("/a", "/b", &[]).find("/nowhere/at/all").unwrap();
        assert_eq!(found, PathBuf::from("/nowhere/at/all"));
    }

    #[test]
    fn a_bare_name_is_found_in_path_and_a_path_with_a_slash_is_not() {
        let here = surroundings("/nowhere", "/nowhere", &["/nowhere", "/bin"]);
        assert_eq!(here.find("sh").unwrap(), PathBuf::from("/bin/sh"));
        assert!(here.find("./sh").is_err());
    }

    #[test]
    fn the_configurations_folder_comes_before_the_daemons_own() {
        assert_eq!(surroundings("/bin", "/usr/bin", &[]).find("sh").unwrap(), PathBuf::from("/bin/sh"));
        assert_eq!(surroundings("/nowhere", "/usr/bin", &[]).find("sh").unwrap(), PathBuf::from("/usr/bin/sh"));
    }

    #[test]
    fn our_places_are_handed_on_absolute_and_nothing_else_is_touched() {
        let (_, place) = settled(("MSF_RUN_DIR".into(), "run".into()));
        assert_eq!(PathBuf::from(place), env::current_dir().unwrap().join("run"));
        assert_eq!(settled(("HOME".into(), "run".into())).1, "run");
    }

    #[test]
    fn a_program_that_is_nowhere_names_every_folder_tried() {
        let error = surroundings("/nowhere/a", "/nowhere/b", &["/nowhere/c"]).find("x").unwrap_err();
        assert_eq!(error.to_string(), "no executable \"x\" in /nowhere/a, /nowhere/b, /nowhere/c");
    }
}
