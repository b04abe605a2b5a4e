//! One attempt to find out whether a process serves: a connection, a request by HTTP, or a command that ends with 0. Nothing here waits:
//! an attempt that has no answer yet is watched, and asked again when its descriptor is ready.

use super::http::Question;
use super::ready::Gift;
use super::sexton;
use super::surroundings::Surroundings;
use crate::run::driver::{Driver, Key, Watched};
use msf_conf::daemon::{Launch, Probe};
use msf_core::event::{Reactor, Token};
use msf_core::process::Child;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, connect, getpeername, getsockopt,
    socket, sockopt::SocketError,
};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// An attempt that has been begun.
#[derive(Debug)]
pub struct Attempt {
    /// What the answer is for.
    pub asker: Asker,
    way: Way,
}

/// Who wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Whether this service is ready.
    Ready(Key),
    /// Whether this service is well.
    Health(Key),
}

#[derive(Debug)]
enum Way {
    Connection(OwnedFd),
    Request(TcpStream, Question),
    Command(Child),
}

/// What came of an attempt: nothing wrong, or what.
pub type Outcome = Result<(), String>;

impl Attempt {
    /// Begins one. A command is run as `launch` says, which is that of the process it is about.
    pub fn begin(probe: &Probe, asker: Asker, launch: &Launch, surroundings: &Surroundings) -> Result<Attempt, String> {
        let way = match probe {
            Probe::Tcp(address) => Way::Connection(begin_tcp(*address).map_err(in_words)?),
            Probe::Unix(path) => {
                let address = UnixAddr::new(path.as_str()).map_err(in_words)?;
                Way::Connection(begin_connection(AddressFamily::Unix, &address).map_err(in_words)?)
            }
            Probe::Http { address, path, status } => {
                let socket = begin_tcp(*address).map_err(in_words)?;
                Way::Request(TcpStream::from(socket), Question::new(*address, path, *status))
            }
            Probe::Exec(command) => {
                let (program, args) = command.split_first().ok_or("no command")?;
                let launch = Launch { path: program.clone(), conf: None, args: args.to_vec(), ..launch.clone() };
                Way::Command(surroundings.start(&launch, Gift::default()).map_err(|e| e.to_string())?)
            }
        };
        Ok(Attempt { asker, way })
    }

    /// What becomes ready when there is an answer; `None` where SIGCHLD has to do.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.way {
            Way::Connection(socket) => Some(socket.as_fd()),
            Way::Request(socket, _) => Some(socket.as_fd()),
            Way::Command(child) => child.pidfd(),
        }
    }

    /// The process that makes it.
    pub fn pid(&self) -> Option<i32> {
        if let Way::Command(child) = &self.way { Some(child.pid()) } else { None }
    }

    /// What came of it, if it is over.
    pub fn outcome(&mut self) -> Option<Outcome> {
        match &mut self.way {
            Way::Connection(socket) => connected(socket.as_fd()),
            Way::Request(socket, question) => match connected(socket.as_fd()) {
                Some(Ok(())) => question.go_on(socket),
                other => other,
            },
            Way::Command(child) => match sexton::collect(child) {
                Ok(None) => None,
                Ok(Some(msf_core::process::Exit::Code(0))) => Some(Ok(())),
                Ok(Some(exit)) => Some(Err(format!("the command ended with {exit}"))),
                Err(e) => Some(Err(e.to_string())),
            },
        }
    }
}

/// A command that nobody waits for any more is ended with all it has started; SIGCHLD tells when it can be collected.
impl Drop for Attempt {
    fn drop(&mut self) {
        if let Way::Command(child) = &self.way {
            let _ = child.kill();
        }
    }
}

fn begin_tcp(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    begin_connection(family, &SockaddrStorage::from(address))
}

fn begin_connection(family: AddressFamily, address: &dyn SockaddrLike) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None)?;
    match connect(socket.as_raw_fd(), address) {
        // Of a socket file EAGAIN says that its queue is full: somebody listens, and does not come to it.
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// Watched edge-triggered, a socket tells of itself once before anything has happened.
fn connected(socket: BorrowedFd<'_>) -> Option<Outcome> {
    match getsockopt(&socket, SocketError) {
        Ok(0) => match getpeername::<SockaddrStorage>(socket.as_raw_fd()) {
            Err(Errno::ENOTCONN) => None,
            _ => Some(Ok(())),
        },
        Ok(number) => Some(Err(in_words(Errno::from_raw(number)))),
        Err(errno) => Some(Err(in_words(errno))),
    }
}

fn in_words(errno: Errno) -> String {
    io::Error::from(errno).to_string()
}

impl Driver {
    /// Begins an attempt, and gives its token, or what came of it at once.
    pub(in crate::run) fn attempt(
        &mut self,
        reactor: &Reactor,
        probe: &Probe,
        asker: Asker,
        launch: &Launch,
    ) -> Result<Token, Outcome> {
        let attempt = Attempt::begin(probe, asker, launch, &self.surroundings).map_err(Err)?;
        let full = || Err("no slot is left for a descriptor".to_owned());
        let token = self.watched.insert(Watched::Attempt(Box::new(attempt))).ok_or_else(full)?;
        let Some(Watched::Attempt(attempt)) = self.watched.get_mut(token) else { return Err(full()) };
        if let Some(outcome) = attempt.outcome() {
            self.watched.remove(token);
            return Err(outcome);
        }
        if let Some(descriptor) = attempt.descriptor()
            && let Err(e) = reactor.watch(descriptor, token, msf_core::event::Interest::BOTH)
        {
            self.watched.remove(token);
            return Err(Err(e.to_string()));
        }
        Ok(token)
    }

    /// An attempt may have its answer.
    pub(in crate::run) fn attempted(&mut self, reactor: &mut Reactor, token: Token) {
        let Some(Watched::Attempt(attempt)) = self.watched.get_mut(token) else { return };
        let asker = attempt.asker;
        if let Some(outcome) = attempt.outcome() {
            self.watched.remove(token);
            match asker {
                Asker::Ready(key) => self.ready_probed(reactor, key, outcome),
                Asker::Health(key) => self.check_answered(reactor, key, outcome),
            }
        }
    }
}
