//! The process of an isolated service, seen from outside: started, spoken to without ever waiting for it, and its end.
//!
//! It is this program again, which knows itself by its first word; a socket to us is its standard input. The first byte
//! there brings the library, the second the receipt: a counter in which it writes the number of every question it takes,
//! before it does anything about it. So its end leaves no doubt about which questions may be asked again.

use crate::apart::frame::{Frame, HEAD, Nonsense};
use msf_sys::relative;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// One process.
#[derive(Debug)]
pub struct Child {
    number: u32,
    /// Until it has ended.
    process: Option<std::process::Child>,
    socket: UnixStream,
    receipt: EventFd,
    /// Readable when it has ended; kernels before 5.3 have none.
    end: Option<OwnedFd>,
    /// How it has ended.
    status: Option<ExitStatus>,
    unsent: Vec<u8>,
    sent: usize,
    unread: Vec<u8>,
    /// When it was started.
    pub began: Instant,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ready {
    /// Something to read, or a hang-up.
    pub read: bool,
    /// Room to write.
    pub write: bool,
    /// It has ended.
    pub ended: bool,
}

impl Child {
    /// Starts one, and hands it the library. Without a terminal if we have let go of ours.
    pub fn start(library: Option<&File>, quiet: bool) -> io::Result<Child> {
        let (ours, its) = UnixStream::pair()?;
        let receipt = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        // The file we are made from, also when another one has taken its name.
        let mut command = Command::new("/proc/self/exe");
        command.arg0(TENANT).stdin(Stdio::from(OwnedFd::from(its))).process_group(0);
        for variable in OURS_ONLY {
            command.env_remove(variable);
        }
        if quiet {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        let process = command.spawn()?;
        // Its end of the socket, else a hang-up would never come.
        drop(command);
        let number = process.id();
        let end = relative::end_of(number).ok();
        let child = Child {
            number,
            process: Some(process),
            socket: ours,
            receipt,
            end,
            status: None,
            unsent: Vec::new(),
            sent: 0,
            unread: Vec::new(),
            began: Instant::now(),
        };
        child.hand(library.map(AsFd::as_fd))?;
        child.hand(Some(child.receipt.as_fd()))?;
        child.socket.set_nonblocking(true)?;
        Ok(child)
    }

    /// One byte, and a file with it.
    fn hand(&self, file: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let numbers: Vec<i32> = file.iter().map(AsRawFd::as_raw_fd).collect();
        let rights: Vec<ControlMessage<'_>> =
            if numbers.is_empty() { Vec::new() } else { vec![ControlMessage::ScmRights(&numbers)] };
        let byte = [IoSlice::new(b"\n")];
        sendmsg::<()>(self.socket.as_raw_fd(), &byte, &rights, MsgFlags::MSG_NOSIGNAL, None)?;
        Ok(())
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.number
    }

    /// Has it told something, as soon as it listens.
    pub fn say(&mut self, frame: &Frame) {
        frame.put(&mut self.unsent);
    }

    /// What [`Child::ready`] reads after a poll of these.
    pub fn watched(&self) -> Vec<PollFd<'_>> {
        let write = if self.unsent.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
        let end = self.end.as_ref().map(|end| PollFd::new(end.as_fd(), PollFlags::POLLIN));
        [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN | write)].into_iter().chain(end).collect()
    }

    /// What a poll of [`Child::watched`] has found.
    pub fn ready(polled: &[PollFd<'_>]) -> Ready {
        let found = |at: usize| polled.get(at).and_then(PollFd::revents).unwrap_or(PollFlags::empty());
        let (socket, end) = (found(0), found(1));
        Ready {
            read: socket.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR),
            write: socket.contains(PollFlags::POLLOUT),
            ended: !end.is_empty(),
        }
    }

    /// Whether an end is told by nothing but a hang-up, which somebody it has forked may keep from coming.
    pub fn must_be_looked_at(&self) -> bool {
        self.end.is_none()
    }

    /// Sends as much as it takes. Whoever does not listen any more is found out by reading.
    pub fn write(&mut self) {
        while let Some(rest) = self.unsent.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(count) => self.sent += count,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if self.sent == self.unsent.len() {
            (self.unsent, self.sent) = (Vec::new(), 0);
        } else if self.sent > LEFT_BEHIND {
            self.unsent.drain(..std::mem::take(&mut self.sent));
        }
    }

