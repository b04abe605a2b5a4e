//! What an operator is answered, as JSON.

use crate::core::message::Failure;
use crate::core::order::{Concluded, Event, Seen, Shown};
use crate::observe::catalog::Catalog;
use crate::observe::counter::Counters;
use crate::observe::function::Sums;
use crate::observe::histogram::Distribution;
use crate::observe::traffic::Protocol;
use crate::upgrade::VERSION;
use msf_conf::tree::{Map, Value};
use msf_wire::librpc::Publication;
use msf_wire::nmid::{RetStruct, msgpack_to_json};
use msf_wire::{base64, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What went wrong, in a sentence.
pub fn error(what: &str) -> String {
    object([("error", what.into())]).to_string()
}

/// Who takes our place must know this first: the layout of what it will get, how many reactors there are, and when
/// their time began.
pub fn welcome(reactors: usize, started: u64) -> String {
    let members = [("snapshot", VERSION.into()), ("reactors", reactors.into()), ("started", started.into())];
    object(members).to_string()
}

/// Another process takes new connections; so many stay here until they are idle.
pub fn replaced(now: i32, left: usize) -> String {
    object([("before", std::process::id().into()), ("now", now.into()), ("left", left.into())]).to_string()
}

/// Another process is the agent now; for so long nobody was served.
pub fn upgraded(before: i32, now: u32, standstill: Duration, connections: usize) -> String {
    let micros = standstill.as_micros() as u64;
    object([
        ("before", before.into()),
        ("now", now.into()),
        ("standstill_us", micros.into()),
        ("connections", connections.into()),
    ])
    .to_string()
}

/// How a call has ended: what the function returned, or why there is nothing.
pub fn concluded(concluded: &Concluded) -> String {
    let ret = match concluded {
        Concluded::Ret(ret) => RetStruct::parse(ret).unwrap_or(RetStruct { code: 0, msg: b"", data: ret }),
        Concluded::Service(errcode, body) => RetStruct { code: (*errcode).into(), msg: b"", data: body },
        Concluded::Failed(why) => {
            return object([("error", said(*why).into()), ("kind", kind(*why).into())]).to_string();
        }
    };
    let mut out = format!("{{\"code\":{},\"msg\":", ret.code).into_bytes();
    json::append_quoted(&mut out, &String::from_utf8_lossy(ret.msg));
    append_data(&mut out, ret.data);
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}

fn said(why: Failure) -> &'static str {
    match why {
        Failure::NoWorker => "no worker offers this function",
        Failure::Busy => "too many calls wait for this function already",
        Failure::Deadline => "no worker answered in time",
        Failure::Lost => "the worker went away before it answered",
        Failure::Unfit => "these parameters cannot be handed to the worker there is",
        Failure::Error => "the worker failed without a result",
    }
}

fn kind(why: Failure) -> &'static str {
    match why {
        Failure::NoWorker => "no_worker",
        Failure::Busy => "busy",
        Failure::Deadline => "deadline",
        Failure::Lost => "lost",
        Failure::Unfit => "unfit",
        Failure::Error => "error",
    }
}

/// From now on what is asked of this function is shown.
pub fn tapping(function: &str) -> String {
    object([("tap", function.into())]).to_string()
}

/// So many requests and answers were not shown.
pub fn missed(count: u64) -> String {
    object([("missed", count.into())]).to_string()
}

/// A request or an answer.
pub fn seen(function: &str, seen: &Seen) -> String {
    let at = seen.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let caller = format!("{}/{}", seen.caller.reactor, seen.caller.session);
    let common = [
        ("at_ms", at.into()),
        ("function", function.into()),
        ("protocol", seen.protocol.label().into()),
        ("caller", caller.into()),
        ("ticket", seen.ticket.into()),
        ("bytes", seen.bytes.into()),
    ];
    let (event, outcome, micros, payload) = match &seen.event {
        Event::Asked(_, params) => ("request", "", None, shown_bytes(params)),
        Event::Ended(Concluded::Failed(why), micros) => ("failure", kind(*why), Some(*micros), String::new()),
        Event::Ended(Concluded::Ret(ret), micros) => ("answer", "ok", Some(*micros), shown_bytes(ret)),
        Event::Ended(Concluded::Service(0, body), micros) => ("answer", "ok", Some(*micros), shown_bytes(body)),
        Event::Ended(Concluded::Service(_, body), micros) => ("answer", "error", Some(*micros), shown_bytes(body)),
        Event::Abandoned(micros) => ("abandoned", "", Some(*micros), String::new()),
    };
    let own = [
        ("event", event.into()),
        ("outcome", outcome.into()),
        ("micros", micros.map_or(Value::Null, Value::from)),
        ("payload", payload.into()),
    ];
    object(common.into_iter().chain(own)).to_string()
}

