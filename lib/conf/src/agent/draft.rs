//! Settings while files are still being read. What depends on more than one key is settled at the end: a later file may
//! mend what an earlier one says.

use super::key::{self, About, Group, Key, Kind};
use super::word::{NOBODY, Word};
use super::{Settings, librpc, server};
use crate::json::{Doc, Object};
use crate::{ConfError, keyvalue};
use std::collections::HashMap;
use std::path::Path;

/// Settings in the making.
#[derive(Default)]
pub struct Draft {
    settings: Settings,
    /// What is said of one function or worker, until the defaults are known.
    named: Vec<(Group, String, Word)>,
}

impl Draft {
    /// Takes what `text` says, as the contents of `file`. The format goes by the file's extension.
    pub fn merge(&mut self, file: &Path, text: &str) -> Result<(), ConfError> {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("json") => self.merge_json(file, text),
            Some("yaml" | "yml") => self.merge_server(file, text),
            _ => self.merge_lines(file, text),
        }
    }

    /// The settings, once everything is read.
    pub fn finish(mut self) -> Result<Settings, ConfError> {
        self.settings.settle();
        for (group, name, word) in self.named {
            let settings = &mut self.settings;
            match group {
                Group::Function => {
                    settings.functions.entry(name).or_insert_with(|| settings.rules.clone()).set(&word)?
                }
                Group::Worker => settings.workers.entry(name).or_default().set(&word)?,
            };
        }
        self.settings.check()?;
        Ok(self.settings)
    }

    fn merge_lines(&mut self, file: &Path, text: &str) -> Result<(), ConfError> {
        let mut lines: HashMap<&str, usize> = HashMap::new();
        for entry in keyvalue::parse(file, text)? {
            let warning = |what: String| ConfError::key(file, entry.key, what).to_string();
            let about = match key::find(entry.key) {
                Ok(about) => about,
                Err(what) => {
                    self.settings.warnings.push(warning(format!("line {}: {what}", entry.line)));
                    continue;
                }
            };
            // An empty value is as good as no line.
            if !entry.value.is_empty()
                && let Some(line) = lines.insert(librpc::correct(entry.key), entry.line)
            {
                let what = format!("written in line {line} and again in line {}; the later one holds", entry.line);
                self.settings.warnings.push(warning(what));
            }
            let (path, value) = (entry.key.to_owned(), entry.value.to_owned());
            let word = |key| Word { file: file.to_owned(), path, key, value };
            match about {
                About::Agent((key, _)) => self.take(word(key))?,
                About::One(group, name, (key, _)) => self.take_named(group, name, word(key))?,
            }
        }
        Ok(())
    }

    fn merge_json(&mut self, file: &Path, text: &str) -> Result<(), ConfError> {
        let doc = Doc::parse(file, text)?;
        let top = doc.top();
        if top.integer("version", 1..=1)?.is_none() {
            return Err(top.error("version", "missing; expected 1"));
        }
        for name in top.keys().filter(|name| *name != "version") {
            if let Some(group) = Group::ALL.into_iter().find(|group| group.object() == name) {
                self.merge_group(file, &top, group)?;
                continue;
            }
            let known = key::plain(name).ok_or_else(|| top.error(name, key::unknown(name)))?;
            self.take(word_of(file, &top, known)?)?;
        }
        Ok(())
    }

    /// The rules of all functions, or of all workers, that a JSON file has any for.
    fn merge_group(&mut self, file: &Path, top: &Object<'_>, group: Group) -> Result<(), ConfError> {
        let Some(all) = top.object(group.object())? else { return Ok(()) };
        for name in all.keys() {
            let Some(one) = all.object(name)? else { continue };
            let known: Vec<&str> = group.keys().iter().map(|(key, _)| *key).collect();
            if let Some(error) = one.unknown(&known).into_iter().next() {
                return Err(error);
            }
            // A line of a .conf could not say it, and -k parse prints lines.
            if name.is_empty() || name.contains('=') || name.contains(char::is_control) {
                return Err(all.error(name, "expected a name of visible characters without \"=\""));
            }
            for known in group.keys().iter().filter(|(key, _)| one.keys().any(|written| written == *key)) {
                self.take_named(group, name, word_of(file, &one, *known)?)?;
            }
        }
        Ok(())
    }

    fn merge_server(&mut self, file: &Path, text: &str) -> Result<(), ConfError> {
        let said = server::read(file, text)?;
        self.settings.warnings.extend(said.warnings);
        for word in said.words {
            self.take(word)?;
        }
        // Who uses nmid's file alone gets no port that nmid would not have.
        if said.without_metrics && !self.settings.written.has("metrics_enable") {
            let (path, value) = ("Prometheus".to_owned(), "false".to_owned());
            self.take(Word { file: file.to_owned(), path, key: "metrics_enable", value })?;
        }
        Ok(())
    }

    fn take(&mut self, word: Word) -> Result<(), ConfError> {
        let Some(word) = word.meant()? else { return Ok(()) };
        self.settings.written.note(&word);
        let settings = &mut self.settings;
        // Each takes its own.
        let _ = settings.set_librpc(&word)?
            || settings.nmid.set(&word)?
            || settings.http.set(&word)?
            || settings.metrics.set(&word)?
            || settings.lists.set(&word)?
            || settings.rules.set(&word)?;
        Ok(())
    }

    fn take_named(&mut self, group: Group, name: &str, word: Word) -> Result<(), ConfError> {
        self.named.extend(word.meant()?.map(|word| (group, name.to_owned(), word)));
        Ok(())
    }
}

