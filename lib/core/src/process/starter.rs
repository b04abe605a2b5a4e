//! Tells whoever started us how far we are: a newline into the pipe that `MSF_READY_FD` names (msf_daemon's way), and
//! sd_notify's datagrams to `NOTIFY_SOCKET` (systemd's way). Nobody has to listen, and nobody who does not is waited for.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
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

    /// We are alive.
    ///
    /// # Errors
    /// As [`Starter::ready`].
    pub fn alive(&self) -> io::Result<()> {
        self.notify("WATCHDOG=1")
    }

    fn notify(&self, news: &str) -> io::Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        let sent = address(place).and_then(|to| {
            let socket = UnixDatagram::unbound()?;
            // Whoever asked and does not listen must not hold us up.
            socket.set_write_timeout(Some(PATIENCE))?;
            socket.send_to_addr(news.as_bytes(), &to)
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
fn address(place: &OsStr) -> io::Result<SocketAddr> {
    match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        path => SocketAddr::from_pathname(OsStr::from_bytes(path)),
    }
}

const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::IntoRawFd;

    fn starter(place: &str) -> Starter {
        Starter { pipe: Ok(None), place: Some(place.into()) }
    }

    #[test]
    fn news_reaches_an_abstract_socket() {
        let name = format!("msf-starter-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        starter(&format!("@{name}")).ready().unwrap();
        let mut news = [0; 16];
        let len = socket.recv(&mut news).unwrap();
        assert_eq!(&news[..len], b"READY=1");
    }

    #[test]
    fn regress_a_manager_that_does_not_listen_holds_nobody_up() {
        let name = format!("msf-starter-deaf-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _deaf = UnixDatagram::bind_addr(&address).unwrap();
        // One sender's own memory may be less than what the deaf one's queue takes.
        let mut others = Vec::new();
        loop {
            let other = UnixDatagram::unbound().unwrap();
            other.set_nonblocking(true).unwrap();
            if other.send_to_addr(b"news", &address).is_err() {
                break;
            }
            while other.send_to_addr(b"news", &address).is_ok() {}
            others.push(other);
        }
        assert!(starter(&format!("@{name}")).ready().is_err());
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
