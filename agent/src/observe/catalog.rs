//! Whose numbers there are: every function, its workers, and what is left of those that are gone.
//!
//! The control thread owns it. A worker that goes is *retired*; once its reactor holds the tally no longer, and so can
//! no longer count in it, the tally is *folded* into the totals of its worker's name and function. So no total ever
//! falls, and a worker that comes back goes on where it left off.
//!
//! Names come from outside, so there may be any number of them. At most [`MOST_FUNCTIONS`] functions and [`MOST_PAIRS`]
//! pairs of function and worker name are known by name; for new ones those that have been without workers
//! longest make way, and when all have workers the new one does. What makes way is folded into the name [`OTHERS`]: sums over
//! all names stay exact.

mod keeping;

use super::function::{FunctionSums, FunctionTally, Labels, Sums, Tally};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The functions and their workers.
#[derive(Debug)]
pub struct Catalog {
    reactors: usize,
    functions: BTreeMap<String, Function>,
    pairs: usize,
    /// Counts retirements: who has been gone longest.
    era: u64,
    closed: Addresses,
    threats: Addresses,
}

/// One function.
#[derive(Debug)]
pub struct Function {
    /// By reactor.
    tallies: Arc<[FunctionTally]>,
    /// The same of functions that are shown under this name for want of room for theirs. Each has its own, by which
    /// reactors know where its calls wait.
    strays: Vec<Arc<[FunctionTally]>>,
    /// What was folded into it from functions that made way.
    past: FunctionSums,
    workers: BTreeMap<String, Pair>,
}

/// A function and a worker's name.
#[derive(Debug, Default)]
struct Pair {
    past: Sums,
    live: Vec<Arc<Tally>>,
    retired: Vec<Arc<Tally>>,
    emptied: u64,
}

impl Catalog {
    /// Nobody yet, for so many reactors.
    pub fn new(reactors: usize) -> Catalog {
        Catalog {
            reactors,
            functions: BTreeMap::new(),
            pairs: 0,
            era: 0,
            closed: Addresses::default(),
            threats: Addresses::default(),
        }
    }

    /// A worker has registered a function: where its reactor counts the jobs, and where all reactors, each in its
    /// place, count what concerns the function.
    pub fn enrol(&mut self, mut labels: Labels) -> (Arc<Tally>, Arc<[FunctionTally]>) {
        for name in [&mut labels.func_name, &mut labels.worker_name] {
            shorten(name);
        }
        let strays = !self.has_room_for(&labels);
        if strays {
            labels.func_name = OTHERS.to_owned();
            labels.worker_name = OTHERS.to_owned();
        }
        let tally = Arc::new(Tally::new(labels.clone()));
        let reactors = self.reactors;
        let function = self.functions.entry(labels.func_name).or_insert_with(|| Function::new(reactors));
        let known = function.workers.len();
        function.workers.entry(labels.worker_name).or_default().live.push(Arc::clone(&tally));
        self.pairs += function.workers.len() - known;
        if strays {
            function.strays.push(tallies(reactors));
        }
        let latest = function.strays.last().filter(|_| strays);
        (tally, Arc::clone(latest.unwrap_or(&function.tallies)))
    }

    /// The worker of this tally has gone, or no longer has the function. Jobs it is at may still be counted.
    pub fn retire(&mut self, tally: &Arc<Tally>) {
        self.era += 1;
        let Labels { func_name, worker_name, .. } = tally.labels();
        let function = self.functions.get_mut(func_name);
        let Some(pair) = function.and_then(|function| function.workers.get_mut(worker_name)) else { return };
        if let Some(index) = pair.live.iter().position(|other| Arc::ptr_eq(other, tally)) {
            let retired = pair.live.swap_remove(index);
            pair.retired.push(retired);
            pair.emptied = self.era;
        }
        pair.fold();
    }

    /// A worker's connection has ended.
    pub fn closed(&mut self, ip: &str) {
        self.closed.count(ip);
    }

    /// A connection was refused because of its address.
    pub fn refused(&mut self, ip: &str) {
        self.threats.count(ip);
    }

    /// Connections of workers that ended, by address.
    pub fn closings(&self) -> impl Iterator<Item = (&str, u64)> {
        self.closed.iter()
    }

