//! One worker's connection: what it offers, and what it is at.

use super::super::hash::Mix;
use super::super::job::{JobId, Place};
use super::super::message::{Address, Failure, Moment};
use super::super::queue::FairQueue;
use super::super::routes::Routes;
use super::super::rules::{Rules, WorkerRules};
use super::function::Function;
use super::{Desk, Errand, Identity};
use crate::observe::function::Tally;
use msf_wire::state;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub struct Worker {
    /// Who it is.
    pub identity: Identity,
    /// What holds for workers of its name.
    pub rules: WorkerRules,
    /// Calls that must go to it.
    pub line: FairQueue,
    /// How far it is ahead of the others: each job takes it a step, the shorter the more it weighs.
    pub pass: u64,
    /// It has been given a job once.
    worked: bool,
    offers: Vec<Offer>,
    jobs: Vec<JobId>,
    /// Jobs that were ended before it answered: it may be at them still.
    overdue: Vec<JobId>,
    /// How many of them there were since it last returned one in time.
    slips: u64,
    /// Its generation is known, so that it can be sent jobs.
    ready: bool,
    /// Its results do not say which job they are of, so it never has more than one.
    serial: bool,
    /// It must be left alone for the moment.
    held: bool,
    /// Whose turn it is to give it a job.
    turn: usize,
}

state! {
    struct Worker {
        identity, line, pass, worked, offers, jobs, overdue, slips, ready, serial, held, turn;
        rules: WorkerRules::default(),
    }
}

#[derive(Debug)]
struct Offer {
    name: Arc<[u8]>,
    tally: Option<Arc<Tally>>,
}

state! { struct Offer { name; tally: None } }

impl Worker {
    fn new(mix: Mix, identity: Identity) -> Worker {
        Worker {
            identity,
            rules: WorkerRules::default(),
            line: FairQueue::new(mix),
            pass: 0,
            worked: false,
            offers: Vec::new(),
            jobs: Vec::new(),
            overdue: Vec::new(),
            slips: 0,
            ready: false,
            serial: false,
            held: false,
            turn: 0,
        }
    }

    /// Whether a job under these rules may be given to it now.
    pub fn can_take(&self, rules: &Rules) -> bool {
        self.ready && !self.held && self.jobs.len() < self.limit(rules)
    }

    /// How many jobs under these rules it may have at a time.
    fn limit(&self, rules: &Rules) -> usize {
        if self.serial { 1 } else { self.rules.in_flight.unwrap_or(rules.in_flight) as usize }
    }

    /// What it has to do. One that has let a deadline pass comes after those that have not.
    pub fn load(&self) -> u64 {
        self.jobs.len() as u64 + self.slips
    }

    fn tally(&self, name: &[u8]) -> Option<&Arc<Tally>> {
        self.offers.iter().find(|offer| *offer.name == *name)?.tally.as_ref()
    }
}

impl Desk {
    /// The worker of `session` offers `name`; false when it did so before.
    pub fn offer(&mut self, session: u32, identity: &Identity, name: &[u8], routes: &Routes) -> bool {
        let mix = self.mix;
        let key = match self.functions.get_key_value(name) {
            Some((key, _)) => Arc::clone(key),
            None => {
                let key: Arc<[u8]> = name.into();
                let mut function = Function::new(mix);
                function.rules = routes.rulebook().of(name);
                self.functions.insert(Arc::clone(&key), function);
                key
            }
        };
        // Whoever comes later need not catch up with what the others have done before.
        let peers = self.functions.get(&key).into_iter().flat_map(|function| &function.workers);
        let pass = peers.filter_map(|peer| self.workers.get(peer)).map(|peer| peer.pass).min();
        let worker = self.workers.entry(session).or_insert_with(|| Worker::new(mix, identity.clone()));
        worker.pass = worker.pass.max(pass.unwrap_or(0));
        worker.rules = routes.rulebook().of_worker(&worker.identity.name);
        if worker.offers.iter().any(|offer| offer.name == key) {
            return false;
        }
        worker.offers.push(Offer { name: Arc::clone(&key), tally: None });
        if let Some(function) = self.functions.get_mut(&key) {
            function.workers.push(session);
        }
        self.show_free(name);
        true
    }

