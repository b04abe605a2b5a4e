//! msf_shell's settings: the seed's JSON (`proc_name`, `proc_author`, `proc_version`, `proc_desc`, `proc_svcs`) and, in
//! the entries, what each service is given and waits for.
//!
//! The five keys must be written, as the original demands. Keys it does not know are warnings, because it ignores them;
//! in a file that says `"version": 1` they are errors.

mod folder;
mod limits;
mod order;
mod sandbox;
mod service;
mod worker;

pub use folder::{Source, Spoilt};
pub use limits::{Deed, Limits};
pub use sandbox::{Landlock, PROFILE, Sandbox};
pub use service::{Patience, Service};
pub use worker::{Params, Worker};

use crate::{ConfError, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a `proc_*` text; the C struct keeps one more for the NUL.
const PROC_TEXT: usize = 31;
const DAY_MS: i64 = 24 * 3600 * 1000;
/// Bytes of a path, as the system limits it.
const PATH: usize = 4095;

const TOP: &[&str] = &[
    "proc_name",
    "proc_author",
    "proc_version",
    "proc_desc",
    "proc_svcs",
    "version",
    "start_timeout_ms",
    "stop_timeout_ms",
    "check_ms",
    "agent",
    "services_dir",
];
const SERVICE: &[&str] = &[
    "svc_name",
    "svc_libs",
    "restart",
    "config",
    "loop",
    "requires",
    "after",
    "optional",
    "start_timeout_ms",
    "stop_timeout_ms",
    "worker",
    "isolate",
    "sandbox",
    "limits",
];

/// One shell process: who it is and what it hosts.
#[derive(Debug)]
pub struct Shell {
    /// Where the settings were read.
    pub file: PathBuf,
    /// Names the process in its title, log, lock and pid file.
    pub name: String,
    /// Shown by `-v`.
    pub author: String,
    /// Shown by `-v`.
    pub version: String,
    /// Shown by `-v`.
    pub desc: String,
    /// In the order they are loaded, initialised and started: the file's, but none before those it goes up after.
    pub services: Vec<Service>,
    /// `check_ms`: how often services with limits are looked at.
    pub check: Duration,
    /// What was read over; one sentence each.
    pub warnings: Vec<ConfError>,
    /// The whole document again, for a process that is to read the same.
    pub text: Arc<str>,
    /// `services_dir`: where more services are named.
    pub folder: Option<PathBuf>,
    /// What is wrong there.
    pub spoilt: Vec<Spoilt>,
    /// The document without the folder.
    own: Arc<str>,
    patience: Patience,
    agent: String,
}

impl Shell {
    /// Reads and checks `file`, and the folder it names.
    pub fn read(file: &Path) -> Result<Shell, ConfError> {
        Shell::from_doc(file, &json::Doc::read(file)?).map(Shell::with_folder)
    }

    /// The file as it was, with the folder as it is now.
    pub fn again(&self) -> Result<Shell, ConfError> {
        Shell::parse(&self.file, &self.own).map(Shell::with_folder)
    }

    /// Checks `text`, which complaints will say came from `file`. The folder is not looked at.
    pub fn parse(file: &Path, text: &str) -> Result<Shell, ConfError> {
        Shell::from_doc(file, &json::Doc::parse(file, text)?)
    }

    fn from_doc(file: &Path, doc: &json::Doc) -> Result<Shell, ConfError> {
        let top = doc.top();
        let name = text(&top, "proc_name", PROC_TEXT)?;
        file_name(&top, "proc_name", name)?;
        let author = text(&top, "proc_author", PROC_TEXT)?;
        let version = text(&top, "proc_version", PROC_TEXT)?;
        let desc = text(&top, "proc_desc", PROC_TEXT)?;
        let Some(entries) = top.objects("proc_svcs")? else {
            return Err(top.error("proc_svcs", "missing; expected an array of objects"));
        };
        let folder = folder(file, &top)?;
        if entries.is_empty() && folder.is_none() {
            return Err(top.error("proc_svcs", "empty; expected at least one service"));
        }
        let patience = Patience::of(&top, Patience::default())?;
        let agent = worker::agent(&top)?;
        let mut strangers = top.unknown(TOP);
        let mut services = Vec::with_capacity(entries.len());
        let mut names = HashMap::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            let service = Service::of(entry, at, patience, &agent)?;
            if let Some(first) = names.insert(service.name.clone(), at) {
                let what = format!("\"{}\" is proc_svcs[{first}] already", service.name);
                return Err(entry.error("svc_name", what));
            }
            strangers.extend(entry.unknown(SERVICE));
            services.push(service);
        }
        let check = top.integer("check_ms", 10..=DAY_MS)?.map_or(1000, i64::unsigned_abs);
        let order = order::order(&services, &|at, key, what| entries[at].error(key, what))
            .map_err(|mut wrong| wrong.swap_remove(0).1)?;
        if top.integer("version", 1..=1)?.is_some() && !strangers.is_empty() {
            return Err(strangers.remove(0));
        }
        let own: Arc<str> = top.to_text().into();
        Ok(Shell {
            file: file.to_owned(),
            name: name.to_owned(),
            author: author.to_owned(),
            version: version.to_owned(),
            desc: desc.to_owned(),
            services: order.into_iter().map(|at| services[at].clone()).collect(),
            check: Duration::from_millis(check),
            warnings: strangers,
            text: Arc::clone(&own),
            folder,
            spoilt: Vec::new(),
            own,
            patience,
            agent,
        })
    }

    /// What this process calls itself: in the run folder, in the log folder, to a second copy.
    pub fn identity(&self) -> String {
        format!("msf_shell.{}", self.name)
    }

    /// What of `newer` only a new process can be, one sentence each.
    pub fn changes(&self, newer: &Shell) -> Vec<String> {
        let texts = [
            ("proc_name", &self.name, &newer.name),
            ("proc_author", &self.author, &newer.author),
            ("proc_version", &self.version, &newer.version),
            ("proc_desc", &self.desc, &newer.desc),
        ];
        let changed = texts.iter().filter(|(_, old, new)| old != new);
        changed.map(|(key, old, new)| format!("{key} changes from \"{old}\" to \"{new}\"")).collect()
    }
}

