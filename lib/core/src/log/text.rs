//! The text of one record, formatted without asking for memory as long as it is not long.

use std::fmt::{self, Write};

/// What `format_args!` says, in the caller's stack or, where that is too small, on the heap.
pub(super) struct Text {
    brief: [u8; BRIEF],
    length: usize,
    long: Option<String>,
}

impl Text {
    pub fn new(arguments: fmt::Arguments<'_>) -> Text {
        let mut text = Text { brief: [0; BRIEF], length: 0, long: None };
        // It fails only where a Display of the program does; what there is until then is logged.
        let _ = text.write_fmt(arguments);
        text
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.long {
            Some(long) => long.as_bytes(),
            None => self.brief.get(..self.length).unwrap_or_default(),
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if let Some(long) = &mut self.long {
            long.push_str(part);
        } else if let Some(place) = self.brief.get_mut(self.length..self.length + part.len()) {
            place.copy_from_slice(part.as_bytes());
            self.length += part.len();
        } else {
            self.long = Some(String::from_utf8_lossy(self.bytes()).into_owned() + part);
        }
        Ok(())
    }
}

const BRIEF: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_whole_whether_it_is_long_or_not() {
        for length in [0, 1, 511, 512, 513, 5000] {
            let part = "é".repeat(length / 2);
            let text = Text::new(format_args!("{part}{}{part}", 7));
            assert_eq!(text.bytes(), format!("{part}7{part}").as_bytes());
        }
    }
}
