//! One reactor's desk: the workers that live on this reactor, the calls that wait for them, and the calls they are at.
//!
//! A call is taken in ([`Desk::submit`]), given to a worker at once or queued, and ends exactly once: by its result
//! ([`Desk::complete`]), its deadline ([`Desk::expire`]), or the end of its worker ([`Desk::leave`]). What follows from
//! one thing for others (the next job for a worker that is free again, callers to be told) is left as [`Errand`]s for
//! whoever drives the desk. Pure: time is told, nothing is sent.

mod function;
mod keeping;
mod service;
mod worker;

use super::balance::Dice;
use super::hash::Mix;
use super::job::{Caller, Job, JobId, Jobs, Kept, Past, Place};
use super::message::{Address, Call, Failure, Moment};
use super::routes::Routes;
use super::rules::Rules;
use crate::observe::function::FunctionTally;
use function::Function;
use msf_core::timer::Timers;
use msf_wire::state;
use service::Service;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use worker::Worker;

/// See the module.
#[derive(Debug)]
pub struct Desk {
    me: u16,
    mix: Mix,
    now: Moment,
    micros: u64,
    origin: Instant,
    jobs: Jobs,
    timers: Timers,
    /// The earliest deadline among those of late.
    soonest: Option<Moment>,
    functions: HashMap<Arc<[u8]>, Function, Mix>,
    workers: HashMap<u32, Worker, Mix>,
    services: HashMap<u32, Service, Mix>,
    /// For calls of services, which have no rules of their own.
    service_rules: Arc<Rules>,
    /// Who had the jobs whose workers said goodbye.
    orphans: HashMap<JobId, Identity, Mix>,
    dice: Dice,
    errands: Vec<Errand>,
    /// Functions that have a free worker here and nothing to do.
    idle: Vec<Arc<[u8]>>,
    reactors: usize,
}

/// What became of a call that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To be sent to the worker of this session, now.
    Send(u32, JobId),
    /// It waits.
    Queued(JobId),
    /// It has ended.
    Refused(Failure),
}

/// What became of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// This caller waits for it.
    Due(Caller),
    /// Its caller no longer wants it.
    Unwanted,
    /// It comes after its deadline.
    Late,
    /// It was never given to whoever sends it, or has been answered before.
    Foreign,
}

/// Something to be done by whoever drives the desk.
#[derive(Debug, PartialEq, Eq)]
pub enum Errand {
    /// Send this job to the worker of this session.
    Send(u32, JobId),
    /// Tell this caller that there will be no result.
    Fail(Caller, Failure),
    /// Nobody here can carry it out any longer: take it to another reactor, or fail it.
    Forward(JobId),
    /// It waits again: take it to another reactor if a worker is free there.
    Seek(JobId),
}

/// Who a worker is beyond its connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The name it gave itself; empty for none.
    pub name: Vec<u8>,
    /// Where it connects from; `None`: this machine.
    pub host: Option<IpAddr>,
}

state! { struct Identity { name, host } }

impl Identity {
    /// Whether both may be the same worker: the same name, or, where one has none, the same machine.
    pub fn may_be(&self, other: &Identity) -> bool {
        if self.name.is_empty() || other.name.is_empty() { self.host == other.host } else { self.name == other.name }
    }
}

impl Desk {
    /// The desk of reactor `me` of `reactors`.
    pub fn new(me: u16, reactors: usize, seed: u64, origin: Instant) -> Desk {
        let mix = Mix::new(seed);
        Desk {
            me,
            mix,
            now: Moment(0),
            micros: 0,
            origin,
            jobs: Jobs::new(me as u8),
            timers: Timers::new(origin),
            soonest: None,
            functions: HashMap::with_hasher(mix),
            workers: HashMap::with_hasher(mix),
            services: HashMap::with_hasher(mix),
            service_rules: Arc::default(),
            orphans: HashMap::with_hasher(mix),
            dice: Dice::new(seed.rotate_left(u32::from(me))),
            errands: Vec::new(),
            idle: Vec::new(),
            reactors,
        }
    }

    /// It is so many microseconds after the origin.
    pub fn tell_time(&mut self, micros: u64) {
        self.micros = micros;
        self.now = Moment(micros / 1000);
    }

    /// From now on `routes` hold: rules and what is counted may be others.
    pub fn adopt(&mut self, routes: &Routes) {
        self.service_rules = Arc::clone(&routes.rulebook().usual);
        for (name, function) in &mut self.functions {
            function.rules = routes.rulebook().of(name);
            function.adopt(routes.function(name).map(|route| &**route), self.me);
        }
        for worker in self.workers.values_mut() {
            worker.rules = routes.rulebook().of_worker(&worker.identity.name);
        }
        self.adopt_tallies(routes);
        self.recognise(routes);
        // Limits may have grown.
        let sessions: Vec<u32> = self.workers.keys().copied().collect();
        sessions.into_iter().for_each(|session| self.serve(session));
    }

