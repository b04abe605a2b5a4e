//! `services_dir`: a folder of files that name services, beside those of the configuration itself.
//!
//! Each `NAME.json` is an entry of `proc_svcs`, or an object with `proc_svcs`. A file that is wrong is none of the others'
//! business: it is complained about, and they count. What cannot be read again is not what was taken away, so those
//! who have read it before keep it, see [`Shell::keep`].

use super::order::order;
use super::{SERVICE, Service, Shell};
use crate::json::{Doc, Object};
use crate::tree::{self, Value};
use crate::{ConfError, text};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a service of the folder was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// What goes before a key in complaints.
    pub prefix: String,
    /// The whole entry, as JSON text.
    entry: Arc<str>,
}

/// A file of the folder that does not count, or the folder itself.
#[derive(Debug)]
pub struct Spoilt {
    /// Which one it is.
    pub file: PathBuf,
    /// What is wrong with it.
    pub why: ConfError,
}

impl Shell {
    /// Reads the folder, if there is one. What is wrong in it is in `spoilt` then.
    pub(super) fn with_folder(mut self) -> Shell {
        let Some(folder) = self.folder.clone() else { return self };
        let mut files = Vec::new();
        let found = json_files(&folder).map_err(|source| ConfError::Read { file: folder.clone(), source });
        match found {
            Ok(found) => {
                for file in found {
                    match self.services_of(&file) {
                        Ok(services) => files.push((file, services)),
                        Err(why) => self.spoilt.extend(why.map(|why| Spoilt { file, why })),
                    }
                }
            }
            Err(why) => self.spoilt.push(Spoilt { file: folder, why }),
        }
        self.take_in(files);
        self.retell();
        self
    }

    /// What `old` has from files that cannot be read now stays.
    pub fn keep(&mut self, old: &Shell) {
        let is_lost =
            |file: &Path| self.spoilt.iter().any(|one| one.file == file || Some(&one.file) == self.folder.as_ref());
        let is_here = |service: &Service| self.services.iter().any(|one| one.name == service.name);
        let lost = |service: &&Service| service.source.as_ref().is_some_and(|source| is_lost(&source.file));
        let kept: Vec<Service> = old.services.iter().filter(lost).filter(|one| !is_here(one)).cloned().collect();
        self.services.extend(kept);
        self.retell();
    }

    /// Whether the folder itself cannot be read.
    pub fn has_lost_folder(&self) -> bool {
        self.spoilt.iter().any(|one| Some(&one.file) == self.folder.as_ref())
    }

    /// What a file says; no error when it is not there any longer.
    fn services_of(&self, file: &Path) -> Result<Vec<Service>, Option<ConfError>> {
        let written = match text::read(file) {
            Err(ConfError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Err(None),
            written => written?,
        };
        let doc = Doc::parse(file, &written)?;
        let top = doc.top();
        let entries = match top.has("proc_svcs") {
            true => top.objects("proc_svcs")?.unwrap_or_default(),
            false => vec![top.clone()],
        };
        let known: &[&str] = if top.has("proc_svcs") { &["proc_svcs", "version"] } else { SERVICE };
        top.integer("version", 1..=1)?;
        let strangers = |object: &Object<'_>, known| object.unknown(known).into_iter().next();
        if let Some(stranger) = strangers(&top, known) {
            return Err(Some(stranger));
        }
        let mut services = Vec::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            if let Some(stranger) = strangers(entry, SERVICE) {
                return Err(Some(stranger));
            }
            let service = Service::of(entry, at, self.patience, &self.agent)?;
            let path = entry.path_of("svc_name");
            let prefix = path.strip_suffix("svc_name").unwrap_or_default().to_owned();
            let source = Source { file: file.to_owned(), prefix, entry: entry.to_text().into() };
            services.push(Service { optional: true, source: Some(source), ..service });
        }
        Ok(services)
    }

