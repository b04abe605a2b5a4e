//! The face of nmid's own gateway: requests with the header `N-NMID-RequestType`. Statuses, the spelling of headers and
//! of `REQUST` are what its callers test for, and many a failure is a 200 with a header; so they stay.

use super::manner::Manner;
use super::verdict::Verdict;
use super::wanted::Wanted;
use crate::core::message::Failure;
use msf_wire::http::{Request, percent_decoded};
use msf_wire::nmid::{Numbers, json_to_msgpack, params_type};
use std::borrow::Cow;

/// The request header that asks for this face.
pub const REQUEST_TYPE: &str = "N-NMID-RequestType";

/// What a request of this face comes to.
#[derive(Debug, PartialEq)]
pub enum Ask<'a> {
    /// A function is to be called.
    Call(Wanted<'a>),
    /// It is answered, with this status.
    Answered(u16),
}

/// Reads a request. The `knows` a function by its name: one may be called like a path, with its slash, as the original
/// wants it; every other path is a name behind a slash.
pub fn ask<'a>(request: &'a Request<'_>, manner: Manner, knows: impl Fn(&[u8]) -> bool, out: &mut Vec<u8>) -> Ask<'a> {
    let head = &request.head;
    match head.method {
        "GET" | "POST" | "PUT" => {}
        "OPTIONS" => {
            manner.end(manner.begin(out, 200).header("Allow", ALLOW), b"");
            return Ask::Answered(200);
        }
        _ => {
            let response = manner.begin(out, 405).header("Allow", ALLOW).header("Content-Type", TEXT);
            manner.end(response, b"Method Not Allowed\n");
            return Ask::Answered(405);
        }
    }
    if head.header(REQUEST_TYPE) != Some(b"HTTP_DO_WORK") {
        manner.end(manner.begin(out, 200), b"");
        return Ask::Answered(200);
    }
    let named = head.header("N-NMID-FunctionName").unwrap_or_default();
    let Some(function) = function(named, head.path(), knows) else {
        return Ask::Answered(manner.refuse(
            out,
            400,
            "a per cent sign in the path is not followed by two digits",
            &[],
        ));
    };
    match params(request) {
        Ok((kind, params)) => Ask::Call(Wanted { function, kind, params, patience: Some(PATIENCE) }),
        Err(row) => Ask::Answered(answer(row, named, manner, out)),
    }
}

/// Answers a call. `named` is the request's own header, which is echoed.
pub fn conclude(verdict: &Verdict<'_>, named: &[u8], manner: Manner, out: &mut Vec<u8>) -> u16 {
    let row = match verdict {
        Verdict::Returned(ret) if ret.code == 0 => {
            let mut response = manner.begin(out, 200).header("N-Nmid-Functionname", named);
            response = response.header("N-Nmid-Pdtdatatype", b"PDT_S_RETURN_DATA");
            if !ret.data.is_empty() {
                response = response.header("Content-Type", sniffed(ret.data));
            }
            manner.end(response, ret.data);
            return 200;
        }
        Verdict::Returned(ret) => Row(200, "RET CODE ERROR", ret.msg),
        Verdict::Unreadable => Row(200, "RET MSGPACK UNMARSHAL ERROR", b"no RetStruct"),
        Verdict::Empty => Row(200, "", b""),
        Verdict::Failed(Failure::Deadline) => Row(408, "REQUST TIME OUT", b"RESTIMEOUT"),
        Verdict::Failed(Failure::NoWorker) => Row(500, REQUST, b"have no job do"),
        Verdict::Failed(Failure::Busy) => Row(500, REQUST, b"have ratelimit"),
        Verdict::Failed(Failure::Lost | Failure::Unfit | Failure::Error) => BAD,
    };
    answer(row, named, manner, out)
}

/// A failure: its status, the value of `MessageStatusType`, that of `ErrorMessage`.
struct Row<'a>(u16, &'static str, &'a [u8]);

fn answer(Row(status, kind, message): Row<'_>, named: &[u8], manner: Manner, out: &mut Vec<u8>) -> u16 {
    let mut response = manner.begin(out, status);
    if !kind.is_empty() {
        response = response.header("N-Nmid-Errormessage", message);
    }
    response = response.header("N-Nmid-Functionname", named);
    if !kind.is_empty() {
        response = response.header("N-Nmid-Messagestatustype", kind.as_bytes());
    }
    manner.end(response, b"");
    status
}

fn function<'a>(named: &'a [u8], path: &'a str, knows: impl Fn(&[u8]) -> bool) -> Option<Cow<'a, [u8]>> {
    if !named.is_empty() {
        return Some(Cow::Borrowed(named));
    }
    let path = percent_decoded(path)?;
    if knows(&path) || !path.starts_with(b"/") {
        return Some(path);
    }
    Some(match path {
        Cow::Borrowed(path) => Cow::Borrowed(path.get(1..).unwrap_or_default()),
        Cow::Owned(mut path) => {
            path.remove(0);
            Cow::Owned(path)
        }
    })
}

