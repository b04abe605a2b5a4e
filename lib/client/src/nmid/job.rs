//! One job of a worker: everything about it in one place that is its own, so that no other job can be answered by
//! mistake.

use super::connection::Connection;
use msf_wire::json::text_of;
use msf_wire::nmid::{self as wire, Params, RetStruct, Value, glance, lookup, msgpack_to_json, params_type};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// What is to be done, lent to the function that does it.
#[derive(Debug)]
pub struct Job {
    function: Vec<u8>,
    params: Vec<u8>,
    params_type: u32,
    params_handle: u32,
    id: Vec<u8>,
    pub(super) connection: Arc<Connection>,
}

impl Job {
    pub(super) fn new(job: &wire::Job<'_>, connection: &Arc<Connection>) -> Self {
        Self {
            function: job.function.to_owned(),
            params: job.params.bytes.to_owned(),
            params_type: job.params.kind,
            params_handle: job.params.handle,
            id: job.id.to_owned(),
            connection: Arc::clone(connection),
        }
    }

    /// The function that was called.
    #[must_use]
    pub fn function(&self) -> &[u8] {
        &self.function
    }

    /// The arguments, as the caller wrote them.
    #[must_use]
    pub fn params(&self) -> &[u8] {
        &self.params
    }

    /// The arguments as one JSON text, whether they are written in JSON or msgpack: bytes become base64, and none at all
    /// an empty object.
    ///
    /// # Errors
    /// A sentence: they are neither.
    pub fn json(&self) -> Result<Cow<'_, str>, String> {
        json_of(self.params_type, &self.params)
    }

    /// How they are written, see [`params_type`](msf_wire::nmid::params_type).
    #[must_use]
    pub const fn params_type(&self) -> u32 {
        self.params_type
    }

    /// The broker's name for this job, opaque.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// The value under `key`, as text, if the params are a map in msgpack or JSON: a text as it is, a number in decimal.
    #[must_use]
    pub fn string(&self, key: &[u8]) -> Option<Vec<u8>> {
        lookup(self.wire().params, key)
    }

    /// The same for who must stay small: without what is nested, and floats as they are.
    #[must_use]
    pub fn value(&self, key: &[u8]) -> Option<Value<'_>> {
        glance(self.wire().params, key)
    }

    pub(super) fn wire(&self) -> wire::Job<'_> {
        let params = Params { kind: self.params_type, handle: self.params_handle, bytes: &self.params };
        wire::Job { function: &self.function, params, id: &self.id }
    }
}

fn json_of(kind: u32, params: &[u8]) -> Result<Cow<'_, str>, String> {
    if params.is_empty() {
        return Ok(Cow::Borrowed("{}"));
    }
    let text = || text_of(params).map(Cow::Borrowed);
    if kind == params_type::JSON {
        return text().ok_or_else(|| "the params are no JSON".to_owned());
    }
    // Callers that do not say which one it is say msgpack; where both would do it is that.
    let read = msgpack_to_json(params).map(Cow::Owned);
    read.or_else(|_| text().ok_or_else(|| "the params are neither msgpack nor JSON".to_owned()))
}

/// Why a function has no result: what its caller gets to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Not 0, which would be success.
    pub code: i64,
    /// For people.
    pub msg: String,
}

impl Failure {
    /// The code of a function that this worker does not have.
    pub const UNKNOWN_FUNCTION: i64 = 404;
    /// The code of a function that panicked, or returned without an answer.
    pub const BROKEN: i64 = 500;

    /// A failure of the function's own.
    #[must_use]
    pub fn new(code: i64, msg: impl Into<String>) -> Self {
        Self { code, msg: msg.into() }
    }

    /// As the caller gets it. A code of 0 would look like success.
    #[must_use]
    pub fn ret(&self) -> Vec<u8> {
        let code = if self.code == 0 { Self::BROKEN } else { self.code };
        ret(&RetStruct { code, msg: self.msg.as_bytes(), data: b"" })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.msg, self.code)
    }
}

impl std::error::Error for Failure {}

/// A RetStruct in the form that every library of nmid reads.
#[must_use]
pub fn ret(ret: &RetStruct<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RET_WORDS + ret.msg.len() + ret.data.len());
    ret.append_map_to(&mut bytes);
    bytes
}

/// Keys, number and lengths of a RetStruct, in bytes.
const RET_WORDS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_are_one_json_text_whatever_they_were() {
        let of = |kind, params| json_of(kind, params).unwrap().into_owned();
        for kind in [params_type::MSGPACK, params_type::JSON] {
            assert_eq!(of(kind, b""), "{}");
            assert_eq!(of(kind, br#"{"a": 1}"#), r#"{"a": 1}"#);
        }
        assert_eq!(of(params_type::MSGPACK, b"\x81\xa1a\x93\x01\xa1b\xc4\x02\xff\x00"), r#"{"a":[1,"b","/wA="]}"#);
        assert_eq!(of(params_type::MSGPACK, b"5"), "53", "0x35 is a whole number in msgpack");
        assert_eq!(of(params_type::JSON, b"5"), "5");
    }

    #[test]
    fn params_that_are_neither_are_refused() {
        let of = |kind, params| json_of(kind, params).unwrap_err();
        assert_eq!(of(params_type::JSON, b"\x81\xa1a\x01"), "the params are no JSON");
        assert_eq!(of(params_type::MSGPACK, b"\x81\xa1a"), "the params are neither msgpack nor JSON");
    }
}
