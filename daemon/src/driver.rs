//! The driver: it feeds what happens to [`step`], and does what `step` says.
//!
//! Owns the processes, the control socket and the signals. Decides nothing about a process's life: that is `life` and
//! `law`; nothing about what a reload changes: that is `reload`. Idle, it sleeps without a timer.

use crate::chance::Chance;
use crate::control::{Answer, Control, Conversation, Next, Request};
use crate::life::{Action, Event, Phase, step};
use crate::output::Outputs;
use crate::plan::Surroundings;
use crate::reload::{Change, Changes, difference};
use crate::service::{End, Running, Service};
use crate::status::{Row, Status};
use libc::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use msf_conf::daemon::{Process, Settings};
use msf_core::event::{Interest, Reactor, Ready, Signals, Slots, Token, Turn};
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::{Claim, Starter, ended, reap};
use std::io;
use std::mem::discriminant;
use std::path::PathBuf;
use std::time::Instant;

/// The running daemon.
pub struct Driver {
    // Dropped in this order: whoever waits on a conversation for our end finds the place free when it comes.
    control: Control,
    _claim: Claim,
    watched: Slots<Watched>,
    signals: Signals,
    config: PathBuf,
    version: String,
    surroundings: Surroundings,
    outputs: Outputs,
    /// In the order of the file, and behind them those that are being stopped for good.
    services: Vec<Service>,
    last_key: u64,
    chance: Chance,
    starter: Starter,
    since: Instant,
    stopping: bool,
    /// Somebody knocks whom we had no descriptor for; the socket will not tell of him again.
    unheard: bool,
}

/// What a token of ours stands for.
enum Watched {
    Signals,
    Control,
    Conversation(Conversation),
    /// The pidfd of the service with this key.
    Process(u64),
}

/// What the daemon has before it starts anything.
pub struct Setting {
    /// The configuration file, absolute.
    pub config: PathBuf,
    /// The right to be the only one.
    pub claim: Claim,
    /// The control socket.
    pub control: Control,
    /// Where programs are found.
    pub surroundings: Surroundings,
    /// Where programs write to.
    pub outputs: Outputs,
    /// Whom to tell that we are ready.
    pub starter: Starter,
}

impl Driver {
    /// Takes over the signals and begins to listen. Nothing is started yet.
    pub fn new(reactor: &Reactor, setting: Setting) -> io::Result<Driver> {
        let signals = Signals::new(&[SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD])?;
        let mut watched = Slots::default();
        let full = || io::Error::other("no slot is left for a descriptor");
        reactor.watch(&signals, watched.insert(Watched::Signals).ok_or_else(full)?, Interest::READ)?;
        setting.control.watch(reactor, watched.insert(Watched::Control).ok_or_else(full)?)?;
        Ok(Driver {
            control: setting.control,
            _claim: setting.claim,
            watched,
            signals,
            config: setting.config,
            version: String::new(),
            surroundings: setting.surroundings,
            outputs: setting.outputs,
            services: Vec::new(),
            last_key: 0,
            chance: Chance::new(),
            starter: setting.starter,
            since: Instant::now(),
            stopping: false,
            unheard: false,
        })
    }

    /// Starts everything, in order.
    pub fn start(&mut self, reactor: &mut Reactor, settings: Settings) {
        self.banner(&settings);
        self.version = settings.version;
        for entry in settings.processes {
            self.add(reactor, entry);
        }
        // Whoever is told may look into the log at once.
        let _ = msf_core::log::flush();
        self.tell(Starter::ready);
    }

    /// Whether everything is stopped, after it was told to.
    pub fn done(&self) -> bool {
        self.stopping && self.services.iter().all(|service| service.life.phase == Phase::Down)
    }

    fn banner(&self, settings: &Settings) {
        log!(Level::Info, MODULE, "### Micro service framework debug info ###");
        log!(Level::Info, MODULE, "author {}, version {}, {}", settings.author, settings.version, settings.desc);
        for Process { index, name, launch, .. } in &settings.processes {
            let conf = launch.conf.as_deref().unwrap_or("-");
            log!(Level::Info, MODULE, "process {index}: name {name}, path {}, conf {conf}", launch.path);
        }
        for warning in &settings.warnings {
            log!(Level::Warn, MODULE, "{warning}");
        }
    }