    /// Takes files in whose services are not there yet and go up after services that are.
    fn take_in(&mut self, files: Vec<(PathBuf, Vec<Service>)>) {
        let mut names: HashSet<String> = self.services.iter().map(|service| service.name.clone()).collect();
        let mut open = Vec::new();
        for (file, services) in files {
            let mut own = HashSet::new();
            match services.iter().find(|service| names.contains(&service.name) || !own.insert(service.name.clone())) {
                None => {
                    names.extend(own);
                    open.push((file, services));
                }
                Some(twice) => {
                    let why = complaint(twice, "svc_name", format!("there is a service \"{}\" already", twice.name));
                    self.spoilt.push(Spoilt { file, why });
                }
            }
        }
        // Files in which something waits in vain go, and then those that wait for these, until the others fit.
        while let Err(wrong) = self.fit(&open) {
            let of = |(service, why): (Service, ConfError)| Some((service.source?.file, why));
            let mut why: HashMap<PathBuf, ConfError> = wrong.into_iter().rev().filter_map(of).collect();
            let (spoilt, rest): (Vec<_>, Vec<_>) = open.into_iter().partition(|(file, _)| why.contains_key(file));
            open = rest;
            // The services of the configuration itself are to blame for nothing.
            if spoilt.is_empty() {
                return;
            }
            self.spoilt
                .extend(spoilt.into_iter().filter_map(|(file, _)| Some(Spoilt { why: why.remove(&file)?, file })));
        }
    }

    /// Adds services; else hands back those that are to blame.
    fn fit(&mut self, more: &[(PathBuf, Vec<Service>)]) -> Result<(), Vec<(Service, ConfError)>> {
        let more = more.iter().flat_map(|(_, services)| services);
        let both: Vec<Service> = self.services.iter().chain(more).cloned().collect();
        let order = order(&both, &|at, key, what| complaint(&both[at], key, what));
        let blame = |(at, why): (usize, ConfError)| (both[at].clone(), why);
        let order = order.map_err(|wrong| wrong.into_iter().map(blame).collect::<Vec<_>>())?;
        self.services = order.into_iter().map(|at| both[at].clone()).collect();
        Ok(())
    }

    /// Writes the services of the folder into `text`, so that who reads it finds all of them.
    fn retell(&mut self) {
        let entries = self.services.iter().filter_map(|service| tree::parse(&service.source.as_ref()?.entry).ok());
        let mut document = tree::parse(&self.own).unwrap_or_default();
        if let Some(Value::Array(written)) = document.get_mut("proc_svcs") {
            written.extend(entries);
        }
        self.text = document.to_string().into();
    }
}

/// A complaint about a key of a service's entry. One of the configuration itself has been looked at before.
fn complaint(service: &Service, key: &str, what: String) -> ConfError {
    match &service.source {
        Some(Source { file, prefix, .. }) => ConfError::key(file, format!("{prefix}{key}"), what),
        None => ConfError::key(Path::new(&service.library), key.to_owned(), what),
    }
}

