//! Keeps the services of a process: takes them up, down, and from one generation to the next. What changes them goes
//! through here, one thing after the other; calls do not (see [`crate::place::routes`]).

use crate::MODULE;
use crate::apart::annex::Annex;
use crate::copy::generation::{Generation, House, Member, Stage};
use crate::copy::grave::{Grave, Verdict};
use crate::keep::change::Report;
use crate::keep::follow::Attempt;
use crate::keep::ward::Ward;
use crate::keep::watch::Watch;
use crate::keep::workers::Workers;
use crate::library::libraries;
use crate::place::routes::Routes;
use crate::tell;
use msf_conf::shell::{Service, Shell};
use msf_sys::log::Level;
use msf_sys::roster::Roster;
use msf_sys::service::Slot;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How going up ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Up {
    /// Every service is initialised and started, or may be missing.
    All,
    /// The caller wanted no more; some services may be up.
    Abandoned,
}

/// The services of a process.
pub struct Keeper {
    pub(crate) settings: Shell,
    pub(crate) house: House,
    pub(crate) generations: Vec<Generation>,
    /// Libraries nobody wants and somebody is in.
    pub(crate) graves: Vec<Grave>,
    /// Services that are wanted and are not loaded, and why.
    pub(crate) missing: BTreeMap<String, String>,
    /// Of the folder: what was tried and failed, and what was complained of.
    pub(crate) tried: BTreeMap<String, Attempt>,
    pub(crate) told: Vec<String>,
    /// Looks at the folder, once there is one.
    pub(crate) watch: Option<Watch>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) workers: Workers,
    /// Generations that were let go.
    pub(crate) unmapped: u64,
    /// What is known of those with limits.
    pub(crate) ward: Ward,
    roster: Arc<Mutex<Roster>>,
}

/// Which generation a service is of, and its number there.
pub type Seat = (usize, usize);

impl Keeper {
    /// Of the services that `settings` names; none is loaded.
    pub fn new(settings: Shell, house: House, roster: Roster, routes: Arc<Routes>) -> Keeper {
        Keeper {
            settings,
            house,
            generations: Vec::new(),
            graves: Vec::new(),
            missing: BTreeMap::new(),
            tried: BTreeMap::new(),
            told: Vec::new(),
            watch: None,
            workers: Workers::new(Arc::clone(&routes)),
            routes,
            unmapped: 0,
            ward: Ward::default(),
            roster: Arc::new(Mutex::new(roster)),
        }
    }

    /// Loads every library before any service is called, then takes all services up: `init` of each, `start` of each.
    /// Before each slot `give_up` is asked whether to stop there. A service that fails is the end of it, unless it is
    /// optional: then those that require it fail, too, and the others go on.
    pub fn up(&mut self, mut give_up: impl FnMut() -> bool) -> Result<Up, String> {
        self.complain_of_folder(true, &mut Report::default());
        for (file, services) in self.by_library()? {
            if give_up() {
                return Ok(Up::Abandoned);
            }
            self.load_all(&file, services)?;
        }
        for name in self.wanted() {
            if let Some(seat) = self.seat(&name) {
                self.enter(seat)?;
            }
        }
        for slot in [Slot::Init, Slot::Start] {
            for name in self.wanted() {
                if give_up() {
                    return Ok(Up::Abandoned);
                }
                let Some(seat) = self.seat(&name) else { continue };
                // One whose `init` has failed, and which may be missing.
                if matches!(self.stage(seat), Some(Stage::Failed(_))) {
                    continue;
                }
                if let Err(why) = self.step(seat, slot) {
                    self.may_be_missing(seat, why)?;
                }
            }
        }
        Ok(Up::All)
    }

    /// Takes down what is up, in reverse, and ends the threads. Whatever fails keeps nobody from going on; all failures are
    /// handed back.
    pub fn down(&mut self) -> Vec<String> {
        let mut failures = Vec::new();
        self.watch = None;
        self.workers.withdraw_all();
        self.annexes().for_each(Annex::hurry);
        for (stage, slot) in [(Stage::Started, Slot::Stop), (Stage::Initialised, Slot::Deinit)] {
            for seat in self.seats().into_iter().rev() {
                if self.stage(seat) == Some(&stage) {
                    failures.extend(self.step(seat, slot).err());
                }
            }
        }
        for generation in self.generations.drain(..) {
            generation.abandon(&self.house);
        }
        failures
    }

