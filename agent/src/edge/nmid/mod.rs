//! nmid's peers: workers and clients of both generations on one port.
//!
//! What a connection is shows in its first frame, and it stays that. Nothing is ever sent that some library in the field
//! is known not to survive: see [`worker`] and [`client`] for the rules of each side.

pub mod client;
mod probe;
pub mod worker;

use super::broker::{Alarm, Broker};
use super::session::{Ending, Session};
use crate::core::message;
use crate::observe::traffic::Malformed;
use client::Client;
use msf_core::event::Token;
use msf_wire::nmid::{Frame, NmidError, Step, conn, decode, empty, pdt};
use msf_wire::state;
use std::time::Duration;
use worker::Worker;

/// One of them.
#[derive(Debug, Default)]
pub enum Peer {
    /// Has sent nothing yet.
    #[default]
    Stranger,
    /// Carries functions out.
    Worker(Box<Worker>),
    /// Asks for them.
    Client(Box<Client>),
    /// A sidecar's service, which nmid declares and nobody ever wrote: heard, never answered.
    Service,
}

state! { enum Peer { 0 Stranger, 1 Worker(worker: Box<Worker>), 2 Client(client: Box<Client>), 3 Service } }

impl Peer {
    /// Whether it is a worker.
    pub fn is_worker(&self) -> bool {
        matches!(self, Peer::Worker(_))
    }

    /// Whether answers may still come for it.
    pub fn waits(&self) -> bool {
        matches!(self, Peer::Client(client) if client.waits())
    }

    /// Whether its frames may be looked at now.
    pub fn listens(&self) -> bool {
        !matches!(self, Peer::Client(client) if client.is_crowded())
    }

    /// Bytes held for it beside its inbox and outbox.
    pub fn buffered(&self) -> usize {
        match self {
            Peer::Client(client) => client.buffered(),
            _ => 0,
        }
    }

    /// What it is to be woken for, when and why, after it has changed its process.
    pub fn wake_again(&mut self, micros: u64, settle: Duration, pace: u64) -> Vec<(Duration, Alarm)> {
        match self {
            Peer::Worker(worker) => worker.wake_again(micros, settle),
            Peer::Client(client) => client.wake_again(micros, pace),
            Peer::Stranger | Peer::Service => Vec::new(),
        }
    }

    /// Gives back the memory of past bursts.
    pub fn trim(&mut self) {
        if let Peer::Client(client) = self {
            client.trim();
        }
    }

    /// For people.
    pub fn in_a_word(&self) -> &'static str {
        match self {
            Peer::Stranger => "stranger",
            Peer::Worker(_) => "worker",
            Peer::Client(_) => "client",
            Peer::Service => "service",
        }
    }

    /// The name it gave itself, if it is a worker.
    pub fn name(&self) -> String {
        match self {
            Peer::Worker(worker) => String::from_utf8_lossy(&worker.identity.name).into_owned(),
            _ => String::new(),
        }
    }

    /// How log lines name it.
    pub fn describe(&self, peer: &message::Peer) -> String {
        match self {
            Peer::Worker(worker) => worker.describe(peer),
            Peer::Client(_) => format!("nmid client {peer}"),
            Peer::Stranger | Peer::Service => format!("nmid peer {peer}"),
        }
    }
}

impl Session {
    /// What it is as a worker.
    pub(super) fn worker(&mut self) -> Option<&mut Worker> {
        match self.nmid() {
            Some(Peer::Worker(worker)) => Some(worker),
            _ => None,
        }
    }

    /// What it is as a client.
    pub(super) fn client(&mut self) -> Option<&mut Client> {
        match self.nmid() {
            Some(Peer::Client(client)) => Some(client),
            _ => None,
        }
    }
}

impl Broker {
    /// Handles the frame that `bytes` begin with; how many bytes are done with, none when it is not whole yet.
    pub(super) fn nmid_frame(&mut self, token: Token, bytes: &[u8]) -> usize {
        match decode(bytes, self.limits.nmid.payload) {
            Ok(Step::Frame(frame, length)) => {
                self.nmid_take(token, &frame);
                length
            }
            Ok(Step::NeedMore(missing)) => self.drop_what_cannot_be_held(token, bytes, missing),
            Err(error) => {
                let why = match error {
                    NmidError::ConnType(_) => Malformed::Preamble,
                    NmidError::Oversized { .. } => Malformed::Oversized,
                    NmidError::Lengths { .. } => Malformed::Lengths,
                };
                self.count_misfit(token, why);
                if let NmidError::Oversized { conn: conn::CLIENT, .. } = error {
                    self.put_whole(token, &empty(conn::SERVER, pdt::ERROR));
                }
                self.doom(token, Ending::Malformed(error.to_string()));
                bytes.len()
            }
        }
    }

    fn nmid_take(&mut self, token: Token, frame: &Frame<'_>) {
        let Some(peer) = self.sessions.get_mut(token).and_then(Session::nmid) else { return };
        if let Peer::Stranger = peer {
            *peer = match frame.conn {
                conn::WORKER => Peer::Worker(Box::default()),
                conn::CLIENT => Peer::Client(Box::default()),
                conn::SERVICE => Peer::Service,
                _ => Peer::Stranger,
            };
            self.introduce(token);
        }
        match (self.sessions.get_mut(token).and_then(Session::nmid), frame.conn) {
            (Some(Peer::Worker(_)), conn::WORKER) => self.worker_frame(token, frame),
            (Some(Peer::Client(_)), conn::CLIENT) => self.client_frame(token, frame),
            (Some(Peer::Service), conn::SERVICE) => self.counts().ignored.count(),
            (None, _) => {}
            _ => {
                self.count_misfit(token, Malformed::Role);
                let what = format!("a frame of connection type {} on a connection that has another", frame.conn);
                self.doom(token, Ending::Malformed(what));
            }
        }
    }

    /// When the payload that `bytes` begin would take the agent over its memory ceiling, it is thrown away as it comes,
    /// and a client is told. How many bytes are done with.
    fn drop_what_cannot_be_held(&mut self, token: Token, bytes: &[u8], missing: usize) -> usize {
        let held = self.load() + (bytes.len() + missing) as u64;
        let Some(head) = bytes.first_chunk::<12>().filter(|_| held > self.limits.memory) else { return 0 };
        let Some(session) = self.sessions.get_mut(token) else { return 0 };
        session.skip = missing;
        self.counts().busy.count();
        let [_, _, _, conn, _, _, _, kind, ..] = head;
        if (u32::from(*conn), u32::from(*kind)) == (conn::CLIENT, pdt::C_DO_JOB) {
            self.client_refused(token);
        }
        bytes.len()
    }

    /// Into the outbox of an nmid peer, to be written in one piece.
    pub(super) fn put_whole(&mut self, token: Token, frame: &[u8]) {
        self.put_into(token, frame, true);
    }
}
