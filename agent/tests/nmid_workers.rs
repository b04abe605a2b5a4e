//! What nmid's workers are promised: registration, one job at a time, deadlines, death, coming back in the middle of a
//! job, and silence behind large jobs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::Agent;
use common::nmid::{Client, PARAMS, Reply, Worker, named, well};
use msf_wire::nmid::{Dialect, conn, empty, pdt};
use std::io::Write;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(60);

/// One and four reactors.
fn agents(lines: &str) -> impl Iterator<Item = Agent> {
    [1, 4].into_iter().map(move |reactors| Agent::with_nmid(&format!("max_threads={reactors}\n{lines}")))
}

/// Milliseconds until the reply comes.
fn reply_after(client: &mut Client) -> (Reply, u128) {
    let since = Instant::now();
    let reply = client.reply();
    (reply, since.elapsed().as_millis())
}

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
fn a_worker_has_one_job_at_a_time_unless_more_is_allowed() {
    let rules = [("", 1), ("function.F.in_flight=3", 3), ("function.F.in_flight=3\nworker.W.in_flight=2", 2)];
    for (lines, most) in rules {
        for agent in agents(lines) {
            let mut worker = agent.worker("W", &["F"]);
            let mut clients: Vec<Client> = (0..5).map(|_| agent.client()).collect();
            clients.iter_mut().for_each(|client| client.ask("F", PARAMS));
            let mut jobs: Vec<_> = (0..most).map(|_| worker.job()).collect();
            worker.line.expect_silence(SOON);
            for _ in 0..5 - most {
                worker.give(&jobs.remove(0), &well(b"x"));
                jobs.push(worker.job());
            }
            jobs.iter().for_each(|job| worker.give(job, &well(b"x")));
            clients.iter_mut().for_each(|client| assert_eq!(client.data(), b"x"));
        }
    }
}

#[test]
fn regress_a_worker_of_the_first_generation_has_one_job_whatever_is_allowed() {
    for agent in agents("function.F.in_flight=8") {
        let mut worker = agent.first_worker(&["F"]);
        let mut clients: Vec<Client> = (0..3).map(|_| agent.client()).collect();
        clients.iter_mut().for_each(|client| client.ask("F", PARAMS));
        for _ in 0..3 {
            let job = worker.job();
            worker.line.expect_silence(SOON);
            worker.give(&job, &well(b"x"));
        }
        clients.iter_mut().for_each(|client| assert_eq!(client.data(), b"x"));
    }
}

#[test]
fn more_than_the_queue_holds_is_turned_away() {
    let agent = Agent::with_nmid("function.F.queue_limit=2");
    let mut worker = agent.worker("W", &["F"]);
    let mut clients: Vec<Client> = (0..5).map(|_| agent.client()).collect();
    clients[0].ask("F", PARAMS);
    let first = worker.job();
    clients[1].ask("F", PARAMS);
    clients[2].ask("F", PARAMS);
    // The fourth and the fifth find one at work and two waiting; which ones these are, their sockets decide.
    worker.expect_nothing();
    for client in &mut clients[3..] {
        client.ask("F", PARAMS);
        assert_eq!(client.reply(), Reply::RateLimit);
    }
    worker.give(&first, &well(b"0"));
    for client in &mut clients[..3] {
        if client.line.next_within(SOON).is_none() {
            worker.serve(b"x");
            assert_eq!(client.data(), b"x");
        }
    }
}

#[test]
fn who_asks_a_lot_does_not_keep_who_asks_little_waiting() {
    for agent in agents("nmid_order=pipelined") {
        let mut worker = agent.worker("W", &["F"]);
        let mut greedy = agent.client();
        (0..100).for_each(|_| greedy.ask("F", &named("many")));
        let first = worker.job();
        // All hundred are in the agent: an answer to the hundred-and-first request says so.
        let mut modest: Vec<Client> = (0..3).map(|_| agent.client()).collect();
        greedy.ask("nobody", PARAMS);
        modest.iter_mut().for_each(|client| client.ask("F", &named("once")));
        worker.line.expect_silence(SOON);
        worker.give(&first, &well(b"x"));
        let mut turns = Vec::new();
        for _ in 0..7 {
            let job = worker.serve(b"x");
            turns.push(job.params == named("once"));
        }
        assert_eq!(turns.iter().filter(|is_modest| **is_modest).count(), 3, "{turns:?}");
        modest.iter_mut().for_each(|client| assert_eq!(client.data(), b"x"));
    }
}

