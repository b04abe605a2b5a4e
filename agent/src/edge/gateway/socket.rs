//! What is said over the WebSocket: `{id,function,params,deadline}` from the client, `{id,code,msg,data}` from us, in the
//! order in which the calls end. An answer without `data` is the agent's own; its code is a status with a minus.

use super::modern::packed;
use super::verdict::{Verdict, append_code, append_members};
use super::wanted::{BAD_PATIENCE, Wanted, patience};
use msf_wire::state;
use msf_wire::{json, nmid::params_type};
use std::collections::HashMap;

/// The calls of one connection that have no end yet.
#[derive(Debug, Default)]
pub struct Calls {
    open: HashMap<u32, Asked>,
    ticket: u32,
}

state! { struct Calls { open, ticket } }

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The client's name for it, as it was written.
    id: Box<str>,
    /// When it came, in microseconds.
    pub since: u64,
}

state! { struct Asked { id, since } }

impl Calls {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// A call has begun: the ticket its end must come to.
    pub fn begin(&mut self, id: &str, since: u64) -> u32 {
        self.ticket = self.ticket.wrapping_add(1);
        self.open.insert(self.ticket, Asked { id: id.into(), since });
        self.ticket
    }

    /// The call of this ticket has ended.
    pub fn end(&mut self, ticket: u32) -> Option<Asked> {
        self.open.remove(&ticket)
    }
}

impl Asked {
    /// Its answer.
    pub fn conclude(&self, verdict: &Verdict<'_>) -> String {
        match verdict {
            Verdict::Returned(ret) => message(&self.id, |out| append_members(out, ret)),
            _ => {
                let (status, why) = verdict.status();
                complaint(&self.id, status, why)
            }
        }
    }
}

/// The call a text asks for, and its id.
///
/// # Errors
/// The answer that says what is wrong with it, which has its id if that could be read.
pub fn read(text: &str) -> Result<(Wanted<'static>, String), String> {
    let members = json::members(text).map_err(|why| complaint("null", 400, &format!("not a JSON object: {why}")))?;
    let id = members.get("id").copied().unwrap_or("null");
    if id.len() > LONGEST_ID {
        return Err(complaint("null", 400, "the id is longer than 256 bytes"));
    }
    let refused = |why: &str| complaint(id, 400, why);
    let function = members.get("function").and_then(|value| json::unquoted(value)).filter(|name| !name.is_empty());
    let function = function.ok_or_else(|| refused("\"function\" is not the name of one"))?;
    let patience = match members.get("deadline") {
        None | Some(&"null") => None,
        Some(text) => Some(patience(text).ok_or_else(|| refused(BAD_PATIENCE))?),
    };
    let params = members.get("params").copied().unwrap_or("{}");
    let params = packed(params.as_bytes()).map_err(|why| refused(&why))?;
    let function = function.into_bytes().into();
    Ok((Wanted { function, kind: params_type::MSGPACK, params: params.into(), patience }, id.to_owned()))
}

/// An answer of the agent's own.
pub fn complaint(id: &str, status: u16, why: &str) -> String {
    message(id, |out| append_code(out, -i64::from(status), why))
}

fn message(id: &str, members: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = format!("{{\"id\":{id},").into_bytes();
    members(&mut out);
    out.push(b'}');
    // Put together from texts and JSON, which are UTF-8.
    String::from_utf8(out).unwrap_or_default()
}

/// An id is kept until its call ends.
const LONGEST_ID: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::message::{Failure, Outcome};

    #[test]
    fn a_request_is_taken_apart() {
        let text = r#"{"id":"a","function":"upnp/0x26","params":{"n":[1]},"deadline":250,"more":0}"#;
        let (wanted, id) = read(text).unwrap();
        assert_eq!((&wanted.function[..], wanted.patience, &id[..]), (&b"upnp/0x26"[..], Some(250), r#""a""#));
        assert_eq!((&wanted.params[..], wanted.kind), (&b"\x81\xa1n\x91\x01"[..], 5));
        let (wanted, id) = read(r#"{"function":"F"}"#).unwrap();
        assert_eq!((&wanted.params[..], wanted.patience, &id[..]), (&b"\x80"[..], None, "null"));
    }

    #[test]
    fn what_is_no_request_is_answered_under_its_id() {
        for (text, id, why) in [
            ("", "null", "not a JSON object"),
            ("[1]", "null", "not a JSON object"),
            (r#"{"id":7}"#, "7", "function"),
            (r#"{"id":[7],"function":""}"#, "[7]", "function"),
            (r#"{"id":7,"function":1}"#, "7", "function"),
            (r#"{"id":7,"function":"F","deadline":0}"#, "7", "between 1 and 86400000"),
            (r#"{"id":7,"function":"F","deadline":"5"}"#, "7", "between 1 and 86400000"),
        ] {
            let answer = read(text).unwrap_err();
            let members = json::members(&answer).unwrap();
            assert_eq!((members["id"], members["code"]), (id, "-400"), "{text}");
            assert!(members["msg"].contains(why) && !members.contains_key("data"), "{answer}");
        }
        let long = format!(r#"{{"id":"{}","function":"F"}}"#, "x".repeat(300));
        assert!(read(&long).unwrap_err().starts_with(r#"{"id":null,"code":-400"#));
    }

    #[test]
    fn ends_find_their_calls_once() {
        let mut calls = Calls::default();
        let (first, second) = (calls.begin("1", 5), calls.begin(r#""b""#, 6));
        let ret = Outcome::Ret(b"\x93\x00\xa2ok\xa4NMID");
        let answer = calls.end(second).unwrap().conclude(&Verdict::of(&ret));
        assert_eq!(answer, r#"{"id":"b","code":0,"msg":"ok","data":"NMID"}"#);
        let text = calls.end(first).unwrap().conclude(&Verdict::Failed(Failure::NoWorker));
        assert_eq!(&text[..24], r#"{"id":1,"code":-404,"msg"#);
        assert!(calls.end(first).is_none() && calls.len() == 0);
    }
}
