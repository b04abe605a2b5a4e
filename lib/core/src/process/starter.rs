//! Tells whoever started us how far we are: a newline into the pipe that `MSF_READY_FD` names (msf_daemon's way), and
//! sd_notify's datagrams to `NOTIFY_SOCKET` (systemd's way). Nobody has to listen, and nobody who does not is waited for.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

/// Whoever started us, if he wants to know.
#[derive(Debug)]
pub struct Starter {
    pipe: io::Result<Option<File>>,
    place: Option<OsString>,
}

impl Starter {
    /// As the environment says. To be called before the first descriptor of ours is opened: `MSF_READY_FD` may be
    /// older than this process, and its number would be something of ours then.
    pub fn from_environment() -> Starter {
        let pipe = env::var_os("MSF_READY_FD").map(|number| {
            let given = number.to_str().and_then(|text| text.parse().ok()).filter(|fd| *fd > 2);
            let fd = given.ok_or_else(|| io::Error::other("expected a number above 2"));
            fd.and_then(take_over).map_err(|e| io::Error::other(format!("MSF_READY_FD={}: {e}", number.display())))
        });
        let place = env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty());
        Starter { pipe: pipe.transpose(), place }
    }

    /// For what is said later than that all is started; whoever reads the pipe hears nothing more.
    pub fn for_later(&self) -> Starter {
        Starter { pipe: Ok(None), place: self.place.clone() }
    }

    /// Everything is started. The pipe ends behind the newline.
    ///
    /// # Errors
    /// What could not be told, naming the variable; for the log, as nothing else depends on it.
    pub fn ready(&mut self) -> io::Result<()> {
        let newline = match std::mem::replace(&mut self.pipe, Ok(None)) {
            Ok(Some(mut pipe)) => pipe.write_all(b"\n"),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        newline.and(self.notify("READY=1"))
    }

    /// Whether somebody wants to hear more than the newline.
    pub fn listens(&self) -> bool {
        self.place.is_some()
    }

    /// The settings are being read anew; over with [`Starter::ready`].
    ///
    /// # Errors
    /// As [`Starter::ready`].
    pub fn reloading(&self) -> io::Result<()> {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map(Duration::from)?;
        self.notify(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()))
    }

    /// A line for people. Somebody who is too busy to take it is not waited for.
    ///
    /// # Errors
    /// As [`Starter::ready`].
    pub fn status(&self, text: &str) -> io::Result<()> {
        self.send(&format!("STATUS={}", one_line(text)), &[], MsgFlags::MSG_DONTWAIT)
    }

    /// What has just begun may take so much longer, from now on.
    ///
    /// # Errors
    /// As [`Starter::ready`].
    pub fn extend(&self, longer: Duration) -> io::Result<()> {
        self.notify(&format!("EXTEND_TIMEOUT_USEC={}", longer.as_micros()))
    }

    /// We are about to end, because of this.
    ///
    /// # Errors
    /// As [`Starter::ready`].
    pub fn failed(&self, why: &str, errno: i32) -> io::Result<()> {
        self.notify(&format!("STATUS={}\nERRNO={errno}", one_line(why)))
    }

    /// Keep a copy of this descriptor under that name, and give it to whoever is started after us: see
    /// [`Bequest`](super::Bequest). One that is kept already, under whatever name, is not kept twice.
    ///
    /// # Errors
    /// As [`Starter::ready`], and for a name that nobody could give back.
    pub fn keep(&self, name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        // Without FDPOLL=0 a listening socket that somebody has shut down, or a pipe whose end is gone, would be dropped.
        self.send(&format!("FDSTORE=1\nFDPOLL=0\nFDNAME={}", fd_name(name)?), &[fd.as_raw_fd()], MsgFlags::empty())
    }

    /// Keep those of that name no longer.
    ///
    /// # Errors
    /// As [`Starter::keep`].
    pub fn forget(&self, name: &str) -> io::Result<()> {
        self.notify(&format!("FDSTOREREMOVE=1\nFDNAME={}", fd_name(name)?))
    }

    /// From now on that process is the service, and this one is about to end: systemd watches the other one then.
    ///
    /// # Errors
    /// As [`Starter::ready`].
    pub fn main_process(&self, pid: i32) -> io::Result<()> {
        self.notify(&format!("MAINPID={pid}"))
    }

    /// The way down has begun.
    ///
    /// # Errors
    /// As [`Starter::ready`].
    pub fn stopping(&self) -> io::Result<()> {
        self.notify("STOPPING=1")
    }

    /// How often whoever started us wants to hear that we are alive; `None` when he does not. It is half of the time
    /// after which he would hold us for dead (`WATCHDOG_USEC`), if he means this process (`WATCHDOG_PID`).
    pub fn heartbeat(&self) -> Option<Duration> {
        self.place.as_ref()?;
        let number =
            |variable| env::var_os(variable).map(|value| value.to_str().and_then(|text| text.parse::<u64>().ok()));
        heartbeat(number("WATCHDOG_USEC"), number("WATCHDOG_PID"), std::process::id())
    }

    /// We are alive. Somebody who is too busy to hear it hears the next one.
    ///
    /// # Errors
    /// As [`Starter::ready`].
    pub fn alive(&self) -> io::Result<()> {
        self.send("WATCHDOG=1", &[], MsgFlags::MSG_DONTWAIT)
    }

    fn notify(&self, news: &str) -> io::Result<()> {
        self.send(news, &[], MsgFlags::empty())
    }

    fn send(&self, news: &str, fds: &[i32], flags: MsgFlags) -> io::Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        let sent = address(place).and_then(|to| {
            let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
            // Whoever asked and does not listen must not hold us up.
            setsockopt(&socket, sockopt::SendTimeout, &TimeVal::new(PATIENCE.as_secs() as _, 0))?;
            let rights = [ControlMessage::ScmRights(fds)];
            let rights = if fds.is_empty() { &[] } else { &rights[..] };
            let flags = flags | MsgFlags::MSG_NOSIGNAL;
            Ok(sendmsg(socket.as_raw_fd(), &[IoSlice::new(news.as_bytes())], rights, flags, Some(&to))?)
        });
        sent.map(drop).map_err(|e| io::Error::other(format!("NOTIFY_SOCKET={}: {e}", place.display())))
    }
}

