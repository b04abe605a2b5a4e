//! `events`: the file in which every change of a process is a line.

use super::read::optional_path;
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Map, Value, json};

/// Where the lines go, and how much of them is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// `path`; a file of the log folder where none is written.
    pub path: Option<String>,
    /// `max_bytes`: one that would grow above makes room for a new one.
    pub max_bytes: u64,
    /// `files`: how many are kept, the one that is written among them.
    pub files: u32,
}

impl Default for Events {
    fn default() -> Events {
        Events { path: None, max_bytes: 1 << 20, files: 4 }
    }
}

impl Events {
    pub(super) fn read(top: &Object, strangers: &mut Vec<ConfError>) -> Result<Events, ConfError> {
        let mut events = Events::default();
        let Some(object) = top.object("events")? else { return Ok(events) };
        strangers.extend(object.unknown(&["path", "max_bytes", "files"]));
        events.path = optional_path(&object, "path")?;
        if let Some(bytes) = object.integer("max_bytes", BYTES)? {
            events.max_bytes = bytes.unsigned_abs();
        }
        if let Some(files) = object.integer("files", 1..=1000)? {
            events.files = files.unsigned_abs() as u32;
        }
        Ok(events)
    }

    pub(super) fn shown(&self) -> Value {
        let mut shown = Map::new();
        if let Some(path) = &self.path {
            shown.insert("path".to_owned(), json!(path));
        }
        shown.insert("max_bytes".to_owned(), json!(self.max_bytes));
        shown.insert("files".to_owned(), json!(self.files));
        Value::Object(shown)
    }
}

/// `crash_reports`: how many reports of ends that nobody asked for are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashReports {
    /// `files`.
    pub files: u32,
    /// `max_bytes`: of all of them together.
    pub max_bytes: u64,
}

impl Default for CrashReports {
    fn default() -> CrashReports {
        CrashReports { files: 32, max_bytes: 4 << 20 }
    }
}

impl CrashReports {
    pub(super) fn read(top: &Object, strangers: &mut Vec<ConfError>) -> Result<CrashReports, ConfError> {
        let mut reports = CrashReports::default();
        let Some(object) = top.object("crash_reports")? else { return Ok(reports) };
        strangers.extend(object.unknown(&["files", "max_bytes"]));
        if let Some(files) = object.integer("files", 1..=10_000)? {
            reports.files = files.unsigned_abs() as u32;
        }
        if let Some(bytes) = object.integer("max_bytes", BYTES)? {
            reports.max_bytes = bytes.unsigned_abs();
        }
        Ok(reports)
    }

    pub(super) fn shown(self) -> Value {
        json!({"files": self.files, "max_bytes": self.max_bytes})
    }
}

const BYTES: std::ops::RangeInclusive<i64> = 4096..=1 << 40;
