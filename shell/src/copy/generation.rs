//! One loaded copy of a library: its thread, its services, and how far each of them got.
//!
//! Services of one library share it, as they always did: its variables, its thread, and its end. It is let go when its
//! thread has ended and nobody is found in its code; else it becomes a [`Grave`].

use crate::apart::annex::{self, Annex, Inside};
use crate::copy::grave::Verdict;
use crate::copy::here::{Here, Loaded};
use crate::library::staging::{self, Mark, Print, Staged};
use crate::place::footprint::Footprint;
use crate::place::runner::{Traits, Usage};
use crate::place::work::{self, Limit, Outcome, Place, Silence, Work, failure};
use msf_conf::shell::{Patience, Service, Shell};
use msf_sys::roster::Roster;
use msf_sys::service::Slot;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

/// What every generation needs of the process.
pub struct House {
    /// What the process calls itself.
    pub identity: String,
    /// Where copies go.
    pub run_dir: PathBuf,
    /// The way down has begun: nobody waits longer than for a stop.
    pub hurry: Arc<AtomicBool>,
    /// How many libraries were loaded.
    pub loaded: AtomicU64,
    /// Nobody sees what processes of this one print.
    pub quiet: bool,
}

/// One loaded copy of a library.
pub struct Generation {
    /// The original, as it was found.
    pub file: PathBuf,
    /// 1, and one more with each upgrade.
    pub number: u32,
    /// Its services; the place is the service's number in the library.
    pub members: Vec<Member>,
    /// Of the original; none of a library of the system's, which is loaded as it is.
    print: Option<(Print, Mark)>,
    pub(crate) home: Home,
}

/// Where a copy is loaded.
pub(crate) enum Home {
    /// In this process.
    Here(Here),
    /// In a process of its own, for one service.
    Apart(Annex),
}

/// A service of a loaded library.
#[derive(Clone, Debug)]
pub struct Member {
    /// What the configuration says.
    pub conf: Service,
    /// What its table says.
    pub traits: Traits,
    /// How far it got.
    pub stage: Stage,
}

/// How far a service got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing of it was called, or everything was called off.
    Loaded,
    /// Between `init` and `start`, or between `stop` and `deinit`.
    Initialised,
    /// At work.
    Started,
    /// Why it is not, and will not be.
    Failed(String),
    /// Taken out of a library that others still use.
    Gone,
}

impl Member {
    /// Whether it was not taken out.
    pub fn is_here(&self) -> bool {
        self.stage != Stage::Gone
    }
}

impl Stage {
    /// In a word.
    pub fn word(&self) -> &'static str {
        match self {
            Stage::Loaded => "loaded",
            Stage::Initialised => "initialised",
            Stage::Started => "started",
            Stage::Failed(_) => "failed",
            Stage::Gone => "gone",
        }
    }
}

impl Generation {
    /// Loads `file` for `services`, the first of which names it. Nothing of them is called.
    pub fn load(
        house: &House,
        settings: &Shell,
        file: &Path,
        services: &[Service],
        number: u32,
    ) -> Result<Generation, String> {
        match services {
            [alone] if alone.isolate => Generation::load_apart(house, settings, file, alone, number),
            [first, ..] => {
                // What a library of the system's is, it is before we come; that one is looked into when the loader has
                // found it.
                let staged = file.is_absolute().then(|| stage(house, file, first, number)).transpose()?;
                Generation::load_here(house, settings, file, staged, services, number)
            }
            [] => Err("a library without a service".to_owned()),
        }
    }

    /// Loads `staged`, which is `file`, into this process.
    pub fn load_here(
        house: &House,
        settings: &Shell,
        file: &Path,
        staged: Option<Staged>,
        services: &[Service],
        number: u32,
    ) -> Result<Generation, String> {
        let Loaded { here, file, print, tables } = Here::load(house, settings, file, staged, services)?;
        let mut members = Vec::new();
        for (at, service) in services.iter().enumerate() {
            match here.find(house, &file, service, number, tables.get(at).copied()) {
                Ok(traits) => members.push(Member { conf: service.clone(), traits, stage: Stage::Loaded }),
                Err(why) => {
                    here.bury(house, services.iter().map(|one| one.name.clone()).collect(), file, number);
                    return Err(why);
                }
            }
        }
        Ok(Generation { file, number, members, print, home: Home::Here(here) })
    }

