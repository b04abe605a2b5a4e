//! The hub: a queue of events, the descriptors and the timers behind them, and the loop that feeds [`step`] and does
//! what it says.
//!
//! Decides nothing about a process's life: that is `law`. Knows of every source only how to find it: the files beside
//! this one do the rest. Idle, it sleeps without a timer.

use super::chance::Chance;
use super::change::Change;
use super::child::cgroup::Groups;
use super::child::crash::Corpse;
use super::child::leaver::Leaver;
use super::child::morgue::Morgue;
use super::child::notice::Noticeboard;
use super::child::probe::Attempt;
use super::child::surroundings::Surroundings;
use super::clerk::Clerk;
use super::door::signals;
use super::door::superior::Superior;
use super::keep::deposit::Deposits;
use super::keep::safe::Safe;
use super::keep::state::Store;
use super::output::capture::Captures;
use super::output::outputs::Outputs;
use super::purpose::Purpose;
use super::roll::Roll;
use super::tell::audience::Audience;
use super::tell::herald::Herald;
use super::tell::metrics::Show;
use super::tell::outbox::Outbox;
use super::tell::teller::{TellerId, Tellers};
use crate::face::control::Control;
use crate::face::conversation::Conversation;
use crate::face::scrape::Scraper;
use crate::law::alarm::Book;
use crate::law::life::{Action, Event, Phase, step};
use msf_conf::daemon::{Process, Settings};
use msf_core::event::{Interest, Reactor, Ready, Signals, Slots, Token, Turn};
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::{Bequest, Claim, Starter};
use msf_core::sys::{code, heap};
use msf_core::timer::TimerId;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Names a service for as long as the daemon lives.
pub type Key = u64;

/// The running daemon.
pub struct Driver {
    // Dropped in this order: whoever waits on a conversation for our end finds the place free when it comes.
    pub(super) control: Control,
    pub(super) notices: Option<Noticeboard>,
    _claim: Claim,
    pub(super) watched: Slots<Watched>,
    clock: Slots<Due>,
    pub(super) signals: Signals,
    pub(super) config: PathBuf,
    pub(super) version: String,
    pub(super) surroundings: Surroundings,
    pub(super) captures: Captures,
    pub(super) outputs: Outputs,
    pub(super) groups: Groups,
    pub(super) store: Store,
    pub(super) roll: Roll,
    pub(super) audience: Audience,
    pub(super) show: Show,
    /// What has happened and is not dealt with yet.
    events: VecDeque<(Key, Event)>,
    /// Whether somebody below us on the stack deals with them.
    feeding: bool,
    pub(super) outbox: Outbox,
    pub(super) herald: Herald,
    /// Reports of ends that nobody asked for.
    pub(super) morgue: Morgue,
    pub(super) clerk: Clerk,
    /// Those who are crashing.
    pub(super) corpses: Vec<Corpse>,
    /// Those who are no service's any more, and have not ended.
    pub(super) leavers: Vec<Leaver>,
    /// What is kept for processes.
    pub(super) safe: Safe,
    /// The alarms that are open.
    pub(super) alarms: Book,
    /// Services that may have left a crash loop.
    pub(super) calming: HashMap<Key, Timer>,
    pub(super) tellers: Tellers,
    /// The machine's name, for those who are told.
    pub(super) host: String,
    pub(super) chance: Chance,
    pub(super) superior: Superior,
    pub(super) deposits: Deposits,
    pub(super) since: Instant,
    pub(super) stopping: bool,
    /// Somebody has become something else.
    pub(super) has_changed: bool,
    /// When a signal said so for the first time.
    pub(super) told_to_end_at: Option<Instant>,
    /// Nobody is waited for any more.
    pub(super) hurried: bool,
    /// What we are there for.
    pub(super) purpose: Purpose,
    /// Somebody knocks whom we had no descriptor for; the socket will not tell of him again.
    pub(super) unheard: bool,
}

/// What a token of ours stands for. Most stand for a process: what is larger is in a box.
pub enum Watched {
    /// The signals.
    Signals,
    /// The control socket.
    Control,
    /// Somebody on it.
    Conversation(Box<Conversation>),
    /// The pidfd of this service.
    Process(Key),
    /// The pipe on which this service says that it is ready.
    ReadyPipe(Key),
    /// The pidfd of who is to take the place of this service's process.
    Heir(Key),
    /// The pipe on which he says that he is ready.
    HeirPipe(Key),
    /// The pidfd of one who is no service's any more.
    Leaver(i32),
    /// The socket to which services say how they are.
    Notices,
    /// The pidfd of one who is crashing.
    Corpse(i32),
    /// The pidfd of a command that tells of an alarm.
    Teller(TellerId),
    /// A probe that has been begun.
    Attempt(Box<Attempt>),
    /// The files that processes write to.
    Outputs,
    /// Where the metrics are shown.
    Stall,
    /// Somebody who asks for them.
    Scraper(Box<Scraper>),
}