#[test]
fn regress_a_deadline_is_kept_and_the_worker_gets_its_next_job() {
    for agent in agents("function.F.deadline_ms=300") {
        let mut worker = agent.worker("W", &["F"]);
        for _ in 0..2 {
            let mut client = agent.client();
            let since = Instant::now();
            client.ask("F", &named("late"));
            let late = worker.job();
            let (reply, _) = reply_after(&mut client);
            let after = since.elapsed().as_millis();
            assert_eq!(reply, Reply::Error);
            assert!((290..400).contains(&after), "{after} ms");
            client.ask("F", &named("next"));
            let next = worker.job();
            assert_eq!(next.params, named("next"));
            worker.give(&late, &well(b"late"));
            worker.give(&next, &well(b"next"));
            assert_eq!(client.data(), b"next");
        }
        let counted = agent.end();
        assert_eq!((counted.of("deadline"), counted.of("dropped_late")), (2, 2));
    }
}

#[test]
fn what_waits_in_the_queue_has_its_deadline_too() {
    for agent in agents("function.F.deadline_ms=200") {
        let worker = agent.worker("W", &["F"]);
        let mut clients: Vec<Client> = (0..3).map(|_| agent.client()).collect();
        let since = Instant::now();
        clients.iter_mut().for_each(|client| client.ask("F", PARAMS));
        for client in &mut clients {
            assert_eq!(client.reply(), Reply::Error);
            assert!((190..350).contains(&since.elapsed().as_millis()), "{:?}", since.elapsed());
        }
        drop(worker);
    }
}

#[test]
fn when_a_worker_dies_its_caller_knows_at_once() {
    for agent in agents("") {
        let mut worker = agent.worker("W", &["F"]);
        let mut client = agent.client();
        client.ask("F", PARAMS);
        worker.job();
        drop(worker);
        let (reply, after) = reply_after(&mut client);
        assert_eq!(reply, Reply::Error);
        assert!(after < 1000, "{after} ms");
    }
}

#[test]
fn what_waits_for_a_dead_worker_goes_to_another_one() {
    for agent in agents("") {
        let mut dying = agent.worker("A", &["F"]);
        let mut clients: Vec<Client> = (0..4).map(|_| agent.client()).collect();
        clients.iter_mut().for_each(|client| client.ask("F", PARAMS));
        dying.job();
        let mut heir = agent.worker("B", &["F"]);
        drop(dying);
        let (mut errors, mut done) = (0, 0);
        for _ in 0..3 {
            heir.serve(b"x");
        }
        for client in &mut clients {
            match client.reply() {
                Reply::Error => errors += 1,
                _ => done += 1,
            }
        }
        assert_eq!((errors, done), (1, 3));
    }
}

#[test]
fn an_idempotent_call_survives_as_many_deaths_as_retries_allow() {
    for retries in [1, 2] {
        for agent in agents(&format!("function.F.idempotent=true\nfunction.F.retries={retries}")) {
            let mut workers: Vec<Worker> = (0..4).map(|_| agent.worker("W", &["F"])).collect();
            let mut client = agent.client();
            client.ask("F", PARAMS);
            let mut deaths = 0;
            // Whoever gets the job dies of it.
            let reply = loop {
                if let Some(heard) = client.line.next_within(Duration::from_millis(5)) {
                    break heard.unwrap().kind;
                }
                let before = workers.len();
                workers.retain_mut(|worker| worker.job_within(Duration::from_millis(1)).is_none());
                deaths += before - workers.len();
            };
            assert_eq!((reply, deaths), (pdt::ERROR, retries + 1));
        }
    }
}

#[test]
fn regress_a_call_whose_worker_died_is_repeated_where_a_worker_is_free() {
    for agent in agents("function.F.idempotent=true") {
        let mut workers: Vec<Worker> = (0..6).map(|_| agent.worker("W", &["F"])).collect();
        let mut busy: Vec<Client> = (0..5).map(|_| agent.client()).collect();
        busy.iter_mut().for_each(|client| client.ask("F", &named("busy")));
        let mut client = agent.client();
        // Five are busy; the sixth gets it and dies, and one of the five is free by then.
        for _ in 0..5 {
            client.line.expect_silence(Duration::from_millis(1));
        }
        let mut idle = Vec::new();
        let mut at = Vec::new();
        for mut worker in workers.drain(..) {
            match worker.job_within(SOON) {
                Some(job) => at.push((worker, job)),
                None => idle.push(worker),
            }
        }
        assert_eq!((at.len(), idle.len()), (5, 1));
        client.ask("F", &named("fate"));
        let mut doomed = idle.remove(0);
        assert_eq!(doomed.job().params, named("fate"));
        let (mut free, job) = at.pop().unwrap();
        free.give(&job, &well(b"x"));
        free.expect_nothing();
        drop(doomed);
        assert_eq!(free.serve(b"repeated").params, named("fate"));
        assert_eq!(client.data(), b"repeated");
    }
}

