//! What all threads share, under one lock: the session, the socket, and the bytes it has not taken yet.
//!
//! Whoever has something to send sends it himself, without blocking. What the socket does not take goes to the outbox,
//! and the io thread flushes it when there is room. Frames leave in the order in which the lock was taken. Only the
//! io thread takes a broken connection down; others who notice leave it to him.

use crate::client::Client;
use crate::errno::Errno;
use crate::waiter::Waiter;
use crate::{callbacks, home, socket};
use msf_client::wire::{HEADER_LEN, Header};
use msf_client::{Call, Refusal, Session};
use msf_sys::event::{Callbacks, Event};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

/// Where the connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// There is none; the io thread's alarm is set for the next attempt.
    Down,
    /// Connected; the agent has not answered the login yet.
    LoggingIn,
    /// Logged in.
    Up,
    /// Still logged in, and about to be somebody else's: only callbacks make calls.
    Handing,
    /// The logout is sent; the agent will close.
    Leaving,
    /// This client is over.
    Over,
}

/// See the module.
pub(crate) struct Link {
    pub(crate) session: Session<Arc<Waiter>>,
    pub(crate) phase: Phase,
    /// Attempts made to connect, and why the last one failed: what init reports.
    pub(crate) attempts: u32,
    pub(crate) failure: Errno,
    /// The socket is its read event's.
    pub(crate) socket: Option<Event>,
    /// While the outbox holds something: the event that flushes it, on a descriptor of its own.
    writer: Option<Event>,
    outbox: Vec<u8>,
    /// Bytes at the beginning of the outbox that are gone already.
    sent: usize,
}

impl Link {
    pub(crate) fn new(session: Session<Arc<Waiter>>) -> Self {
        Self {
            session,
            phase: Phase::Down,
            attempts: 0,
            failure: Errno::TIMEDOUT,
            socket: None,
            writer: None,
            outbox: Vec::new(),
            sent: 0,
        }
    }

    /// Registers a call somebody waits for and sends it.
    pub(crate) fn call(
        &mut self,
        client: &Arc<Client>,
        call: &Call,
        payload: &[u8],
        waiter: Arc<Waiter>,
    ) -> Result<u32, Errno> {
        self.is_open(client)?;
        let head = self.session.call(call, waiter, Instant::now()).map_err(errno)?;
        match self.send(client, &head, payload) {
            Ok(()) => Ok(head.seq),
            Err(errno) => {
                self.session.give_up(head.seq);
                Err(errno)
            }
        }
    }

    /// Sends a call nobody waits for, unless so much waits to be sent already that the agent must be stuck.
    pub(crate) fn post(&mut self, client: &Arc<Client>, call: &Call, payload: &[u8]) -> Result<(), Errno> {
        self.is_open(client)?;
        let head = self.session.post(call).map_err(errno)?;
        if self.congested() { Err(Errno::AGAIN) } else { self.send(client, &head, payload) }
    }

    /// While the connection is about to pass, only callbacks make calls: nobody would be here to take other answers.
    fn is_open(&self, client: &Arc<Client>) -> Result<(), Errno> {
        let closing = self.phase == Phase::Handing && callbacks::depth(client) == 0;
        if closing { Err(Errno::CANCELED) } else { Ok(()) }
    }

    /// Sends one frame: what the socket does not take now goes to the outbox.
    pub(crate) fn send(&mut self, client: &Arc<Client>, head: &Header, payload: &[u8]) -> Result<(), Errno> {
        let socket = self.socket.as_ref().ok_or(Errno::NOTCONN)?;
        let head = head.encode();
        let sent = if self.outbox.is_empty() {
            socket::send(socket.as_fd(), &[IoSlice::new(&head), IoSlice::new(payload)]).map_err(broken)?
        } else {
            0
        };
        let (head, payload) =
            (head.get(sent..).unwrap_or_default(), payload.get(sent.saturating_sub(HEADER_LEN)..).unwrap_or_default());
        if head.is_empty() && payload.is_empty() {
            return Ok(());
        }
        if self.outbox.try_reserve(head.len() + payload.len()).is_err() {
            // Half a frame is out: nobody could make sense of what would follow.
            if sent > 0 {
                socket::shutdown(socket.as_fd());
            }
            return Err(Errno::NOMEM);
        }
        self.outbox.extend_from_slice(head);
        self.outbox.extend_from_slice(payload);
        self.flush_later(client)
    }