/// Of two variables, each perhaps not set and perhaps no number.
fn heartbeat(micros: Option<Option<u64>>, whose: Option<Option<u64>>, own: u32) -> Option<Duration> {
    let is_meant = whose.is_none_or(|pid| pid == Some(own.into()));
    micros.flatten().filter(|micros| is_meant && *micros > 1).map(|micros| Duration::from_micros(micros / 2))
}

/// The pipe behind a number we were given. Through /proc it is opened anew, so nothing has to be taken on trust.
fn take_over(fd: i32) -> io::Result<File> {
    let path = format!("/proc/self/fd/{fd}");
    if !fs::metadata(&path)?.file_type().is_fifo() {
        return Err(io::Error::other("expected a pipe"));
    }
    let pipe = File::options().write(true).open(path)?;
    nix::unistd::close(fd)?;
    Ok(pipe)
}

/// A leading `@` stands for the zero byte of an abstract name.
fn address(place: &OsStr) -> io::Result<UnixAddr> {
    match place.as_bytes() {
        [b'@', name @ ..] => Ok(UnixAddr::new_abstract(name)?),
        [b'/', ..] => Ok(UnixAddr::new(place)?),
        _ => Err(io::Error::other("expected an absolute path, or a name behind an @")),
    }
}

/// A datagram's lines are what it says: a text must not say more than itself.
fn one_line(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `LISTEN_FDNAMES` is a list between colons.
fn fd_name(name: &str) -> io::Result<&str> {
    let fits =
        (1..=255).contains(&name.len()) && name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b':');
    if fits { Ok(name) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, Errno::EINVAL)) }
}

