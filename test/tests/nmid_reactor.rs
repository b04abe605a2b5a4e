//! nmid's cores on the reactor of libmsf: a worker and a caller in one thread, no driver, no lock. What a program looks
//! like that has a loop already, and the proof that the cores need neither sockets of their own nor a clock.
#![allow(clippy::unwrap_used)]

use msf_client::nmid::{ClientCore, Event, Inbox, Outcome, WorkerCore, msgpack};
use msf_core::event::{Interest, Reactor, Ready, Slots, Token, Turn};
use msf_wire::nmid::{Answer, Dialect, FromClient, FromWorker, Job, Step, conn, empty, pdt};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: u32 = 1 << 20;
const CALLS: usize = 100;
const PATIENCE: Duration = Duration::from_millis(100);

/// A connection as the loop keeps it.
struct Peer {
    stream: TcpStream,
    inbox: Inbox,
    out: Vec<u8>,
    mind: Mind,
}

enum Mind {
    Worker(WorkerCore),
    Client(ClientCore),
}

/// The application: calls a function of its own through the broker, again and again, then one that nobody answers.
struct Program {
    peers: Slots<Peer>,
    client: Token,
    answers: Vec<Vec<u8>>,
    gave_up: bool,
}

impl Peer {
    fn connect(broker: SocketAddr, mind: Mind, out: Vec<u8>) -> Self {
        let stream = TcpStream::connect(broker).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, inbox: Inbox::default(), out, mind }
    }

    /// Reads until a frame is whole; whether there may be more to read, which an edge is not told twice.
    fn fill(&mut self) -> bool {
        while !matches!(self.inbox.step(LIMIT), Ok(Step::Frame(..))) {
            match self.stream.read(self.inbox.space(LIMIT).unwrap()) {
                Ok(count @ 1..) => self.inbox.filled(count),
                Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
                _ => return false,
            }
        }
        true
    }

    fn flush(&mut self) {
        // Small frames into an empty socket: it takes them whole.
        self.stream.write_all(&std::mem::take(&mut self.out)).unwrap();
    }
}

impl Program {
    fn call(&mut self, reactor: &mut Reactor, function: &[u8]) {
        let now = Instant::now();
        let Some(peer) = self.peers.get_mut(self.client) else { return };
        let Mind::Client(core) = &mut peer.mind else { return };
        let params = format!("call {}", self.answers.len());
        core.request(function, msgpack(params.as_bytes()), Some(now + PATIENCE), &mut peer.out).unwrap();
        peer.flush();
        reactor.arm(PATIENCE, self.client.bits().into());
    }

    /// Takes every whole frame out; true when an answer was among them.
    fn understand(&mut self, token: Token, now: Instant) -> bool {
        let Some(peer) = self.peers.get_mut(token) else { return false };
        let mut answered = false;
        while let Step::Frame(frame, used) = peer.inbox.step(LIMIT).unwrap() {
            match &mut peer.mind {
                Mind::Worker(core) => {
                    if let Event::Job(job) = core.receive(&frame, now, &mut peer.out) {
                        core.finish(&job, &job.params.bytes.to_ascii_uppercase(), &mut peer.out);
                    }
                }
                Mind::Client(core) => {
                    if let Some(Outcome::Ret(ret)) = core.receive(&frame).unwrap() {
                        self.answers.push(ret.to_owned());
                        answered = true;
                    }
                }
            }
            peer.inbox.consume(used);
        }
        peer.flush();
        answered
    }
}

impl Turn for Program {
    fn ready(&mut self, reactor: &mut Reactor, token: Token, ready: Ready) {
        while ready.read && self.peers.get_mut(token).is_some_and(Peer::fill) {
            if self.understand(token, reactor.now()) {
                let function: &[u8] = if self.answers.len() < CALLS { b"ToUpper" } else { b"Silence" };
                self.call(reactor, function);
            }
        }
    }