    /// Connections refused, by address.
    pub fn threats(&self) -> impl Iterator<Item = (&str, u64)> {
        self.threats.iter()
    }

    /// Every function, by name.
    pub fn functions(&self) -> impl Iterator<Item = (&str, &Function)> {
        self.functions.iter().map(|(name, function)| (name.as_str(), function))
    }

    /// Folds what can be folded; to be called now and then, lest tallies of workers long gone pile up.
    pub fn tidy(&mut self) {
        for function in self.functions.values_mut() {
            function.workers.values_mut().for_each(Pair::fold);
            function.fold_strays();
        }
    }

    /// Whether these names are known, or may become so.
    fn has_room_for(&mut self, labels: &Labels) -> bool {
        let known = self.functions.get(&labels.func_name);
        if known.is_some_and(|function| function.workers.contains_key(&labels.worker_name)) {
            return true;
        }
        (known.is_some() || self.functions.len() < MOST_FUNCTIONS || self.forget_functions())
            && (self.pairs < MOST_PAIRS || self.forget_pairs(&labels.func_name))
    }

    /// Folds functions that have been without workers longest into [`OTHERS`]: several, so that the search for them is
    /// not made for each newcomer. Whether there is room now.
    fn forget_functions(&mut self) -> bool {
        self.tidy();
        let idle = self.functions.iter_mut().filter(|(name, _)| *name != OTHERS);
        let mut idle: Vec<_> =
            idle.filter_map(|(name, function)| Some((function.idle_since()?, name.clone()))).collect();
        idle.sort();
        for (_, name) in idle.into_iter().take(MOST_FUNCTIONS / AT_A_TIME) {
            self.forget(&name);
        }
        self.functions.len() < MOST_FUNCTIONS
    }

    /// The same for pairs of a function and a worker's name; the function keeps its own numbers.
    fn forget_pairs(&mut self, spared: &str) -> bool {
        self.tidy();
        let mut idle = Vec::new();
        for (name, function) in self.functions.iter().filter(|(name, _)| *name != OTHERS) {
            let pairs = function.workers.iter().filter(|(_, pair)| pair.is_idle());
            idle.extend(pairs.map(|(worker, pair)| (pair.emptied, name.clone(), worker.clone())));
        }
        idle.sort();
        for (_, name, worker) in idle.into_iter().take(MOST_PAIRS / AT_A_TIME) {
            let Some(function) = self.functions.get_mut(&name) else { continue };
            let Some(pair) = function.workers.remove(&worker) else { continue };
            self.pairs -= 1;
            // A function of which nothing is left by name is no function any longer.
            let bare = name != spared && function.workers.is_empty() && function.idle_since().is_some();
            self.keep_in_others(&pair.past);
            if bare {
                self.forget(&name);
            }
        }
        self.pairs < MOST_PAIRS
    }

    /// Folds a function without workers into [`OTHERS`].
    fn forget(&mut self, name: &str) {
        let Some(function) = self.functions.remove(name) else { return };
        self.pairs -= function.workers.len();
        let past = function.function_sums().counted();
        self.others().past.merge(&past);
        function.workers.values().for_each(|pair| self.keep_in_others(&pair.past));
    }

    fn others(&mut self) -> &mut Function {
        let reactors = self.reactors;
        self.functions.entry(OTHERS.to_owned()).or_insert_with(|| Function::new(reactors))
    }

    fn keep_in_others(&mut self, sums: &Sums) {
        let others = self.others();
        let known = others.workers.len();
        others.workers.entry(OTHERS.to_owned()).or_default().past.merge(sums);
        self.pairs += self.others().workers.len() - known;
    }
}

impl Function {
    fn new(reactors: usize) -> Function {
        Function {
            tallies: tallies(reactors),
            strays: Vec::new(),
            past: FunctionSums::default(),
            workers: BTreeMap::new(),
        }
    }

    /// The workers that have it now.
    pub fn live(&self) -> impl Iterator<Item = &Arc<Tally>> {
        self.workers.values().flat_map(|pair| &pair.live)
    }

    /// By worker's name, those gone included.
    pub fn workers(&self) -> impl Iterator<Item = (&str, Sums)> {
        self.workers.iter().map(|(name, pair)| (name.as_str(), pair.sums()))
    }