    /// Takes a call in. `choice` is the worker it must go to, if somebody has chosen already.
    pub fn submit(&mut self, caller: Caller, call: &Call<'_>, choice: Option<u32>, past: Past) -> Verdict {
        let Some((name, function)) = self.functions.get_key_value(call.function) else {
            return Verdict::Refused(Failure::NoWorker);
        };
        if function.workers.is_empty() {
            return Verdict::Refused(Failure::NoWorker);
        }
        let (name, rules) = (Arc::clone(name), Arc::clone(&function.rules));
        let choice = choice.filter(|worker| function.workers.contains(worker));
        let worker = self.choose(&name, choice);
        if worker.is_none() && self.queued(&name) >= rules.queue_limit {
            self.count(&name, |tally| tally.busy.count());
            return Verdict::Refused(Failure::Busy);
        }
        let wait = call.patience.unwrap_or(u32::MAX).min(millis(&rules));
        let keeps = worker.is_none() || rules.idempotent;
        let job = Job {
            caller: Some(caller),
            function: Arc::clone(&name),
            since: self.micros,
            deadline: Moment(self.now.0 + u64::from(wait)),
            place: worker.map_or(Place::Queue(choice), Place::Worker),
            past,
            params: keeps.then(|| Kept::new(&call.params)),
            timer: None,
            tally: None,
            rules,
        };
        let Some(id) = self.jobs.insert(job) else { return Verdict::Refused(Failure::Busy) };
        self.arm(id);
        match worker {
            Some(worker) => {
                self.begin(worker, id, &name);
                Verdict::Send(worker, id)
            }
            None => {
                self.enqueue(id, caller.address, &name, choice, false);
                Verdict::Queued(id)
            }
        }
    }

    /// A result has come for `id`, from the worker of `session` here, or from `somebody` on another connection.
    pub fn complete(&mut self, id: JobId, session: Option<u32>, somebody: &Identity, ok: bool) -> Settled {
        let Some(job) = self.jobs.get(id) else {
            return if session.is_some_and(|session| self.was_overdue(session, id)) {
                Settled::Late
            } else {
                Settled::Foreign
            };
        };
        match job.place {
            Place::Worker(worker) if Some(worker) == session => {}
            // It has connected anew, and we have not heard of the end of its old connection yet.
            Place::Worker(worker) if self.has_moved(worker, somebody) => {}
            Place::Orphan(_) if self.orphans.get(&id).is_some_and(|owner| owner.may_be(somebody)) => {}
            _ => return Settled::Foreign,
        }
        let Some(job) = self.end(id) else { return Settled::Foreign };
        if let Some(tally) = &job.tally {
            tally.finished(ok, self.micros.saturating_sub(job.since));
        }
        if let Place::Worker(worker) = job.place {
            self.release(worker, id);
            self.in_time(worker);
            self.serve(worker);
        }
        job.caller.map_or(Settled::Unwanted, Settled::Due)
    }

    /// The worker it was sent to will give no result: the arguments do not fit it, or its function has failed.
    pub fn give_up(&mut self, id: JobId, why: Failure) {
        let Some(job) = self.end(id) else { return };
        job.count_lost();
        if let Place::Worker(worker) = job.place {
            self.release(worker, id);
            self.note_overdue(worker, id);
            self.serve(worker);
        }
        self.fail(&job, why);
    }

    /// When to look for deadlines, if that is sooner than what was said before.
    pub fn take_soonest(&mut self) -> Option<Moment> {
        self.soonest.take()
    }

    /// Ends everything whose time has come.
    pub fn expire(&mut self) {
        let now = self.origin + Duration::from_micros(self.micros);
        while let Some(word) = self.timers.expire(now) {
            let id = JobId::from_word(self.me as u8, word);
            let Some(job) = self.jobs.get_mut(id) else { continue };
            job.timer = None;
            match job.place {
                Place::Orphan(_) if job.deadline > self.now => {
                    let name = Arc::clone(&job.function);
                    self.orphans.remove(&id);
                    self.bereave(id);
                    self.share_out(&name);
                }
                _ => self.overdue(id),
            }
        }
        let next = self.timers.next().map(|at| at.saturating_duration_since(self.origin));
        self.soonest = next.map(|at| Moment(at.as_millis() as u64 + 1));
    }

