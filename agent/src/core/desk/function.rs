//! One function, as far as this reactor carries it out: its workers here, and the calls that wait for one of them.

use super::super::balance;
use super::super::hash::Mix;
use super::super::job::{JobId, Past, Place};
use super::super::message::Address;
use super::super::queue::FairQueue;
use super::super::routes;
use super::super::rules::{Balance, Rules};
use super::Desk;
use crate::observe::function::FunctionTally;
use msf_wire::state;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// See the module.
#[derive(Debug)]
pub struct Function {
    /// How its calls are treated.
    pub rules: Arc<Rules>,
    /// Its workers here, by session.
    pub workers: Vec<u32>,
    /// Calls that any of them may take.
    pub line: FairQueue,
    /// Calls that wait, those for one certain worker included.
    waiting: usize,
    tallies: Option<Arc<[FunctionTally]>>,
}

state! { struct Function { workers, line, waiting; rules: Arc::default(), tallies: None } }

impl Function {
    pub(super) fn new(mix: Mix) -> Function {
        Function { rules: Arc::default(), workers: Vec::new(), line: FairQueue::new(mix), waiting: 0, tallies: None }
    }

    /// What the control thread has published about it.
    pub(super) fn adopt(&mut self, route: Option<&routes::Function>, me: u16) {
        if let Some(route) = route {
            self.tallies = Some(Arc::clone(&route.tallies));
        }
        self.show(me);
    }

    pub(super) fn tally(&self, me: u16) -> Option<&FunctionTally> {
        self.tallies.as_ref()?.get(usize::from(me))
    }

    fn show(&self, me: u16) {
        if let Some(tally) = self.tally(me) {
            tally.queued.set(self.waiting as u64);
        }
    }
}

impl Desk {
    /// A worker of `name` that can take a job now: the chosen one, or by the function's rules.
    pub(super) fn choose(&mut self, name: &[u8], choice: Option<u32>) -> Option<u32> {
        let function = self.functions.get(name)?;
        let rules = &function.rules;
        let able = |session: &u32| {
            let worker = self.workers.get(session).filter(|worker| worker.can_take(rules))?;
            Some((*session, worker))
        };
        if let Some(choice) = choice {
            return able(&choice).map(|(session, _)| session);
        }
        let candidates = function.workers.iter().filter_map(able);
        match rules.balance {
            Balance::Weighted => {
                balance::least(candidates.map(|(session, worker)| (session, worker.pass)), &mut self.dice)
            }
            _ => balance::least(candidates.map(|(session, worker)| (session, worker.load())), &mut self.dice),
        }
    }

    /// How many calls of `name` wait here.
    pub(super) fn queued(&self, name: &[u8]) -> usize {
        self.functions.get(name).map_or(0, |function| function.waiting)
    }

    /// Puts a call into its line: behind the others, or in front when it has waited before.
    pub(super) fn enqueue(&mut self, id: JobId, caller: Address, name: &[u8], choice: Option<u32>, first: bool) {
        let Some(function) = self.functions.get_mut(name) else { return };
        function.waiting += 1;
        function.show(self.me);
        let line = match choice.and_then(|session| self.workers.get_mut(&session)) {
            Some(worker) => &mut worker.line,
            None => &mut function.line,
        };
        if first { line.push_first(caller, id) } else { line.push(caller, id) }
    }

    /// Takes a call out of its line.
    pub(super) fn dequeue(&mut self, id: JobId, caller: Address, name: &[u8], choice: Option<u32>) {
        let Some(function) = self.functions.get_mut(name) else { return };
        let line = match choice.and_then(|session| self.workers.get_mut(&session)) {
            Some(worker) => &mut worker.line,
            None => &mut function.line,
        };
        if line.remove(caller, id) {
            function.waiting = function.waiting.saturating_sub(1);
            function.show(self.me);
        }
    }