    /// The worker of `session` has said who it is.
    pub fn identify(&mut self, session: u32, identity: &Identity, routes: &Routes) {
        if let Some(worker) = self.workers.get_mut(&session) {
            worker.identity = identity.clone();
            worker.rules = routes.rulebook().of_worker(&identity.name);
        }
    }

    /// What is counted for the workers here, function by function.
    pub(super) fn adopt_tallies(&mut self, routes: &Routes) {
        for (session, worker) in &mut self.workers {
            for offer in worker.offers.iter_mut().filter(|offer| offer.tally.is_none()) {
                let known = routes.function(&offer.name).into_iter().flat_map(|function| &function.workers);
                let here = Address { reactor: self.me, session: *session };
                let ours = known.into_iter().find(|known| known.address == here);
                offer.tally = ours.map(|known| Arc::clone(&known.tally));
                // What it was given before another process took our place is counted here as well.
                for id in &worker.jobs {
                    if let Some(job) = self.jobs.get_mut(*id).filter(|job| job.function == offer.name) {
                        job.tally = job.tally.take().or_else(|| offer.tally.clone());
                    }
                }
            }
        }
    }

    /// Whether the worker may have several jobs at a time.
    pub fn may_have_several(&self, session: u32) -> bool {
        let Some(worker) = self.workers.get(&session) else { return false };
        let functions = worker.offers.iter().filter_map(|offer| self.functions.get(&offer.name));
        functions.into_iter().any(|function| worker.limit(&function.rules) > 1)
    }

    /// Whether the worker of `session` has said goodbye, and `somebody` may be what has become of it.
    pub(super) fn has_moved(&self, session: u32, somebody: &Identity) -> bool {
        let worker = self.workers.get(&session);
        worker.is_some_and(|worker| worker.offers.is_empty() && worker.identity.may_be(somebody))
    }

    /// Workers that have connected anew have until the deadlines of what they are at.
    pub(super) fn recognise(&mut self, routes: &Routes) {
        let is_back = |(id, owner): (&JobId, &Identity)| {
            let function = routes.function(&self.jobs.get(*id)?.function)?;
            function.workers.iter().any(|worker| owner.may_be(&worker.who)).then_some(*id)
        };
        let back: Vec<JobId> = self.orphans.iter().filter_map(is_back).collect();
        for id in back {
            if let Some(job) = self.jobs.get_mut(id) {
                job.place = Place::Orphan(job.deadline);
                self.arm(id);
            }
        }
    }

    /// The worker may be given jobs; one at a time, whatever the rules say, if it is `serial`.
    pub fn ready(&mut self, session: u32, serial: bool) {
        let Some(worker) = self.workers.get_mut(&session) else { return };
        worker.serial = serial;
        if !std::mem::replace(&mut worker.ready, true) {
            self.serve(session);
        }
    }

    /// The worker must be left alone, or need no longer be.
    pub fn hold(&mut self, session: u32, held: bool) {
        if let Some(worker) = self.workers.get_mut(&session)
            && worker.held != held
        {
            worker.held = held;
            self.serve(session);
        }
    }

    /// The worker of `session` no longer offers `name`; false when it never did.
    pub fn withdraw(&mut self, session: u32, name: &[u8]) -> bool {
        let Some(worker) = self.workers.get_mut(&session) else { return false };
        let Some(place) = worker.offers.iter().position(|offer| *offer.name == *name) else { return false };
        worker.offers.remove(place);
        if let Some(function) = self.functions.get_mut(name) {
            function.workers.retain(|each| *each != session);
        }
        self.unchoose(session, Some(name));
        self.share_out(name);
        self.tidy(name);
        true
    }

