//! A worker's link to one broker: connects, registers, reads, and begins anew when the connection ends.

use super::Inbox;
use super::connection::{Connection, Received};
use super::worker::Shared;
use crate::{Backoff, Place};
use msf_wire::nmid::{DEFAULT_PAYLOAD_LIMIT, Step};
use std::sync::Arc;
use std::{fmt, io};

/// What a worker's owner may want to know, or to write into his log.
#[derive(Debug)]
pub enum Notice<'a> {
    /// Connected and registered: the broker knows every function.
    Registered(&'a Place),
    /// The connection has ended; it is made anew.
    Lost(&'a Place, &'a io::Error),
    /// No connection can be made; it is tried again. Told once until one is made.
    NoBroker(&'a Place, &'a io::Error),
    /// The broker sent a job that cannot be read.
    Malformed(&'a Place, &'a str),
    /// A function panicked; its caller was told.
    Panicked(&'a [u8]),
}

/// The thread's whole life.
pub(super) fn run(shared: &Arc<Shared>, place: &Place) {
    let (mut backoff, mut told) = (Backoff::new(), false);
    while shared.pool.is_serving() {
        match Connection::open(place, &shared.name, shared.names()) {
            Ok(connection) if shared.pool.welcome(&connection) => {
                let end = serve(shared, place, &connection, &mut backoff);
                shared.pool.forget(&connection);
                if shared.pool.is_serving() {
                    shared.tell(&Notice::Lost(place, &end));
                }
                told = false;
            }
            Ok(_) => {}
            Err((_, error)) if !told => {
                shared.tell(&Notice::NoBroker(place, &error));
                told = true;
            }
            Err(_) => {}
        }
        shared.pool.pause(backoff.wait());
    }
    shared.pool.link_ends();
}

/// Reads until the connection ends; why.
fn serve(shared: &Shared, place: &Place, connection: &Arc<Connection>, backoff: &mut Backoff) -> io::Error {
    let mut inbox = Inbox::default();
    loop {
        loop {
            let (frame, used) = match inbox.step(DEFAULT_PAYLOAD_LIMIT) {
                Ok(Step::Frame(frame, used)) => (frame, used),
                Ok(Step::NeedMore(_)) => break,
                Err(error) => return super::Fault::from(error).into(),
            };
            match connection.receive(&frame) {
                Received::Job(job) => shared.job(job),
                Received::Registered => {
                    backoff.reset();
                    shared.pool.registered();
                    shared.tell(&Notice::Registered(place));
                }
                Received::Malformed(why) => shared.tell(&Notice::Malformed(place, &why)),
                Received::Nothing => {}
            }
            inbox.consume(used);
        }
        let Ok(space) = inbox.space(DEFAULT_PAYLOAD_LIMIT) else { return io::ErrorKind::OutOfMemory.into() };
        match connection.read(space) {
            Ok(Some(count)) => inbox.filled(count),
            Ok(None) if connection.tick() => {}
            Ok(None) => return io::Error::new(io::ErrorKind::TimedOut, "the broker answers no PING"),
            Err(error) => return error,
        }
    }
}

impl fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered(place) => write!(f, "the broker at {} knows our functions", At(place)),
            Self::Lost(place, error) => write!(f, "the connection to the broker at {} is lost: {error}", At(place)),
            Self::NoBroker(place, error) => write!(f, "no broker yet at {}: {error}", At(place)),
            Self::Malformed(place, why) => write!(f, "the broker at {} sent a job that is none: {why}", At(place)),
            Self::Panicked(function) => write!(f, "the function \"{}\" panicked", function.escape_ascii()),
        }
    }
}

struct At<'a>(&'a Place);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Place::Local(sockets) => {
                write!(f, "{}", sockets.first().map_or_else(Default::default, |it| it.display().to_string()))
            }
            Place::Remote { host, port } => write!(f, "{host} port {port}"),
        }
    }
}
