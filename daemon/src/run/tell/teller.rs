//! Those who are told of alarms. The log at once, a command as a child of ours, a server through its [`Courier`]: none
//! of them makes the daemon wait.

use super::courier::Courier;
use crate::face::letter::{Letter, message};
use crate::law::outbox::{Next, Outbox};
use crate::run::child::ready::Gift;
use crate::run::child::sexton;
use crate::run::driver::{Driver, Due, MODULE, Timer, Watched};
use libc::SIGKILL;
use msf_conf::daemon::{Launch, Target, To};
use msf_core::event::{Interest, Reactor, Token};
use msf_core::log;
use msf_core::log::Level;
use msf_core::process::Child;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Names a teller for as long as the daemon lives.
pub type TellerId = u64;

/// Everybody who is told.
#[derive(Debug, Default)]
pub struct Tellers {
    all: Vec<(TellerId, Teller)>,
    last: TellerId,
}

/// One of them.
#[derive(Debug)]
struct Teller {
    target: Target,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// The log, or a command: what waits for its turn, and the timer for it.
    Here { outbox: Outbox<Letter>, waits: Option<Timer>, running: Option<Running> },
    /// A server.
    Courier { courier: Courier, lost: u64 },
}

/// A command that runs.
#[derive(Debug)]
struct Running {
    child: Child,
    token: Option<Token>,
    patience: Option<Timer>,
}

impl Tellers {
    fn get_mut(&mut self, id: TellerId) -> Option<&mut Teller> {
        self.all.iter_mut().find(|(own, _)| *own == id).map(|(_, teller)| teller)
    }

    /// The one whose command this is.
    pub fn of_pid(&self, pid: i32) -> Option<TellerId> {
        let runs = |teller: &Teller| match &teller.way {
            Way::Here { running: Some(running), .. } => running.child.pid() == pid,
            _ => false,
        };
        self.all.iter().find(|(_, teller)| runs(teller)).map(|(id, _)| *id)
    }
}

impl Driver {
    /// These are told from now on. Who was told before keeps what waits for him.
    pub(in crate::run) fn tell_to(&mut self, reactor: &mut Reactor, targets: &[Target]) {
        let mut before = std::mem::take(&mut self.tellers.all);
        for target in targets {
            match before.iter().position(|(_, teller)| teller.target == *target) {
                Some(at) => self.tellers.all.push(before.swap_remove(at)),
                None => match way(target) {
                    Ok(way) => {
                        self.tellers.last += 1;
                        self.tellers.all.push((self.tellers.last, Teller { target: target.clone(), way }));
                    }
                    Err(why) => log!(Level::Error, MODULE, "nobody is told there: {why}"),
                },
            }
        }
        for (_, teller) in before {
            self.dismiss(reactor, teller);
        }
    }

    fn dismiss(&mut self, reactor: &mut Reactor, teller: Teller) {
        let Way::Here { waits, running, .. } = teller.way else { return };
        let patience = running.as_ref().and_then(|running| running.patience);
        waits.into_iter().chain(patience).for_each(|timer| self.disarm(reactor, timer));
        if let Some(Running { child, token, .. }) = running {
            // SIGCHLD tells when it can be collected.
            let _ = child.signal(SIGKILL);
            token.and_then(|token| self.watched.remove(token));
        }
    }

    /// Tells everybody.
    pub(in crate::run) fn post(&mut self, reactor: &mut Reactor, letter: &Letter) {
        let ids: Vec<TellerId> = self.tellers.all.iter().map(|(id, _)| *id).collect();
        for id in ids {
            let Some(teller) = self.tellers.get_mut(id) else { continue };
            match &mut teller.way {
                Way::Here { outbox, .. } => {
                    outbox.push(letter.clone());
                    self.deliver(reactor, id);
                }
                Way::Courier { courier, lost } => {
                    if courier.take(letter.clone()) {
                        *lost = 0;
                    } else {
                        if *lost == 0 {
                            log!(Level::Error, MODULE, "an alarm is lost: too many wait for their server");
                        }
                        *lost += 1;
                    }
                }
            }
        }
    }

    /// What waits for this teller goes out, if it is time.
    pub(in crate::run) fn deliver(&mut self, reactor: &mut Reactor, id: TellerId) {
        while let Some(teller) = self.tellers.get_mut(id) {
            let Way::Here { outbox, running: None, .. } = &mut teller.way else { return };
            match outbox.next(Instant::now()) {
                Next::Idle => return,
                Next::Wait(until) => return self.wait(reactor, id, until),
                Next::Send { letters, lost } => match teller.target.to.clone() {
                    To::Command { command, timeout } => {
                        self.run_command(reactor, id, &command, timeout, (&letters, lost));
                    }
                    To::Log | To::Webhook(_) => record(&letters, lost),
                },
            }
        }
    }