/// The arguments and how they are written, or why there are none.
fn params<'a>(request: &'a Request<'_>) -> Result<(u32, Cow<'a, [u8]>), Row<'static>> {
    let is_chunked = request.head.header("transfer-encoding").is_some();
    match request.body.is_empty() {
        true if is_chunked => return Err(Row(200, "READ PARAMS EMPTY", b"read params empty")),
        true => return Err(Row(200, "PARAMS LENGTH ZERO", b"params length zero")),
        false => {}
    }
    let asked = request.head.header("N-NMID-ParamsType").map(|value| String::from_utf8_lossy(value).parse::<i64>());
    match asked {
        None | Some(Err(_)) => {}
        Some(Ok(kind)) if kind == i64::from(params_type::MSGPACK) => {}
        Some(Ok(kind)) if kind == i64::from(params_type::JSON) => {
            return Ok((params_type::JSON, Cow::Borrowed(&request.body)));
        }
        Some(Ok(_)) => return Err(BAD),
    }
    match json_to_msgpack(&request.body, Numbers::Float) {
        Ok(params) => Ok((params_type::MSGPACK, Cow::Owned(params))),
        Err(_) => Err(Row(200, "JSON UNMARSHAL ERROR", b"json unmarshal error")),
    }
}

/// What Go's library takes bytes for, as far as text and other things are concerned.
fn sniffed(data: &[u8]) -> &'static [u8] {
    let is_binary = |byte: &u8| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f);
    if data.iter().take(512).any(is_binary) { b"application/octet-stream" } else { TEXT }
}