    /// The processes of isolated services.
    pub(crate) fn annexes(&self) -> impl Iterator<Item = &Annex> {
        self.generations.iter().filter_map(Generation::annex)
    }

    /// How many services are started.
    pub fn started(&self) -> usize {
        self.seats().iter().filter(|seat| self.stage(**seat) == Some(&Stage::Started)).count()
    }

    /// Where a service is.
    pub fn seat(&self, name: &str) -> Option<Seat> {
        self.generations.iter().enumerate().find_map(|(of, generation)| {
            let here = |member: &Member| member.conf.name == name && member.stage != Stage::Gone;
            generation.members.iter().position(here).map(|at| (of, at))
        })
    }

    /// All services that are loaded, in the order they go up.
    pub fn seats(&self) -> Vec<Seat> {
        let mut seats: Vec<Seat> = self.wanted().iter().filter_map(|name| self.seat(name)).collect();
        for (of, generation) in self.generations.iter().enumerate() {
            for at in 0..generation.members.len() {
                if !seats.contains(&(of, at)) && generation.members[at].stage != Stage::Gone {
                    seats.push((of, at));
                }
            }
        }
        seats
    }

    /// How far a service got.
    pub fn stage(&self, (of, at): Seat) -> Option<&Stage> {
        Some(&self.generations.get(of)?.members.get(at)?.stage)
    }

    /// Calls one slot of a service, and lets calls in, or no longer. The error is a whole sentence.
    pub fn step(&mut self, (of, at): Seat, slot: Slot) -> Result<(), String> {
        let Some(name) = self.name((of, at)) else { return Ok(()) };
        if matches!(slot, Slot::Init | Slot::Start) {
            self.requirements((of, at), slot)?;
        }
        if slot == Slot::Stop {
            // In this order: calls that have come over the agent are still answered.
            self.workers.withdraw(&name);
            self.routes.close(&name);
        }
        let generation = &mut self.generations[of];
        generation.run(&self.house, at, slot).map_err(|why| format!("service {name}: {why}"))?;
        if slot == Slot::Start {
            self.routes.open(&name, generation.place(), at);
        }
        Ok(())
    }

    /// Whether what a service requires is as far as it is to be itself after `slot`.
    fn requirements(&self, seat: Seat, slot: Slot) -> Result<(), String> {
        let Some(member) = self.generations.get(seat.0).and_then(|of| of.members.get(seat.1)) else { return Ok(()) };
        let up = |name: &String| {
            let stage = self.seat(name).and_then(|seat| self.stage(seat));
            matches!(stage, Some(Stage::Started)) || slot == Slot::Init && matches!(stage, Some(Stage::Initialised))
        };
        match member.conf.requires.iter().find(|name| !up(name)) {
            Some(name) => Err(format!("service {}: requires {name}, which is not up", member.conf.name)),
            None => Ok(()),
        }
    }

    /// What becomes of a failure on the way up: for an optional service a record, else the end.
    fn may_be_missing(&mut self, seat: Seat, why: String) -> Result<(), String> {
        if !self.generations[seat.0].members[seat.1].conf.optional {
            return Err(why);
        }
        msf_sys::log!(Level::Error, MODULE, "{why}; it is optional, the others go on");
        self.fail(seat, why);
        Ok(())
    }

    /// A service that could not be taken up gets its `deinit`, if it had its `init`, and stays where it is.
    pub(crate) fn fail(&mut self, seat: Seat, why: String) {
        if self.stage(seat) == Some(&Stage::Initialised)
            && let Err(why) = self.step(seat, Slot::Deinit)
        {
            msf_sys::log!(Level::Error, MODULE, "{why}");
        }
        self.generations[seat.0].members[seat.1].stage = Stage::Failed(why);
    }