    fn add(&mut self, reactor: &mut Reactor, entry: Process) {
        self.last_key += 1;
        self.services.push(Service::new(self.last_key, entry));
        self.feed(reactor, self.last_key, Event::WantUp);
    }

    fn find(&mut self, key: u64) -> Option<&mut Service> {
        self.services.iter_mut().find(|service| service.key == key)
    }

    /// One event, and whatever follows from it at once.
    fn feed(&mut self, reactor: &mut Reactor, key: u64, event: Event) {
        let mut event = event;
        loop {
            let Some(service) = self.find(key) else { return };
            let before = service.life.phase;
            let (life, action) = step(&service.entry.restart, service.life, event);
            service.life = life;
            if discriminant(&before) != discriminant(&life.phase)
                && let Some((timer, _)) = service.timer.take()
            {
                reactor.disarm(timer);
            }
            if action != Action::Spawn {
                return service.act(reactor, action);
            }
            let by_itself = matches!(event, Event::Died { .. } | Event::Timeout) && !before.is_stopping();
            service.restarts += u64::from(by_itself);
            event = self.spawn(reactor, key);
        }
    }

    /// Starts a process; what came of it.
    fn spawn(&mut self, reactor: &Reactor, key: u64) -> Event {
        let Some(service) = self.services.iter_mut().find(|service| service.key == key) else { return Event::WantUp };
        let started = self.outputs.lent(service.name(), || self.surroundings.start(&service.entry.launch));
        let at = Instant::now();
        let child = match started {
            Ok(child) => child,
            Err(reason) => {
                log!(Level::Error, MODULE, "{}: not started: {reason}", service.name());
                service.last = Some((End::Unstartable(reason), at));
                return Event::Died { at, chance: self.chance.draw() };
            }
        };
        log!(Level::Info, MODULE, "{}: started, pid {}", service.name(), child.pid());
        let mut token = self.watched.insert(Watched::Process(key)).filter(|_| child.pidfd().is_some());
        if let (Some(watch), Some(pidfd)) = (token, child.pidfd())
            && let Err(e) = reactor.watch(pidfd, watch, Interest::READ)
        {
            log!(Level::Warn, MODULE, "{}: its end will be learned by SIGCHLD only: {e}", service.name());
            self.watched.remove(watch);
            token = None;
        }
        service.running = Some(Running { child, token });
        Event::Started(at)
    }

    /// Looks whether a process has ended, and if so lets its life go on from there.
    fn collect(&mut self, reactor: &mut Reactor, key: u64) -> bool {
        let at = Instant::now();
        let Some(service) = self.find(key) else { return false };
        let Some(running) = &mut service.running else { return false };
        let end = match running.child.collect() {
            Ok(None) => return false,
            Ok(Some(exit)) => End::Exit(exit),
            Err(e) => End::Unknown(e),
        };
        service.log_end(&end, at);
        let token = service.running.take().and_then(|running| running.token);
        service.last = Some((end, at));
        if let Some(token) = token {
            self.watched.remove(token);
        }
        if self.stopping {
            // It ended before its turn came; it is not to be started again.
            self.feed(reactor, key, Event::WantDown);
        }
        let chance = self.chance.draw();
        self.feed(reactor, key, Event::Died { at, chance });
        true
    }

    /// Every child that has ended: ours, and orphans that became ours because we are process 1.
    fn collect_all(&mut self, reactor: &mut Reactor) {
        loop {
            let pid = match ended() {
                Ok(Some(pid)) => pid,
                Ok(None) => return,
                Err(e) => return log!(Level::Error, MODULE, "cannot look for ended processes: {e}"),
            };
            let key = self.services.iter().find(|service| service.pid() == Some(pid)).map(|service| service.key);
            let progress = match key {
                Some(key) => self.collect(reactor, key),
                None => reap(pid).is_ok_and(|exit| exit.is_some()),
            };
            if !progress {
                return;
            }
        }
    }

    /// What is due after any event: forgetting who is gone, and the next step of the end.
    fn settle(&mut self, reactor: &mut Reactor) {
        if self.unheard {
            self.accept(reactor);
        }
        self.services.retain(|service| !(service.dismissed && service.life.phase == Phase::Down));
        while self.stopping {
            let last = self.services.iter().rev().find(|service| service.life.phase != Phase::Down);
            match last.map(|service| (service.key, service.life.phase)) {
                // One at a time, last first: who was started earlier may still be needed.
                None | Some((_, Phase::Stopping { again: false })) => return,
                Some((key, _)) => self.feed(reactor, key, Event::WantDown),
            }
        }
    }

