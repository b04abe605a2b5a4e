//! What a daemon before us has left running is taken over: nobody is started twice, nobody's counters are lost.
//!
//! A process is the same when its number and its time of birth are, in the same run of the machine. One that was just
//! being made when the daemon died has no number in the file; it has a mark in its environment.

use super::state::{Record, monotonic};
use crate::law::alarm::{Kind, Raised, Severity};
use crate::law::life::{Event, Life, Next, Phase};
use crate::law::tally::Tally;
use crate::run::child::kin::Kin;
use crate::run::child::mark::{environments, has};
use crate::run::child::ready::Readying;
use crate::run::child::sexton;
use crate::run::driver::{Driver, Due, Key, MODULE};
use crate::run::service::{End, Service};
use crate::run::watch::health::Vigil;
use crate::run::watch::usage::Usage;
use msf_conf::daemon::{Order, Process, Ready, Stop, Told};
use msf_core::crypto::crc32;
use msf_core::event::Reactor;
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::{Birth, Foster};
use std::collections::HashMap;
use std::mem::take;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

impl Driver {
    /// Every service of the file, as it was; those that are new are returned. What runs and is in the file no more
    /// becomes a service that is to stop.
    pub(in crate::run) fn take_over(&mut self, reactor: &mut Reactor, entries: Vec<Process>) -> Vec<Key> {
        let mut before = self.store.take_over();
        let seq = before.values().map(|record| record.seq).max();
        self.audience.chronicle.resume(self.outbox.last(), seq.unwrap_or(0));
        let marked = find_marked(&before);
        for (name, mark, birth) in marked {
            let Some(record) = before.get_mut(&name) else { continue };
            match &mut record.heir {
                Some(heir) if heir.mark == mark => heir.process = Some(birth),
                _ => record.process = Some(birth),
            }
            // Until it is decided what becomes of each, what is known stays known: we may die here as well.
            self.store.append(record);
        }
        let mut restored = Vec::new();
        for entry in entries {
            let record = before.remove(&entry.name);
            let key = self.roll.add(Service::new(entry));
            restored.push((key, record));
        }
        for record in before.into_values().filter(|record| record.process.is_some()) {
            let key = self.roll.add(Service { dismissed: true, ..Service::new(unknown(&record)) });
            restored.push((key, Some(record)));
        }
        self.roll.arrange();
        let events: Vec<_> = restored
            .into_iter()
            .filter_map(|(key, record)| match record {
                Some(record) => Some((key, self.restore(reactor, key, &record)?)),
                None => Some((key, Event::WantUp)),
            })
            .collect();
        let (new, others): (Vec<_>, Vec<_>) = events.into_iter().partition(|(_, event)| *event == Event::WantUp);
        for (key, event) in others {
            self.feed(reactor, key, event);
        }
        let gone: Vec<Key> = self.roll.pairs().filter(|(_, service)| service.dismissed).map(|(key, _)| key).collect();
        self.want_down(reactor, &gone);
        new.into_iter().map(|(key, _)| key).collect()
    }

