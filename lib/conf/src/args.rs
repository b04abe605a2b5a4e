//! The options the programs share: `-c FILE`, `-k WORD`, `-d`, `-h`, `-v`, and a word of their own. The only file that
//! names lexopt.

use crate::nearest;
use lexopt::{Arg, Parser, ValueExt};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// What one program accepts beyond the shared options.
#[derive(Clone, Copy, Debug)]
pub struct Accepts {
    /// Words after `-k`.
    pub signals: &'static [&'static str],
    /// Words that may stand alone, such as `status`; empty for programs that have none.
    pub commands: &'static [&'static str],
    /// Options of those words, such as `count` for `--count`.
    pub options: &'static [Extra],
}

/// A long option that only some programs have.
#[derive(Clone, Copy, Debug)]
pub struct Extra {
    /// Its name without the dashes.
    pub name: &'static str,
    /// Whether a value follows it.
    pub valued: bool,
}

/// A command line, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// Every `-c FILE`, in order.
    pub configs: Vec<PathBuf>,
    /// `-k WORD`, or the command of the same name.
    pub word: Option<String>,
    /// The word came after `-k`.
    pub signalled: bool,
    /// What follows the word.
    pub rest: Vec<String>,
    /// The program's own options and their values; empty for those that have none.
    pub options: BTreeMap<&'static str, String>,
    /// `-d`: detach.
    pub daemon: bool,
    /// `--json`: answer in JSON.
    pub json: bool,
    /// `-h`, `-?` or `--help`.
    pub help: bool,
    /// `-v` or `--version`.
    pub version: bool,
}

/// A command line that cannot be understood; exit code 2.
#[derive(Debug, PartialEq, Eq)]
pub struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

impl Args {
    /// Takes apart the arguments after the program's name.
    pub fn parse(words: impl IntoIterator<Item = OsString>, accepts: Accepts) -> Result<Args, Usage> {
        let mut parser = Parser::from_args(words);
        let mut args = Args::default();
        while let Some(arg) = parser.next().map_err(said)? {
            match arg {
                Arg::Short('c') | Arg::Long("config") => match parser.value().map_err(said)? {
                    empty if empty.is_empty() => return Err(Usage("-c: empty; expected a file".to_owned())),
                    file => args.configs.push(file.into()),
                },
                Arg::Short('k') | Arg::Long("signal") => {
                    let word = parser.value().and_then(|value| value.string()).map_err(said)?;
                    args.take_word("-k", word, accepts.signals)?;
                    args.signalled = true;
                }
                Arg::Short('d') | Arg::Long("daemon") => args.daemon = true,
                Arg::Short('h' | '?') | Arg::Long("help") => args.help = true,
                Arg::Short('v') | Arg::Long("version") => args.version = true,
                // Only who answers commands has answers.
                Arg::Long("json") if !accepts.commands.is_empty() => args.json = true,
                Arg::Long(name) if let Some(extra) = accepts.options.iter().find(|extra| extra.name == name) => {
                    let value =
                        if extra.valued { parser.value().and_then(|value| value.string()) } else { Ok(String::new()) };
                    if args.options.insert(extra.name, value.map_err(said)?).is_some() {
                        return Err(Usage(format!("--{}: given twice", extra.name)));
                    }
                }
                Arg::Value(value) => args.take_value(value.string().map_err(said)?, accepts)?,
                other => return Err(said(other.unexpected())),
            }
        }
        Ok(args)
    }