    /// The caller has gone, or has asked for something else: with a ticket that call alone, else all of them.
    pub fn cancel(&mut self, caller: Address, ticket: Option<u32>) {
        let is_his = |job: &Job| {
            job.caller.is_some_and(|each| each.address == caller && ticket.is_none_or(|ticket| each.ticket == ticket))
        };
        let his: Vec<JobId> = self.jobs.iter().filter(|(_, job)| is_his(job)).map(|(id, _)| id).collect();
        for id in his {
            match self.jobs.get_mut(id) {
                Some(job) if !matches!(job.place, Place::Queue(_)) => job.caller = None,
                _ => drop(self.take(id)),
            }
        }
    }

    /// Takes a job that waits out of here, with all that belongs to it.
    pub fn take(&mut self, id: JobId) -> Option<Job> {
        let job = self.jobs.get(id)?;
        if let (Place::Queue(choice), Some(caller)) = (job.place, job.caller) {
            let name = Arc::clone(&job.function);
            self.dequeue(id, caller.address, &name, choice);
        }
        self.end(id)
    }

    /// The arguments of a job that is to be sent; kept further only where it may have to be sent again.
    pub fn params(&mut self, id: JobId) -> Option<(Arc<[u8]>, Kept)> {
        let job = self.jobs.get(id)?;
        let function = Arc::clone(&job.function);
        let params = if job.rules.idempotent { job.params.clone() } else { self.jobs.take_params(id) };
        Some((function, params?))
    }

    /// What decides where nothing else does.
    pub fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    /// What has to be done now.
    pub fn errands(&mut self) -> Vec<Errand> {
        std::mem::take(&mut self.errands)
    }

    /// Whether there is any.
    pub fn has_errands(&self) -> bool {
        !self.errands.is_empty()
    }

    /// Functions for which a worker here has nothing to do, since this was last asked.
    pub fn idle(&mut self) -> Vec<Arc<[u8]>> {
        std::mem::take(&mut self.idle)
    }

    /// Bytes of arguments that are kept for calls that wait, or may have to be sent again.
    pub fn kept(&self) -> usize {
        self.jobs.kept()
    }

    /// How many calls have no end yet.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether anybody still waits for something from here.
    pub fn is_awaited(&self) -> bool {
        self.jobs.len() > 0 && self.jobs.iter().any(|(_, job)| job.caller.is_some())
    }

    /// Fails everything: the agent ends.
    pub fn fail_all(&mut self) {
        let all: Vec<JobId> = self.jobs.iter().map(|(id, _)| id).collect();
        for id in all {
            if let Some(job) = self.take(id) {
                self.fail(&job, Failure::Lost);
            }
        }
    }

    fn arm(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let until = match job.place {
            Place::Orphan(until) => until.min(job.deadline),
            _ => job.deadline,
        };
        self.soonest = Some(self.soonest.map_or(until, |soonest| soonest.min(until)));
        let old = job.timer.replace(self.timers.arm(self.origin + Duration::from_millis(until.0 + 1), id.word()));
        if let Some(old) = old {
            self.timers.disarm(old);
        }
    }

    /// Out of the table, with its timer.
    fn end(&mut self, id: JobId) -> Option<Job> {
        let job = self.jobs.remove(id)?;
        if let Some(timer) = job.timer {
            self.timers.disarm(timer);
        }
        if let Place::Orphan(_) = job.place {
            self.orphans.remove(&id);
        }
        if let Place::Service(session, seq) = job.place
            && let Some(service) = self.services.get_mut(&session)
        {
            service.calls.remove(&seq);
        }
        Some(job)
    }

    fn fail(&mut self, job: &Job, why: Failure) {
        self.count(&job.function, |tally| match why {
            Failure::Deadline => tally.deadline.count(),
            Failure::NoWorker => tally.no_worker.count(),
            Failure::Busy => tally.busy.count(),
            Failure::Lost | Failure::Unfit | Failure::Error => tally.failed.count(),
        });
        if let Some(caller) = job.caller {
            self.errands.push(Errand::Fail(caller, why));
        }
    }

    /// A deadline has passed. A worker that was at it may be at it still, but gets its next job: nothing says that it
    /// will ever finish this one.
    fn overdue(&mut self, id: JobId) {
        let Some(job) = self.take(id) else { return };
        job.count_lost();
        match job.place {
            Place::Worker(worker) => {
                self.release(worker, id);
                self.note_overdue(worker, id);
                self.fail(&job, Failure::Deadline);
                self.serve(worker);
            }
            _ => self.fail(&job, Failure::Deadline),
        }
    }

    fn count(&self, function: &[u8], what: impl FnOnce(&FunctionTally)) {
        if let Some(tally) = self.functions.get(function).and_then(|function| function.tally(self.me)) {
            what(tally);
        }
    }
}

/// How long the calls of a function may take, in milliseconds; a day at most, so it fits.
fn millis(rules: &Rules) -> u32 {
    rules.deadline.as_millis() as u32
}

#[cfg(test)]
mod tests;
