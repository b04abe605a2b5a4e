//! What is counted for a function: by worker ([`Tally`]) and by reactor ([`FunctionTally`]).
//!
//! A tally is made by the [catalog](super::catalog) when a worker registers a function, travels to the reactor in the
//! routes, and has that worker's reactor for its only writer. Nothing here is a gauge that could drift: what is in
//! flight is what was started and has not ended.

use super::counter::Counter;
use super::histogram::{Distribution, Histogram};

/// Who a worker's numbers belong to, as labels show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels {
    /// The connection's number.
    pub worker_id: String,
    /// The name it gave itself; empty for who gave none.
    pub worker_name: String,
    /// Where it connected from.
    pub worker_ip: String,
    /// The function.
    pub func_name: String,
    /// When it was registered, `YYYY-MM-DD hh:mm:ss.uuuuuu` in local time.
    pub create_time: String,
}

/// The jobs of one function on one worker's connection.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally {
    labels: Labels,
    requests: Counter,
    success: Counter,
    fail: Counter,
    /// From the job's dispatch to its result.
    latency: Histogram,
}

impl Tally {
    /// For a worker that has just registered a function.
    pub fn new(labels: Labels) -> Tally {
        Tally { labels, ..Tally::default() }
    }

    /// Whose it is.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// A job has been given to the worker.
    pub fn started(&self) {
        self.requests.count();
    }

    /// Its result has come after so many microseconds; `ok` unless the function says that it failed.
    pub fn finished(&self, ok: bool, micros: u64) {
        self.latency.observe(micros);
        if ok { self.success.count() } else { self.fail.count() }
    }

    /// No result will come, or none that counts: the deadline has passed, the worker is gone, its caller left.
    pub fn lost(&self) {
        self.fail.count();
    }

    /// Goes on from `sums`.
    pub(super) fn go_on(&self, sums: &Sums) {
        self.requests.set(sums.requests);
        self.success.set(sums.success);
        self.fail.set(sums.fail);
        self.latency.resume(&sums.latency);
    }

    /// Everything so far.
    pub fn sums(&self) -> Sums {
        // Ends before starts: a job that ends between the two reads must not make the difference negative.
        let (success, fail) = (self.success.value(), self.fail.value());
        let mut latency = Distribution::default();
        latency.add(&self.latency);
        Sums { success, fail, latency, requests: self.requests.value() }
    }
}

/// Tallies added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Jobs given to workers.
    pub requests: u64,
    /// Those that came back well.
    pub success: u64,
    /// Those that came back ill, or never.
    pub fail: u64,
    /// How long those that came back took.
    pub latency: Distribution,
}

impl Sums {
    /// Jobs that workers are at.
    pub fn in_flight(&self) -> u64 {
        self.requests.saturating_sub(self.success + self.fail)
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Sums) {
        self.requests += other.requests;
        self.success += other.success;
        self.fail += other.fail;
        self.latency.merge(&other.latency);
    }
}

macro_rules! function_tally {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What one reactor counts for one function, whatever worker does it.
        #[derive(Debug, Default)]
        #[repr(align(64))]
        pub struct FunctionTally { $($(#[$doc])* pub $name: Counter,)* }

        /// Function tallies added up.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct FunctionSums { $($(#[$doc])* pub $name: u64,)* }

        impl FunctionTally {
            /// Goes on from `sums`.
            pub(super) fn go_on(&self, sums: &FunctionSums) {
                $(self.$name.set(sums.$name);)*
            }
        }

        impl FunctionSums {
            /// Each with its name.
            pub(super) fn values(&self) -> [(&'static str, u64); [$(stringify!($name)),*].len()] {
                [$((stringify!($name), self.$name),)*]
            }

            /// From the values alone, in that order; `None` when there are more or fewer.
            pub(super) fn from_values(values: &[u64]) -> Option<FunctionSums> {
                let [$($name),*] = *values.as_array()?;
                Some(FunctionSums { $($name),* })
            }

            /// Adds what one reactor has counted.
            pub fn add(&mut self, one: &FunctionTally) {
                $(self.$name += one.$name.value();)*
            }

            /// Adds another sum.
            pub fn merge(&mut self, other: &FunctionSums) {
                $(self.$name += other.$name;)*
            }

            /// Without the gauges, which nobody will lower once their reactor counts no longer.
            pub fn counted(self) -> FunctionSums {
                FunctionSums { queued: 0, free: 0, ..self }
            }
        }
    };
}

function_tally! {
    /// Gauge: requests that wait for a worker.
    queued,
    /// Gauge: workers that could take a job; kept only where there are other reactors to look at it.
    free,
    /// Requests refused because no worker has it.
    no_worker,
    /// Requests refused because the queue was full.
    busy,
    /// Requests answered with an error because the deadline passed.
    deadline,
    /// Requests that a newer one on the same connection replaced.
    abandoned,
    /// Jobs given to another worker because the first one died.
    retried,
    /// Requests answered with an error for another reason: the worker died, parameters it cannot be given.
    failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_flight_is_what_has_not_ended() {
        let tally = Tally::default();
        (0..4).for_each(|_| tally.started());
        tally.finished(true, 700);
        tally.finished(false, 9_000);
        tally.lost();
        let sums = tally.sums();
        assert_eq!((sums.requests, sums.success, sums.fail, sums.in_flight()), (4, 1, 2, 1));
        assert_eq!((sums.latency.count(), sums.latency.micros()), (2, 9_700), "what is lost took no time");
    }

    #[test]
    fn reactors_add_up() {
        let (one, two) = (FunctionTally::default(), FunctionTally::default());
        one.queued.set(3);
        two.queued.set(4);
        two.deadline.count();
        let mut sums = FunctionSums::default();
        sums.add(&one);
        sums.add(&two);
        assert_eq!(sums, FunctionSums { queued: 7, deadline: 1, ..FunctionSums::default() });
    }
}