    /// What all reactors have counted.
    pub fn function_sums(&self) -> FunctionSums {
        let mut sums = self.past;
        self.tallies.iter().chain(self.strays.iter().flat_map(|stray| stray.iter())).for_each(|tally| sums.add(tally));
        sums
    }

    /// Adds what nobody can count in any longer to the past.
    fn fold_strays(&mut self) {
        let past = &mut self.past;
        self.strays.retain_mut(|stray| {
            let over = Arc::get_mut(stray).is_some();
            if over {
                let mut sums = FunctionSums::default();
                stray.iter().for_each(|tally| sums.add(tally));
                past.merge(&sums.counted());
            }
            !over
        });
    }

    /// Since when nobody has it and nobody counts for it.
    fn idle_since(&mut self) -> Option<u64> {
        let idle = self.workers.values().all(Pair::is_idle) && Arc::get_mut(&mut self.tallies).is_some();
        idle.then(|| self.workers.values().map(|pair| pair.emptied).max().unwrap_or(0))
    }
}

impl Pair {
    /// Adds what nobody can count in any longer to the past.
    fn fold(&mut self) {
        let past = &mut self.past;
        self.retired.retain_mut(|tally| {
            // Nobody else holds it, and we see all they wrote: that is what `get_mut` finds out.
            let over = Arc::get_mut(tally).is_some();
            if over {
                let mut sums = tally.sums();
                // What the reactor gave up with its routes has failed.
                sums.fail += sums.in_flight();
                past.merge(&sums);
            }
            !over
        });
    }

    fn sums(&self) -> Sums {
        let mut sums = self.past;
        self.live.iter().chain(&self.retired).for_each(|tally| sums.merge(&tally.sums()));
        sums
    }

    fn is_idle(&self) -> bool {
        self.live.is_empty() && self.retired.is_empty()
    }
}

fn tallies(reactors: usize) -> Arc<[FunctionTally]> {
    (0..reactors).map(|_| FunctionTally::default()).collect()
}

/// Something counted by address, for at most [`MOST_ADDRESSES`] of them; the others together.
#[derive(Debug, Default)]
struct Addresses(BTreeMap<String, u64>);

impl Addresses {
    fn count(&mut self, ip: &str) {
        let known = self.0.contains_key(ip) || self.0.len() < MOST_ADDRESSES;
        *self.0.entry(if known { ip } else { OTHERS }.to_owned()).or_default() += 1;
    }

    fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(ip, count)| (ip.as_str(), *count))
    }
}

/// A label is for people and dashboards: nobody reads more.
fn shorten(name: &mut String) {
    if name.len() > LONGEST_NAME {
        name.truncate(name.floor_char_boundary(LONGEST_NAME));
        name.push('…');
    }
}

