//! Ends that nobody asked for: the reports about them, and those that are told when they begin.
//!
//! Who tells the notice board that he is crashing counts as dead from then on. His successor is started while the kernel
//! still writes the core; what is left of him is a corpse, of which the end is waited for, and no longer than for the core.

use super::collect::Unwanted;
use super::driver::{Driver, Due, Key, MODULE, Timer, Watched};
use super::kin::Kin;
use super::service::{End, Running, Service};
use crate::face::report::{Found, Report, core_file, is_about};
use crate::law::life::{Event, Phase};
use msf_conf::daemon::CrashReports;
use msf_core::event::Reactor;
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::{Exit, Usage, usage};
use msf_core::sys::now_rfc3339;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
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

/// The folder of the reports.
#[derive(Debug)]
pub struct Morgue {
    folder: PathBuf,
    limits: CrashReports,
}

impl Morgue {
    /// In the log folder; made when there is something to put into it.
    pub fn new(log_folder: &Path, limits: CrashReports) -> Morgue {
        Morgue { folder: log_folder.join("crash"), limits }
    }

    /// Other limits.
    pub fn follow(&mut self, limits: CrashReports) {
        self.limits = limits;
    }

    fn keep(&self, report: &Report) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.folder)?;
        let path = self.folder.join(report.file_name());
        let mut options = File::options();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o640).custom_flags(libc::O_NOFOLLOW).open(&path)?;
        file.write_all(report.file().as_bytes())?;
        self.clear()?;
        Ok(path)
    }

    /// The newest stay: so many, and of no more bytes. The last one stays whatever it weighs.
    fn clear(&self) -> io::Result<()> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let about = entry.as_ref().map_err(|e| io::Error::from(e.kind()))?.metadata();
            if let (Ok(entry), Ok(about)) = (entry, about)
                && entry.file_name().to_string_lossy().ends_with(".txt")
            {
                all.push((about.modified()?, entry.file_name(), about.len()));
            }
        }
        all.sort();
        let mut bytes = 0;
        for (place, (_, name, size)) in all.iter().rev().enumerate() {
            bytes += size;
            if place > 0 && (place >= self.limits.files as usize || bytes > self.limits.max_bytes) {
                fs::remove_file(self.folder.join(name))?;
            }
        }
        Ok(())
    }

    /// The newest report about `name`.
    pub fn newest(&self, name: &str) -> Option<Found> {
        let entries = fs::read_dir(&self.folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let newest = self.folder.join(entries.filter(|file| is_about(file, name)).max()?);
        let file = fs::read(&newest).ok()?;
        Some(Found::new(newest.display().to_string(), &String::from_utf8_lossy(&file)))
    }
}

impl Driver {
    /// What is known of a process that is ending, before it is collected.
    pub(super) fn autopsy(&self, service: &Service, at: Instant) -> Report {
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

    /// An end that nobody asked for.
    pub(super) fn unwanted_end(&mut self, Unwanted { mut report, cored_by, program, folder }: Unwanted) {
        report.core = cored_by.map(|signal| core_of(report.pid, &program, signal, &folder));
        match self.morgue.keep(&report) {
            Ok(path) => log!(Level::Info, MODULE, "{}: what is known of its end is in {}", report.name, path.display()),
            Err(e) => log!(Level::Error, MODULE, "{}: no report about its end: {e}", report.name),
        }
    }

    /// A service's own process says that it is crashing.
    pub(super) fn crash_begun(&mut self, reactor: &mut Reactor, key: Key, pid: i32, signal: i32, address: String) {
        let at = Instant::now();
        let Some(service) = self.roll.get(key) else { return };
        if service.pid() != Some(pid)
            || !matches!(service.life.phase, Phase::Starting | Phase::Up(_) | Phase::Upgrading(_))
        {
            return;
        }
        let end = End::Exit(Exit::Signal { number: signal, core: false });
        log!(Level::Error, MODULE, "{}: pid {pid} is crashing: {end}", service.name());
        let mut report = self.autopsy(service, at);
        report.fault = Some((address, Vec::new()));
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
    pub(super) fn crash_traced(&mut self, pid: i32, trace: &str) {
        if let Some(corpse) = self.corpses.iter_mut().find(|corpse| corpse.running.child.pid() == pid)
            && let Some((_, frames)) = &mut corpse.report.fault
        {
            *frames = trace.split_whitespace().map(str::to_owned).collect();
        }
    }

    /// Whether this pid is a corpse's.
    pub(super) fn is_corpse(&self, pid: i32) -> bool {
        self.corpses.iter().any(|corpse| corpse.running.child.pid() == pid)
    }

    /// A corpse may have ended.
    pub(super) fn bury(&mut self, reactor: &mut Reactor, pid: i32) -> bool {
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
        self.unwanted_end(Unwanted { report, cored_by: end.cored_by(), program, folder });
        true
    }

    /// It has been a corpse for long: who neither ends nor writes a core is ended.
    pub(super) fn look_at_corpse(&mut self, reactor: &mut Reactor, pid: i32) {
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
    pub(super) fn end_corpses(&self) {
        for corpse in &self.corpses {
            let _ = corpse.running.child.kill();
        }
    }
}

impl Report {
    /// With its end, which is known by now.
    pub(super) fn ended(self, end: &End) -> Report {
        Report { end: end.to_string(), exit_code: end.code(), signal: end.signal(), ..self }
    }
}

pub(super) fn used(kin: &Kin) -> Option<Usage> {
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

fn core_of(pid: i32, program: &str, signal: i32, folder: &Path) -> String {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if let Some(reader) = pattern.strip_prefix('|') {
        return format!("handed to {}", reader.split_whitespace().next().unwrap_or("?"));
    }
    let uses_pid = fs::read_to_string("/proc/sys/kernel/core_uses_pid").is_ok_and(|flag| flag.trim() != "0");
    match core_file(&pattern, uses_pid, pid, program, signal, &folder.display().to_string()) {
        Some(file) if Path::new(&file).exists() => file,
        Some(file) => format!("dumped, and not found at {file}"),
        None => format!("dumped by the pattern {}", pattern.trim_end()),
    }
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
