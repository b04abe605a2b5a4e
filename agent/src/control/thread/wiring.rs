//! What connects the control thread to the rest of the program.

use super::Access;
use crate::core::admit::Limits;
use crate::core::order::{Order, Report};
use crate::core::rules::Rulebook;
use crate::observe::counter::Counters;
use msf_conf::agent::Lists;
use msf_core::event::Signals;
use msf_core::event::mailbox::{Receiver, Sender};
use msf_core::process::{Child, Fate, Foster, reap};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// What the control thread starts with.
pub struct Wiring {
    /// For the hashes.
    pub seed: u64,
    /// The way to each reactor, in order.
    pub orders: Vec<Sender<Order>>,
    /// What the reactors say.
    pub reports: Receiver<Report>,
    /// What they count.
    pub counters: Arc<[Counters]>,
    /// Where their time begins, in nanoseconds of the monotonic clock.
    pub started: u64,
    /// The signals of the process.
    pub signals: Signals,
    /// Who may connect.
    pub access: Access,
    /// How many may.
    pub max_conns: usize,
    /// How long unanswered requests are waited for at the end.
    pub drain: Duration,
    /// How long one that was replaced keeps its connections.
    pub retirement: Duration,
    /// How functions and workers are treated.
    pub rulebook: Arc<Rulebook>,
    /// From where nmid's peers may connect.
    pub lists: Lists,
}

/// What the program does when a signal asks for it: the control thread knows neither files nor loggers.
pub trait Errands {
    /// SIGHUP: reads the configuration again; what changed, if it can be used.
    fn reload(&mut self) -> Option<Reloaded>;
    /// How often whoever started us wants to hear that we are alive.
    fn heartbeat(&self) -> Option<Duration> {
        None
    }
    /// Tells him.
    fn alive(&mut self) {}
    /// The way down has begun, and may take so long.
    fn ending(&mut self, _drain: Duration) {}
    /// SIGUSR1: opens the log file anew.
    fn rotate(&mut self);
    /// Has another process started that is to take our place; if `drain`, even where the connections must stay here.
    ///
    /// # Errors
    /// Why there is none, in a sentence.
    fn call_successor(&mut self, drain: bool) -> Result<Coming, String>;
    /// The lock that says that nobody else is the agent.
    fn lock(&mut self) -> &mut Option<OwnedFd>;
    /// That process is the agent now.
    fn succeeded(&mut self, pid: i32);
}

/// Where a successor comes from.
#[derive(Debug)]
pub enum Coming {
    /// We have started it.
    Started(Child),
    /// We have started it, as nobody's child.
    Released(Foster),
    /// A supervisor was asked to; what can be read is why there is none.
    Asked(UnixStream),
    /// The supervisor has gone. What he has started may come all the same.
    Orphaned,
}

impl Coming {
    /// Why there will be none, if that is known.
    pub fn none(&mut self) -> Option<String> {
        match self {
            Coming::Started(child) => child.collect().ok().flatten().map(|exit| ended(&format!(": {exit}"))),
            Coming::Released(successor) => match successor.collect().ok().flatten()? {
                Fate::Exit(exit) => Some(ended(&format!(": {exit}"))),
                // We are process 1.
                Fate::Child(exit) => {
                    let _ = reap(successor.pid());
                    Some(ended(&format!(": {exit}")))
                }
                Fate::Unknown => Some(ended("")),
            },
            Coming::Asked(answer) => {
                let mut why = [0; 512];
                match answer.read(&mut why) {
                    Err(_) => None,
                    Ok(0) => {
                        *self = Coming::Orphaned;
                        None
                    }
                    Ok(length) => Some(String::from_utf8_lossy(&why[..length]).trim_end().to_owned()),
                }
            }
            Coming::Orphaned => None,
        }
    }

    /// The number of the process, if we have started it.
    pub fn pid(&self) -> Option<i32> {
        match self {
            Coming::Started(child) => Some(child.pid()),
            Coming::Released(successor) => Some(successor.pid()),
            Coming::Asked(_) | Coming::Orphaned => None,
        }
    }

    /// It is not to come any more: ends what we have started.
    pub fn call_off(&mut self) {
        match self {
            Coming::Started(child) => {
                let _ = child.kill();
                // It dies at once; what is not collected by then the next one will find.
                let _ = child.wait(Some(A_MOMENT));
            }
            Coming::Released(successor) => {
                let _ = successor.kill();
            }
            Coming::Asked(_) | Coming::Orphaned => {}
        }
    }
}

fn ended(how: &str) -> String {
    format!("the new msf_agent has ended before it was ready{how}; see its log")
}

const A_MOMENT: Duration = Duration::from_millis(20);

/// What a reload changes in the control thread and the reactors.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// What is let in.
    pub limits: Limits,
    /// How functions and workers are treated.
    pub rulebook: Arc<Rulebook>,
    /// From where nmid's peers may connect.
    pub lists: Lists,
    /// How many connections.
    pub max_conns: usize,
    /// How long the end takes.
    pub drain: Duration,
    /// How long one that was replaced keeps its connections.
    pub retirement: Duration,
}