    /// A service as it was; what is to happen to it now, if anything.
    fn restore(&mut self, reactor: &mut Reactor, key: Key, record: &Record) -> Option<Event> {
        let service = self.roll.get_mut(key)?;
        service.life = Life { tally: tally(record), restarts: record.restarts, ..Life::NEW };
        service.mark.clone_from(&record.mark);
        service.succession.from = record.from.as_ref().map(PathBuf::from);
        (service.stopped_by_hand, service.leaving) = (record.by_hand, record.by_hand);
        // Of one that is to be started there is nothing to be known before it is.
        service.touched = record.process.is_some() || matches!(record.phase.as_str(), "down" | "waiting");
        service.last = record.last.as_ref().map(|(reason, code, signal, at)| {
            (End::Told { reason: reason.clone(), code: *code, signal: *signal }, instant(*at))
        });
        self.restore_leavers(reactor, key, &record.left);
        self.reopen_alarms(key, record);
        let heir = self.restore_heir(reactor, key, record);
        let told = self.heir_has_told(key);
        let service = self.roll.get_mut(key)?;
        let at = Instant::now();
        let since = record.up_since.map_or(at, instant);
        let up = if heir { Phase::Upgrading(since) } else { Phase::Up(since) };
        match record.process.map(Foster::adopt) {
            None if record.phase == "down" => None,
            None if record.phase == "waiting" => {
                service.life.phase = Phase::Waiting;
                let after = service.rules().restart.delay;
                self.arm_phase(reactor, key, after);
                None
            }
            None => Some(Event::WantUp),
            Some(Ok(Some(foster))) => {
                let changed = record.launch != service.launch_sum() && !service.dismissed;
                log!(Level::Info, MODULE, "{}: adopted, pid {}", service.name(), foster.pid());
                service.life.phase = up;
                self.watch_end(reactor, key, Kin::Foster(foster));
                self.restore_kept(key, &record.kept);
                self.adopt_output(reactor, key);
                self.go_on(reactor, key, record, changed)
            }
            // It has ended while nobody looked.
            Some(gone) => {
                if let Err(e) = gone {
                    log!(Level::Error, MODULE, "{}: cannot be adopted: {e}", service.name());
                }
                service.life.phase = if record.phase == "stopping" {
                    Phase::Stopping(if record.again { Next::Fresh } else { Next::Down })
                } else {
                    up
                };
                // It has handed over, and its successor has said so: both while nobody listened.
                if matches!(service.life.phase, Phase::Upgrading(_)) && told {
                    return Some(Event::Ready(at));
                }
                service.last = Some((End::Unknown("while no daemon ran".to_owned()), at));
                Some(Event::Died { at, clean: false, chance: self.chance.draw() })
            }
        }
    }

    /// What was told of it is not told again; when it is over is.
    fn reopen_alarms(&mut self, key: Key, record: &Record) {
        let known = |(kind, severity): &(String, String)| Some((Kind::of(kind)?, Severity::of(severity)?));
        let open: Vec<Raised> = record.alarms.iter().filter_map(known).collect();
        if let Some(service) = self.roll.get_mut(key).filter(|_| !open.is_empty()) {
            (service.vigil, service.usage) = (Vigil::of_alarms(&open), Some(Box::new(Usage::of_alarms(&open))));
        }
        open.into_iter().for_each(|raised| self.alarms.reopen(key, raised));
    }

    /// One that runs, in the phase it was in.
    fn go_on(&mut self, reactor: &mut Reactor, key: Key, record: &Record, changed: bool) -> Option<Event> {
        let service = self.roll.get_mut(key)?;
        if record.phase == "stopping" {
            return Some(if record.again || changed { Event::Restart } else { Event::WantDown });
        }
        if changed {
            return Some(Event::Restart);
        }
        service.readying = match &service.entry.ready {
            // The pipe went with the daemon that had its other end: all that is known is that it runs.
            Ready::AtOnce | Ready::Told { by: Told::Fd { .. }, .. } => None,
            Ready::Told { by: Told::Notify, .. } => Some(Readying::Notice),
            Ready::Probed { .. } => Some(Readying::Probe { attempt: None, next: None, wrong: String::new() }),
        };
        if matches!(service.life.phase, Phase::Upgrading(_)) {
            service.readying = None;
            let patience = service.rules().upgrade_timeout;
            self.arm_phase(reactor, key, patience);
            return self.heir_has_told(key).then(|| Event::Ready(Instant::now()));
        }
        if matches!(record.phase.as_str(), "up" | "upgrading") || service.readying.is_none() {
            service.readying = None;
            self.watch_over(reactor, key);
            self.watch_calm(reactor, key);
            return None;
        }
        service.life.phase = Phase::Starting;
        if let Some(timeout) = service.rules().start_timeout {
            self.arm_phase(reactor, key, timeout);
        }
        self.await_readiness(reactor, key);
        None
    }

    /// Nothing tells of the end of a process that is not our child, on a kernel without pidfds: it is looked for.
    pub(in crate::run) fn look_after(&mut self, reactor: &mut Reactor, key: Key) {
        if !self.collect(reactor, key) && self.roll.get(key).is_some_and(|service| service.running.is_some()) {
            self.arm(reactor, LOOK_AGAIN, Due::Foster(key));
        }
    }

    /// Writes down what is to be known of one service.
    pub(in crate::run) fn remember(&mut self, key: Key) {
        let Some(service) = self.roll.get(key) else { return };
        let record = self.record_of(key, service);
        if self.store.append(&record) {
            self.remember_all();
        }
    }

