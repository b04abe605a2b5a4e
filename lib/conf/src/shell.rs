//! msf_shell's settings: the seed's JSON (`proc_name`, `proc_author`, `proc_version`, `proc_desc`, `proc_svcs`).
//!
//! All five keys must be written, as the original demands. Keys it does not know are warnings, because it ignores them.

use crate::{ConfError, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Bytes of a `proc_*` text; the C struct keeps one more for the NUL.
const PROC_TEXT: usize = 31;
/// Bytes of a service's name, which is the name of an exported variable.
const SVC_NAME: usize = 63;
/// Bytes of a path, as the system limits it.
const PATH: usize = 4095;

const TOP: &[&str] = &["proc_name", "proc_author", "proc_version", "proc_desc", "proc_svcs"];
const SERVICE: &[&str] = &["svc_name", "svc_libs"];

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
    /// In the order they are loaded, initialised and started.
    pub services: Vec<Service>,
    /// What was read over; one sentence each.
    pub warnings: Vec<ConfError>,
}

/// One service and the library it lives in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The variable its library exports.
    pub name: String,
    /// The library as written, with or without a folder.
    pub library: String,
}

impl Shell {
    /// Reads and checks `file`.
    pub fn read(file: &Path) -> Result<Shell, ConfError> {
        Shell::from_doc(file, &json::Doc::read(file)?)
    }

    /// Checks `text`, which complaints will say came from `file`.
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
        if entries.is_empty() {
            return Err(top.error("proc_svcs", "empty; expected at least one service"));
        }
        let mut warnings = top.unknown(TOP);
        let mut services = Vec::with_capacity(entries.len());
        let mut names = HashMap::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            let service = service(entry)?;
            if let Some(first) = names.insert(service.name.clone(), at) {
                let what = format!("\"{}\" is proc_svcs[{first}] already", service.name);
                return Err(entry.error("svc_name", what));
            }
            warnings.extend(entry.unknown(SERVICE));
            services.push(service);
        }
        Ok(Shell {
            file: file.to_owned(),
            name: name.to_owned(),
            author: author.to_owned(),
            version: version.to_owned(),
            desc: desc.to_owned(),
            services,
            warnings,
        })
    }

    /// What this process calls itself: in the run folder, in the log folder, to a second copy.
    pub fn identity(&self) -> String {
        format!("msf_shell.{}", self.name)
    }

    /// What differs in `newer`, one sentence each.
    pub fn changes(&self, newer: &Shell) -> Vec<String> {
        let mut changes = Vec::new();
        let texts = [
            ("proc_name", &self.name, &newer.name),
            ("proc_author", &self.author, &newer.author),
            ("proc_version", &self.version, &newer.version),
            ("proc_desc", &self.desc, &newer.desc),
        ];
        changes.extend(
            texts
                .iter()
                .filter(|(_, old, new)| old != new)
                .map(|(key, old, new)| format!("{key} changes from \"{old}\" to \"{new}\"")),
        );
        for old in &self.services {
            match newer.services.iter().find(|new| new.name == old.name) {
                None => changes.push(format!("service {} is gone", old.name)),
                Some(new) if new.library != old.library => {
                    changes.push(format!("service {} moves from {} to {}", old.name, old.library, new.library));
                }
                Some(_) => {}
            }
        }
        let added = newer.services.iter().filter(|new| self.services.iter().all(|old| old.name != new.name));
        changes.extend(added.map(|new| format!("service {} is new", new.name)));
        let kept = |all: &[Service], other: &[Service]| -> Vec<String> {
            let both = all.iter().filter(|one| other.iter().any(|two| two.name == one.name));
            both.map(|one| one.name.clone()).collect()
        };
        if kept(&self.services, &newer.services) != kept(&newer.services, &self.services) {
            changes.push("the services change their order".to_owned());
        }
        changes
    }
}

fn service(entry: &json::Object<'_>) -> Result<Service, ConfError> {
    let name = text(entry, "svc_name", SVC_NAME)?;
    if name.is_empty() {
        return Err(entry.error("svc_name", "empty; expected the name of an exported variable"));
    }
    let library = text(entry, "svc_libs", PATH)?;
    if library.is_empty() {
        return Err(entry.error("svc_libs", "empty; expected the file of a library"));
    }
    Ok(Service { name: name.to_owned(), library: library.to_owned() })
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
    fn the_seeds_file_is_accepted_as_printed() {
        let shell = parse(SEED).unwrap();
        assert_eq!(shell.identity(), "msf_shell.msf_agent");
        assert_eq!((shell.version.as_str(), shell.desc.len()), ("beta v1.0", 31));
        let second = Service { name: "msf_agent2".to_owned(), library: "libmsf_agent2.so".to_owned() };
        assert_eq!(shell.services[1], second);
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
    fn changes_name_what_is_new_gone_and_moved() {
        let old = parse(SEED).unwrap();
        assert!(old.changes(&parse(SEED).unwrap()).is_empty());
        let new = parse(&SEED.replace("msf_agent1\"", "msf_agent3\"").replace("agent2.so", "agent4.so")).unwrap();
        assert_eq!(
            old.changes(&new),
            [
                "service msf_agent1 is gone",
                "service msf_agent2 moves from libmsf_agent2.so to libmsf_agent4.so",
                "service msf_agent3 is new"
            ]
        );
        let mut swapped = parse(SEED).unwrap();
        swapped.services.reverse();
        assert_eq!(old.changes(&swapped), ["the services change their order"]);
    }
}
