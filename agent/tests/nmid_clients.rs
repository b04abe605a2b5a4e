//! What nmid's clients are promised: one answer for each request they want answered, in order, at a pace they survive, in
//! the form of their generation.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::Agent;
use common::nmid::{Client, PARAMS, Reply, Worker, named, well};
use msf_wire::nmid::RetStruct;
use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(60);

fn agents(lines: &str) -> impl Iterator<Item = Agent> {
    [1, 4].into_iter().map(move |reactors| Agent::with_nmid(&format!("max_threads={reactors}\n{lines}")))
}

/// Numbers as texts of four digits.
fn numbered(number: usize) -> Vec<u8> {
    named(&format!("{number:04}"))
}

#[test]
fn answers_come_in_the_order_of_the_requests() {
    for agent in agents("nmid_order=ordered") {
        let mut workers: Vec<Worker> = (0..4).map(|_| agent.worker("W", &["F"])).collect();
        let mut client = agent.client();
        (0..4).for_each(|number| client.ask("F", &numbered(number)));
        let mut jobs: Vec<_> = workers.iter_mut().map(|worker| worker.job()).collect();
        // The last first; errors and refusals stand in line, too.
        for (worker, job) in workers.iter_mut().zip(&mut jobs).rev() {
            worker.give(job, &well(&job.params));
        }
        client.ask("Nobody", PARAMS);
        client.ask("F", b"");
        (0..4).for_each(|number| assert_eq!(client.data(), numbered(number)));
        assert_eq!((client.reply(), client.reply()), (Reply::CantDo, Reply::Error));
    }
}

#[test]
fn a_request_that_another_follows_after_a_while_is_given_up() {
    for agent in agents("") {
        let mut worker = agent.worker("W", &["F"]);
        let mut client = agent.client();
        client.ask("F", &named("old."));
        let old = worker.job();
        client.line.expect_silence(SOON);
        client.ask("F", &named("new."));
        client.line.expect_silence(SOON);
        worker.give(&old, &well(b"old"));
        worker.serve(b"new");
        assert_eq!(client.data(), b"new");
        client.line.expect_silence(SOON);
        let counted = agent.end();
        assert_eq!((counted.of("abandoned"), counted.of("dropped_abandoned")), (1, 1));
    }
}

#[test]
fn what_is_given_up_while_it_waits_never_reaches_a_worker() {
    for agent in agents("") {
        let mut worker = agent.worker("W", &["F"]);
        let (mut first, mut client) = (agent.client(), agent.client());
        first.ask("F", PARAMS);
        let job = worker.job();
        client.ask("F", &named("old."));
        client.line.expect_silence(SOON);
        client.ask("F", &named("new."));
        client.line.expect_silence(SOON);
        worker.give(&job, &well(b"x"));
        assert_eq!(worker.serve(b"new").params, named("new."));
        assert_eq!(client.data(), b"new");
        worker.expect_nothing();
    }
}

#[test]
fn two_requests_at_once_show_that_each_is_wanted_and_it_stays_so() {
    for agent in agents("") {
        let mut worker = agent.worker("W", &["F"]);
        let mut client = agent.client();
        let both = [common::nmid::do_job("F", &named("one.")), common::nmid::do_job("F", &named("two."))].concat();
        client.line.send(&both);
        let held = worker.job();
        client.line.expect_silence(SOON);
        // Slow requests now, but nothing is given up any more.
        client.ask("F", &named("slow"));
        worker.give(&held, &well(b"one"));
        worker.serve(b"two");
        worker.serve(b"three");
        assert_eq!(
            [client.data(), client.data(), client.data()],
            [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]
        );
        assert_eq!(agent.end().of("abandoned"), 0);
    }
}

#[test]
fn between_two_answers_there_is_a_pause() {
    for agent in agents("nmid_order=ordered\nnmid_pace_ms=20") {
        let mut worker = agent.worker("W", &["F"]);
        let mut client = agent.client();
        (0..5).for_each(|number| client.ask("F", &numbered(number)));
        let since = Instant::now();
        (0..5).for_each(|_| drop(worker.serve(b"x")));
        (0..5).for_each(|_| assert_eq!(client.data(), b"x"));
        assert!((80..600).contains(&since.elapsed().as_millis()), "{:?}", since.elapsed());
    }
}

#[test]
fn regress_more_requests_than_are_read_at_once_are_all_answered() {
    for order in ["pipelined", "auto\nnmid_pace_ms=0"] {
        for agent in agents(&format!("function.F.in_flight=64\nnmid_order={order}")) {
            let mut worker = agent.worker("W", &["F"]);
            let client = agent.client();
            const MANY: usize = 6000;
            let mut writer = client.line.stream.try_clone().unwrap();
            let mut client: Client = client;
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    let all: Vec<u8> = (0..MANY).flat_map(|n| common::nmid::do_job("F", &numbered(n))).collect();
                    writer.write_all(&all).unwrap();
                });
                scope.spawn(move || {
                    for _ in 0..MANY {
                        let job = worker.job();
                        worker.give(&job, &well(&job.params));
                    }
                });
                (0..MANY).for_each(|number| assert_eq!(client.data(), numbered(number)));
            });
        }
    }
}