    fn record_of(&self, key: Key, service: &Service) -> Record {
        let left = self.leavers_of(key).filter_map(|(_, birth)| birth).collect();
        let kept = self.safe.noted(service.name());
        let words = |(kind, severity): Raised| (kind.word().to_owned(), severity.word().to_owned());
        let alarms = self.alarms.of(key).into_iter().map(words).collect();
        Record { left, alarms, kept, seq: self.audience.chronicle.count(), ..service.record() }
    }

    fn remember_all(&mut self) {
        // One that is merely listed is not known to be down.
        let touched = self.roll.pairs().filter(|(_, service)| service.touched);
        let records: Vec<Record> = touched.map(|(key, service)| self.record_of(key, service)).collect();
        self.store.renew(records.into_iter());
    }

    /// Everything is stopped.
    pub fn finish(&mut self) {
        self.outbox.finish(&mut self.clerk);
        // Whoever waits for our end finds everything written.
        drop(take(&mut self.clerk));
        sexton::finish();
        self.store.remove();
    }
}

impl Service {
    /// What a daemon after us has to know.
    pub(in crate::run) fn record(&self) -> Record {
        let (taken, refilling, delays) = self.life.tally.parts();
        let phase = self.life.phase;
        Record {
            seq: 0,
            name: self.entry.name.clone(),
            phase: phase.word().to_owned(),
            again: matches!(phase, Phase::Stopping(next) if next != Next::Down),
            by_hand: self.stopped_by_hand,
            process: self.running.as_ref().and_then(|running| running.birth),
            mark: self.mark.clone(),
            up_since: phase.up_since().map(millis),
            restarts: self.life.restarts,
            tally: (taken, refilling.map(millis), delays),
            launch: self.launch_sum(),
            stop: (self.entry.stop.signal.clone(), self.entry.stop.timeout.as_millis() as u64),
            last: self.last.as_ref().map(|(end, at)| (end.to_string(), end.code(), end.signal(), millis(*at))),
            from: self.succession.from.as_deref().map(shown),
            heir: self.heir_record(),
            left: Vec::new(),
            alarms: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Stands for what it is run with: another one is a reason to start it anew.
    pub(in crate::run) fn launch_sum(&self) -> u32 {
        *self.sum.get_or_init(|| crc32(self.entry.launch.shown().to_string().as_bytes()))
    }
}

/// What was a text once.
pub(in crate::run) fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A service that is in the file no more, as far as it is needed to stop it.
fn unknown(record: &Record) -> Process {
    let (signal, timeout) = record.stop.clone();
    let stop = Stop { signal, timeout: Duration::from_millis(timeout) };
    Process { name: record.name.clone(), order: Order::default(), stop, ..Process::default() }
}

fn tally(record: &Record) -> Tally {
    let (taken, refilling, delays) = record.tally;
    Tally::of_parts(taken, refilling.map(instant), delays)
}

/// When it was, by the clock that goes on from one process to the next.
fn millis(instant: Instant) -> u64 {
    let ago = u64::try_from(instant.elapsed().as_millis()).unwrap_or(u64::MAX);
    monotonic().saturating_sub(ago)
}

fn instant(millis: u64) -> Instant {
    let now = Instant::now();
    now.checked_sub(Duration::from_millis(monotonic().saturating_sub(millis))).unwrap_or(now)
}

/// Those that were being made when the daemon died. All of them are other programs by now, or gone: until then they
/// held the dead daemon's claim, which is ours.
fn find_marked(before: &HashMap<String, Record>) -> Vec<(String, String, Birth)> {
    let being_made = before.values().filter(|record| record.process.is_none() && record.phase == "starting");
    let heirs = before.values().filter_map(|record| Some((&record.name, record.heir.as_ref()?)));
    let heirs_being_made = heirs.filter(|(_, heir)| heir.process.is_none()).map(|(name, heir)| (name, &heir.mark));
    let mut open: Vec<(&String, &String)> =
        being_made.map(|record| (&record.name, &record.mark)).chain(heirs_being_made).collect();
    let mut found = Vec::new();
    if open.is_empty() {
        return found;
    }
    for (pid, environment) in environments() {
        let marked = open.iter().position(|(_, mark)| has(&environment, mark));
        if let Some(place) = marked
            && let Ok(birth) = Birth::of(pid)
        {
            let (name, mark) = open.swap_remove(place);
            found.push((name.clone(), mark.clone(), birth));
        }
    }
    found
}

const LOOK_AGAIN: Duration = Duration::from_secs(1);
