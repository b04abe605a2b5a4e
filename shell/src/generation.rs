//! One loaded copy of a library: its thread, its services, and how far each of them got.
//!
//! Services of one library share it, as they always did: its variables, its thread, and its end. It is let go when its
//! thread has ended and nobody is found in its code; else it becomes a [`Grave`].

use crate::MODULE;
use crate::elf;
use crate::grave::{Grave, Verdict};
use crate::libraries;
use crate::runner::{Image, Plan, Runner, Traits, Usage};
use crate::staging::{self, Mark, Print, Staged};
use crate::work::{self, Limit, Outcome, Place, Silence, Work, failure};
use msf_conf::shell::{Patience, Service, Shell};
use msf_sys::Unusable;
use msf_sys::log::Level;
use msf_sys::rest::Before;
use msf_sys::roster::Roster;
use msf_sys::service::{About, Slot};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
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
    runner: Arc<Runner>,
    before: Before,
    held: Option<File>,
    /// The slot its thread does not come back from.
    stuck: Option<String>,
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
        let first = services.first().ok_or("a library without a service")?;
        let patience = services.iter().map(|service| service.patience).fold(first.patience, longer);
        // What a library of the system's is, it is before we come; that one is looked into when the loader has found it.
        let staged = file.is_absolute().then(|| stage(house, file, first, number)).transpose()?;
        let mut tables = Vec::new();
        let mut plan = Plan { path: file.into(), mapped_as: file.into(), needs: Vec::new() };
        if let Some(staged) = &staged {
            tables = services
                .iter()
                .map(|one| libraries::look_into(&staged.path, file, &one.name))
                .collect::<Result<_, _>>()?;
            let links = elf::Links::of(&staged.path, file.parent().unwrap_or(Path::new("/")));
            libraries::no_second_libmsf(&links, file)?;
            let needs = links.needs.iter().map(|need| (need.clone(), links.find(need))).collect();
            plan = Plan { path: staged.path.clone(), mapped_as: staged.mapped_as.clone(), needs };
        }
        let before = Before::now();
        let failed = |e: io::Error| libraries::refused(settings, first, file, &e);
        // Nobody is 0, and a number that comes again after four thousand million loads is nobody's any longer.
        let owner = (house.loaded.fetch_add(1, Ordering::Relaxed) as u32).max(1);
        let (runner, loaded) = Runner::start(&first.name, plan, owner).map_err(failed)?;
        let limit = house.limit(patience, true);
        match work::wait(&loaded, limit) {
            Ok(loaded) => loaded.map_err(failed)?,
            Err(silence) => return Err(format!("{}: cannot be loaded: {silence}", file.display())),
        }
        let print = staged.as_ref().map(|staged| (staged.print, staged.mark));
        let held = staged.and_then(Staged::loaded);
        let found = if print.is_some() { Some(file.into()) } else { libraries::mapped(file) };
        let file = found.unwrap_or_else(|| file.into());
        let mut generation = Generation { file, number, members: Vec::new(), print, runner, before, held, stuck: None };
        for (at, service) in services.iter().enumerate() {
            if let Err(why) = generation.find(house, service, tables.get(at).copied()) {
                generation.bury(house);
                return Err(why);
            }
        }
        Ok(generation)
    }

    /// Finds one more service in the library; nothing of it is called.
    pub fn add(&mut self, house: &House, service: &Service) -> Result<(), String> {
        self.find(house, service, None)
    }

    /// `table` is what was found out about the service's table before it was loaded.
    fn find(&mut self, house: &House, service: &Service, table: Option<Option<u64>>) -> Result<(), String> {
        let table = match table {
            Some(table) => table,
            None if self.file.is_absolute() => libraries::look_into(&self.file, &self.file, &service.name)?,
            None => None,
        };
        let about =
            About { name: service.name.clone(), config: service.config.clone(), generation: self.number, table };
        let with_loop = service.with_loop;
        let found = self.on_thread(house, service.patience, move |image| image.add(&about, with_loop));
        let traits =
            found.map_err(|silence| silence.to_string())?.map_err(|e| match e == Unusable::NoSymbol.to_string() {
                true => libraries::no_symbol(&self.file, &service.name),
                false => format!("{}: \"{}_ops\": {e}", self.file.display(), service.name),
            })?;
        self.members.push(Member { conf: service.clone(), traits, stage: Stage::Loaded });
        Ok(())
    }

    /// Enters service number `at` in `g_proc`.
    pub fn enter(&self, house: &House, at: usize, roster: Arc<std::sync::Mutex<Roster>>) -> Result<(), String> {
        let Some(member) = self.members.get(at) else { return Ok(()) };
        let (name, file) = (member.conf.name.clone(), self.file.clone());
        let entered = self.on_thread(house, member.conf.patience, move |image| {
            let Some(service) = image.service(at) else { return Ok(()) };
            let mut roster = roster.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            roster.enter(&name, &file, image.library(), service)
        });
        entered.map_err(|silence| silence.to_string())?.map_err(|e| e.to_string())
    }

    /// Whether every service of it can pass its state on.
    pub fn hands_over(&self) -> bool {
        self.members.iter().filter(|member| member.stage != Stage::Gone).all(|member| member.traits.hands_over)
    }

    /// The place calls are given to.
    pub fn place(&self) -> Arc<dyn Place> {
        Arc::clone(&self.runner) as Arc<dyn Place>
    }

    /// Whether the file is still what was loaded.
    pub fn is_current(&self) -> bool {
        let Some((print, mark)) = &self.print else { return true };
        Mark::of(&self.file).is_ok_and(|now| now == *mark) || Print::of(&self.file).is_ok_and(|now| now == *print)
    }

    /// Asks service number `at`, and waits as long as its patience lasts. A thread that does not come back in time is
    /// asked nothing any more.
    pub fn ask(&mut self, house: &House, at: usize, what: &str, work: Work) -> Result<Outcome, String> {
        let Some(member) = self.members.get(at) else { return Err("no such service".to_owned()) };
        if let Some(stuck) = &self.stuck {
            return Err(format!("{what} was not called: its thread has not come back from {stuck}"));
        }
        let upwards = matches!(work, Work::Run(Slot::Init | Slot::Start) | Work::Import { .. });
        let limit = house.limit(member.conf.patience, upwards);
        work::ask(&*self.runner, at, work, limit).map_err(|silence| {
            self.stuck = Some(format!("{what} of {}", self.members[at].conf.name));
            format!("{what} failed, {silence}")
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

    /// Ends its thread and lets the library go, if nobody is found in it.
    pub fn bury(self, house: &House) -> Verdict {
        let patience = self.members.first().map_or_else(Patience::default, |member| member.conf.patience);
        self.runner.leave();
        let grave = Grave::new(self.names(), self.file, self.number, self.runner, self.before, self.held);
        grave.close(self.stuck, house.limit(patience, false))
    }

    /// Ends its thread, and leaves the library: the process ends.
    pub fn abandon(&self, house: &House) {
        self.runner.leave();
        let patience = self.members.first().map_or_else(Patience::default, |member| member.conf.patience);
        if self.stuck.is_none() {
            // Dropped, it stays mapped.
            let _ = self.runner.left(|left| work::wait(left, house.limit(patience, false)).ok());
        }
    }

    /// The names of its services.
    pub fn names(&self) -> Vec<String> {
        let here = self.members.iter().filter(|member| member.stage != Stage::Gone);
        here.map(|member| member.conf.name.clone()).collect()
    }

    /// Whether its thread has not come back from a call.
    pub fn stuck(&self) -> Option<&str> {
        self.stuck.as_deref()
    }

    /// What it uses; an error when its thread has no time to say.
    pub fn usage(&self) -> Result<Usage, Silence> {
        let (tell, hear) = mpsc::channel();
        self.runner.give_job(move |image| drop(tell.send(image.usage())));
        self.soon(&hear)
    }

    /// Asks service number `at` something that is not worth a long wait.
    pub fn glance(&self, at: usize, work: Work) -> Result<Outcome, Silence> {
        let (tell, hear) = mpsc::channel();
        self.runner.give(at, work, Box::new(move |outcome| drop(tell.send(outcome))));
        self.soon(&hear)
    }

    fn soon<T>(&self, hear: &mpsc::Receiver<T>) -> Result<T, Silence> {
        let never = AtomicBool::new(false);
        work::wait(hear, Limit { time: Some(GLANCE), hurry: &never, rest: GLANCE })
    }

    fn on_thread<T: Send + 'static>(
        &self,
        house: &House,
        patience: Patience,
        job: impl FnOnce(&mut Image) -> T + Send + 'static,
    ) -> Result<T, Silence> {
        let (tell, hear) = mpsc::channel();
        self.runner.give_job(move |image| drop(tell.send(job(image))));
        work::wait(&hear, house.limit(patience, true))
    }
}

impl House {
    /// How long somebody waits for a service on its way up, or down.
    pub fn limit(&self, patience: Patience, upwards: bool) -> Limit<'_> {
        let time = if upwards { patience.start } else { Some(patience.stop) };
        Limit { time, hurry: &self.hurry, rest: patience.stop }
    }
}

fn stage(house: &House, file: &Path, service: &Service, number: u32) -> Result<Staged, String> {
    let copy = house.loaded.fetch_add(1, Ordering::Relaxed);
    let name = staging::name(&house.identity, &service.name.replace('/', "_"), number, copy);
    // Something that is no file may be without an end.
    if !file.is_file() {
        return Err(format!("{} is not a shared library", file.display()));
    }
    Staged::new(file, &house.run_dir, &name).map_err(|e| format!("{}: cannot be copied to {name}: {e}", file.display()))
}

/// How long a service that may have better to do is waited for.
const GLANCE: Duration = Duration::from_secs(1);

fn longer(one: Patience, other: Patience) -> Patience {
    let start: Option<Option<Duration>> = one.start.zip(other.start).map(|(one, other)| Some(one.max(other)));
    Patience { start: start.flatten(), stop: one.stop.max(other.stop) }
}

/// Tells of a service, where everybody reads.
pub fn tell(level: Level, name: &str, what: &str) {
    msf_sys::log!(level, MODULE, "service {name}: {what}");
}
