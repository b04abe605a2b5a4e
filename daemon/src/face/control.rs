//! The control socket: `msf_daemon.sock` in the run directory, one request per connection.
//!
//! A request is one line ([`super::request`]); the answer is a verdict on a line of its own, then text for whoever asked,
//! then the end ([`super::conversation`]). The answer to `shutdown` ends when the daemon does, so whoever asked knows
//! that nothing is left. Only our own user and root are heard.

use super::conversation::Conversation;
use msf_core::event::{Interest, Reactor, Token};
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// The socket's name in the run directory.
pub const SOCKET: &str = "msf_daemon.sock";

/// The listening socket; its file goes when it is dropped.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Listens in `run_dir`. The caller holds the daemon's name, so a file that is there already is a dead daemon's.
    pub fn listen(run_dir: &Path) -> io::Result<Control> {
        let path = run_dir.join(SOCKET);
        match bind(&path) {
            Ok(listener) => Ok(Control { listener, path }),
            Err(e) => Err(io::Error::new(e.kind(), format!("cannot listen on {}: {e}", path.display()))),
        }
    }

    /// Begins to watch for connections under `token`.
    pub fn watch(&self, reactor: &Reactor, token: Token) -> io::Result<()> {
        reactor.watch(&self.listener, token, Interest::READ)
    }

    /// The next connection, if there is one.
    pub fn accept(&self) -> io::Result<Option<Conversation>> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return Conversation::new(stream).map(Some),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(e) => return Err(e),
            }
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
