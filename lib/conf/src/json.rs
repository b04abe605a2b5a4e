//! JSON documents read key by key, so that every complaint names the file and the path of the key.

use crate::tree::{self, Map, Value};
use crate::{ConfError, nearest, text};
use std::path::{Path, PathBuf};

/// A parsed file.
#[derive(Debug)]
pub struct Doc {
    file: PathBuf,
    root: Map<String, Value>,
}

impl Doc {
    /// Reads and parses `file`; the top must be an object.
    pub fn read(file: &Path) -> Result<Doc, ConfError> {
        Doc::parse(file, &text::read(file)?)
    }

    /// Parses `text`, which complaints will say came from `file`.
    pub fn parse(file: &Path, text: &str) -> Result<Doc, ConfError> {
        let tree = tree::parse(text).map_err(|what| ConfError::Syntax { file: file.to_owned(), what })?;
        Doc::of(file, tree)
    }

    /// The document with this tree.
    pub(crate) fn of(file: &Path, tree: Value) -> Result<Doc, ConfError> {
        let file = file.to_owned();
        match tree {
            Value::Object(root) => Ok(Doc { file, root }),
            other => {
                let what = format!("expected an object at the top, found {}", kind(&other));
                Err(ConfError::Syntax { file, what })
            }
        }
    }

    /// The object at the top.
    pub fn top(&self) -> Object<'_> {
        Object { file: &self.file, path: String::new(), map: &self.root }
    }
}

