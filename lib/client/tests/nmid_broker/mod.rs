//! A broker that does what a test tells it: each connection is played by the test itself, frame by frame.

use msf_client::Place;
use msf_client::nmid::Inbox;
use msf_wire::nmid::{Answer, Dialect, DoJob, FromClient, FromWorker, Job, Params, Return, Step, conn, empty, pdt};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

pub struct Broker {
    listener: TcpListener,
}

impl Broker {
    pub fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub fn place(&self) -> Place {
        Place::Remote { host: "127.0.0.1".into(), port: self.listener.local_addr().unwrap().port() }
    }

    pub fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        // No test takes so long; one that hangs fails here instead.
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Peer { stream, inbox: Inbox::default() }
    }

    /// A worker's connection, its registration confirmed.
    pub fn accept_worker(&self, name: &[u8], functions: &[&[u8]]) -> Peer {
        let mut peer = self.accept();
        assert_eq!(peer.said(), Said::SetName(name.to_vec()));
        for function in functions {
            assert_eq!(peer.said(), Said::AddFunction(function.to_vec()));
        }
        for _ in 0..=functions.len() {
            peer.say(&empty(conn::SERVER, pdt::OK));
        }
        peer
    }
}

/// The other end of a connection.
pub struct Peer {
    pub stream: TcpStream,
    inbox: Inbox,
}

/// What it said, owned.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    DoJob { function: Vec<u8>, kind: u32, params: Vec<u8> },
    SetName(Vec<u8>),
    AddFunction(Vec<u8>),
    DelFunction(Vec<u8>),
    Grab,
    Ping,
    Return { function: Vec<u8>, params: Vec<u8>, ret: Vec<u8>, id: Vec<u8> },
    Hangup,
}

impl Peer {
    /// The next frame.
    pub fn said(&mut self) -> Said {
        loop {
            if let Step::Frame(frame, used) = self.inbox.step(1 << 24).unwrap() {
                let said = if frame.conn == conn::CLIENT {
                    let Ok(FromClient::DoJob(Dialect::G2, DoJob { function, params })) = FromClient::parse(&frame)
                    else {
                        panic!("a client said {frame:?}")
                    };
                    Said::DoJob { function: function.into(), kind: params.kind, params: params.bytes.into() }
                } else {
                    match FromWorker::parse(&frame).unwrap() {
                        FromWorker::SetName(name) => Said::SetName(name.into()),
                        FromWorker::AddFunction(name) => Said::AddFunction(name.into()),
                        FromWorker::DelFunction(name) => Said::DelFunction(name.into()),
                        FromWorker::Grab(b"") => Said::Grab,
                        FromWorker::Ping => Said::Ping,
                        FromWorker::Return(Return { function, params, ret, id: Some(id) }) => Said::Return {
                            function: function.into(),
                            params: params.into(),
                            ret: ret.into(),
                            id: id.into(),
                        },
                        other => panic!("a worker said {other:?}"),
                    }
                };
                self.inbox.consume(used);
                return said;
            }
            match self.stream.read(self.inbox.space(1 << 24).unwrap()) {
                Ok(count @ 1..) => self.inbox.filled(count),
                Ok(_) => return Said::Hangup,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Said::Hangup,
                Err(error) => panic!("nothing was said: {error}"),
            }
        }
    }

    pub fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn answer(&mut self, function: &[u8], ret: &[u8]) {
        let bytes = answer(function, ret);
        self.say(&bytes);
    }

    pub fn give(&mut self, function: &[u8], params: &[u8], id: &[u8]) {
        let bytes = job(function, params, id);
        self.say(&bytes);
    }
}

pub fn answer(function: &[u8], ret: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Answer { function, params: b"\x80", ret }.append_to(&mut bytes);
    bytes
}

pub fn job(function: &[u8], params: &[u8], id: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Job { function, params: Params::untyped(params), id }.append_to(Dialect::G2, &mut bytes);
    bytes
}
