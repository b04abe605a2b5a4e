//! Registration: what a worker offers, who finds it, and which generation it is of.

use crate::common::Agent;
use crate::common::nmid::{Client, PARAMS, Reply, Worker, well};
use crate::{SOON, agents};
use msf_wire::nmid::{Dialect, conn, empty, pdt};
use std::time::{Duration, Instant};

#[test]
fn a_function_offered_twice_is_offered_once_and_both_are_answered() {
    for agent in agents("") {
        let mut worker = agent.worker("W", &["F"]);
        worker.offer(&["F", "F", "", "G"]);
        worker.expect_oks(4);
        worker.say(pdt::W_DEL_FUNC, b"F");
        worker.expect_nothing();
        let mut client = agent.client();
        client.ask("F", PARAMS);
        assert_eq!(client.reply(), Reply::CantDo, "withdrawn once is withdrawn");
        client.ask("G", PARAMS);
        worker.serve(b"g");
        assert_eq!(client.data(), b"g");
    }
}

#[test]
fn after_ok_every_caller_everywhere_finds_the_function() {
    let agent = Agent::with_nmid("max_threads=4");
    let mut clients: Vec<Client> = (0..8).map(|_| agent.client()).collect();
    for client in &mut clients {
        client.ask("F0", PARAMS);
        assert_eq!(client.reply(), Reply::CantDo);
    }
    for round in 0..40 {
        let function = format!("F{round}");
        let mut worker = agent.worker("W", &[&function]);
        for client in &mut clients {
            client.ask(&function, PARAMS);
        }
        for _ in &clients {
            worker.serve(b"found");
        }
        for client in &mut clients {
            assert_eq!(client.data(), b"found");
        }
    }
}

#[test]
fn regress_the_second_ok_for_one_function_does_not_overtake_the_first() {
    let agent = Agent::with_nmid("max_threads=4");
    let mut clients: Vec<Client> = (0..4).map(|_| agent.client()).collect();
    for round in 0..50 {
        let function = format!("F{round}");
        let mut worker = agent.worker("W", &[]);
        worker.offer(&[&function, &function]);
        // One OK has come: whichever it is, it says that everybody knows.
        worker.line.expect(&empty(conn::SERVER, pdt::OK));
        clients.iter_mut().for_each(|client| client.ask(&function, PARAMS));
        let mut oks = 0;
        let mut jobs = 0;
        while jobs < 4 {
            let heard = worker.line.get();
            match heard.kind {
                pdt::OK => oks += 1,
                _ => {
                    let job = worker.read(&heard);
                    worker.give(&job, &well(b"found"));
                    jobs += 1;
                }
            }
            assert!(oks <= 1);
        }
        clients.iter_mut().for_each(|client| assert_eq!(client.data(), b"found"));
    }
}

#[test]
fn no_job_comes_before_the_generation_is_known() {
    let agent = Agent::with_nmid("nmid_settle_ms=400");
    // Each kind of evidence, and what it shows.
    let evidence: [(u32, &[u8], Dialect); 4] = [
        (pdt::W_GRAB_JOB, b"1", Dialect::G0),
        (pdt::W_GRAB_JOB, b"", Dialect::G2),
        (pdt::W_SET_NAME, b"", Dialect::G2),
        (pdt::W_HEARTBEAT_PING, b"PING", Dialect::G2),
    ];
    for (kind, body, dialect) in evidence {
        let mut worker = Worker::over(agent.nmid(), dialect);
        worker.offer(&["F"]);
        worker.expect_oks(1);
        let mut client = agent.client();
        client.ask("F", PARAMS);
        worker.line.expect_silence(SOON);
        worker.say(kind, body);
        match kind {
            pdt::W_SET_NAME => worker.expect_oks(1),
            pdt::W_HEARTBEAT_PING => worker.line.expect(&empty(conn::SERVER, pdt::S_HEARTBEAT_PONG)),
            _ => {}
        }
        worker.serve(b"done");
        assert_eq!(client.data(), b"done");
    }
    // Silence is evidence, too, once it has lasted.
    let mut worker = Worker::over(agent.nmid(), Dialect::G2);
    worker.offer(&["F"]);
    worker.expect_oks(1);
    let since = Instant::now();
    let mut client = agent.client();
    client.ask("F", PARAMS);
    worker.serve(b"done");
    assert!((300..900).contains(&since.elapsed().as_millis()), "{:?}", since.elapsed());
    assert_eq!(client.data(), b"done");
}

#[test]
fn a_result_without_an_id_shows_the_first_generation() {
    for agent in agents("nmid_settle_ms=10") {
        let mut worker = Worker::over(agent.nmid(), Dialect::G2);
        worker.offer(&["F"]);
        worker.expect_oks(1);
        let mut client = agent.client();
        client.ask_first("F", b"\x91\xa8name:you");
        let job = worker.job();
        worker.dialect = Dialect::G0;
        worker.give(&job, b"\x93\x00\xa2OK\xa4done");
        assert_eq!(client.data(), b"done");
        client.ask_first("F", b"\x91\xa8name:you");
        assert_eq!(worker.serve(b"again").params, b"\x91\xa8name:you");
        assert_eq!(client.data(), b"again");
    }
}

#[test]
fn from_an_address_of_old_workers_come_old_workers_whatever_they_look_like() {
    let agent = Agent::with_nmid("nmid_legacy_workers=127.0.0.0/8");
    let mut worker = agent.worker("W", &["F"]);
    worker.dialect = Dialect::G0;
    let mut client = agent.client();
    client.ask("F", PARAMS);
    assert_eq!(worker.serve(b"done").params, b"\x91\xa9name:nmid");
    assert_eq!(client.data(), b"done");
}

#[test]
fn functions_come_and_go_and_no_caller_is_told_that_there_is_none() {
    let agent = Agent::with_nmid("max_threads=4\nfunction.F.idempotent=true\nfunction.F.retries=100");
    let mut constant = agent.worker("Constant", &["F"]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                if let Some(job) = constant.job_within(Duration::from_millis(5)) {
                    constant.give(&job, &well(b"x"));
                }
            }
        });
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let mut passing = agent.worker("Passing", &["F"]);
                    if let Some(job) = passing.job_within(Duration::from_millis(3)) {
                        passing.give(&job, &well(b"x"));
                    }
                }
            });
        }
        let callers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = agent.client();
                    for _ in 0..200 {
                        client.ask("F", PARAMS);
                        assert_eq!(client.data(), b"x");
                    }
                })
            })
            .collect();
        let ended: Vec<_> = callers.into_iter().map(|caller| caller.join()).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(ended.into_iter().all(|end| end.is_ok()));
    });
}
