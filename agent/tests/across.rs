//! Callers of every protocol reach whoever carries a function out, whatever that speaks: the right data, and the right
//! word for each failure.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::nmid::{Client, PARAMS, Reply, Worker};
use common::{Agent, Peer, UPNP, frame};
use msf_wire::librpc::{CallFunction, Header, cmd, errcode, id};
use msf_wire::nmid::RetStruct;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::ScopedJoinHandle;

/// How a call ended, in words that all protocols have.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Data(Vec<u8>),
    /// The function says that it has failed, and how.
    Code(i64),
    Nobody,
    Died,
}

/// A caller of one protocol, who has asked.
enum Caller {
    Librpc(Peer),
    Nmid(Client),
    Http(TcpStream),
}

const CALLERS: [&str; 4] = ["librpc", "G0", "G2", "HTTP"];

/// What nmid's workers are asked with; the same in each generation's own form, and in JSON.
const TABLE: [(&[u8], &[u8], &str); 2] = [
    (PARAMS, b"\x91\xa9name:nmid", r#"{"name":"nmid"}"#),
    // For services: a SET with a payload in base64, "aGVsbG8=" is "hello".
    (b"\x81\xa7payload\xa8aGVsbG8=", b"\x91\xb0payload:aGVsbG8=", r#"{"payload":"aGVsbG8="}"#),
];
/// And a GET.
const GET: (&[u8], &[u8], &str) = (b"\x81\xa7restlen\x24", b"\x91\xaarestlen:36", r#"{"restlen":36}"#);

/// An id that nobody had before. Whoever takes over the id of a peer that has just gone may be refused in a program that
/// starts others meanwhile: until a new process has become the program it is to be, it holds the old connection, too.
fn fresh_id() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0x1000);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

fn ask(agent: &Agent, caller: &str, function: &str, params: (&[u8], &[u8], &str)) -> Caller {
    match caller {
        "librpc" => {
            let own = fresh_id();
            let mut peer = agent.member(own);
            let mut body = Vec::new();
            let call = CallFunction { raw: false, params_type: 5, name: function.as_bytes(), params: params.0 };
            call.append_to(&mut body);
            let head = Header::request(own, id::FUNCTION_SRV, cmd::CALL_FUNCTION, 7);
            peer.send(&frame(Header { timeout: 20_000, ..head }, &body));
            Caller::Librpc(peer)
        }
        "HTTP" => {
            let listens = agent.wait_for_log("HTTP 127.0.0.1:");
            let port = listens.split("HTTP 127.0.0.1:").nth(1).unwrap();
            let port: String = port.chars().take_while(char::is_ascii_digit).collect();
            let mut stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
            let (path, body) = (function.replace('/', "%2F"), params.2);
            let length = body.len();
            let head =
                format!("POST /call/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}");
            stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
            Caller::Http(stream)
        }
        generation => {
            let mut client = agent.client();
            if generation == "G0" {
                client.ask_first(function, params.1)
            } else {
                client.ask(function, params.0)
            }
            Caller::Nmid(client)
        }
    }
}

impl Caller {
    fn end(self) -> End {
        match self {
            Caller::Librpc(mut peer) => {
                let got = peer.get();
                assert_eq!(got.head.seq, 7);
                match (got.head.errcode, got.head.code()) {
                    (errcode::EXEC_SUCC, 0) => End::Data(got.body),
                    (errcode::PEER_OFFLINE, _) if got.body.is_empty() => End::Nobody,
                    (_, code) => End::Code(code.into()),
                }
            }
            Caller::Nmid(mut client) => match client.reply() {
                Reply::CantDo => End::Nobody,
                Reply::Answer(_, _, ret) => match RetStruct::parse(&ret).unwrap() {
                    RetStruct { code: 0, data, .. } => End::Data(data.to_vec()),
                    RetStruct { code, .. } => End::Code(code),
                },
                _ => End::Died,
            },
            Caller::Http(mut stream) => {
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                let field = |name: &str| {
                    let rest = body.split_once(&format!("\"{name}\":")).unwrap().1;
                    rest.trim_start_matches('"').split(['"', ',', '}']).next().unwrap().to_owned()
                };
                match head.split(' ').nth(1).unwrap() {
                    "404" => End::Nobody,
                    "502" => End::Died,
                    "200" if field("code") == "0" => End::Data(field("data").into_bytes()),
                    "200" => End::Code(field("code").parse().unwrap()),
                    _ => panic!("{text}"),
                }
            }
        }
    }
}

fn agents() -> impl Iterator<Item = Agent> {
    let lines = "http_enable=true\nhttp_port=0\nmax_threads=";
    [1, 4].into_iter().map(move |reactors| Agent::with_nmid(&format!("{lines}{reactors}")))
}

/// librpc says of a worker that died what it says of a peer that is not there.
fn died(caller: &str) -> End {
    if caller == "librpc" { End::Nobody } else { End::Died }
}

fn told(agent: &Agent, caller: &str, worker: &mut Worker, give: impl FnOnce(&mut Worker)) -> End {
    let asked = ask(agent, caller, "F", TABLE[0]);
    give(worker);
    asked.end()
}

#[test]
fn every_caller_reaches_workers_of_both_generations() {
    for agent in agents() {
        for first in [false, true] {
            for caller in CALLERS {
                let mut worker = if first { agent.first_worker(&["F"]) } else { agent.worker("W", &["F"]) };
                let well = told(&agent, caller, &mut worker, |worker| {
                    let job = worker.serve(b"done");
                    let expected = if first { TABLE[0].1 } else { TABLE[0].0 };
                    assert_eq!(job.params, expected, "{caller}");
                });
                assert_eq!(well, End::Data(b"done".to_vec()), "{caller} first {first}");
                let badly = told(&agent, caller, &mut worker, |worker| {
                    let mut ret = Vec::new();
                    RetStruct { code: 100, msg: b"bad", data: b"" }.append_map_to(&mut ret);
                    let job = worker.job();
                    worker.give(&job, &ret);
                });
                assert_eq!(badly, End::Code(100), "{caller} first {first}");
                let asked = ask(&agent, caller, "F", TABLE[0]);
                worker.job();
                drop(worker);
                assert_eq!(asked.end(), died(caller), "{caller} first {first}");
                assert_eq!(ask(&agent, caller, "Nobody", TABLE[0]).end(), End::Nobody, "{caller}");
            }
        }
    }
}

#[test]
fn every_caller_reaches_services_by_name_and_by_id() {
    for agent in agents() {
        let names: [fn(u32) -> String; 3] = [|id| format!("svc{id:x}"), |id| id.to_string(), |id| format!("{id:#x}")];
        for service_name in names {
            for caller in CALLERS {
                let own = fresh_id();
                let service = service_name(own);
                let mut upnp = agent.member(own);
                let function = format!("{service}/0x26");
                std::thread::scope(|scope| {
                    let serving: ScopedJoinHandle<'_, Peer> = scope.spawn(|| {
                        let set = upnp.answer(b"was set");
                        assert_eq!((set.head.cmd, set.head.srcid), (0x26, id::FUNCTION_SRV));
                        assert_eq!((set.body.as_slice(), set.head.restlen), (b"hello".as_slice(), 0), "{caller}");
                        let get = upnp.answer(b"is so");
                        assert_eq!((get.body.len(), get.head.restlen), (0, 36), "{caller}");
                        let fails = upnp.get();
                        upnp.send(&fails.head.ack(9, 0).encode());
                        upnp.get();
                        upnp
                    });
                    let end = |params| ask(&agent, caller, &function, params).end();
                    assert_eq!(end(TABLE[1]), End::Data(b"was set".to_vec()), "{caller} {function}");
                    assert_eq!(end(GET), End::Data(b"is so".to_vec()), "{caller} {function}");
                    assert_eq!(end(GET), End::Code(9), "{caller} {function}");
                    let last = ask(&agent, caller, &function, GET);
                    drop(serving.join().unwrap());
                    assert_eq!(last.end(), died(caller), "{caller} {function}");
                });
                assert_eq!(ask(&agent, caller, &function, GET).end(), End::Nobody, "{caller} {function}");
            }
        }
    }
}

#[test]
fn a_function_of_that_very_name_wins_over_a_service() {
    for agent in agents() {
        let _upnp = agent.member(UPNP);
        let function = format!("svc{UPNP:x}/0x26");
        let mut worker = agent.worker("W", &[&function]);
        for caller in CALLERS {
            let asked = ask(&agent, caller, &function, TABLE[0]);
            worker.serve(b"mine");
            assert_eq!(asked.end(), End::Data(b"mine".to_vec()), "{caller}");
        }
    }
}
