//! The vectors of nmid's specification, said to a real agent: what it must answer, what it must not, and every way in
//! which a stream of them may be cut.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::Agent;
use common::nmid::{Client, Line, PARAMS, Reply, Worker, do_job, hex, named, vector, well};
use msf_wire::nmid::{Dialect, Return};
use std::time::Duration;

/// The vector of a job or a result, with another id: ids are the broker's own, everything else is fixed.
fn with_id(name: &str, id: &[u8]) -> Vec<u8> {
    let vector = vector(name);
    let mut bytes = vector[..vector.len() - 36].to_vec();
    bytes.extend_from_slice(id);
    let length = (bytes.len() - 12) as u32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let place = if bytes[7] == 10 { 12 + 16 } else { vector.len() - 40 };
    bytes[place..place + 4].copy_from_slice(&(id.len() as u32).to_be_bytes());
    bytes
}

/// The job that comes next is that of the vector but for its id, which is returned.
fn expect_job(worker: &mut Worker, name: &str) -> Vec<u8> {
    let heard = worker.line.get();
    let id = heard.body[heard.body.len() - 16..].to_vec();
    let head = [1u32, heard.kind, heard.body.len() as u32].map(u32::to_be_bytes).concat();
    assert_eq!(hex(&[head, heard.body].concat()), hex(&with_id(name, &id)));
    id
}

fn worker_of(agent: &Agent) -> Worker {
    let mut line = agent.nmid();
    line.send(&vector("V1.1"));
    line.expect(&vector("V1.2"));
    line.send(&vector("V2"));
    line.expect(&vector("V1.2"));
    Worker::over(line, Dialect::G2)
}

#[test]
fn a_worker_is_answered_ok_and_pong_and_nothing_else() {
    for reactors in [1, 4] {
        let agent = Agent::with_nmid(&format!("max_threads={reactors}"));
        let mut worker = worker_of(&agent);
        for silent in ["V4", "V5", "V7", "V4"] {
            worker.line.send(&vector(silent));
        }
        worker.line.send(&vector("V3.1"));
        worker.line.expect(&vector("V3.2"));
        worker.line.send(&vector("V6"));
        worker.expect_nothing();
        let mut client = agent.client();
        client.line.send(&vector("V8"));
        client.line.expect(&vector("V18"));
    }
}

#[test]
fn a_call_of_today_passes_byte_for_byte() {
    for reactors in [1, 4] {
        let agent = Agent::with_nmid(&format!("max_threads={reactors}"));
        let mut worker = worker_of(&agent);
        let mut client = agent.client();
        client.line.send(&vector("V8"));
        let id = expect_job(&mut worker, "V9");
        worker.line.send(&with_id("V10", &id));
        client.line.expect(&vector("V11"));
        client.line.send(&vector("V12"));
        expect_job(&mut worker, "V13");
    }
}

#[test]
fn a_call_of_the_first_generation_passes_byte_for_byte() {
    for reactors in [1, 4] {
        let agent = Agent::with_nmid(&format!("max_threads={reactors}"));
        let mut worker = agent.first_worker(&["PostInfo"]);
        let mut client = agent.client();
        client.line.send(&vector("V14"));
        worker.line.expect(&vector("V15"));
        worker.line.send(&vector("V16"));
        client.line.expect(&vector("V17"));
    }
}

#[test]
fn what_cannot_be_carried_out_is_an_error_and_the_connection_stays_usable() {
    let agent = Agent::with_nmid("");
    let mut worker = worker_of(&agent);
    let mut client = agent.client();
    for wrong in ["V21", "V22", "V23", "V23.2"] {
        client.line.send(&vector(wrong));
        client.line.expect(&vector("V19"));
    }
    // Packets that only the other side sends, or nobody.
    client.line.send(b"\0\0\0\x03\0\0\0\x11\0\0\0\0");
    client.line.send(b"\0\0\0\x03\0\0\0\x63\0\0\0\x02xx");
    client.line.send(&vector("V8"));
    let id = expect_job(&mut worker, "V9");
    worker.line.send(&with_id("V10", &id));
    client.line.expect(&vector("V11"));
}

