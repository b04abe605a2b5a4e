//! Tables for a terminal of 80 columns.

use super::operator::printable;
use std::fmt;

/// Columns of fixed widths, one blank between them.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    text: String,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What stands above it.
    pub title: &'static str,
    /// Its width.
    pub width: usize,
    /// Its entries end at its right edge, as numbers do.
    pub right: bool,
}

/// A column of texts.
pub const fn left(title: &'static str, width: usize) -> Column {
    Column { title, width, right: false }
}

/// A column of numbers.
pub const fn right(title: &'static str, width: usize) -> Column {
    Column { title, width, right: true }
}

impl Table {
    /// Its titles.
    pub fn new(columns: &[Column]) -> Table {
        let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
        let mut table = Table { columns: columns.to_vec(), text: String::new() };
        table.row(&titles);
        table
    }

    /// One line more; what is too long for its column is cut, and shows it.
    pub fn row(&mut self, entries: &[String]) {
        let start = self.text.len();
        for (column, entry) in self.columns.iter().zip(entries) {
            if self.text.len() > start {
                self.text.push(' ');
            }
            let entry = cut(&printable(entry), column.width);
            let blanks = " ".repeat(column.width - entry.chars().count());
            let (before, after) = if column.right { (blanks, String::new()) } else { (String::new(), blanks) };
            self.text.extend([before, entry, after]);
        }
        self.text.truncate(self.text.trim_end().len().max(start));
        self.text.push('\n');
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        None => text.to_owned(),
        Some(_) => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// So many times a second, in at most eight letters.
pub fn rate(per_second: f64) -> String {
    match per_second {
        fast if fast >= 1e6 => format!("{:.2}M", fast / 1e6),
        fast if fast >= 100.0 => format!("{fast:.0}"),
        slow => format!("{slow:.1}"),
    }
}

/// Microseconds in the unit that reads best.
pub fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros}us"),
        1_000..1_000_000 => format!("{:.1}ms", micros as f64 / 1e3),
        _ => format!("{:.1}s", micros as f64 / 1e6),
    }
}

/// The time of day that so many milliseconds since 1970 are.
pub fn time_of_day(millis: u64) -> String {
    let day = millis / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}Z", day / 3_600, day / 60 % 60, day % 60, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_to_their_columns_whatever_they_are() {
        let mut table = Table::new(&[left("NAME", 6), right("N", 4)]);
        table.row(&["a\u{1b}[2Jlong".to_owned(), "12".to_owned()]);
        table.row(&["ä".to_owned(), "123456".to_owned()]);
        table.row(&["ends".to_owned()]);
        assert_eq!(table.to_string(), "NAME      N\na?[2J…   12\nä      123…\nends\n");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([rate(0.0), rate(99.94), rate(123.4), rate(2_345_678.0)], ["0.0", "99.9", "123", "2.35M"]);
        assert_eq!([duration(999), duration(1_500), duration(2_500_000)], ["999us", "1.5ms", "2.5s"]);
    }
}