    /// A call has left its line for a worker.
    pub(super) fn unqueued(&mut self, name: &[u8]) {
        if let Some(function) = self.functions.get_mut(name) {
            function.waiting = function.waiting.saturating_sub(1);
            function.show(self.me);
        }
    }

    /// Another reactor than this one that has a worker of `function` free.
    pub fn elsewhere(&self, function: &routes::Function) -> Option<u16> {
        // Against a worker there that becomes free just now: it looks for calls after it has shown that it is free, we
        // look for it after we have shown that a call waits; one of us sees the other.
        fence(Ordering::SeqCst);
        let others = function.tallies.iter().enumerate().filter(|(reactor, _)| *reactor != usize::from(self.me));
        let free = others.map(|(reactor, tally)| (reactor as u16, tally.free.value()));
        free.max_by_key(|(_, free)| *free).filter(|(_, free)| *free > 0).map(|(reactor, _)| reactor)
    }

    /// Which reactor has calls of `name` waiting.
    pub fn in_need(&self, name: &[u8]) -> Option<u16> {
        fence(Ordering::SeqCst);
        let tallies = self.functions.get(name)?.tallies.as_ref()?;
        let others = tallies.iter().enumerate().filter(|(reactor, _)| *reactor != usize::from(self.me));
        let queued = others.map(|(reactor, tally)| (reactor as u16, tally.queued.value()));
        queued.max_by_key(|(_, queued)| *queued).filter(|(_, queued)| *queued > 0).map(|(reactor, _)| reactor)
    }

    /// Whether a worker here could take a call of `name` at once.
    pub fn is_free(&self, name: &[u8]) -> bool {
        let Some(function) = self.functions.get(name) else { return false };
        let workers = function.workers.iter().filter_map(|session| self.workers.get(session));
        workers.into_iter().any(|worker| worker.can_take(&function.rules))
    }

    /// Tells the other reactors how many workers of `name` are free here.
    pub(super) fn show_free(&mut self, name: &[u8]) {
        if self.reactors < 2 {
            return;
        }
        let Some(function) = self.functions.get(name) else { return };
        let Some(tally) = function.tally(self.me) else { return };
        let workers = function.workers.iter().filter_map(|session| self.workers.get(session));
        tally.free.set(workers.filter(|worker| worker.can_take(&function.rules)).count() as u64);
    }

    /// Takes the call of `name` whose turn it is out of its line, for a reactor that has a worker free: it is to be
    /// taken there.
    pub fn give_away(&mut self, name: &[u8]) -> Option<JobId> {
        let id = self.functions.get_mut(name)?.line.pop()?;
        self.unqueued(name);
        self.jobs.get_mut(id)?.place = Place::Leaving;
        Some(id)
    }

    /// The function of a call that waits here for any worker, wherever that is.
    pub fn waiting(&self, id: JobId) -> Option<(&Arc<[u8]>, Past)> {
        let job = self.jobs.get(id).filter(|job| job.place == Place::Queue(None))?;
        Some((&job.function, job.past))
    }

    /// Whoever is free here takes what waits for `name`; where nobody offers it any longer, that goes elsewhere.
    pub(super) fn share_out(&mut self, name: &[u8]) {
        let workers = self.functions.get(name).map(|function| function.workers.clone()).unwrap_or_default();
        workers.into_iter().for_each(|worker| self.serve(worker));
        self.show_free(name);
        self.forsake(name);
    }

    /// No worker here has the function any longer: its calls go elsewhere.
    fn forsake(&mut self, name: &[u8]) {
        let Some(function) = self.functions.get_mut(name).filter(|function| function.workers.is_empty()) else {
            return;
        };
        while let Some(id) = function.line.pop() {
            self.errands.push(super::Errand::Forward(id));
            if let Some(job) = self.jobs.get_mut(id) {
                job.place = Place::Leaving;
            }
        }
        function.waiting = 0;
        function.show(self.me);
        self.show_free(name);
    }
}
