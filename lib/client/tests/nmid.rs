//! nmid's drivers against a broker that plays every part a test wants.
#![allow(clippy::unwrap_used)]

mod nmid_broker;

use msf_client::nmid::{self, CallError, Client, Failure, Running, StillBusy, Worker, json, msgpack};
use msf_wire::nmid::{Head, RetStruct, conn, empty, params_type, pdt};
use nmid_broker::{Broker, Peer, Said, answer, job};
use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const EMPTY_MAP: &[u8] = b"\x80";
const LONG: Option<Duration> = Some(Duration::from_secs(20));
const SHORT: Option<Duration> = Some(Duration::from_millis(100));

/// Plays the broker on a thread while the test calls.
fn with_broker(play: impl FnOnce(&Broker) + Send + 'static) -> (Client, thread::JoinHandle<()>) {
    let broker = Broker::start();
    let client = Client::new(broker.place());
    (client, thread::spawn(move || play(&broker)))
}

fn asked(function: &[u8]) -> Said {
    Said::DoJob { function: function.to_vec(), kind: params_type::MSGPACK, params: EMPTY_MAP.to_vec() }
}

#[test]
fn a_call_returns_what_the_function_did_and_params_arrive_untouched() {
    let (mut client, broker) = with_broker(|broker| {
        let mut peer = broker.accept();
        let params = br#"{"a":1}"#.to_vec();
        assert_eq!(peer.said(), Said::DoJob { function: b"F".to_vec(), kind: params_type::JSON, params });
        peer.answer(b"F", b"ret");
        assert_eq!(peer.said(), asked(b"G"));
        peer.answer(b"G", b"");
    });
    assert_eq!(client.call(b"F", json(br#"{"a":1}"#), LONG).unwrap(), b"ret");
    assert_eq!(client.call(b"G", msgpack(EMPTY_MAP), LONG).unwrap(), b"");
    broker.join().unwrap();
}

#[test]
fn every_refusal_is_told_apart_and_leaves_the_connection_usable() {
    let (mut client, broker) = with_broker(|broker| {
        let mut peer = broker.accept();
        for kind in [pdt::ERROR, pdt::CANT_DO, pdt::RATE_LIMIT] {
            assert_eq!(peer.said(), asked(b"F"));
            peer.say(&empty(conn::SERVER, kind));
        }
        assert_eq!(peer.said(), asked(b"F"));
        peer.answer(b"F", b"ret");
    });
    assert!(matches!(client.call(b"F", msgpack(EMPTY_MAP), LONG), Err(CallError::Error)));
    assert!(matches!(client.call(b"F", msgpack(EMPTY_MAP), LONG), Err(CallError::NoWorker)));
    assert!(matches!(client.call(b"F", msgpack(EMPTY_MAP), LONG), Err(CallError::RateLimited)));
    assert_eq!(client.call(b"F", msgpack(EMPTY_MAP), LONG).unwrap(), b"ret");
    broker.join().unwrap();
}

#[test]
fn a_late_answer_is_never_taken_for_the_next_calls() {
    let (mut client, broker) = with_broker(|broker| {
        let mut first = broker.accept();
        assert_eq!(first.said(), asked(b"F"));
        // The next call comes over another connection; only then does the first answer leave.
        let mut second = broker.accept();
        assert_eq!(second.said(), asked(b"F"));
        let _ = std::io::Write::write_all(&mut first.stream, &answer(b"F", b"late"));
        second.answer(b"F", b"mine");
        assert_eq!(first.said(), Said::Hangup);
    });
    let start = Instant::now();
    assert!(matches!(client.call(b"F", msgpack(EMPTY_MAP), SHORT), Err(CallError::Timeout)));
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert_eq!(client.call(b"F", msgpack(EMPTY_MAP), LONG).unwrap(), b"mine");
    broker.join().unwrap();
}

#[test]
fn an_answer_nobody_asked_for_is_thrown_away_with_its_connection() {
    let (said, heard) = mpsc::channel();
    let (mut client, broker) = with_broker(move |broker| {
        let mut peer = broker.accept();
        assert_eq!(peer.said(), asked(b"F"));
        peer.say(&[answer(b"F", b"one"), answer(b"F", b"two")].concat());
        said.send(()).unwrap();
        let mut next = broker.accept();
        assert_eq!(next.said(), asked(b"F"));
        next.answer(b"F", b"three");
    });
    assert_eq!(client.call(b"F", msgpack(EMPTY_MAP), LONG).unwrap(), b"one");
    heard.recv().unwrap();
    assert_eq!(client.call(b"F", msgpack(EMPTY_MAP), LONG).unwrap(), b"three");
    broker.join().unwrap();
}

#[test]
fn a_loss_under_a_request_is_told_and_the_next_call_connects_anew() {
    let (mut client, broker) = with_broker(|broker| {
        assert_eq!(broker.accept().said(), asked(b"F"));
        let mut peer = broker.accept();
        assert_eq!(peer.said(), asked(b"F"));
        peer.answer(b"F", b"ret");
    });
    assert!(matches!(client.call(b"F", msgpack(EMPTY_MAP), LONG), Err(CallError::Lost(_))));
    assert_eq!(client.call(b"F", msgpack(EMPTY_MAP), LONG).unwrap(), b"ret");
    broker.join().unwrap();
}

#[test]
fn a_connection_that_ended_while_nobody_used_it_costs_no_call() {
    let (gone, closed) = mpsc::channel();
    let (mut client, broker) = with_broker(move |broker| {
        for _ in 0..2 {
            let mut peer = broker.accept();
            assert_eq!(peer.said(), asked(b"F"));
            peer.answer(b"F", b"ret");
            drop(peer);
            gone.send(()).unwrap();
        }
    });
    for _ in 0..2 {
        assert_eq!(client.call(b"F", msgpack(EMPTY_MAP), LONG).unwrap(), b"ret");
        closed.recv().unwrap();
    }
    broker.join().unwrap();
}

#[test]
fn an_answer_may_come_a_byte_at_a_time_and_be_large() {
    let (mut client, broker) = with_broker(|broker| {
        let mut peer = broker.accept();
        peer.said();
        for byte in answer(b"F", b"slowly") {
            peer.say(&[byte]);
        }
        peer.said();
        peer.answer(b"F", &vec![7; 3 << 20]);
    });
    assert_eq!(client.call(b"F", msgpack(EMPTY_MAP), LONG).unwrap(), b"slowly");
    assert_eq!(client.call(b"F", msgpack(EMPTY_MAP), LONG).unwrap(), vec![7; 3 << 20]);
    broker.join().unwrap();
}

#[test]
fn nonsense_from_a_broker_ends_the_connection_and_nothing_else() {
    let oversized = Head { conn: conn::SERVER, kind: pdt::S_RETURN_DATA, len: u32::MAX }.encode().to_vec();
    let no_frame = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    let wrong_lengths = [&Head { conn: 1, kind: 11, len: 4 }.encode()[..], &[0xff; 4]].concat();
    let other_function = answer(b"G", b"not yours");
    for nonsense in [oversized, no_frame, wrong_lengths, other_function] {
        let (mut client, broker) = with_broker(move |broker| {
            let mut peer = broker.accept();
            peer.said();
            peer.say(&nonsense);
            assert_eq!(peer.said(), Said::Hangup);
            let mut peer = broker.accept();
            peer.said();
            // Types that no client knows are passed over.
            peer.say(&[empty(conn::SERVER, 99), empty(conn::SERVER, pdt::S_HEARTBEAT_PONG)].concat());
            peer.answer(b"F", b"ret");
        });
        let Err(CallError::Lost(why)) = client.call(b"F", msgpack(EMPTY_MAP), LONG) else { panic!("not told") };
        assert_eq!(why.kind(), io::ErrorKind::InvalidData);
        assert_eq!(client.call(b"F", msgpack(EMPTY_MAP), LONG).unwrap(), b"ret");
        broker.join().unwrap();
    }
}

#[test]
fn nobody_there_and_too_much_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = nmid::place(&listener.local_addr().unwrap().to_string()).unwrap();
    drop(listener);
    assert!(matches!(Client::connect(place.clone(), LONG.unwrap()), Err(CallError::NoBroker { .. })));
    let broker = Broker::start();
    let mut client = Client::new(broker.place()).payload_limit(100);
    assert!(matches!(client.call(b"F", msgpack(&[0; 100]), LONG), Err(CallError::TooLarge(100))));
}

#[test]
fn a_call_is_cancelled_from_another_thread() {
    let broker = Broker::start();
    let mut client = Client::new(broker.place());
    let canceller = client.canceller();
    let caller = thread::spawn(move || {
        let first = client.call(b"F", msgpack(EMPTY_MAP), None);
        (first, client.call(b"F", msgpack(EMPTY_MAP), None))
    });
    let mut peer = broker.accept();
    assert_eq!(peer.said(), asked(b"F"));
    canceller.cancel();
    assert!(matches!(caller.join().unwrap(), (Err(CallError::Cancelled), Err(CallError::Cancelled))));
}

fn shouter(broker: &Broker) -> Worker {
    Worker::new("shouter").function("ToUpper", |job| Ok(job.params().to_ascii_uppercase())).server(broker.place())
}

fn serving(broker: &Broker, worker: Worker, functions: &[&[u8]]) -> (Peer, Running) {
    let running = worker.start().unwrap();
    (broker.accept_worker(b"shouter", functions), running)
}

/// The result a worker sends next, and the id it bears.
fn result(peer: &mut Peer) -> (Vec<u8>, i64, Vec<u8>, Vec<u8>) {
    let Said::Return { ret, id, .. } = peer.said() else { panic!("no result") };
    let ret = RetStruct::parse(&ret).unwrap();
    (id, ret.code, ret.msg.to_vec(), ret.data.to_vec())
}

#[test]
fn a_worker_registers_and_serves() {
    let broker = Broker::start();
    let (mut peer, running) = serving(&broker, shouter(&broker), &[b"ToUpper"]);
    assert_eq!(running.wait_registered(1, LONG.unwrap()), 1);
    peer.give(b"ToUpper", b"nmid", b"00ab");
    let expected = Said::Return {
        function: b"ToUpper".to_vec(),
        params: b"nmid".to_vec(),
        ret: b"\x83\xa4Code\xd3\0\0\0\0\0\0\0\0\xa3Msg\xa2ok\xa4Data\xc4\x04NMID".to_vec(),
        id: b"00ab".to_vec(),
    };
    assert_eq!(peer.said(), expected);
}

#[test]
fn sixty_four_jobs_at_once_are_answered_each_under_its_own_id() {
    const JOBS: u64 = 64;
    let broker = Broker::start();
    let (started, starts) = mpsc::channel();
    let worker =
        Worker::new("shouter").server(broker.place()).concurrency(JOBS as usize).function("Sleep", move |job| {
            started.send(()).unwrap();
            let number: u64 = String::from_utf8_lossy(job.params()).parse().unwrap();
            // Scattered, the same in every run: the results come in another order than the jobs.
            thread::sleep(Duration::from_micros(number.wrapping_mul(2_654_435_761) % 20_000));
            Ok(format!("{number} of {}", String::from_utf8_lossy(job.id())).into_bytes())
        });
    let (mut peer, _running) = serving(&broker, worker, &[b"Sleep"]);
    let mut order = Vec::new();
    for round in 0..10 {
        let numbers: Vec<u64> = (round * JOBS..(round + 1) * JOBS).collect();
        let jobs: Vec<u8> =
            numbers.iter().flat_map(|n| job(b"Sleep", n.to_string().as_bytes(), format!("id{n}").as_bytes())).collect();
        peer.say(&jobs);
        let mut results: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for _ in &numbers {
            let Said::Return { function, params, ret, id } = peer.said() else { panic!("no result") };
            let number = String::from_utf8(params).unwrap();
            assert_eq!((function.as_slice(), id.as_slice()), (b"Sleep".as_slice(), format!("id{number}").as_bytes()));
            let data = RetStruct::parse(&ret).unwrap().data.to_vec();
            assert_eq!(data, format!("{number} of id{number}").into_bytes());
            order.push(number.parse::<u64>().unwrap());
            assert_eq!(results.insert(id, data), None, "an id came twice");
        }
    }
    assert!(!order.is_sorted(), "nothing ran at the same time");
    assert_eq!(starts.try_iter().count(), 640);
}

#[test]
fn failures_panics_and_unknown_functions_are_answers() {
    let broker = Broker::start();
    let worker = shouter(&broker)
        .function("Fail", |_| Err(Failure::new(7, "no paper")))
        .function("FailWithoutCode", |_| Err(Failure::new(0, "forgot")))
        .function("Panic", |job| Ok(vec![job.params()[1000]]))
        .raw_function("Raw", |_| b"anything".to_vec());
    let names: [&[u8]; 5] = [b"ToUpper", b"Fail", b"FailWithoutCode", b"Panic", b"Raw"];
    let (mut peer, _running) = serving(&broker, worker, &names);
    for (function, code, msg) in [
        (b"Fail".as_slice(), 7, b"no paper".as_slice()),
        (b"FailWithoutCode", 500, b"forgot"),
        (b"Panic", 500, b"the function panicked"),
        (b"Nobody", 404, b"this worker has no such function"),
        (b"ToUpper", 0, b"ok"),
    ] {
        peer.give(function, b"x", b"1");
        let (_, found, said, _) = result(&mut peer);
        assert_eq!((found, said.as_slice()), (code, msg));
    }
    peer.give(b"Raw", b"", b"2");
    assert!(matches!(peer.said(), Said::Return { ret, .. } if ret == b"anything"));
}

#[test]
fn jobs_may_come_in_any_pieces_and_what_is_none_is_passed_over() {
    let broker = Broker::start();
    let (mut peer, _running) = serving(&broker, shouter(&broker), &[b"ToUpper"]);
    let malformed = [&Head { conn: conn::SERVER, kind: pdt::S_GET_DATA, len: 20 }.encode()[..], &[0xff; 20]].concat();
    let unknown = empty(conn::SERVER, 99).to_vec();
    let stream = [malformed, unknown, job(b"ToUpper", b"a", b"1"), job(b"ToUpper", b"b", b"2")].concat();
    for byte in stream {
        peer.say(&[byte]);
    }
    assert_eq!(result(&mut peer), (b"1".to_vec(), 0, b"ok".to_vec(), b"A".to_vec()));
    assert_eq!(result(&mut peer), (b"2".to_vec(), 0, b"ok".to_vec(), b"B".to_vec()));
    peer.say(&empty(conn::SERVER, pdt::NO_JOB));
    assert_eq!(peer.said(), Said::Grab);
}

#[test]
fn after_a_loss_the_worker_comes_back_with_all_its_functions() {
    let broker = Broker::start();
    let (peer, running) = serving(&broker, shouter(&broker), &[b"ToUpper"]);
    drop(peer);
    let mut nonsense = broker.accept_worker(b"shouter", &[b"ToUpper"]);
    nonsense.say(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_eq!(nonsense.said(), Said::Hangup);
    let mut peer = broker.accept_worker(b"shouter", &[b"ToUpper"]);
    assert_eq!(running.wait_registered(1, LONG.unwrap()), 1);
    peer.give(b"ToUpper", b"again", b"9");
    assert_eq!(result(&mut peer).3, b"AGAIN");
}

#[test]
fn a_result_of_a_lost_connection_is_not_sent_over_the_next() {
    let broker = Broker::start();
    let (go, wait) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let worker = shouter(&broker).concurrency(2).function("Wait", move |_| {
        begun.send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        Ok(b"late".to_vec())
    });
    let (mut peer, _running) = serving(&broker, worker, &[b"ToUpper", b"Wait"]);
    peer.give(b"Wait", b"", b"old");
    begins.recv().unwrap();
    drop(peer);
    let mut peer = broker.accept_worker(b"shouter", &[b"ToUpper", b"Wait"]);
    go.send(()).unwrap();
    peer.give(b"ToUpper", b"new", b"new");
    assert_eq!(result(&mut peer).0, b"new");
}

#[test]
fn closing_takes_the_functions_back_and_finishes_what_has_come() {
    let broker = Broker::start();
    let worker = shouter(&broker).function("Slow", |_| {
        thread::sleep(Duration::from_millis(50));
        Ok(b"done".to_vec())
    });
    let (mut peer, running) = serving(&broker, worker, &[b"ToUpper", b"Slow"]);
    peer.give(b"Slow", b"", b"1");
    let closing = thread::spawn(move || running.close(LONG.unwrap()));
    let mut said = vec![peer.said(), peer.said(), peer.said()];
    // On its way when the functions were taken back: it belongs to the worker, too.
    peer.give(b"Slow", b"", b"2");
    peer.say(&empty(conn::SERVER, pdt::S_HEARTBEAT_PONG));
    while said.last() != Some(&Said::Hangup) {
        said.push(peer.said());
    }
    let results = said.iter().filter(|said| matches!(said, Said::Return { .. })).count();
    assert_eq!(results, 2);
    said.retain(|said| !matches!(said, Said::Return { .. }));
    let back = |name: &[u8]| Said::DelFunction(name.to_vec());
    assert_eq!(said, [back(b"ToUpper"), back(b"Slow"), Said::Ping, Said::Hangup]);
    assert_eq!(closing.join().unwrap(), Ok(()));
}

#[test]
fn a_function_that_does_not_end_does_not_keep_close() {
    let broker = Broker::start();
    let (go, wait) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let worker = shouter(&broker).function("Wait", move |_| {
        begun.send(()).unwrap();
        let _ = wait.lock().unwrap().recv();
        Ok(Vec::new())
    });
    let (mut peer, running) = serving(&broker, worker, &[b"ToUpper", b"Wait"]);
    peer.give(b"Wait", b"", b"1");
    begins.recv().unwrap();
    let start = Instant::now();
    assert_eq!(running.close(Duration::from_millis(200)), Err(StillBusy(1)));
    assert!(start.elapsed() < Duration::from_secs(10));
    drop(go);
}

#[test]
fn one_worker_serves_several_brokers() {
    let (one, two) = (Broker::start(), Broker::start());
    let running = shouter(&one).server(two.place()).start().unwrap();
    let mut peers = [&one, &two].map(|broker| broker.accept_worker(b"shouter", &[b"ToUpper"]));
    for peer in &mut peers {
        peer.give(b"ToUpper", b"x", b"1");
        assert_eq!(result(peer).3, b"X");
    }
    assert_eq!(running.wait_registered(2, LONG.unwrap()), 2);
}

#[test]
fn without_threads_of_its_own_functions_run_where_they_are_asked_to() {
    let broker = Broker::start();
    let (rung, rings) = mpsc::channel();
    let here = thread::current().id();
    let worker = Worker::new("shouter").server(broker.place()).function("Where", move |_| {
        assert_eq!(thread::current().id(), here);
        Ok(b"here".to_vec())
    });
    let running = worker.start_without_threads(move || rung.send(()).unwrap()).unwrap();
    let mut peer = broker.accept_worker(b"shouter", &[b"Where"]);
    assert!(!running.run_one());
    peer.give(b"Where", b"", b"1");
    rings.recv().unwrap();
    assert!(running.run_one());
    assert_eq!(result(&mut peer).3, b"here");
    peer.give(b"Where", b"", b"2");
    rings.recv().unwrap();
    peer.say(&empty(conn::SERVER, pdt::S_HEARTBEAT_PONG));
    assert_eq!(running.close(LONG.unwrap()), Ok(()));
    assert!(matches!(peer.said(), Said::DelFunction(_)));
    assert_eq!(peer.said(), Said::Ping);
    assert_eq!(result(&mut peer).3, b"here");
    assert_eq!(peer.said(), Said::Hangup);
}
