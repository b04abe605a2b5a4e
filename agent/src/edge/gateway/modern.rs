//! Our own face: `POST /call/<function>` with JSON or msgpack, the pages that say how the agent is, the door to the
//! WebSocket; a status that says what happened, and a sentence where that is a failure.

use super::manner::Manner;
use super::verdict::{Verdict, append_members};
use super::wanted::{BAD_PATIENCE, Wanted, patience};
use msf_wire::http::{Head, Request, Response, percent_decoded};
use msf_wire::nmid::{Numbers, RetStruct, is_msgpack, json_to_msgpack, params_type};
use msf_wire::state;
use msf_wire::ws;
use std::borrow::Cow;

/// What a request of this face comes to.
#[derive(Debug, PartialEq)]
pub enum Ask<'a> {
    /// A function is to be called, and the outcome told like this.
    Call(Wanted<'a>, Telling),
    /// It is answered, with this status.
    Answered(u16),
    /// It is answered, and the connection is a WebSocket from here on.
    Upgraded,
}

/// How an outcome is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// The request's name for itself, or ours for it.
    id: Box<[u8]>,
    encoding: Encoding,
}

state! { struct Telling { id, encoding } }

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Json,
    Msgpack,
}

state! { enum Encoding { 0 Json, 1 Msgpack } }

/// How things are when a request comes, as far as it must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// It takes no more calls, because it ends.
    pub draining: bool,
    /// Its memory ceiling is reached.
    pub full: bool,
    /// Earlier requests of this connection are not answered yet.
    pub behind: bool,
}

/// Reads a request. `fresh` is a number no other request has, for those that have no name.
pub fn ask<'a>(request: &'a Request<'_>, manner: Manner, health: Health, fresh: u64, out: &mut Vec<u8>) -> Ask<'a> {
    let (head, path) = (&request.head, request.head.path());
    if let Some(function) = path.strip_prefix("/call/") {
        let id = head.header("X-Request-Id").map_or_else(|| format!("{fresh:016x}").into_bytes(), <[u8]>::to_vec);
        let named: &[(&str, &[u8])] = &[("X-Request-Id", &id)];
        return match wanted(request, function, health) {
            Ok((wanted, encoding)) => Ask::Call(wanted, Telling { encoding, id: id.into() }),
            Err((405, why)) => Ask::Answered(manner.refuse(out, 405, &why, &[("Allow", b"POST")])),
            Err((status, why)) => Ask::Answered(manner.refuse(out, status, &why, named)),
        };
    }
    match path {
        "/healthz" | "/readyz" | "/ws" if !matches!(head.method, "GET" | "HEAD") => {
            Ask::Answered(manner.refuse(out, 405, "this is only to be read", &[("Allow", b"GET, HEAD")]))
        }
        "/healthz" => Ask::Answered(page(manner, 200, "ok", out)),
        "/readyz" if health.draining => Ask::Answered(page(manner, 503, "draining", out)),
        "/readyz" => Ask::Answered(page(manner, 200, "ready", out)),
        "/ws" => upgrade(head, manner, health, out),
        _ => Ask::Answered(manner.refuse(
            out,
            404,
            "there is nothing here; functions are called at /call/<function>",
            &[],
        )),
    }
}

impl Telling {
    /// Answers a call.
    pub fn conclude(&self, verdict: &Verdict<'_>, manner: Manner, out: &mut Vec<u8>) -> u16 {
        let Verdict::Returned(ret) = verdict else {
            let (status, why) = verdict.status();
            return manner.refuse(out, status, why, &[("X-Request-Id", &self.id)]);
        };
        let mut body = Vec::with_capacity(ret.data.len() + ret.msg.len() + 64);
        let kind: &[u8] = match self.encoding {
            Encoding::Json => {
                body.push(b'{');
                append_members(&mut body, ret);
                body.push(b'}');
                b"application/json"
            }
            Encoding::Msgpack => {
                append_msgpack(&mut body, ret);
                MSGPACK[0].as_bytes()
            }
        };
        let response = manner.begin(out, 200).header("X-Request-Id", &self.id).header("Content-Type", kind);
        manner.end(response, &body);
        200
    }
}