#[test]
fn a_worker_that_connects_anew_in_the_middle_of_a_job_may_return_it() {
    for agent in agents("") {
        for lands in 0..4 {
            let mut worker = agent.worker("Same", &["F"]);
            let mut client = agent.client();
            client.ask("F", PARAMS);
            let job = worker.job();
            worker.close(&["F"]);
            // Lands on another reactor each time.
            let _others: Vec<_> = (0..lands).map(|_| agent.nmid()).collect();
            let mut again = agent.worker("Same", &["F"]);
            again.give(&job, &well(b"after all"));
            assert_eq!(client.data(), b"after all");
            client.ask("F", PARAMS);
            again.serve(b"next");
            assert_eq!(client.data(), b"next");
            again.close(&["F"]);
        }
    }
}

#[test]
fn regress_a_result_that_overtakes_the_end_of_the_old_connection_counts() {
    for agent in agents("") {
        for _ in 0..4 {
            let mut worker = agent.worker("Same", &["F"]);
            let mut client = agent.client();
            client.ask("F", PARAMS);
            let job = worker.job();
            worker.say(pdt::W_DEL_FUNC, b"F");
            worker.expect_nothing();
            let mut again = agent.worker("Same", &["F"]);
            again.give(&job, &well(b"after all"));
            assert_eq!(client.data(), b"after all");
            drop(worker);
            again.close(&["F"]);
        }
    }
}

#[test]
fn a_stranger_cannot_return_what_another_worker_was_given() {
    for agent in agents("") {
        let mut worker = agent.worker("One", &["F"]);
        let mut client = agent.client();
        client.ask("F", PARAMS);
        let job = worker.job();
        let mut stranger = agent.worker("Two", &["G"]);
        stranger.give(&job, &well(b"false"));
        stranger.expect_nothing();
        worker.give(&job, &well(b"true"));
        assert_eq!(client.data(), b"true");
    }
}

#[test]
fn who_says_goodbye_and_does_not_come_back_is_not_waited_for_for_long() {
    for agent in agents("function.F.deadline_ms=20000") {
        let mut worker = agent.worker("Gone", &["F"]);
        let mut client = agent.client();
        client.ask("F", PARAMS);
        worker.job();
        worker.close(&["F"]);
        let (reply, after) = reply_after(&mut client);
        assert_eq!(reply, Reply::Error);
        assert!((5000..8000).contains(&after), "{after} ms");
    }
}

#[test]
fn who_comes_back_has_until_the_deadline() {
    for agent in agents("function.F.deadline_ms=9000") {
        let mut worker = agent.worker("Back", &["F"]);
        let mut client = agent.client();
        client.ask("F", PARAMS);
        let job = worker.job();
        worker.close(&["F"]);
        let mut again = agent.worker("Back", &["F"]);
        client.line.expect_silence(Duration::from_millis(7500));
        again.give(&job, &well(b"at last"));
        assert_eq!(client.data(), b"at last");
    }
}

#[test]
fn regress_a_worker_that_mixes_jobs_up_loses_all_it_has() {
    for agent in agents("function.F.in_flight=2") {
        let mut worker = agent.worker("W", &["F"]);
        let (mut a, mut b) = (agent.client(), agent.client());
        a.ask("F", &named("AAAA"));
        let first = worker.job();
        b.ask("F", &named("BBBB"));
        worker.job();
        worker.give(&first, &well(b"a"));
        assert_eq!(a.data(), b"a");
        // The same once more: which one it was nobody can tell.
        worker.give(&first, &well(b"a"));
        let (reply, after) = reply_after(&mut b);
        assert_eq!(reply, Reply::Error);
        assert!(after < 1000, "{after} ms");
        a.ask("F", &named("CCCC"));
        worker.serve(b"c");
        assert_eq!(a.data(), b"c");
        assert_eq!(agent.end().of("corrupt"), 1);
    }
}