    /// The worker's connection has ended. Jobs it was at are failed, or given to others where that does no harm; a
    /// worker that has withdrawn everything before may only be about to connect anew, and its jobs wait for it until
    /// `grace`, and once it has done so until their deadlines.
    pub fn leave(&mut self, session: u32, grace: Moment) {
        let Some(worker) = self.workers.get_mut(&session) else { return };
        let jobs = std::mem::take(&mut worker.jobs);
        let names: Vec<Arc<[u8]>> = worker.offers.iter().map(|offer| Arc::clone(&offer.name)).collect();
        let has_said_goodbye = names.is_empty() && worker.worked;
        let identity = worker.identity.clone();
        for name in &names {
            if let Some(function) = self.functions.get_mut(name) {
                function.workers.retain(|each| *each != session);
            }
        }
        for id in jobs {
            if has_said_goodbye { self.orphan(id, &identity, grace) } else { self.bereave(id) }
        }
        self.unchoose(session, None);
        self.workers.remove(&session);
        for name in &names {
            self.share_out(name);
            self.tidy(name);
        }
    }

    /// Everything the worker is at is lost: it has shown that its results cannot be told apart.
    pub fn distrust(&mut self, session: u32) {
        let Some(worker) = self.workers.get_mut(&session) else { return };
        for id in std::mem::take(&mut worker.jobs) {
            let Some(job) = self.end(id) else { continue };
            self.note_overdue(session, id);
            job.count_lost();
            self.fail(&job, Failure::Lost);
        }
        self.serve(session);
    }

    /// The latest job the worker is at: with a limit of one, the only one.
    pub fn at(&self, session: u32) -> Option<JobId> {
        self.workers.get(&session)?.jobs.last().copied()
    }

    /// Whether the worker is at this job.
    pub fn is_at(&self, session: u32, id: JobId) -> bool {
        self.workers.get(&session).is_some_and(|worker| worker.jobs.contains(&id))
    }

    /// Jobs the worker is at.
    pub fn in_flight(&self, session: u32) -> usize {
        self.workers.get(&session).map_or(0, |worker| worker.jobs.len())
    }

    /// A job begins at a worker.
    pub(super) fn begin(&mut self, session: u32, id: JobId, name: &[u8]) {
        if let Some(worker) = self.workers.get_mut(&session) {
            worker.jobs.push(id);
            worker.pass += STRIDE / u64::from(worker.rules.weight.max(1));
            worker.worked = true;
            let tally = worker.tally(name).cloned();
            tally.iter().for_each(|tally| tally.started());
            if let Some(job) = self.jobs.get_mut(id) {
                job.tally = tally;
            }
        }
        self.show_offers(session);
    }

    /// A job is no longer with its worker.
    pub(super) fn release(&mut self, session: u32, id: JobId) {
        if let Some(worker) = self.workers.get_mut(&session) {
            worker.jobs.retain(|each| *each != id);
        }
    }

    /// Gives the worker whatever waits for it, as far as it can take it.
    pub(super) fn serve(&mut self, session: u32) {
        while let Some(id) = self.next_for(session) {
            let Some(job) = self.jobs.get_mut(id) else { continue };
            job.place = Place::Worker(session);
            let name = Arc::clone(&job.function);
            self.unqueued(&name);
            self.begin(session, id, &name);
            self.errands.push(Errand::Send(session, id));
        }
        self.show_offers(session);
        if self.reactors > 1
            && let Some(worker) = self.workers.get(&session)
        {
            let free = worker.offers.iter().filter(|offer| {
                self.functions.get(&offer.name).is_some_and(|function| worker.can_take(&function.rules))
            });
            self.idle.extend(free.map(|offer| Arc::clone(&offer.name)));
        }
    }

    /// The next job for a worker that has room: first what is for it alone, then its functions in turn.
    fn next_for(&mut self, session: u32) -> Option<JobId> {
        let worker = self.workers.get_mut(&session)?;
        let count = worker.offers.len();
        let roomy = |worker: &Worker, function: &Function| worker.can_take(&function.rules);
        // The limit that counts is that of the job's own function, whatever else the worker offers.
        if let Some(first) = worker.line.first()
            && self.jobs.get(first).is_none_or(|job| worker.can_take(&job.rules))
        {
            return worker.line.pop();
        }
        for step in 0..count {
            let place = (worker.turn + step) % count;
            let Some(name) = worker.offers.get(place).map(|offer| &offer.name) else { continue };
            let Some(function) = self.functions.get_mut(name) else { continue };
            if !function.line.is_empty() && roomy(worker, function) {
                worker.turn = place + 1;
                return function.line.pop();
            }
        }
        None
    }