const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::{AsFd, IntoRawFd};
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    fn starter(place: &str) -> Starter {
        Starter { pipe: Ok(None), place: Some(place.into()) }
    }

    /// A socket of an abstract name, and who tells it.
    fn listening(name: &str) -> (UnixDatagram, Starter) {
        let name = format!("msf-starter-{name}-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        (socket, starter(&format!("@{name}")))
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut news = [0; 256];
        let len = socket.recv(&mut news).unwrap();
        String::from_utf8(news[..len].to_vec()).unwrap()
    }

    #[test]
    fn news_reaches_an_abstract_socket() {
        let (socket, mut starter) = listening("news");
        starter.ready().unwrap();
        assert_eq!(heard(&socket), "READY=1");
        starter.reloading().unwrap();
        let reloading = heard(&socket);
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0);
        starter.extend(Duration::from_millis(1500)).unwrap();
        assert_eq!(heard(&socket), "EXTEND_TIMEOUT_USEC=1500000");
    }

    #[test]
    fn what_is_said_for_people_says_nothing_else() {
        let (socket, starter) = listening("people");
        starter.status("all well\nMAINPID=1\n").unwrap();
        assert_eq!(heard(&socket), "STATUS=all well MAINPID=1");
        starter.failed("no\nway", 22).unwrap();
        assert_eq!(heard(&socket), "STATUS=no way\nERRNO=22");
    }

    #[test]
    fn a_descriptor_is_handed_over_by_a_name_that_can_be_given_back() {
        let (socket, starter) = listening("keep");
        let file = File::open("/dev/null").unwrap();
        starter.keep("web", file.as_fd()).unwrap();
        let mut news = [0; 256];
        let got = crate::sys::socket::receive(socket.as_fd(), &mut news, 0).unwrap();
        assert_eq!((&news[..got.length], got.fds.len()), (&b"FDSTORE=1\nFDPOLL=0\nFDNAME=web"[..], 1));
        starter.forget("web").unwrap();
        assert_eq!(heard(&socket), "FDSTOREREMOVE=1\nFDNAME=web");
        for name in ["", "a:b", "a\nMAINPID=1", "\u{e4}"] {
            assert!(starter.keep(name, file.as_fd()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn who_is_too_busy_for_small_talk_is_not_waited_for() {
        let (_deaf, starter) = listening("busy");
        let begun = std::time::Instant::now();
        while starter.status("x").is_ok() {}
        assert!(starter.alive().is_err() && begun.elapsed() < PATIENCE);
    }

    #[test]
    fn a_place_that_is_no_address_is_an_error() {
        assert!(starter("relative/path").ready().unwrap_err().to_string().contains("expected an absolute path"));
        assert!(starter(&format!("/{}", "x".repeat(200))).ready().is_err());
    }

    #[test]
    fn regress_a_manager_that_does_not_listen_holds_nobody_up() {
        let (_deaf, mut starter) = listening("deaf");
        // Each from a socket of its own: what one may have on its way is less than what the deaf one may have waiting.
        while starter.status("news").is_ok() {}
        assert!(starter.ready().is_err());
    }

    #[test]
    fn nobody_to_tell_is_no_error_and_nobody_there_is_one_that_names_the_variable() {
        Starter { pipe: Ok(None), place: None }.ready().unwrap();
        let error = starter("/nowhere/at/all").stopping().unwrap_err().to_string();
        assert!(error.starts_with("NOTIFY_SOCKET=/nowhere/at/all: "), "{error}");
    }

    #[test]
    fn the_heart_beats_twice_in_the_time_given_to_whom_it_was_given() {
        let half = Some(Duration::from_millis(500));
        assert_eq!(heartbeat(Some(Some(1_000_000)), None, 7), half);
        assert_eq!(heartbeat(Some(Some(1_000_000)), Some(Some(7)), 7), half);
        for (micros, whose) in [
            (None, None),
            (Some(None), None),
            (Some(Some(0)), None),
            (Some(Some(1)), None),
            (Some(Some(1_000_000)), Some(Some(8))),
            (Some(Some(1_000_000)), Some(None)),
        ] {
            assert_eq!(heartbeat(micros, whose, 7), None, "{micros:?} {whose:?}");
        }
        assert_eq!(Starter { pipe: Ok(None), place: None }.heartbeat(), None);
    }

    #[test]
    fn a_pipe_gets_one_newline_and_ends() {
        let (mut here, there) = io::pipe().unwrap();
        let pipe = take_over(there.into_raw_fd()).map(Some);
        Starter { pipe, place: None }.ready().unwrap();
        let mut told = String::new();
        here.read_to_string(&mut told).unwrap();
        assert_eq!(told, "\n");
    }

    #[test]
    fn regress_a_number_that_is_no_pipe_is_left_alone() {
        let file = File::open("/dev/null").unwrap().into_raw_fd();
        assert!(take_over(file).is_err());
        nix::unistd::close(file).unwrap();
    }
}
