//! Tells whoever started us how far we are: a newline into the pipe that MSF_READY_FD names (msf_daemon's way), and
//! sd_notify's datagrams to NOTIFY_SOCKET (systemd's way).
//!
//! Nobody has to listen, so nothing here fails the shell; what cannot be told is handed back as a sentence for the log.

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
pub struct Starter {
    pipe: Result<Option<File>, String>,
}

impl Starter {
    /// As the environment says. Before the first descriptor of ours is opened: the variable may be older than this
    /// process, and the number would be something of ours then.
    pub fn from_environment() -> Starter {
        let taken = env::var_os("MSF_READY_FD").map(|number| {
            let given = number.to_str().and_then(|text| text.parse().ok()).filter(|fd| *fd > 2);
            let fd = given.ok_or_else(|| io::Error::other("expected a number above 2"));
            fd.and_then(take_over).map_err(|e| format!("MSF_READY_FD={}: {e}", number.display()))
        });
        Starter { pipe: taken.transpose() }
    }

    /// All services are started. The pipe ends behind the newline.
    pub fn ready(self) -> Result<(), String> {
        let newline = self.pipe.and_then(|pipe| match pipe {
            Some(mut pipe) => pipe.write_all(b"\n").map_err(|e| format!("cannot write to MSF_READY_FD: {e}")),
            None => Ok(()),
        });
        newline.and(notify("READY=1"))
    }
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

/// How often whoever started us wants to hear that we are alive, if he does: half of the time after which he would hold
/// us for dead.
pub fn heartbeat() -> Option<Duration> {
    env::var_os("NOTIFY_SOCKET")?;
    let number = |name| env::var_os(name).map(|value| value.to_str().and_then(|text| text.parse::<u64>().ok()));
    let is_meant = number("WATCHDOG_PID").is_none_or(|pid| pid == Some(std::process::id().into()));
    let micros = number("WATCHDOG_USEC").flatten().filter(|micros| is_meant && *micros > 1)?;
    Some(Duration::from_micros(micros / 2))
}

/// We are alive.
pub fn alive() -> Result<(), String> {
    notify("WATCHDOG=1")
}

/// The way down has begun.
pub fn stopping() -> Result<(), String> {
    notify("STOPPING=1")
}

/// What is wrong with services, in one line; nothing, if it is empty. For people, and for whoever started us.
pub fn troubles(what: &str) -> Result<(), String> {
    let what: String = what.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    notify(&format!("STATUS={what}\nMSF_TROUBLE={what}"))
}

fn notify(state: &str) -> Result<(), String> {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let sent = address(&path).and_then(|to| {
        let socket = UnixDatagram::unbound()?;
        // Whoever asked and does not listen must not hold us up.
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.send_to_addr(state.as_bytes(), &to)
    });
    sent.map(drop).map_err(|e| format!("NOTIFY_SOCKET={}: {e}", path.display()))
}

/// A leading `@` stands for the zero byte of an abstract name.
fn address(path: &OsString) -> io::Result<SocketAddr> {
    match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        path => SocketAddr::from_pathname(OsStr::from_bytes(path)),
    }
}

/// Characters of what is told.
const LONGEST: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(1);
