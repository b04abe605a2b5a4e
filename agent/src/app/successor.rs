//! This process takes the place of a running agent: `MSF_UPGRADE_FROM` names that one's admin socket.
//!
//! Everything that takes time is done before the old one stops: settings, log, threads. Then everything it has is
//! taken over at once, loaded by reactors that stand still, and only when the old one says so do they go. When the old
//! one ends without a word behind our `ready`, it has died, and its state is nobody's but ours.

use super::errands::Program;
use super::invocation;
use super::threads::Running;
use super::threads::{self, Held};
use super::{Failure, LOG, PidFile};
use crate::control::thread::{Handed, Sockets, Taken};
use crate::upgrade::passage::{self, Broken, Word};
use crate::upgrade::{SOCKETS, VERSION, clock};
use msf_conf::agent::Settings;
use msf_conf::tree::Value;
use msf_core::log::Level;
use msf_core::process::Claim;
use msf_wire::snapshot::{Reader, State};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// The agent that runs.
pub struct Predecessor {
    stream: UnixStream,
}

impl Predecessor {
    /// The one at `place`; `None` where nobody is any longer.
    pub fn find(place: &Path) -> Result<Option<Predecessor>, Failure> {
        let failed = |what: &dyn std::fmt::Display| format!("upgrade: {}: {what}", place.display());
        let stream = match UnixStream::connect(place) {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => return Err(failed(&error).into()),
        };
        let peer = getsockopt(&stream, PeerCredentials).map_err(|errno| failed(&errno))?;
        if ![0, geteuid().as_raw()].contains(&peer.uid()) {
            return Err(failed(&format!("that is an agent of user {}", peer.uid())).into());
        }
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Some(Predecessor { stream }))
    }

    /// Takes its place, with `settings`.
    pub fn succeed(mut self, settings: &Settings, program: Program) -> Result<(Running, Taken, Files), Failure> {
        let welcome = self.introduce()?;
        if welcome.get("snapshot").and_then(Value::as_u64) != Some(VERSION.into()) {
            return self.replace(settings, program);
        }
        let (reactors, started) = beginning(&welcome)?;
        let mut held = threads::hold(settings, program, reactors, started)?;
        let until = Instant::now() + PATIENCE;
        self.stream.write_all(b"{\"verb\":\"take\"}\n")?;
        match self.load(&mut held, settings, until) {
            Ok(handed) => {
                self.await_go()?;
                let lock = handed.lock.as_ref().map(OwnedFd::try_clone).transpose()?;
                Ok(held.let_go(handed, || (lock.and_then(claim), pid_file(settings))))
            }
            Err(why) => {
                let _ = passage::say(&mut self.stream, &Word::Refused(why.to_string()));
                Err(why)
            }
        }
    }

    /// Takes its sockets alone: it has told us to, since we do not understand the rest.
    fn replace(mut self, settings: &Settings, program: Program) -> Result<(Running, Taken, Files), Failure> {
        self.stream.write_all(b"{\"verb\":\"take\"}\n")?;
        let begun = self.sockets().and_then(|sockets| {
            let (from, lock) = (sockets.pid, sockets.lock.as_ref().map(OwnedFd::try_clone).transpose()?);
            Ok((from, lock, threads::start_at(settings, program, sockets)?))
        });
        match begun {
            Ok((from, lock, mut running)) => {
                self.await_go()?;
                running.keep();
                let taken = Taken { from, standstill: Duration::ZERO, connections: 0 };
                Ok((running, taken, (lock.and_then(claim), pid_file(settings))))
            }
            Err(why) => {
                let _ = passage::say(&mut self.stream, &Word::Refused(why.to_string()));
                Err(why)
            }
        }
    }

    fn sockets(&mut self) -> Result<Sockets, Failure> {
        let mut parts = passage::receive_all(&mut self.stream, SOCKETS).map_err(|broken| broken.to_string())?;
        let (bytes, descriptors) = parts.pop().ok_or("the snapshot has no parts")?;
        let mut from = Reader::new(&bytes, descriptors);
        let sockets = Sockets::load(&mut from)?;
        from.end()?;
        Ok(sockets)
    }

    /// Says who we are; what the agent that runs has answered.
    fn introduce(&mut self) -> Result<Value, Failure> {
        let drain = invocation::may_drain();
        let hello = format!("{{\"verb\":\"succeed\",\"snapshot\":{VERSION},\"drain\":{drain}}}\n");
        self.stream.write_all(hello.as_bytes())?;
        super::operator::understood(&self.line()?)
    }

    fn load(&mut self, held: &mut Held, settings: &Settings, until: Instant) -> Result<Handed, Failure> {
        let mut parts = passage::receive_all(&mut self.stream, VERSION).map_err(|broken| broken.to_string())?;
        if parts.is_empty() {
            return Err("the snapshot has no parts".into());
        }
        let (bytes, descriptors) = parts.remove(0);
        let mut from = Reader::new(&bytes, descriptors);
        held.load(settings, &mut from, parts, until)
    }

    /// Waits for the word that makes us the agent.
    fn await_go(&mut self) -> Result<(), Failure> {
        let _ = passage::say(&mut self.stream, &Word::Ready);
        match passage::hear(&mut self.stream) {
            Ok(Word::Go) => Ok(()),
            Ok(Word::No(why)) => Err(format!("upgrade: the agent that runs goes on: {why}").into()),
            Ok(word) => Err(format!("upgrade: the agent that runs says {word:?}").into()),
            // It would have said no, or have killed us.
            Err(Broken::Stream(error))
                if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) =>
            {
                msf_core::log!(Level::Warn, LOG, "upgrade: the former msf_agent has died; this process goes on");
                Ok(())
            }
            Err(broken) => Err(format!("upgrade: {broken}").into()),
        }
    }

    /// The next line, byte by byte: what follows it is not for a reader of lines.
    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while line.len() < LONGEST_LINE {
            self.stream.read_exact(&mut byte)?;
            match byte {
                [b'\n'] => break,
                [byte] => line.push(byte),
            }
        }
        String::from_utf8(line).map_err(io::Error::other)
    }
}

/// How many reactors there are, and when their time began.
fn beginning(welcome: &Value) -> Result<(usize, Instant), Failure> {
    let number = |key: &str| {
        let number = welcome.get(key).and_then(Value::as_u64);
        number.ok_or_else(|| format!("upgrade: the agent that runs does not say its {key}"))
    };
    let reactors = usize::try_from(number("reactors")?)?;
    let started = clock::instant_of(number("started")?)?;
    match started {
        Some(started) if (1..=MOST_REACTORS).contains(&reactors) => Ok((reactors, started)),
        _ => Err("upgrade: the agent that runs says what cannot be".into()),
    }
}

/// The claim of the name. We serve in any case: that a second agent might be started is the lesser evil.
fn claim(lock: OwnedFd) -> Option<Claim> {
    let claim = Claim::take_over(super::NAME, lock);
    claim.inspect_err(|error| msf_core::log!(Level::Error, LOG, "upgrade: {error}")).ok()
}

/// The pid file of the settings, of which the same holds.
fn pid_file(settings: &Settings) -> PidFile {
    let written = PidFile::write(settings);
    written.unwrap_or_else(|error| {
        msf_core::log!(Level::Error, LOG, "upgrade: {error}");
        PidFile(None)
    })
}

/// What says which process is the agent.
type Files = (Option<Claim>, PidFile);

/// How long the agent that runs may take for anything.
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_LINE: usize = 4096;
/// The reactor has a byte in the ids of jobs.
const MOST_REACTORS: usize = 256;