#[test]
fn an_old_client_is_answered_in_order_and_in_its_own_form() {
    for agent in agents("nmid_pace_ms=1") {
        let mut worker = agent.worker("W", &["F"]);
        let mut client = agent.client();
        // A map with a negative code, bytes as data, data missing: C's library survives none of them.
        let negative = {
            let mut ret = Vec::new();
            RetStruct { code: -1, msg: b"bad", data: b"" }.append_map_to(&mut ret);
            ret
        };
        let rets: [&[u8]; 2] = [&negative, b"no RetStruct at all"];
        for _ in &rets {
            client.ask_first("F", b"\x91\xa8name:you");
            client.line.expect_silence(SOON);
        }
        rets.iter().for_each(|ret| {
            let job = worker.job();
            assert_eq!((job.kind, job.params.as_slice()), (5, b"\x81\xa4name\xa3you".as_slice()));
            worker.give(&job, ret);
        });
        let Reply::Answer(function, params, ret) = client.reply() else { panic!("no answer") };
        assert_eq!((function.as_slice(), params.as_slice()), (b"F".as_slice(), b"\x91\xa8name:you".as_slice()));
        let ret = RetStruct::parse(&ret).unwrap();
        assert!(ret.code > 0 && ret.msg == b"bad", "{ret:?}");
        assert_eq!(client.reply(), Reply::Error, "it would not survive that");
    }
}

#[test]
fn results_are_rewritten_for_whom_the_setting_says() {
    let array = b"\x93\x00\xa2ok\xa4data";
    for (rewrite, is_map) in [("g0", false), ("all", true), ("none", false)] {
        let agent = Agent::with_nmid(&format!("nmid_rewrite={rewrite}"));
        let mut worker = agent.worker("W", &["F"]);
        let mut client = agent.client();
        client.ask("F", PARAMS);
        let job = worker.job();
        worker.give(&job, array);
        let Reply::Answer(_, _, ret) = client.reply() else { panic!("no answer") };
        assert_eq!(ret.first() == Some(&0x83), is_map, "{rewrite}");
        assert_eq!(RetStruct::parse(&ret).unwrap().data, b"data");
        let mut old = agent.client();
        old.ask_first("F", b"\x91\xa8name:you");
        let job = worker.job();
        worker.give(&job, b"not one");
        assert_eq!(old.reply() == Reply::Error, rewrite != "none", "{rewrite}");
    }
}

#[test]
fn an_answer_too_old_is_dropped_where_the_setting_says_so() {
    let agent = Agent::with_nmid("nmid_stale_ms=50");
    let mut worker = agent.worker("W", &["F"]);
    let mut client = agent.client();
    client.ask("F", &named("slow"));
    let job = worker.job();
    client.line.expect_silence(SOON);
    worker.give(&job, &well(b"stale"));
    client.line.expect_silence(SOON);
    client.ask("F", &named("fast"));
    worker.serve(b"fresh");
    assert_eq!(client.data(), b"fresh");
    // One of the first generation waits for ever, so it gets everything.
    let mut old = agent.client();
    old.ask_first("F", b"\x91\xa8name:you");
    let job = worker.job();
    old.line.expect_silence(SOON);
    worker.give(&job, &well(b"old"));
    assert_eq!(old.data(), b"old");
    assert_eq!(agent.end().of("dropped_stale"), 1);
}

#[test]
fn when_a_client_goes_its_job_ends_quietly_and_the_worker_works_on() {
    for agent in agents("") {
        let mut worker = agent.worker("W", &["F"]);
        let (mut going, mut waiting, mut staying) = (agent.client(), agent.client(), agent.client());
        going.ask("F", &named("gone"));
        let job = worker.job();
        waiting.ask("F", &named("also"));
        waiting.line.expect_silence(SOON);
        // Over TCP an end may be half of one: what was asked is carried out, and the answer shows that nobody is there.
        drop((going, waiting));
        staying.ask("F", &named("stay"));
        worker.expect_nothing();
        worker.give(&job, &well(b"for nobody"));
        for _ in 0..2 {
            let job = worker.job();
            worker.give(&job, &well(&job.params));
        }
        assert_eq!(staying.data(), named("stay"));
    }
}

#[test]
fn a_client_that_closes_its_sending_side_still_gets_its_answers() {
    for agent in agents("nmid_order=ordered") {
        let mut worker = agent.worker("W", &["F"]);
        let mut client = agent.client();
        (0..3).for_each(|number| client.ask("F", &numbered(number)));
        client.line.stream.shutdown(Shutdown::Write).unwrap();
        for _ in 0..3 {
            let job = worker.job();
            worker.give(&job, &well(&job.params));
        }
        (0..3).for_each(|number| assert_eq!(client.data(), numbered(number)));
        client.line.expect_end();
    }
}

#[test]
fn unsafe_params_never_reach_a_worker_of_the_first_generation() {
    for agent in agents("") {
        let mut worker = agent.first_worker(&["F"]);
        let mut client = agent.client();
        // A value with a comma, an empty one, a nested one, too short a body, no map at all.
        let unsafes: [&[u8]; 5] =
            [b"\x81\xa4name\xa3a,b", b"\x81\xa4name\xa0", b"\x81\xa1m\x81\xa1a\xa1b", b"\x81\xa1a\xa1b", b"\xc3"];
        for params in unsafes {
            client.ask(if params.len() == 5 { "" } else { "F" }, params);
            assert_eq!(client.reply(), Reply::Error, "{params:x?}");
        }
        client.ask_first("F", b"\x91\xa4name");
        assert_eq!(client.reply(), Reply::Error);
        client.ask("F", PARAMS);
        worker.serve(b"x");
        assert_eq!(client.data(), b"x");
    }
}
