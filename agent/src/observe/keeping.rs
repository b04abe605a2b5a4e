//! The numbers of a reactor and of a function, for the process that goes on counting.

use super::counter::{Counter, Counters};
use super::function::{FunctionSums, FunctionTally, Labels, Sums, Tally};
use super::histogram::{Distribution, Histogram};
use super::traffic::{Malformed, Protocol, Traffic};
use msf_wire::snapshot::{Damage, Reader, State, What, Writer};
use msf_wire::state;

state! { struct Labels { worker_id, worker_name, worker_ip, func_name, create_time } }
state! { struct Sums { requests, success, fail, latency } }

impl State for Distribution {
    fn save(&self, out: &mut Writer) {
        (self.counts().to_vec(), self.micros()).save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<Distribution, Damage> {
        let (counts, micros) = <(Vec<u64>, u64)>::load(from)?;
        let fits = Distribution::from_counts(&counts, micros);
        fits.ok_or_else(|| from.damage(What::Contradiction("a histogram that has other buckets")))
    }

    fn shape(out: &mut String) {
        out.push_str(&format!("{} buckets, sum", Distribution::default().counts().len()));
    }
}

impl State for FunctionSums {
    fn save(&self, out: &mut Writer) {
        self.values().map(|(_, value)| value).to_vec().save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<FunctionSums, Damage> {
        let values = Vec::<u64>::load(from)?;
        let fits = FunctionSums::from_values(&values);
        fits.ok_or_else(|| from.damage(What::Contradiction("a function that is counted otherwise")))
    }

    fn shape(out: &mut String) {
        let names = FunctionSums::default().values().map(|(name, _)| name);
        out.push_str(&format!("[{}]", names.join(" ")));
    }
}

impl Counters {
    /// Appends everything counted so far.
    pub fn save(&self, out: &mut Writer) {
        let mut values = Vec::new();
        self.visit(&mut |_, counter| values.push(counter.value()));
        values.save(out);
    }

    /// Goes on from what another process had counted; only the owning thread may.
    ///
    /// # Errors
    /// It counted other things.
    pub fn resume(&self, from: &mut Reader<'_>) -> Result<(), Damage> {
        let values = Vec::<u64>::load(from)?;
        let mut count = 0;
        self.visit(&mut |_, _| count += 1);
        if values.len() != count {
            return Err(from.damage(What::Contradiction("a reactor that counts other things")));
        }
        let mut values = values.into_iter();
        self.visit(&mut |_, counter| counter.set(values.next().unwrap_or_default()));
        Ok(())
    }

    /// Appends what is counted, in order.
    #[cfg(test)]
    pub fn shape(out: &mut String) {
        Counters::default().visit(&mut |name, _| {
            out.push_str(name);
            out.push(' ');
        });
    }

    /// Each counter with its name, in the order in which they are saved.
    fn visit(&self, see: &mut dyn FnMut(&str, &Counter)) {
        for (name, counter) in self.named() {
            see(name, counter);
        }
        for protocol in Protocol::ALL {
            self.protocols[*protocol].visit(protocol.label(), see);
        }
    }
}

impl Traffic {
    fn visit(&self, protocol: &str, see: &mut dyn FnMut(&str, &Counter)) {
        let plain = [
            ("opened", &self.opened),
            ("closed", &self.closed),
            ("requests", &self.requests),
            ("answers", &self.answers),
            ("received", &self.received),
            ("sent", &self.sent),
        ];
        plain.into_iter().for_each(|(name, counter)| see(&format!("{protocol}.{name}"), counter));
        Malformed::ALL.iter().for_each(|why| see(&format!("{protocol}.{}", why.label()), self.malformed(*why)));
        self.latency.counters().for_each(|counter| see(&format!("{protocol}.latency"), counter));
    }
}

impl Tally {
    /// Goes on from there; only before its reactor knows of it.
    pub fn resume(&self, sums: &Sums) {
        self.go_on(sums);
    }
}

impl FunctionTally {
    /// Goes on from there; only before its reactor knows of it. Gauges are shown anew.
    pub fn resume(&self, sums: &FunctionSums) {
        self.go_on(&sums.counted());
    }

    /// As they are now.
    pub fn sums(&self) -> FunctionSums {
        let mut sums = FunctionSums::default();
        sums.add(self);
        sums
    }
}

impl Histogram {
    /// Goes on from there; only before its owner has begun.
    pub fn resume(&self, distribution: &Distribution) {
        let values = distribution.counts().iter().copied().chain([distribution.micros()]);
        self.counters().zip(values).for_each(|(counter, value)| counter.set(value));
    }
}
