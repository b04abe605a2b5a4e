//! A library loaded into this process: its thread, and its end.

use crate::copy::generation::House;
use crate::copy::grave::{Grave, Verdict};
use crate::library::elf;
use crate::library::libraries;
use crate::library::staging::{Mark, Print, Staged};
use crate::place::runner::{Image, Plan, Runner, Traits};
use crate::place::work::{self, Limit, Place, Silence};
use msf_conf::shell::{Patience, Service, Shell};
use msf_sys::Unusable;
use msf_sys::rest::Before;
use msf_sys::roster::Roster;
use msf_sys::service::About;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// One loaded copy of a library, in this process.
pub struct Here {
    runner: Arc<Runner>,
    before: Before,
    held: Option<File>,
    /// The slot its thread does not come back from.
    pub stuck: Option<String>,
    /// How long it may take on its way up.
    patience: Patience,
}

/// What was loaded, and what is known of it.
pub struct Loaded {
    /// The library.
    pub here: Here,
    /// Where it was found.
    pub file: PathBuf,
    /// Of the original; none of a library of the system's, which is loaded as it is.
    pub print: Option<(Print, Mark)>,
    /// For each service, what the file says of the size of its table.
    pub tables: Vec<Option<u64>>,
}

impl Here {
    /// Loads `staged`, the copy of `file`, or `file` itself, for `services`. Nothing of them is called.
    pub fn load(
        house: &House,
        settings: &Shell,
        file: &Path,
        staged: Option<Staged>,
        services: &[Service],
    ) -> Result<Loaded, String> {
        let first = services.first().ok_or("a library without a service")?;
        let patience = services.iter().map(|service| service.patience).fold(first.patience, longer);
        let mut tables = Vec::new();
        let mut plan = Plan { path: file.into(), mapped_as: file.into(), needs: Vec::new() };
        if let Some(staged) = &staged {
            tables = services
                .iter()
                .map(|one| libraries::look_into(&staged.path, file, &one.name))
                .collect::<Result<_, _>>()?;
            let links = elf::Links::of(&staged.path, file.parent().unwrap_or(Path::new("/")));
            libraries::no_second_libmsf(&links, file)?;
            let find = |need: &str| links.find(need).or_else(|| libraries::beside_libmsf(need));
            let needs = links.needs.iter().map(|need| (need.clone(), find(need))).collect();
            plan = Plan { path: staged.path.clone(), mapped_as: staged.mapped_as.clone(), needs };
        }
        let before = Before::now();
        let failed = |e: io::Error| libraries::refused(settings, first, file, &e);
        // Nobody is 0, and a number that comes again after four thousand million loads is nobody's any longer.
        let owner = (house.loaded.fetch_add(1, Ordering::Relaxed) as u32).max(1);
        let (runner, loaded) = Runner::start(&first.name, plan, owner).map_err(failed)?;
        match work::wait(&loaded, house.limit(patience, true)) {
            Ok(loaded) => loaded.map_err(failed)?,
            Err(silence) => return Err(format!("{}: cannot be loaded: {silence}", file.display())),
        }
        let print = staged.as_ref().map(|staged| (staged.print, staged.mark));
        let held = staged.and_then(Staged::loaded);
        let found = if print.is_some() { Some(file.into()) } else { libraries::mapped(file) };
        let here = Here { runner, before, held, stuck: None, patience };
        Ok(Loaded { here, file: found.unwrap_or_else(|| file.into()), print, tables })
    }

    /// Finds one more service in the library `file`; nothing of it is called. `table` is what was found out about the
    /// service's table before it was loaded.
    pub fn find(
        &self,
        house: &House,
        file: &Path,
        service: &Service,
        number: u32,
        table: Option<Option<u64>>,
    ) -> Result<Traits, String> {
        let table = match table {
            Some(table) => table,
            None if file.is_absolute() => libraries::look_into(file, file, &service.name)?,
            None => None,
        };
        let about = About { name: service.name.clone(), config: service.config.clone(), generation: number, table };
        let with_loop = service.with_loop;
        let found = self.on_thread(house.limit(service.patience, true), move |image| image.add(&about, with_loop));
        found.map_err(|silence| silence.to_string())?.map_err(|e| match e == Unusable::NoSymbol.to_string() {
            true => libraries::no_symbol(file, &service.name),
            false => format!("{}: \"{}_ops\": {e}", file.display(), service.name),
        })
    }

    /// Enters service number `at` in `g_proc`.
    pub fn enter(
        &self,
        limit: Limit<'_>,
        at: usize,
        name: String,
        file: PathBuf,
        roster: Arc<Mutex<Roster>>,
    ) -> Result<(), String> {
        let entered = self.on_thread(limit, move |image| {
            let Some(service) = image.service(at) else { return Ok(()) };
            let mut roster = roster.lock().unwrap_or_else(PoisonError::into_inner);
            roster.enter(&name, &file, image.library(), service)
        });
        entered.map_err(|silence| silence.to_string())?.map_err(|e| e.to_string())
    }

    /// The place calls are given to.
    pub fn place(&self) -> Arc<dyn Place> {
        Arc::clone(&self.runner) as Arc<dyn Place>
    }

    /// Has something done on its thread, some time.
    pub fn give_job(&self, job: impl FnOnce(&mut Image) + Send + 'static) {
        self.runner.give_job(job);
    }

    /// Ends its thread and lets the library go, if nobody is found in it.
    pub fn bury(self, house: &House, names: Vec<String>, file: PathBuf, number: u32) -> Verdict {
        self.runner.leave();
        let grave = Grave::new(names, file, number, self.runner, self.before, self.held);
        grave.close(self.stuck, house.limit(self.patience, false))
    }

    /// Ends its thread, and leaves the library: the process ends.
    pub fn abandon(&self, house: &House) {
        self.runner.leave();
        if self.stuck.is_none() {
            // Dropped, it stays mapped.
            let _ = self.runner.left(|left| work::wait(left, house.limit(self.patience, false)).ok());
        }
    }

    fn on_thread<T: Send + 'static>(
        &self,
        limit: Limit<'_>,
        job: impl FnOnce(&mut Image) -> T + Send + 'static,
    ) -> Result<T, Silence> {
        let (tell, hear) = mpsc::channel();
        self.runner.give_job(move |image| drop(tell.send(job(image))));
        work::wait(&hear, limit)
    }
}

fn longer(one: Patience, other: Patience) -> Patience {
    let start = one.start.zip(other.start).map(|(one, other)| one.max(other));
    Patience { start, stop: one.stop.max(other.stop) }
}