#[test]
fn behind_a_large_job_nothing_is_sent_for_a_moment_and_then_nothing_is_missing() {
    for agent in agents("function.F.in_flight=4") {
        let mut worker = agent.worker("W", &["F"]);
        let large = [b"\x81\xa4name\xc5\x07\xd0".as_slice(), &[7; 2000]].concat();
        let (mut a, mut b) = (agent.client(), agent.client());
        for _ in 0..3 {
            a.ask("F", &large);
            let job = worker.job();
            let since = Instant::now();
            b.ask("F", PARAMS);
            worker.say(pdt::W_HEARTBEAT_PING, b"PING");
            let pong = worker.line.get();
            assert_eq!(pong.kind, pdt::S_HEARTBEAT_PONG);
            let after = since.elapsed().as_millis();
            assert!((40..150).contains(&after), "{after} ms");
            worker.serve(b"b");
            assert_eq!(b.data(), b"b");
            worker.give(&job, &well(b"a"));
            assert_eq!(a.data(), b"a");
        }
    }
}

#[test]
fn the_result_of_a_large_job_ends_the_silence_behind_it() {
    for agent in agents("") {
        let mut worker = agent.worker("W", &["F"]);
        let mut client = agent.client();
        let since = Instant::now();
        for _ in 0..20 {
            client.ask("F", &[1; 3000]);
            worker.serve(b"x");
            assert_eq!(client.data(), b"x");
        }
        assert!(since.elapsed() < Duration::from_millis(600), "{:?}", since.elapsed());
    }
}

#[test]
fn regress_the_silence_behind_a_second_large_job_is_as_long() {
    let agent = Agent::with_nmid("");
    let mut worker = agent.worker("W", &["F"]);
    let mut client = agent.client();
    client.ask("F", &[1; 3000]);
    let first = worker.job();
    std::thread::sleep(Duration::from_millis(30));
    worker.give(&first, &well(b"x"));
    assert_eq!(client.data(), b"x");
    client.ask("F", &[1; 3000]);
    worker.job();
    let since = Instant::now();
    worker.say(pdt::W_HEARTBEAT_PING, b"PING");
    worker.line.get();
    assert!(since.elapsed() >= Duration::from_millis(40), "{:?}", since.elapsed());
}

/// Carries the next job out as a serial worker of Go does: the NO_JOB behind it is answered when it is done.
fn serve_serially(worker: &mut Worker, result: Option<&[u8]>) {
    let job = worker.job();
    if let Some(data) = result {
        worker.give(&job, &well(data));
    }
    if let Some(Some(asked)) = worker.line.next_within(SOON) {
        assert_eq!(asked.kind, pdt::NO_JOB);
        worker.say(pdt::W_GRAB_JOB, b"");
    }
}

#[test]
fn regress_a_serial_workers_failure_shows_in_its_grab() {
    let agent = Agent::with_nmid("nmid_probe=true\nfunction.F.deadline_ms=5000");
    let mut worker = agent.worker("W", &["F"]);
    let mut client = agent.client();
    worker.line.expect_silence(Duration::from_millis(1100));
    for round in 0..12 {
        client.ask("F", PARAMS);
        serve_serially(&mut worker, Some(b"fine"));
        assert_eq!(client.data(), b"fine", "round {round}");
    }
    client.ask("F", PARAMS);
    serve_serially(&mut worker, None);
    let (reply, after) = reply_after(&mut client);
    assert_eq!(reply, Reply::Error);
    assert!(after < 1000, "{after} ms");
    client.ask("F", PARAMS);
    serve_serially(&mut worker, Some(b"fine"));
    assert_eq!(client.data(), b"fine");
}

#[test]
fn regress_a_grab_late_for_one_job_says_nothing_about_the_next() {
    let agent = Agent::with_nmid("nmid_probe=true\nfunction.F.deadline_ms=5000");
    let mut worker = agent.worker("W", &["F"]);
    let (mut a, mut b) = (agent.client(), agent.client());
    worker.line.expect_silence(Duration::from_millis(1100));
    for _ in 0..12 {
        a.ask("F", PARAMS);
        serve_serially(&mut worker, Some(b"fine"));
        assert_eq!(a.data(), b"fine");
    }
    a.ask("F", &named("AAAA"));
    let first = worker.job();
    assert_eq!(worker.line.get().kind, pdt::NO_JOB);
    b.ask("F", &named("BBBB"));
    worker.give(&first, &well(b"a"));
    let second = worker.job();
    assert_eq!(second.params, named("BBBB"));
    // The answer to the first NO_JOB, when the second job is here already; and one that goes with a PING.
    worker.say(pdt::W_GRAB_JOB, b"");
    worker.say(pdt::W_HEARTBEAT_PING, b"PING");
    worker.say(pdt::W_GRAB_JOB, b"");
    b.line.expect_silence(SOON);
    worker.give(&second, &well(b"b"));
    assert_eq!((a.data(), b.data()), (b"a".to_vec(), b"b".to_vec()));
}