/// From now on events of this name are shown.
pub fn watching(name: &str) -> String {
    object([("watching", name.into())]).to_string()
}

/// An event: its data as JSON if it is that, else as a text, else in base64.
pub fn event(at: SystemTime, publisher: u32, payload: &[u8]) -> String {
    // Only what parses is ever published.
    let Ok(Publication { name, data }) = Publication::parse(payload) else { return missed(1) };
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let name = String::from_utf8_lossy(name);
    let mut out = format!("{{\"at_ms\":{at},\"from\":{publisher},\"event\":").into_bytes();
    json::append_quoted(&mut out, &name);
    append_data(&mut out, data);
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}

fn append_data(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(b",\"data\":");
    match (json::text_of(data).filter(|text| !text.contains('\n')), std::str::from_utf8(data)) {
        (Some(text), _) => out.extend_from_slice(text.as_bytes()),
        (None, Ok(text)) => json::append_quoted(out, text),
        (None, Err(_)) => {
            json::append_quoted(out, &base64::encode(data));
            out.extend_from_slice(b",\"encoding\":\"base64\"");
        }
    }
}

/// Bytes for a person: text as it is, msgpack that is whole as JSON, anything else with its bytes spelled out.
fn shown_bytes(bytes: &[u8]) -> String {
    let is_plain = |text: &&str| !text.chars().any(char::is_control);
    match (std::str::from_utf8(bytes).ok().filter(is_plain), msgpack_to_json(bytes)) {
        (Some(text), _) => text.to_owned(),
        (None, Ok(text)) => text,
        (None, Err(_)) => bytes.escape_ascii().to_string(),
    }
}

/// Functions with their workers, services, and sessions, of which there may be more than are shown.
pub fn list(catalog: &Catalog, sessions: usize, shown: &[Shown]) -> Value {
    let services = shown.iter().filter_map(|one| {
        let place = [("name", one.name.as_str().into()), ("peer", one.peer.to_string().into())];
        one.id.map(|id| object([("id", id.into())].into_iter().chain(place)))
    });
    object([
        ("functions", functions(catalog).collect()),
        ("services", services.collect()),
        ("sessions", shown.iter().map(session).collect()),
        ("session_count", sessions.into()),
    ])
}

fn functions(catalog: &Catalog) -> impl Iterator<Item = Value> {
    catalog.functions().map(|(name, function)| {
        let workers = function.live().map(|tally| {
            let (labels, sums) = (tally.labels(), tally.sums());
            let state = if sums.in_flight() > 0 { "busy" } else { "idle" };
            object([
                ("id", labels.worker_id.as_str().into()),
                ("name", labels.worker_name.as_str().into()),
                ("ip", labels.worker_ip.as_str().into()),
                ("since", labels.create_time.as_str().into()),
                ("state", state.into()),
                ("in_flight", sums.in_flight().into()),
                ("jobs", sums.requests.into()),
                ("failed", sums.fail.into()),
            ])
        });
        let queued = function.function_sums().queued;
        object([("function", name.into()), ("queued", queued.into()), ("workers", workers.collect())])
    })
}

fn session(one: &Shown) -> Value {
    object([
        ("reactor", one.address.reactor.into()),
        ("session", one.address.session.into()),
        ("protocol", one.protocol.label().into()),
        ("state", one.standing.into()),
        ("name", one.name.as_str().into()),
        ("id", one.id.map_or(Value::Null, Value::from)),
        ("peer", one.peer.to_string().into()),
        ("age_ms", one.age.into()),
        ("waiting_bytes", one.waiting.into()),
    ])
}

/// Everything counted so far, by function and worker's name; who asks twice knows what came between.
pub fn top(catalog: &Catalog, counters: &[Counters]) -> Value {
    let functions = catalog.functions().map(|(name, function)| {
        let mut all = Sums::default();
        let mut workers = Vec::new();
        for (worker, sums) in function.workers() {
            all.merge(&sums);
            let numbers = numbers(&sums);
            workers.push(object([("name", worker.into())].into_iter().chain(numbers)));
        }
        let sums = function.function_sums();
        let refused = sums.busy + sums.deadline + sums.failed + sums.no_worker;
        let own = [
            ("function", name.into()),
            ("live", function.live().count().into()),
            ("queued", sums.queued.into()),
            ("refused", refused.into()),
            ("workers", Value::Array(workers)),
        ];
        object(own.into_iter().chain(numbers(&all)))
    });
    let protocols = Protocol::ALL.iter().map(|protocol| {
        let mut latency = Distribution::default();
        counters.iter().for_each(|one| latency.add(&one.protocols[*protocol].latency));
        let sum = |of: fn(&Counters, Protocol) -> u64| -> u64 { counters.iter().map(|one| of(one, *protocol)).sum() };
        object([
            ("protocol", protocol.label().into()),
            ("connections", sum(|one, protocol| one.protocols[protocol].open()).into()),
            ("requests", sum(|one, protocol| one.protocols[protocol].requests.value()).into()),
            ("latency", distribution(&latency)),
        ])
    });
    let sum = |of: fn(&Counters) -> u64| -> Value { counters.iter().map(of).sum::<u64>().into() };
    object([
        ("functions", functions.collect()),
        ("protocols", protocols.collect()),
        ("sessions", sum(|one| one.sessions.value())),
        ("calls", sum(|one| one.calls.value())),
        ("replies", sum(|one| one.replies.value())),
        ("reactors", counters.len().into()),
        ("busy_nanos", sum(|one| one.busy_nanos.value())),
    ])
}

