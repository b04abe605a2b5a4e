//! The blocking driver of a caller: one connection, one request at a time.
//!
//! It connects when a call needs it. After a timeout the connection is closed, because the late answer could not be told
//! from the next one's (see [`ClientCore`](super::ClientCore)). A connection that has ended while nobody used it, or on
//! which something came that nobody asked for, is replaced before the next request; one that ends *under* a request is
//! [`CallError::Lost`], since only the caller knows whether asking twice does harm.

use super::line::Line;
use super::{CallError, ClientCore, Inbox, Outcome, Refusal};
use crate::Place;
use msf_wire::nmid::{DEFAULT_PAYLOAD_LIMIT, Params, Step};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub struct Client {
    place: Place,
    patience: Duration,
    limit: u32,
    connected: Option<Connected>,
    outgoing: Vec<u8>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Connected {
    line: Arc<Line>,
    core: ClientCore,
    inbox: Inbox,
}

/// Ends whatever the client is waiting for, from another thread.
#[derive(Clone, Debug)]
pub struct Canceller {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    line: Mutex<Option<Arc<Line>>>,
}

impl Client {
    /// A client of the broker at `place`; it connects with the first call.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self {
            place,
            patience: CONNECT,
            limit: DEFAULT_PAYLOAD_LIMIT,
            connected: None,
            outgoing: Vec::new(),
            shared: Arc::default(),
        }
    }

    /// A client that is connected already; later it waits for connections as long as for this one.
    ///
    /// # Errors
    /// [`CallError::NoBroker`].
    pub fn connect(place: Place, patience: Duration) -> Result<Self, CallError> {
        let mut client = Self { patience, ..Self::new(place) };
        client.connected(None)?;
        Ok(client)
    }

    /// The longest payload, both ways; the broker has a limit of its own.
    #[must_use]
    pub fn payload_limit(mut self, bytes: u32) -> Self {
        self.limit = bytes;
        self
    }

    /// Calls `function` and waits for at most `patience` (without one, for as long as the connection lives), connecting
    /// included. `Ok` is what the function returned, by convention a RetStruct in msgpack:
    /// [`RetStruct::parse`](msf_wire::nmid::RetStruct::parse).
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call(
        &mut self,
        function: &[u8],
        params: Params<'_>,
        patience: Option<Duration>,
    ) -> Result<Vec<u8>, CallError> {
        let end = patience.and_then(|patience| Instant::now().checked_add(patience));
        let mut outgoing = std::mem::take(&mut self.outgoing);
        outgoing.clear();
        let outcome = self.connected(end).and_then(|connected| {
            connected.core.request(function, params, end, &mut outgoing).map_err(refused)?;
            connected.line.send(&outgoing, remaining(end)).map_err(lost)?;
            connected.outcome()
        });
        outgoing.shrink_to(GENEROUS);
        self.outgoing = outgoing;
        let connection_is_fine = matches!(
            outcome,
            Ok(_) | Err(CallError::Error | CallError::NoWorker | CallError::RateLimited | CallError::TooLarge(_))
        );
        if !connection_is_fine {
            self.hang_up();
        }
        outcome
            .map_err(|error| if self.shared.cancelled.load(Ordering::Acquire) { CallError::Cancelled } else { error })
    }

    /// Lets another thread end the call this one waits in.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller { shared: Arc::clone(&self.shared) }
    }

    /// The connection of the next request: the present one if it is fit, else a new one.
    fn connected(&mut self, end: Option<Instant>) -> Result<&mut Connected, CallError> {
        if self.shared.cancelled.load(Ordering::Acquire) {
            return Err(CallError::Cancelled);
        }
        let fit = self.connected.as_ref().is_some_and(Connected::is_fit);
        if !fit {
            self.hang_up();
            let patience = remaining(end).map_or(self.patience, |left| left.min(self.patience));
            let line = Line::connect(&self.place, patience).map_err(|(tried, source)| {
                let out_of_time = end.is_some_and(|end| end <= Instant::now());
                if out_of_time { CallError::Timeout } else { CallError::NoBroker { tried, source } }
            })?;
            let line = Arc::new(line);
            *self.shared.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&line));
            self.connected = Some(Connected { line, core: ClientCore::new(self.limit), inbox: Inbox::default() });
        }
        self.connected.as_mut().ok_or(CallError::Cancelled)
    }

    fn hang_up(&mut self) {
        *self.shared.line.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.connected = None;
    }
}

impl Canceller {
    /// The call under way, and every later one, ends with [`CallError::Cancelled`]. An attempt to connect is not cut
    /// short.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Release);
        if let Some(line) = &*self.shared.line.lock().unwrap_or_else(PoisonError::into_inner) {
            line.shutdown();
        }
    }
}

impl Connected {
    /// Whether the next frame can only be the answer to the next request.
    fn is_fit(&self) -> bool {
        !self.core.is_spent() && self.inbox.is_empty() && self.line.is_quiet()
    }

    /// Waits for the answer to the request that was just sent.
    fn outcome(&mut self) -> Result<Vec<u8>, CallError> {
        let limit = self.core.payload_limit();
        loop {
            while let Step::Frame(frame, used) = self.inbox.step(limit).map_err(|error| lost(broken(error)))? {
                let outcome = self.core.receive(&frame).map_err(lost)?.map(answered);
                self.inbox.consume(used);
                if let Some(outcome) = outcome {
                    return outcome;
                }
            }
            if self.core.expire(Instant::now()) {
                return Err(CallError::Timeout);
            }
            let patience = remaining(self.core.next_deadline());
            let space = self.inbox.space(limit).map_err(|_| lost(io::ErrorKind::OutOfMemory))?;
            if let Some(count) = self.line.read(space, patience).map_err(lost)? {
                self.inbox.filled(count);
            }
        }
    }
}

fn answered(outcome: Outcome<'_>) -> Result<Vec<u8>, CallError> {
    match outcome {
        Outcome::Ret(ret) => Ok(ret.to_owned()),
        Outcome::Error => Err(CallError::Error),
        Outcome::NoWorker => Err(CallError::NoWorker),
        Outcome::RateLimited => Err(CallError::RateLimited),
    }
}

fn refused(refusal: Refusal) -> CallError {
    match refusal {
        Refusal::TooLarge(limit) => CallError::TooLarge(limit),
        // Neither happens: a spent core is replaced before, and nobody else holds this one.
        Refusal::Busy | Refusal::Spent => lost(io::ErrorKind::InvalidInput),
    }
}

fn lost(error: impl Into<io::Error>) -> CallError {
    let error = error.into();
    if error.kind() == io::ErrorKind::TimedOut { CallError::Timeout } else { CallError::Lost(error) }
}

fn broken(error: impl Into<super::Fault>) -> io::Error {
    error.into().into()
}

fn remaining(end: Option<Instant>) -> Option<Duration> {
    end.map(|end| end.saturating_duration_since(Instant::now()))
}

/// So long one address may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// More than this is not kept between requests.
const GENEROUS: usize = 256 << 10;
