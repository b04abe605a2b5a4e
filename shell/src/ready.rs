//! Tells whoever started us how far we are: a newline on the descriptor MSF_READY_FD names (msf_daemon's way), and
//! sd_notify's datagrams to NOTIFY_SOCKET (systemd's way).
//!
//! Nobody has to listen, so nothing here fails the shell; what cannot be told is handed back as a sentence for the log.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// All services are started. Called once: the descriptor is closed behind the newline.
pub fn ready() -> Result<(), String> {
    newline().and(notify("READY=1"))
}

/// The way down has begun.
pub fn stopping() -> Result<(), String> {
    notify("STOPPING=1")
}

fn newline() -> Result<(), String> {
    let Some(number) = env::var_os("MSF_READY_FD") else { return Ok(()) };
    let failed = |e: &dyn std::fmt::Display| format!("MSF_READY_FD={}: {e}", number.display());
    let text = number.to_str().unwrap_or_default();
    let fd: i32 = text.parse().map_err(|e| failed(&e))?;
    // Through /proc the pipe is opened anew, so no descriptor has to be taken over on trust.
    let told = OpenOptions::new().write(true).open(format!("/proc/self/fd/{fd}")).and_then(|mut f| f.write_all(b"\n"));
    told.map_err(|e| failed(&e))?;
    nix::unistd::close(fd).map_err(|e| failed(&e))
}

fn notify(state: &str) -> Result<(), String> {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let sent = address(&path).and_then(|to| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &to));
    sent.map(|_| ()).map_err(|e| format!("NOTIFY_SOCKET={}: {e}", path.display()))
}

/// A leading `@` stands for the zero byte of an abstract name.
fn address(path: &OsString) -> io::Result<SocketAddr> {
    match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        path => SocketAddr::from_pathname(OsStr::from_bytes(path)),
    }
}
