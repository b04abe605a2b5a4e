//! One value of `msf_agent`'s settings as it is written, and what it may turn out to be.

use crate::ConfError;
use crate::net::{Networks, NoNetwork};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

/// A value on its way into a setting.
#[derive(Clone, Debug)]
pub struct Word {
    /// Which file it is from.
    pub file: PathBuf,
    /// Where in the file it is, as its writer would say it.
    pub path: String,
    /// Which key it is for.
    pub key: &'static str,
    /// What is written; not empty.
    pub value: String,
}

impl Word {
    /// A complaint about the key.
    pub fn error(&self, what: &str) -> ConfError {
        ConfError::key(&self.file, &self.path, what)
    }

    /// A complaint that says what was expected and what was found.
    pub fn expected(&self, what: impl fmt::Display) -> ConfError {
        self.error(&format!("expected {what}, found \"{}\"", self.value))
    }

    /// The word without the spaces around it, if anything is left: whatever the format, an empty value is as good as
    /// none. What nobody could see, or what would break a line, is refused.
    pub fn meant(mut self) -> Result<Option<Word>, ConfError> {
        if let Some(stranger) = self.value.chars().find(|c| c.is_control()) {
            return Err(self.error(&format!("contains the control character {stranger:?}")));
        }
        self.value = self.value.trim().to_owned();
        Ok(Some(self).filter(|word| !word.value.is_empty()))
    }

    /// true or false, in the usual spellings.
    pub fn truth(&self) -> Result<bool, ConfError> {
        match self.value.as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(self.expected("true or false")),
        }
    }

    /// A whole number from `least` to `most`.
    pub fn number(&self, least: u64, most: u64) -> Result<u64, ConfError> {
        let number = self.value.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| self.expected(format_args!("a whole number from {least} to {most}")))
    }

    /// A number of bytes, perhaps with K, M or G behind it.
    pub fn size(&self, least: u64, most: u64) -> Result<u64, ConfError> {
        let units = [(['k', 'K'], 10), (['m', 'M'], 20), (['g', 'G'], 30)];
        let scaled = units.into_iter().find_map(|(unit, shift)| Some((self.value.strip_suffix(unit)?, shift)));
        let (digits, shift) = scaled.unwrap_or((&self.value, 0));
        let bytes = digits.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
        let bytes = bytes.filter(|bytes| (least..=most).contains(bytes));
        bytes.ok_or_else(|| self.expected(format_args!("bytes from {least} to {most}, such as 64K or 1M")))
    }

    /// An octal mode.
    pub fn mode(&self) -> Result<u32, ConfError> {
        let mode = u32::from_str_radix(&self.value, 8).ok().filter(|mode| *mode <= 0o777);
        mode.ok_or_else(|| self.expected("an octal mode from 0 to 0777"))
    }

    /// An IP address; `NULL` is any.
    pub fn address(&self) -> Result<IpAddr, ConfError> {
        if self.value.eq_ignore_ascii_case("NULL") {
            return Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        }
        self.value.parse().map_err(|_| self.expected("an IP address or NULL for any"))
    }

    /// A path that fits the kernel's socket address; a relative one is seen from the current folder.
    pub fn path(&self) -> Result<PathBuf, ConfError> {
        let path = PathBuf::from(&self.value);
        let whole = std::path::absolute(&path).map_or(self.value.len(), |path| path.as_os_str().len());
        if whole > LONGEST_SOCKET {
            return Err(self.expected(format_args!("a path of at most {LONGEST_SOCKET} bytes, seen from the root")));
        }
        Ok(path)
    }

    /// Numbers with commas between them.
    pub fn list(&self, most: u64) -> Result<Vec<u64>, ConfError> {
        let items = self.value.split(',').map(|item| item.trim().parse().ok().filter(|number| *number <= most));
        let numbers: Option<Vec<u64>> = items.collect();
        numbers.ok_or_else(|| self.expected(format_args!("numbers from 0 to {most} with commas between them")))
    }

    /// Milliseconds from `least` to `most`.
    pub fn millis(&self, least: u64, most: u64) -> Result<Duration, ConfError> {
        self.number(least, most).map(Duration::from_millis)
    }

    /// Addresses and CIDRs with commas between them, or the word for none.
    pub fn networks(&self) -> Result<Networks, ConfError> {
        if self.value == NOBODY {
            return Ok(Networks::default());
        }
        let parse = |item: &str| item.trim().parse().map_err(|e: NoNetwork| (e, item.trim().to_owned()));
        let networks: Result<Vec<_>, _> = self.value.split(',').map(parse).collect();
        networks.map(Networks).map_err(|(e, item)| self.error(&format!("{e}, found \"{item}\"")))
    }

    /// One of a type's words, in any case of letters.
    pub fn one<T: Choice>(&self) -> Result<T, ConfError> {
        let found = T::WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(&self.value));
        let known = || T::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        found.map(|(_, choice)| *choice).ok_or_else(|| self.expected(known()))
    }

    /// One of `known`, in any case of letters.
    pub fn choice(&self, known: &[&'static str]) -> Result<&'static str, ConfError> {
        let found = known.iter().find(|choice| choice.eq_ignore_ascii_case(&self.value));
        found.copied().ok_or_else(|| self.expected(known.join(" or ")))
    }
}

/// One of a few, each of which has its word.
pub trait Choice: Copy + PartialEq + 'static {
    /// All of them.
    const WORDS: &'static [(&'static str, Self)];

    /// How it is written.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, choice)| *choice == self).map_or("", |(word, _)| word)
    }
}

/// A list with nothing in it, which an empty value cannot say.
pub const NOBODY: &str = "nobody";

/// `sun_path` without its terminating NUL.
const LONGEST_SOCKET: usize = 107;
