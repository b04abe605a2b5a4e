//! The services of `services_dir`: made as the folder says, whenever something in it has changed.
//!
//! What was wrong is told once and not tried again before its file, its library, or what it requires has changed: while
//! many files come, the folder is looked at many times.

use crate::MODULE;
use crate::copy::generation::Stage;
use crate::keep::change::Report;
use crate::keep::keeper::Keeper;
use crate::keep::orders::Orders;
use crate::keep::watch::Watch;
use crate::library::libraries;
use crate::library::staging::Mark;
use msf_conf::ConfError;
use msf_conf::shell::{Service, Shell};
use msf_sys::log::Level;
use std::path::Path;

/// What was tried of a service, and failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    conf: Service,
    library: Option<Mark>,
    /// Which of those it requires were up.
    ups: Vec<bool>,
}

impl Keeper {
    /// Makes the services of the folder as it says now. The file itself is not read again.
    pub fn follow(&mut self) -> Report {
        let mut report = Report::default();
        let mut newer = match self.settings.again() {
            Ok(newer) => newer,
            Err(e) => {
                report.failed(format!("services_dir: {e}"));
                return report;
            }
        };
        // Main services are as they were when the file was read last.
        newer.keep(&self.settings);
        self.remove_strangers(&newer, &mut report);
        self.adopt(newer);
        self.complain_of_folder(false, &mut report);
        self.missing.retain(|name, _| self.settings.services.iter().any(|service| service.name == *name));
        self.tried.retain(|name, _| self.settings.services.iter().any(|service| service.name == *name));
        for service in self.settings.services.clone() {
            if service.source.is_some() && self.tried.get(&service.name) != Some(&self.attempt(&service)) {
                self.try_to_make_so(&service, &mut report);
            }
        }
        report
    }

    /// Reads the file and its folder; what of the folder cannot be read is as it was.
    pub(crate) fn read_again(&self) -> Result<Shell, ConfError> {
        let mut newer = Shell::read(&self.settings.file)?;
        newer.keep(&self.settings);
        Ok(newer)
    }

    /// Tells what is wrong in the folder: all of it, or only what is new.
    pub(crate) fn complain_of_folder(&mut self, everything: bool, report: &mut Report) {
        let wrong: Vec<String> = self.settings.spoilt.iter().map(|one| one.why.to_string()).collect();
        for what in wrong.iter().filter(|what| everything || !self.told.contains(what)) {
            report.failed(what.clone());
        }
        self.told = wrong;
    }

    /// Looks at the folder from now on, if there is one, or at another one.
    pub fn watch(&mut self, orders: &Orders) {
        match (&self.watch, &self.settings.folder) {
            (None, None) => {}
            (Some(watch), folder) => watch.aim(folder.as_deref()),
            (None, Some(folder)) => match Watch::start(folder, orders.clone()) {
                // Whatever has come since it was read is not to be missed.
                Ok(watch) => self.watch = Some(watch),
                // Tried again with the next order.
                Err(e) => msf_sys::log!(Level::Error, MODULE, "{} is not watched: {e}", folder.display()),
            },
        }
    }

    /// A service that was taken down stays down until something of it changes, or somebody wants it up.
    pub(crate) fn let_rest(&mut self, name: &str) {
        let service = self.settings.services.iter().find(|service| service.name == name).cloned();
        if let Some(service) = service.filter(|service| service.source.is_some()) {
            self.tried.insert(service.name.clone(), self.attempt(&service));
        }
    }

    fn try_to_make_so(&mut self, service: &Service, report: &mut Report) {
        let before = report.failed.len();
        self.make_so(service, report);
        if report.failed.len() > before {
            self.tried.insert(service.name.clone(), self.attempt(service));
        } else {
            self.tried.remove(&service.name);
            self.missing.remove(&service.name);
        }
    }

    fn attempt(&self, service: &Service) -> Attempt {
        let file = libraries::find(&self.settings, service).ok();
        let is_up = |name: &String| self.seat(name).and_then(|seat| self.stage(seat)) == Some(&Stage::Started);
        Attempt {
            conf: service.clone(),
            library: file.and_then(|file| Mark::of(&file).ok()),
            ups: service.requires.iter().map(is_up).collect(),
        }
    }

    /// Whether the library of a service of the folder was taken away; `file` is where it is now.
    pub(crate) fn has_lost(&self, service: &Service, file: &Path) -> bool {
        let loaded = self.seat(&service.name).map(|(of, _)| &self.generations[of].file);
        service.source.is_some() && !file.is_absolute() && loaded.is_some_and(|loaded| !loaded.exists())
    }

    /// Takes a service of the folder down whose library is not there. While the folder itself cannot be read, it stays.
    pub(crate) fn let_go(&mut self, service: &Service, why: String, report: &mut Report) {
        if let Some(seat) = self.seat(&service.name) {
            if self.settings.has_lost_folder() {
                return;
            }
            self.take_down(seat, report);
        }
        self.miss(service, why, report);
    }
}
