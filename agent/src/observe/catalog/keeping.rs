//! The catalog for the process that goes on with it. Workers that are there enrol again, with what they had counted;
//! those that have gone are part of the past by then, since nobody counts for them any longer.

use super::{Addresses, Catalog, Function, Pair, tallies};
use crate::observe::function::FunctionSums;
use msf_wire::snapshot::{Damage, Reader, State, Writer};
use msf_wire::state;
use std::collections::BTreeMap;

state! { struct Addresses(BTreeMap<String, u64>) }
state! { struct Pair { past, emptied; live: Vec::new(), retired: Vec::new() } }

/// A function as it is kept: by reactor, what was folded, and the worker's names.
type Kept = (Vec<FunctionSums>, FunctionSums, BTreeMap<String, Pair>);

impl Catalog {
    /// Appends everything but the live workers' tallies.
    pub fn save(&self, out: &mut Writer) {
        out.count(self.functions.len());
        for (name, function) in &self.functions {
            name.save(out);
            function.save(out);
        }
        self.era.save(out);
        self.closed.save(out);
        self.threats.save(out);
    }

    /// Reads it back, for so many reactors.
    ///
    /// # Errors
    /// Whatever is not what [`Catalog::save`] writes.
    pub fn load(reactors: usize, from: &mut Reader<'_>) -> Result<Catalog, Damage> {
        let kept = Vec::<(String, Kept)>::load(from)?;
        let (era, (closed, threats)) = State::load(from)?;
        let functions: BTreeMap<_, _> =
            kept.into_iter().map(|(name, kept)| (name, Function::resumed(reactors, kept))).collect();
        let pairs = functions.values().map(|function| function.workers.len()).sum();
        Ok(Catalog { reactors, functions, pairs, era, closed, threats })
    }

    /// Appends how it is laid out.
    #[cfg(test)]
    pub fn shape(out: &mut String) {
        <(Vec<(String, Kept)>, u64, (Addresses, Addresses))>::shape(out);
    }
}

impl Function {
    fn save(&self, out: &mut Writer) {
        let by_reactor: Vec<FunctionSums> = self.tallies.iter().map(|tally| tally.sums()).collect();
        let mut past = self.past;
        self.strays.iter().flat_map(|stray| stray.iter()).for_each(|tally| past.merge(&tally.sums().counted()));
        by_reactor.save(out);
        past.save(out);
        out.count(self.workers.len());
        for (name, pair) in &self.workers {
            name.save(out);
            pair.with_those_gone().save(out);
        }
    }

    fn resumed(reactors: usize, (by_reactor, past, workers): Kept) -> Function {
        let tallies = tallies(reactors);
        tallies.iter().zip(&by_reactor).for_each(|(tally, sums)| tally.resume(sums));
        Function { tallies, strays: Vec::new(), past, workers }
    }
}

impl Pair {
    /// What it will be once nobody counts in the tallies of those that have gone.
    fn with_those_gone(&self) -> Pair {
        let mut past = self.past;
        for tally in &self.retired {
            let mut sums = tally.sums();
            sums.fail += sums.in_flight();
            past.merge(&sums);
        }
        Pair { past, emptied: self.emptied, ..Pair::default() }
    }
}
