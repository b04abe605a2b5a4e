//! The workers of a run: threads of ours, and processes that can be killed as no thread can.

use super::plan::{Plan, Role};
use super::worker::{Offer, Shift, Worker};
use crate::dice::Dice;
use msf_wire::nmid::Dialect;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// How often on average a worker is reckless, and a process is killed.
const FOLLY_EVERY: Duration = Duration::from_millis(700);
/// The word that makes our own program a worker.
pub const WORKER: &str = "worker";

/// What the workers of `plan` offer; the last two are those of the odd functions.
pub fn offers(plan: &Plan) -> Vec<Offer> {
    let dialects = plan.workers.iter().flat_map(|(dialect, count)| (0..*count).map(|_| *dialect));
    let mut offers: Vec<Offer> = dialects.map(|dialect| offer(plan, Role::Second, dialect, plan.in_flight)).collect();
    for role in [Role::Mute, Role::Crowd] {
        if plan.count_of(role) > 0 {
            // One that waits in the queue for a mute worker has its deadline at any moment, and then the next is due.
            let deadline = if role == Role::Mute { Duration::ZERO } else { plan.deadline };
            offers.push(Offer { deadline, reckless: None, ..offer(plan, role, Dialect::G2, 1) });
        }
    }
    for (number, offer) in offers.iter_mut().enumerate() {
        offer.name = format!("soak{number}");
        offer.seed = plan.seed + number as u64;
    }
    offers
}

fn offer(plan: &Plan, role: Role, dialect: Dialect, in_flight: usize) -> Offer {
    Offer {
        broker: plan.nmid,
        name: String::new(),
        functions: role.functions().to_vec(),
        dialect,
        in_flight: if dialect == Dialect::G0 { 1 } else { in_flight },
        deadline: plan.deadline_of(role),
        reckless: plan.chaos.then_some(FOLLY_EVERY),
        seed: 0,
    }
}

/// A worker that runs in a thread, registered when this returns.
pub fn hire<'scope>(
    scope: &'scope Scope<'scope, '_>,
    offer: &Offer,
    stop: &'scope AtomicBool,
) -> Result<ScopedJoinHandle<'scope, Result<Shift, String>>, String> {
    let name = offer.name.clone();
    let worker = Worker::register(offer.clone()).map_err(|e| format!("worker {name} cannot register: {e}"))?;
    Ok(scope.spawn(move || worker.run(stop).map_err(|e| format!("worker {name}: {e}"))))
}

/// Worker processes: this very program, told to be a worker.
pub struct Gang {
    plan: Plan,
    members: Vec<(u32, Child)>,
    dice: Dice,
    /// How many have been killed.
    pub kills: u64,
}

impl Gang {
    /// Starts them; all have registered when this returns.
    pub fn start(plan: &Plan) -> Result<Gang, String> {
        let dice = Dice::new(plan.seed, 0xfffe);
        let mut gang = Gang { plan: plan.clone(), members: Vec::new(), dice, kills: 0 };
        for number in 0..plan.processes {
            let child = gang.spawn(number)?;
            gang.members.push((number, child));
        }
        Ok(gang)
    }

    /// Sleeps until `end`; in chaos it kills one after the other with SIGKILL and starts their successors.
    pub fn reign(&mut self, end: Instant) -> Result<(), String> {
        while self.plan.chaos && !self.members.is_empty() {
            let half = FOLLY_EVERY.as_millis() as u64 / 2;
            let wait = Duration::from_millis(half + self.dice.below(2 * half));
            if Instant::now() + wait >= end {
                break;
            }
            thread::sleep(wait);
            let place = self.dice.below(self.members.len() as u64) as usize;
            let (number, mut child) = self.members.swap_remove(place);
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("worker process {number} ended by itself: {status}"));
            }
            child
                .kill()
                .and_then(|()| child.wait())
                .map_err(|e| format!("cannot kill worker process {number}: {e}"))?;
            self.kills += 1;
            let child = self.spawn(number)?;
            self.members.push((number, child));
        }
        thread::sleep(end.saturating_duration_since(Instant::now()));
        Ok(())
    }

    /// Ends them as an operator would; each must have found nothing wrong.
    pub fn stop(mut self) -> Result<(), String> {
        for (number, mut child) in self.members.drain(..) {
            drop(child.stdin.take());
            let status = child.wait().map_err(|e| format!("cannot wait for worker process {number}: {e}"))?;
            if !status.success() {
                return Err(format!("worker process {number} ended with {status}"));
            }
        }
        Ok(())
    }

    fn spawn(&self, number: u32) -> Result<Child, String> {
        let failed = |e: std::io::Error| format!("cannot start a worker process: {e}");
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.arg(WORKER).arg(self.plan.nmid.to_string()).arg(number.to_string());
        command.arg(self.plan.in_flight.to_string()).arg(self.plan.deadline.as_millis().to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
        }
        if line.is_empty() { Err(format!("worker process {number} did not register")) } else { Ok(child) }
    }
}

impl Drop for Gang {
    fn drop(&mut self) {
        for (_, child) in &mut self.members {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a worker process does: works until its stdin ends. Words: broker, number, jobs at once, deadline in ms.
pub fn be_a_worker(words: &[String]) -> Result<(), String> {
    let [broker, number, in_flight, deadline] = words else { return Err("a worker wants four words".to_owned()) };
    let wrong = |word: &String| format!("{word}: not what a worker expects here");
    let number: u64 = number.parse().map_err(|_| wrong(number))?;
    let offer = Offer {
        broker: broker.parse().map_err(|_| wrong(broker))?,
        name: format!("process{number}"),
        functions: Role::Second.functions().to_vec(),
        dialect: Dialect::G2,
        in_flight: in_flight.parse().map_err(|_| wrong(in_flight))?,
        deadline: Duration::from_millis(deadline.parse().map_err(|_| wrong(deadline))?),
        reckless: None,
        seed: number,
    };
    let stop = AtomicBool::new(false);
    let shift = thread::scope(|scope| {
        let worker = hire(scope, &offer, &stop)?;
        println!("registered");
        // Whoever started us holds the other end, and lets go of it also when it dies.
        let _ = std::io::stdin().lines().count();
        stop.store(true, Ordering::Relaxed);
        worker.join().map_err(|_| "the worker panicked".to_owned())?
    })?;
    if shift.complaints.is_empty() { Ok(()) } else { Err(shift.complaints.join("\n")) }
}