impl Settings {
    /// What is not written, and follows from what is.
    fn settle(&mut self) {
        let listeners = [
            ("nmid_enable", &mut self.nmid.listen),
            ("http_enable", &mut self.http.listen),
            ("metrics_enable", &mut self.metrics.listen),
        ];
        for (key, endpoint) in listeners {
            if !self.written.has(key) {
                endpoint.enable = self.net_enable;
            }
        }
        // Who keeps little buffered cannot take the longest messages either.
        let most = self.outbox_hard.min(usize::try_from(self.memory_limit).unwrap_or(usize::MAX));
        for (key, limit) in
            [("nmid_payload_limit", &mut self.nmid.payload_limit), ("http_body_limit", &mut self.http.body_limit)]
        {
            if !self.written.has(key) {
                *limit = most.min(*limit);
            }
        }
    }

    /// What is only wrong together is the fault of whichever was written last.
    fn check(&self) -> Result<(), ConfError> {
        let frame = self.payload_limit as usize + HEADER;
        let (soft, hard, memory) = (self.outbox_soft, self.outbox_hard, self.memory_limit);
        if hard < frame {
            let what = format!("outbox_hard ({hard}) is less than one frame of payload_limit ({frame} bytes)");
            return self.fault(&["outbox_hard", "payload_limit"], &what);
        }
        if soft > hard {
            let what = format!("outbox_soft ({soft}) is above outbox_hard ({hard})");
            return self.fault(&["outbox_soft", "outbox_hard"], &what);
        }
        if memory < frame as u64 {
            let what = format!("memory_limit ({memory}) is less than one frame of payload_limit ({frame} bytes)");
            return self.fault(&["memory_limit", "payload_limit"], &what);
        }
        let long = [("nmid_payload_limit", self.nmid.payload_limit), ("http_body_limit", self.http.body_limit)];
        for (key, limit) in long {
            if hard < limit {
                let what = format!("outbox_hard ({hard}) is less than {key} ({limit})");
                return self.fault(&["outbox_hard", key], &what);
            }
            if memory < limit as u64 {
                let what = format!("memory_limit ({memory}) is less than {key} ({limit})");
                return self.fault(&["memory_limit", key], &what);
            }
        }
        Ok(())
    }

    fn fault(&self, keys: &[&str], what: &str) -> Result<(), ConfError> {
        self.written.blame(keys, what).map_or(Ok(()), Err)
    }
}

/// What an object in JSON says of a key, as a `.conf` would have it.
fn word_of(file: &Path, object: &Object<'_>, (key, kind): Key) -> Result<Word, ConfError> {
    let number = || Ok(object.integer(key, 0..=i64::MAX)?.map(|value| value.to_string()));
    let text = || Ok(object.string(key)?.map(str::to_owned));
    let value: Option<String> = match kind {
        Kind::Truth => object.boolean(key)?.map(|value| value.to_string()),
        Kind::Number => number()?,
        Kind::Text => text()?,
        Kind::Size => text().or_else(|_: ConfError| number())?,
        Kind::List => match object.string(key) {
            Ok(value) => value.map(str::to_owned),
            Err(_) => {
                object.strings(key)?.map(|items| if items.is_empty() { NOBODY.to_owned() } else { items.join(",") })
            }
        },
    };
    Ok(Word { file: file.to_owned(), path: object.path_of(key), key, value: value.unwrap_or_default() })
}

/// Bytes of a frame in front of its payload.
const HEADER: usize = 56;
