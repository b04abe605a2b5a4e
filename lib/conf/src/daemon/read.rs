//! Values as the daemon's keys take them, and the layers in which a process's key is looked for.

use crate::ConfError;
use crate::json::Object;
use crate::nearest::nearest;
use std::time::Duration;

/// Where a key of a process may be written: in the process itself, in `defaults`, and some at the top of the file.
pub(super) struct Layers<'a> {
    process: Object<'a>,
    defaults: Option<Object<'a>>,
    top: Object<'a>,
}

impl<'a> Layers<'a> {
    pub fn new(process: &Object<'a>, defaults: Option<&Object<'a>>, top: &Object<'a>) -> Layers<'a> {
        Layers { process: process.clone(), defaults: defaults.cloned(), top: top.clone() }
    }

    /// The object in which `key` is written: the process, or `defaults`.
    pub fn of(&self, key: &str) -> Object<'a> {
        match &self.defaults {
            Some(defaults) if !self.process.has(key) => defaults.clone(),
            _ => self.process.clone(),
        }
    }

    /// As [`Layers::of`], for a key that may stand at the top as well.
    pub fn of_all(&self, key: &str) -> Object<'a> {
        let found = self.of(key);
        if found.has(key) { found } else { self.top.clone() }
    }

    /// `defaults` and the process, for keys that are put together from both.
    pub fn upwards(&self) -> impl Iterator<Item = &Object<'a>> {
        self.defaults.iter().chain([&self.process])
    }

    /// The top, `defaults` and the process.
    pub fn upwards_with_top(&self) -> impl Iterator<Item = &Object<'a>> {
        [&self.top].into_iter().chain(self.upwards())
    }
}

/// A length of time in whole milliseconds, at most a day.
pub(super) fn millis(object: &Object, key: &str, least: i64) -> Result<Option<Duration>, ConfError> {
    let value = object.integer(key, least..=DAY_MS)?;
    Ok(value.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis))
}

/// One of these words.
pub(super) fn one_of<T: Copy>(object: &Object, key: &str, words: &[(&str, T)]) -> Result<Option<T>, ConfError> {
    let Some(written) = object.string(key)? else { return Ok(None) };
    match words.iter().find(|(word, _)| *word == written) {
        Some((_, value)) => Ok(Some(*value)),
        None => {
            let all: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            Err(object.error(key, format!("expected one of {}, found {written:?}", all.join(", "))))
        }
    }
}

/// Rights of a file, or what is taken from them.
pub(super) fn octal(object: &Object, key: &str) -> Result<Option<u32>, ConfError> {
    let Some(written) = object.string(key)? else { return Ok(None) };
    let octal = written.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    match u32::from_str_radix(written, 8) {
        Ok(bits) if octal && bits <= 0o777 => Ok(Some(bits)),
        _ => Err(object.error(key, format!("expected octal digits up to 0777, found {written:?}"))),
    }
}

/// A path that must be written. The kernel would take a line break, the table of processes would not.
pub(super) fn path(object: &Object, key: &str) -> Result<String, ConfError> {
    let path = object.required(key)?;
    plain(object, key, path)?;
    Ok(path.to_owned())
}

/// A path that may be written.
pub(super) fn optional_path(object: &Object, key: &str) -> Result<Option<String>, ConfError> {
    object.has(key).then(|| path(object, key)).transpose()
}

/// Several paths, none of them empty.
pub(super) fn paths(object: &Object, key: &str) -> Result<Vec<String>, ConfError> {
    let mut all = Vec::new();
    for (index, path) in object.strings(key)?.unwrap_or_default().into_iter().enumerate() {
        let key = format!("{key}[{index}]");
        if path.is_empty() {
            return Err(object.error(&key, "empty; expected a path"));
        }
        plain(object, &key, path)?;
        all.push(path.to_owned());
    }
    Ok(all)
}

fn plain(object: &Object, key: &str, path: &str) -> Result<(), ConfError> {
    match path.chars().find(|c| c.is_control()) {
        Some(stranger) => Err(object.error(key, format!("contains the control character {stranger:?}"))),
        None => Ok(()),
    }
}

/// Strings the kernel will take as they are: without a NUL in them.
pub(super) fn words(object: &Object, key: &str) -> Result<Vec<String>, ConfError> {
    let words = object.strings(key)?.unwrap_or_default().into_iter();
    let mut words = words.map(|word| whole(object, key, word)).collect::<Result<Vec<String>, ConfError>>()?;
    // Collecting does not know how many they are.
    words.shrink_to_fit();
    Ok(words)
}

/// A string without a NUL in it.
pub(super) fn whole(object: &Object, key: &str, text: &str) -> Result<String, ConfError> {
    if text.contains('\0') {
        return Err(object.error(key, "expected a string without a NUL character"));
    }
    Ok(text.to_owned())
}

/// `unknown …` with the nearest of `known` named.
pub(super) fn unknown_name(what: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("no {what} is called {name:?}; did you mean {near:?}?"),
        None => format!("no {what} is called {name:?}"),
    }
}

const DAY_MS: i64 = 86_400_000;