    fn shut_down(&mut self, why: &str) {
        if !self.stopping {
            log!(Level::Info, MODULE, "{why}: stopping everything");
            self.stopping = true;
            self.tell(|starter| starter.stopping());
        }
    }

    fn tell(&mut self, news: impl FnOnce(&mut Starter) -> io::Result<()>) {
        if let Err(e) = news(&mut self.starter) {
            log!(Level::Warn, MODULE, "whoever started us cannot be told: {e}");
        }
    }

    fn reload(&mut self, reactor: &mut Reactor) -> Answer {
        if self.stopping {
            return Err("not reloaded: everything is being stopped\n".to_owned());
        }
        let settings = match Settings::read(&self.config) {
            Ok(settings) => settings,
            Err(e) => {
                log!(Level::Error, MODULE, "not reloaded, the old configuration goes on: {e}");
                return Err(format!("not reloaded, the old configuration goes on: {e}\n"));
            }
        };
        let changes =
            difference(&self.services.iter().map(|service| &service.entry).collect::<Vec<_>>(), &settings.processes);
        log!(Level::Info, MODULE, "reloading {}: {changes}", self.config.display());
        self.banner(&settings);
        for (name, change) in &changes.0 {
            let new = settings.processes.iter().find(|process| process.name == *name);
            self.change(reactor, name, *change, new.cloned());
        }
        let place = |service: &Service| {
            settings.processes.iter().position(|process| process.name == service.name()).unwrap_or(usize::MAX)
        };
        self.services.sort_by_key(place);
        self.version = settings.version;
        let mut text = format!("{changes}\n");
        for warning in settings.warnings.iter().cloned().chain(self.unstartable(&changes)) {
            text += &format!("warning: {warning}\n");
        }
        Ok(text)
    }

    /// Whoever was to start, and could not be executed.
    fn unstartable(&self, changes: &Changes) -> Vec<String> {
        let fails = |service: &&Service| {
            let touched = |(name, change): &(String, Change)| name == service.name() && change.starts();
            service.running.is_none() && changes.0.iter().any(touched)
        };
        let sentence = |service: &Service| match &service.last {
            Some((End::Unstartable(reason), _)) => Some(format!("{}: not started: {reason}", service.name())),
            _ => None,
        };
        self.services.iter().filter(fails).filter_map(sentence).collect()
    }

    fn change(&mut self, reactor: &mut Reactor, name: &str, change: Change, new: Option<Process>) {
        let Some(service) = self.services.iter_mut().find(|service| service.name() == name) else {
            return new.into_iter().for_each(|entry| self.add(reactor, entry));
        };
        let key = service.key;
        service.dismissed = new.is_none();
        if let Some(entry) = new {
            service.entry = entry;
        }
        let event = match change {
            Change::Stop => Event::WantDown,
            Change::Restart => Event::Restart,
            Change::Keep | Change::Start => Event::WantUp,
        };
        self.feed(reactor, key, event);
    }

    fn rotate(&self) -> Answer {
        msf_core::log::reopen().map(|()| "the log is open anew\n".to_owned()).map_err(|e| format!("{e}\n"))
    }

    fn status(&self) -> Status {
        let now = Instant::now();
        Status {
            pid: std::process::id(),
            uptime: now.saturating_duration_since(self.since),
            config: self.config.display().to_string(),
            version: self.version.clone(),
            processes: self.services.iter().map(|service| self.row(service, now)).collect(),
        }
    }

    fn row(&self, service: &Service, now: Instant) -> Row {
        let output = self.outputs.file(service.name()).map(|file| file.display().to_string());
        Row { output, ..service.row(now) }
    }

    fn signalled(&mut self, reactor: &mut Reactor, signal: i32) {
        let answer = match signal {
            SIGCHLD => return self.collect_all(reactor),
            SIGHUP => self.reload(reactor),
            SIGUSR1 => self.rotate(),
            other => return self.shut_down(if other == SIGINT { "SIGINT" } else { "SIGTERM" }),
        };
        if let Err(why) = answer {
            log!(Level::Error, MODULE, "signal {signal}: {}", why.trim_end());
        }
    }