#[test]
fn the_ambiguous_request_is_one_of_today() {
    let agent = Agent::with_nmid("");
    let mut worker = worker_of(&agent);
    let mut client = agent.client();
    client.line.send(&vector("V24"));
    let job = worker.job();
    assert_eq!((job.kind, job.params), (5, vec![0x70; 1866]));
}

#[test]
fn an_empty_result_is_one_and_a_broken_one_is_none() {
    let agent = Agent::with_nmid("");
    let mut worker = worker_of(&agent);
    let mut client = agent.client();
    client.line.send(&vector("V8"));
    let job = worker.job();
    // Lengths that do not add up: dropped, and the job waits on.
    worker.line.send(b"\0\0\0\x02\0\0\0\x0f\0\0\0\x05\0\0\0\x09x");
    worker.expect_nothing();
    worker.give(&job, b"");
    client.line.expect(&vector("V25"));
    assert_eq!(agent.end().of("malformed"), 1);
}

#[test]
fn results_out_of_order_find_their_callers() {
    for reactors in [1, 4] {
        let agent = Agent::with_nmid(&format!("max_threads={reactors}\nfunction.ToUpper.in_flight=2"));
        let mut worker = worker_of(&agent);
        let (mut a, mut b) = (agent.client(), agent.client());
        a.line.send(&vector("V26.1"));
        let first = expect_job(&mut worker, "V26.3");
        b.line.send(&vector("V26.2"));
        let second = expect_job(&mut worker, "V26.4");
        worker.line.send(&with_id("V26.5", &second));
        worker.line.send(&with_id("V26.6", &first));
        b.line.expect(&vector("V26.7"));
        a.line.expect(&vector("V26.8"));
    }
}

#[test]
fn the_generations_are_bridged_byte_for_byte() {
    for reactors in [1, 4] {
        let agent = Agent::with_nmid(&format!("max_threads={reactors}"));
        let mut first = agent.first_worker(&["ToUpper"]);
        let mut client = agent.client();
        client.line.send(&vector("V8"));
        first.line.expect(&vector("V27.1"));
        first.line.send(&vector("V27.2"));
        client.line.expect(&vector("V28"));
        let mut second = agent.worker("W", &["PostInfo"]);
        let mut old = agent.client();
        old.line.send(&vector("V14"));
        expect_job(&mut second, "V29");
    }
}

#[test]
fn a_carrier_of_traces_reaches_the_worker_untouched() {
    let agent = Agent::with_nmid("");
    let mut worker = worker_of(&agent);
    let mut client = agent.client();
    let request = vector("V30");
    client.line.send(&request);
    assert_eq!(hex(&worker.job().params), hex(&request[12 + 12 + 7 + 4..]));
}

/// Answers whatever comes, each with the params it was asked with, until told otherwise.
fn echo(worker: &mut Worker, count: usize) {
    for _ in 0..count {
        let job = worker.job();
        worker.give(&job, &well(&job.params));
    }
}

#[test]
fn a_request_may_come_in_any_pieces() {
    let agent = Agent::with_nmid("");
    let mut worker = worker_of(&agent);
    let mut client = agent.client();
    let request = vector("V8");
    for byte in &request {
        client.line.send(std::slice::from_ref(byte));
        std::thread::yield_now();
    }
    echo(&mut worker, 1);
    assert_eq!(client.data(), PARAMS);
    for cut in 1..request.len() {
        let mut client = agent.client();
        let (head, tail) = request.split_at(cut);
        client.line.send(head);
        std::thread::sleep(Duration::from_millis(1));
        client.line.send(tail);
        echo(&mut worker, 1);
        assert_eq!(client.data(), PARAMS, "cut at {cut}");
    }
}

#[test]
fn two_more_behind_a_cut_request_are_three_answers() {
    let agent = Agent::with_nmid("");
    let mut worker = worker_of(&agent);
    let mut client = agent.client();
    let texts = ["AAAA", "BBBB", "CCCC"];
    let requests: Vec<u8> = texts.iter().flat_map(|text| do_job("ToUpper", &named(text))).collect();
    let (head, tail) = requests.split_at(20);
    client.line.send(head);
    std::thread::sleep(Duration::from_millis(5));
    client.line.send(tail);
    echo(&mut worker, 3);
    texts.iter().for_each(|text| assert_eq!(client.data(), named(text)));
}

