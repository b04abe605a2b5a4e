//! The known word nearest to a mistyped one.

/// The candidate with the smallest edit distance to `word`, if it is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let limit = (length / 3).max(2);
    candidates
        .into_iter()
        // As many edits as the lengths differ are needed at least: a word of a megabyte costs nothing. Who writes the
        // beginning of a word means it.
        .filter_map(|candidate| match length >= SHORTEST && candidate.starts_with(word) {
            true => Some((0, candidate)),
            false if candidate.chars().count().abs_diff(length) > limit => None,
            false => Some((distance(word, candidate), candidate)),
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

const SHORTEST: usize = 3;

/// `unknown key` with the nearest known one named, ready for an error or a warning.
pub fn unknown<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(word, candidates) {
        Some(candidate) => format!("unknown key; did you mean \"{candidate}\"?"),
        None => "unknown key".to_owned(),
    }
}

/// Levenshtein's distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (to, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            left = (diagonal + usize::from(from != *to)).min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("tcp_port", "tcp_port"), 0);
    }

    #[test]
    fn a_typo_finds_its_word_and_nonsense_finds_none() {
        let known = ["tcp_port", "unix_path", "backlog"];
        assert_eq!(nearest("tcp_prot", known), Some("tcp_port"));
        assert_eq!(nearest("unixpath", known), Some("unix_path"));
        assert_eq!(nearest("zzzzzzzz", known), None);
        assert_eq!(nearest("rss", ["fds", "rss_bytes", "rss_growth"]), Some("rss_bytes"));
        assert_eq!(nearest("me", ["memory_max"]), None);
    }
}
