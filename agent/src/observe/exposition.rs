//! Histograms in the text format of Prometheus; the rest of the format is the core's.

use super::histogram::{Bound, Distribution};
pub use msf_core::exposition::{Exposition, Family, Kind, MEDIA_TYPE, milliseconds, nano_seconds, seconds};
use std::fmt::Display;

/// A family that takes histograms.
pub trait Buckets {
    /// The samples of a histogram with these bounds; `sum` is what all observations add up to, in the bounds' unit.
    fn histogram(&mut self, labels: &[(&str, &str)], bounds: &[Bound], of: &Distribution, sum: impl Display);
}

impl Buckets for Family<'_> {
    fn histogram(&mut self, labels: &[(&str, &str)], bounds: &[Bound], of: &Distribution, sum: impl Display) {
        let labels = || labels.iter().copied();
        for (micros, le) in bounds {
            self.line("_bucket", labels().chain([("le", *le)]), of.up_to(*micros));
        }
        self.line("_bucket", labels().chain([("le", "+Inf")]), of.count());
        self.line("_sum", labels(), sum);
        self.line("_count", labels(), of.count());
    }
}

#[cfg(test)]
mod tests {
    use super::super::histogram::{Histogram, MILLISECONDS};
    use super::*;

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_infinity() {
        let histogram = Histogram::default();
        [4_000, 5_000, 12_345, 90_000].iter().for_each(|micros| histogram.observe(*micros));
        let mut of = Distribution::default();
        of.add(&histogram);
        let mut page = Exposition::default();
        let mut family = page.family("h", Kind::Histogram, "H.");
        family.histogram(&[("f", "g")], &MILLISECONDS, &of, milliseconds(of.micros()));
        let text = page.finish();
        let expected = [
            r#"h_bucket{f="g",le="5"} 2"#,
            r#"h_bucket{f="g",le="10"} 2"#,
            r#"h_bucket{f="g",le="20"} 3"#,
            r#"h_bucket{f="g",le="30"} 3"#,
            r#"h_bucket{f="g",le="50"} 3"#,
            r#"h_bucket{f="g",le="+Inf"} 4"#,
            r#"h_sum{f="g"} 111.345"#,
            r#"h_count{f="g"} 4"#,
        ];
        assert_eq!(text.lines().skip(2).collect::<Vec<_>>(), expected);
    }
}