    fn accept(&mut self, reactor: &Reactor) {
        loop {
            match self.control.accept() {
                Ok(Some(conversation)) => self.admit(reactor, conversation),
                Ok(None) => return self.unheard = false,
                Err(_) if self.break_off_the_oldest(0) => {}
                Err(e) => {
                    if !self.unheard {
                        log!(Level::Error, MODULE, "cannot accept on the control socket: {e}");
                    }
                    return self.unheard = true;
                }
            }
        }
    }

    fn admit(&mut self, reactor: &Reactor, conversation: Conversation) {
        match conversation.stranger() {
            Ok(None) => {}
            Ok(Some(uid)) => return log!(Level::Warn, MODULE, "control: user {uid} is not heard"),
            Err(e) => return log!(Level::Warn, MODULE, "control: cannot learn who asks: {e}"),
        }
        self.break_off_the_oldest(MOST_CONVERSATIONS);
        let Some(token) = self.watched.insert(Watched::Conversation(conversation)) else { return };
        if let Some(Watched::Conversation(conversation)) = self.watched.get(token)
            && let Err(e) = conversation.watch(reactor, token)
        {
            log!(Level::Warn, MODULE, "control: cannot listen to who asks: {e}");
            self.watched.remove(token);
        }
    }

    /// Who connects and says nothing, or does not read, must not keep others out, nor take the descriptors that
    /// processes need. False when there are no more than `most`, or all of them wait for our end.
    fn break_off_the_oldest(&mut self, most: usize) -> bool {
        let talking = self.watched.iter().filter_map(|(token, watched)| match watched {
            Watched::Conversation(conversation) => Some((conversation.patience_since()?, token)),
            _ => None,
        });
        let talking: Vec<_> = talking.collect();
        match talking.iter().min_by_key(|(since, _)| *since) {
            Some((_, oldest)) if talking.len() > most => self.watched.remove(*oldest).is_some(),
            _ => false,
        }
    }

    fn converse(&mut self, reactor: &mut Reactor, token: Token) {
        let Some(Watched::Conversation(conversation)) = self.watched.get_mut(token) else { return };
        let went = match conversation.go_on() {
            Ok(Next::Answer(line)) => {
                let request = Request::from_line(&line);
                let answer = match request {
                    Some(request) => self.answer(reactor, request),
                    None => Err(format!("not understood: \"{line}\"\n")),
                };
                let Some(Watched::Conversation(conversation)) = self.watched.get_mut(token) else { return };
                conversation.answer(&answer, request == Some(Request::Shutdown))
            }
            Ok(Next::Wait) => Ok(()),
            Ok(Next::End) => return drop(self.watched.remove(token)),
            Err(e) => Err(e),
        };
        if let Err(e) = went {
            log!(Level::Warn, MODULE, "control: conversation broken off: {e}");
            self.watched.remove(token);
        }
    }

    fn answer(&mut self, reactor: &mut Reactor, request: Request) -> Answer {
        match request {
            Request::Status { json: false } => Ok(self.status().table()),
            Request::Status { json: true } => Ok(self.status().json()),
            Request::Reload => self.reload(reactor),
            Request::Rotate => self.rotate(),
            Request::Shutdown => {
                self.shut_down("shutdown asked for");
                Ok(String::new())
            }
        }
    }
}

impl Turn for Driver {
    fn ready(&mut self, reactor: &mut Reactor, token: Token, _ready: Ready) {
        match self.watched.get(token) {
            Some(Watched::Signals) => {
                for signal in self.signals.take() {
                    self.signalled(reactor, signal);
                }
            }
            Some(Watched::Control) => self.accept(reactor),
            Some(Watched::Conversation(_)) => self.converse(reactor, token),
            Some(&Watched::Process(key)) => {
                self.collect(reactor, key);
            }
            None => {}
        }
        self.settle(reactor);
    }

    fn expired(&mut self, reactor: &mut Reactor, key: u64) {
        if let Some(service) = self.find(key) {
            service.timer = None;
        }
        self.feed(reactor, key, Event::Timeout);
        self.settle(reactor);
    }

    fn woken(&mut self, _reactor: &mut Reactor) {}
}

/// The module name of our records.
const MODULE: &str = "DAEMON";
/// Behind it, whoever has been there longest has to go.
const MOST_CONVERSATIONS: usize = 31;
