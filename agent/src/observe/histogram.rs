//! How long calls took, in buckets whose bounds never change.
//!
//! One set of buckets serves two views: seconds for `msf_agent_*`, and the milliseconds that nmid's dashboards know,
//! whose bounds are some of ours. Times are kept in microseconds, the unit the reactors measure in.

use super::counter::Counter;

/// Times that one thread observes and all may read.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [Counter; BUCKETS],
    micros: Counter,
}

impl Histogram {
    /// A call took so many microseconds; only the owning thread may say so.
    pub fn observe(&self, micros: u64) {
        let bucket = BOUNDS.partition_point(|(bound, _)| *bound < micros);
        if let Some(count) = self.counts.get(bucket) {
            count.count();
        }
        self.micros.add(micros);
    }
}

impl Histogram {
    /// Its buckets and its sum.
    pub(super) fn counters(&self) -> impl Iterator<Item = &Counter> {
        self.counts.iter().chain([&self.micros])
    }
}

/// A bucket's upper bound in microseconds, which belongs to the bucket, and how it is written.
pub type Bound = (u64, &'static str);

/// Seconds: from a call within one machine to one that meets the default deadline.
pub const BOUNDS: [Bound; 20] = [
    (25, "0.000025"),
    (50, "0.00005"),
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (20_000, "0.02"),
    (30_000, "0.03"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
    (30_000_000, "30"),
];

/// Milliseconds: the five bounds of the original.
pub const MILLISECONDS: [Bound; 5] = [(5_000, "5"), (10_000, "10"), (20_000, "20"), (30_000, "30"), (50_000, "50")];

/// The last bucket takes what is beyond every bound.
const BUCKETS: usize = BOUNDS.len() + 1;

/// What histograms held a moment ago, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    counts: [u64; BUCKETS],
    micros: u64,
}

impl Distribution {
    /// Adds what `histogram` holds.
    pub fn add(&mut self, histogram: &Histogram) {
        for (sum, count) in self.counts.iter_mut().zip(&histogram.counts) {
            *sum += count.value();
        }
        self.micros += histogram.micros.value();
    }

    /// The sum with these buckets; `None` when there are not as many as there must be.
    pub fn from_counts(counts: &[u64], micros: u64) -> Option<Distribution> {
        Some(Distribution { counts: counts.try_into().ok()?, micros })
    }

    /// How many calls each bucket holds.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// What has been added since it was `earlier`.
    pub fn since(&self, earlier: &Distribution) -> Distribution {
        let mut difference = *self;
        for (count, before) in difference.counts.iter_mut().zip(&earlier.counts) {
            *count = count.saturating_sub(*before);
        }
        difference.micros = self.micros.saturating_sub(earlier.micros);
        difference
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Distribution) {
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
        self.micros += other.micros;
    }

    /// How many calls. Counted from the buckets, so that it never disagrees with them, whoever counts meanwhile.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all of them took together, in microseconds.
    pub fn micros(&self) -> u64 {
        self.micros
    }

    /// How many took at most this many microseconds, which must be a bound.
    pub fn up_to(&self, micros: u64) -> u64 {
        BOUNDS.iter().zip(&self.counts).take_while(|((bound, _), _)| *bound <= micros).map(|(_, count)| count).sum()
    }

    /// The bound in microseconds that `share` of the calls (0 to 1) did not pass; `None` without calls, or beyond the
    /// last bound.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let wanted = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut passed = 0;
        for ((bound, _), count) in BOUNDS.iter().zip(&self.counts) {
            passed += count;
            if passed >= wanted {
                return Some(*bound);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[u64]) -> Distribution {
        let histogram = Histogram::default();
        times.iter().for_each(|micros| histogram.observe(*micros));
        let mut sum = Distribution::default();
        sum.add(&histogram);
        sum
    }

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        let sum = of(&[0, 25, 26, 5_000, 5_001, 60_000_000]);
        assert_eq!((sum.up_to(25), sum.up_to(50), sum.up_to(5_000), sum.up_to(30_000_000)), (2, 3, 4, 5));
        assert_eq!((sum.count(), sum.micros()), (6, 60_010_052));
    }

    #[test]
    fn bounds_rise_are_written_in_their_unit_and_the_originals_are_among_them() {
        assert!(BOUNDS.is_sorted_by(|(a, _), (b, _)| a < b));
        for (micros, written) in BOUNDS {
            assert_eq!((written.parse::<f64>().unwrap() * 1e6).round() as u64, micros, "{written}");
        }
        for (micros, written) in MILLISECONDS {
            assert_eq!(written.parse::<u64>().unwrap() * 1000, micros);
            assert!(BOUNDS.iter().any(|(bound, _)| *bound == micros));
        }
    }

    #[test]
    fn a_difference_is_what_came_between() {
        let (earlier, later) = (of(&[30, 700]), of(&[30, 700, 30, 9_000]));
        assert_eq!(later.since(&earlier), of(&[30, 9_000]));
        assert_eq!(Distribution::from_counts(later.counts(), later.micros()), Some(later));
        assert_eq!(Distribution::from_counts(&[1], 1), None);
    }

    #[test]
    fn sums_merge_and_know_their_quantiles() {
        let mut sum = of(&[10; 98]);
        sum.merge(&of(&[900, 40_000_000]));
        assert_eq!(sum.count(), 100);
        assert_eq!((sum.quantile(0.5), sum.quantile(0.99), sum.quantile(1.0)), (Some(25), Some(1_000), None));
        assert_eq!(Distribution::default().quantile(0.5), None);
    }
}
