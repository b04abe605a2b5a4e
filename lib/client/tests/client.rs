//! The blocking driver against a broker that is not our agent.
#![allow(clippy::unwrap_used)]

mod broker;

use broker::Broker;
use msf_client::{Client, ClientError, Happening, Place};
use msf_wire::librpc::{Header, cmd, errcode, id, opcode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const A: u32 = 0x41;
const B: u32 = 0x42;
const NOT: u32 = 0x30;
const SLOW: u32 = 0x31;
const REFUSE: u32 = 0x32;
const SOON: Option<Duration> = Some(Duration::from_secs(5));

/// A service on a thread of its own: inverts what it gets, refuses, or takes its time.
struct Service {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    fn start(broker: &Broker) -> Self {
        let mut client = connect(broker, B);
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = thread::spawn(move || client.serve(answer, || asked.load(Ordering::Relaxed)).unwrap());
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

fn answer(head: &Header, body: &[u8]) -> Result<Vec<u8>, u32> {
    match head.cmd {
        REFUSE => Err(errcode::EXEC_FAIL),
        SLOW => {
            thread::sleep(Duration::from_millis(150));
            Ok(b"slow".to_vec())
        }
        _ => Ok(body.iter().map(|byte| !byte).collect()),
    }
}

fn connect(broker: &Broker, id: u32) -> Client {
    Client::connect(&broker.place(), id, "TEST", Duration::from_secs(5)).unwrap()
}

#[test]
fn a_call_brings_its_answer_back() {
    let broker = Broker::start();
    let _service = Service::start(&broker);
    let mut client = connect(&broker, A);
    for size in [0, 1, 100, 65_536, 1 << 20] {
        let sent: Vec<u8> = (0..size).map(|at: u32| (at * 31) as u8).collect();
        let got = client.call(B, NOT, &sent, size, SOON).unwrap();
        assert!(got.iter().eq(sent.iter().map(|byte| !byte).collect::<Vec<_>>().iter()), "{size} bytes");
    }
}

#[test]
fn an_answer_longer_than_wanted_is_cut() {
    let broker = Broker::start();
    let _service = Service::start(&broker);
    assert_eq!(connect(&broker, A).call(B, NOT, &[0; 10], 3, SOON).unwrap(), [0xff; 3]);
}

#[test]
fn a_timeout_takes_as_long_as_it_says_and_the_late_answer_disturbs_nobody() {
    let broker = Broker::start();
    let _service = Service::start(&broker);
    let mut client = connect(&broker, A);
    let start = Instant::now();
    let outcome = client.call(B, SLOW, b"", 4, Some(Duration::from_millis(50)));
    let took = start.elapsed();
    assert!(matches!(outcome, Err(ClientError::TimedOut)), "{outcome:?}");
    assert!((50..120).contains(&took.as_millis()), "{took:?}");
    assert_eq!(client.call(B, NOT, b"\x00", 1, SOON).unwrap(), [0xff]);
}

#[test]
fn errcodes_of_service_and_broker_come_back() {
    let broker = Broker::start();
    let _service = Service::start(&broker);
    let mut client = connect(&broker, A);
    assert!(matches!(client.call(B, REFUSE, b"", 4, SOON), Err(ClientError::Answered(errcode::EXEC_FAIL))));
    assert!(matches!(client.call(0x99, NOT, b"", 4, SOON), Err(ClientError::Answered(errcode::PEER_OFFLINE))));
}

#[test]
fn many_calls_in_flight_are_told_apart_by_their_tokens() {
    let broker = Broker::start();
    let _service = Service::start(&broker);
    let mut client = connect(&broker, A);
    for token in 0..200_u64 {
        client.start(B, NOT, &token.to_le_bytes(), 8, SOON, token).unwrap();
    }
    let mut seen = [false; 200];
    while seen.contains(&false) {
        let happened = client.next(Duration::from_secs(5)).unwrap();
        let Some(Happening::Answer { token, errcode: 0, body }) = happened else { panic!("{happened:?}") };
        assert_eq!(body, (!token).to_le_bytes());
        seen[token as usize] = true;
    }
}

#[test]
fn several_calls_that_expire_together_are_all_told() {
    let broker = Broker::start();
    let _deaf = connect(&broker, B);
    let mut client = connect(&broker, A);
    for token in 0..3 {
        client.start(B, NOT, b"", 8, Some(Duration::from_millis(20)), token).unwrap();
    }
    let mut expired: Vec<u64> = (0..3)
        .map(|_| match client.next(Duration::from_secs(5)).unwrap() {
            Some(Happening::Expired(token)) => token,
            other => panic!("{other:?}"),
        })
        .collect();
    expired.sort_unstable();
    assert_eq!(expired, [0, 1, 2]);
}

#[test]
fn what_comes_during_a_call_is_kept_for_later() {
    let broker = Broker::start();
    let (mut a, mut b) = (connect(&broker, A), connect(&broker, B));
    b.start(A, NOT, b"from b", 0, SOON, 1).unwrap();
    assert!(matches!(a.call(0x99, NOT, b"", 0, SOON), Err(ClientError::Answered(errcode::PEER_OFFLINE))));
    let Ok(Some(Happening::Request(head, body))) = a.next(Duration::from_secs(5)) else {
        panic!("the request is gone")
    };
    assert_eq!((head.srcid, &body[..]), (B, &b"from b"[..]));
}

#[test]
fn an_asynchronous_answer_comes_as_posted() {
    let broker = Broker::start();
    let _service = Service::start(&broker);
    let mut client = connect(&broker, A);
    client.post(B, NOT, b"\x0f", 1).unwrap();
    let happened = client.next(Duration::from_secs(5)).unwrap();
    assert!(matches!(&happened, Some(Happening::Posted(_, body)) if body == &[0xf0]), "{happened:?}");
}

#[test]
fn a_probe_is_answered_without_anybody_noticing() {
    let broker = Broker::start();
    let (mut a, mut b) = (connect(&broker, A), connect(&broker, B));
    broker.inject(Header { opcode: opcode::KALIVE, ..Header::request(B, A, 0, 11) }, b"");
    // The driver answers when it next looks; its answer is forwarded to B, who asked nothing.
    assert_eq!(a.next(Duration::from_millis(200)).unwrap(), None);
    let happened = b.next(Duration::from_secs(5)).unwrap();
    let Some(Happening::Posted(head, _)) = happened else { panic!("{happened:?}") };
    assert_eq!((head.opcode, head.cmd, head.seq), (opcode::ACK, 0, 11));
}

#[test]
fn a_taken_id_is_refused_and_free_again_after_a_logout() {
    let broker = Broker::start();
    let first = connect(&broker, A);
    let second = Client::connect(&broker.place(), A, "TEST", Duration::from_secs(5));
    assert!(matches!(second, Err(ClientError::LoginRefused(errcode::LOGIN_FAIL))));
    first.logout().unwrap();
    connect(&broker, A);
}

#[test]
fn without_an_agent_connect_says_where_it_looked_and_how_long_it_may() {
    let place = Place::Local(vec!["/no/such/agent.sock".into()]);
    let start = Instant::now();
    let error = Client::connect(&place, A, "TEST", Duration::from_millis(100)).unwrap_err();
    assert!((100..1000).contains(&start.elapsed().as_millis()));
    assert!(error.to_string().starts_with("no agent answers at /no/such/agent.sock: "), "{error}");
}

#[test]
fn regress_an_agent_that_never_answers_the_login_takes_no_longer_than_the_patience() {
    let path = std::env::temp_dir().join(format!("msf-client-mute-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let mute = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let place = Place::Local(vec![path.clone()]);
    let start = Instant::now();
    let error = Client::connect(&place, A, "TEST", Duration::from_millis(300)).unwrap_err();
    assert!((300..1500).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert!(error.to_string().contains("it does not answer the login"), "{error}");
    drop(mute);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_call_without_a_timeout_ends_when_the_connection_does() {
    let broker = Broker::start();
    let _deaf = connect(&broker, B);
    let mut client = connect(&broker, A);
    thread::scope(|scope| {
        let caller = scope.spawn(|| client.call(B, NOT, b"", 0, None));
        thread::sleep(Duration::from_millis(50));
        broker.cut_everybody();
        assert!(matches!(caller.join().unwrap(), Err(ClientError::Lost(_))));
    });
}

#[test]
fn what_is_longer_than_the_agent_takes_is_refused_here() {
    let broker = Broker::start();
    let outcome = connect(&broker, A).call(id::UPNP, NOT, &vec![0; (1 << 20) + 1], 0, SOON);
    assert!(matches!(outcome, Err(ClientError::TooLong(limit)) if limit == 1 << 20));
}

#[test]
fn what_is_subscribed_to_comes_out_as_an_event_and_what_is_published_is_confirmed() {
    let broker = Broker::start();
    let (tell, told) = std::sync::mpsc::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let mut agent = connect(&broker, id::EVENT_SRV);
    let agent = thread::spawn(move || {
        let heard = |head: &Header, body: &[u8]| {
            tell.send((head.cmd, body.to_vec())).unwrap();
            if body == b"no" { Err(errcode::EXEC_FAIL) } else { Ok(Vec::new()) }
        };
        agent.serve(heard, || asked.load(Ordering::Relaxed)).unwrap();
    });
    let mut client = connect(&broker, A);
    client.subscribe(b"a", Duration::from_secs(5)).unwrap();
    assert_eq!(told.recv().unwrap(), (cmd::SUBSCRIBE, b"a".to_vec()));
    let refused = client.subscribe(b"no", Duration::from_secs(5)).unwrap_err();
    assert!(matches!(refused, ClientError::Answered(errcode::EXEC_FAIL)), "{refused}");
    told.recv().unwrap();
    client.publish(b"a", b"data", Duration::from_secs(5)).unwrap();
    assert_eq!(told.recv().unwrap(), (cmd::PUBLISH, b"\x01\0\0\0adata".to_vec()));
    let head = Header { datalen: 5, ..Header::request(id::EVENT_SRV, A, cmd::EVENT, 0) }.with_origin(2, B);
    broker.inject(head, b"\x01\0\0\0a");
    assert_eq!(client.next(Duration::from_secs(5)).unwrap(), Some(Happening::Event(head, b"\x01\0\0\0a".to_vec())));
    stop.store(true, Ordering::Relaxed);
    agent.join().unwrap();
}