    /// One of the deadlines that were armed: the core knows whether it still means anything.
    fn expired(&mut self, reactor: &mut Reactor, key: u64) {
        let token = Token::from_bits(key as u32);
        let Some(Peer { mind: Mind::Client(core), .. }) = self.peers.get_mut(token) else { return };
        if core.expire(reactor.now()) {
            assert!(core.is_spent());
            self.gave_up = true;
            let peer = self.peers.remove(token).unwrap();
            reactor.unwatch(&peer.stream).unwrap();
        }
    }

    fn woken(&mut self, _: &mut Reactor) {}
}

/// Passes requests on as jobs and results back as answers; to what it does not know it says nothing. Ends with the client.
fn broker(listener: &TcpListener) -> usize {
    let (mut worker, _) = listener.accept().unwrap();
    let mut from_worker = Inbox::default();
    let mut passed = 0;
    for _ in 0..2 {
        let heard = next(&mut worker, &mut from_worker, |frame| FromWorker::parse(frame).unwrap() != FromWorker::Ping);
        assert_eq!(heard, Some(true));
        worker.write_all(&empty(conn::SERVER, pdt::OK)).unwrap();
    }
    let (mut client, _) = listener.accept().unwrap();
    let mut from_client = Inbox::default();
    loop {
        let request = next(&mut client, &mut from_client, |frame| {
            let FromClient::DoJob(_, job) = FromClient::parse(frame).unwrap() else { panic!("{frame:?}") };
            let mut bytes = Vec::new();
            Job { function: job.function, params: job.params, id: b"0123" }.append_to(Dialect::G2, &mut bytes);
            (job.function == b"ToUpper").then_some(bytes)
        });
        match request {
            None => return passed,
            Some(None) => {}
            Some(Some(job)) => {
                worker.write_all(&job).unwrap();
                let answer = next(&mut worker, &mut from_worker, |frame| {
                    let FromWorker::Return(done) = FromWorker::parse(frame).unwrap() else { panic!("{frame:?}") };
                    assert_eq!(done.id, Some(&b"0123"[..]));
                    let mut bytes = Vec::new();
                    Answer { function: done.function, params: done.params, ret: done.ret }.append_to(&mut bytes);
                    bytes
                });
                client.write_all(&answer.unwrap()).unwrap();
                passed += 1;
            }
        }
    }
}

/// Reads one frame; `None` at the end of the stream.
fn next<T>(stream: &mut TcpStream, inbox: &mut Inbox, read: impl Fn(&msf_wire::nmid::Frame<'_>) -> T) -> Option<T> {
    loop {
        if let Step::Frame(frame, used) = inbox.step(LIMIT).unwrap() {
            let value = read(&frame);
            inbox.consume(used);
            return Some(value);
        }
        match stream.read(inbox.space(LIMIT).unwrap()) {
            Ok(count @ 1..) => inbox.filled(count),
            _ => return None,
        }
    }
}

#[test]
fn a_worker_and_a_caller_share_one_reactor() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let broker = thread::spawn(move || broker(&listener));

    let mut reactor = Reactor::new().unwrap();
    let mut peers = Slots::default();
    let mut registration = Vec::new();
    let core = WorkerCore::register(b"loop", [b"ToUpper".as_slice()].into_iter(), Instant::now(), &mut registration);
    let worker = peers.insert(Peer::connect(address, Mind::Worker(core), registration)).unwrap();
    let client = peers.insert(Peer::connect(address, Mind::Client(ClientCore::default()), Vec::new())).unwrap();
    for token in [worker, client] {
        reactor.watch(&peers.get(token).unwrap().stream, token, Interest::READ).unwrap();
    }
    let mut program = Program { peers, client, answers: Vec::new(), gave_up: false };
    program.peers.get_mut(worker).unwrap().flush();
    program.call(&mut reactor, b"ToUpper");
    let start = Instant::now();
    while !program.gave_up && start.elapsed() < Duration::from_secs(30) {
        reactor.turn(&mut program, Some(Duration::from_secs(1))).unwrap();
    }
    let expected: Vec<Vec<u8>> = (0..CALLS).map(|number| format!("CALL {number}").into_bytes()).collect();
    assert_eq!(program.answers, expected);
    assert!(program.gave_up, "the call that nobody answers has no end");
    assert_eq!(broker.join().unwrap(), CALLS);
}