    fn wait(&mut self, reactor: &mut Reactor, id: TellerId, until: Instant) {
        let timer = self.arm(reactor, until.saturating_duration_since(Instant::now()), Due::Teller(id));
        let Some(Teller { way: Way::Here { waits, .. }, .. }) = self.tellers.get_mut(id) else { return };
        if let Some(before) = std::mem::replace(waits, timer) {
            self.disarm(reactor, before);
        }
    }

    fn run_command(
        &mut self,
        reactor: &mut Reactor,
        id: TellerId,
        command: &[String],
        timeout: Duration,
        (letters, lost): (&[Letter], u64),
    ) {
        let Some((program, args)) = command.split_first() else { return };
        let gift = match input(&message(letters, lost)) {
            Ok(input) => Gift { env: variables(letters), input: Some(input), ..Gift::default() },
            Err(e) => return log!(Level::Error, MODULE, "an alarm is lost: {e}"),
        };
        let launch = Launch { path: program.clone(), args: args.to_vec(), ..Launch::default() };
        let child = match self.surroundings.start(&launch, gift) {
            Ok(child) => child,
            Err(e) => return log!(Level::Error, MODULE, "an alarm is lost: {e}"),
        };
        let token = child.pidfd().and_then(|pidfd| {
            let token = self.watched.insert(Watched::Teller(id))?;
            let watched = reactor.watch(pidfd, token, Interest::READ);
            if watched.is_err() {
                self.watched.remove(token);
            }
            watched.ok().map(|()| token)
        });
        let patience = self.arm(reactor, timeout, Due::TellerCommand(id));
        if let Some(Teller { way: Way::Here { running, .. }, .. }) = self.tellers.get_mut(id) {
            *running = Some(Running { child, token, patience });
        }
    }

    /// The command may have ended.
    pub(in crate::run) fn command_ended(&mut self, reactor: &mut Reactor, id: TellerId) -> bool {
        let Some(teller) = self.tellers.get_mut(id) else { return false };
        let Way::Here { running, .. } = &mut teller.way else { return false };
        let Some(Running { child, .. }) = running else { return false };
        let said = match sexton::collect(child) {
            Ok(None) => return false,
            Ok(Some(msf_core::process::Exit::Code(0))) => None,
            Ok(Some(exit)) => Some(exit.to_string()),
            Err(e) => Some(e.to_string()),
        };
        let ended = running.take();
        if let (Some(said), To::Command { command, .. }) = (said, &teller.target.to) {
            let program = command.first().map_or("", String::as_str);
            log!(Level::Error, MODULE, "{program} did not take an alarm: {said}");
        }
        if let Some(Running { token, patience, .. }) = ended {
            token.and_then(|token| self.watched.remove(token));
            patience.into_iter().for_each(|timer| self.disarm(reactor, timer));
        }
        self.deliver(reactor, id);
        true
    }

    /// The command has had time enough.
    pub(in crate::run) fn end_command(&mut self, id: TellerId) {
        let Some(Teller { way: Way::Here { running: Some(running), .. }, .. }) = self.tellers.get_mut(id) else {
            return;
        };
        running.patience = None;
        if let Err(e) = running.child.kill() {
            log!(Level::Error, MODULE, "cannot kill pid {}: {e}", running.child.pid());
        }
    }
}

fn way(target: &Target) -> Result<Way, String> {
    match &target.to {
        To::Webhook(webhook) => Ok(Way::Courier { courier: Courier::new(webhook, target.per_minute)?, lost: 0 }),
        To::Log | To::Command { .. } => {
            Ok(Way::Here { outbox: Outbox::new(target.per_minute), waits: None, running: None })
        }
    }
}

fn record(letters: &[Letter], lost: u64) {
    for letter in letters {
        let level = match (letter.state, letter.severity) {
            ("recovered", _) => Level::Info,
            (_, "critical") => Level::Error,
            _ => Level::Warn,
        };
        log!(level, MODULE, "{}", letter.line());
    }
    if lost > 0 {
        log!(Level::Warn, MODULE, "and {lost} more alarms");
    }
}

/// Of several the last one's, which is how things are now; all of them are on the input.
fn variables(letters: &[Letter]) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    let last = letters.last().map(Letter::variables).into_iter().flatten();
    let many = ("MSF_ALARM_COUNT", letters.len().to_string());
    last.chain([many]).map(|(key, value)| (key.into(), value.replace('\0', " ").into())).collect()
}

/// A file in memory and not a pipe: nobody has to wait until it is read.
fn input(text: &str) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"alarm", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file.into())
}