    /// Reads what it has said; false when it will say nothing more.
    pub fn read(&mut self) -> bool {
        let mut room = vec![0; 64 << 10];
        loop {
            match self.socket.read(&mut room) {
                Ok(0) => return false,
                Ok(count) => self.unread.extend_from_slice(room.get(..count).unwrap_or_default()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
    }

    /// The frames that are complete.
    pub fn frames(&mut self) -> Result<Vec<Frame>, Nonsense> {
        let (mut frames, mut at) = (Vec::new(), 0);
        while let Some(rest) = self.unread.get(at..).filter(|rest| rest.len() >= HEAD) {
            let Some(whole) = Frame::length(rest)?.and_then(|length| rest.get(..length)) else { break };
            frames.push(Frame::take(whole)?);
            at += whole.len();
        }
        self.unread.drain(..at);
        Ok(frames)
    }

    /// The last question it has taken, of one that has ended. To be asked once.
    pub fn taken(&self) -> u64 {
        match self.receipt.read() {
            Ok(number) => number,
            Err(Errno::EAGAIN) => 0,
            // Not to be told: then it may have been any.
            Err(_) => u64::MAX,
        }
    }

    /// How it has ended, if it has. What it has forked and left in its group ends with it.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            match waitid(Id::Pid(self.number()), flags) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => return None,
                found => {
                    // Not waited for yet, so that the number of its group is nobody else's.
                    let _ = killpg(self.number(), Signal::SIGKILL);
                    self.status = Some(found.map_or_else(|_| ExitStatus::default(), status_of));
                }
            }
            self.bury();
        }
        self.status
    }

    /// Waits for the dead one, elsewhere: on a machine with much to do the kernel may take a second to put away what it
    /// knew of a process with many threads, and nobody's answer and no successor is to wait for that.
    fn bury(&mut self) {
        let Some(mut dead) = self.process.take() else { return };
        let number = self.number();
        let digger = thread::Builder::new().name("burial".to_owned()).spawn(move || drop(dead.wait()));
        if digger.is_err() {
            // It went with the thread that could not be made.
            let _ = waitid(Id::Pid(number), WaitPidFlag::WEXITED);
        }
    }

    /// Waits a little for its end.
    pub fn ends_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if Instant::now() >= until {
                return None;
            }
            thread::sleep(MOMENT);
        }
    }

    /// Whether the kernel writes its core.
    pub fn is_dumping(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("CoreDumping:").is_some_and(|flag| flag.trim() == "1"))
    }

    /// Ends it.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
    }

    /// Sends it a signal, as long as its number is its own.
    pub fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            let _ = kill(self.number(), signal);
        }
    }

    fn number(&self) -> Pid {
        Pid::from_raw(self.pid().cast_signed())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        let _ = self.ends_within(LONGEST_END);
    }
}

fn status_of(found: WaitStatus) -> ExitStatus {
    match found {
        WaitStatus::Exited(_, code) => ExitStatus::from_raw((code & 0xff) << 8),
        WaitStatus::Signaled(_, signal, has_core) => {
            ExitStatus::from_raw(signal as i32 | if has_core { 0x80 } else { 0 })
        }
        _ => ExitStatus::default(),
    }
}

/// An end in words.
pub fn told(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => {
            let name = Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |name| name.to_string());
            format!("was ended by {name}{}", if status.core_dumped() { ", with a core dump" } else { "" })
        }
        (None, Some(code)) => format!("has ended by itself, with status {code}"),
        (None, None) => "has ended".to_owned(),
    }
}

/// The first word of such a process.
pub const TENANT: &str = "msf_shell (isolated)";
/// What somebody has told this process, and means no other.
const OURS_ONLY: &[&str] = &[
    "MSF_READY_FD",
    "MSF_CRASH_SOCKET",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];
/// Bytes that are sent and still kept.
const LEFT_BEHIND: usize = 1 << 20;
const MOMENT: Duration = Duration::from_millis(1);
/// Nobody who was killed needs longer, unless the kernel holds him.
const LONGEST_END: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_as_it_was() {
        let of = |found| told(status_of(found));
        let pid = Pid::from_raw(1);
        assert_eq!(of(WaitStatus::Exited(pid, 3)), "has ended by itself, with status 3");
        assert_eq!(of(WaitStatus::Signaled(pid, Signal::SIGKILL, false)), "was ended by SIGKILL");
        assert_eq!(of(WaitStatus::Signaled(pid, Signal::SIGSEGV, true)), "was ended by SIGSEGV, with a core dump");
    }
}