const ALLOW: &[u8] = b"GET, OPTIONS, POST, PUT";
const TEXT: &[u8] = b"text/plain; charset=utf-8";
const REQUST: &str = "REQUST ERROR";
const BAD: Row<'static> = Row(500, REQUST, b"request error");
/// How long the original waits, in milliseconds.
const PATIENCE: u32 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::message::Outcome;
    use msf_wire::http::{Decoder, Limits, Step};

    /// What a request comes to: the call as text, or the answer's bytes.
    fn asked(bytes: &str) -> String {
        let mut decoder = Decoder::default();
        let Ok(Step::Request(request, _)) = decoder.step(bytes.as_bytes(), &Limits::default()) else { panic!() };
        let mut out = Vec::new();
        match ask(&request, Manner::of(&request.head, false), |name| name == b"/known", &mut out) {
            Ask::Call(wanted) => {
                let (function, params) = (wanted.function.escape_ascii(), wanted.params.escape_ascii());
                format!("{function} {} {params} {:?}", wanted.kind, wanted.patience)
            }
            Ask::Answered(status) => {
                let text = String::from_utf8(out).unwrap();
                assert!(text.starts_with(&format!("HTTP/1.1 {status} ")));
                text.split_once("\r\n").unwrap().1.to_owned()
            }
        }
    }

    fn post(lines: &str, body: &str) -> String {
        let work = "POST / HTTP/1.1\r\nHost: a\r\nn-nmid-requesttype: HTTP_DO_WORK\r\n";
        asked(&format!("{work}{lines}Content-Length: {}\r\n\r\n{body}", body.len()))
    }

    fn concluded(outcome: &Outcome<'_>) -> String {
        let mut out = Vec::new();
        let manner = Manner { persistence: msf_wire::http::Persistence::Stays, ..Manner::last() };
        conclude(&Verdict::of(outcome), b"ToUpper", manner, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_body_of_json_becomes_msgpack_or_stays_as_it_is() {
        let header = "N-NMID-FunctionName: ToUpper\r\n";
        assert_eq!(post(header, r#"{"n":4}"#), r"ToUpper 5 \x81\xa1n\xcb@\x10\x00\x00\x00\x00\x00\x00 Some(30000)");
        let json = format!("{header}N-NMID-ParamsType: 6\r\nN-NMID-ParamsHandleType: 11\r\n");
        assert_eq!(post(&json, "no JSON"), "ToUpper 6 no JSON Some(30000)");
        let odd = format!("{header}N-NMID-ParamsType: five\r\n");
        assert_eq!(post(&odd, "{}"), r"ToUpper 5 \x80 Some(30000)");
    }

    #[test]
    fn without_a_name_the_path_is_one_without_its_slash_where_nobody_is_called_like_the_path() {
        let work = "Host: a\r\nN-NMID-RequestType: HTTP_DO_WORK\r\nContent-Length: 2\r\n\r\n{}";
        for (path, function) in [("/Echo?x", "Echo"), ("/known", "/known"), ("/a%2fb", "a/b"), ("/", "")] {
            let expected = format!(r"{function} 5 \x80 Some(30000)");
            assert_eq!(asked(&format!("PUT {path} HTTP/1.1\r\n{work}")), expected);
        }
    }

    #[test]
    fn failures_of_the_request_are_told_as_the_original_tells_them() {
        let row = |kind: &str, message: &str| {
            let name = "N-Nmid-Functionname: F\r\n";
            format!(
                "N-Nmid-Errormessage: {message}\r\n{name}N-Nmid-Messagestatustype: {kind}\r\nContent-Length: 0\r\n\r\n"
            )
        };
        let header = "N-NMID-FunctionName: F\r\n";
        assert_eq!(post(header, ""), row("PARAMS LENGTH ZERO", "params length zero"));
        assert_eq!(post(header, "[1]"), row("JSON UNMARSHAL ERROR", "json unmarshal error"));
        assert_eq!(post(&format!("{header}N-NMID-ParamsType: 7\r\n"), "{}"), row("REQUST ERROR", "request error"));
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nN-NMID-RequestType: HTTP_DO_WORK\r\n\
            N-NMID-FunctionName: F\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        assert_eq!(asked(chunked), row("READ PARAMS EMPTY", "read params empty"));
        assert!(post("", "").contains("N-Nmid-Functionname: \r\n"), "the echo of a header that was not there");
    }

    #[test]
    fn another_type_of_request_is_an_empty_200_and_another_method_a_405() {
        let other = "Host: a\r\nN-NMID-RequestType: HTTP_ADD_SERVICE\r\n\r\n";
        assert_eq!(asked(&format!("GET / HTTP/1.1\r\n{other}")), "Content-Length: 0\r\n\r\n");
        let allow = "Allow: GET, OPTIONS, POST, PUT\r\n";
        assert_eq!(asked(&format!("OPTIONS / HTTP/1.1\r\n{other}")), format!("{allow}Content-Length: 0\r\n\r\n"));
        let text = "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 19\r\n\r\n";
        let answer = format!("{allow}{text}Method Not Allowed\n");
        assert_eq!(asked(&format!("DELETE / HTTP/1.1\r\n{other}")), answer);
        assert_eq!(asked(&format!("HEAD / HTTP/1.1\r\n{other}")), format!("{allow}{text}"), "a HEAD has no body");
    }

    #[test]
    fn results_are_told_as_the_original_tells_them() {
        let success = "HTTP/1.1 200 OK\r\nN-Nmid-Functionname: ToUpper\r\nN-Nmid-Pdtdatatype: PDT_S_RETURN_DATA\r\n";
        let text = "Content-Type: text/plain; charset=utf-8\r\n";
        assert_eq!(
            concluded(&Outcome::Ret(b"\x93\x00\xa2ok\xa4NMID")),
            format!("{success}{text}Content-Length: 4\r\n\r\nNMID")
        );
        assert_eq!(concluded(&Outcome::Ret(b"\x93\x00\xa2ok\xc0")), format!("{success}Content-Length: 0\r\n\r\n"));
        let binary = "Content-Type: application/octet-stream\r\nContent-Length: 1\r\n\r\n\u{1}";
        assert_eq!(concluded(&Outcome::Service { errcode: 0, body: b"\x01" }), format!("{success}{binary}"));
        let row = |status: &str, kind: &str, message: &str| {
            let name = "N-Nmid-Functionname: ToUpper\r\n";
            let (front, end) = (format!("HTTP/1.1 {status}\r\n"), "Content-Length: 0\r\n\r\n");
            format!("{front}N-Nmid-Errormessage: {message}\r\n{name}N-Nmid-Messagestatustype: {kind}\r\n{end}")
        };
        assert_eq!(concluded(&Outcome::Ret(b"\x93\x07\xa3bad\xc0")), row("200 OK", "RET CODE ERROR", "bad"));
        let unreadable = row("200 OK", "RET MSGPACK UNMARSHAL ERROR", "no RetStruct");
        assert_eq!(concluded(&Outcome::Ret(b"NMID")), unreadable);
        let empty = "HTTP/1.1 200 OK\r\nN-Nmid-Functionname: ToUpper\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(concluded(&Outcome::Ret(b"")), empty);
        let failed = |why| concluded(&Outcome::Failed(why));
        let server = "500 Internal Server Error";
        assert_eq!(failed(Failure::NoWorker), row(server, "REQUST ERROR", "have no job do"));
        assert_eq!(failed(Failure::Busy), row(server, "REQUST ERROR", "have ratelimit"));
        for why in [Failure::Lost, Failure::Unfit, Failure::Error] {
            assert_eq!(failed(why), row(server, "REQUST ERROR", "request error"));
        }
        assert_eq!(failed(Failure::Deadline), row("408 Request Timeout", "REQUST TIME OUT", "RESTIMEOUT"));
    }
}