    /// The whole number given with the option `name`, which must lie within `range`; `None` without the option.
    pub fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Usage> {
        let Some(value) = self.options.get(name) else { return Ok(None) };
        match value.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let (least, most) = (range.start(), range.end());
                Err(Usage(format!("--{name}: expected a whole number from {least} to {most}, found \"{value}\"")))
            }
        }
    }

    fn take_value(&mut self, value: String, accepts: Accepts) -> Result<(), Usage> {
        if self.word.is_some() {
            self.rest.push(value);
            return Ok(());
        }
        if accepts.commands.is_empty() {
            return Err(Usage(format!("unexpected argument \"{value}\"")));
        }
        self.take_word("command", value, accepts.commands)
    }

    fn take_word(&mut self, what: &str, word: String, known: &[&'static str]) -> Result<(), Usage> {
        if let Some(first) = &self.word {
            return Err(Usage(format!("\"{first}\" and \"{word}\" exclude each other")));
        }
        if !known.contains(&word.as_str()) {
            let hint = nearest::nearest(&word, known.iter().copied())
                .map_or_else(|| format!("one of {}", known.join(", ")), |near| format!("\"{near}\"?"));
            return Err(Usage(format!("{what}: unknown word \"{word}\"; expected {hint}")));
        }
        self.word = Some(word);
        Ok(())
    }
}

fn said(error: lexopt::Error) -> Usage {
    Usage(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPTS: Accepts = Accepts {
        signals: &["reload", "rotate", "kill"],
        commands: &["status", "reload"],
        options: &[Extra { name: "count", valued: true }, Extra { name: "once", valued: false }],
    };

    fn parse(words: &[&str]) -> Result<Args, Usage> {
        Args::parse(words.iter().map(OsString::from), ACCEPTS)
    }

    #[test]
    fn configs_repeat_in_order() {
        let args = parse(&["-c", "a.conf", "-d", "-cb.json"]).unwrap();
        assert_eq!(args.configs, [PathBuf::from("a.conf"), PathBuf::from("b.json")]);
        assert!(args.daemon);
    }

    #[test]
    fn signals_match_exactly_and_a_prefix_is_refused_with_a_hint() {
        assert_eq!(parse(&["-k", "reload"]).unwrap().word.as_deref(), Some("reload"));
        assert_eq!(
            parse(&["-k", "reloa"]).unwrap_err().to_string(),
            "-k: unknown word \"reloa\"; expected \"reload\"?"
        );
        assert_eq!(
            parse(&["-k", "r"]).unwrap_err().to_string(),
            "-k: unknown word \"r\"; expected one of reload, rotate, kill"
        );
    }

    #[test]
    fn a_command_may_stand_alone_with_words_after_it() {
        let args = parse(&["status", "msf_agent", "--json"]).unwrap();
        assert_eq!(
            (args.word.as_deref(), args.rest.as_slice(), args.json),
            (Some("status"), &["msf_agent".to_owned()][..], true)
        );
    }

    #[test]
    fn a_programs_own_options_have_values_or_none() {
        let args = parse(&["status", "--count", "7", "--once"]).unwrap();
        assert_eq!(args.number("count", 1..=9).unwrap(), Some(7));
        assert_eq!(args.number("interval", 1..=9).unwrap(), None);
        assert!(args.options.contains_key("once"));
        let error = args.number("count", 8..=9).unwrap_err().to_string();
        assert_eq!(error, "--count: expected a whole number from 8 to 9, found \"7\"");
        assert!(parse(&["status", "--count"]).is_err() && parse(&["--once=1"]).is_err());
        assert_eq!(parse(&["--once", "--once"]).unwrap_err().to_string(), "--once: given twice");
        assert!(parse(&["--interval", "5"]).is_err(), "a stranger");
    }

    #[test]
    fn regress_what_means_nothing_is_refused() {
        assert_eq!(parse(&["-c", ""]).unwrap_err().to_string(), "-c: empty; expected a file");
        let silent = Accepts { commands: &[], ..ACCEPTS };
        assert!(Args::parse(["--json".into()], silent).is_err());
    }

    #[test]
    fn the_question_mark_is_help_and_strangers_are_refused() {
        assert!(parse(&["-?"]).unwrap().help);
        assert!(parse(&["-m"]).is_err());
        assert!(parse(&["-c"]).is_err());
        assert!(parse(&["-k", "kill", "status"]).is_ok(), "the second word belongs to the first");
        assert!(parse(&["status", "-k", "kill"]).is_err());
    }
}