type Refused = (u16, Cow<'static, str>);

/// The call a request asks for.
fn wanted<'a>(request: &'a Request<'_>, function: &'a str, health: Health) -> Result<(Wanted<'a>, Encoding), Refused> {
    let head = &request.head;
    if head.method != "POST" {
        return Err((405, "a function is called by POST".into()));
    }
    admitted(head, health)?;
    let function = percent_decoded(function)
        .ok_or((400, "a per cent sign in the function's name is not followed by two hex digits".into()))?;
    if function.is_empty() {
        return Err((404, "the function has no name".into()));
    }
    let patience = match head.header("Deadline") {
        None => None,
        Some(text) => Some(patience(&String::from_utf8_lossy(text)).ok_or((400, BAD_PATIENCE.into()))?),
    };
    let sent = match head.header("Content-Type") {
        None => Encoding::Json,
        Some(kind) => Encoding::named(kind).ok_or((415, UNSUPPORTED.into()))?,
    };
    let params = match sent {
        _ if request.body.is_empty() => Cow::Borrowed(NO_PARAMS),
        Encoding::Json => Cow::Owned(packed(&request.body).map_err(|why| (400, why.into()))?),
        Encoding::Msgpack if is_msgpack(&request.body) => Cow::Borrowed(&request.body[..]),
        Encoding::Msgpack => return Err((400, "the body is not one value in msgpack".into())),
    };
    let told = head.header("Accept").and_then(Encoding::accepted).unwrap_or(sent);
    Ok((Wanted { function, kind: params_type::MSGPACK, params, patience }, told))
}

/// Whether calls are taken at all, and from whoever asks.
fn admitted(head: &Head<'_>, health: Health) -> Result<(), Refused> {
    if health.draining {
        return Err((503, "the agent is about to end".into()));
    }
    if health.full {
        return Err((503, "the agent's memory ceiling is reached".into()));
    }
    // Any page of the web may let a browser talk to a port of this machine, but must say who it is.
    let own = |origin: &[u8]| head.header("Host").is_some_and(|host| origin.ends_with(&[b"//", host].concat()));
    match head.header("Origin") {
        Some(origin) if !own(origin) => Err((403, "a page of another origin may not call functions here".into())),
        _ => Ok(()),
    }
}

/// JSON in msgpack, or a sentence that says where it is none.
pub(super) fn packed(text: &[u8]) -> Result<Vec<u8>, String> {
    std::str::from_utf8(text).map_err(|error| format!("not JSON: no UTF-8 behind byte {}", error.valid_up_to()))?;
    json_to_msgpack(text, Numbers::Natural)
}

impl Encoding {
    /// The encoding of this media type, whatever its parameters.
    fn named(kind: &[u8]) -> Option<Encoding> {
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        match MSGPACK.iter().any(|name| kind.eq_ignore_ascii_case(name.as_bytes())) {
            true => Some(Encoding::Msgpack),
            false => kind.eq_ignore_ascii_case(b"application/json").then_some(Encoding::Json),
        }
    }

    /// The first one in a list of those a client takes.
    fn accepted(list: &[u8]) -> Option<Encoding> {
        list.split(|byte| *byte == b',').find_map(Encoding::named)
    }
}

/// Appends the map of `code`, `msg` and `data`, the last one as bytes. Every size is written in full, which msgpack
/// allows.
fn append_msgpack(out: &mut Vec<u8>, ret: &RetStruct<'_>) {
    out.extend_from_slice(b"\x83\xa4code\xd3");
    out.extend_from_slice(&ret.code.to_be_bytes());
    for (front, bytes) in [(b"\xa3msg\xdb".as_slice(), ret.msg), (b"\xa4data\xc6", ret.data)] {
        out.extend_from_slice(front);
        // A result longer than a u32 can say does not pass the payload limit.
        out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        out.extend_from_slice(bytes);
    }
}

fn page(manner: Manner, status: u16, word: &str, out: &mut Vec<u8>) -> u16 {
    let response = manner.begin(out, status).header("Content-Type", b"application/json");
    manner.end(response.header("Cache-Control", b"no-store"), format!("{{\"status\":\"{word}\"}}\n").as_bytes());
    status
}