    pub(super) fn note_overdue(&mut self, session: u32, id: JobId) {
        if let Some(worker) = self.workers.get_mut(&session) {
            worker.slips += 1;
            if worker.overdue.len() >= MOST_OVERDUE {
                worker.overdue.remove(0);
            }
            worker.overdue.push(id);
        }
    }

    /// It has returned a job in time: what it has let slip before no longer counts against it.
    pub(super) fn in_time(&mut self, session: u32) {
        if let Some(worker) = self.workers.get_mut(&session) {
            worker.slips = 0;
        }
    }

    /// Whether this is the result of a job that was ended before; it is forgotten then.
    pub(super) fn was_overdue(&mut self, session: u32, id: JobId) -> bool {
        let Some(worker) = self.workers.get_mut(&session) else { return false };
        let before = worker.overdue.len();
        worker.overdue.retain(|each| *each != id);
        worker.overdue.len() < before
    }

    fn orphan(&mut self, id: JobId, identity: &Identity, grace: Moment) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.place = Place::Orphan(grace);
            self.orphans.insert(id, identity.clone());
            self.arm(id);
        }
    }

    /// The worker that was at it has died: it waits for another one, or has failed. Another attempt has another id, so
    /// that no result of the first one can be taken for its own.
    pub(super) fn bereave(&mut self, id: JobId) {
        let Some(mut job) = self.end(id) else { return };
        job.count_lost();
        job.tally = None;
        let may_repeat = job.rules.idempotent && job.past.attempts < job.rules.retries && job.params.is_some();
        let Some(caller) = job.caller.filter(|_| may_repeat) else { return self.fail(&job, Failure::Lost) };
        let name = Arc::clone(&job.function);
        let may_wait = self.functions.get(&name).is_some_and(|function| !function.workers.is_empty());
        job.past.attempts += 1;
        job.place = if may_wait { Place::Queue(None) } else { Place::Leaving };
        job.timer = None;
        self.count(&name, |tally| tally.retried.count());
        // There is room: its last life has just ended.
        let Some(id) = self.jobs.insert(job) else { return };
        self.arm(id);
        if may_wait {
            self.enqueue(id, caller.address, &name, None, true);
            self.errands.push(Errand::Seek(id));
        } else {
            self.errands.push(Errand::Forward(id));
        }
    }

    /// Calls that were to go to this worker may go to any other; with a name only those.
    fn unchoose(&mut self, session: u32, name: Option<&[u8]>) {
        let Some(worker) = self.workers.get_mut(&session) else { return };
        let chosen: Vec<JobId> = std::iter::from_fn(|| worker.line.pop()).collect();
        for id in chosen {
            let Some(job) = self.jobs.get_mut(id) else { continue };
            let Some(caller) = job.caller else { continue };
            let stays = name.is_some_and(|name| *name != *job.function);
            let choice = stays.then_some(session);
            job.place = Place::Queue(choice);
            let function = Arc::clone(&job.function);
            self.unqueued(&function);
            self.enqueue(id, caller.address, &function, choice, false);
            self.errands.push(Errand::Seek(id));
        }
    }

    /// Forgets a function that nobody offers and nobody waits for.
    fn tidy(&mut self, name: &[u8]) {
        if self.functions.get(name).is_some_and(|function| function.workers.is_empty() && function.line.is_empty()) {
            self.functions.remove(name);
        }
    }

    fn show_offers(&mut self, session: u32) {
        if self.reactors < 2 {
            return;
        }
        let offers = self.workers.get(&session).map(|worker| &worker.offers);
        let names: Vec<Arc<[u8]>> = offers.into_iter().flatten().map(|offer| Arc::clone(&offer.name)).collect();
        names.iter().for_each(|name| self.show_free(name));
    }
}

/// The step of a worker of weight 1.
const STRIDE: u64 = 1 << 20;
/// Jobs of the past that are remembered for a worker.
const MOST_OVERDUE: usize = 64;