/// A string that must be written, fits a C array and may be empty.
fn text<'a>(object: &json::Object<'a>, key: &str, limit: usize) -> Result<&'a str, ConfError> {
    let Some(text) = object.string(key)? else {
        return Err(object.error(key, "missing; expected a string"));
    };
    if text.len() > limit {
        return Err(object.error(key, format!("has {} bytes; expected at most {limit}", text.len())));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(stranger) => Err(object.error(key, format!("contains the control character {stranger:?}"))),
        None => Ok(text),
    }
}

/// The folder with more services; a relative one lies beside `file`.
fn folder(file: &Path, top: &json::Object<'_>) -> Result<Option<PathBuf>, ConfError> {
    let Some(written) = top.string("services_dir")? else { return Ok(None) };
    match text(top, "services_dir", PATH)? {
        "" => Err(top.error("services_dir", "empty; expected a folder")),
        _ => Ok(Some(file.parent().unwrap_or(Path::new("")).join(written))),
    }
}

/// The process' name becomes part of file names.
fn file_name(top: &json::Object<'_>, key: &str, name: &str) -> Result<(), ConfError> {
    if name.is_empty() {
        return Err(top.error(key, "empty; expected a name"));
    }
    if name.contains('/') {
        return Err(top.error(key, format!("\"{name}\" contains a slash; it names the log and pid files")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = r#"{
    "proc_name": "msf_agent",
    "proc_author": "http://luotang.me",
    "proc_version": "beta v1.0",
    "proc_desc": "Micro agent service config file",
    "proc_svcs":
    [
        {
          "svc_name": "msf_agent1",
          "svc_libs": "libmsf_agent1.so"
        },
        {
          "svc_name": "msf_agent2",
          "svc_libs": "libmsf_agent2.so"
        }
    ]
}"#;

    fn parse(text: &str) -> Result<Shell, ConfError> {
        Shell::parse(Path::new("svc.json"), text)
    }

    fn complaint(from: &str, to: &str) -> String {
        assert!(SEED.contains(from), "{from}");
        parse(&SEED.replacen(from, to, 1)).unwrap_err().to_string()
    }

    #[test]
    fn an_isolated_service_may_have_a_restart_law_of_its_own_and_no_other_may() {
        let law = r#""restart": {"immediate": 3, "delay_ms": 5}"#;
        let service = three("", &format!(r#", "isolate": true, {law}"#), "").unwrap().services.remove(1);
        assert_eq!((service.restart.immediate, service.restart.delay.as_millis()), (3, 5));
        assert_eq!(service.restart.reset, crate::daemon::Restart::default().reset);
        assert!(service.to_string().contains("3 restarts at once and one in 10000 ms, then after 5 to 10000 ms"));
        for (bad, said) in [
            (format!(", {law}"), "restart: is about a process of its own"),
            (r#", "isolate": true, "restart": {"imediate": 3}"#.to_owned(), "restart.imediate: unknown key"),
            (r#", "isolate": true, "restart": {"policy": "no"}"#.to_owned(), "restart.policy: expected one of"),
        ] {
            let error = three("", &bad, "").unwrap_err().to_string();
            assert!(error.contains("proc_svcs[1]") && error.contains(said), "{error}");
        }
    }

    #[test]
    fn the_seeds_file_is_accepted_as_printed() {
        let shell = parse(SEED).unwrap();
        assert_eq!(shell.identity(), "msf_shell.msf_agent");
        assert_eq!((shell.version.as_str(), shell.desc.len()), ("beta v1.0", 31));
        assert_eq!(shell.services[1], Service { at: 1, ..Service::plain("msf_agent2", "libmsf_agent2.so") });
        assert!(shell.warnings.is_empty());
    }

    #[test]
    fn a_missing_key_is_named_with_its_path() {
        assert_eq!(
            complaint("\"svc_libs\": \"libmsf_agent2.so\"", "\"x\": 1"),
            "svc.json: proc_svcs[1].svc_libs: missing; expected a string"
        );
        assert_eq!(complaint("proc_author", "author"), "svc.json: proc_author: missing; expected a string");
        assert_eq!(complaint("proc_svcs", "svcs"), "svc.json: proc_svcs: missing; expected an array of objects");
    }

    #[test]
    fn a_wrong_type_is_named_with_its_path() {
        assert_eq!(complaint("\"beta v1.0\"", "1.0"), "svc.json: proc_version: expected a string, found a number");
        assert_eq!(
            complaint("\"libmsf_agent1.so\"", "[\"libmsf_agent1.so\"]"),
            "svc.json: proc_svcs[0].svc_libs: expected a string, found an array"
        );
    }

    #[test]
    fn texts_that_do_not_fit_the_c_struct_are_refused() {
        assert_eq!(complaint("Micro agent", "Micro  agent"), "svc.json: proc_desc: has 32 bytes; expected at most 31");
        assert!(complaint("beta v1.0", "beta\\u0000").contains("control character"));
    }

    #[test]
    fn the_process_name_must_be_able_to_name_files() {
        assert!(complaint("\"msf_agent\"", "\"../agent\"").contains("contains a slash"));
        assert!(complaint("\"msf_agent\"", "\"\"").contains("empty"));
    }

    #[test]
    fn the_same_service_twice_is_refused() {
        assert_eq!(
            complaint("msf_agent2", "msf_agent1"),
            "svc.json: proc_svcs[1].svc_name: \"msf_agent1\" is proc_svcs[0] already"
        );
    }

    #[test]
    fn unknown_keys_are_warnings_naming_the_nearest() {
        let shell = parse(&SEED.replacen("{", "{ \"proc_svc\": 1,", 1)).unwrap();
        assert_eq!(shell.warnings.len(), 1);
        assert_eq!(shell.warnings[0].to_string(), "svc.json: proc_svc: unknown key; did you mean \"proc_svcs\"?");
    }

    #[test]
    fn in_a_file_with_a_version_unknown_keys_are_errors() {
        let text = SEED.replacen('{', "{ \"version\": 1, \"start_timeout\": 5,", 1);
        let error = parse(&text).unwrap_err().to_string();
        assert_eq!(error, "svc.json: start_timeout: unknown key; did you mean \"start_timeout_ms\"?");
        assert!(parse(&SEED.replacen('{', "{ \"version\": 1,", 1)).is_ok());
        assert!(parse(&SEED.replacen('{', "{ \"version\": 2,", 1)).is_err());
    }

    #[test]
    fn what_only_a_new_process_can_be_is_told() {
        let old = parse(SEED).unwrap();
        assert!(old.changes(&parse(SEED).unwrap()).is_empty());
        let new = parse(&SEED.replace("beta v1.0", "1.1").replace("msf_agent1\"", "msf_agent3\"")).unwrap();
        assert_eq!(old.changes(&new), ["proc_version changes from \"beta v1.0\" to \"1.1\""]);
    }

    /// Services a, b and c with these words in their entries.
    fn three(a: &str, b: &str, c: &str) -> Result<Shell, ConfError> {
        let entry = |name, more| format!("{{\"svc_name\": \"{name}\", \"svc_libs\": \"lib{name}.so\"{more}}}");
        let entries = [entry("a", a), entry("b", b), entry("c", c)].join(",");
        let head = SEED.split_once("\"proc_svcs\"").unwrap().0;
        parse(&format!("{head}\"proc_svcs\": [{entries}]}}"))
    }

    #[test]
    fn the_order_is_the_files_but_for_those_that_wait() {
        let names = |shell: Shell| shell.services.into_iter().map(|one| one.name).collect::<String>();
        assert_eq!(names(three("", "", "").unwrap()), "abc");
        assert_eq!(names(three(r#", "after": ["c"]"#, "", "").unwrap()), "bca");
        assert_eq!(names(three(r#", "requires": ["b"]"#, r#", "after": ["c"]"#, "").unwrap()), "cba");
    }

    #[test]
    fn a_circle_names_its_members_and_a_stranger_the_nearest() {
        let wait = |name| format!(r#", "after": ["{name}"]"#);
        let error = three(&wait("b"), &wait("c"), &wait("b")).unwrap_err().to_string();
        assert_eq!(error, "svc.json: proc_svcs[1].svc_name: waits for itself: b goes up after c goes up after b");
        let error = three("", &wait("aa"), "").unwrap_err().to_string();
        assert_eq!(error, "svc.json: proc_svcs[1].after: there is no service \"aa\"; did you mean \"a\"?");
        assert!(three(&wait("a"), "", "").unwrap_err().to_string().contains("a goes up after a"));
    }

    #[test]
    fn a_service_is_given_what_its_entry_says() {
        let entry = r#", "config": {"b": [1, "x"], "a": null}, "loop": true, "optional": true, "stop_timeout_ms": 5"#;
        let service = three(entry, r#", "start_timeout_ms": 0"#, "").unwrap().services;
        assert_eq!(service[0].config, r#"{"a":null,"b":[1,"x"]}"#);
        assert!(service[0].with_loop && service[0].optional && service[1].config == "{}");
        assert_eq!(service[0].patience.stop.as_millis(), 5);
        let shown = service[0].to_string();
        assert_eq!(
            shown,
            r#"a from liba.so, with a loop, optional, start within 60000 ms, stop within 5 ms, config {"a":null,"b":[1,"x"]}"#
        );
        assert_eq!((service[1].patience.start, service[2].patience), (None, Patience::default()));
        for bad in [
            r#", "isolate": 1"#,
            r#", "config": 1"#,
            r#", "loop": 1"#,
            r#", "stop_timeout_ms": 0"#,
            r#", "after": "a""#,
        ] {
            assert!(three("", bad, "").unwrap_err().to_string().contains("proc_svcs[1]."), "{bad}");
        }
    }

    #[test]
    fn an_isolated_service_may_have_a_sandbox_and_no_other() {
        let sandbox = r#""sandbox": {"rlimits": {"nofile": [64, 128], "as": "unlimited"}, "seccomp": "service",
            "landlock": {"read": ["/etc"], "write": []}, "no_new_privs": true, "required": true}"#;
        let service = three("", &format!(r#", "isolate": true, {sandbox}"#), "").unwrap().services.remove(1);
        let known = service.sandbox.clone().unwrap();
        assert!(service.isolate && known.seccomp && known.no_new_privs && known.required);
        assert_eq!(known.limits[1], crate::daemon::Limit { name: "nofile".into(), soft: Some(64), hard: Some(128) });
        assert_eq!(known.landlock.unwrap(), Landlock { read: vec!["/etc".into()], ..Landlock::default() });
        let shown = service.to_string();
        let words =
            "sandbox as unlimited/unlimited, nofile 64/128, no_new_privs, seccomp service, read [/etc], write []";
        assert!(shown.contains(words) && shown.contains("in a process of its own"), "{shown}");
        for (bad, said) in [
            (format!(", {sandbox}"), "sandbox: is about a process of its own"),
            (isolated(r#"{"secomp": "service"}"#), "sandbox.secomp: unknown key; did you mean \"seccomp\"?"),
            (isolated(r#"{"seccomp": "strict"}"#), "sandbox.seccomp: there is no profile \"strict\""),
            (isolated(r#"{"rlimits": {"nofiles": 1}}"#), "sandbox.rlimits.nofiles: no limit is called"),
            (isolated(r#"{"landlock": {"read": ["etc"]}}"#), "sandbox.landlock.read[0]: expected an absolute path"),
            (isolated(r#"{"landlock": {"reed": []}}"#), "sandbox.landlock.reed: unknown key"),
        ] {
            let error = three("", &bad, "").unwrap_err().to_string();
            assert!(error.contains("proc_svcs[1]") && error.contains(said), "{error}");
        }
    }

    fn isolated(sandbox: &str) -> String {
        format!(r#", "isolate": true, "sandbox": {sandbox}"#)
    }

    #[test]
    fn a_worker_is_what_its_entry_says_over_what_the_file_says() {
        let services = three(r#", "worker": true"#, r#", "worker": false"#, r#", "worker": {}"#).unwrap().services;
        assert_eq!(services[0].worker, services[2].worker);
        assert!(services[1].worker.is_none());
        let worker = services[0].worker.as_ref().unwrap();
        assert_eq!((worker.agent.as_str(), worker.params, worker.concurrency), ("127.0.0.1:6808", Params::Json, 1));
        let words = r#", "worker": {"agent": "broker:7000", "name": "n", "prefix": "p/", "params": "bytes", "timeout_ms": 5,
            "concurrency": 4, "queue_limit": 9, "timeouts_ms": {"slow": 900}}"#;
        let service = &three(words, "", "").unwrap().services[0];
        let worker = service.worker.as_ref().unwrap();
        assert_eq!((worker.timeout_of("slow").as_millis(), worker.timeout_of("fast").as_millis()), (900, 5));
        let shown = "a worker of broker:7000 called n, functions begin with p/, params as bytes, 4 at a time, at most 9 \
                     unfinished, within 5 ms, slow within 900 ms";
        assert!(service.to_string().ends_with(shown), "{service}");
    }

    #[test]
    fn what_is_wrong_with_a_worker_is_named_with_its_path() {
        for (bad, said) in [
            ("1", "proc_svcs[1].worker: expected an object, found a number"),
            (r#"{"agent": "6808"}"#, "proc_svcs[1].worker.agent: expected a host and a port such as 127.0.0.1:6808"),
            (r#"{"agent": "h:0"}"#, "worker.agent: expected"),
            (r#"{"agent": "::1:80"}"#, "worker.agent: expected"),
            (r#"{"param": "json"}"#, r#"worker.param: unknown key; did you mean "params"?"#),
            (r#"{"params": "text"}"#, r#"worker.params: expected "json" or "bytes", found "text""#),
            (r#"{"name": ""}"#, "worker.name: empty"),
            (r#"{"concurrency": 0}"#, "worker.concurrency: expected a whole number from 1 to 64"),
            (r#"{"timeouts_ms": {"f": 0}}"#, "worker.timeouts_ms.f: expected a whole number"),
        ] {
            let error = three("", &format!(", \"worker\": {bad}"), "").unwrap_err().to_string();
            assert!(error.contains(said), "{bad}: {error}");
        }
        let with = |agent: &str| parse(&SEED.replacen('{', &format!("{{ \"agent\": {agent},"), 1));
        assert!(with("\"[::1]:7000\"").is_ok());
        assert!(
            with("\"nowhere\"").unwrap_err().to_string().starts_with("svc.json: agent: expected a host and a port")
        );
    }
}