fn numbers(sums: &Sums) -> [(&'static str, Value); 4] {
    [
        ("jobs", sums.requests.into()),
        ("in_flight", sums.in_flight().into()),
        ("failed", sums.fail.into()),
        ("latency", distribution(&sums.latency)),
    ]
}

fn distribution(of: &Distribution) -> Value {
    object([("counts", of.counts().iter().copied().collect()), ("micros", of.micros().into())])
}

fn object<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<String, Value>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::message::{Address, Peer};
    use crate::observe::function::Labels;

    #[test]
    fn a_list_names_functions_services_and_sessions() {
        let mut catalog = Catalog::new(1);
        let labels = Labels { func_name: "f\"".to_owned(), worker_name: "w".to_owned(), ..Labels::default() };
        let (tally, _) = catalog.enrol(labels);
        tally.started();
        let shown = Shown {
            address: Address { reactor: 1, session: 7 },
            protocol: Protocol::Librpc,
            peer: Peer::Local { pid: 5, uid: 0 },
            name: "upnp".to_owned(),
            id: Some(0x12),
            standing: "member",
            age: 1500,
            waiting: 0,
        };
        let stranger = Shown { id: None, ..shown.clone() };
        let list = list(&catalog, 9, &[shown, stranger]);
        assert_eq!(list["functions"][0]["function"], "f\"");
        assert_eq!(list["functions"][0]["workers"][0]["state"], "busy");
        assert_eq!(list["services"].to_string(), r#"[{"id":18,"name":"upnp","peer":"pid 5 uid 0"}]"#);
        assert_eq!((list["sessions"].as_array().unwrap().len(), &list["session_count"]), (2, &Value::from(9)));
    }

    #[test]
    fn the_top_carries_what_a_difference_needs() {
        let mut catalog = Catalog::new(1);
        let (tally, function) = catalog.enrol(Labels { func_name: "f".to_owned(), ..Labels::default() });
        tally.started();
        tally.finished(true, 30);
        function[0].busy.add(2);
        let top = top(&catalog, &[Counters::default()]);
        let f = &top["functions"][0];
        assert_eq!((&f["jobs"], &f["refused"], &f["latency"]["micros"]), (&1.into(), &2.into(), &30.into()));
        assert_eq!(f["latency"]["counts"][1], 1);
        assert_eq!(f["workers"][0]["jobs"], 1);
    }
    #[test]
    fn data_is_json_or_a_text_or_base64_and_always_in_one_line() {
        let answer = |data: &[u8]| {
            let mut ret = Vec::new();
            RetStruct { code: -3, msg: b"a\"b", data }.append_map_to(&mut ret);
            concluded(&Concluded::Ret(ret))
        };
        let head = r#"{"code":-3,"msg":"a\"b","data":"#;
        assert_eq!(answer(b"{\"n\": 1.50}"), format!("{head}{{\"n\": 1.50}}}}"));
        assert_eq!(answer(b"[1,\n2]"), format!("{head}\"[1,\\n2]\"}}"));
        assert_eq!(answer(b"NMID"), format!("{head}\"NMID\"}}"));
        assert_eq!(answer(b"\xff\0"), format!("{head}\"/wA=\",\"encoding\":\"base64\"}}"));
        assert_eq!(concluded(&Concluded::Service(4, Vec::new())), r#"{"code":4,"msg":"","data":""}"#);
        let failed = concluded(&Concluded::Failed(Failure::Busy));
        assert_eq!(failed, r#"{"error":"too many calls wait for this function already","kind":"busy"}"#);
    }

    #[test]
    fn bytes_are_shown_as_text_as_json_or_spelled_out() {
        assert_eq!(shown_bytes(b"{\"n\":1}"), "{\"n\":1}");
        assert_eq!(shown_bytes(b"\x81\xa1n\x01"), "{\"n\":1}");
        assert_eq!(shown_bytes(b"\x81\xa1n"), "\\x81\\xa1n", "cut short");
        assert_eq!(shown_bytes(b"a\x1b[2J"), "a\\x1b[2J");
    }
}