#[test]
fn regress_a_worker_that_grabs_before_it_is_done_is_not_asked_any_more() {
    let agent = Agent::with_nmid("nmid_probe=true\nfunction.F.deadline_ms=5000");
    let mut worker = agent.worker("W", &["F"]);
    let mut client = agent.client();
    worker.line.expect_silence(Duration::from_millis(1100));
    client.ask("F", PARAMS);
    let job = worker.job();
    assert_eq!(worker.line.get().kind, pdt::NO_JOB);
    worker.say(pdt::W_GRAB_JOB, b"");
    client.line.expect_silence(SOON);
    worker.give(&job, &well(b"slow"));
    assert_eq!(client.data(), b"slow");
    for _ in 0..3 {
        client.ask("F", PARAMS);
        worker.serve(b"fine");
        worker.line.expect_silence(Duration::from_millis(5));
        assert_eq!(client.data(), b"fine");
    }
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

#[test]
fn nobody_waits_behind_a_slow_worker_while_another_one_is_idle() {
    let agent = Agent::with_nmid("max_threads=4");
    let mut slow = agent.worker("Slow", &["F"]);
    let mut quick = agent.worker("Quick", &["F"]);
    let mut clients: Vec<Client> = (0..40).map(|_| agent.client()).collect();
    clients.iter_mut().for_each(|client| client.ask("F", PARAMS));
    let held = slow.job();
    let since = Instant::now();
    for _ in 0..39 {
        quick.serve(b"quick");
    }
    assert!(since.elapsed() < Duration::from_secs(2));
    slow.give(&held, &well(b"slow"));
    let mut slows = 0;
    for client in &mut clients {
        slows += usize::from(client.data() == b"slow");
    }
    assert_eq!(slows, 1);
}

#[test]
fn regress_callers_take_turns_when_another_reactor_takes_their_calls() {
    let agent = Agent::with_nmid("max_threads=2\nnmid_order=pipelined");
    // Connections are handed out in turn: the callers and the first worker on one reactor, the other worker elsewhere.
    let mut near = agent.worker("Near", &["F"]);
    let _skip = agent.nmid();
    let mut greedy = agent.client();
    let _skip = agent.nmid();
    let mut modest = agent.client();
    (0..60).for_each(|_| greedy.ask("F", &named("many")));
    let mine = near.job();
    modest.ask("F", &named("once"));
    near.line.expect_silence(SOON);
    let mut far = agent.worker("Far", &["F"]);
    let mut before = 0;
    let mut job = far.job();
    while job.params != named("once") {
        far.give(&job, &well(b"x"));
        job = far.job();
        before += 1;
        assert!(before < 5, "the modest one waits behind {before}");
    }
    far.give(&job, &well(b"x"));
    assert_eq!(modest.data(), b"x");
    near.give(&mine, &well(b"x"));
}

#[test]
fn at_the_end_who_waits_is_answered_or_told() {
    for agent in agents("drain_ms=300\nnmid_order=auto") {
        let mut agent = agent;
        let mut worker = agent.worker("W", &["F"]);
        let mut never = agent.worker("N", &["Never"]);
        let mut clients: Vec<Client> = (0..3).map(|_| agent.client()).collect();
        clients[0].ask("F", PARAMS);
        let job = worker.job();
        clients[1].ask("Never", PARAMS);
        never.job();
        // Many answers that may not follow each other at once.
        for _ in 0..40 {
            clients[2].ask("F", PARAMS);
        }
        worker.line.expect_silence(SOON);
        agent.signal(nix::sys::signal::Signal::SIGTERM);
        worker.give(&job, &well(b"done"));
        for _ in 0..40 {
            worker.serve(b"many");
        }
        assert_eq!(clients[0].data(), b"done");
        for number in 0..40 {
            assert_eq!(clients[2].data(), b"many", "{number}");
        }
        assert_eq!(clients[1].reply(), Reply::Error);
        assert!(agent.wait().success());
        clients.iter_mut().for_each(|client| client.line.expect_end());
        let _ = worker.line.stream.flush();
    }
}