#[test]
fn three_requests_in_one_write_are_answered_as_the_order_says() {
    let texts = ["AAAA", "BBBB", "CCCC"];
    let requests: Vec<u8> = texts.iter().flat_map(|text| do_job("ToUpper", &named(text))).collect();
    for reactors in [1, 4] {
        for order in ["auto", "ordered", "pipelined", "abandon"] {
            let agent = Agent::with_nmid(&format!("max_threads={reactors}\nnmid_order={order}"));
            let mut worker = worker_of(&agent);
            let mut client = agent.client();
            client.line.send(&requests);
            if order == "abandon" {
                // The worker is at the first, which nobody wants any longer; the second never reaches it.
                let job = worker.job();
                assert_eq!(job.params, named("AAAA"));
                worker.give(&job, &well(b"late"));
                echo(&mut worker, 1);
                assert_eq!(client.data(), named("CCCC"));
                client.line.expect_silence(Duration::from_millis(30));
                assert_eq!(agent.end().of("abandoned"), 2);
            } else {
                echo(&mut worker, 3);
                texts.iter().for_each(|text| assert_eq!(client.data(), named(text), "{order}"));
            }
        }
    }
}

#[test]
fn a_length_of_four_gigabytes_is_refused_at_once() {
    let agent = Agent::with_nmid("");
    let mut client = agent.client();
    client.line.send(b"\0\0\0\x03\0\0\0\x10\xff\xff\xff\xff");
    assert_eq!(client.reply(), Reply::Error);
    client.line.expect_end();
    let mut worker = worker_of(&agent);
    worker.line.send(b"\0\0\0\x02\0\0\0\x0d\xff\xff\xff\xff");
    worker.line.expect_end();
}

#[test]
fn a_connection_type_that_nobody_has_is_refused() {
    let agent = Agent::with_nmid("");
    for wrong in [0u32, 1, 9] {
        let mut line = agent.nmid();
        line.send(&[wrong, 16, 0].map(u32::to_be_bytes).concat());
        line.expect_end();
    }
    assert_eq!(agent.end().of("malformed"), 3);
}

#[test]
fn whoever_changes_what_it_is_is_closed_with_a_word_about_it() {
    let agent = Agent::with_nmid("");
    let mut worker = worker_of(&agent);
    worker.line.send(&vector("V8"));
    worker.line.expect_end();
    agent.wait_for_log("nmid worker Worker1 (127.0.0.1");
    agent.wait_for_log("a frame of connection type 3 on a connection that has another");
    let mut client = agent.client();
    client.line.send(&vector("V8"));
    client.line.expect(&vector("V18"));
    client.line.send(&vector("V2"));
    client.line.expect_end();
    agent.wait_for_log("a frame of connection type 2 on a connection that has another");
}

#[test]
fn a_sidecars_frames_are_read_and_left_alone() {
    let agent = Agent::with_nmid("");
    let mut line: Line = agent.nmid();
    for kind in [19u32, 20, 16] {
        line.send(&[&[4, kind, 3].map(u32::to_be_bytes).concat()[..], b"abc"].concat());
    }
    line.expect_silence(Duration::from_millis(30));
    assert_eq!(agent.end().of("ignored"), 3);
}

#[test]
fn a_result_from_nowhere_changes_nothing() {
    let agent = Agent::with_nmid("");
    let mut worker = worker_of(&agent);
    let mut client: Client = agent.client();
    client.line.send(&vector("V8"));
    let job = worker.job();
    let mut foreign = Vec::new();
    let ret = well(b"wrong");
    Return { function: b"ToUpper", params: PARAMS, ret: &ret, id: Some(b"00ffffff00000000") }.append_to(&mut foreign);
    Return { function: b"ToUpper", params: PARAMS, ret: &ret, id: Some(b"fe00000000000000") }.append_to(&mut foreign);
    Return { function: b"ToUpper", params: PARAMS, ret: &ret, id: Some(b"") }.append_to(&mut foreign);
    worker.line.send(&foreign);
    worker.give(&job, &well(b"right"));
    assert_eq!(client.data(), b"right");
    worker.give(&job, &well(b"twice"));
    client.line.expect_silence(Duration::from_millis(30));
}