    /// Loads a library for all its services, or notes why the optional ones among them are missing.
    fn load_all(&mut self, file: &Path, services: Vec<Service>) -> Result<(), String> {
        match self.load(file, &services, 1) {
            Ok(generation) => self.generations.push(generation),
            Err(why) if services.iter().all(|service| service.optional) => {
                for service in services {
                    let why = format!("service {}: {why}", service.name);
                    msf_sys::log!(Level::Error, MODULE, "{why}; it is optional, the others go on");
                    self.missing.insert(service.name, why);
                }
            }
            Err(why) => return Err(format!("service {}: {why}", services[0].name)),
        }
        Ok(())
    }

    /// Loads a library; nothing of it is called. The error does not name the service.
    pub(crate) fn load(&self, file: &Path, services: &[Service], number: u32) -> Result<Generation, String> {
        let generation = Generation::load(&self.house, &self.settings, file, services, number)?;
        for name in generation.names() {
            tell(Level::Info, &name, &format!("loaded {}", generation.file.display()));
        }
        Ok(generation)
    }

    /// Enters a service in `g_proc`.
    pub(crate) fn enter(&self, (of, at): Seat) -> Result<(), String> {
        self.generations[of].enter(&self.house, at, Arc::clone(&self.roster))
    }

    /// Takes a service out of `g_proc`.
    pub(crate) fn leave(&self, name: &str) {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner).leave(name);
    }

    /// Lets a generation go whose services are down; the sentence says what became of it.
    pub(crate) fn bury(&mut self, generation: Generation) -> String {
        let title = format!("generation {} of {}", generation.number, generation.file.display());
        match generation.bury(&self.house) {
            Verdict::Unmapped => {
                self.unmapped += 1;
                format!("{title} is unmapped")
            }
            Verdict::Ended(how) => {
                self.unmapped += 1;
                format!("{title} {how}")
            }
            Verdict::Left(grave) => {
                let told = format!("{title} is left mapped: {}", grave.why.join("; "));
                self.graves.push(*grave);
                told
            }
        }
    }

    /// The file says something new. What only a new process can be stays as it is.
    pub(crate) fn adopt(&mut self, mut newer: Shell) {
        let Shell { name, author, version, desc, .. } = &mut self.settings;
        let own = [name, author, version, desc].map(std::mem::take);
        [newer.name, newer.author, newer.version, newer.desc] = own;
        self.settings = newer;
    }

    /// Looks whether what was left mapped can go now.
    pub fn revisit(&mut self) {
        let before = self.graves.len();
        self.graves.retain_mut(|grave| !grave.revisit());
        self.unmapped += (before - self.graves.len()) as u64;
    }

    /// The names the configuration wants, in the order they go up.
    pub(crate) fn wanted(&self) -> Vec<String> {
        self.settings.services.iter().map(|service| service.name.clone()).collect()
    }

    /// The libraries and their services, both in the order they go up.
    fn by_library(&mut self) -> Result<Vec<(PathBuf, Vec<Service>)>, String> {
        let mut libraries: Vec<(PathBuf, Vec<Service>)> = Vec::new();
        for service in &self.settings.services {
            let file = match libraries::find(&self.settings, service) {
                Ok(file) => file,
                Err(why) if service.optional => {
                    let why = format!("service {}: {why}", service.name);
                    msf_sys::log!(Level::Error, MODULE, "{why}; it is optional, the others go on");
                    self.missing.insert(service.name.clone(), why);
                    continue;
                }
                Err(why) => return Err(format!("service {}: {why}", service.name)),
            };
            // One that is isolated has a copy and a process for itself.
            let shares = |(known, with): &&mut (PathBuf, Vec<Service>)| {
                *known == file && !service.isolate && with.iter().all(|one| !one.isolate)
            };
            match libraries.iter_mut().find(shares) {
                Some((_, services)) => services.push(service.clone()),
                None => libraries.push((file, vec![service.clone()])),
            }
        }
        Ok(libraries)
    }

    pub(crate) fn name(&self, (of, at): Seat) -> Option<String> {
        Some(self.generations.get(of)?.members.get(at)?.conf.name.clone())
    }
}
