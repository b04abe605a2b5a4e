//! The text format of Prometheus, version 0.0.4: families of samples, written one after the other.
//!
//! Label values are names that others chose. Whatever is in them, a line stays a line.

use std::fmt::{Display, Write};

/// The media type of what is written here.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family's numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
}

/// A page being written.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// One family; its samples follow each other, as the format wants.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins a family; all its samples must be written before the next begins.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String cannot fail; the same below.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { text: &mut self.text, name }
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// One sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels.iter().copied(), value);
    }

    /// One sample whose name has a suffix, as a histogram's have.
    pub fn line<'l>(
        &mut self,
        suffix: &str,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        value: impl Display,
    ) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let mut mark = '{';
        for (name, value) in labels {
            self.text.push(mark);
            mark = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(value, self.text);
            self.text.push('"');
        }
        if mark == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// `value` as the inside of a quoted label.
fn escape(value: &str, text: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            // Allowed by the format, but not by every reader of lines.
            '\r' => text.push_str("\\\\r"),
            other => text.push(other),
        }
    }
}

/// Microseconds in seconds, to the last digit.
pub fn seconds(micros: u64) -> impl Display {
    decimal(micros, 1_000_000, 6)
}

/// Microseconds in milliseconds, to the last digit.
pub fn milliseconds(micros: u64) -> impl Display {
    decimal(micros, 1_000, 3)
}

/// Nanoseconds in seconds, to the last digit.
pub fn nano_seconds(nanos: u64) -> impl Display {
    decimal(nanos, 1_000_000_000, 9)
}

fn decimal(value: u64, unit: u64, digits: usize) -> String {
    format!("{}.{:0digits$}", value / unit, value % unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_its_head_and_its_samples() {
        let mut page = Exposition::default();
        let mut family = page.family("msf_agent_things", Kind::Gauge, "Things there are.");
        family.sample(&[], 3);
        family.sample(&[("kind", "a"), ("place", "")], 4);
        let expected = "# HELP msf_agent_things Things there are.\n# TYPE msf_agent_things gauge\n\
                        msf_agent_things 3\nmsf_agent_things{kind=\"a\",place=\"\"} 4\n";
        assert_eq!(page.finish(), expected);
    }

    #[test]
    fn no_name_breaks_a_line_or_leaves_its_quotes() {
        let mut page = Exposition::default();
        page.family("x", Kind::Gauge, "X.").sample(&[("name", "a\"b\\c\nd\r} 7")], 1);
        let text = page.finish();
        assert_eq!(text.lines().last().unwrap(), r#"x{name="a\"b\\c\nd\\r} 7"} 1"#);
    }

    #[test]
    fn decimals_keep_their_zeros() {
        assert_eq!(
            (seconds(1_000_025).to_string(), nano_seconds(5).to_string()),
            ("1.000025".into(), "0.000000005".into())
        );
    }
}
