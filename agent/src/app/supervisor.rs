//! A supervisor that must be the parent of what it supervises, as msf_daemon: it is asked to start our successor, and
//! told where that finds us.
//!
//! `MSF_UPGRADE_ASK` names its datagram socket. What it says, which is only ever why there is no successor, comes back on
//! a stream of which it gets the other end with the question.

use msf_core::sys::place;
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use std::env;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

/// Whoever wants to start our successor himself.
#[derive(Clone, Debug)]
pub struct Supervisor {
    place: PathBuf,
}

impl Supervisor {
    /// As the environment says.
    pub fn from_environment() -> Option<Supervisor> {
        let place = env::var_os(PLACE).filter(|place| !place.is_empty())?;
        Some(Supervisor { place: PathBuf::from(place) })
    }

    /// Tells where a successor finds us, which is at `socket` in the run directory.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn offer(&self, socket: &str) -> io::Result<()> {
        self.tell(&offer(socket)?, &[])
    }

    /// This process is the agent, and not the one that it has started.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn follow(&self) -> io::Result<()> {
        self.tell(&format!("MAINPID={}\n", std::process::id()), &[])
    }

    /// Asks for a successor. What can be read from the stream, if anything ever can, is why there will be none.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn ask(&self, socket: &str, drain: bool) -> io::Result<UnixStream> {
        let (here, there) = UnixStream::pair()?;
        here.set_nonblocking(true)?;
        let word = if drain { "drain" } else { "1" };
        // A daemon after the one that started us may not know where to find us.
        self.tell(&format!("{}MSF_UPGRADE={word}\n", offer(socket)?), &[there.as_raw_fd()])?;
        Ok(here)
    }

    /// Why we, who should have been a successor, are none.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn explain(&self, why: &str) -> io::Result<()> {
        self.tell(&format!("STATUS={}\n", why.replace('\n', " ")), &[])
    }

    fn tell(&self, text: &str, descriptors: &[RawFd]) -> io::Result<()> {
        let failed = |e: io::Error| io::Error::other(format!("{PLACE}={}: {e}", self.place.display()));
        let sent = || -> io::Result<()> {
            let socket = UnixDatagram::unbound()?;
            // Whoever does not listen must not hold us up.
            socket.set_write_timeout(Some(PATIENCE))?;
            let (bytes, rights) = ([IoSlice::new(text.as_bytes())], [ControlMessage::ScmRights(descriptors)]);
            let rights = if descriptors.is_empty() { &[][..] } else { &rights[..] };
            let to = UnixAddr::new(&self.place)?;
            sendmsg(socket.as_raw_fd(), &bytes, rights, MsgFlags::MSG_NOSIGNAL, Some(&to))?;
            Ok(())
        };
        sent().map_err(failed)
    }
}

fn offer(socket: &str) -> io::Result<String> {
    let folder = place::run_dir().map_err(io::Error::other)?;
    Ok(format!("MSF_UPGRADE_FROM={}\n", std::path::absolute(folder.join(socket))?.display()))
}

/// Its datagram socket.
const PLACE: &str = "MSF_UPGRADE_ASK";
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn the_question_comes_with_the_end_for_its_answer() {
        let place = env::temp_dir().join(format!("msf-supervisor-{}", std::process::id()));
        let board = msf_core::process::Notices::listen(&place).unwrap();
        let supervisor = Supervisor { place };
        let mut answer = supervisor.ask("a.sock", true).unwrap();
        let notice = board.next().unwrap().unwrap();
        let text = String::from_utf8(notice.text).unwrap();
        assert!(text.starts_with("MSF_UPGRADE_FROM=/") && text.ends_with("/a.sock\nMSF_UPGRADE=drain\n"), "{text}");
        let mut ends: Vec<UnixStream> = notice.fds.into_iter().map(UnixStream::from).collect();
        ends[0].write_all(b"no\n").unwrap();
        drop(ends);
        answer.set_nonblocking(false).unwrap();
        let mut why = String::new();
        answer.read_to_string(&mut why).unwrap();
        assert_eq!(why, "no\n");
    }

    #[test]
    fn nobody_there_is_named() {
        let nobody = Supervisor { place: PathBuf::from("/nowhere/at/all") };
        let error = nobody.ask("a.sock", false).unwrap_err().to_string();
        assert!(error.starts_with("MSF_UPGRADE_ASK=/nowhere/at/all: "), "{error}");
    }
}