    /// True when more waits to be sent than anybody should add to.
    fn congested(&self) -> bool {
        self.outbox.len() - self.sent >= MOST_WAITING
    }

    /// If it is congested: the number of the socket, to wait for room with. By the time it is used it may be closed.
    pub(crate) fn congested_socket(&self) -> Option<RawFd> {
        self.socket.as_ref().filter(|_| self.congested()).map(|socket| socket.as_fd().as_raw_fd())
    }

    /// On the io thread: the socket takes bytes again.
    fn flush(&mut self) {
        self.push_out();
        if self.outbox.is_empty() {
            // Here and nowhere else: freeing an event waits for its callback, which waits for our lock.
            home::forget_writer();
            self.writer = None;
        }
    }

    /// Sends of the outbox what the socket takes.
    pub(crate) fn push_out(&mut self) {
        let (Some(socket), Some(rest)) = (&self.socket, self.outbox.get(self.sent..)) else { return };
        match socket::send(socket.as_fd(), &[IoSlice::new(rest)]) {
            Ok(count) => self.sent += count,
            // The reader sees the same, with what came before it; nothing more can be sent.
            Err(_) => self.sent = self.outbox.len(),
        }
        if self.sent == self.outbox.len() {
            self.empty_outbox();
        } else if self.sent >= COMPACT_AT.max(self.outbox.len() / 2) {
            // Not before half of it is gone: bytes are moved once on the average, not once per send.
            self.outbox.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Whether nothing waits to be sent.
    pub(crate) fn is_sent(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Takes everything of this connection down and returns those who waited for answers over it.
    pub(crate) fn take_down(&mut self) -> Vec<Arc<Waiter>> {
        home::forget_sockets();
        self.writer = None;
        self.socket = None;
        self.empty_outbox();
        self.session.lost()
    }

    fn flush_later(&mut self, client: &Arc<Client>) -> Result<(), Errno> {
        if self.writer.is_some() {
            return Ok(());
        }
        let Some(socket) = &self.socket else { return Err(Errno::NOTCONN) };
        let flusher = Arc::clone(client);
        let flush = move |_: std::os::fd::BorrowedFd<'_>| {
            flusher.lock().flush();
            flusher.changed.notify_all();
        };
        // A descriptor can be in a loop once, and the reader has this one.
        let event = socket
            .as_fd()
            .try_clone_to_owned()
            .and_then(|twin| client.base.add(twin, Callbacks::default().write(flush)));
        match event {
            Ok(event) => {
                home::note_writer(event.as_fd().as_raw_fd());
                self.writer = Some(event);
                Ok(())
            }
            Err(error) => {
                socket::shutdown(socket.as_fd());
                Err(error.into())
            }
        }
    }

    /// A large backlog gives its memory back.
    fn empty_outbox(&mut self) {
        self.sent = 0;
        self.outbox.clear();
        self.outbox.shrink_to(COMPACT_AT);
    }
}

fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::Offline => Errno::NOTCONN,
        Refusal::TooLong(_) => Errno::MSGSIZE,
    }
}

/// However the kernel puts it, the connection is gone.
fn broken(errno: Errno) -> Errno {
    if errno.0 == libc::EPIPE { Errno::CONNRESET } else { errno }
}

const MOST_WAITING: usize = 4 << 20;
const COMPACT_AT: usize = 64 << 10;
