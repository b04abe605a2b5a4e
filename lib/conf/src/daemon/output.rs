//! Where a process's output and error go.

use super::read::Layers;
use crate::ConfError;
use crate::json::Object;
use crate::tree::{Map, Value, json};

/// Where one of the two goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Where the daemon's own goes.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// Line by line into the daemon's log.
    Log,
    /// Into a file.
    File {
        /// `file`: relative ones are meant from the log folder.
        path: String,
        /// `max_bytes`: a file that has become larger gets a successor; 0 for never.
        max_bytes: u64,
        /// `files`: how many of its predecessors are kept.
        files: u32,
    },
}

impl Output {
    pub(super) fn read(layers: &Layers, key: &str, strangers: &mut Vec<ConfError>) -> Result<Output, ConfError> {
        let layer = layers.of(key);
        match layer.value(key) {
            None => Ok(Output::Inherit),
            Some(Value::String(word)) => match word.as_str() {
                "inherit" => Ok(Output::Inherit),
                "null" => Ok(Output::Null),
                "log" => Ok(Output::Log),
                other => Err(layer.error(key, format!("{EXPECTED}, found {other:?}"))),
            },
            Some(Value::Object(_)) => Output::file(layer.object(key)?.as_ref(), strangers),
            Some(_) => Err(layer.error(key, EXPECTED)),
        }
    }

    fn file(object: Option<&Object>, strangers: &mut Vec<ConfError>) -> Result<Output, ConfError> {
        let Some(object) = object else { return Ok(Output::Inherit) };
        strangers.extend(object.unknown(&["file", "max_bytes", "files"]));
        Ok(Output::File {
            path: super::read::path(object, "file")?,
            max_bytes: object.integer("max_bytes", 0..=i64::MAX)?.map_or(MAX_BYTES, i64::cast_unsigned),
            files: object
                .integer("files", 0..=MOST_FILES)?
                .and_then(|files| u32::try_from(files).ok())
                .unwrap_or(FILES),
        })
    }

    pub(super) fn show(&self, key: &str, into: &mut Map<String, Value>) {
        let shown = match self {
            Output::Inherit => json!("inherit"),
            Output::Null => json!("null"),
            Output::Log => json!("log"),
            Output::File { path, max_bytes, files } => json!({"file": path, "max_bytes": max_bytes, "files": files}),
        };
        into.insert(key.to_owned(), shown);
    }
}

const EXPECTED: &str = "expected \"inherit\", \"log\", \"null\" or an object with \"file\"";
const MAX_BYTES: u64 = 10 << 20;
const FILES: u32 = 3;
const MOST_FILES: i64 = 1000;
