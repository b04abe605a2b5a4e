//! New code for running services, with what the old code knew, and without losing a call.
//!
//! A library is exchanged with all its services. Where all of them can hand their state over:
//!
//! | calls  | old code        | new code                  | if that fails, the old code goes on by |
//! |--------|-----------------|---------------------------|----------------------------------------|
//! | to old |                 | loaded, `init`            | nothing: it was not touched            |
//! | held   | `stop`          |                           | `start`                                |
//! | held   | `export_state`  | `import_state`, `start`   | `start`                                |
//! | to new | `deinit`, away  |                           |                                        |
//!
//! Else the old code stops before the new one begins, and its state goes with it:
//!
//! | calls  | old code         | new code                 | if that fails, the old code goes on by |
//! |--------|------------------|--------------------------|----------------------------------------|
//! | to old |                  | loaded                   | nothing                                |
//! | held   | `stop`, `deinit` | `init`, `start`          | `init`, `start`                        |
//! | to new | away             |                          |                                        |

use crate::copy::generation::{Generation, Stage};
use crate::keep::change::Report;
use crate::keep::keeper::{Keeper, Seat};
use crate::library::libraries;
use crate::place::work::{Work, failure};
use msf_conf::shell::Service;
use msf_sys::service::Slot;

impl Keeper {
    /// Reads the file again, and loads the library of the service `name` anew, whatever is in it.
    pub fn upgrade_service(&mut self, name: &str) -> Report {
        let mut report = Report::default();
        match self.read_again() {
            Err(e) => report.failed(format!("upgrade: {e}; the running services stay")),
            Ok(newer) if newer.services.iter().all(|service| service.name != name) => {
                report.failed(format!("{} names no service {name}", self.settings.file.display()));
            }
            Ok(newer) => {
                self.adopt(newer);
                match self.seat(name) {
                    Some(seat) => self.upgrade(seat, &mut report),
                    None => report.failed(format!("service {name} is not loaded")),
                }
            }
        }
        report
    }

    /// Exchanges the library of a service.
    pub(crate) fn upgrade(&mut self, seat: Seat, report: &mut Report) {
        let names = self.generations[seat.0].names();
        let new = match self.successor(&self.generations[seat.0]) {
            Ok(new) => new,
            Err(why) => {
                let (names, number) = (names.join(", "), self.generations[seat.0].number);
                return report
                    .failed(format!("service {names}: the upgrade failed, {why}; generation {number} goes on"));
            }
        };
        let old = self.generations.remove(seat.0);
        let Exchange { stays, goes, told } = self.exchange(old, new);
        let (names, number) = (names.join(", "), stays.number);
        let goes_on = if running(&stays) { "goes on" } else { "does not go on" };
        let of = seat.0.min(self.generations.len());
        self.generations.insert(of, stays);
        // Before the other one goes: g_proc shows where its services are.
        self.seat_again(of, report);
        let buried = self.bury(goes);
        match told {
            Ok(how) => report.done(format!("service {names} is upgraded to generation {number}, {how}; {buried}")),
            Err(why) => report
                .failed(format!("service {names}: the upgrade failed, {why}; {buried}; generation {number} {goes_on}")),
        }
    }

    /// Holds the calls of a library's services.
    fn hold(&self, generation: &Generation) {
        generation.names().iter().for_each(|name| self.routes.hold(name));
    }

    /// Lets the calls of those that are started through to them.
    fn let_in(&self, generation: &Generation) {
        for (at, member) in generation.members.iter().enumerate().filter(|(_, one)| one.stage == Stage::Started) {
            self.routes.open(&member.conf.name, generation.place(), at);
        }
    }

    /// Lets calls in again, and says in `g_proc` what there is now.
    fn seat_again(&mut self, of: usize, report: &mut Report) {
        self.let_in(&self.generations[of]);
        for at in 0..self.generations[of].members.len() {
            let member = &self.generations[of].members[at];
            let name = member.conf.name.clone();
            match &member.stage {
                Stage::Gone => continue,
                Stage::Started => {}
                _ => self.routes.close(&name),
            }
            if let Err(why) = self.enter((of, at)) {
                report.failed(format!("service {name}: {why}"));
            }
        }
    }

    /// Puts new code in the place of the old, or leaves the old one there, at work if it can be.
    fn exchange(&mut self, mut old: Generation, mut new: Generation) -> Exchange {
        let (tried, how) = match old.hands_over() && new.hands_over() {
            true => (self.hand_over(&mut old, &mut new), "with its state"),
            false if old.annex().is_some_and(|annex| !annex.is_up()) => {
                (self.replace(&mut old, &mut new), "without its state (its process was gone)")
            }
            false => (self.replace(&mut old, &mut new), "without its state (it has no export_state and import_state)"),
        };
        let Err(mut why) = tried else {
            self.let_in(&new);
            // The new code is at work: what the old one has to say now changes nothing.
            take_down(&mut old, self);
            return Exchange { stays: new, goes: old, told: Ok(how) };
        };
        take_down(&mut new, self);
        if let Err(again) = revive(&mut old, self) {
            why = format!("{why}; {again}");
        }
        Exchange { stays: old, goes: new, told: Err(why) }
    }