    /// Loads it into a process of its own.
    fn load_apart(
        house: &House,
        settings: &Shell,
        file: &Path,
        service: &Service,
        number: u32,
    ) -> Result<Generation, String> {
        if file.is_absolute() && !file.is_file() {
            return Err(format!("{} is not a shared library", file.display()));
        }
        let mapped_as = house.name_of_copy(service, number);
        let staged = file.is_absolute().then(|| Staged::for_another(file, &mapped_as)).transpose();
        let staged = staged.map_err(|e| format!("{}: cannot be copied into memory: {e}", file.display()))?;
        let print = staged.as_ref().map(|staged| (staged.print, staged.mark));
        let plan = annex::Plan {
            service: service.clone(),
            file: file.into(),
            number,
            mapped_as,
            library: staged.and_then(Staged::loaded),
            config: settings.file.clone(),
            text: Arc::clone(&settings.text),
            quiet: house.quiet,
        };
        let annex = Annex::new(plan).map_err(|e| format!("there is no thread for its process: {e}"))?;
        let opened = annex.open(house.limit(service.patience, true))?;
        let member = Member { conf: service.clone(), traits: opened.traits, stage: Stage::Loaded };
        Ok(Generation { file: opened.file, number, members: vec![member], print, home: Home::Apart(annex) })
    }

    /// Finds one more service in the library; nothing of it is called.
    pub fn add(&mut self, house: &House, service: &Service) -> Result<(), String> {
        let Home::Here(here) = &self.home else { return Err("its library is in a process of its own".to_owned()) };
        let traits = here.find(house, &self.file, service, self.number, None)?;
        self.members.push(Member { conf: service.clone(), traits, stage: Stage::Loaded });
        Ok(())
    }

    /// Enters service number `at` in `g_proc`.
    pub fn enter(&self, house: &House, at: usize, roster: Arc<Mutex<Roster>>) -> Result<(), String> {
        let Some(member) = self.members.get(at) else { return Ok(()) };
        let (name, file) = (member.conf.name.clone(), self.file.clone());
        match &self.home {
            Home::Here(here) => here.enter(house.limit(member.conf.patience, true), at, name, file, roster),
            Home::Apart(_) => {
                let mut roster = roster.lock().unwrap_or_else(PoisonError::into_inner);
                roster.enter_isolated(&name, &file).map_err(|e| e.to_string())
            }
        }
    }

    /// Whether every service of it can pass its state on.
    pub fn hands_over(&self) -> bool {
        let able = self.members.iter().filter(|member| member.stage != Stage::Gone).all(|one| one.traits.hands_over);
        able && self.annex().is_none_or(Annex::is_up)
    }

    /// The place calls are given to.
    pub fn place(&self) -> Arc<dyn Place> {
        match &self.home {
            Home::Here(here) => here.place(),
            Home::Apart(annex) => annex.place(),
        }
    }

    /// Whether others may be loaded into it.
    pub fn is_shared(&self) -> bool {
        matches!(self.home, Home::Here(_))
    }

    /// Its process, if it has one of its own.
    pub fn annex(&self) -> Option<&Annex> {
        if let Home::Apart(annex) = &self.home { Some(annex) } else { None }
    }

    /// Whether the file is still what was loaded.
    pub fn is_current(&self) -> bool {
        let Some((print, mark)) = &self.print else { return true };
        Mark::of(&self.file).is_ok_and(|now| now == *mark) || Print::of(&self.file).is_ok_and(|now| now == *print)
    }

    /// Asks service number `at`, and waits as long as its patience lasts. A thread that does not come back in time is
    /// asked nothing any more, and a process is ended.
    pub fn ask(&mut self, house: &House, at: usize, what: &str, work: Work) -> Result<Outcome, String> {
        let Some(member) = self.members.get(at) else { return Err("no such service".to_owned()) };
        if let Some(stuck) = self.stuck() {
            return Err(format!("{what} was not called: its thread has not come back from {stuck}"));
        }
        let upwards = matches!(work, Work::Run(Slot::Init | Slot::Start) | Work::Import { .. });
        let limit = house.limit(member.conf.patience, upwards);
        let name = &member.conf.name;
        work::ask(&*self.place(), at, work, limit).map_err(|silence| match &mut self.home {
            Home::Here(here) => {
                here.stuck = Some(format!("{what} of {name}"));
                format!("{what} failed, {silence}")
            }
            Home::Apart(annex) => {
                annex.kill(format!("{what} has not returned in time"));
                format!("{what} failed, {silence}; its process was ended")
            }
        })
    }