/// The name under which everything is shown that has no name of its own.
pub const OTHERS: &str = "(others)";
/// Functions known by name.
pub const MOST_FUNCTIONS: usize = 1_000;
/// Pairs of function and worker name.
pub const MOST_PAIRS: usize = 4_000;
/// This part of them makes way when there is no room.
const AT_A_TIME: usize = 10;
/// Addresses in each of the two counts by address.
const MOST_ADDRESSES: usize = 1_000;
const LONGEST_NAME: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(worker_name: &str, func_name: &str) -> Labels {
        Labels { worker_name: worker_name.to_owned(), func_name: func_name.to_owned(), ..Labels::default() }
    }

    fn sums(catalog: &Catalog, func_name: &str, worker_name: &str) -> Option<Sums> {
        let (_, function) = catalog.functions().find(|(name, _)| *name == func_name)?;
        function.workers().find(|(name, _)| *name == worker_name).map(|(_, sums)| sums)
    }

    fn all_requests(catalog: &Catalog) -> u64 {
        catalog.functions().flat_map(|(_, function)| function.workers()).map(|(_, sums)| sums.requests).sum()
    }

    #[test]
    fn what_a_worker_did_outlives_it_and_goes_on_when_it_comes_back() {
        let mut catalog = Catalog::new(1);
        let (tally, _) = catalog.enrol(labels("w", "f"));
        tally.started();
        tally.finished(true, 10);
        catalog.retire(&tally);
        assert_eq!(catalog.functions().next().unwrap().1.live().count(), 0, "the gauge falls at once");
        let (again, _) = catalog.enrol(labels("w", "f"));
        again.started();
        let sums = sums(&catalog, "f", "w").unwrap();
        assert_eq!((sums.requests, sums.success, sums.in_flight()), (2, 1, 1));
    }

    #[test]
    fn a_reactor_may_count_in_a_tally_until_it_lets_go_of_it() {
        let mut catalog = Catalog::new(1);
        let (tally, _) = catalog.enrol(labels("w", "f"));
        tally.started();
        tally.started();
        catalog.retire(&tally);
        tally.finished(false, 10);
        catalog.tidy();
        assert_eq!(sums(&catalog, "f", "w").unwrap().fail, 1);
        drop(tally);
        catalog.tidy();
        let sums = sums(&catalog, "f", "w").unwrap();
        assert_eq!((sums.requests, sums.fail, sums.in_flight()), (2, 2, 0), "what is in flight is lost with it");
    }

    #[test]
    fn any_number_of_names_is_bounded_and_no_call_is_lost_from_the_sum() {
        let mut catalog = Catalog::new(2);
        let rounds = MOST_PAIRS as u64 + MOST_FUNCTIONS as u64;
        for round in 0..rounds {
            // A worker that always has another name, and a function that does.
            for name in [labels(&format!("w{round}"), "f"), labels("w", &format!("f{round}"))] {
                let (tally, function) = catalog.enrol(name);
                tally.started();
                function[1].deadline.count();
                catalog.retire(&tally);
            }
        }
        catalog.tidy();
        let functions: Vec<_> = catalog.functions().collect();
        assert!(functions.len() <= MOST_FUNCTIONS + 1, "{}", functions.len());
        let pairs: usize = functions.iter().map(|(_, function)| function.workers().count()).sum();
        assert!(pairs <= MOST_PAIRS + 1, "{pairs}");
        assert_eq!(all_requests(&catalog), 2 * rounds);
        let deadlines: u64 = functions.iter().map(|(_, function)| function.function_sums().deadline).sum();
        assert_eq!(deadlines, 2 * rounds);
        assert!(sums(&catalog, "f", &format!("w{}", rounds - 1)).is_some(), "the latest is known by name");
        assert!(sums(&catalog, "f", "w0").is_none(), "the oldest is not");
    }

    #[test]
    fn who_comes_when_every_name_is_at_work_is_one_of_the_others() {
        let mut catalog = Catalog::new(1);
        let held: Vec<_> =
            (0..=MOST_FUNCTIONS).map(|number| catalog.enrol(labels("w", &format!("f{number}")))).collect();
        held.iter().for_each(|(tally, _)| tally.started());
        let (_, stray) = catalog.enrol(labels("w", "stray"));
        stray[0].queued.set(5);
        assert_eq!(held.last().unwrap().1[0].queued.value(), 0, "where calls wait is known by function all the same");
        stray[0].deadline.count();
        drop(stray);
        catalog.tidy();
        let others = catalog.functions().find(|(name, _)| *name == OTHERS).unwrap().1.function_sums();
        assert_eq!((others.queued, others.deadline), (0, 1));
        assert_eq!(sums(&catalog, OTHERS, OTHERS).unwrap().requests, 1);
        catalog.retire(&held.last().unwrap().0);
        assert_eq!(all_requests(&catalog), MOST_FUNCTIONS as u64 + 1);
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let mut catalog = Catalog::new(1);
        let (tally, _) = catalog.enrol(labels("", &"ä".repeat(100_000)));
        assert_eq!(tally.labels().func_name.chars().count(), LONGEST_NAME / 2 + 1);
    }

    #[test]
    fn addresses_are_bounded() {
        let mut catalog = Catalog::new(1);
        (0..5_000).for_each(|number| catalog.closed(&format!("10.0.{}.{}", number / 256, number % 256)));
        catalog.refused("10.0.0.1");
        assert!(catalog.closings().count() <= MOST_ADDRESSES + 1);
        assert_eq!(catalog.closings().map(|(_, count)| count).sum::<u64>(), 5_000);
        assert_eq!(catalog.threats().collect::<Vec<_>>(), [("10.0.0.1", 1)]);
    }
}
