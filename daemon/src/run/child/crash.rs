//! Ends that nobody asked for: what is known of them, and those that are told when they begin.
//!
//! Who tells the notice board that he is crashing counts as dead from then on. His successor is started while the kernel
//! still writes the core; what is left of him is a corpse, of which the end is waited for, and no longer than for the core.
//! Who does not tell may be found at it by those who look after his limits and his health.

use super::kin::Kin;
use super::morgue::Unwanted;
use crate::face::report::Report;
use crate::law::life::{Event, Phase};
use crate::run::driver::{Driver, Due, Key, MODULE, Timer, Watched};
use crate::run::service::{End, Running, Service};
use msf_conf::daemon::Policy;
use msf_core::event::Reactor;
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::{Exit, Usage, usage};
use msf_core::sys::now_rfc3339;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One who has told that he is crashing, and has not ended.
#[derive(Debug)]
pub struct Corpse {
    key: Key,
    running: Running,
    begun: Instant,
    report: Report,
    program: String,
    folder: PathBuf,
    timer: Option<Timer>,
}

impl Driver {
    /// What is known of a process that is ending, before it is collected.
    pub(in crate::run) fn autopsy(&self, service: &Service, at: Instant) -> Report {
        let up = service.life.phase.up_since().map(|since| at.saturating_duration_since(since));
        Report {
            time: now_rfc3339(),
            name: service.name().to_owned(),
            pid: service.pid().unwrap_or(0),
            end: String::new(),
            exit_code: None,
            signal: None,
            up,
            restarts: service.life.restarts,
            fault: None,
            core: None,
            usage: None,
            output: self.last_words(service),
        }
    }

    /// Where it has said its last words, and these: of a file, or of what went into the log.
    fn last_words(&self, service: &Service) -> Option<(String, Vec<String>)> {
        let [output, error] = self.outputs.sinks(service.name(), &service.entry.launch);
        let mut files = [error, output].into_iter().filter_map(|sink| sink.shown());
        let of_file = files
            .find_map(|file| Some((file.clone(), last_lines(Path::new(&file)).filter(|lines| !lines.is_empty())?)));
        of_file.or_else(|| {
            let text = self.captures.last_lines(self.roll.named(service.name())?, LINES)?;
            Some(("the log".to_owned(), text.lines().map(str::to_owned).collect()))
        })
    }

    /// Who does not tell of it is found at it, if he is looked at while his core is written.
    pub(in crate::run) fn found_dumping(&mut self, reactor: &mut Reactor, key: Key) -> bool {
        // Nobody waits for the place of one that has no successor.
        let service = self.roll.get(key).filter(|service| service.rules().restart.policy != Policy::Never);
        let Some(pid) = service.and_then(Service::pid).filter(|pid| is_dumping(*pid)) else { return false };
        self.crash_begun(reactor, key, pid, None, String::new());
        self.settle(reactor);
        true
    }

    /// A service's own process says that it is crashing, by which signal, and where; or was found at it.
    pub(in crate::run) fn crash_begun(
        &mut self,
        reactor: &mut Reactor,
        key: Key,
        pid: i32,
        signal: Option<i32>,
        address: String,
    ) {
        let at = Instant::now();
        let Some(service) = self.roll.get(key) else { return };
        if service.pid() != Some(pid)
            || !matches!(service.life.phase, Phase::Starting | Phase::Up(_) | Phase::Upgrading(_))
        {
            return;
        }
        let end = signal.map_or(End::Dumping, |number| End::Exit(Exit::Signal { number, core: false }));
        log!(Level::Error, MODULE, "{}: pid {pid} is crashing: {end}", service.name());
        let mut report = self.autopsy(service, at);
        report.fault = signal.map(|_| (address, Vec::new()));
        let (program, folder) = self.surroundings.where_it_runs(&service.entry.launch);
        let patience = service.rules().stop_timeout.max(SHORTEST);
        let leaving = service.leaving;
        let Some(running) = self.roll.get_mut(key).and_then(|service| {
            service.last = Some((end, at));
            service.running.take()
        }) else {
            return;
        };
        if let Some(watched) = running.token.and_then(|token| self.watched.get_mut(token)) {
            *watched = Watched::Corpse(pid);
        }
        let timer = self.arm(reactor, patience, Due::Corpse(pid));
        self.corpses.push(Corpse { key, running, begun: at, report, program, folder, timer });
        if self.stopping || leaving {
            self.feed(reactor, key, Event::WantDown);
        }
        let chance = self.chance.draw();
        self.feed(reactor, key, Event::Died { at, clean: false, chance });
    }