    /// Calls a slot of service number `at`, and notes how far that brought it.
    pub fn run(&mut self, house: &House, at: usize, slot: Slot) -> Result<(), String> {
        let asked = self.ask(house, at, work::word(slot), Work::Run(slot));
        let done = asked.and_then(|outcome| failure(work::word(slot), &outcome.answer));
        if let Some(member) = self.members.get_mut(at) {
            member.stage = match (&done, slot) {
                (Ok(()), Slot::Init) | (Err(_), Slot::Start) | (_, Slot::Stop) => Stage::Initialised,
                (Ok(()), Slot::Start) => Stage::Started,
                (Err(_), Slot::Init) | (_, Slot::Deinit) => Stage::Loaded,
            };
        }
        done
    }

    /// Ends its thread and lets the library go, if nobody is found in it; or ends its process.
    pub fn bury(self, house: &House) -> Verdict {
        let (names, patience) = (self.names(), self.patience());
        match self.home {
            Home::Here(here) => here.bury(house, names, self.file, self.number),
            Home::Apart(annex) => Verdict::Ended(annex.leave(house.limit(patience, false))),
        }
    }

    /// Ends its thread, and leaves the library: the process ends. One of its own ends first.
    pub fn abandon(&self, house: &House) {
        match &self.home {
            Home::Here(here) => here.abandon(house),
            Home::Apart(annex) => drop(annex.leave(house.limit(self.patience(), false))),
        }
    }

    fn patience(&self) -> Patience {
        self.members.first().map_or_else(Patience::default, |member| member.conf.patience)
    }

    /// The names of its services.
    pub fn names(&self) -> Vec<String> {
        let here = self.members.iter().filter(|member| member.stage != Stage::Gone);
        here.map(|member| member.conf.name.clone()).collect()
    }

    /// Whether its thread has not come back from a call.
    pub fn stuck(&self) -> Option<&str> {
        if let Home::Here(here) = &self.home { here.stuck.as_deref() } else { None }
    }

    /// What it uses; an error when it has no time to say.
    pub fn usage(&self) -> Result<Uses, Silence> {
        match &self.home {
            Home::Here(here) => {
                let (tell, hear) = mpsc::channel();
                here.give_job(move |image| drop(tell.send(image.usage())));
                soon(&hear).map(Uses::Here)
            }
            Home::Apart(annex) => soon(&annex.usage()).map(|inside| Uses::Apart(inside, annex.footprint())),
        }
    }

    /// Asks service number `at` something that is not worth a long wait.
    pub fn glance(&self, at: usize, work: Work) -> Result<Outcome, Silence> {
        let (tell, hear) = mpsc::channel();
        self.place().give(at, work, Box::new(move |outcome| drop(tell.send(outcome))));
        soon(&hear)
    }
}

/// What a copy uses.
pub enum Uses {
    /// In this process.
    Here(Usage),
    /// In its own: what that tells of itself, and what the kernel tells of it.
    Apart(Inside, Option<Footprint>),
}

fn soon<T>(hear: &mpsc::Receiver<T>) -> Result<T, Silence> {
    let never = AtomicBool::new(false);
    work::wait(hear, Limit { time: Some(GLANCE), hurry: &never, rest: GLANCE })
}

impl House {
    /// How long somebody waits for a service on its way up, or down.
    pub fn limit(&self, patience: Patience, upwards: bool) -> Limit<'_> {
        let time = if upwards { patience.start } else { Some(patience.stop) };
        Limit { time, hurry: &self.hurry, rest: patience.stop }
    }

    /// What the next copy of a service's library is called.
    fn name_of_copy(&self, service: &Service, number: u32) -> String {
        let copy = self.loaded.fetch_add(1, Ordering::Relaxed);
        staging::name(&self.identity, &service.name.replace('/', "_"), number, copy)
    }
}

fn stage(house: &House, file: &Path, service: &Service, number: u32) -> Result<Staged, String> {
    let name = house.name_of_copy(service, number);
    // Something that is no file may be without an end.
    if !file.is_file() {
        return Err(format!("{} is not a shared library", file.display()));
    }
    Staged::new(file, &house.run_dir, &name).map_err(|e| format!("{}: cannot be copied to {name}: {e}", file.display()))
}

/// How long a service that may have better to do is waited for.
const GLANCE: Duration = Duration::from_secs(1);