/// What a timer stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The phase of this service is over.
    Phase(Key),
    /// This service may be probed again.
    ReadyProbe(Key),
    /// More children may have ended.
    Collect,
    /// More has come to the notice board than is read at a time.
    Notices,
    /// The page of metrics goes on.
    Page,
    /// Whoever waits in this conversation has waited long enough.
    Patience(Token),
    /// It is to be looked again at a file that somebody has written to.
    Output(u64),
    /// It is to be found out whether this service is well.
    Check(Key),
    /// The probe of this service has taken too long.
    CheckTimeout(Key),
    /// It is to be looked what this service uses.
    Sample(Key),
    /// This service has stayed up.
    Calm(Key),
    /// It is to be looked at this one, who is crashing.
    Corpse(i32),
    /// This one, who was replaced, has had time enough.
    Leaver(i32),
    /// This teller may go on.
    Teller(TellerId),
    /// The command of this teller has had time enough.
    TellerCommand(TellerId),
    /// It is to be looked whether the process of this service, not our child, still runs.
    Foster(Key),
    /// Whoever started us wants to hear that we are alive.
    Heartbeat,
    /// He is to be told how it stands.
    StatusLine,
}

/// A timer that runs.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    id: TimerId,
    token: Token,
    /// When it is due.
    pub at: Instant,
}

/// What the daemon has before it starts anything.
pub struct Setting {
    /// The configuration file, absolute.
    pub config: PathBuf,
    /// The right to be the only one.
    pub claim: Claim,
    /// The run directory.
    pub run_dir: PathBuf,
    /// The control socket.
    pub control: Control,
    /// Where programs are found.
    pub surroundings: Surroundings,
    /// Where programs write to.
    pub outputs: Outputs,
    /// Where crash reports are kept.
    pub morgue: Morgue,
    /// Where events are written to.
    pub outbox: Outbox,
    /// Whom to tell that we are ready.
    pub starter: Starter,
    /// Descriptors that were left to us.
    pub bequests: Vec<Bequest>,
}

impl Driver {
    /// Takes over the signals and begins to listen. Nothing is started yet.
    pub fn new(reactor: &Reactor, setting: Setting) -> io::Result<Driver> {
        setting.surroundings.raise_own_limits();
        let signals = signals::listen()?;
        be_the_heir();
        let mut watched = Slots::default();
        let full = || io::Error::other("no slot is left for a descriptor");
        reactor.watch(&signals, watched.insert(Watched::Signals).ok_or_else(full)?, Interest::READ)?;
        setting.control.watch(reactor, watched.insert(Watched::Control).ok_or_else(full)?)?;
        let mut driver = Driver {
            control: setting.control,
            notices: Noticeboard::new(&setting.run_dir),
            _claim: setting.claim,
            watched,
            clock: Slots::default(),
            signals,
            config: setting.config,
            version: String::new(),
            surroundings: setting.surroundings,
            captures: Captures::default(),
            outputs: setting.outputs,
            groups: Groups::default(),
            store: Store::new(&setting.run_dir),
            roll: Roll::default(),
            audience: Audience::default(),
            show: Show::default(),
            events: VecDeque::new(),
            feeding: false,
            outbox: setting.outbox,
            herald: Herald::default(),
            morgue: setting.morgue,
            clerk: Clerk::default(),
            corpses: Vec::new(),
            leavers: Vec::new(),
            safe: Safe::default(),
            alarms: Book::default(),
            calming: HashMap::new(),
            tellers: Tellers::default(),
            host: nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            chance: Chance::new(),
            superior: Superior::new(setting.starter),
            deposits: Deposits::new(setting.bequests),
            since: Instant::now(),
            stopping: false,
            has_changed: false,
            told_to_end_at: None,
            hurried: false,
            purpose: Purpose::default(),
            unheard: false,
        };
        driver.open_board(reactor);
        Ok(driver)
    }

