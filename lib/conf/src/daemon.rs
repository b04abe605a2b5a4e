//! Settings of `msf_daemon`: the original's JSON (`msf_author … msf_procs[]`) and, beside it, how processes are
//! restarted, stopped and surrounded.
//!
//! Pure: paths are taken as written; who looks for an executable, and where, is the daemon's business. A key nobody
//! knows is a warning, as in the original's format; in a file that says `"version": 1` it is an error.

use crate::ConfError;
use crate::json::{Doc, Object};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything the file says, defaults filled in, every range checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `msf_author`, for the banner.
    pub author: String,
    /// `msf_version`, for the banner.
    pub version: String,
    /// `msf_desc`, for the banner.
    pub desc: String,
    /// `msf_procs`, in the order of the file: started in this order, stopped in reverse.
    pub processes: Vec<Process>,
    /// What is odd but not wrong, ready to be logged.
    pub warnings: Vec<String>,
}

/// One entry of `msf_procs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// `proc_idx`: the number shown in the banner.
    pub index: i64,
    /// `proc_name`: unique in the file.
    pub name: String,
    /// How it is run; a change here is a restart.
    pub launch: Launch,
    /// `restart`, over the file's own `restart`, over the defaults.
    pub restart: Restart,
    /// `stop_timeout_ms`: how long after SIGTERM the SIGKILL comes.
    pub stop_timeout: Duration,
}

/// What is run, with what, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// `proc_path`: the executable, as written.
    pub path: String,
    /// `proc_conf`: handed over as `-c <proc_conf>`.
    pub conf: Option<String>,
    /// `args`: what follows on the command line.
    pub args: Vec<String>,
    /// `env`: set over what the daemon itself was given.
    pub env: BTreeMap<String, String>,
    /// `working_directory`.
    pub working_directory: Option<String>,
}

/// The restart law: a bucket of immediate restarts, then a growing delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// `immediate`: restarts without delay that a full bucket holds.
    pub immediate: u32,
    /// `refill_ms`: how long one of them takes to come back.
    pub refill: Duration,
    /// `delay_ms`: the first delay once the bucket is empty; it doubles from there.
    pub delay: Duration,
    /// `delay_max_ms`: where doubling ends.
    pub delay_max: Duration,
    /// `reset_ms`: a process up for this long has a full bucket and the first delay again.
    pub reset: Duration,
}