    /// It tells where.
    pub(in crate::run) fn crash_traced(&mut self, pid: i32, trace: &str) {
        if let Some(corpse) = self.corpses.iter_mut().find(|corpse| corpse.running.child.pid() == pid)
            && let Some((_, frames)) = &mut corpse.report.fault
        {
            *frames = trace.split_whitespace().map(str::to_owned).collect();
        }
    }

    /// Whether this pid is a corpse's.
    pub(in crate::run) fn is_corpse(&self, pid: i32) -> bool {
        self.corpses.iter().any(|corpse| corpse.running.child.pid() == pid)
    }

    /// A corpse may have ended.
    pub(in crate::run) fn bury(&mut self, reactor: &mut Reactor, pid: i32) -> bool {
        let Some(at) = self.corpses.iter().position(|corpse| corpse.running.child.pid() == pid) else { return false };
        let usage = used(&self.corpses[at].running.child);
        let end = match self.corpses[at].running.child.collect() {
            Ok(None) => return false,
            Ok(Some(end)) => end,
            Err(e) => End::Unknown(e.to_string()),
        };
        let Corpse { key, running, begun, mut report, program, folder, timer } = self.corpses.swap_remove(at);
        running.token.and_then(|token| self.watched.remove(token));
        timer.into_iter().for_each(|timer| self.disarm(reactor, timer));
        let took = crate::face::status::span(begun.elapsed());
        log!(Level::Info, MODULE, "{}: pid {pid} has ended, {took} after it began to crash: {end}", report.name);
        report.usage = usage.or(report.usage);
        let service = self.roll.get_mut(key);
        if let (Some(Service { last: Some((last, when)), .. }), End::Exit(exit)) = (service, &end)
            && *when == begun
        {
            *last = End::Exit(*exit);
        }
        let report = report.ended(&end);
        self.morgue.bring(&mut self.clerk, Unwanted { report, cored_by: end.cored_by(), program, folder });
        true
    }

    /// It has been a corpse for long: who neither ends nor writes a core is ended.
    pub(in crate::run) fn look_at_corpse(&mut self, reactor: &mut Reactor, pid: i32) {
        let timer = self.arm(reactor, SHORTEST, Due::Corpse(pid));
        let Some(corpse) = self.corpses.iter_mut().find(|corpse| corpse.running.child.pid() == pid) else {
            return timer.into_iter().for_each(|timer| self.disarm(reactor, timer));
        };
        corpse.timer = timer;
        if !is_dumping(pid) {
            log!(Level::Warn, MODULE, "{}: pid {pid} said that it crashes, and goes on; killed", corpse.report.name);
            let _ = corpse.running.child.kill();
        }
    }

    /// Nobody waits for cores when all is to stop.
    pub(in crate::run) fn end_corpses(&self) {
        for corpse in &self.corpses {
            let _ = corpse.running.child.kill();
        }
    }
}

impl Report {
    /// With its end, which is known by now.
    pub(in crate::run) fn ended(self, end: &End) -> Report {
        Report { end: end.to_string(), exit_code: end.code(), signal: end.signal(), ..self }
    }
}

pub(in crate::run) fn used(kin: &Kin) -> Option<Usage> {
    match kin {
        Kin::Own(child) => usage(child.pid()).ok().flatten(),
        Kin::Foster(_) => None,
    }
}

/// Whether the kernel writes its core at this moment.
fn is_dumping(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("CoreDumping:").is_some_and(|value| value.trim() == "1"))
}

fn last_lines(file: &Path) -> Option<Vec<String>> {
    let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(file).ok()?;
    let size = file.metadata().ok().filter(fs::Metadata::is_file)?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL))).ok()?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail).ok()?;
    let text = String::from_utf8_lossy(&tail);
    let mut lines: Vec<String> = text.lines().rev().take(LINES).map(str::to_owned).collect();
    lines.reverse();
    Some(lines)
}

const SHORTEST: Duration = Duration::from_secs(5);
const TAIL: u64 = 8 << 10;
const LINES: usize = 30;
