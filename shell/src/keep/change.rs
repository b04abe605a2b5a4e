//! Services come, go and are exchanged while the others run.
//!
//! The file is the truth: `load` takes up what it names, `reload` makes everything as it says. What one command does, it
//! says in sentences; a failure of one service does not keep the others from what is to be done with them.

use crate::MODULE;
use crate::copy::generation::{Generation, Stage};
use crate::keep::keeper::{Keeper, Seat};
use crate::library::libraries;
use msf_conf::shell::{Service, Shell};
use msf_sys::log::Level;
use msf_sys::service::Slot;
use std::path::PathBuf;

/// What was done, and what was not.
#[derive(Debug, Default)]
pub struct Report {
    /// Sentences.
    pub done: Vec<String>,
    /// Sentences.
    pub failed: Vec<String>,
}

impl Report {
    /// Something was done.
    pub fn done(&mut self, what: String) {
        msf_sys::log!(Level::Info, MODULE, "{what}");
        self.done.push(what);
    }

    /// Something was not.
    pub fn failed(&mut self, what: String) {
        msf_sys::log!(Level::Error, MODULE, "{what}");
        self.failed.push(what);
    }
}

impl Keeper {
    /// Reads the file again, and takes up the service it calls `name`.
    pub fn load_service(&mut self, name: &str) -> Report {
        let mut report = Report::default();
        let newer = match self.read_again() {
            Ok(newer) => newer,
            Err(e) => {
                report.failed(format!("load: {e}"));
                return report;
            }
        };
        match newer.services.iter().find(|service| service.name == name) {
            None => report.failed(format!("{} names no service {name}", self.settings.file.display())),
            Some(_) if self.is_up(name) => report.failed(format!("service {name} is up already")),
            Some(service) => {
                let service = service.clone();
                self.adopt(newer);
                self.take_up(&service, &mut report);
            }
        }
        report
    }

    /// Takes a service down and lets its library go, if nobody else is in it.
    pub fn unload_service(&mut self, name: &str) -> Report {
        let mut report = Report::default();
        let needed = self.seats().into_iter().filter_map(|seat| {
            let member = &self.generations[seat.0].members[seat.1];
            let needs = member.conf.requires.iter().any(|one| one == name) && member.stage == Stage::Started;
            needs.then(|| member.conf.name.clone())
        });
        let needed: Vec<String> = needed.collect();
        match self.seat(name) {
            None => report.failed(format!("service {name} is not loaded")),
            Some(_) if !needed.is_empty() => {
                report.failed(format!("service {name} is required by {}", needed.join(", ")));
            }
            Some(seat) => {
                self.take_down(seat, &mut report);
                self.let_rest(name);
            }
        }
        report
    }

    /// Reads the file again and makes the services as it says. Those it says nothing new of run on, untouched.
    pub fn reload(&mut self) -> Report {
        let mut report = Report::default();
        let newer = match self.read_again() {
            Ok(newer) => newer,
            Err(e) => {
                report.failed(format!("reload: {e}; the running services stay"));
                return report;
            }
        };
        for change in self.settings.changes(&newer) {
            report.failed(format!("reload: {change}; takes effect when this shell is restarted"));
        }
        for warning in &newer.warnings {
            msf_sys::log!(Level::Warn, MODULE, "{warning}");
        }
        self.remove_strangers(&newer, &mut report);
        self.adopt(newer);
        self.complain_of_folder(true, &mut report);
        self.missing.clear();
        self.tried.clear();
        for service in self.settings.services.clone() {
            self.make_so(&service, &mut report);
        }
        if report.done.is_empty() && report.failed.is_empty() {
            report.done(format!("reload: nothing has changed in {}", self.settings.file.display()));
        }
        report
    }

    /// Services that the file names no longer, in reverse.
    pub(crate) fn remove_strangers(&mut self, newer: &Shell, report: &mut Report) {
        let names: Vec<String> = self.seats().into_iter().rev().filter_map(|seat| self.name(seat)).collect();
        for name in names.into_iter().filter(|name| newer.services.iter().all(|service| service.name != *name)) {
            report.done(format!("reload: service {name} is gone"));
            if let Some(seat) = self.seat(&name) {
                self.take_down(seat, report);
            }
        }
    }