    /// Starts everything, in order.
    pub fn start(&mut self, reactor: &mut Reactor, settings: Settings) {
        self.banner(&settings);
        self.herald.follow(settings.broker.as_ref());
        self.tell_to(reactor, &settings.alarms);
        self.version = settings.version;
        self.purpose.name = settings.main;
        // What is wrong with it is in the log.
        let _ = self.show_metrics(reactor, settings.metrics.as_ref());
        self.take_back(&settings.processes);
        let new = self.take_over(reactor, settings.processes);
        for key in self.roll.graph.order().to_vec().into_iter().filter(|key| new.contains(key)) {
            self.feed(reactor, key, Event::WantUp);
        }
        self.look_whether_it_is_over(reactor);
        self.complain_of_the_rest();
        self.deposit();
        // Whoever is told may look into the log at once.
        let _ = msf_core::log::flush();
        self.tell_ready(reactor);
        // The configuration's text, and what was read from it and from the state file.
        heap::trim();
        code::let_go();
    }

    /// Whether everything is stopped, after it was told to.
    pub fn done(&self) -> bool {
        let nobody = self.corpses.is_empty() && self.leavers.is_empty();
        self.stopping && nobody && self.roll.iter().all(|service| service.life.phase == Phase::Down)
    }

    pub(super) fn banner(&self, settings: &Settings) {
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

    /// One event, and whatever follows from it at once. What it causes for others comes after what it causes for
    /// the same process, and never deeper on the stack.
    pub(super) fn feed(&mut self, reactor: &mut Reactor, key: Key, event: Event) {
        self.events.push_back((key, event));
        if self.feeding {
            return;
        }
        self.feeding = true;
        while let Some((key, event)) = self.events.pop_front() {
            self.take(reactor, key, event);
        }
        self.feeding = false;
    }

    fn take(&mut self, reactor: &mut Reactor, key: Key, event: Event) {
        let Some(service) = self.roll.get_mut(key) else { return };
        let from = service.life.phase;
        let (life, actions) = step(&service.rules(), service.life, event);
        service.life = life;
        if !from.keeps_timer(life.phase)
            && let Some(timer) = service.timer.take()
        {
            self.disarm(reactor, timer);
        }
        if actions.contains(&Action::Promote) {
            self.promote(reactor, key);
        }
        if from.is_changed_by(life.phase) {
            self.changed(reactor, key, &Change { from, to: life.phase, event });
        }
        let answers: Vec<Event> = actions.into_iter().flat_map(|action| self.perform(reactor, key, action)).collect();
        for answer in answers.into_iter().rev() {
            self.events.push_front((key, answer));
        }
    }

    /// Does what `step` said; what came of it.
    fn perform(&mut self, reactor: &mut Reactor, key: Key, action: Action) -> Vec<Event> {
        match action {
            Action::Look => return vec![self.look(key)],
            Action::Spawn => return self.spawn(reactor, key),
            Action::Arm(after) => self.arm_phase(reactor, key, after),
            Action::Terminate | Action::Kill => {
                if let Some(service) = self.roll.get(key) {
                    service.end(action == Action::Kill);
                }
                if action == Action::Kill {
                    self.tell_kill(reactor, key);
                }
            }
            Action::SpawnHeir => return self.spawn_heir(reactor, key),
            Action::EndHeir => self.end_heir(reactor, key),
            // Done before the change was told.
            Action::Promote => {}
        }
        Vec::new()
    }

    pub(super) fn arm_phase(&mut self, reactor: &mut Reactor, key: Key, after: Duration) {
        self.log_wait(key, after);
        if self.stopping {
            self.ask_for_patience(after);
        }
        let timer = self.arm(reactor, after, Due::Phase(key));
        let Some(service) = self.roll.get_mut(key) else { return };
        if let Some(before) = std::mem::replace(&mut service.timer, timer) {
            self.disarm(reactor, before);
        }
    }

    /// Arms a timer; `None` when there are too many.
    pub(super) fn arm(&mut self, reactor: &mut Reactor, after: Duration, due: Due) -> Option<Timer> {
        let token = self.clock.insert(due)?;
        Some(Timer { id: reactor.arm(after, token.bits().into()), token, at: Instant::now() + after })
    }

    /// As [`Driver::arm`], for a moment that others may share.
    pub(super) fn arm_at(&mut self, reactor: &mut Reactor, at: Instant, due: Due) -> Option<Timer> {
        let token = self.clock.insert(due)?;
        Some(Timer { id: reactor.arm_at(at, token.bits().into()), token, at })
    }

    /// Disarms a timer; one that has expired is nobody's.
    pub(super) fn disarm(&mut self, reactor: &mut Reactor, timer: Timer) {
        if self.clock.remove(timer.token).is_some() {
            reactor.disarm(timer.id);
        }
    }

    pub(super) fn shut_down(&mut self, why: &str) {
        if !self.stopping {
            log!(Level::Info, MODULE, "{why}: stopping everything");
            self.stopping = true;
            self.end_corpses();
            self.tell_stopping();
        }
    }
}

impl Turn for Driver {
    fn ready(&mut self, reactor: &mut Reactor, token: Token, _ready: Ready) {
        match self.watched.get(token) {
            Some(Watched::Signals) => self.signalled(reactor),
            Some(Watched::Control) => self.accept(reactor),
            Some(Watched::Conversation(_)) => self.converse(reactor, token),
            Some(&Watched::Process(key)) => {
                self.collect(reactor, key);
            }
            Some(&Watched::ReadyPipe(key)) => self.listen(reactor, key),
            Some(&Watched::Heir(key)) => {
                self.collect_heir(reactor, key);
            }
            Some(&Watched::HeirPipe(key)) => self.listen_to_heir(reactor, key),
            Some(&Watched::Leaver(pid)) => {
                self.farewell(reactor, pid);
            }
            Some(Watched::Notices) => {
                self.has_changed = false;
                self.heard(reactor);
                // As many as there are hearts, see `expired`.
                if !self.has_changed {
                    return;
                }
            }
            Some(&Watched::Corpse(pid)) => {
                self.bury(reactor, pid);
            }
            Some(&Watched::Teller(id)) => {
                self.command_ended(reactor, id);
            }
            Some(Watched::Attempt(_)) => self.attempted(reactor, token),
            Some(Watched::Outputs) => self.written(reactor),
            Some(Watched::Stall) => self.receive_scrapers(reactor),
            Some(Watched::Scraper(_)) => self.scrape(reactor, token),
            None => {}
        }
        self.settle(reactor);
    }