    /// The library that the file names now, loaded.
    fn successor(&self, old: &Generation) -> Result<Generation, String> {
        let names = old.names();
        let wanted = |name: &String| self.settings.services.iter().find(|service| service.name == *name).cloned();
        let services: Vec<Service> = names.iter().filter_map(wanted).collect();
        let first = services.first().ok_or("the file names it no longer")?;
        let file = libraries::find(&self.settings, first)?;
        for service in &services {
            let other = libraries::find(&self.settings, service)?;
            if other != file {
                let (one, two) = (&first.name, &service.name);
                return Err(format!(
                    "{one} and {two} share a library, and {two} is to move to another; unload it first"
                ));
            }
        }
        // A library of the system's was loaded as it is; a copy of it can be exchanged.
        let file = if file.is_absolute() { file } else { old.file.clone() };
        if !file.exists() {
            return Err(libraries::nowhere(&self.settings, first));
        }
        self.load(&file, &services, old.number + 1)
    }

    fn hand_over(&self, old: &mut Generation, new: &mut Generation) -> Result<(), String> {
        let pairs = pairs(old, new);
        for (_, to) in &pairs {
            new.run(&self.house, *to, Slot::Init).map_err(|why| named(new, *to, &why))?;
        }
        self.hold(old);
        for (from, _) in pairs.iter().rev() {
            if old.members[*from].stage == Stage::Started {
                old.run(&self.house, *from, Slot::Stop).map_err(|why| named(old, *from, &why))?;
            }
        }
        for (from, to) in &pairs {
            let state = old.ask(&self.house, *from, "export_state", Work::Export);
            let state = state.and_then(|state| failure("export_state", &state.answer).map(|()| state));
            let state = state.map_err(|why| named(old, *from, &why))?;
            let import = Work::Import { version: state.version, state: state.bytes };
            let taken = new.ask(&self.house, *to, "import_state", import);
            taken.and_then(|taken| failure("import_state", &taken.answer)).map_err(|why| named(new, *to, &why))?;
            new.run(&self.house, *to, Slot::Start).map_err(|why| named(new, *to, &why))?;
        }
        Ok(())
    }

    fn replace(&self, old: &mut Generation, new: &mut Generation) -> Result<(), String> {
        let pairs = pairs(old, new);
        self.hold(old);
        take_down(old, self);
        if let Some(stuck) = old.stuck() {
            return Err(format!("the old code has not come back from {stuck}"));
        }
        for (_, to) in &pairs {
            new.run(&self.house, *to, Slot::Init).map_err(|why| named(new, *to, &why))?;
        }
        for (_, to) in &pairs {
            new.run(&self.house, *to, Slot::Start).map_err(|why| named(new, *to, &why))?;
        }
        Ok(())
    }
}

/// How an exchange ended.
struct Exchange {
    stays: Generation,
    goes: Generation,
    /// How it was done, or why it was not.
    told: Result<&'static str, String>,
}

/// The numbers of each service, in the old code and in the new.
fn pairs(old: &Generation, new: &Generation) -> Vec<(usize, usize)> {
    let number = |name: &str| old.members.iter().position(|one| one.conf.name == name && one.stage != Stage::Gone);
    let pair = |(to, name): (usize, String)| number(&name).map(|from| (from, to));
    new.names().into_iter().enumerate().filter_map(pair).collect()
}

/// Stops and deinits what is up, whatever fails.
fn take_down(generation: &mut Generation, keeper: &Keeper) {
    for (stage, slot) in [(Stage::Started, Slot::Stop), (Stage::Initialised, Slot::Deinit)] {
        for at in (0..generation.members.len()).rev() {
            if generation.members[at].stage == stage
                && let Err(why) = generation.run(&keeper.house, at, slot)
            {
                crate::tell(msf_sys::log::Level::Warn, &generation.members[at].conf.name, &why);
            }
        }
    }
}

/// Takes the old code up again from wherever it was left.
fn revive(generation: &mut Generation, keeper: &Keeper) -> Result<(), String> {
    for (stage, slot) in [(Stage::Loaded, Slot::Init), (Stage::Initialised, Slot::Start)] {
        for at in 0..generation.members.len() {
            if generation.members[at].stage == stage {
                generation.run(&keeper.house, at, slot).map_err(|why| named(generation, at, &why))?;
            }
        }
    }
    Ok(())
}

fn running(generation: &Generation) -> bool {
    generation.members.iter().all(|member| matches!(member.stage, Stage::Started | Stage::Gone))
}

fn named(generation: &Generation, at: usize, why: &str) -> String {
    format!("{} of generation {}: {why}", generation.members[at].conf.name, generation.number)
}