/// An object somewhere in a document.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    file: &'a Path,
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    /// The path of `key` from the top of the document.
    pub fn path_of(&self, key: &str) -> String {
        let dot = if self.path.is_empty() { "" } else { "." };
        // A key nobody could see, or that would break the line, is shown as one would have to write it.
        match key.is_empty() || key.contains(char::is_control) {
            true => format!("{}{dot}{key:?}", self.path),
            false => format!("{}{dot}{key}", self.path),
        }
    }

    /// A complaint about `key`.
    pub fn error(&self, key: &str, what: impl Into<String>) -> ConfError {
        ConfError::key(self.file, self.path_of(key), what)
    }

    fn mismatch(&self, key: &str, expected: &str, found: &Value) -> ConfError {
        self.error(key, format!("expected {expected}, found {}", kind(found)))
    }

    /// Whether `key` is written, with any value.
    pub fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// Whatever is under `key`, if anything is.
    pub fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key)
    }

    /// The string under `key`, if written.
    pub fn string(&self, key: &str) -> Result<Option<&'a str>, ConfError> {
        match self.map.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.mismatch(key, "a string", other)),
        }
    }

    /// The string under `key`, if written; whole numbers are as good as strings, and null is as good as nothing.
    pub fn loose_string(&self, key: &str) -> Result<Option<String>, ConfError> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) if !number.is_f64() => Ok(Some(number.to_string())),
            Some(other) => Err(self.mismatch(key, "a string or a whole number", other)),
        }
    }

    /// Whether there is anything but null under `key`.
    pub fn says(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !value.is_null())
    }

    /// The string under `key`, which must be written and not empty.
    pub fn required(&self, key: &str) -> Result<&'a str, ConfError> {
        match self.string(key)? {
            None => Err(self.error(key, "missing; expected a string")),
            Some("") => Err(self.error(key, "empty; expected a string")),
            Some(text) => Ok(text),
        }
    }

    /// The whole number under `key`, if written; it must lie within `range`.
    pub fn integer(&self, key: &str, range: std::ops::RangeInclusive<i64>) -> Result<Option<i64>, ConfError> {
        let expected = || format!("a whole number from {} to {}", range.start(), range.end());
        match self.map.get(key) {
            None => Ok(None),
            Some(Value::Number(number)) => match number.as_i64() {
                Some(value) if range.contains(&value) => Ok(Some(value)),
                _ => Err(self.error(key, format!("expected {}, found {number}", expected()))),
            },
            Some(other) => Err(self.mismatch(key, &expected(), other)),
        }
    }

    /// The truth value under `key`, if written.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, ConfError> {
        match self.map.get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(self.mismatch(key, "true or false", other)),
        }
    }

    /// The object under `key`, if written.
    pub fn object(&self, key: &str) -> Result<Option<Object<'a>>, ConfError> {
        match self.map.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Object { file: self.file, path: self.path_of(key), map })),
            Some(other) => Err(self.mismatch(key, "an object", other)),
        }
    }

    /// This object as JSON text in one line; the same for objects that say the same.
    pub fn to_text(&self) -> String {
        Value::Object(self.map.clone()).to_string()
    }

    /// The array of objects under `key`, if written.
    pub fn objects(&self, key: &str) -> Result<Option<Vec<Object<'a>>>, ConfError> {
        let Some(values) = self.array(key, "an array of objects")? else { return Ok(None) };
        let mut objects = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let Value::Object(map) = value else {
                return Err(self.mismatch(&format!("{key}[{index}]"), "an object", value));
            };
            objects.push(Object { file: self.file, path: self.path_of(&format!("{key}[{index}]")), map });
        }
        Ok(Some(objects))
    }

    /// The array of strings under `key`, if written.
    pub fn strings(&self, key: &str) -> Result<Option<Vec<&'a str>>, ConfError> {
        let Some(values) = self.array(key, "an array of strings")? else { return Ok(None) };
        let mut strings = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let Value::String(text) = value else {
                return Err(self.mismatch(&format!("{key}[{index}]"), "a string", value));
            };
            strings.push(text.as_str());
        }
        Ok(Some(strings))
    }

    fn array(&self, key: &str, expected: &str) -> Result<Option<&'a Vec<Value>>, ConfError> {
        match self.map.get(key) {
            None => Ok(None),
            Some(Value::Array(values)) => Ok(Some(values)),
            Some(other) => Err(self.mismatch(key, expected, other)),
        }
    }

    /// The keys written, in the document's order as far as the parser keeps it.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.map.keys().map(String::as_str)
    }

    /// One complaint for each key that is not in `known`, naming the nearest known one. Whether that is a warning or
    /// the end is the caller's choice.
    pub fn unknown(&self, known: &[&str]) -> Vec<ConfError> {
        let strangers = self.keys().filter(|key| !known.contains(key));
        strangers.map(|key| self.error(key, nearest::unknown(key, known.iter().copied()))).collect()
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(text: &str) -> Doc {
        Doc::parse(Path::new("x.json"), text).unwrap()
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        let doc = doc(r#"{"proc_svcs": [{"svc_name": "a", "svc_libs": 7}]}"#);
        let services = doc.top().objects("proc_svcs").unwrap().unwrap();
        let error = services[0].string("svc_libs").unwrap_err().to_string();
        assert_eq!(error, "x.json: proc_svcs[0].svc_libs: expected a string, found a number");
    }

    #[test]
    fn missing_and_empty_are_different_complaints() {
        let doc = doc(r#"{"a": ""}"#);
        assert_eq!(doc.top().required("a").unwrap_err().to_string(), "x.json: a: empty; expected a string");
        assert_eq!(doc.top().required("b").unwrap_err().to_string(), "x.json: b: missing; expected a string");
    }

    #[test]
    fn numbers_out_of_range_and_fractions_are_refused() {
        let doc = doc(r#"{"a": 70000, "b": 1.5, "c": 80}"#);
        let error = doc.top().integer("a", 0..=65535).unwrap_err().to_string();
        assert_eq!(error, "x.json: a: expected a whole number from 0 to 65535, found 70000");
        assert!(doc.top().integer("b", 0..=9).is_err());
        assert_eq!(doc.top().integer("c", 0..=65535).unwrap(), Some(80));
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        let doc = doc(r#"{"proc_nmae": "x"}"#);
        let complaints = doc.top().unknown(&["proc_name", "proc_desc"]);
        assert_eq!(complaints[0].to_string(), "x.json: proc_nmae: unknown key; did you mean \"proc_name\"?");
    }

    #[test]
    fn regress_a_key_that_cannot_be_seen_is_shown_in_quotes() {
        let doc = doc(r#"{"": 1, "a\n[b]": {"\u0000": 2}}"#);
        let told: Vec<String> = doc.top().unknown(&[]).iter().map(ConfError::to_string).collect();
        assert_eq!(told, [r#"x.json: "": unknown key"#, r#"x.json: "a\n[b]": unknown key"#]);
        let inner = doc.top().object("a\n[b]").unwrap().unwrap();
        assert_eq!(inner.path_of("\0"), r#""a\n[b]"."\0""#);
    }

    #[test]
    fn syntax_errors_name_line_and_column() {
        let error = Doc::parse(Path::new("x.json"), "{\n  \"a\": ,\n}").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        assert!(Doc::parse(Path::new("x.json"), "[]").unwrap_err().to_string().contains("found an array"));
    }
}
