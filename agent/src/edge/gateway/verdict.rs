//! How a call ended, as a caller of the gateway is told: the same for both faces and the WebSocket.

use crate::core::message::{Failure, Outcome};
use msf_wire::librpc::errcode;
use msf_wire::nmid::RetStruct;
use msf_wire::{base64, json};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The function ran and returned this, which may say that it failed.
    Returned(RetStruct<'a>),
    /// The worker answered without a result.
    Empty,
    /// The worker's result is no RetStruct.
    Unreadable,
    /// There is no result.
    Failed(Failure),
}

impl<'a> Verdict<'a> {
    /// What an outcome means.
    pub fn of(outcome: &Outcome<'a>) -> Verdict<'a> {
        match *outcome {
            Outcome::Ret([]) => Verdict::Empty,
            Outcome::Ret(ret) => RetStruct::parse(ret).map_or(Verdict::Unreadable, Verdict::Returned),
            Outcome::Service { errcode, body } => {
                Verdict::Returned(RetStruct { code: errcode.into(), msg: words(errcode), data: body })
            }
            Outcome::Failed(why) => Verdict::Failed(why),
        }
    }

    /// The status of the answer, and for the caller a sentence where there is no result.
    pub fn status(&self) -> (u16, &'static str) {
        match self {
            Verdict::Returned(_) => (200, ""),
            Verdict::Empty => (502, "the worker answered without a result"),
            Verdict::Unreadable => (502, "the worker's result is no map or array of Code, Msg and Data in msgpack"),
            Verdict::Failed(Failure::NoWorker) => (404, "no worker offers this function"),
            Verdict::Failed(Failure::Busy) => (429, "too many calls wait for this function already"),
            Verdict::Failed(Failure::Deadline) => (504, "no worker answered in time"),
            Verdict::Failed(Failure::Lost) => (502, "the worker went away before it answered"),
            Verdict::Failed(Failure::Unfit) => (502, "these parameters cannot be handed to the worker there is"),
            Verdict::Failed(Failure::Error) => (502, "the worker failed without a result"),
        }
    }
}

/// What a librpc service says by its error code.
fn words(code: u32) -> &'static [u8] {
    match code {
        errcode::EXEC_SUCC => b"ok",
        errcode::EXEC_FAIL => b"the service could not do it",
        _ => b"the service answered with an error",
    }
}

/// Appends what a function returned as the members of a JSON object that is open.
pub fn append_members(out: &mut Vec<u8>, ret: &RetStruct<'_>) {
    append_code(out, ret.code, &String::from_utf8_lossy(ret.msg));
    out.extend_from_slice(b",\"data\":");
    match (json::text_of(ret.data), std::str::from_utf8(ret.data)) {
        (Some(text), _) => out.extend_from_slice(text.as_bytes()),
        (None, Ok(text)) => json::append_quoted(out, text),
        (None, Err(_)) => {
            json::append_quoted(out, &base64::encode(ret.data));
            out.extend_from_slice(b",\"encoding\":\"base64\"");
        }
    }
}

/// Appends the members that every answer has.
pub fn append_code(out: &mut Vec<u8>, code: i64, msg: &str) {
    out.extend_from_slice(b"\"code\":");
    out.extend_from_slice(code.to_string().as_bytes());
    out.extend_from_slice(b",\"msg\":");
    json::append_quoted(out, msg);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(data: &[u8]) -> String {
        let mut out = Vec::new();
        append_members(&mut out, &RetStruct { code: -3, msg: b"a\"b", data });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn data_is_json_or_a_text_or_base64() {
        let head = r#""code":-3,"msg":"a\"b","data":"#;
        for (data, shown) in [
            (&br#" {"a":[1, 2]} "#[..], r#" {"a":[1, 2]} "#),
            (b"NMID", r#""NMID""#),
            (b"17", "17"),
            (b"", r#""""#),
            ("ä\n".as_bytes(), r#""ä\n""#),
            (b"\xff\0", r#""/wA=","encoding":"base64""#),
        ] {
            assert_eq!(members(data), format!("{head}{shown}"));
        }
    }

    #[test]
    fn a_result_is_a_ret_struct_or_a_services_answer() {
        let ret = b"\x93\x07\xa3bad\xa1x";
        let Verdict::Returned(found) = Verdict::of(&Outcome::Ret(ret)) else { panic!() };
        assert_eq!(found, RetStruct { code: 7, msg: b"bad", data: b"x" });
        assert_eq!(Verdict::of(&Outcome::Ret(b"")), Verdict::Empty);
        assert_eq!(Verdict::of(&Outcome::Ret(b"NMID")), Verdict::Unreadable);
        let Verdict::Returned(found) = Verdict::of(&Outcome::Service { errcode: 0, body: b"x" }) else { panic!() };
        assert_eq!(found, RetStruct { code: 0, msg: b"ok", data: b"x" });
        let Verdict::Returned(found) = Verdict::of(&Outcome::Service { errcode: 4, body: b"" }) else { panic!() };
        assert_eq!(found.code, 4);
    }
}