impl Default for Restart {
    fn default() -> Self {
        Restart {
            immediate: 10,
            refill: Duration::from_secs(10),
            delay: Duration::from_millis(100),
            delay_max: Duration::from_secs(10),
            reset: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// Reads and checks `file`.
    pub fn read(file: &Path) -> Result<Settings, ConfError> {
        Settings::from_doc(&Doc::read(file)?)
    }

    /// Checks `text`, which complaints will say came from `file`.
    pub fn parse(file: &Path, text: &str) -> Result<Settings, ConfError> {
        Settings::from_doc(&Doc::parse(file, text)?)
    }

    fn from_doc(doc: &Doc) -> Result<Settings, ConfError> {
        let top = doc.top();
        let mut strangers = top.unknown(TOP_KEYS);
        let restart = law(&top, Restart::default(), &mut strangers)?;
        let stop_timeout = millis(&top, "stop_timeout_ms", 0)?.unwrap_or(STOP_TIMEOUT);
        let entries = top.objects("msf_procs")?;
        let entries = entries.ok_or_else(|| top.error("msf_procs", "missing; expected an array of objects"))?;
        if entries.is_empty() {
            return Err(top.error("msf_procs", "empty; expected at least one process"));
        }
        let mut processes = Vec::with_capacity(entries.len());
        let mut names = HashSet::with_capacity(entries.len());
        for entry in &entries {
            let process = process(entry, restart, stop_timeout, &mut strangers)?;
            if !names.insert(process.name.clone()) {
                return Err(entry.error("proc_name", format!("\"{}\" is used twice; names are unique", process.name)));
            }
            processes.push(process);
        }
        if top.integer("version", 1..=1)?.is_some() && !strangers.is_empty() {
            return Err(strangers.remove(0));
        }
        Ok(Settings {
            author: text(&top, "msf_author")?,
            version: text(&top, "msf_version")?,
            desc: text(&top, "msf_desc")?,
            processes,
            warnings: strangers.iter().map(ConfError::to_string).collect(),
        })
    }
}

/// A string that must be written but may be empty: nothing hangs on it.
fn text(object: &Object, key: &str) -> Result<String, ConfError> {
    let text = object.string(key)?.ok_or_else(|| object.error(key, "missing; expected a string"))?;
    Ok(text.to_owned())
}

fn process(
    entry: &Object,
    restart: Restart,
    stop_timeout: Duration,
    strangers: &mut Vec<ConfError>,
) -> Result<Process, ConfError> {
    strangers.extend(entry.unknown(PROCESS_KEYS));
    let index = entry.integer("proc_idx", INDEX)?;
    let name = entry.required("proc_name")?;
    if name.starts_with('.') || name.chars().any(|c| c == '/' || c.is_control()) {
        return Err(entry.error("proc_name", "expected a name without \"/\", control characters and a dot in front"));
    }
    Ok(Process {
        index: index.ok_or_else(|| entry.error("proc_idx", "missing; expected a whole number"))?,
        name: name.to_owned(),
        launch: launch(entry)?,
        restart: law(entry, restart, strangers)?,
        stop_timeout: millis(entry, "stop_timeout_ms", 0)?.unwrap_or(stop_timeout),
    })
}

fn launch(entry: &Object) -> Result<Launch, ConfError> {
    let mut env = BTreeMap::new();
    if let Some(object) = entry.object("env")? {
        for key in object.keys() {
            if key.is_empty() || key.contains(['=', '\0']) {
                return Err(object.error(key, "expected the name of an environment variable"));
            }
            env.insert(key.to_owned(), whole(&object, key, object.string(key)?.unwrap_or(""))?);
        }
    }
    let optional = |key| entry.has(key).then(|| path(entry, key)).transpose();
    let args = entry.strings("args")?.unwrap_or_default();
    Ok(Launch {
        path: path(entry, "proc_path")?,
        conf: optional("proc_conf")?,
        args: args.into_iter().map(|arg| whole(entry, "args", arg)).collect::<Result<_, _>>()?,
        env,
        working_directory: optional("working_directory")?,
    })
}

/// A path that must be written. The kernel would take a line break, the table of processes would not.
fn path(object: &Object, key: &str) -> Result<String, ConfError> {
    let path = object.required(key)?;
    match path.chars().find(|c| c.is_control()) {
        Some(stranger) => Err(object.error(key, format!("contains the control character {stranger:?}"))),
        None => Ok(path.to_owned()),
    }
}

/// A string the kernel will take as it is: without a NUL in it.
fn whole(object: &Object, key: &str, text: &str) -> Result<String, ConfError> {
    if text.contains('\0') {
        return Err(object.error(key, "expected a string without a NUL character"));
    }
    Ok(text.to_owned())
}

/// The restart law of `object`: what it writes under `restart`, over `base`.
fn law(object: &Object, base: Restart, strangers: &mut Vec<ConfError>) -> Result<Restart, ConfError> {
    let Some(object) = object.object("restart")? else { return Ok(base) };
    strangers.extend(object.unknown(RESTART_KEYS));
    let immediate = object.integer("immediate", 0..=1000)?.and_then(|count| u32::try_from(count).ok());
    let law = Restart {
        immediate: immediate.unwrap_or(base.immediate),
        refill: millis(&object, "refill_ms", 1)?.unwrap_or(base.refill),
        delay: millis(&object, "delay_ms", 1)?.unwrap_or(base.delay),
        delay_max: millis(&object, "delay_max_ms", 1)?.unwrap_or(base.delay_max),
        reset: millis(&object, "reset_ms", 1)?.unwrap_or(base.reset),
    };
    if law.delay > law.delay_max {
        let what =
            format!("{} ms is less than delay_ms, which is {}", law.delay_max.as_millis(), law.delay.as_millis());
        return Err(object.error("delay_max_ms", what));
    }
    Ok(law)
}

fn millis(object: &Object, key: &str, least: i64) -> Result<Option<Duration>, ConfError> {
    let value = object.integer(key, least..=DAY_MS)?;
    Ok(value.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis))
}

/// The effective result, as `-k parse` prints it.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "author   {}", self.author)?;
        writeln!(f, "version  {}", self.version)?;
        writeln!(f, "desc     {}", self.desc)?;
        for process in &self.processes {
            write!(f, "{process}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Process { index, name, launch, restart, stop_timeout } = self;
        writeln!(f, "process {index} {name}")?;
        writeln!(f, "  path     {}", launch.path)?;
        if let Some(conf) = &launch.conf {
            writeln!(f, "  conf     {conf}")?;
        }
        if !launch.args.is_empty() {
            writeln!(f, "  args     {:?}", launch.args)?;
        }
        for (key, value) in &launch.env {
            writeln!(f, "  env      {key}={value}")?;
        }
        if let Some(folder) = &launch.working_directory {
            writeln!(f, "  cwd      {folder}")?;
        }
        writeln!(f, "  restart  {restart}")?;
        writeln!(f, "  stop     SIGTERM, after {stop_timeout:?} SIGKILL")
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Restart { immediate, refill, delay, delay_max, reset } = self;
        write!(f, "{immediate} at once, one back every {refill:?}; then after {delay:?}, doubling to {delay_max:?}; ")?;
        write!(f, "all forgotten after {reset:?} up")
    }
}

/// Where relative paths lead when the file lies in `folder`.
impl Launch {
    /// The file handed over with `-c`, made absolute.
    pub fn conf_in(&self, folder: &Path) -> Option<PathBuf> {
        self.conf.as_ref().map(|conf| folder.join(conf))
    }