    fn expired(&mut self, reactor: &mut Reactor, key: u64) {
        let token = u32::try_from(key).map(Token::from_bits);
        match token.ok().and_then(|token| self.clock.remove(token)) {
            Some(Due::Phase(key)) => {
                if let Some(service) = self.roll.get_mut(key) {
                    service.timer = None;
                    service.log_timeout();
                }
                self.feed(reactor, key, Event::Timeout);
            }
            Some(Due::ReadyProbe(key)) => self.probe_ready(reactor, key),
            Some(Due::Collect) => self.collect_all(reactor),
            Some(Due::Notices) => self.hear_more(reactor),
            Some(Due::Page) => return self.go_on_with_page(reactor),
            Some(Due::Patience(token)) => self.out_of_patience(reactor, token),
            Some(Due::Output(id)) => self.look_at_output(reactor, id),
            // Many at a time, and nobody may stop or be forgotten because of them: settling would look at all services
            // for each. Who is stopped for good settles himself.
            Some(Due::Check(key)) => return self.check(reactor, key),
            Some(Due::CheckTimeout(key)) => self.check_timed_out(reactor, key),
            Some(Due::Sample(key)) => return self.sample(reactor, key),
            Some(Due::Calm(key)) => self.calm(reactor, key),
            Some(Due::Corpse(pid)) => self.look_at_corpse(reactor, pid),
            Some(Due::Leaver(pid)) => self.leaver_is_late(reactor, pid),
            Some(Due::Teller(id)) => self.deliver(reactor, id),
            Some(Due::TellerCommand(id)) => self.end_command(id),
            Some(Due::Foster(key)) => self.look_after(reactor, key),
            Some(Due::Heartbeat) => return self.beat(reactor),
            Some(Due::StatusLine) => return self.line_is_due(),
            None => {}
        }
        self.settle(reactor);
    }

    fn woken(&mut self, _reactor: &mut Reactor) {}
}

/// Orphans among what our processes have started become ours, so that somebody waits for them, also where process 1
/// does not; process 1 has them in any case.
fn be_the_heir() {
    if let Err(e) = nix::sys::prctl::set_child_subreaper(true) {
        log!(Level::Warn, MODULE, "orphans of our processes are left to process 1: {e}");
    }
}

/// The module name of our records.
pub const MODULE: &str = "DAEMON";