    /// Makes one service as the file says.
    pub(crate) fn make_so(&mut self, service: &Service, report: &mut Report) {
        let file = match libraries::find(&self.settings, service) {
            Ok(file) if !self.has_lost(service, &file) => file,
            Ok(_) => return self.let_go(service, libraries::nowhere(&self.settings, service), report),
            Err(why) if service.source.is_some() => return self.let_go(service, why, report),
            Err(why) => return self.miss(service, why, report),
        };
        let Some((of, at)) = self.seat(&service.name) else {
            report.done(format!("reload: service {} is new", service.name));
            return self.take_up(service, report);
        };
        let generation = &self.generations[of];
        let member = &generation.members[at];
        let moved = file.is_absolute() && generation.file != file;
        let told = member.conf.config != service.config
            || member.conf.with_loop != service.with_loop
            || member.conf.isolate != service.isolate
            || member.conf.sandbox != service.sandbox;
        if matches!(member.stage, Stage::Failed(_)) || generation.stuck().is_some() {
            report.done(format!("reload: service {} is tried again", service.name));
            self.take_down((of, at), report);
            self.take_up(service, report);
        } else if member.conf.isolate != service.isolate && generation.names().len() > 1 {
            // It leaves those it shared a library with, who keep theirs.
            report.done(format!("reload: service {} gets a process of its own", service.name));
            self.take_down((of, at), report);
            self.take_up(service, report);
        } else if moved || told || !generation.is_current() {
            self.upgrade((of, at), report);
        } else {
            // What is new is for later: whom it waits for, and how long.
            let generation = &mut self.generations[of];
            generation.members[at].conf = service.clone();
            if let Some(annex) = generation.annex() {
                annex.heed(service.clone());
            }
        }
    }

    /// Loads a service, or finds it in a library that is loaded, and takes it up.
    pub(crate) fn take_up(&mut self, service: &Service, report: &mut Report) {
        // One that failed before is in the way.
        if let Some(seat) = self.seat(&service.name) {
            self.take_down(seat, report);
        }
        let seat = match libraries::find(&self.settings, service).and_then(|file| self.seat_in(file, service)) {
            Ok(seat) => seat,
            Err(why) => return self.miss(service, why, report),
        };
        let up = self.enter(seat).map_err(|why| format!("service {}: {why}", service.name));
        let up = up.and_then(|()| self.step(seat, Slot::Init)).and_then(|()| self.step(seat, Slot::Start));
        match up {
            Ok(()) => {
                self.missing.remove(&service.name);
                report.done(format!(
                    "service {} is started, generation {}",
                    service.name, self.generations[seat.0].number
                ));
            }
            Err(why) => {
                self.fail(seat, why.clone());
                self.take_down(seat, report);
                self.missing.insert(service.name.clone(), why.clone());
                report.failed(why);
            }
        }
    }

    /// A seat for a service in the library `file`: one more in the copy that is loaded, or the first in a new one.
    fn seat_in(&mut self, file: PathBuf, service: &Service) -> Result<Seat, String> {
        let may_share = |one: &Generation| {
            one.file == file && one.is_shared() && !service.isolate && one.is_current() && one.stuck().is_none()
        };
        if let Some(of) = self.generations.iter().position(may_share) {
            let generation = &mut self.generations[of];
            generation.add(&self.house, service)?;
            return Ok((of, generation.members.len() - 1));
        }
        let generation = self.load(&file, std::slice::from_ref(service), 1)?;
        self.generations.push(generation);
        Ok((self.generations.len() - 1, 0))
    }

    pub(crate) fn miss(&mut self, service: &Service, why: String, report: &mut Report) {
        let why = format!("service {}: {why}", service.name);
        self.missing.insert(service.name.clone(), why.clone());
        report.failed(why);
    }

    /// Takes a service down, out of `g_proc`, and its library with it if it was the last one there.
    pub(crate) fn take_down(&mut self, seat: Seat, report: &mut Report) {
        let Some(name) = self.name(seat) else { return };
        for (stage, slot) in [(Stage::Started, Slot::Stop), (Stage::Initialised, Slot::Deinit)] {
            if self.stage(seat) == Some(&stage)
                && let Err(why) = self.step(seat, slot)
            {
                report.failed(why);
            }
        }
        self.leave(&name);
        self.generations[seat.0].members[seat.1].stage = Stage::Gone;
        let others = self.generations[seat.0].names();
        if others.is_empty() {
            let mut generation = self.generations.remove(seat.0);
            generation.members[seat.1].stage = Stage::Loaded;
            let told = self.bury(generation);
            report.done(format!("service {name}: {told}"));
        } else {
            report.done(format!("service {name} is down; its library stays for {}", others.join(", ")));
        }
    }

    fn is_up(&self, name: &str) -> bool {
        self.seat(name).is_some_and(|seat| self.stage(seat) == Some(&Stage::Started))
    }
}