    /// The working directory, made absolute.
    pub fn working_directory_in(&self, folder: &Path) -> Option<PathBuf> {
        self.working_directory.as_ref().map(|path| folder.join(path))
    }
}

const TOP_KEYS: &[&str] =
    &["version", "msf_author", "msf_version", "msf_desc", "msf_procs", "restart", "stop_timeout_ms"];
const PROCESS_KEYS: &[&str] = &[
    "proc_idx",
    "proc_name",
    "proc_path",
    "proc_conf",
    "args",
    "env",
    "working_directory",
    "restart",
    "stop_timeout_ms",
];
const RESTART_KEYS: &[&str] = &["immediate", "refill_ms", "delay_ms", "delay_max_ms", "reset_ms"];
const INDEX: std::ops::RangeInclusive<i64> = i32::MIN as i64..=i32::MAX as i64;
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const DAY_MS: i64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINAL: &str = r#"{
        "msf_author": "luotang.me", "msf_version": "v1.0", "msf_desc": "micro service framework",
        "msf_procs": [{
            "proc_idx": 0, "proc_name": "msf_rpc_agent",
            "proc_path": "/usr/local/bin/msf_kernel", "proc_conf": "/etc/msf_rpc_agent_svc_conf.json"
        }]
    }"#;

    fn parse(text: &str) -> Result<Settings, ConfError> {
        Settings::parse(Path::new("d.json"), text)
    }

    fn with(process: &str, top: &str) -> String {
        format!(
            r#"{{"msf_author": "a", "msf_version": "v", "msf_desc": "d"{top},
                "msf_procs": [{{"proc_idx": 1, "proc_name": "one", "proc_path": "one"{process}}}]}}"#
        )
    }

    fn complaint(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_originals_file_is_accepted_with_every_default_written_out() {
        let settings = parse(ORIGINAL).unwrap();
        let process = &settings.processes[0];
        assert_eq!(process.name, "msf_rpc_agent");
        assert_eq!(process.launch.conf.as_deref(), Some("/etc/msf_rpc_agent_svc_conf.json"));
        assert_eq!((process.restart, process.stop_timeout), (Restart::default(), Duration::from_secs(5)));
        assert!(settings.warnings.is_empty());
    }

    #[test]
    fn a_process_has_its_own_law_over_the_files_over_the_defaults() {
        let top = r#", "restart": {"immediate": 3, "delay_ms": 20}, "stop_timeout_ms": 700"#;
        let settings = parse(&with(r#", "restart": {"delay_ms": 50}"#, top)).unwrap();
        let process = &settings.processes[0];
        assert_eq!((process.restart.immediate, process.restart.delay), (3, Duration::from_millis(50)));
        assert_eq!(process.restart.delay_max, Duration::from_secs(10));
        assert_eq!(process.stop_timeout, Duration::from_millis(700));
    }

    #[test]
    fn what_is_missing_or_of_the_wrong_type_is_named_by_its_path() {
        assert_eq!(complaint("{}"), "d.json: msf_procs: missing; expected an array of objects");
        assert_eq!(
            complaint(&with(r#", "proc_conf": 7"#, "")),
            "d.json: msf_procs[0].proc_conf: expected a string, found a number"
        );
        assert_eq!(
            complaint(r#"{"msf_procs": [{"proc_idx": 1}]}"#),
            "d.json: msf_procs[0].proc_name: missing; expected a string"
        );
        assert_eq!(complaint(r#"{"msf_procs": []}"#), "d.json: msf_procs: empty; expected at least one process");
        let no_author = ORIGINAL.replace("msf_author", "msf_auhtor");
        assert_eq!(complaint(&no_author), "d.json: msf_author: missing; expected a string");
        assert_eq!(
            complaint(&with(r#", "args": ["a", 1]"#, "")),
            "d.json: msf_procs[0].args[1]: expected a string, found a number"
        );
        assert_eq!(
            complaint(&with(r#", "env": {"A": 1}"#, "")),
            "d.json: msf_procs[0].env.A: expected a string, found a number"
        );
    }

    #[test]
    fn names_are_unique_and_fit_a_file_name() {
        let twice = with("", "")
            .replace("\"msf_procs\": [", r#""msf_procs": [{"proc_idx": 0, "proc_name": "one", "proc_path": "x"}, "#);
        assert_eq!(complaint(&twice), "d.json: msf_procs[1].proc_name: \"one\" is used twice; names are unique");
        assert!(complaint(&ORIGINAL.replace("msf_rpc_agent\"", "../agent\"")).contains("msf_procs[0].proc_name"));
    }

    #[test]
    fn an_unknown_key_warns_in_the_originals_format_and_fails_in_ours() {
        let settings = parse(&with(r#", "proc_cnof": "x""#, "")).unwrap();
        let warning = "d.json: msf_procs[0].proc_cnof: unknown key; did you mean \"proc_conf\"?";
        assert_eq!(settings.warnings, [warning]);
        assert_eq!(complaint(&with(r#", "proc_cnof": "x""#, r#", "version": 1"#)), warning);
    }

    #[test]
    fn a_delay_may_not_start_above_its_end() {
        let text = with(r#", "restart": {"delay_ms": 500, "delay_max_ms": 100}"#, "");
        assert_eq!(
            complaint(&text),
            "d.json: msf_procs[0].restart.delay_max_ms: 100 ms is less than delay_ms, which is 500"
        );
    }

    #[test]
    fn paths_are_taken_from_the_files_folder() {
        let settings = parse(&with(r#", "proc_conf": "a.json", "working_directory": "/srv""#, "")).unwrap();
        let launch = &settings.processes[0].launch;
        assert_eq!(launch.conf_in(Path::new("/etc/msf")), Some(PathBuf::from("/etc/msf/a.json")));
        assert_eq!(launch.working_directory_in(Path::new("/etc/msf")), Some(PathBuf::from("/srv")));
    }
}