fn upgrade(head: &Head<'_>, manner: Manner, health: Health, out: &mut Vec<u8>) -> Ask<'static> {
    if let Err((status, why)) = admitted(head, health) {
        return Ask::Answered(manner.refuse(out, status, &why, &[]));
    }
    let is_13 = head.header("Sec-WebSocket-Version") == Some(b"13");
    if head.method != "GET" || !head.upgrades_to("websocket") || !is_13 {
        let more: &[(&str, &[u8])] = &[("Upgrade", b"websocket"), ("Sec-WebSocket-Version", b"13")];
        return Ask::Answered(manner.refuse(out, 426, "this is a WebSocket of version 13", more));
    }
    if health.behind {
        // Nobody could tell where its answers end and the frames begin.
        return Ask::Answered(manner.refuse(
            out,
            400,
            "a WebSocket cannot begin behind requests without an answer",
            &[],
        ));
    }
    let Some(accept) = head.header("Sec-WebSocket-Key").and_then(ws::accept) else {
        return Ask::Answered(manner.refuse(out, 400, "Sec-WebSocket-Key is not 16 bytes in base64", &[]));
    };
    Response::switching(out, "websocket").header("Sec-WebSocket-Accept", accept.as_bytes()).end();
    Ask::Upgraded
}

const MSGPACK: [&str; 2] = ["application/msgpack", "application/x-msgpack"];
/// An empty map: whoever sends no body has no arguments.
const NO_PARAMS: &[u8] = b"\x80";
const UNSUPPORTED: &str = "a body is application/json, application/msgpack or application/x-msgpack";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::message::{Failure, Outcome};
    use msf_wire::http::{Decoder, Limits, Step};

    const WELL: Health = Health { draining: false, full: false, behind: false };

    /// What a request comes to: the call as text, or the answer.
    fn asked_when(health: Health, bytes: &str) -> String {
        let mut decoder = Decoder::default();
        let Ok(Step::Request(request, _)) = decoder.step(bytes.as_bytes(), &Limits::default()) else { panic!() };
        let mut out = Vec::new();
        match ask(&request, Manner::of(&request.head, false), health, 255, &mut out) {
            Ask::Call(wanted, Telling { id, encoding }) => {
                let (function, params) = (wanted.function.escape_ascii(), wanted.params.escape_ascii());
                format!("{function}({params}) {:?} {} {encoding:?}", wanted.patience, id.escape_ascii())
            }
            Ask::Answered(status) => {
                let text = String::from_utf8(out).unwrap();
                assert!(text.starts_with(&format!("HTTP/1.1 {status} ")));
                text
            }
            Ask::Upgraded => String::from_utf8(out).unwrap(),
        }
    }

    fn asked(bytes: &str) -> String {
        asked_when(WELL, bytes)
    }

    fn post(path: &str, lines: &str, body: &str) -> String {
        asked(&format!("POST {path} HTTP/1.1\r\nHost: a:1\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len()))
    }

    /// The status and the sentence of a refusal.
    fn refused(answer: &str) -> (u16, String) {
        let status = answer.get(9..12).and_then(|text| text.parse().ok()).unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let members = msf_wire::json::members(body).unwrap();
        assert_eq!(members["code"], format!("-{status}"));
        (status, msf_wire::json::unquoted(members["msg"]).unwrap())
    }

    #[test]
    fn a_function_is_called_by_its_path() {
        let id = "00000000000000ff";
        assert_eq!(post("/call/ToUpper", "", r#"{"n":4}"#), format!(r"ToUpper(\x81\xa1n\x04) None {id} Json"));
        assert_eq!(post("/call/upnp/0x26?x", "", ""), format!(r"upnp/0x26(\x80) None {id} Json"));
        assert_eq!(post("/call/a%20b%2f", "", "null"), format!(r"a b/(\xc0) None {id} Json"));
    }

    #[test]
    fn headers_say_how_long_how_and_under_which_name() {
        let lines = "Deadline: 250\r\nX-Request-Id: abc\r\nContent-Type: application/x-msgpack\r\n";
        assert_eq!(post("/call/F", lines, "\x01"), r"F(\x01) Some(250) abc Msgpack");
        let lines = "Content-Type: Application/JSON; charset=utf-8\r\nAccept: text/html, application/msgpack;q=1\r\n";
        assert!(post("/call/F", lines, "1").ends_with("Msgpack"));
        assert!(post("/call/F", "Content-Type: application/msgpack\r\nAccept: */*\r\n", "\x01").ends_with("Msgpack"));
    }

    #[test]
    fn what_cannot_be_called_is_refused_with_a_sentence() {
        let json = "Content-Type: application/json\r\n";
        for (path, lines, body, status, why) in [
            ("/call/F", json, "{\"a\":", 400, "not JSON: EOF while parsing a value at line 1 column 5"),
            ("/call/%zz", json, "{}", 400, "per cent"),
            ("/call/", json, "{}", 404, "no name"),
            ("/call/F", "Content-Type: text/plain\r\n", "{}", 415, "application/json"),
            ("/call/F", "Content-Type: application/msgpack\r\n", "\x01\x02", 400, "msgpack"),
            ("/call/F", "Deadline: 0\r\n", "", 400, "between 1 and 86400000"),
            ("/call/F", "Deadline: 86400001\r\n", "", 400, "between 1 and 86400000"),
            ("/call/F", "Deadline: +1\r\n", "", 400, "between 1 and 86400000"),
            ("/call/F", "Origin: https://evil.example\r\n", "", 403, "origin"),
            ("/call/F", "Origin: null\r\n", "", 403, "origin"),
            ("/ca11/F", "", "", 404, "/call/"),
            ("/healthz", "", "", 405, "read"),
        ] {
            let (found, sentence) = refused(&post(path, lines, body));
            assert!(found == status && sentence.contains(why), "{path} {lines:?}: {found} {sentence}");
        }
        assert!(post("/call/F", "Origin: http://a:1\r\n", "").starts_with("F("), "a page of our own host");
        assert!(asked("GET /call/F HTTP/1.1\r\nHost: a\r\n\r\n").contains("\r\nAllow: POST\r\n"));
        let refused_too = post("/call/F", "X-Request-Id: 7\r\n", "{");
        assert!(refused_too.contains("\r\nX-Request-Id: 7\r\n"), "{refused_too}");
    }

    #[test]
    fn an_agent_that_ends_or_is_full_takes_no_calls_and_says_so() {
        let (call, ready) = ("POST /call/F HTTP/1.1\r\nHost: a\r\n\r\n", "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
        let ending = Health { draining: true, ..WELL };
        let full = Health { full: true, ..WELL };
        assert_eq!(refused(&asked_when(ending, call)).0, 503);
        assert_eq!(refused(&asked_when(full, call)).0, 503);
        assert!(asked_when(ending, call).contains("\r\nRetry-After: 1\r\n"));
        assert!(asked_when(ending, ready).starts_with("HTTP/1.1 503 ") && asked_when(full, ready).contains("ready"));
        let health = "HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
        assert!(asked_when(ending, health).ends_with("\r\nContent-Length: 16\r\n\r\n"));
    }

    #[test]
    fn a_web_socket_is_agreed_on_or_explained() {
        let ask =
            |lines: &str| asked(&format!("GET /ws HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"));
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(ask(&format!("{upgrade}{key}")), agreed);
        assert_eq!(refused(&ask(key)).0, 426);
        let behind = Health { behind: true, ..WELL };
        let bytes = format!("GET /ws HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Version: 13\r\n{upgrade}{key}\r\n");
        assert_eq!(refused(&asked_when(behind, &bytes)).0, 400);
        assert_eq!(refused(&ask(upgrade)).0, 400);
        assert_eq!(refused(&ask(&format!("{upgrade}{key}Origin: http://b\r\n"))).0, 403);
    }

    fn concluded(outcome: &Outcome<'_>, encoding: Encoding) -> Vec<u8> {
        let mut out = Vec::new();
        let manner = Manner { persistence: msf_wire::http::Persistence::Stays, ..Manner::last() };
        Telling { id: (*b"7").into(), encoding }.conclude(&Verdict::of(outcome), manner, &mut out);
        out
    }

    #[test]
    fn a_result_is_told_in_json_or_msgpack() {
        let ret = Outcome::Ret(b"\x93\x07\xa3bad\xa5[1,2]");
        let head = |kind: &str, length: usize| {
            format!("HTTP/1.1 200 OK\r\nX-Request-Id: 7\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n")
        };
        let json = head("application/json", 35) + r#"{"code":7,"msg":"bad","data":[1,2]}"#;
        assert_eq!(String::from_utf8(concluded(&ret, Encoding::Json)).unwrap(), json);
        let body = b"\x83\xa4code\xd3\0\0\0\0\0\0\0\x07\xa3msg\xdb\0\0\0\x03bad\xa4data\xc6\0\0\0\x05[1,2]";
        assert!(is_msgpack(body));
        let packed = [head("application/msgpack", body.len()).as_bytes(), body].concat();
        assert_eq!(concluded(&ret, Encoding::Msgpack), packed);
    }

    #[test]
    fn a_call_without_result_has_its_status() {
        for (outcome, status) in [
            (Outcome::Failed(Failure::NoWorker), 404),
            (Outcome::Failed(Failure::Busy), 429),
            (Outcome::Failed(Failure::Deadline), 504),
            (Outcome::Failed(Failure::Lost), 502),
            (Outcome::Failed(Failure::Unfit), 502),
            (Outcome::Failed(Failure::Error), 502),
            (Outcome::Ret(b""), 502),
            (Outcome::Ret(b"NMID"), 502),
        ] {
            let answer = String::from_utf8(concluded(&outcome, Encoding::Msgpack)).unwrap();
            assert_eq!(refused(&answer).0, status, "{outcome:?}");
            assert!(answer.contains("\r\nX-Request-Id: 7\r\n"));
        }
    }
}