/// The files that count, in the order of their names.
fn json_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name.to_str().is_some_and(|name| name.ends_with(".json") && !name.starts_with('.')) {
            files.push(folder.join(name));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration with one service, `main`, and a folder.
    struct Home(PathBuf);

    impl Home {
        fn new(name: &str) -> Home {
            let home = std::env::temp_dir().join(format!("msf-conf-folder-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&home);
            fs::create_dir_all(home.join("more")).unwrap();
            let main = r#"{"proc_name": "p", "proc_author": "", "proc_version": "", "proc_desc": "", "services_dir": "more",
                "agent": "h:7", "proc_svcs": [{"svc_name": "main", "svc_libs": "m.so"}]}"#;
            fs::write(home.join("p.json"), main).unwrap();
            Home(home)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.join("more").join(name), text).unwrap();
        }

        fn read(&self) -> Shell {
            Shell::read(&self.0.join("p.json")).unwrap()
        }

        fn wrong(&self, shell: &Shell) -> Vec<String> {
            let more = format!("{}/", self.0.join("more").display());
            shell.spoilt.iter().map(|one| one.why.to_string().replace(&more, "")).collect()
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn names(shell: &Shell) -> String {
        shell.services.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn entry(name: &str, more: &str) -> String {
        format!(r#"{{"svc_name": "{name}", "svc_libs": "{name}.so"{more}}}"#)
    }

    #[test]
    fn a_file_is_an_entry_or_has_several_and_the_rest_of_the_folder_does_not_count() {
        let home = Home::new("several");
        home.write("b.json", &entry("b", r#", "worker": true"#));
        home.write("a.json", &format!(r#"{{"version": 1, "proc_svcs": [{}, {}]}}"#, entry("x", ""), entry("y", "")));
        home.write(".hidden.json", "nonsense");
        home.write("b.so", "nonsense");
        let shell = home.read();
        assert!(shell.spoilt.is_empty());
        assert_eq!(names(&shell), "main x y b");
        let (main, b) = (&shell.services[0], &shell.services[3]);
        assert!(main.source.is_none() && !main.optional && b.optional);
        assert_eq!(b.worker.as_ref().unwrap().agent, "h:7", "what holds for the whole file holds here, too");
        assert_eq!(b.source.as_ref().unwrap().file, home.0.join("more/b.json"));
        let again = Shell::parse(&shell.file, &shell.text).unwrap();
        assert_eq!(names(&again), "main x y b", "who reads the text finds them all");
    }

    #[test]
    fn what_is_wrong_with_one_file_is_told_and_the_others_count() {
        let home = Home::new("wrong");
        home.write("a.json", &entry("a", ""));
        home.write("b.json", "{");
        home.write("c.json", &entry("c", r#", "lop": true"#));
        home.write("d.json", &format!(r#"{{"proc_svcs": [{}, {}]}}"#, entry("d", ""), entry("a", "")));
        home.write("e.json", &entry("main", ""));
        home.write("f.json", &entry("f", r#", "requires": ["nobody"]"#));
        let shell = home.read();
        assert_eq!(names(&shell), "main a");
        let wrong = home.wrong(&shell);
        assert!(wrong[0].starts_with("b.json: not JSON: "), "{wrong:?}");
        assert_eq!(wrong[1], r#"c.json: lop: unknown key; did you mean "loop"?"#);
        assert_eq!(wrong[2], r#"d.json: proc_svcs[1].svc_name: there is a service "a" already"#);
        assert_eq!(wrong[3], r#"e.json: svc_name: there is a service "main" already"#);
        assert_eq!(wrong[4], r#"f.json: requires: there is no service "nobody""#);
    }

    #[test]
    fn services_of_the_folder_may_wait_for_each_other() {
        let home = Home::new("order");
        home.write("a.json", &entry("a", r#", "requires": ["b", "main"]"#));
        home.write("b.json", &entry("b", r#", "after": ["c"]"#));
        home.write("c.json", &entry("c", ""));
        assert_eq!(names(&home.read()), "main c b a");
        home.write("c.json", &entry("c", r#", "after": ["a"]"#));
        home.write("d.json", &entry("d", ""));
        let shell = home.read();
        assert_eq!(names(&shell), "main d");
        assert_eq!(shell.spoilt.len(), 3, "each waits for the others");
    }

    #[test]
    fn one_that_waits_in_vain_takes_nobody_with_it_but_those_that_wait_for_it() {
        let home = Home::new("vain");
        // Two files of which neither fits alone.
        home.write(
            "a.json",
            &format!(r#"{{"proc_svcs": [{}, {}]}}"#, entry("a", r#", "after": ["d"]"#), entry("b", "")),
        );
        home.write(
            "c.json",
            &format!(r#"{{"proc_svcs": [{}, {}]}}"#, entry("c", r#", "after": ["b"]"#), entry("d", "")),
        );
        home.write("e.json", &entry("emily", r#", "requires": ["nobody"]"#));
        home.write("f.json", &entry("f", r#", "requires": ["emily"]"#));
        let shell = home.read();
        assert_eq!(names(&shell), "main b c d a");
        let said =
            ["e.json: requires: there is no service \"nobody\"", "f.json: requires: there is no service \"emily\""];
        assert_eq!(home.wrong(&shell), said);
    }

    #[test]
    fn thousands_that_wait_for_one_that_is_not_there_take_no_time() {
        let home = Home::new("thousands");
        for number in 0..2000 {
            home.write(&format!("{number}.json"), &entry(&format!("s{number}"), r#", "requires": ["base"]"#));
        }
        home.write("z.json", &entry("z", ""));
        let began = std::time::Instant::now();
        let shell = home.read();
        assert_eq!((names(&shell).as_str(), shell.spoilt.len()), ("main z", 2000));
        // One after the other they took a minute.
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }

    #[test]
    fn what_cannot_be_read_again_is_kept_and_what_was_taken_away_is_not() {
        let home = Home::new("kept");
        home.write("a.json", &entry("a", ""));
        home.write("b.json", &entry("b", ""));
        let old = home.read();
        home.write("a.json", "{");
        fs::remove_file(home.0.join("more/b.json")).unwrap();
        let mut newer = old.again().unwrap();
        assert_eq!(names(&newer), "main");
        newer.keep(&old);
        assert_eq!(names(&newer), "main a");
        assert_eq!(names(&Shell::parse(&newer.file, &newer.text).unwrap()), "main a");
        fs::rename(home.0.join("more"), home.0.join("elsewhere")).unwrap();
        let mut newer = old.again().unwrap();
        assert!(newer.has_lost_folder() && home.wrong(&newer)[0].contains("cannot read"));
        newer.keep(&old);
        assert_eq!(names(&newer), "main a b");
    }
}
