//! Tells whoever started us that we serve: a newline on the descriptor that `MSF_READY_FD` names, and systemd's
//! `READY=1` on the socket that `NOTIFY_SOCKET` names.

use super::LOG;
use msf_core::log::Level;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::close;
use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Tells everybody who asked. A failure is logged: they will time out and say so themselves.
pub fn tell() {
    if let Ok(number) = env::var("MSF_READY_FD") {
        let told = number.parse().map_err(|_| io::Error::other("not a number")).and_then(newline);
        if let Err(error) = told {
            msf_core::log!(Level::Warn, LOG, "cannot tell that we are ready: MSF_READY_FD={number}: {error}");
        }
    }
    if let Some(path) = env::var_os("NOTIFY_SOCKET")
        && let Err(error) = notify(path.as_encoded_bytes())
    {
        msf_core::log!(Level::Warn, LOG, "cannot tell that we are ready: NOTIFY_SOCKET={}: {error}", path.display());
    }
}

/// A newline into an inherited descriptor, which is closed afterwards, so that its other end sees the end.
fn newline(number: i32) -> io::Result<()> {
    match send(number, b"\n", MsgFlags::MSG_NOSIGNAL) {
        Ok(_) => {}
        // A pipe: it has no owner in this program, so it is reached by its name.
        Err(Errno::ENOTSOCK) => {
            OpenOptions::new().write(true).open(format!("/proc/self/fd/{number}"))?.write_all(b"\n")?;
        }
        Err(errno) => return Err(errno.into()),
    }
    close(number).map_err(io::Error::from)
}

fn notify(path: &[u8]) -> io::Result<()> {
    let address = match path {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(std::str::from_utf8(path).map_err(io::Error::other)?)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address).map(drop)
}
